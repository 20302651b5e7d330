"""A guest for one run: QEMU, started by the launcher with private sockets, ended with the run."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import threading
import time
from types import TracebackType
from typing import List, Optional, Sequence, Type

from bootsonde import places
from bootsonde.host.qmp import Qmp
from bootsonde.host.report import file_text
from bootsonde.model.guests import private_folder, run_folder

#: How long QEMU may take to open its monitor, and to end when asked; seconds.
START_S, END_S = 20.0, 3.0


class LaunchError(Exception):
    """The launcher or QEMU ended before the guest could be attached to. `status` is its exit status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Guest:
    """A context manager. Inside it QEMU waits at its first instruction, or has ended; after it nothing is left.

    folder: private, 0700, holds sockets and logs. stub, console: paths in it.
    """

    def __init__(self, kernel: str, disk: Optional[str], options: Sequence[str], qemu_args: Sequence[str], *,
                 console: Optional[str] = None) -> None:
        """options: the launcher's, without those that this class sets. console: where the log goes, if it is kept."""
        self._words = [*options, "--kernel", kernel, *(["--disk", disk] if disk else [])]
        self._qemu_args = list(qemu_args)
        self.folder = ""
        self._console = console
        self.qmp: Optional[Qmp] = None
        self.status: Optional[int] = None
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._guard: Optional[subprocess.Popen[bytes]] = None
        self._ended = threading.Event()

    def __enter__(self) -> Guest:
        self.folder = private_folder()
        self.stub = os.path.join(self.folder, "gdb")
        self.console = self._console or os.path.join(self.folder, "console")
        self.log = os.path.join(self.folder, "qemu.log")
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _command(self, *extra: str) -> List[str]:
        name = os.path.basename(self.folder)
        words = [places.shared_file("launch", "microvm_debug.sh"), "--name", name, "--stub", f"unix:{self.stub}",
                 "--qmp", os.path.join(self.folder, "qmp"), "--console", self.console, *self._words, *extra]
        return [*words, "--", *self._qemu_args] if self._qemu_args else words

    def _start(self) -> None:
        with open(self.log, "wb") as log:
            # A session of its own: Ctrl-C on the terminal is for the run, not for QEMU.
            self._process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL,
                                             stdout=subprocess.DEVNULL, stderr=log, start_new_session=True)
        self._guard = subprocess.Popen(["/bin/sh", "-c", 'read -r _; kill -TERM "$1" 2>/dev/null', "guard",
                                        str(self._process.pid)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + START_S
        while not os.path.exists(os.path.join(self.folder, "qmp")):
            if self._process.poll() is not None:
                raise LaunchError(self._process.returncode, self.log_text() or "the launcher said nothing")
            if time.monotonic() >= deadline:
                raise LaunchError(3, f"QEMU did not open its monitor within {START_S:.0f} s. {self.log_text()}")
            time.sleep(0.005)
        try:
            self.qmp = Qmp(os.path.join(self.folder, "qmp"), deadline)
        except OSError as error:
            self._process.wait(END_S)
            raise LaunchError(self._process.returncode or 3, self.log_text() or str(error)) from None

    def arguments(self) -> List[str]:
        """QEMU's command line, as the launcher composes it."""
        shown = subprocess.run(self._command("--dry-run"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, check=False)
        return shlex.split(shown.stdout.decode("utf-8", "replace"))

    def log_text(self) -> str:
        """What the launcher and QEMU said on their own, not the guest."""
        return file_text(self.log)

    def poll(self) -> Optional[int]:
        """QEMU's exit status once it has ended; negative for a signal."""
        if self.status is None and self._process is not None:
            self.status = self._process.poll()
        return self.status

    @property
    def shutdown(self) -> Optional[str]:
        """QEMU's reason for having ended, if it gave one."""
        if self.qmp is None:
            return None
        self.qmp.wait_closed(1.0)
        return self.qmp.shutdown

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if self._process is not None and self.poll() is None:
            if self.qmp is not None:
                self.qmp.execute("quit", timeout=1.0)
            else:
                self._process.terminate()
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self.qmp is not None:
            self.qmp.close()
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)
        state = os.path.join(run_folder(), f"{os.path.basename(self.folder)}.state")
        try:
            os.unlink(state)
        except OSError:
            pass
