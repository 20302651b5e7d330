"""GDB commands that ask the stopped guest: cpuid, rdmsr, wrmsr, rdtsc, tsc, lapic, pvclock. Importing defines them."""

from __future__ import annotations

import contextlib
from typing import Any, Dict, List, Optional, Tuple

import gdb

from bootsonde.model import msr
from bootsonde.model.cpuid import highest_of, range_of
from bootsonde.model.errors import UserError
from bootsonde.model.pvclock import PvclockTime
from bootsonde.model.question import msr_named, parse_question
from bootsonde.model.tsc import describe_tsc
from bootsonde.session import interactive, lapic, machine, ondemand
from bootsonde.session.recorder import say
from bootsonde.session.values import number


def _msr(word: str) -> int:
    index = msr_named(word)
    return number(word, 32, "MSR") if index is None else index


def _readable_msr(index: int, vcpu: Optional[int]) -> Optional[int]:
    """None: it can only be written, as x2APIC's end of interrupt."""
    try:
        return ondemand.rdmsr(index, vcpu)
    except ondemand.Fault:
        return None


def _say(text: str, statements: List[str]) -> None:
    say(text)
    for statement in statements:
        say(f"  {statement}")


def _record(kind: str, vcpu: int, **values: Any) -> None:
    """An event in the trace of the run that this stop is in, if it is in one."""
    session = interactive.running()
    if session is not None:
        session.recorder.event(kind, vcpu, asked=True, **values)


def _vcpu(number: Optional[int]) -> int:
    return machine.current_vcpu() if number is None else number


