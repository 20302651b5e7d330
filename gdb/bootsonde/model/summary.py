"""What was hit and what never, as text."""

from __future__ import annotations

import textwrap
from typing import Dict, List, Sequence, Tuple

#: Width of the summary's paragraphs.
WIDTH = 110


def tally(hits: Sequence[Tuple[str, int]]) -> Dict[str, int]:
    """Hits by function; several places of a name (static twins, inlined copies) count together."""
    total: Dict[str, int] = {}
    for name, count in hits:
        total[name] = total.get(name, 0) + count
    return total


def summary(title: str, hits: Sequence[Tuple[str, int]]) -> List[str]:
    """Lines about one rule: `hits` has a (function, hits) pair for each of its places."""
    total = tally(hits)
    hit = [f"{name} {count}" for name, count in total.items() if count]
    never = [name for name, count in total.items() if not count]
    lines = [f"{title}: {len(hit)} of {len(total)} functions hit"]
    for word, names in (("hit", hit), ("never", never)):
        if names:
            lines += textwrap.wrap(", ".join(names), WIDTH, initial_indent=f"  {word + ':':7}",
                                   subsequent_indent=" " * 9, break_on_hyphens=False)
    return lines
