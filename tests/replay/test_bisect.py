"""`git bisect run` with `bootsonde replay --bisect` finds the commit that altered the reference guest's clocks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from labkit import Lab
from mutants import MOVED, PROJECT, Mutation, sources

pytestmark = pytest.mark.long

CULPRIT = Mutation("culprit", "tsc.c",
                   "\tif (tsc_freq_cpuid(&tsc_freq))\n\t\treturn;\n\ttsc_freq_8254(&tsc_freq);\n",
                   "\tif (tsc_freq_8254(&tsc_freq))\n\t\treturn;\n\ttsc_freq_cpuid(&tsc_freq);\n", "", "", ())
BROKEN = Mutation("broken", "clock.c", "u_int i8254_freq = TIMER_FREQ;", "u_int i8254_freq = TIMER_FREQ", "", "", ())
MENDED = Mutation("mended", "clock.c", BROKEN.new, BROKEN.old, "", "", ())
FUNCTIONS = "tsc_*,lapic_*,clockcalib,tc_init,cpu_initclocks"


def test_the_culprit_is_found_among_commits_that_move_code_or_do_not_build(lab: Lab, root: Path) -> None:
    tree = lab.cwd / "tree"
    (tree / "guest").mkdir(parents=True)

    def git(*words: str) -> str:
        command = ["git", "-C", str(tree), "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    for source in sources(root / "guest"):
        (tree / "guest" / source.name).write_bytes(source.read_bytes())
        (tree / "guest" / source.name).chmod(source.stat().st_mode)
    (tree / "meson.build").write_text(PROJECT)
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "good")
    for mutation in (MOVED, BROKEN, MENDED, CULPRIT):
        path = tree / "guest" / mutation.file
        path.write_text(mutation.apply(path.read_text()))
        git("commit", "-qam", mutation.name)
    hunt = lab.cwd / "hunt.sh"
    hunt.write_text(f"""#!/bin/sh
[ -f build/build.ninja ] || meson setup build || exit 125
ninja -C build || exit 125
{root}/launch/bootsonde replay --bisect {lab.cwd}/clocks.baseline --kernel build/guest/clockguest
""")
    hunt.chmod(0o755)
    lab.command(lab.words("record", "--functions", FUNCTIONS, "--append", "guest.i8254=1", "--console", "text", "-o",
                          "clocks.baseline")).expect(0)
    git("bisect", "start", "HEAD", "HEAD~4")
    done = lab.command(["git", "-C", str(tree), "bisect", "run", str(hunt)], deadline=120).expect(0)
    culprit = git("log", "--format=%H", "--grep=culprit", "-1").strip()
    assert f"{culprit} is the first bad commit" in done.out
