"""Runs of bootsonde: each in a folder of its own, with all its processes in sight. The fixture `lab` opens one."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bootsonde.model.trace import Trace, TraceReader, read_trace

#: No command of these tests takes longer, seconds.
DEADLINE = 40.0

#: A scenario that watches one early function and has no end condition of its own.
WATCH = 'scenario.at(Functions("tsc_init"))'


def wait_for(what: str, true: Callable[[], object], seconds: float = 15.0) -> None:
    """Poll until `true()`; a test that waits in vain fails with `what`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.02)


@dataclass
class Done:
    """A command that has ended. `seconds`: how long it took."""

    status: int
    out: str
    err: str
    seconds: float

    def __str__(self) -> str:
        return f"status {self.status} after {self.seconds:.1f} s\n--- out\n{self.out}--- err\n{self.err}"

    def expect(self, status: int) -> Done:
        """Fails with all that was said if the status is another."""
        assert self.status == status, str(self)
        return self


@dataclass
class Lab:
    """One test's room: cwd is the folder for scenarios and traces, runtime the one for run state.

    Every process that descends from here carries runtime's path in its environment, by which `processes` finds it.
    """

    root: Path
    build: Path
    cwd: Path
    runtime: Path
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        dropped = ("BOOTSONDE_KERNEL", "BOOTSONDE_GUEST", "BOOTSONDE_SESSION", "PYTHONPATH")
        self.environment = {key: value for key, value in os.environ.items() if key not in dropped}
        self.environment.update(XDG_RUNTIME_DIR=str(self.runtime), BOOTSONDE_BUILD=str(self.build),
                                TERM="xterm", LC_ALL="C.UTF-8")

    @property
    def guests(self) -> Path:
        """The folder with state files and the runs' private folders."""
        return self.runtime / "bootsonde"

    @property
    def kernel(self) -> Path:
        """The reference guest."""
        return self.build / "guest" / "clockguest"

    def stock(self, name: str) -> Path:
        """A scenario of the project's."""
        return self.root / "scenarios" / f"{name}.py"

    def scenario(self, name: str, *lines: str) -> Path:
        """Write a scenario; imports and start() are put around the lines."""
        path = self.cwd / f"{name}.py"
        path.write_text("\n".join([f"import sys; sys.path.insert(0, {str(self.root / 'gdb')!r})",
                                   "from bootsonde import Check, Functions, Insn, Scenario", "scenario = Scenario('')",
                                   *lines, "scenario.start()", ""]))
        return path

    def words(self, verb: str, *words: str | Path) -> list[str]:
        return [str(self.root / "launch" / "bootsonde"), verb, *map(str, words)]

    def command(self, command: list[str], deadline: float = DEADLINE, **environment: str) -> Done:
        """Any command to its end; `deadline`: s."""
        began = time.monotonic()
        done = subprocess.run(command, cwd=self.cwd, env={**self.environment, **environment}, text=True,
                              errors="replace", capture_output=True, stdin=subprocess.DEVNULL, timeout=deadline,
                              check=False)
        return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    def run(self, *words: str | Path, **environment: str) -> Done:
        """`bootsonde run` to its end."""
        return self.command(self.words("run", *words), **environment)

    @contextlib.contextmanager
    def running(self, *words: str | Path, verb: str = "run") -> Iterator[subprocess.Popen[str]]:
        """bootsonde in a process group of its own, as a shell starts it."""
        with subprocess.Popen(self.words(verb, *words), cwd=self.cwd, env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              start_new_session=True) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    @contextlib.contextmanager
    def waiting(self, *words: str | Path, name: str = "waiting") -> Iterator[subprocess.Popen[str]]:
        """A guest of the launcher's that waits for a debugger on a private socket."""
        kernel = () if "--kernel" in words else ("--kernel", self.kernel)
        command = [self.root / "launch" / "microvm_debug.sh", "--name", name, "--stub",
                   f"unix:{self.runtime / name}", *kernel, *words]
        with subprocess.Popen(list(map(str, command)), cwd=self.cwd, env=self.environment, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                wait_for(f"{name}'s stub", (self.runtime / name).is_socket)
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                    try:
                        process.wait(10)
                    except subprocess.TimeoutExpired:
                        process.kill()

    def console(self, name: str) -> str:
        """The console log of a launcher's guest."""
        path = self.guests / f"{name}.console"
        return path.read_text(errors="replace") if path.exists() else ""

    def trace(self, name: str) -> Trace:
        """The trace that a run of scenario `name` left."""
        return self.read(f"{name}.trace.jsonl")

    def read(self, file: str) -> Trace:
        """A trace of either form in this folder."""
        with (self.cwd / file).open("rb") as stream:
            return read_trace(stream, file)

    def counted(self, file: str) -> Counter[str]:
        """How often functions were entered, by a trace that only counted."""
        with (self.cwd / file).open("rb") as stream:
            reader = TraceReader(stream, file)
            assert reader.blocks is not None
            counts: Counter[str] = Counter()
            for record in reader.blocks.counts():
                counts[record["function"]] += record["count"]
            return counts

    def processes(self) -> dict[int, str]:
        """Living processes that descend from this test: pid and command line."""
        def ps(option: str) -> dict[int, list[str]]:
            shown = subprocess.run(["ps", option, "-o", "pid=,stat=,args="], capture_output=True, text=True,
                                   errors="replace", timeout=10, check=True).stdout
            return {int(pid): rest for pid, *rest in (line.split(None, 2) for line in shown.splitlines())}

        marker = f"XDG_RUNTIME_DIR={self.runtime} "
        marked = [pid for pid, (_, command) in ps("axeww").items() if marker in f"{command} "]
        return {pid: command for pid, (state, command) in ps("axww").items()
                if pid in marked and not state.startswith("Z")}

    def pid(self, *words: str) -> int:
        """Wait for the one process whose program is words[0] and whose command line contains the others."""
        found: list[int] = []

        def look() -> bool:
            found[:] = [pid for pid, command in self.processes().items()
                        if os.path.basename(command.split(" ", 1)[0]).startswith(words[0])
                        and all(word in command for word in words[1:])]
            return len(found) == 1

        wait_for(f"a process {words}", look)
        return found[0]

    def expect_nothing_left(self, seconds: float = 3.0) -> None:
        """No process of the test's lives, and no run has left its folder or its state file."""
        deadline = time.monotonic() + seconds
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert self.processes() == {}
        assert list(self.guests.glob("run-*")) == []

    def close(self) -> None:
        """End what a failed test left."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.runtime, ignore_errors=True)


@contextlib.contextmanager
def open_lab(root: Path, build: Path, cwd: Path) -> Iterator[Lab]:
    """A Lab with a run folder whose socket paths stay short."""
    lab = Lab(root, build, cwd, Path(tempfile.mkdtemp(prefix="bs", dir="/tmp")))
    try:
        yield lab
    finally:
        lab.close()
