"""The guest's console, read from QEMU's log file while the guest runs."""

from __future__ import annotations

import codecs
import re
from typing import List, Optional

#: What terminals act upon and people do not read: CSI and two-character escape sequences, other control characters.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f]")


def printable(text: str) -> str:
    """Text without what a terminal would act upon: the guest is not trusted to write to the user's terminal."""
    return _CONTROL.sub("", text)


class ConsoleLog:
    """Follows a growing file. Lines come whole and once; `partial` is what stands after the last newline."""

    #: No line is longer; a guest that never sends a newline is cut into pieces of this many characters.
    LINE_LIMIT = 4096

    def __init__(self, path: str) -> None:
        self.path = path
        self.partial = ""
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> List[str]:
        """The lines that were completed since the last call. A missing file has none yet."""
        try:
            with open(self.path, "rb") as log:
                log.seek(self._offset)
                data = log.read()
        except OSError:
            return []
        self._offset += len(data)
        *lines, rest = (self.partial + self._decoder.decode(data)).split("\n")
        while len(rest) > self.LINE_LIMIT:
            lines.append(rest[:self.LINE_LIMIT])
            rest = rest[self.LINE_LIMIT:]
        self.partial = rest
        return [printable(line) for line in lines]


def first_with(texts: List[str], line: str) -> Optional[str]:
    """Which of `texts` the line contains."""
    return next((text for text in texts if text in line), None)
