"""Answers the kernel's cpuid, rdmsr and wrmsr instructions in its processor's place, where a scenario says so.

What the processor is not needed for is done in Breakpoint.stop(), and the vCPU goes on behind the instruction. The rest
is done at a stop: to have the processor answer first, to fault, to fill in a clock's page.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from dataclasses import replace
from typing import Any, Callable, Dict, List, Mapping, Optional

import gdb

from bootsonde.model import msr
from bootsonde.model.cpuid import CpuidAnswer, highest_of, range_of
from bootsonde.model.cpuid_overlay import RANGES, CpuidOverlay, CpuidPlan
from bootsonde.model.edits import Edit
from bootsonde.model.errors import UserError
from bootsonde.model.kvmclock import FAULTS, FEATURES, RATES, VIRTUAL_EPOCH_NS, Clockwork, KvmClock, Write
from bootsonde.model.msr import MsrAccess
from bootsonde.model.msr_overlay import FAULT, KEEP, MsrOverlay, MsrRule
from bootsonde.model.place import Insn, Site
from bootsonde.model.pvclock import PvclockTime
from bootsonde.model.scenario import Rule
from bootsonde.model.segments import load_address
from bootsonde.session import ask, frequency, machine, ondemand
from bootsonde.session.points import Armed
from bootsonde.session.recorder import Recorder, say

_MASK32 = 0xffffffff
#: What became of a write.
_TAKEN = "taken by the KVM clock"
#: Leaf 1 ECX: a hypervisor is there.
_HYPERVISOR = 1 << 31


def _msr_name(access: str, index: int) -> str:
    return f"{'rdmsr' if access == 'read' else 'wrmsr'} {msr.name_of(index) or hex(index)}"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))


class Overlay:
    """One session's. `recorder` is set before the guest runs."""

    def __init__(self, cpuid: CpuidOverlay, msrs: MsrOverlay, clock: Optional[KvmClock], detour: bool) -> None:
        """detour: the guest's code may be changed for speed, see session/detours.py."""
        self.cpuid = cpuid
        self.detour = detour
        self.msrs = msrs
        self.clock = clock
        self.clockwork: Optional[Clockwork] = None
        self.recorder: Optional[Recorder] = None
        self._kept: Dict[tuple[int, int], int] = {}
        self._answered: Counter[str] = Counter()
        self._observed: Counter[str] = Counter()
        self._limits: Dict[int, int] = {}  # The first leaf of a range -> the processor's highest one, as far as seen.
        self._is_set = False
        self._is_virtual = False    # The TSC counts virtual ns.
        self._is_known = False      # To the kernel: it has been told of the clock's registers.
        self._is_announced = False  # The same, to the session.

    @property
    def wants_cpuid(self) -> bool:
        """Whether cpuid instructions are to be stopped at."""
        return bool(self.cpuid) or self.clock is not None

    def add(self, kind: str, line: str) -> None:
        """One more line, kind "cpuid" or "msr". Raises UserError."""
        if kind == "cpuid":
            self.cpuid.add(line)
        else:
            self.msrs.add(line)

    def told(self, leaf: int, subleaf: int, vcpu: Optional[int]) -> Optional[CpuidAnswer]:
        """At a stop: what the kernel would be told in place of its processor's answer; None: just that."""
        if self.cpuid and not self.cpuid.is_ready:
            self._learn(lambda first: ondemand.cpuid(first, 0, vcpu))
        plan = self.cpuid.plan(leaf, subleaf) if self.cpuid else None
        if plan is None:
            return None
        return plan.answer(leaf, subleaf, None if plan.ask is None else ondemand.cpuid(plan.ask, subleaf, vcpu))

    def told_msr(self, index: int, vcpu: int, native: int) -> Optional[str]:
        """What the kernel would read in place of its processor's value; None: just that."""
        if not self.msrs.reads:
            return None  # There is no breakpoint on any rdmsr.
        value = self._whole_value(index, vcpu)
        read = self.msrs.rule(index).read
        if value is None and isinstance(read, Edit):
            value = read.apply(native)
        return f"{value:#x}" if value is not None else "a fault" if read == FAULT else None

    def _whole_value(self, index: int, vcpu: int) -> Optional[int]:
        """What a register reads where the processor is not needed for it."""
        if self.clockwork is not None and self.clockwork.owns(index):
            return self.clockwork.value(vcpu, index)
        read = self.msrs.rule(index).read
        if read == KEEP:
            return self._kept.get((vcpu, index), 0)
        return read.ones if isinstance(read, Edit) and not read.leaves(64) else None

    def rules(self) -> List[Rule]:
        """The places where the session has to stop for it."""
        rules, note = [], "to be answered by the overlay"
        if self.wants_cpuid:
            rules.append(Rule(Insn("cpuid", inputs=True, padding=self.detour), stops=False, overlays="cpuid",
                              note=note))
        mnemonics = [name for name, wanted in (("rdmsr", self.msrs.reads), ("wrmsr", self.msrs.writes or self.clock))
                     if wanted]
        if mnemonics:
            rules.append(Rule(Insn(",".join(mnemonics), inputs=True), stops=False, overlays="msr",
                              note=note))
        if self.clock is not None and self.clock.acts_on_reads:
            rules.append(Rule(Insn("rdtsc,rdtscp", in_func=self.clock.readers), stops=False, overlays="reads",
                              note=f"where the clock's fault acts: {FAULTS[self.clock.fault]}"))
        return rules

    def concerns(self, site: Site) -> bool:
        """Whether anything may have to be done there: a breakpoint slows down all code of its page."""
        if site.input is None or site.mnemonic not in ("cpuid", "rdmsr", "wrmsr"):
            return True
        if site.mnemonic == "cpuid":
            # Whether leaf 1 has to tell of a hypervisor shows when the processor can be asked.
            return self.cpuid.may_change(site.input) or (
                self.clock is not None and site.input == 1 and not self.cpuid.is_ready)
        return self.msrs.rule(site.input) != MsrRule() or self.clock is not None and site.input in self.clock.msrs

    @property
    def defers_writes(self) -> bool:
        """Whether wrmsr instructions matter only once the kernel has been told of the clock: each breakpoint costs."""
        return self.clock is not None and not self.msrs and not self._is_announced

    def follows(self, site: Site) -> bool:
        """Whether it matters only once the kernel has been told of the clock, by code that runs where the site does:
        what is stopped at for the clock alone, but for its first leaf."""
        if self.clock is None or self.msrs or site.mnemonic == "rdmsr":
            return False
        return site.mnemonic == "wrmsr" or site.input in (FEATURES, RATES)

    def take_announcement(self) -> bool:
        """Once: that the kernel has been told of the clock just now."""
        if not self.defers_writes or not self._is_known:
            return False
        self._is_announced = True
        return True

    @staticmethod
    def aliases(armed: List[Armed], info: Mapping[str, Any]) -> List[Armed]:
        """The same sites where they are loaded: code that runs before paging, or identity-mapped, runs there.

        info: `cprobe info`.
        """
        loaded = [(each, load_address(info, each.site.address)) for each in armed]
        return [Armed(each.rule, replace(each.site, address=address))
                for each, address in loaded if address is not None]

    def prepare(self, tsc_is_virtual: bool) -> List[str]:
        """Before the guest moves and sites are looked for: the clock's frequency, the processor's limits; notes for the
        user.

        tsc_is_virtual: the TSC counts virtual ns, as under icount. Raises UserError.
        """
        notes = []
        self._is_virtual = tsc_is_virtual
        machine.prepare()
        # With paging on, the kernel may have been told of a clock before this session.
        self._is_announced = bool(machine.register("cr0") >> 31 & 1)
        if self.clock is not None:
            if self.clock.tsc_hz is None:
                self.clock.tsc_hz = 10 ** 9 if tsc_is_virtual else frequency.measure()
                self.clock.check_hz(self.clock.tsc_hz)
                notes.append(f"KVM clock: a TSC of {self.clock.tsc_hz / 1e6:.3f} MHz" + (
                    "" if tsc_is_virtual else ", as measured"))
            self.clockwork = Clockwork(self.clock)
            for line in self.clock.cpuid():
                self.cpuid.add(line)
        # Not under icount: QEMU 7.2 with sleep=off never comes out of a step at the reset vector. Nor of a halted vCPU.
        if self.cpuid and not tsc_is_virtual:
            with contextlib.suppress(gdb.GdbError):
                self._learn(ondemand.cpuid)
        return notes

    # In stop(): registers and memory may be read and written; the vCPU may be moved, not stepped.

    def passes(self) -> bool:
        """Whether the vCPU, at a cpuid, is told nothing but what its processor says."""
        return self.cpuid.is_ready and self._plan() is None

    def answer_now(self, site: Site) -> bool:
        """At an instruction of ours: True if nothing is left to be done at a stop."""
        kind = ask.instruction()
        if kind is None or machine.register("cs") & 3:
            return True  # Other code lies at this address now.
        if kind == "cpuid":
            return self._answer_cpuid_now(site)
        index, vcpu = machine.register("rcx") & _MASK32, machine.current_vcpu()
        if kind == "read":
            return self._answer_read_now(site, index, vcpu)
        if self.clockwork is not None and self.clockwork.owns(index):
            return self._write_clock_now(site, index, vcpu)
        write = self.msrs.rule(index).write
        if write in (None, FAULT):
            return write is None
        value = ask.value()
        if write == KEEP:
            self._kept[vcpu, index] = value
        self._told_msr(site, MsrAccess("write", index, value), str(write))
        machine.assign(rip=machine.register("rip") + 2)
        return True

    def _plan(self) -> Optional[CpuidPlan]:
        return self.cpuid.plan(machine.register("rax") & _MASK32, machine.register("rcx") & _MASK32)

    def _answer_cpuid_now(self, site: Site) -> bool:
        plan = self._plan() if self.cpuid.is_ready else None
        if plan is None or plan.ask is not None:
            return False
        leaf, subleaf = machine.register("rax") & _MASK32, machine.register("rcx") & _MASK32
        answer = plan.answer(leaf, subleaf, None)
        self._is_known |= leaf == FEATURES
        # Whatever is read comes before what is written, which has GDB look for its frame anew.
        self._told_cpuid(site, answer, None)
        machine.assign(rax=answer.eax, rbx=answer.ebx, rcx=answer.ecx, rdx=answer.edx, rip=machine.register("rip") + 2)
        return True

    def _answer_read_now(self, site: Site, index: int, vcpu: int) -> bool:
        value = self._whole_value(index, vcpu)
        if value is None:
            return self.msrs.rule(index).read is None
        self._told_msr(site, MsrAccess("read", index, value), "answered")
        machine.assign(rax=value & _MASK32, rdx=value >> 32, rip=machine.register("rip") + 2)
        return True

    def _write_clock_now(self, site: Site, index: int, vcpu: int) -> bool:
        assert self.clockwork is not None
        if self.clockwork.needs_tsc(index):
            return False
        value = ask.value()
        self._told_msr(site, MsrAccess("write", index, value), _TAKEN)
        self._write_clock(site, vcpu, index, value, 0)
        machine.assign(rip=machine.register("rip") + 2)
        return True

    @staticmethod
    def _set_answer(answer: CpuidAnswer) -> None:
        machine.assign(rax=answer.eax, rbx=answer.ebx, rcx=answer.ecx, rdx=answer.edx)

    @staticmethod
    def _set_value(value: int) -> None:
        machine.assign(rax=value & _MASK32, rdx=value >> 32)

    # At a stop.

    def step(self, site: Site) -> bool:
        """Finish what `answer_now` could not; False if there is no such instruction here."""
        kind = ask.instruction()
        if kind == "cpuid":
            self.step_cpuid(site, observed=False)
        elif kind is not None:
            self.step_msr(site, kind, observed=False)
        return kind is not None

    def step_cpuid(self, site: Site, observed: bool, asked: bool = False) -> None:
        """Execute the cpuid that the vCPU stands at, as the guest is to see it.

        observed: the event is wanted even if the answer is the processor's own. asked: the leaf was not the kernel's.
        """
        assert self.recorder is not None
        if self.cpuid and not self.cpuid.is_ready:
            self._learn(ask.cpuid_here)
        leaf, subleaf = machine.register("rax") & _MASK32, machine.register("rcx") & _MASK32
        plan = self.cpuid.plan(leaf, subleaf) if self.cpuid else None
        caller = self.recorder.caller(site)
        highest = self._highest(leaf, asked)
        if plan is not None and plan.ask is not None and plan.ask != leaf:
            machine.assign(rax=plan.ask)
        native = ask.step_cpuid()
        if observed and not asked:
            self._observed[f"cpuid {leaf:#x}"] += 1
        if plan is None:
            if leaf == range_of(leaf):
                self._limits[leaf] = highest_of(native)
            if observed:
                self.recorder.cpuid(site, native, asked, caller=caller, highest=highest)
            return
        answer = plan.answer(leaf, subleaf, native if plan.ask is not None else None)
        self._is_known |= leaf == FEATURES
        self._set_answer(answer)
        if observed:
            self._answered[f"cpuid {leaf:#x}"] += not asked
            self.recorder.cpuid(site, answer, asked, native=native, caller=caller)
        else:
            self._told_cpuid(site, answer, native, caller)

    def _highest(self, leaf: int, asked: bool) -> Optional[int]:
        """The highest leaf of the leaf's range, if the kernel has been told; where the leaf is not the kernel's, and
        something is injected all the same, it is asked for."""
        first = range_of(leaf)
        if asked and leaf != first and first not in self._limits:
            self._limits[first] = highest_of(ask.cpuid_here(first))
        return self._limits.get(first)

    def step_msr(self, site: Site, access: str, observed: bool) -> None:
        """Execute the rdmsr or wrmsr that the vCPU stands at, as the guest is to see it; observed as in step_cpuid."""
        assert self.recorder is not None
        index, vcpu, value = machine.register("rcx") & _MASK32, machine.current_vcpu(), ask.value()
        rule = self.msrs.rule(index)
        caller = self.recorder.caller(site)
        pc = machine.register("rip")
        if observed:
            self._observed[_msr_name(access, index)] += 1
        if access == "write" and self.clockwork is not None and self.clockwork.owns(index):
            self._told_msr(site, MsrAccess("write", index, value), _TAKEN, caller)
            self._write_clock(site, vcpu, index, value, ask.rdtsc_here())
            machine.assign(rip=pc + 2)
            return None
        if (rule.read if access == "read" else rule.write) == FAULT:
            ask.fault()
            written = value if access == "write" else 0
            return self._told_msr(site, MsrAccess(access, index, written, True), FAULT, caller)
        if (rule.write if access == "write" else self._whole_value(index, vcpu)) is not None:
            self.answer_now(site)
            return None
        done = ask.step_msr(access)
        if isinstance(rule.read, Edit) and access == "read" and not done.faulted:
            native, done = done, MsrAccess("read", index, rule.read.apply(done.value))
            self._set_value(done.value)
            return self._told_msr(site, done, f"the processor's is {native.value:#x}", caller, native)
        if observed:
            self.recorder.msr(site, done, caller=caller)
        return None

    def _learn(self, question: Callable[[int], CpuidAnswer]) -> None:
        """The processor's own limits."""
        limits = {}
        for first in RANGES:
            answer = question(first)
            highest = highest_of(answer)
            if first <= highest <= first + 0xffff and (first == 0 or answer.eax or answer.ebx):
                limits[first] = highest
        self.cpuid.learn(limits)
        if self.clock is not None and not question(1).ecx & _HYPERVISOR:
            self.cpuid.add(f"1: ecx |= {_HYPERVISOR:#x}")

    def _write_clock(self, site: Site, vcpu: int, index: int, value: int, tsc: int) -> None:
        assert self.clockwork is not None
        size = PvclockTime.SIZE
        there = {address: data for address in {value, value & ~1}
                 for data in [machine.read_physical(address, size)] if data is not None}
        # With virtual time, whose TSC counts ns, the day is virtual too, so that one boot is like the next.
        realtime_ns = VIRTUAL_EPOCH_NS + tsc if self._is_virtual else time.time_ns()
        self._put(site, self.clockwork.write(vcpu, index, value, tsc, realtime_ns, there))

    def clock_is_set(self) -> bool:
        """Once: that all vCPUs have registered and the wall clock was asked for, so that no wrmsr matters any more."""
        if self.clock is None or self.clockwork is None or self.clock.again or self.msrs or self._is_set:
            return False
        self._is_set = self.clockwork.is_complete(1) and self.clockwork.is_complete(
            len(gdb.selected_inferior().threads()))
        if self._is_set:
            say("  KVM clock: all vCPUs have registered, and nothing is to be written any more: wrmsr is left alone")
        return self._is_set

    def reading(self, site: Site) -> bool:
        """In stop(), at a TSC read in the middle of a clock's reader: do what a fault does there. True: never again."""
        if self.clockwork is None:
            return True
        self._put(site, self.clockwork.read(machine.current_vcpu()))
        return self.clockwork.is_done

    def _put(self, site: Site, writes: List[Write]) -> None:
        """Write physical memory and read it back."""
        assert self.recorder is not None
        for address, data in writes:
            before = machine.read_physical(address, len(data))
            if before is None:
                raise UserError(f"{site.label} registers physical {address:#x}, where no memory is, or this stub gives "
                                "no access to it: the KVM clock needs QEMU's")
            machine.write_physical(address, data)
            after = machine.read_physical(address, len(data)) or b""
            self.recorder.clock_written(site, address, before, after, data)

    # What is said.

    def _told_cpuid(self, site: Site, answer: CpuidAnswer, native: Optional[CpuidAnswer],
                    caller: Optional[Dict[str, Any]] = None) -> None:
        assert self.recorder is not None
        self._answered[f"cpuid {answer.leaf:#x}"] += 1
        self.recorder.overlaid_cpuid(site, answer, native, caller or self.recorder.caller(site))

    def _told_msr(self, site: Site, access: MsrAccess, how: str, caller: Optional[Dict[str, Any]] = None,
                  native: Optional[MsrAccess] = None) -> None:
        assert self.recorder is not None
        self._answered[_msr_name(access.access, access.index)] += 1
        self.recorder.overlaid_msr(site, access, how, native, caller or self.recorder.caller(site))

    def summary(self) -> List[str]:
        """What the kernel asked for, where that was recorded; what was answered, and what it never asked for."""
        lines = [f"the kernel asked for: {_counted(self._observed)}"] if self._observed else []
        if not (self.wants_cpuid or self.msrs):
            return lines
        lines.append(f"overlay: {_counted(self._answered) or 'nothing of it was asked for'}")
        never = [line.split(":")[0] for line in self.cpuid.describe()
                 if not self._answered[f"cpuid {line.split(':')[0].split('.')[0]}"]]
        if never and self._answered:
            lines.append("  never asked for: cpuid " + ", ".join(never))
        if self.clockwork is not None:
            there = [f"vCPU {vcpu} at physical {address:#x}"
                     for vcpu, address in sorted(self.clockwork.registered.items())]
            lines.append("KVM clock: " + (", ".join(there) or "no vCPU has registered"))
        return lines
