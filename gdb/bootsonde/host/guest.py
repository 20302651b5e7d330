"""A guest for one run: QEMU with private sockets, as the launcher composes it, ended with the run.

The launcher is asked once for QEMU's command line, which the trace's header has too; it takes as long as QEMU's start.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import threading
import time
from types import TracebackType
from typing import Callable, List, Optional, Type

from bootsonde import places
from bootsonde.host.qmp import Qmp
from bootsonde.host.report import file_text
from bootsonde.host.request import BootRequest
from bootsonde.model.guests import private_folder
from bootsonde.model.outcome import Outcome

#: How long QEMU may take to open its monitor, and to end when asked; seconds.
START_S, END_S = 20.0, 3.0


class LaunchError(Exception):
    """The launcher or QEMU ended before the guest could be attached to. `status` is its exit status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def outcome(self) -> Outcome:
        """2 and 3 are the launcher's own: what was asked for is wrong, or is not there. Anything else is QEMU's."""
        return Outcome.USAGE if self.status in (2, 3) else Outcome.LOST


class Guest:
    """A context manager. Inside it QEMU waits at its first instruction, or has ended; after it nothing is left.

    folder: private, 0700, holds sockets and logs. stub, console: paths in it. arguments: QEMU's command line.
    """

    def __init__(self, boot: BootRequest, more: Callable[[Guest], List[str]] = lambda guest: [],
                 prepare: Callable[[Guest], None] = lambda guest: None, end_s: float = END_S) -> None:
        """boot.options: without those that this class sets.

        more: options that name the guest's own files, as words. prepare: makes these files. end_s: how long QEMU may
        take to end when asked.
        """
        self._boot = boot
        self._more = more
        self._prepare = prepare
        self._end_s = end_s
        self.folder = ""
        self.arguments: List[str] = []
        self.qmp: Optional[Qmp] = None
        self.status: Optional[int] = None
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._guard: Optional[subprocess.Popen[bytes]] = None
        self._ended = threading.Event()

    def __enter__(self) -> Guest:
        self.folder = private_folder()
        self.stub = os.path.join(self.folder, "gdb")
        self.console = self._boot.console or os.path.join(self.folder, "console")
        self.log = os.path.join(self.folder, "qemu.log")
        self.name = os.path.basename(self.folder)
        try:
            self._start()
        except BaseException as error:
            self.__exit__(None, None, None)
            if isinstance(error, OSError):  # Of its files, for which there is no room.
                raise LaunchError(3, f"{error.filename or self.folder}: {error.strerror}") from None
            raise
        return self

    def _composed(self) -> List[str]:
        """QEMU's command line. Raises LaunchError where the launcher refuses to compose one."""
        words = [places.shared_file("launch", "microvm_debug.sh"), "--name", self.name, "--stub", f"unix:{self.stub}",
                 "--qmp", os.path.join(self.folder, "qmp"), "--console", self.console, *self._boot.options,
                 *self._more(self), "--kernel", self._boot.kernel,
                 *(["--disk", self._boot.disk] if self._boot.disk else []), "--dry-run"]
        words += ["--", *self._boot.qemu_args] if self._boot.qemu_args else []
        shown = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               check=False)
        if shown.returncode:
            raise LaunchError(shown.returncode, shown.stderr.decode("utf-8", "replace").strip())
        return shlex.split(shown.stdout.decode("utf-8", "replace"))

    def _start(self) -> None:
        self.arguments = self._composed()
        self._prepare(self)
        with open(self.log, "wb") as log:
            # A session of its own: Ctrl-C on the terminal is for the run, not for QEMU.
            self._process = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL,
                                             stdout=subprocess.DEVNULL, stderr=log, start_new_session=True)
        self._guard = subprocess.Popen(["/bin/sh", "-c", 'read -r _; kill -TERM "$1" 2>/dev/null', "guard",
                                        str(self._process.pid)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + START_S
        while not os.path.exists(os.path.join(self.folder, "qmp")):
            if self._process.poll() is not None:
                raise LaunchError(self._process.returncode, self.log_text() or "QEMU said nothing")
            if time.monotonic() >= deadline:
                raise LaunchError(3, f"QEMU did not open its monitor within {START_S:.0f} s. {self.log_text()}")
            time.sleep(0.005)
        try:
            self.qmp = Qmp(os.path.join(self.folder, "qmp"), deadline, lambda: self.poll() is not None)
        except OSError as error:
            self._process.wait(END_S)
            raise LaunchError(self._process.returncode or 3, self.log_text() or str(error)) from None

    def log_text(self) -> str:
        """What the launcher and QEMU said on their own, not the guest."""
        return file_text(self.log)

    def poll(self) -> Optional[int]:
        """QEMU's exit status once it has ended; negative for a signal."""
        if self.status is None and self._process is not None:
            self.status = self._process.poll()
        return self.status

    def wait(self) -> Optional[int]:
        """The exit status of a QEMU that is ending; None if it does not."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._process is not None:
                self._process.wait(self._end_s)
        return self.poll()

    @property
    def shutdown(self) -> Optional[str]:
        """QEMU's reason for having ended, if it gave one."""
        if self.qmp is None:
            return None
        self.qmp.wait_closed(1.0)
        return self.qmp.shutdown

    def end(self) -> None:
        """End QEMU, if it has not ended: it is asked first."""
        if self._process is not None and self.poll() is None:
            if self.qmp is not None:
                self.qmp.execute("quit", timeout=1.0)
            else:
                self._process.terminate()
            try:
                self._process.wait(self._end_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.end()
        if self.qmp is not None:
            self.qmp.close()
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)
