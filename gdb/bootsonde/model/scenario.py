"""A scenario as data: which places to watch, what to do there, and when the run has passed.

    scenario = Scenario(__doc__)
    freq = scenario.setting("tsc_freq", 1_000_000_000, "Hz to inject")
    scenario.at(Functions(file="pvclock.c"))
    scenario.at(Check("TSC not initialized"), if_="tsc_freq == 0").inject(tsc_freq=freq)
    scenario.until("login:")
    scenario.start()

`start` is not here but in bootsonde/start.py: a scenario as data knows nothing of those who run it.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, TypeVar

from bootsonde.model.config import SET_VARIABLE
from bootsonde.model.cpuid_overlay import CpuidOverlay
from bootsonde.model.errors import UserError
from bootsonde.model.kvmclock import KvmClock
from bootsonde.model.msr_overlay import MsrOverlay
from bootsonde.model.place import Data, Place

Value = TypeVar("Value", bool, int, str)

#: What $BOOTSONDE_SET or `bootsonde set` gave, for the next scenario that is loaded.
overrides: Dict[str, str] = dict(
    word.split("=", 1) for word in shlex.split(os.environ.get(SET_VARIABLE, "")) if "=" in word)


@dataclass(frozen=True)
class Memory:
    """`size` bytes at an address, virtual as the vCPU maps it, or physical."""

    address: int
    size: int
    physical: bool = False

    def __str__(self) -> str:
        return f"{'phys' if self.physical else 'mem'}:{self.address:#x}:{self.size}"


@dataclass
class Rule:
    """What to do at a place. Every hit is recorded; the rest is asked for.

    condition: an expression over registers ($rdi), the function's parameters and kernel variables.
    vcpu: only this vCPU's hits count. skip: so many hits are passed over first. limit: after so many hits the
    breakpoint is disabled. They are applied in that order.
    """

    place: Place
    otherwise: Optional[Place] = None
    condition: Optional[str] = None
    vcpu: Optional[int] = None
    skip: int = 0
    limit: Optional[int] = None
    optional: bool = False
    unless: Optional[Place] = None
    stops: bool = True
    name: str = ""
    note: str = ""
    variables: Dict[str, int] = field(default_factory=dict)
    registers: Dict[str, int] = field(default_factory=dict)
    memory: Dict[Memory, int] = field(default_factory=dict)
    return_value: Optional[int] = None
    skipped: Optional[int] = None
    cpuid_leaf: Optional[int] = None
    watches_cpuid: bool = False
    watches_msr: bool = False
    overlays: str = ""
    outcome: Optional[str] = None

    def inject(self, parts: Optional[Mapping[str, int]] = None, **variables: int) -> Rule:
        """Write these kernel variables, by name, in their own size; a value that does not fit is refused at the start.

        parts: by path, as in inject({"timeinfos[0].tsc_shift": -1}).
        """
        self.variables.update(parts or {}, **variables)
        return self

    def set_registers(self, **registers: int) -> Rule:
        """Write these registers of the vCPU that hit, or parts of them, as x86 does: eax clears rax's upper half."""
        self.registers.update(registers)
        return self

    def set_memory(self, address: int, value: int, size: int = 8, physical: bool = False) -> Rule:
        """Write 1, 2, 4 or 8 bytes of memory, little-endian. The run ends where the address is not mapped."""
        self.memory[Memory(address, size, physical)] = value
        return self

    def skips(self, count: int = 1) -> Rule:
        """The vCPU is moved past the place's instruction, such as a call, and the `count` - 1 behind it."""
        self.skipped = count
        return self

    def returns(self, value: int = 0) -> Rule:
        """The function is not run: it returns this at once. Its inlined copies have no return, and run as ever."""
        self.return_value = value
        return self

    def ask_cpuid(self, leaf: int) -> Rule:
        """The place is a cpuid instruction: have it answer `leaf`, step over it and decode the answer."""
        self.cpuid_leaf = leaf
        return self

    def watch_cpuid(self) -> Rule:
        """The place is a cpuid instruction: record which leaf the kernel asks for and what it is told."""
        self.watches_cpuid = True
        return self

    def watch_msr(self) -> Rule:
        """The place is rdmsr or wrmsr: record the register that the kernel reads or writes, the value, and a fault."""
        self.watches_msr = True
        return self

    def passes(self) -> Rule:
        """A hit ends the run: the end condition is reached."""
        self.outcome = "passed"
        return self

    def fails(self) -> Rule:
        """A hit ends the run as failed."""
        self.outcome = "failed"
        return self

    @property
    def changes(self) -> bool:
        """Whether a hit changes the guest."""
        return bool(self.variables or self.registers or self.memory or self.overlays) or \
            self.skipped is not None or self.return_value is not None or self.cpuid_leaf is not None

    @property
    def needs_stop(self) -> bool:
        """Whether the vCPU must stay stopped after the breakpoint, because it has to be stepped."""
        return self.cpuid_leaf is not None or self.watches_cpuid or self.watches_msr


