"""May the guest be changed? Not while QEMU records or replays it: what GDB writes is in no log, and a replay may then
wait for ever for what the recording has not."""

from __future__ import annotations

import gdb

from bootsonde.model.errors import UserError

#: GDB's settings that keep it from writing by `set var`, `print x = 1`, `call`, `jump`, `return`.
_NO_WRITES = ("set may-write-registers off", "set may-write-memory off")
#: And from asking QEMU to go backwards: it does so from snapshots alone, and hangs.
_NO_WAY_BACK = ("set remote reverse-continue-packet off", "set remote reverse-step-packet off")


def _state() -> str:
    """What QEMU's monitor says; empty where there is none."""
    try:
        return str(gdb.execute("monitor info replay", to_string=True))
    except gdb.error:
        return ""


def check_writable(what: str) -> None:
    """Raises UserError, naming `what` is not done, if the guest must not be written to."""
    state = _state()
    if state.startswith("Replaying"):
        raise UserError(f"{what}: this guest replays a recording, and a write may stall it; start it without "
                        "--rr replay:FILE, or only watch")
    if state.startswith("Recording"):
        raise UserError(f"{what}: this guest is recorded, and what GDB writes is not, so that no replay could follow; "
                        "record it without that, or run it without recording")


def forbid_writes() -> None:
    """Have GDB itself refuse to write to the guest, and to go backwards. GDB takes that only before it connects."""
    for line in (*_NO_WRITES, *_NO_WAY_BACK):
        gdb.execute(line, to_string=True)
