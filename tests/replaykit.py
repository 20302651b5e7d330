"""Baselines of the reference guest, and bootsonde's verbs about them. The fixture `baselines` opens a room for them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from labkit import Done, Lab, wait_for

#: A guest that comes to login by itself; one that goes another way, without its LAPIC's calibration.
BOOTS = "guest.i8254=1"
OTHER = "guest.i8254=1 guest.lapic_calibration=0"


@dataclass
class Baselines:
    """A lab with temporary files of its own."""

    lab: Lab
    recorded: str

    @property
    def folder(self) -> Path:
        return self.lab.cwd

    @property
    def temporary(self) -> Path:
        return self.lab.runtime / "tmp"

    def put(self, name: str = "boot", *changes: tuple[str, str]) -> Path:
        """The recorded baseline under this name, with texts replaced by others."""
        text = self.recorded
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = self.folder / f"{name}.baseline"
        path.write_text(text)
        return path

    def other(self, name: str) -> Path:
        """A baseline from which its own boot differs."""
        return self.put(name, (f"append = {BOOTS}\n", f"append = {OTHER}\n"))

    def record(self, *words: str | Path) -> Done:
        return self.lab.command(self.lab.words("record", *words))

    def replay(self, *words: str | Path, **environment: str) -> Done:
        return self.lab.command(self.lab.words("replay", *words), **environment)

    def pytest(self, *words: str | Path) -> Done:
        """pytest with the plugin, without this checkout's own settings."""
        return self.lab.command([sys.executable, "-P", "-m", "pytest", "-c", "/dev/null", "--rootdir", str(self.folder),
                                 "-p", "bootsonde.pytest_plugin", *map(str, words)],
                                PYTHONPATH=str(self.lab.root / "gdb"))

    def wait_until_it_runs(self) -> None:
        """The guest of a verb under way has said something."""
        wait_for("the guest's console", lambda: any(
            path.stat().st_size for path in self.temporary.glob("bootsonde-*/**/console")))

    def expect_nothing_left(self) -> None:
        """No process, no run, no temporary file but pytest's own."""
        self.lab.expect_nothing_left()
        assert list(self.temporary.glob("bootsonde-*")) == []
