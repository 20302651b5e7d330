"""The reference guest under the TCG plugin, without GDB."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fetched import fetched
from labkit import Done, Lab

from bootsonde.model.trace import Trace, TraceReader, read_trace

#: The tunables with which the guest reaches login by itself and leaves.
LOGIN = "guest.i8254=1 guest.exit=1"
#: QEMU's status after the guest has left through debug-exit with all checks passed.
PASSED = 33
#: Files whose functions are called equally often in boots alike, but for a host so busy that a calibration fails.
STEADY = ("tsc.c", "local_apic.c", "kvm_clock.c", "pvclock.c", "subr_bus.c", "mp_machdep.c", "mptable.c", "identcpu.c")
FILES = [word for file in STEADY for word in ("--file", file)]


@dataclass
class Plugin:
    """The plugin, with a list of functions and a place for its trace, in one test's room."""

    lab: Lab
    cprobe: Path

    @property
    def file(self) -> Path:
        return self.lab.build / "cprobe" / "tcg" / "bootsonde-tcg.so"

    @property
    def out(self) -> Path:
        return self.lab.cwd / "plugin.trace"

    def list(self, *words: str) -> Path:
        """`cprobe list` of the reference guest, as a file."""
        path = self.lab.cwd / "list"
        with path.open("wb") as file:
            subprocess.run([self.cprobe, "list", self.lab.kernel, *words], stdout=file, check=True, timeout=20)
        return path

    def boot(self, arguments: str, *words: str, qemu: tuple[str, ...] = (), **environment: str) -> Done:
        """Run the guest to its end; arguments: the plugin's, after its file; qemu: more of QEMU's own."""
        return self.lab.command([str(self.lab.root / "launch" / "microvm_debug.sh"), "--no-wait", "--stub", "none",
                                 "--append", LOGIN, "--plugin", f"{self.file}{arguments}", *words,
                                 str(self.lab.kernel), "--", *qemu], **environment)

    def beside(self, arguments: str) -> tuple[str, ...]:
        """QEMU's own words for a second recording of the same boot: a copy of the file is a plugin of its own."""
        copy = self.lab.cwd / "beside.so"
        shutil.copy(self.file, copy)
        return ("-plugin", f"{copy}{arguments}")

    def all(self, *more: str) -> str:
        """Arguments: every function of the guest into the trace."""
        return ",".join([f",kernel={self.lab.kernel}", "inlined=exclude", f"out={self.out}", *more])

    def trace(self, path: Path | None = None) -> Trace:
        path = path or self.out
        with path.open("rb") as file:
            return read_trace(file, path.name)

    def counts(self, path: Path | None = None) -> list[dict[str, Any]]:
        """The records of mode=counts."""
        path = path or self.out
        with path.open("rb") as file:
            reader = TraceReader(file, path.name)
            assert reader.blocks is not None
            return list(reader.blocks.counts())


def totals(trace: Trace) -> Counter[tuple[str, str]]:
    """Entries by address and name."""
    return Counter((hit["address"], hit["function"]) for hit in trace.of_kind("hit"))


@pytest.fixture
def plugin(lab: Lab, cprobe: Path) -> Plugin:
    return Plugin(lab, cprobe)


def own_qemu() -> str:
    path = shutil.which(os.environ.get("QEMU") or "qemu-system-x86_64")
    if path is None:
        pytest.skip("no qemu-system-x86_64 on this machine")
    return path


@pytest.fixture
def qemu10() -> str:
    return str(fetched("qemu-backports"))


@pytest.fixture(params=["own", "qemu10"])
def either(request: pytest.FixtureRequest, plugin: Plugin) -> Plugin:
    """The plugin in each QEMU."""
    plugin.lab.environment["QEMU"] = str(fetched("qemu-backports")) if request.param == "qemu10" else own_qemu()
    return plugin
