"""What was hit and what never, as text."""

from __future__ import annotations

import textwrap
from typing import Dict, List, Sequence, Tuple

#: Width of the summary's paragraphs.
WIDTH = 110
#: Stands for a space at which no line may be broken.
_TIED = "\0"


def summary(title: str, hits: Sequence[Tuple[str, int, bool]]) -> List[str]:
    """Lines about one rule: `hits` has (function, hits, whether its limit was reached) for each of its places.

    Several places of a name (a function and its inlined copies) count together.
    """
    total: Dict[str, int] = {}
    limited = {name for name, _, spent in hits if spent}
    for name, count, _ in hits:
        total[name] = total.get(name, 0) + count
    hit = [f"{name}{_TIED}{count}{'+' if name in limited else ''}" for name, count in total.items() if count]
    never = [name for name, count in total.items() if not count]
    lines = [f"{title}: {len(hit)} of {len(total)} hit"]
    for word, names in (("hit", hit), ("never", never)):
        if names:
            lines += textwrap.wrap(", ".join(names), WIDTH, initial_indent=f"  {word + ':':7}",
                                   subsequent_indent=" " * 9, break_on_hyphens=False)
    return [line.replace(_TIED, " ") for line in lines]
