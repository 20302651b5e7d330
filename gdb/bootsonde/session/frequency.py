"""How fast the guest's TSC counts."""

from __future__ import annotations

import subprocess

from bootsonde import places
from bootsonde.model.errors import UserError
from bootsonde.session import machine

#: Seconds that the measuring program may take; it measures for a twentieth of one.
DEADLINE_S = 10.0
_REMEDY = "give the TSC's frequency (--set tsc_hz=HZ), or start the guest with --icount, where it is 1 GHz"


def measure() -> int:
    """Hz, rounded to kHz: the host's, whose counter a guest under TCG without icount sees. Raises UserError."""
    target = machine.target()
    if ":" in target and not target.startswith(("unix:", "127.", "localhost:", "[::1]:", ":")):
        raise UserError(f"the guest at {target} runs on another host, whose TSC cannot be measured from here: "
                        f"{_REMEDY}")
    try:
        done = subprocess.run([places.host_tsc()], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"the TSC cannot be measured ({error}): {_REMEDY}") from None
    if done.returncode:
        raise UserError(f"{done.stderr.strip()}: {_REMEDY}")
    return round(int(done.stdout) / 1000) * 1000
