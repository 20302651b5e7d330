#!/usr/bin/env python3
"""Compares cprobe's answers with others', and prints the agreement as a Markdown table: see docs/agreement.md.

    tests/agreement/agree.py                  # the forms of tests/agreement/sources, one minute
    tests/agreement/agree.py --kernel         # and Debian's vmlinux with two of its modules, by launch/fetch.sh
    tests/agreement/agree.py FILE...          # other ELF files with debug data

Exit status: 0 every disagreement is of a known class, 1 some are unexplained, 3 it could not be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from agreement import compare, forms, peers  # noqa: E402
from agreement.score import UNEXPLAINED, Score, markdown, summed  # noqa: E402

QUESTIONS = ("insn", "functions", "files", "symbolize", "type")


def subject(name: str, elf: Path, cprobe: Path, folder: Path, libdw: peers.Libdw, seed: int) -> compare.Subject:
    """With its linked twin when it is relocatable."""
    twin = forms.linked_twin(elf, folder) if forms.is_relocatable(elf) else elf
    return compare.Subject(name, elf, twin, cprobe, folder, libdw, seed, elf.stat().st_size > 200_000_000)


def ask(about: compare.Subject, questions: tuple[str, ...], addresses: int, say: bool = False) -> list[Score]:
    """All scores of one file. A question that cprobe fails at is a score with the reason."""
    scores: list[Score] = []
    todo: dict[str, Callable[[], list[Score]]] = {
        "insn": lambda: [compare.instructions(about)],
        "functions": lambda: compare.functions(about),
        "files": lambda: compare.files(about, 50),
        "symbolize": lambda: compare.symbolized(about, addresses),
        "type": lambda: compare.layouts(about, 100),
    }
    for question in questions:
        begin = time.monotonic()
        try:
            scores.extend(todo[question]())
        except RuntimeError as error:
            failed = Score(about.name, question, "")
            failed.differs(UNEXPLAINED, str(error))
            scores.append(failed)
        if say:
            print(f"{about.name}: {question}: {time.monotonic() - begin:.1f} s", file=sys.stderr)
    return scores


def kernel_files() -> list[Path]:
    """Debian's vmlinux and its modules with debug data."""
    done = subprocess.run([ROOT / "launch" / "fetch.sh", "debian-kernel"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=900, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or "launch/fetch.sh failed")
    folder = Path(done.stdout.strip())
    return [folder / "vmlinux", *sorted((folder / "modules" / "debug").glob("*.ko"))]


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="instead of the forms of the sources")
    parser.add_argument("--kernel", action="store_true", help="Debian's vmlinux and two modules")
    parser.add_argument("--no-forms", action="store_true", help="without the forms of the sources")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="what picks files, addresses and structs (1)")
    parser.add_argument("--addresses", type=int, default=10_000, metavar="N", help="to symbolize in each FILE (10000)")
    parser.add_argument("--only", default=",".join(QUESTIONS), metavar="LIST", help=f"of {','.join(QUESTIONS)}")
    parser.add_argument("--cprobe", type=Path, metavar="FILE", help="default: of $BOOTSONDE_BUILD, else of build/")
    parser.add_argument("--sum", action="store_true", help="all forms of the sources together, as in docs/agreement.md")
    parser.add_argument("--examples", action="store_true", help="also of the explained classes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the scores, for a program")
    words = parser.parse_args()
    build = Path(os.environ.get("BOOTSONDE_BUILD", ROOT / "build"))
    cprobe = (words.cprobe or build / "cprobe" / "cprobe").resolve()
    questions = tuple(words.only.split(","))
    if not set(questions) <= set(QUESTIONS):
        parser.error(f"--only: give some of {','.join(QUESTIONS)}")
    scores: list[Score] = []
    with tempfile.TemporaryDirectory(prefix="agree-") as name:
        folder = Path(name)
        try:
            libdw = peers.Libdw(folder)
            if not words.files and not words.no_forms:
                for form in forms.FORMS:
                    try:
                        elf = forms.compile_form(form, folder / form.compiler)
                    except forms.ToolMissing as error:
                        scores.append(Score(form.name, "all", "", absent=str(error)))
                        continue
                    scores += ask(subject(form.name, elf, cprobe, folder, libdw, words.seed), questions, 1000)
            for elf in [*words.files, *(kernel_files() if words.kernel else [])]:
                about = subject(elf.name, elf.resolve(), cprobe, folder, libdw, words.seed)
                scores += ask(about, questions, words.addresses, say=True)
        except (RuntimeError, OSError, subprocess.SubprocessError, forms.ToolMissing) as error:
            print(f"agree: {error}", file=sys.stderr)
            return 3
    small = [score for score in scores if score.file in {form.name for form in forms.FORMS}]
    rest = scores[len(small):]
    print(markdown([*summed(small, f"{len(forms.FORMS)} forms"), *rest] if words.sum else scores))
    unexplained = 0
    for score in scores:
        unexplained += score.classes[UNEXPLAINED]
        for kind, examples in score.examples.items():
            for example in examples if words.examples or kind == UNEXPLAINED else []:
                print(f"{score.file}: {score.question}: {score.peer}: {kind}: {example}", file=sys.stderr)
    if words.json:
        words.json.write_text(json.dumps([{"file": s.file, "question": s.question, "peer": s.peer, "absent": s.absent,
                                           "agree": s.agree, "compared": s.compared, "classes": s.classes,
                                           "examples": s.examples} for s in scores], indent=1) + "\n", encoding="utf-8")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
