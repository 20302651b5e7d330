"""Agreement as numbers: what was compared, what agrees, and every disagreement in a named class."""

from __future__ import annotations

import os.path
import re
from collections import Counter
from dataclasses import dataclass, field

#: Disagreements that docs/agreement.md explains. What is in no such class is `unexplained`, and a failure.
EXPLAINED = {
    "removed by the linker": "debug data of code that is not in the file: its address is 0 or in no executable section",
    "symbol's name": "the symbol table has the compiler's own name of it: work.cold, work.constprop.0",
    "second name": "an alias: two symbols name one place, and each side took another",
    "label": "llvm takes a symbol without type or size for a function, cprobe only a function's symbol",
    "padding": "bytes of no function, by the symbols' sizes: one side names nothing, the other what is before them",
    "copy in a copy": "an inlined copy in a copy of the same function, entered at one address: cprobe has one record",
    "other peer: no line either": "the line table has no row or says line 0: one peer goes on with the row before",
    "other peer: cprobe's line": "of libdw and llvm-symbolizer one has another line, and one has cprobe's",
    "several structs": "the kernel has several structs of that name, and each side took another",
    "cold part": "GDB has one place for a function, cprobe one for each part of it",
    "data in code": "bytes that the symbol table says are data",
    "GDB's file": "GDB takes the number of the file from one unit and the table from another (LTO)",
    "GDB needs a call line": "GDB shows no inlined function whose debug data does not say where it was called",
}
UNEXPLAINED = "unexplained"
#: How many unexplained ones are shown.
SHOWN = 8


@dataclass
class Score:
    """cprobe and one peer, on one file, about one question."""

    file: str
    question: str
    peer: str
    agree: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    #: Why it could not be compared.
    absent: str = ""

    def differs(self, name: str, example: str) -> None:
        """`name`: a key of EXPLAINED, or UNEXPLAINED."""
        assert name in EXPLAINED or name == UNEXPLAINED, name
        self.classes[name] += 1
        shown = self.examples.setdefault(name, [])
        if len(shown) < SHOWN:
            shown.append(example)

    @property
    def compared(self) -> int:
        return self.agree + sum(self.classes.values())

    def row(self) -> list[str]:
        if self.absent:
            return [self.file, self.question, self.peer, "-", "-", "-", self.absent]
        share = f"{100 * self.agree / self.compared:.2f} %" if self.compared else "-"
        if self.compared and self.agree < self.compared and share == "100.00 %":
            share = "99.99 %"
        return [self.file, self.question, self.peer, f"{self.compared:,}", f"{self.agree:,}", share,
                "; ".join(f"{name}: {count:,}" for name, count in self.classes.most_common())]


def summed(scores: list[Score], name: str) -> list[Score]:
    """One score for each question and peer, over all files; numbers in the questions are left out."""
    sums: dict[tuple[str, str], Score] = {}
    for score in scores:
        question = re.sub(r"^[\d,]+ |(?<=of )[\d,]+ (?=files)", "", score.question)
        into = sums.setdefault((question, score.peer), Score(name, question, score.peer))
        into.agree += score.agree
        into.classes += score.classes
    return list(sums.values())


HEAD = ["file", "question", "peer", "compared", "agree", "share", "disagreements"]


def markdown(scores: list[Score]) -> str:
    rows = [HEAD, *(score.row() for score in scores)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows)


def same_file(one: str, other: str) -> bool:
    """Is one path the other's tail, once . and .. are gone? Both unknown are the same."""
    if one == other:
        return True
    if not one or not other:
        return False
    one, other = os.path.normpath(one), os.path.normpath(other)
    return one == other or one.endswith("/" + other.lstrip("/")) or other.endswith("/" + one.lstrip("/"))


def is_variant(symbol: str, name: str) -> bool:
    """Is the symbol the compiler's own name of the function: work.part.0.cold of work?"""
    return symbol.startswith(name + ".") and bool(re.fullmatch(r"(\.[a-z_]+|\.\d+)+", symbol[len(name):]))