class Scenario:
    """A list of rules, an end condition, and the settings that the user may override."""

    def __init__(self, doc: Optional[str], *, file: Optional[str] = None) -> None:
        """doc: the scenario's docstring. file: its path; by default that of the calling script."""
        self.doc = (doc or "").strip()
        self.file = os.path.abspath(file or str(sys._getframe(1).f_globals.get("__file__", "scenario")))
        self.name = os.path.splitext(os.path.basename(self.file))[0]
        self.rules: List[Rule] = []
        self.end_texts: List[str] = []
        self.settings: Dict[str, str] = {}
        self.cpuid_overlay = CpuidOverlay()
        self.msr_overlay = MsrOverlay()
        self.clock: Optional[KvmClock] = None
        self.detour = True
        self._overrides = dict(overrides)
        self._bad_settings: List[str] = []

    def setting(self, name: str, default: Value, help: str) -> Value:
        """A value that `--set NAME=VALUE` overrides; numbers may be written in hexadecimal, booleans yes or no.

        What cannot be read is reported by `start`, so that a scenario's body need not handle it.
        """
        shown = ("yes" if default else "no") if isinstance(default, bool) else \
            f"{default:#x}" if isinstance(default, int) and default > 0xffff else str(default)
        self.settings[name] = f"{help} (default: {shown})"
        text = self._overrides.pop(name, None)
        if text is None:
            return default
        try:
            if isinstance(default, bool):
                return {"yes": True, "1": True, "on": True, "no": False, "0": False, "off": False}[text.lower()]
            return int(text, 0) if isinstance(default, int) else text
        except (KeyError, ValueError):
            wanted = "yes or no" if isinstance(default, bool) else "a number"
            self._bad_settings.append(f"--set {name}={text}: {self.name} wants {wanted} here: {help}")
            return default

    def at(self, place: Place, *, otherwise: Optional[Place] = None, if_: Optional[str] = None,
           vcpu: Optional[int] = None, skip: int = 0, limit: Optional[int] = None, optional: bool = False,
           unless: Optional[Place] = None, stops: bool = True, name: str = "", note: str = "") -> Rule:
        """Add a rule.

        otherwise: the place to take where this kernel has none of `place`. optional: a kernel without it is not
        worth a word. unless: the rule is for kernels that have none of that place. stops: a person who sources the
        scenario gets the prompt at the first hit; False for what only prepares the way there. name: what the summary
        calls the rule, if not by its place. note: printed with it.
        """
        rule = Rule(place, otherwise, if_, vcpu, skip, limit, optional, unless, stops, name, note)
        self.rules.append(rule)
        return rule

    def watch(self, name: str, *, if_: Optional[str] = None, vcpu: Optional[int] = None, skip: int = 0,
              limit: Optional[int] = None, optional: bool = False, stops: bool = True, note: str = "") -> Rule:
        """Add a rule whose hits are writes that change a kernel variable, or a part of one by its path.

        Each is recorded with the instruction that wrote, who called it, the old value and the new one; `if_` may use
        those as $old and $new. A write through another address of the same memory, as before paging, is not seen.
        """
        return self.at(Data(name), if_=if_, vcpu=vcpu, skip=skip, limit=limit, optional=optional, stops=stops,
                       name=f"writes of {name}", note=note)

    def cpuid(self, *leaves: str) -> None:
        """Answer the kernel's cpuid instructions: "0x40000000: eax = 0x40000010, vendor = KVMKVMKVM",
        "1: ecx |= x2apic", "7.0: ebx &= ~tsc_adjust". What is not named is the processor's own."""
        for leaf in leaves:
            self._collect(lambda: self.cpuid_overlay.add(leaf))

    def msr(self, *registers: str) -> None:
        """Answer the kernel's rdmsr and wrmsr instructions: "IA32_PLATFORM_ID: read = 0", "0xce: fault",
        "0x8b: write swallow", "0x3b: keep"."""
        for register in registers:
            self._collect(lambda: self.msr_overlay.add(register))

    def kvm_clock(self, **settings: Any) -> None:
        """Pretend to be KVM with its clock; settings: the fields of model.kvmclock.KvmClock."""
        def build() -> None:
            self.clock = KvmClock(**settings)
        self._collect(build)

    def leave_code(self) -> None:
        """Not a byte of the guest's code is changed for speed: without a detour GDB is stopped for every leaf that a
        cpuid is asked for, which may double a boot's time."""
        self.detour = False

    def _collect(self, work: Callable[[], None]) -> None:
        """A mistake is reported by `start`, as those of settings are."""
        try:
            work()
        except UserError as error:
            self._bad_settings.append(f"{self.name}: {error}")

    def until(self, text: str) -> None:
        """The run has passed when the console shows `text`."""
        self.end_texts.append(text)

    def check_settings(self) -> None:
        """Raises UserError for a --set that no setting took, listing what there is, or that cannot be read."""
        if self._bad_settings:
            raise UserError("; ".join(self._bad_settings))
        if self._overrides:
            known = "".join(f"\n  {name}: {text}" for name, text in self.settings.items()) or " none"
            names = ", ".join(sorted(self._overrides))
            raise UserError(f"{self.name} has no setting named {names} (bootsonde set NAME= takes one back). "
                            f"It has:{known}")