class Cpuid(gdb.Command):
    """What CPUID answers in the guest, decoded: bootsonde cpuid LEAF [SUBLEAF] [vcpu N]

    The stopped vCPU executes the instruction; registers, flags and memory are then as before."""

    def __init__(self) -> None:
        super().__init__("bootsonde cpuid", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde cpuid LEAF [SUBLEAF] [vcpu N]"""
        with interactive.user_errors():
            question = parse_question(argument, "bootsonde cpuid LEAF [SUBLEAF] [vcpu N]", 1, 2)
            leaf, subleaf = (number(word, 32, "leaf") for word in (question.words + ["0"])[:2])
        answer = ondemand.cpuid(leaf, subleaf, question.vcpu)
        highest = highest_of(ondemand.cpuid(range_of(leaf), 0, question.vcpu))
        _say(str(answer), answer.describe(highest))
        session = interactive.running()
        told = session.overlay.told(leaf, subleaf, question.vcpu) if session is not None else None
        if told is not None:
            _say(f"the overlay has the kernel told: {told}", told.describe())
        _record("cpuid", _vcpu(question.vcpu), leaf=f"{leaf:#x}", subleaf=f"{subleaf:#x}",
                values={name: f"{getattr(answer, name):#x}" for name in ("eax", "ebx", "ecx", "edx")})


class Rdmsr(gdb.Command):
    """A model-specific register, decoded: bootsonde rdmsr MSR [vcpu N]

    MSR is a number or a name of the manuals', such as IA32_APIC_BASE. Everything is then as before."""

    def __init__(self) -> None:
        super().__init__("bootsonde rdmsr", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde rdmsr MSR [vcpu N]"""
        with interactive.user_errors():
            question = parse_question(argument, "bootsonde rdmsr MSR [vcpu N]", 1, 1)
            index = _msr(question.words[0])
        value = ondemand.rdmsr(index, question.vcpu)
        _say(f"msr {index:#x} {msr.name_of(index) or '?'}: {value:#x}", msr.describe(index, value))
        session = interactive.running()
        told = session.overlay.told_msr(index, _vcpu(question.vcpu), value) if session is not None else None
        if told is not None:
            say(f"the overlay has the kernel told: {told}")
        _record("msr", _vcpu(question.vcpu), access="read", msr=f"{index:#x}", value=f"{value:#x}")


class Wrmsr(gdb.Command):
    """Write a model-specific register: bootsonde wrmsr MSR VALUE [vcpu N]

    What the write does to the vCPU stays; registers, flags and memory are then as before."""

    def __init__(self) -> None:
        super().__init__("bootsonde wrmsr", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde wrmsr MSR VALUE [vcpu N]"""
        with interactive.user_errors():
            question = parse_question(argument, "bootsonde wrmsr MSR VALUE [vcpu N]", 2, 2)
            index, value = _msr(question.words[0]), number(question.words[1], 64, "value")
        before = _readable_msr(index, question.vcpu)
        ondemand.wrmsr(index, value, question.vcpu)
        after = _readable_msr(index, question.vcpu)
        was = ", which cannot be read" if before is None else f", was {before:#x}"
        kept = "" if after in (None, value) else f"; it reads {after:#x}"
        _say(f"msr {index:#x} {msr.name_of(index) or '?'}: wrote {value:#x}{was}{kept}",
             msr.describe(index, value if after is None else after))
        _record("msr", _vcpu(question.vcpu), access="write", msr=f"{index:#x}", value=f"{value:#x}",
                before=None if before is None else f"{before:#x}", after=None if after is None else f"{after:#x}")


class Rdtsc(gdb.Command):
    """The vCPU's time stamp counter: bootsonde rdtsc [vcpu N]"""

    def __init__(self) -> None:
        super().__init__("bootsonde rdtsc", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde rdtsc [vcpu N]"""
        with interactive.user_errors():
            question = parse_question(argument, "bootsonde rdtsc [vcpu N]", 0, 0)
        value = ondemand.rdtsc(question.vcpu)
        say(f"tsc {value:#x} ({value})")


class Tsc(gdb.Command):
    """The time stamp counter, and what CPUID tells of its frequency: bootsonde tsc [vcpu N]"""

    def __init__(self) -> None:
        super().__init__("bootsonde tsc", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde tsc [vcpu N]"""
        with interactive.user_errors():
            question = parse_question(argument, "bootsonde tsc [vcpu N]", 0, 0)
        value = ondemand.rdtsc(question.vcpu)
        _say(f"tsc {value:#x} ({value})", describe_tsc(lambda leaf: ondemand.cpuid(leaf, 0, question.vcpu)))


class Lapic(gdb.Command):
    """The local APIC's mode and registers, decoded: bootsonde lapic [vcpu N]

    Nothing of it is changed. A halted vCPU's mode is unknown, all else is told of it too."""

    def __init__(self) -> None:
        super().__init__("bootsonde lapic", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde lapic [vcpu N]"""
        with interactive.user_errors():
            question = parse_question(argument, "bootsonde lapic [vcpu N]", 0, 0)
        vcpu = _vcpu(question.vcpu)
        way, found, notes = lapic.read(vcpu)
        _say(f"lapic of vCPU {vcpu}, {way}", found.describe() + notes)


def _registered_pvclocks(vcpu: Optional[int]) -> Tuple[Dict[int, int], List[str]]:
    """vCPU -> physical address that it has given to the hypervisor; and why others could not be asked.

    vcpu: only that one. Raises UserError if there is none.
    """
    session = interactive.running()
    if session is not None and session.overlay.clockwork is not None:
        found = {each: address for each, address in session.overlay.clockwork.registered.items()
                 if vcpu in (None, each)}
        if not found:
            raise UserError("no vCPU has registered a pvclock with the overlay's KVM clock yet" if vcpu is None else
                            f"vCPU {vcpu} has not registered a pvclock with the overlay's KVM clock")
        return dict(sorted(found.items())), []
    found, notes = {}, []
    for each in [number for number, _ in machine.program_counters()] if vcpu is None else [vcpu]:
        try:
            values = [ondemand.rdmsr(index, each) for index in (msr.KVM_SYSTEM_TIME, msr.KVM_SYSTEM_TIME_OLD)]
        except ondemand.Unanswered as error:
            notes.append(str(error).replace("bootsonde: ", "", 1))
            continue
        found.update({each: value & ~1 for value in values if value & 1})
    if not found:
        raise UserError("; ".join([f"no hypervisor knows of a pvclock: MSR {msr.KVM_SYSTEM_TIME:#x} reads 0, as it "
                                   "always does under TCG; give the structure's address: bootsonde pvclock ADDRESS",
                                   *notes]))
    return found, notes


def _tsc(vcpu: Optional[int]) -> Optional[int]:
    """The vCPU's TSC, or any one's that can be asked."""
    others = [] if vcpu is not None else [each for each, _ in machine.program_counters()]
    for each in [_vcpu(vcpu), *others]:
        with contextlib.suppress(ondemand.Unanswered):
            return ondemand.rdtsc(each)
    return None


def _read_pvclock(address: int, physical: bool) -> PvclockTime:
    """Raises UserError where there is no memory."""
    where = f"{'physical ' if physical else ''}{address:#x}"
    try:
        read = machine.read_physical if physical else machine.read
        data = read(address, PvclockTime.SIZE)
    except gdb.MemoryError:
        data = None
    if data is None:
        raise UserError(f"{where} cannot be read" + ("" if physical else ": write `phys` before a physical address"))
    return PvclockTime.unpack(data)


class Pvclock(gdb.Command):
    """KVM clocks' structures, decoded: bootsonde pvclock [[phys] ADDRESS] [vcpu N]

    Without ADDRESS, every vCPU's (or vCPU N's), where it has told the hypervisor that it lies, by
    MSR_KVM_SYSTEM_TIME_NEW. ADDRESS is a number or an expression, such as &timeinfos[0]."""

    def __init__(self) -> None:
        super().__init__("bootsonde pvclock", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde pvclock [[phys] ADDRESS] [vcpu N]"""
        usage = "bootsonde pvclock [[phys] ADDRESS] [vcpu N]"
        with interactive.user_errors():
            question = parse_question(argument, usage, 0, 2)
            physical = not question.words or question.words[0] == "phys"
            if question.words[:1] == ["phys"] and len(question.words) == 1 or len(question.words) == 2 and not physical:
                raise UserError(f"usage: {usage}")
            notes: List[str] = []
            if question.words:
                address = number(question.words[-1], 64, "address")
                clocks = [("pvclock", address, _read_pvclock(address, physical))]
            else:
                found, notes = _registered_pvclocks(question.vcpu)
                clocks = [(f"vCPU {vcpu}: pvclock", address, _read_pvclock(address, True))
                          for vcpu, address in found.items()]
        tsc = _tsc(question.vcpu)
        for title, address, clock in clocks:
            _say(f"{title} at {'physical ' if physical else ''}{address:#x}", clock.describe(tsc))
        for note in notes:
            say(f"  note: {note}")


for _command in (Cpuid, Rdmsr, Wrmsr, Rdtsc, Tsc, Lapic, Pvclock):
    _command()
