"""The digital source types of IPTC that this program tells (https://cv.iptc.org/newscodes/digitalsourcetype/)."""

from __future__ import annotations

from typing import Final

IPTC: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"

GENERATED: Final = IPTC + "trainedAlgorithmicMedia"
"""A model made it."""
COMPOSITE: Final = IPTC + "compositeWithTrainedAlgorithmicMedia"
"""A model worked on pictures that there were before."""
ALGORITHMIC: Final = IPTC + "algorithmicMedia"
"""A formula made it: no model, and no picture that there was before."""
PUT_TOGETHER: Final = IPTC + "composite"
"""Several pictures that there were before, without a model."""
