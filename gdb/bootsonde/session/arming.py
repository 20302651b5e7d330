"""When and where the overlay's breakpoints are set: each one in QEMU's list costs a boot of 50 ms a millisecond, hit or
not."""

from __future__ import annotations

from typing import Any, List, Mapping, Set

from bootsonde.model.place import Site
from bootsonde.session.overlay import Overlay
from bootsonde.session.plan import Planned
from bootsonde.session.points import Armed

#: So many breakpoints cost less than the stop at which they would be set later on.
FEW = 8


class Arming:
    """One session's. `info`: cprobe's.

    load_addresses: where sites are armed beside their link addresses; whose code may be that of another kernel, or of
    what unpacks one. due: breakpoints that are to be set at this stop.
    """

    def __init__(self, overlay: Overlay, info: Mapping[str, Any]) -> None:
        self._overlay = overlay
        self._info = info
        self.load_addresses: Set[int] = set()
        self.due: List[Armed] = []
        self._later: List[Armed] = []
        self._followers: List[Armed] = []

    def narrow(self, planned: List[Planned]) -> List[Armed]:
        """Leave only the sites where the overlay may have to act, in both places where their code may run; returns
        those that are to be set now.

        What follows the clock's first leaf is not set at load addresses until that was asked for there, and wrmsr, if
        there are many, not until the kernel has been told that there is a clock.
        """
        now = []
        for each in planned:
            if not each.rule.overlays:
                continue
            each.armed = [armed for armed in each.armed if self._overlay.concerns(armed.site)]
            follow = [armed for armed in each.armed if self._overlay.follows(armed.site)]
            late = each.rule.overlays == "msr" and self._overlay.defers_writes and len(each.armed) > FEW
            if each.rule.overlays == "msr":
                self._later = list(each.armed) if late else []
            self._followers += follow
            each.armed += self._aliases([armed for armed in each.armed if armed not in follow])
            now += [] if late else each.armed
        return now

    def _aliases(self, armed: List[Armed]) -> List[Armed]:
        aliases = self._overlay.aliases(armed, self._info)
        self.load_addresses.update(each.site.address for each in aliases)
        return aliases

    def answered(self, site: Site) -> None:
        """The overlay has acted there: what is `due` then."""
        if self._overlay.take_announcement():
            self.due, self._later = self._later, []
        if site.address in self.load_addresses:
            self.due += self._aliases(self._followers)
            self._followers = []
