"""Guests that differ from the reference guest in one thing that is known, built from its sources."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutation:
    """In `file`, `old` becomes `new`. baseline: of those shipped, the one that is to see it.

    state: what the replay says. said: what stands in its report, each; a function's name where one can be named.
    """

    name: str
    file: str
    old: str
    new: str
    baseline: str
    state: str
    said: tuple[str, ...]

    def apply(self, text: str) -> str:
        assert text.count(self.old) == 1, f"{self.name}: {self.file} has {self.old!r} {text.count(self.old)} times"
        return text.replace(self.old, self.new)


#: How a boot path can go wrong, each in one line of a kernel.
MUTATIONS = (
    Mutation("call-dropped", "init_main.c", "\tstart_TSC();", "\t;", "i8254", "diverged",
             ("  expected  start_TSC", "never now: 1 name", "missing: 2 steps at 2 places")),
    Mutation("calls-swapped", "machdep.c", "\tclock_init();\t\t\t\t/* the i8254, for DELAY and as a reference where "
             "asked for */\n\ttsc_init();\t\t\t\t/* tsc_freq, or 0 */", "\ttsc_init();\n\tclock_init();", "tcg",
             "diverged", ("  expected  clock_init", "  came      tsc_init", "moved: ")),
    Mutation("call-added", "init_main.c", "\tinit_TSC_tc();\t\t\t\t/* the TSC as a timecounter */",
             "\tinit_TSC_tc();\n\ttc_windup();", "i8254", "diverged",
             ("  came      tc_windup", "extra: 1 step at 1 place")),
    Mutation("argument", "kvm_clock.c", "KVM_CLOCK_TC_QUALITY, 0);", "KVM_CLOCK_TC_QUALITY, 1);", "kvmclock",
             "diverged", ("  expected  pvclock_init", "changed values: 1 step", "pvclock_init: tc_flags=0x0 -> 0x1")),
    Mutation("frequency-1-percent", "tsc.c", "tsc_freq = (uint64_t)regs[0] * 1000;",
             "tsc_freq = (uint64_t)regs[0] * 1010;", "kvmclock", "diverged",
             ("  expected  TSC: P-state variant, 1000000000 Hz", "  came      TSC: P-state variant, 1010000000 Hz",
              "changed values: ")),
    Mutation("slower-loop", "mptable.c", "\t\tif (memcmp(mpfps->signature, MPFP_SIGNATURE, 4) != 0)",
             "\t\tfor (volatile int i = 0; i < 200000; i++)\n\t\t\t;\n"
             "\t\tif (memcmp(mpfps->signature, MPFP_SIGNATURE, 4) != 0)", "i8254", "diverged",
             ("slower: ", "mptable_probe: less than ", "the whole boot: ")),
    Mutation("panic", "tsc.c", "\tprintf(\"TSC: P-state", "\tpanic(\"mutant\");\n\tprintf(\"TSC: P-state", "i8254",
             "diverged", ("  both      start_TSC", "  came      panic", "panic: mutant")),
    Mutation("hang", "kern_tc.c", "inittimecounter(void)\n{", "inittimecounter(void)\n{\n\tcpu_halt();", "tsc-injected",
             "timed out", ("  expected  tsc_calibrate", "  came      nothing more", "cpu_halt")),
    Mutation("hang-without-gdb", "kern_tc.c", "inittimecounter(void)\n{", "inittimecounter(void)\n{\n\tcpu_halt();",
             "i8254", "timed out", ("  both      inittimecounter", "  expected  tc_windup", "  came      cpu_halt")),
    Mutation("reset", "tsc.c", "\tprintf(\"TSC: P-state", "\ttriple_fault();\n\tprintf(\"TSC: P-state", "i8254",
             "diverged", ("  both      start_TSC", "  expected  cpu_mp_start", "  came      triple_fault", "reset")),
)

#: A kernel with other addresses and lines, that does the same.
MOVED = Mutation("moved", "machdep.c", "struct pcpu __pcpu[MAXCPU];",
                 "\n\nvolatile char mutant_data[0x5000] = { 1 };\nstruct pcpu __pcpu[MAXCPU];\nvoid mutant(void);\n"
                 "__noinline void\nmutant(void)\n{\n\tfor (int i = 0; i < 100; i++)\n\t\tmutant_data[i]++;\n}\n",
                 "", "equal", ())

PROJECT = "project('mutant', 'c', default_options: ['c_std=gnu11', 'optimization=2', 'debug=true'])\nsubdir('guest')\n"


def sources(folder: Path) -> list[Path]:
    """The guest's."""
    return [path for path in folder.iterdir() if path.is_file()]


class Workshop:
    """A copy of the guest's sources with a build folder; it builds one mutant after the other."""

    def __init__(self, sources: Path, folder: Path) -> None:
        self._sources = sources
        self._tree = folder / "tree"
        self._build = folder / "build"
        self._tree.mkdir()
        shutil.copytree(sources, self._tree / "guest")
        (self._tree / "meson.build").write_text(PROJECT)
        self._command("meson", "setup", str(self._build), str(self._tree))

    @staticmethod
    def _command(*words: str) -> None:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                              stdin=subprocess.DEVNULL, env={**os.environ, "CC": "gcc"})
        assert done.returncode == 0, done.stdout

    def build(self, *mutations: Mutation) -> Path:
        """The guest's stripped file; its debug file lies beside it. The next call replaces both."""
        for source in sources(self._sources):
            text = source.read_text()
            for mutation in mutations:
                text = mutation.apply(text) if mutation.file == source.name else text
            target = self._tree / "guest" / source.name
            if target.read_text() != text:
                target.write_text(text)
        self._command("ninja", "-C", str(self._build))
        return self._build / "guest" / "clockguest"
