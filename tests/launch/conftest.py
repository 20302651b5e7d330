"""A guest of a few instructions, a private run folder, and ways to start the launcher."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def wait_for(what: str, true: Callable[[], object], seconds: float = 10.0) -> None:
    """Poll until `true()`; a test that waits in vain fails with `what`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Is there a process of that number (a zombie is none)?"""
    ps = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return ps.stdout.strip() != "" and not ps.stdout.startswith("Z")


@dataclass
class Launcher:
    """launch/microvm_debug.sh with a run folder of its own."""

    script: Path
    base: Path
    environment: dict[str, str]
    shell: tuple[str, ...] = ()
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.base / "bootsonde"

    def command(self, *arguments: str | Path) -> list[str]:
        return [*self.shell, str(self.script), *map(str, arguments)]

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """To the end: for --dry-run and for what is refused."""
        return subprocess.run(self.command(*arguments), env={**self.environment, **environment}, text=True, timeout=20,
                              capture_output=True, stdin=subprocess.DEVNULL, check=False)

    def qemu(self, *arguments: str | Path) -> list[str]:
        """QEMU's arguments as --dry-run prints them, read back by a shell's rules."""
        done = self.run("--dry-run", *arguments)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert done.stdout.count("\n") == 1
        return shlex.split(done.stdout)

    def refused(self, status: int, *arguments: str | Path, **environment: str) -> str:
        """The one line that says why, without its line end."""
        done = self.run(*arguments, **environment)
        assert done.returncode == status, done
        assert done.stdout == ""
        assert done.stderr.startswith("microvm_debug.sh: ") and done.stderr.count("\n") == 1, done.stderr
        return done.stderr.rstrip("\n")

    def state(self, name: str) -> dict[str, str]:
        """The state file of a guest; empty when there is none yet."""
        path = self.folder / f"{name}.state"
        if not path.exists():
            return {}
        return dict(line.split("=", 1) for line in path.read_text().splitlines())

    def console(self, name: str) -> str:
        path = self.folder / f"{name}.console"
        return path.read_text(errors="replace") if path.exists() else ""

    @contextlib.contextmanager
    def start(self, name: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
        """A running guest; ended on the way out, whatever happened."""
        with subprocess.Popen(self.command("--name", name, *arguments), env=self.environment, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                wait_for(f"{name}'s state file", lambda: self.state(name) or process.poll() is not None)
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                    try:
                        process.wait(10)
                    except subprocess.TimeoutExpired:
                        process.kill()


@pytest.fixture
def launcher(root: Path, tmp_path: Path) -> Launcher:
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    return Launcher(root / "launch" / "microvm_debug.sh", tmp_path, environment)


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kernel that prints `login: ` and echoes; see echo.S."""
    kernel = tmp_path_factory.mktemp("echo") / "echo"
    subprocess.run(["gcc", "-m32", "-ffreestanding", "-nostdlib", "-static", "-no-pie",
                    "-Wl,-Ttext=0x100000,-e,start,--build-id=none,-z,noexecstack", "-o", kernel, HERE / "echo.S"],
                   check=True, timeout=20)
    return kernel
