"""What one run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple


@dataclass
class BootRequest:
    """What boots. symbols: the ELF where names are looked up. options: the launcher's, as words.

    console: where the log is kept, if it is.
    """

    kernel: str
    symbols: str
    disk: Optional[str] = None
    options: List[str] = field(default_factory=list)
    qemu_args: List[str] = field(default_factory=list)
    console: Optional[str] = None

    @property
    def is_deterministic(self) -> bool:
        """Whether the guest's clock counts instructions, so that two boots are alike."""
        return "--icount" in self.options or "--rr" in self.options


@dataclass
class RunRequest:
    """One run of a scenario under GDB.

    attach: the stub of a guest that somebody else has started; it is left running. timeout_s: for the whole run.
    said: a file for what the session tells of hits; None: standard output.
    """

    boot: BootRequest
    scenario: str
    attach: Optional[str] = None
    trace: Optional[str] = None
    until: List[str] = field(default_factory=list)
    settings: Dict[str, str] = field(default_factory=dict)
    timeout_s: float = 120.0
    source_map: List[Tuple[str, str]] = field(default_factory=list)
    echo_console: bool = False
    prompt: bool = False
    symbols_at_prompt: bool = True
    said: Optional[str] = None


@dataclass
class TraceRequest:
    """One boot with the plugin. functions, files: globs; none: all functions. memory: see the plugin's mem=.

    stop_at: a function's name, or an address. scenario: one that GDB runs meanwhile, with its settings. until: none,
    the scenario's own. timeout_s: for the whole run.
    """

    boot: BootRequest
    output: str
    functions: List[str] = field(default_factory=list)
    files: List[str] = field(default_factory=list)
    coverage: bool = False
    arguments: bool = False
    memory: List[str] = field(default_factory=list)
    until: List[str] = field(default_factory=list)
    limit: Optional[int] = None
    stop_at: Optional[str] = None
    scenario: Optional[str] = None
    settings: Dict[str, str] = field(default_factory=dict)
    timeout_s: float = 120.0
    echo_console: bool = False
