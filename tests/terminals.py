"""What a person has before them: a GDB in a pty, and the launcher at a terminal of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pexpect

from labkit import Lab, wait_for

PROMPT = "(gdb) "


class Gdb:
    """GDB in a pty, driven by what a person types."""

    def __init__(self, lab: Lab, *options: str, **environment: str) -> None:
        home = lab.cwd / "home"
        home.mkdir(exist_ok=True)
        self.terminal = pexpect.spawn(
            lab.environment.get("GDB") or "gdb", ["-q", *options], cwd=str(lab.cwd), timeout=30, encoding="utf-8",
            dimensions=(60, 250), echo=False,
            env={**lab.environment, "TERM": "dumb", "HOME": str(home), "DEBUGINFOD_URLS": "", **environment})
        self.terminal.expect_exact(PROMPT)
        self.type("set confirm off")

    def start(self, line: str) -> None:
        """Type a line whose command does not come back by itself."""
        self.terminal.sendline(line)

    def wait(self) -> str:
        """Wait for the prompt; what was printed before it."""
        self.terminal.expect_exact(PROMPT)
        return str(self.terminal.before).replace("\r\n", "\n")

    def type(self, line: str) -> str:
        """Type a line; what GDB answered."""
        self.start(line)
        return self.wait()

    def expect(self, text: str) -> None:
        self.terminal.expect_exact(text)

    def interrupt(self) -> str:
        """Ctrl-C; what was printed up to the prompt."""
        self.terminal.sendintr()
        return self.wait()

    def quit(self) -> None:
        self.terminal.sendline("quit")
        self.terminal.expect(pexpect.EOF)


@contextlib.contextmanager
def gdb(lab: Lab, *options: str, **environment: str) -> Iterator[Gdb]:
    """A GDB that is gone afterwards."""
    opened = Gdb(lab, *options, **environment)
    try:
        yield opened
    finally:
        opened.terminal.close(force=True)


@contextlib.contextmanager
def launcher(lab: Lab, *words: str | Path, name: str = "tty", kernel: Path | None = None
             ) -> Iterator[pexpect.spawn[str]]:
    """The launcher at a terminal of its own, with a guest that waits."""
    command = [str(lab.root / "launch" / "microvm_debug.sh"), "--name", name, "--stub",
               f"unix:{lab.runtime / name}", *map(str, words), str(kernel or lab.kernel)]
    terminal = pexpect.spawn(command[0], command[1:], cwd=str(lab.cwd), env=lab.environment, timeout=30,
                             encoding="utf-8", dimensions=(50, 200))
    try:
        terminal.expect_exact("Ctrl-C goes to the guest, Ctrl-A X ends it")
        wait_for(f"{name}'s stub", (lab.runtime / name).is_socket)
        yield terminal
    finally:
        terminal.close(force=True)
        wait_for("the end of the launcher's guest", lambda: not any(
            f"-name {name} " in command for command in lab.processes().values()))


def end_guest(terminal: pexpect.spawn[str]) -> None:
    """Ctrl-A X in the launcher's terminal."""
    terminal.send("\x01x")
    terminal.expect(pexpect.EOF)
