"""Boots the reference guest directly under QEMU, with a deadline; nothing of bootsonde's own code takes part.

$QEMU names the emulator (default: qemu-system-x86_64).
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Callable

import pytest

QEMU = os.environ.get("QEMU", "qemu-system-x86_64")
DEADLINE = 20.0  # seconds; a boot takes less than one
PASSED, FAILED = 33, 35  # QEMU's status after debug-exit 0x10, 0x11
KVM_CPU = "max,-arch-capabilities"


@dataclass
class Outcome:
    """How a boot ended. status None: it was still running at the deadline, and was killed."""

    command: list[str]
    status: int | None
    console: str

    @property
    def lines(self) -> list[str]:
        return self.console.split("\n")

    def __str__(self) -> str:
        return f"status {self.status} of {' '.join(self.command)}\n{self.console}"


def qemu_command(kernel: Path, append: str, smp: int, accel: str, cpu: str, options: tuple[str, ...]) -> list[str]:
    return [
        QEMU, "-M", "microvm,acpi=off", "-accel", accel, "-cpu", cpu, "-m", "256", "-smp", str(smp),
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", str(kernel), "-append", append, *options,
    ]


class Guest:
    """A running guest and its console; leaving the context kills what is left of it."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.console = ""
        self.read_up_to = 0  # where read_until looks from: behind what it found last
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, bufsize=0)

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def read_until(self, text: str | None, seconds: float = DEADLINE) -> bool:
        """Reads the console until text comes, behind the text found last, or QEMU ends (text None). False: neither."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while text is None or text not in self.console[self.read_up_to:]:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return False
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return text is None
            self.console += data.decode("ascii", "replace").replace("\r", "")
        self.read_up_to = self.console.index(text, self.read_up_to) + len(text)
        return True

    def type(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode("ascii"))

    def outcome(self, seconds: float = DEADLINE) -> Outcome:
        """Waits for QEMU's end."""
        ended = self.read_until(None, seconds)
        status = self.process.wait(seconds) if ended else None
        return Outcome(self.command, status, self.console)


Start = Callable[..., Guest]
Boot = Callable[..., Outcome]


@pytest.fixture(scope="session")
def start(guest: Path) -> Start:
    """start(append="", smp=2, accel="tcg", cpu="max", options=()) -> Guest, a context manager."""
    if shutil.which(QEMU) is None:
        pytest.skip(f"no {QEMU}")

    def run(append: str = "", smp: int = 2, accel: str = "tcg", cpu: str = "max",
            options: tuple[str, ...] = ()) -> Guest:
        return Guest(qemu_command(guest, append, smp, accel, cpu, options))
    return run


@pytest.fixture(scope="session")
def boot(start: Start) -> Boot:
    """The same, run to its end or to the deadline: boot(..., seconds=DEADLINE) -> Outcome."""
    def run(append: str = "", seconds: float = DEADLINE, **options: object) -> Outcome:
        with start(append, **options) as running:
            return running.outcome(seconds)
    return run


@pytest.fixture(scope="session")
def kvm(start: Start) -> None:
    """Skips where a guest does not boot under KVM: no device, no right to it, or a CPU model it refuses."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no access to /dev/kvm")
    with start("guest.fault=exit", smp=1, accel="kvm", cpu=KVM_CPU) as running:
        outcome = running.outcome()
    if outcome.status != PASSED:
        pytest.skip(f"KVM does not run a guest here: QEMU's status {outcome.status}")
