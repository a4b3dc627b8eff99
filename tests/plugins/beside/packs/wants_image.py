"""Imports a library by a name that its distribution has not, if it is not installed."""

import skimage
