"""QEMU's monitor, as little of it as a run needs: the version, why the guest ended, quitting.

Protocol: one JSON object a line; a greeting, then qmp_capabilities (QEMU, docs/interop/qmp-spec).
"""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any, Callable, Dict, Optional


class Qmp:
    """A connection to the monitor's socket. Ends quietly with QEMU; a thread keeps the reason of a SHUTDOWN event."""

    def __init__(self, path: str, deadline: float, has_ended: Callable[[], bool]) -> None:
        """Connect, trying until time.monotonic() is `deadline`, or QEMU has ended.

        Raises OSError if the monitor does not answer.
        """
        while True:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self._socket.connect(path)
                break
            except OSError:
                self._socket.close()
                if time.monotonic() >= deadline or has_ended():
                    raise
                time.sleep(0.005)
        self._socket.settimeout(max(0.1, deadline - time.monotonic()))
        self._file = self._socket.makefile("rb")
        greeting = json.loads(self._file.readline() or b"{}")
        if "QMP" not in greeting:
            raise OSError(f"{path}: no monitor's greeting")
        version = greeting["QMP"]["version"]
        numbers = version["qemu"]
        #: QEMU's version, such as 7.2.22, and the package it came in, if it says so.
        self.version = f"{numbers['major']}.{numbers['minor']}.{numbers['micro']}"
        #: The reason of QEMU's SHUTDOWN event: guest-reset, guest-shutdown, host-signal ...; None if there was none.
        self.shutdown: Optional[str] = None
        self._answers: Dict[int, Any] = {}
        self._answered = threading.Condition()
        self._last = 0
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._read, name="bootsonde-qmp", daemon=True)
        self._thread.start()
        self.execute("qmp_capabilities")

    def _read(self) -> None:
        try:
            for line in self._file:
                message = json.loads(line)
                if message.get("event") == "SHUTDOWN":
                    self.shutdown = message.get("data", {}).get("reason")
                with self._answered:
                    if "id" in message:
                        self._answers[message["id"]] = message.get("return")
                    self._answered.notify_all()
        except (OSError, ValueError):
            pass
        finally:
            with self._answered:
                self._answers[-1] = None
                self._answered.notify_all()

    def execute(self, command: str, arguments: Optional[Dict[str, Any]] = None, timeout: float = 2.0) -> Any:
        """A command's answer; None if QEMU has gone or does not answer in time."""
        with self._answered:
            self._last += 1
            number = self._last
            try:
                request = {"execute": command, "arguments": arguments or {}, "id": number}
                self._socket.sendall(json.dumps(request).encode())
            except OSError:
                return None
            self._answered.wait_for(lambda: number in self._answers or -1 in self._answers, timeout)
            return self._answers.pop(number, None)

    def wait_closed(self, timeout: float) -> None:
        """Wait until QEMU has closed its end, so that `shutdown` is known."""
        self._thread.join(timeout)

    def close(self) -> None:
        """Hang up."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join(1.0)
        self._file.close()
        self._socket.close()
