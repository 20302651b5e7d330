"""What `bootsonde break` and `bootsonde watch` take: PLACE [vcpu N] [skip N] [limit N] [if EXPR]."""

from __future__ import annotations

import re
from typing import Callable, Dict

from bootsonde.model.errors import UserError
from bootsonde.model.place import Data, Functions, Line, Place
from bootsonde.model.scenario import Rule

USAGE = "bootsonde break FUNCTION-GLOB|FILE:LINE [vcpu N] [skip N] [limit N] [if EXPRESSION]"
WATCH_USAGE = "bootsonde watch NAME|NAME.FIELD|NAME[N] [vcpu N] [skip N] [limit N] [if EXPRESSION]"


def _code(word: str) -> Place:
    return Line(word) if re.search(r":\d+$", word) else Functions(word)


def parse_break(text: str) -> Rule:
    """A rule that records. The condition, if any, comes last and takes the rest. Raises UserError."""
    return _parse(text, _code, USAGE)


def parse_watch(text: str) -> Rule:
    """As parse_break, for writes of a variable."""
    rule = _parse(text, Data, WATCH_USAGE)
    rule.name = f"writes of {rule.place}"
    return rule


def _parse(text: str, make: Callable[[str], Place], usage: str) -> Rule:
    head, _, condition = re.sub(r"\s+", " ", text.strip()).partition(" if ")
    words = head.split(" ")
    if not words[0] or len(words) % 2 == 0 or (" if " in f"{text} " and not condition.strip()):
        raise UserError(f"usage: {usage}")
    numbers: Dict[str, int] = {}
    for key, value in zip(words[1::2], words[2::2]):
        if key not in ("vcpu", "skip", "limit") or not value.isdigit() or key in numbers:
            raise UserError(f"{key} {value}: usage: {usage}")
        numbers[key] = int(value)
    return Rule(make(words[0]), condition=condition.strip() or None, vcpu=numbers.get("vcpu"),
                skip=numbers.get("skip", 0), limit=numbers.get("limit"))
