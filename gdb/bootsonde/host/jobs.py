"""Replays side by side: each in a process of its own, which is forked, so that nothing has to be loaded again."""

from __future__ import annotations

import os
import pickle
import select
import signal
import threading
import time
import traceback
from collections import deque
from typing import Callable, Deque, Dict, Generator, List, Tuple

from bootsonde.host.replaying import Replay, Result, State

#: What a child has to tell: what became of its replay, and the seconds that it took.
Told = Tuple[Result, float]


class _Lifeline:
    """What all children end with: it is cut by their parent, or by its end, however that comes."""

    def __init__(self) -> None:
        self._reads, self._writes = os.pipe()

    def hang_on(self) -> None:
        """In a child: when it is cut, the child is ended as by SIGTERM, so that its guest ends, and its files go."""
        os.close(self._writes)
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        os.read(self._reads, 1)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def cut(self) -> None:
        """In the parent."""
        os.close(self._writes)
        os.close(self._reads)


class _Child:
    """One replay in a process of its own."""

    def __init__(self, asked: Replay, carry_out: Callable[[Replay], Result], lifeline: _Lifeline) -> None:
        self.reads, writes = os.pipe()
        self._bytes = b""
        self._began = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            self._replay(asked, carry_out, lifeline, writes)
        os.close(writes)

    def _replay(self, asked: Replay, carry_out: Callable[[Replay], Result], lifeline: _Lifeline, writes: int) -> None:
        """In the child, which never returns: its parent's exceptions and files are not its own."""
        status = 1
        try:
            lifeline.hang_on()
            told: Told = (carry_out(asked), time.monotonic() - self._began)
            with os.fdopen(writes, "wb") as pipe:
                pickle.dump(told, pipe)
            status = 0
        except KeyboardInterrupt:
            status = 130
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(status)

    def has_ended(self) -> bool:
        """After its pipe had something to read."""
        part = os.read(self.reads, 1 << 16)
        self._bytes += part
        return not part

    def told(self) -> Told:
        """After its end."""
        os.close(self.reads)
        _, status = os.waitpid(self.pid, 0)
        try:
            result, seconds = pickle.loads(self._bytes)
            return result, seconds
        except (EOFError, pickle.UnpicklingError):
            how = f"by signal {status & 0x7f}" if status & 0x7f else f"with status {status >> 8}"
            return Result(State.LOST, f"bootsonde's process for it ended {how}"), time.monotonic() - self._began

    def wait(self) -> None:
        """Until it has cleaned up; what it has to tell is of no interest."""
        os.close(self.reads)
        os.waitpid(self.pid, 0)


def side_by_side(asked: List[Replay], jobs: int, carry_out: Callable[[Replay], Result]
                 ) -> Generator[Tuple[Replay, Told], None, None]:
    """The replays in their order, each as soon as it and those before it have ended, `jobs` at a time.

    Closing the generator, or an exception in it, ends those that run.
    """
    waiting: Deque[int] = deque(range(len(asked)))
    running: Dict[int, Tuple[int, _Child]] = {}  # by the descriptor that it is read from
    ended: Dict[int, Told] = {}
    poll = select.poll()
    lifeline = _Lifeline()
    try:
        for number, one in enumerate(asked):
            while number not in ended:
                while waiting and len(running) < jobs:
                    first = waiting.popleft()
                    child = _Child(asked[first], carry_out, lifeline)
                    running[child.reads] = (first, child)
                    poll.register(child.reads)
                for descriptor, _ in poll.poll():
                    which, child = running[descriptor]
                    if child.has_ended():
                        poll.unregister(descriptor)
                        del running[descriptor]
                        ended[which] = child.told()
            yield one, ended.pop(number)
    finally:
        lifeline.cut()
        for _, child in running.values():
            child.wait()
