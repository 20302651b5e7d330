"""Writes what happens into the trace, and says it to the user in one line each."""

from __future__ import annotations

import os
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple, Type, Union

import gdb

from bootsonde.model.console import printable
from bootsonde.model.cpuid import CpuidAnswer
from bootsonde.model.expression import Change
from bootsonde.model.msr import CLOCK_MSRS, MsrAccess
from bootsonde.model.place import Argument, Site
from bootsonde.model.pvclock import PvclockTime, WallClock
from bootsonde.model.trace import TraceWriter
from bootsonde.probe import Symbolizer
from bootsonde.session import machine
from bootsonde.session.callers import Callers
from bootsonde.session.inject import Injected
from bootsonde.session.moving import Skipped
from bootsonde.session.watch import Writer

#: Where lines for the user go. Headless, the host passes a descriptor of its own, apart from GDB's chatter.
_output = 1


def set_output(descriptor: int) -> None:
    """Have `say` write to this descriptor."""
    global _output
    _output = descriptor


def say(text: str) -> None:
    """Print a line at once, also while GDB's own output is being captured.

    A reader that has gone (`bootsonde run ... | head`) does not end the run: the trace still wants its events.
    """
    gdb.flush()
    data = (text + "\n").encode("utf-8", "replace")
    try:
        while data:
            data = data[os.write(_output, data):]
    except BrokenPipeError:
        pass


def _argument(argument: Argument) -> Optional[Dict[str, Any]]:
    if argument.location is None or not argument.location.isalnum():
        return None
    value = machine.register(argument.location)
    if argument.size in (1, 2, 4):
        value &= (1 << 8 * argument.size) - 1
    record: Dict[str, Any] = {"name": argument.name, "type": argument.type, "value": f"{value:#x}"}
    if argument.type.replace("const ", "").replace(" ", "") == "char*":
        record["text"] = machine.read_string(value)
    return record


def _shown(arguments: List[Dict[str, Any]]) -> str:
    """Arguments on one line: a string's line breaks and control characters are shown as escapes."""
    shown = []
    for argument in arguments:
        text = argument.get("text")
        quoted = f' "{text.encode("unicode_escape").decode()}"' if text else ""
        shown.append(f"{argument['name']}={argument['value']}{quoted}")
    return ", ".join(shown)


def _registers(answer: CpuidAnswer) -> Dict[str, str]:
    return {name: f"{getattr(answer, name):#x}" for name in ("eax", "ebx", "ecx", "edx")}


def _in(site: Site) -> str:
    """The function, or what stands for it in a kernel without symbols and where in it."""
    return f"{site.function} at {site.address:#x}" if site.file is None else site.function


def _by(caller: Optional[Dict[str, Any]]) -> str:
    return f"  <- {caller['function']}{'?' if caller.get('guess') else ''}" if caller else ""


