"""Between GDB and QEMU's stub: steps that end before they have begun, as QEMU's do when the vCPU is kicked then."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

#: A packet of GDB's that steps one vCPU: its thread.
_STEP = re.compile(rb"\$vCont;s:([0-9a-fp.]+)[^#]*#[0-9a-f]{2}")


class ShortSteps:
    """A stub's socket, for one connection. Every other step is answered at once, with nothing executed.

    cut: how many were.
    """

    def __init__(self, stub: Path) -> None:
        """Takes the place of the socket, which goes on under another name."""
        self.cut = 0
        self._cuts = False
        self._stub = stub.with_name(stub.name + ".real")
        stub.rename(self._stub)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(stub))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError), self._listener, socket.socket(socket.AF_UNIX) as stub:
            gdb, _ = self._listener.accept()
            with gdb:
                stub.connect(str(self._stub))
                while True:
                    for source in select.select([gdb, stub], [], [])[0]:
                        data = source.recv(65536)
                        if not data:
                            return
                        if source is stub:
                            gdb.sendall(data)
                        elif not self._cut(data, gdb):
                            stub.sendall(data)

    def _cut(self, data: bytes, gdb: socket.socket) -> bool:
        """Whether that was a step and is answered. GDB sends one in one piece, and waits for the answer."""
        step = _STEP.search(data)
        self._cuts ^= step is not None
        if step is None or not self._cuts:
            return False
        self.cut += 1
        answer = b"T05thread:%s;" % step[1]
        gdb.sendall(b"+$%s#%02x" % (answer, sum(answer) % 256))
        return True

    def close(self) -> None:
        """After GDB has gone; also if it never came."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)


@contextlib.contextmanager
def short_steps(stub: Path) -> Iterator[ShortSteps]:
    """A ShortSteps that is closed."""
    opened = ShortSteps(stub)
    try:
        yield opened
    finally:
        opened.close()
