"""Imports a library that is not installed."""

import kornia_that_nobody_has
