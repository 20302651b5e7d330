"""The guest's console, read from QEMU's log file while the guest runs."""

from __future__ import annotations

import codecs
import os
import re
from typing import List, Optional

#: What terminals act upon and people do not read: CSI and two-character escape sequences, other control characters.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Text without what a terminal would act upon: the guest is not trusted to write to the user's terminal."""
    return _CONTROL.sub("", text)


class ConsoleLog:
    """Follows a growing file, from its present end on: what is there already belongs to no run of ours.

    Lines come whole, once, and fit for a terminal; `partial` is what stands after the last newline.
    """

    #: No line is longer; what a guest sends without a newline is cut into pieces of this many characters.
    LINE_LIMIT = 4096
    #: What one read takes at most, bytes; the rest comes with the next.
    READ_LIMIT = 1 << 20

    def __init__(self, path: str) -> None:
        self.path = path
        self._rest = ""
        try:
            self._offset = os.path.getsize(path)
        except OSError:
            self._offset = 0
        #: Whether the guest had printed something before.
        self.began_late = self._offset > 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> List[str]:
        """The lines that were completed since the last call. A missing file has none yet."""
        try:
            with open(self.path, "rb") as log:
                log.seek(self._offset)
                data = log.read(self.READ_LIMIT)
        except OSError:
            return []
        self._offset += len(data)
        *whole, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        lines = [line[at:at + self.LINE_LIMIT] for line in whole for at in range(0, max(len(line), 1), self.LINE_LIMIT)]
        while len(self._rest) > self.LINE_LIMIT:
            lines.append(self._rest[:self.LINE_LIMIT])
            self._rest = self._rest[self.LINE_LIMIT:]
        return [printable(line) for line in lines]

    @property
    def partial(self) -> str:
        """The line that is not complete yet, such as a prompt."""
        return printable(self._rest)


def first_with(texts: List[str], line: str) -> Optional[str]:
    """Which of `texts` the line contains."""
    return next((text for text in texts if text in line), None)
