from __future__ import annotations

import json
import math

from engine.server import wire


def test_whole_numbers_have_no_decimal_point_and_others_stay():
    assert json.dumps([wire.number(one) for one in (20.0, -1.0, 0.0, 3, 0.5)]) == "[20, -1, 0, 3, 0.5]"
    assert wire.number(math.inf) == math.inf
