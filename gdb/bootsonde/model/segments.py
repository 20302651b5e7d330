"""The segments of a kernel's file that are loaded, from `cprobe info`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Mapping, Optional

#: A program header's type.
_PT_LOAD = 1


@dataclass(frozen=True)
class Segment:
    """Addresses and sizes in bytes; beyond file_size it is zeroed memory."""

    virtual: int
    physical: int
    offset: int
    file_size: int
    memory_size: int
    is_code: bool

    @property
    def moved(self) -> int:
        """What to add to an address at which it is linked for that at which it is loaded."""
        return self.physical - self.virtual

    def has(self, address: int, size: int = 1) -> bool:
        """Whether these bytes, by where they are linked, come from the file."""
        return 0 <= address - self.virtual <= self.file_size - size

    def holds(self, address: int, size: int = 1) -> bool:
        """The same for bytes that may be zeroed memory."""
        return 0 <= address - self.virtual <= self.memory_size - size


def loaded_segments(info: Mapping[str, Any]) -> List[Segment]:
    """info: `cprobe info`."""
    return [Segment(int(each["vaddr"], 0), int(each["paddr"], 0), int(each["offset"]), int(each["filesz"]),
                    int(each["memsz"]), "x" in each["flags"])
            for each in info.get("segments", ()) if each["type"] == _PT_LOAD]


def load_address(info: Mapping[str, Any], address: int) -> Optional[int]:
    """Where code that is linked at `address` lies in physical memory, and runs before paging; None where that is no
    other address. (A debug file has the kernel's segments without bytes.)"""
    for segment in loaded_segments(info):
        if segment.moved and segment.holds(address):
            return address + segment.moved
    return None


def link_address(info: Mapping[str, Any], pc: int) -> int:
    """Where the code that runs at `pc` is linked: before paging it runs where it is loaded."""
    for segment in loaded_segments(info):
        if pc >> 32 == 0 and segment.holds(pc - segment.moved):
            return pc - segment.moved
    return pc
