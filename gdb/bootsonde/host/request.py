"""What one run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple


@dataclass
class RunRequest:
    """One run. kernel: what boots; symbols: where names are looked up; options: the launcher's, as words.

    attach: the stub of a guest that somebody else has started; it is left running. timeout_s: for the whole run.
    """

    scenario: str
    kernel: str
    symbols: str
    disk: Optional[str] = None
    options: List[str] = field(default_factory=list)
    qemu_args: List[str] = field(default_factory=list)
    attach: Optional[str] = None
    trace: Optional[str] = None
    until: List[str] = field(default_factory=list)
    settings: Dict[str, str] = field(default_factory=dict)
    timeout_s: float = 120.0
    source_map: List[Tuple[str, str]] = field(default_factory=list)
    console: Optional[str] = None
    echo_console: bool = False
    prompt: bool = False
    symbols_at_prompt: bool = True