class Recorder:
    """Owns the trace's writer. Times are ns since the first continue, 0 before."""

    def __init__(self, symbolizer: Symbolizer, callers: Callers, trace: Optional[str], header: Mapping[str, Any],
                 echo: bool) -> None:
        """trace: the file to write, or None. echo: say the console's lines too. Raises OSError if it cannot be made."""
        self._symbolizer = symbolizer
        self._callers = callers
        self._echo = echo
        self._start: Optional[int] = None
        self._said: Set[Tuple[Any, ...]] = set()
        self.stands_for: Dict[int, int] = {}  # A breakpoint's address in a detour -> its site's.
        self.writer: Optional[TraceWriter] = None
        if trace is not None:
            self.writer = TraceWriter(open(trace, "w", encoding="utf-8", errors="replace"), header)

    def start_clock(self) -> None:
        """The first continue."""
        if self._start is None:
            self._start = time.monotonic_ns()

    def now(self) -> int:
        """ns since the first continue."""
        return 0 if self._start is None else time.monotonic_ns() - self._start

    @property
    def failed(self) -> Optional[OSError]:
        """Why the trace can no longer be written, if it cannot."""
        return self.writer.error if self.writer is not None else None

    def event(self, kind: str, vcpu: Optional[int], t: Optional[int] = None, **values: Any) -> None:
        """Append an event to the trace."""
        if self.writer is not None:
            self.writer.event(kind, self.now() if t is None else t, vcpu, **values)

    def _line(self, vcpu: int, text: str) -> None:
        say(f"[{self.now() / 1e9:9.6f}] cpu{vcpu} {text}")

    def caller(self, site: Site) -> Optional[Dict[str, Any]]:
        """Who called the function that the selected vCPU is in.

        At a function's first instruction the return address lies on top of the stack; an inlined copy's caller is the
        function around it. Elsewhere, as at a cpuid in the middle of a helper, it is looked for further up. None: not
        found.
        """
        if site.kind == "inlined":
            return {"function": site.outer} if site.outer else None
        if site.kind in ("check", "line"):
            return None
        pc = machine.register("rip")
        pc = self.stands_for.get(pc, pc)
        if site.kind == "function" or self._callers.starts_at(pc) == pc:
            try:
                return self._callers.described(machine.read_number(machine.register("rsp"), machine.word_size()))
            except gdb.MemoryError:
                return None
        return self._callers.nearest(pc) if self._callers.starts_at(pc) is not None else None

    def hit(self, site: Site, kind: str = "hit") -> None:
        """The selected vCPU has reached a site."""
        vcpu = machine.current_vcpu()
        args = [record for record in map(_argument, site.args) if record is not None] if site.kind != "check" else []
        caller = self.caller(site)
        self.event(kind, vcpu, function=site.function, address=f"{site.address:#x}", file=site.file, line=site.line,
                   place=site.kind, outer=site.outer, caller=caller, args=args or None)
        text = f"{site.label}({_shown(args)})" if site.kind in ("function", "inlined") else site.label
        self._line(vcpu, f"{text}  {site.where}{_by(caller)}")

    def injected(self, function: str, done: Injected) -> None:
        """A variable, a register or memory was written and read back."""
        vcpu = machine.current_vcpu()
        self.event("inject", vcpu, function=function, target=done.target, before=f"{done.before:#x}",
                   after=f"{done.after:#x}", address=None if done.address is None else f"{done.address:#x}",
                   physical=done.physical or None)
        kept = "" if done.after == done.wanted else f"; the guest kept {done.after:#x}"
        shown = done.value if done.value < 0 else done.wanted
        self._line(vcpu, f"  injected {done.target} = {done.wanted:#x} ({shown}), was {done.before:#x}{kept}")

    def returned(self, function: str, before: int, after: int, address: int) -> None:
        """A function was not run: it returned at once, to this address."""
        vcpu = machine.current_vcpu()
        to = self._symbolizer.describe(address)
        self.event("inject", vcpu, function=function, target="rax", before=f"{before:#x}", after=f"{after:#x}",
                   returned=f"{address:#x}")
        self._line(vcpu, f"  returned {after:#x} ({after}) at once, to {to}")

    def skipped(self, function: str, skipped: Skipped) -> None:
        """Instructions were not executed: the vCPU was moved past them."""
        vcpu = machine.current_vcpu()
        self.event("inject", vcpu, function=function, target="rip", before=f"{skipped.before:#x}",
                   after=f"{skipped.after:#x}", skipped=skipped.instructions)
        self._line(vcpu, f"  skipped {'; '.join(skipped.instructions)}; now at "
                         f"{self._symbolizer.describe(skipped.after)}")

    def _meaning(self, value: int) -> str:
        """A number for a person: a pointer with what it points to, others also in decimal."""
        if value >> 63:
            known = self._symbolizer.look_up(value)
            return f"{value:#x}" + (f" ({self._symbolizer.describe(value)})" if known.get("name", "?") != "?" else "")
        return f"{value:#x} ({value})" if value > 9 else str(value)

    def written(self, site: Site, change: Change, writer: Writer) -> None:
        """The guest has changed a variable that is watched."""
        vcpu = machine.current_vcpu()
        place = self._symbolizer.look_up(writer.address)
        function = self._symbolizer.describe(writer.address)
        was = "unknown" if change.old is None else self._meaning(change.old)
        callers = writer.callers
        self.event("watch", vcpu, function=place.get("name") or function, address=f"{writer.address:#x}",
                   file=place.get("file"), line=place.get("line"), target=site.name, data=f"{site.address:#x}",
                   before=None if change.old is None else f"{change.old:#x}", after=f"{change.new:#x}",
                   instruction=writer.text,
                   caller=callers[0] if callers else None, callers=callers or None)
        where = f"  {place['file'].rsplit('/', 1)[-1]}:{place.get('line')}" if place.get("file") else ""
        self._line(vcpu, f"{site.name} = {self._meaning(change.new)}, was {was}: {function}{where}"
                         + (f"  {writer.text}" if writer.text else ""))
        if callers:
            self._line(vcpu, "  <- " + " <- ".join(each["function"] + ("?" if each.get("guess") else "")
                                                   for each in callers))

    def cpuid(self, site: Site, answer: CpuidAnswer, asked: bool = False, native: Optional[CpuidAnswer] = None,
              caller: Optional[Dict[str, Any]] = None, highest: Optional[int] = None) -> None:
        """A cpuid instruction was executed. asked: the leaf was bootsonde's and not the kernel's. native: what the
        processor said, where the guest was told something else. highest: the highest leaf of its range, if known."""
        vcpu = machine.current_vcpu()
        overlaid = native is not None
        self._cpuid_event(vcpu, site, answer, native, caller, injected=asked or None, overlay=overlaid or None)
        self._line(vcpu, f"  {answer}" + ("  by the overlay" if overlaid else "") + _by(caller))
        for statement in answer.describe(highest):
            self._line(vcpu, f"    {printable(statement)}")

    def overlaid_cpuid(self, site: Site, answer: CpuidAnswer, native: Optional[CpuidAnswer],
                       caller: Optional[Dict[str, Any]]) -> None:
        """A cpuid was answered by the overlay. Every one is an event; what repeats itself is said once."""
        vcpu = machine.current_vcpu()
        self._cpuid_event(vcpu, site, answer, native, caller, overlay=True)
        if self._is_new("cpuid", site.address, answer):
            self._line(vcpu, f"{answer}  told {_in(site)}{_by(caller)}")
            for statement in answer.describe():
                self._line(vcpu, f"  {printable(statement)}")

    def _cpuid_event(self, vcpu: int, site: Site, answer: CpuidAnswer, native: Optional[CpuidAnswer],
                     caller: Optional[Dict[str, Any]], **more: Any) -> None:
        self.event("cpuid", vcpu, function=site.function, address=f"{site.address:#x}", leaf=f"{answer.leaf:#x}",
                   subleaf=f"{answer.subleaf:#x}", values=_registers(answer),
                   native=None if native is None else _registers(native), caller=caller, **more)

    def _is_new(self, *what: Any) -> bool:
        new = what not in self._said
        self._said.add(what)
        return new

    def msr(self, site: Site, access: MsrAccess, caller: Optional[Dict[str, Any]] = None) -> None:
        """The kernel has read or written a model-specific register."""
        vcpu = machine.current_vcpu()
        self._msr_event(vcpu, site, access, caller)
        self._line(vcpu, f"  {access}" + _by(caller))
        for statement in access.describe():
            self._line(vcpu, f"    {statement}")

    def overlaid_msr(self, site: Site, access: MsrAccess, how: str, native: Optional[MsrAccess],
                     caller: Optional[Dict[str, Any]]) -> None:
        """A rdmsr or wrmsr was answered by the overlay; as overlaid_cpuid. how: what was done, for a person."""
        vcpu = machine.current_vcpu()
        self._msr_event(vcpu, site, access, caller, overlay=how,
                        native=None if native is None else f"{native.value:#x}")
        if self._is_new("msr", vcpu, site.address, access):
            self._line(vcpu, f"{access}  {how}, in {_in(site)}{_by(caller)}")
            # What lies behind a clock's address is said when it is written.
            for statement in access.describe() if access.index not in CLOCK_MSRS or access.access == "read" else ():
                self._line(vcpu, f"  {statement}")

    def _msr_event(self, vcpu: int, site: Site, access: MsrAccess, caller: Optional[Dict[str, Any]], **more: Any
                   ) -> None:
        self.event("msr", vcpu, function=site.function, address=f"{site.address:#x}", access=access.access,
                   msr=f"{access.index:#x}", value=f"{access.value:#x}", faulted=access.faulted or None, caller=caller,
                   **more)

    def clock_written(self, site: Site, address: int, before: bytes, after: bytes, wanted: bytes) -> None:
        """A pvclock structure or wall clock was written into physical memory and read back."""
        vcpu = machine.current_vcpu()
        kind: Union[Type[PvclockTime], Type[WallClock]] = PvclockTime if len(wanted) == PvclockTime.SIZE else WallClock
        self.event("inject", vcpu, function=site.function, target=kind.STRUCT, physical=f"{address:#x}",
                   before=before.hex(), after=after.hex())
        kept = "" if after == wanted else f"; the guest kept {after.hex()}"
        if self._is_new("clock", vcpu, site.address, address, wanted):
            self._line(vcpu, f"  {kind.STRUCT} at physical {address:#x}: {kind.unpack(wanted).summary()}{kept}")

    def detoured(self, site: Site, writes: Sequence[Tuple[int, bytes, bytes]]) -> None:
        """A detour was written into the guest's code: (address, bytes before, bytes after) of each of its parts."""
        for address, before, after in writes:
            self.event("inject", machine.current_vcpu(), function=site.function, target="code", address=f"{address:#x}",
                       before=before.hex(), after=after.hex())

    def console(self, t: int, line: str) -> None:
        """The guest has printed a line."""
        self.event("console", None, t, text=line)
        if self._echo:
            say(f"[{t / 1e9:9.6f}]    | {line}")

    def end(self, **values: Any) -> None:
        """Close the trace. `started`: where its times count from, ns of the host's monotonic clock; None: never."""
        if self.writer is not None:
            self.writer.end(self.now(), **{"started": self._start, **values})
