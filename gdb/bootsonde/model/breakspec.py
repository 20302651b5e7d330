"""What `bootsonde break` takes: PLACE [if EXPR] [vcpu N] [skip N] [limit N]. The condition comes last."""

from __future__ import annotations

import re
from typing import Dict

from bootsonde.model.errors import UserError
from bootsonde.model.place import Functions, Line, Place
from bootsonde.model.scenario import Rule

USAGE = "bootsonde break FUNCTION-GLOB|FILE:LINE [vcpu N] [skip N] [limit N] [if EXPRESSION]"


def parse_break(text: str) -> Rule:
    """A rule that records. The condition, if any, comes last and takes the rest. Raises UserError."""
    head, _, condition = re.sub(r"\s+", " ", text.strip()).partition(" if ")
    words = head.split(" ")
    if not words[0] or len(words) % 2 == 0 or (" if " in f"{text} " and not condition.strip()):
        raise UserError(f"usage: {USAGE}")
    numbers: Dict[str, int] = {}
    for key, value in zip(words[1::2], words[2::2]):
        if key not in ("vcpu", "skip", "limit") or not value.isdigit() or key in numbers:
            raise UserError(f"{key} {value}: usage: {USAGE}")
        numbers[key] = int(value)
    place: Place = Line(words[0]) if re.search(r":\d+$", words[0]) else Functions(words[0])
    return Rule(place, condition=condition.strip() or None, vcpu=numbers.get("vcpu"), skip=numbers.get("skip", 0),
                limit=numbers.get("limit"))
