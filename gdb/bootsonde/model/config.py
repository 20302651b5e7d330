"""What the host tells the session, and the settings file ./bootsonde.conf.

The host writes a SessionConfig as JSON and names the file in $BOOTSONDE_SESSION; a GDB without that variable is
somebody's own, and interactive.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from bootsonde.model.errors import UserError

#: Environment variable with the path of the SessionConfig.
SESSION_VARIABLE = "BOOTSONDE_SESSION"
#: That with words NAME=VALUE, quoted as for a shell; `bootsonde run --set` comes through it.
SET_VARIABLE = "BOOTSONDE_SET"


@dataclass
class SessionConfig:
    """Everything a session needs to know about its run.

    stub: address of the guest's stub. kernel: what was booted. symbols: the ELF in which names are looked up.
    headless: GDB has no person at its prompt. output: the descriptor for lines that the user reads; echo_console: the
    guest's console lines are among them. deadline_s: seconds from the session's start, None for a human's own pace.
    console: the guest's console log. exit_file: where the host puts {"status", "shutdown"} once QEMU has ended.
    result_file: where the session puts its verdict. owned: the guest was started for this run and ends with it.
    trace_header: kernel and qemu as in a trace. source_map: (from, to) prefixes of source paths.
    icount: the guest's clock counts instructions, and its TSC ns.
    """

    stub: str
    kernel: str
    symbols: str
    cprobe: str
    headless: bool = True
    echo_console: bool = False
    output: int = 1
    owned: bool = True
    deadline_s: Optional[float] = None
    trace: Optional[str] = None
    console: Optional[str] = None
    exit_file: Optional[str] = None
    result_file: Optional[str] = None
    until: List[str] = field(default_factory=list)
    trace_header: Dict[str, Any] = field(default_factory=dict)
    source_map: List[Tuple[str, str]] = field(default_factory=list)
    symbols_at_prompt: bool = True
    icount: bool = False

    def save(self, path: str) -> None:
        """Write the file, readable by its owner only."""
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)

    @classmethod
    def load(cls, path: str) -> SessionConfig:
        """Inverse of save."""
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
        values["source_map"] = [(a, b) for a, b in values["source_map"]]
        return cls(**values)


#: The keys of bootsonde.conf; each stands for the option of the same name.
CONF_KEYS = ("kernel", "symbols", "disk", "append", "memory", "smp", "cpu", "machine", "accel", "source")


def read_conf(path: str) -> Dict[str, str]:
    """./bootsonde.conf: lines `key = value`, comments with #. Empty if there is no such file.

    A relative `kernel`, `symbols` or `disk` is meant from the file's folder. Raises UserError with file and line.
    """
    values: Dict[str, str] = {}
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return values
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or key not in CONF_KEYS:
            raise UserError(f"{path}:{number}: expected KEY = VALUE with one of {', '.join(CONF_KEYS)}")
        if key in ("kernel", "symbols", "disk"):
            value = os.path.join(os.path.dirname(os.path.abspath(path)), os.path.expanduser(value))
        values[key] = value
    return values
