"""Where the vCPUs are, by QEMU's monitor: for when GDB can no longer be asked."""

from __future__ import annotations

import re
from typing import List, Optional

from bootsonde.host.qmp import Qmp
from bootsonde.model.errors import UserError
from bootsonde.model.outcome import VcpuPlace
from bootsonde.probe import Probe

_PC = re.compile(r"\b[RE]IP=([0-9a-f]+)")


def vcpu_places(qmp: Optional[Qmp], probe: Probe) -> List[VcpuPlace]:
    """Every vCPU's pc and function; empty if QEMU does not answer.

    QMP has no registers; the human monitor's text is the only source.
    """
    text = qmp.execute("human-monitor-command", {"command-line": "info registers -a"}) if qmp else None
    places = []
    for number, found in enumerate(_PC.finditer(text if isinstance(text, str) else "")):
        pc = int(found.group(1), 16)
        try:
            records = probe.ask("symbolize", f"{pc:#x}").records
        except UserError:
            records = []
        name = records[0].get("name") if records else None
        offset = records[0].get("offset", 0) if records else 0
        places.append(VcpuPlace(number, pc, f"{name}+{offset:#x}" if name and name != "?" else ""))
    return places
