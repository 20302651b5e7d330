"""The connection to the guest's stub: made, checked against the kernel's file, given up."""

from __future__ import annotations

import contextlib
import time
from typing import Any, Mapping, Optional

import gdb

from bootsonde.model.errors import UserError
from bootsonde.model.segments import loaded_segments
from bootsonde.session import machine, symbols

#: EI_OSABI values, at offset 7 of an ELF file, that every GDB for x86-64 handles: System V and GNU/Linux.
_PLAIN_OSABIS = (0, 3)


def _osabi_is_plain() -> bool:
    """Whether the file that GDB has loaded, if any, may be given back its own OSABI.

    GDB 13 ends with an internal error ("Updating OS ABI failed") on `set osabi auto` if it was connected and has a
    file loaded whose OSABI it has no handler for. Of a file that was rebuilt since it was loaded nobody knows it.
    """
    space = gdb.current_progspace()
    if space is None or not space.filename:
        return True
    if symbols.replaced():
        return False
    try:
        with open(space.filename, "rb") as file:
            return file.read(8)[7:8] in (bytes([value]) for value in _PLAIN_OSABIS)
    except OSError:
        return False


#: Bytes compared at the entry point of a kernel that has no build-id.
ENTRY_BYTES = 64


class Connection:
    """At most one a GDB. `ours` says whether this session made it; a connection it found is never ended."""

    def __init__(self) -> None:
        self._settings = contextlib.ExitStack()
        self._osabi: Optional[str] = None
        self.ours = False

    def open(self, target: str, patience_s: float = 0.0) -> None:
        """Connect to a stub, HOST:PORT or a socket's path; a refusal is taken as final after `patience_s`.

        FreeBSD's OSABI has no handler in many GDBs, which then refuse QEMU's registers; and a GDB without an
        architecture cuts addresses to 32 bits while the vCPU is in real mode. Both are set while connected. Breakpoints
        are not taken out at each stop, which with 200 of them takes 3 ms.
        Raises UserError if nobody answers.
        """
        if self._osabi is None:
            self._osabi = str(gdb.parameter("osabi"))
        gdb.execute("set osabi none", to_string=True)
        symbols.suit_frames()
        self._settings.enter_context(machine.settings(architecture="i386:x86-64", breakpoint__always_inserted="on"))
        self.ours = False
        deadline = time.monotonic() + patience_s
        while not self.ours:
            try:
                with machine.settings(tcp__auto_retry="off", suppress_cli_notifications="on"):
                    gdb.execute(f"target remote {target}", to_string=True)
                self.ours = True
            except gdb.error as error:
                if time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                self._restore()
                raise UserError(f"no guest waits at {target} ({str(error).rstrip('.')}): start one in another terminal "
                                "with ./launch/microvm_debug.sh KERNEL") from None
        symbols.note_narrow()

    def alive(self) -> bool:
        """Whether the stub still answers. A dead connection is dropped."""
        if not machine.connected():
            self.ours = False
            self._restore()
            return False
        try:
            gdb.execute("maintenance packet qC", to_string=True)
        except gdb.error:
            self.drop()
            return False
        return machine.connected()

    def _restore(self) -> None:
        """Give the user's GDB its settings back."""
        if symbols.is_narrow():
            # GDB 13 keeps QEMU's description of the registers, and ends with an internal error ("could not select an
            # architecture automatically") when it is to find one for that and for a 32-bit file.
            gdb.execute("unset tdesc filename", to_string=True)
        self._settings.close()
        symbols.restore_frames()
        if self._osabi is not None and _osabi_is_plain():
            gdb.execute(f"set osabi {self._osabi}", to_string=True)
            self._osabi = None

    def drop(self) -> None:
        """Forget a connection whose other end is gone."""
        if machine.connected():
            with contextlib.suppress(gdb.error), machine.settings(confirm="off"):
                gdb.execute("disconnect", to_string=True)
        self.ours = False
        self._restore()

    def close(self, kill: bool) -> None:
        """Leave, whoever has connected: end the guest, or let it run on."""
        if machine.connected():
            with contextlib.suppress(gdb.error), machine.settings(confirm="off"):
                gdb.execute("kill" if kill else "detach", to_string=True)
        self.ours = False
        self._restore()


def _build_id_differs(info: Mapping[str, Any], virtual: bool) -> Optional[bool]:
    build_id = bytes.fromhex(info.get("build_id") or "")
    place = info.get("build_id_address" if virtual else "build_id_paddr")
    if not build_id or place is None:
        return None
    address = int(place, 0)
    try:
        seen = machine.read(address, len(build_id)) if virtual else machine.read_physical(address, len(build_id))
    except gdb.MemoryError:
        return None
    if seen is None or not any(seen):
        return None
    return seen != build_id


def _entry_differs(info: Mapping[str, Any]) -> Optional[bool]:
    entry = int(info["entry"], 0)
    for segment in loaded_segments(info):
        # PVH kernels enter at a physical address, others may give a virtual one; either lies in a segment.
        for base in (segment.virtual, segment.physical):
            size = min(ENTRY_BYTES, base + segment.file_size - entry)
            if base <= entry and size > 0:
                with open(info["file"], "rb") as kernel:
                    kernel.seek(segment.offset + entry - base)
                    wanted = kernel.read(size)
                seen = machine.read_physical(segment.physical + entry - base, size)
                return None if seen is None or not any(seen) else seen != wanted
    return None


def check_identity(info: Mapping[str, Any], virtual: bool = False) -> bool:
    """Compare the guest's memory with the kernel's file; True if it was possible, and they agree.

    info: `cprobe info`. virtual: look at link addresses (a guest that unpacked itself) instead of load addresses.
    False means that the guest has not loaded the kernel yet, or that it cannot be told. Raises UserError if the guest
    runs another kernel.
    """
    differs = _build_id_differs(info, virtual)
    if differs is None and not virtual:
        differs = _entry_differs(info)
    if differs:
        raise UserError(f"the guest does not run {info['file']}: its memory differs at the kernel's "
                        f"{'build-id' if info.get('build_id') else 'entry point'}. Name the kernel that it booted "
                        "(--kernel or --symbols), or start the guest again if you have rebuilt it")
    return differs is False
