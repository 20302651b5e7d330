"""May the guest be changed? Not in a replay: QEMU may then wait for ever for what the recording has not."""

from __future__ import annotations

import gdb

from bootsonde.model.errors import UserError


def replaying() -> bool:
    """Whether the guest is a replay of a recording (the launcher's --rr replay:FILE). A stub without QEMU's monitor has
    none."""
    try:
        return str(gdb.execute("monitor info replay", to_string=True)).startswith("Replaying")
    except gdb.error:
        return False


def check_writable(what: str) -> None:
    """Raises UserError, naming `what` is not done, if the guest must not be written to."""
    if replaying():
        raise UserError(f"{what}: this guest replays a recording, and a write may stall it; start it without "
                        "--rr replay:FILE, or only watch")
