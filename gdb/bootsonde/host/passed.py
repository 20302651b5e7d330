"""How often a function was entered before an instruction of a replay: counted by the plugin, at nearly full speed."""

from __future__ import annotations

import os

from bootsonde import places
from bootsonde.host.forward import ReplayLost, go_to
from bootsonde.host.guest import Guest
from bootsonde.host.request import BootRequest
from bootsonde.host.trace import END_S, plugin_value
from bootsonde.model.trace import TraceReader


def entries_before(boot: BootRequest, function: str, count: int, deadline: float) -> int:
    """Entries of a function in the first `count` instructions of a replay of its own. Raises as go_to does."""
    def options(guest: Guest) -> list[str]:
        words = [f"out={plugin_value(_trace(guest))}", f"kernel={plugin_value(boot.symbols)}",
                 f"func={plugin_value(function)}", "inlined=exclude", "mode=counts"]
        return ["--plugin", ",".join([plugin_value(places.tcg_plugin()), *words])]

    with Guest(boot, options, end_s=END_S) as guest:
        if not go_to(guest, count, deadline):
            raise ReplayLost(f"it ended before instruction {count}")
        guest.end()
        with open(_trace(guest), "rb") as stream:
            blocks = TraceReader(stream, "the plugin's trace").blocks
            if blocks is None or blocks.end is None:
                raise ReplayLost("the plugin's trace of it is not whole")
            # The name is a glob to the plugin, which means clones as well.
            return sum(entered["count"] for entered in blocks.counts() if entered["function"] == function)


def _trace(guest: Guest) -> str:
    return os.path.join(guest.folder, "passed.trace")
