"""Who called, at a stop: model/backtrace.py on the selected vCPU's stack, with names."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

import gdb

from bootsonde.model.backtrace import DEPTH, WINDOW, callers
from bootsonde.model.segments import loaded_segments
from bootsonde.probe import Symbolizer
from bootsonde.session import machine

_PAGE = 4096
#: Bytes of the stack in which the nearest caller's address is looked for.
NEAR = 512


class Callers:
    """Knows the kernel's executable segments. Records of callers are the symbolizer's, with `guess` where it is one."""

    def __init__(self, symbolizer: Symbolizer, info: Mapping[str, Any]) -> None:
        """info: `cprobe info`."""
        self._symbolizer = symbolizer
        self._code = [each for each in loaded_segments(info) if each.is_code]

    def _in_code(self, address: int) -> bool:
        return any(segment.holds(address) for segment in self._code)

    def starts_at(self, address: int) -> Optional[int]:
        """The first address of the function around an address; None where there is no code."""
        if not self._in_code(address):
            return None
        record = self._symbolizer.look_up(address)
        return address - int(record.get("offset", 0)) if record.get("name") not in (None, "?") else None

    @staticmethod
    def _read(address: int, size: int) -> bytes:
        """What of it is mapped, from its beginning."""
        try:
            return machine.read(address, size)
        except gdb.MemoryError:
            pass
        data = b""
        try:
            while size > 0:
                piece = min(size, _PAGE - address % _PAGE)
                data += machine.read(address, piece)
                address, size = address + piece, size - piece
        except gdb.MemoryError:
            pass
        return data

    def nearest(self, place: int) -> Optional[Dict[str, Any]]:
        """Only the innermost, of a function with a small frame: each place of the stack costs questions."""
        return next(iter(self.of(place, 1, NEAR)), None)

    def of(self, place: int, depth: int = DEPTH, window: int = WINDOW) -> List[Dict[str, Any]]:
        """The callers of the function around `place`, in which the selected vCPU is, from the innermost on."""
        found = callers(self.starts_at(place), machine.register("rsp"), machine.register("rbp"), self._read,
                        self.starts_at, depth, window, self._in_code, machine.word_size())
        return [self.described(caller.address) if caller.certain else {**self.described(caller.address), "guess": True}
                for caller in found]

    def described(self, address: int) -> Dict[str, Any]:
        """The record of a return address."""
        # The byte before: a call that does not return may be the last instruction of its function.
        found = self._symbolizer.look_up(address - 1)
        return {"address": f"{address:#x}", "function": self._symbolizer.describe(address - 1, shown=address),
                **{key: found[key] for key in ("file", "line") if found.get(key)}}
