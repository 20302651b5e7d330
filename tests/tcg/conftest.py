"""The reference guest under the TCG plugin, without GDB."""

from __future__ import annotations

import io
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from labkit import Done, Lab

from bootsonde.model.trace import Trace, read_trace

#: The tunables with which the guest reaches login by itself and leaves.
LOGIN = "guest.i8254=1 guest.exit=1"


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
        return self.lab.cwd / "plugin.jsonl"

    def list(self, *words: str) -> Path:
        """`cprobe list` of the reference guest, as a file."""
        path = self.lab.cwd / "list"
        with path.open("wb") as file:
            subprocess.run([self.cprobe, "list", self.lab.kernel, *words], stdout=file, check=True, timeout=20)
        return path

    def boot(self, arguments: str, *words: str, **environment: str) -> Done:
        """Run the guest to its end; arguments: the plugin's, after its file."""
        return self.lab.command([str(self.lab.root / "launch" / "microvm_debug.sh"), "--no-wait", "--stub", "none",
                                 "--append", LOGIN, "--plugin", f"{self.file}{arguments}", *words,
                                 str(self.lab.kernel)], **environment)

    def trace(self, path: Path | None = None) -> Trace:
        path = path or self.out
        return read_trace(io.BytesIO(path.read_bytes()), path.name)


@pytest.fixture
def plugin(lab: Lab, cprobe: Path) -> Plugin:
    return Plugin(lab, cprobe)
