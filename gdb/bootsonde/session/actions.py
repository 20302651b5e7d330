"""What a rule has done at a hit: record it, inject, move the vCPU, step its instruction. Counting and stopping are the
session's."""

from __future__ import annotations

from typing import List, Optional, Union

from bootsonde.model.errors import UserError
from bootsonde.model.expression import Change
from bootsonde.model.place import Site
from bootsonde.probe import Symbolizer
from bootsonde.session import ask, inject, machine, moving
from bootsonde.session.inject import Write
from bootsonde.session.overlay import Overlay
from bootsonde.session.plan import Planner
from bootsonde.session.points import Armed, Point, Points
from bootsonde.session.recorder import Recorder
from bootsonde.session.watch import Watchpoint, Writers


class Actions:
    """One run's, on the selected vCPU. All but `step` may be called in stop()."""

    def __init__(self, planner: Planner, symbolizer: Symbolizer, recorder: Recorder, writers: Writers, overlay: Overlay,
                 points: Points) -> None:
        self._planner = planner
        self._symbolizer = symbolizer
        self._recorder = recorder
        self._writers = writers
        self._overlay = overlay
        self._points = points

    def record(self, site: Site, point: Union[Point, Watchpoint], change: Optional[Change]) -> None:
        """The hit, or who has written."""
        if isinstance(point, Watchpoint) and change is not None:
            self._recorder.written(site, change, self._writers.find(point))
        else:
            self._recorder.hit(site)

    def inject(self, armed: Armed) -> None:
        """What the rule writes."""
        rule, writes = armed.rule, []
        for name, value in rule.variables.items():
            variable = self._planner.variable(name)
            assert variable is not None
            writes.append(inject.to_variable(variable, value))
        writes += [inject.to_memory(memory, value) for memory, value in rule.memory.items()]
        writes += [inject.to_register(name, value) for name, value in rule.registers.items()]
        if writes:
            self.perform(writes, armed.site.name)

    def perform(self, writes: List[Write], function: Optional[str] = None) -> None:
        """Do all of these writes, or none, and record them. Raises UserError.

        function: where the vCPU stands, if the caller knows better.
        """
        where = self._symbolizer.describe(machine.register("rip")) if function is None else function
        for injected in inject.perform(writes):
            self._recorder.injected(where, injected)
        self._points.settle()

    def move(self, armed: Armed) -> None:
        """Return from the function, or skip its instruction, unless another rule of this place has done so already."""
        rule, site = armed.rule, armed.site
        if machine.register("rip") != site.address:
            return
        if rule.return_value is not None and site.kind == "function":
            self._recorder.returned(site.name, *machine.return_now(rule.return_value))
        elif rule.skipped is not None:
            self._recorder.skipped(site.name, moving.skip_instructions(rule.skipped))

    def return_from_here(self, value: int) -> None:
        """Have the function at whose first instruction the vCPU stands return at once. Raises UserError."""
        known = self._symbolizer.look_up(machine.register("rip"))
        if not known.get("name") or known.get("offset"):
            raise UserError(f"the vCPU stands at {self._symbolizer.describe(machine.register('rip'))}, not at a "
                            "function's first instruction: only there is the return address known")
        self._recorder.returned(known["name"], *machine.return_now(value))

    def skip(self, count: int) -> None:
        """Move the vCPU past so many instructions. Raises UserError."""
        where = self._symbolizer.describe(machine.register("rip"))
        self._recorder.skipped(where, moving.skip_instructions(count))

    def step(self, armed: Armed) -> bool:
        """At a stop: execute the cpuid, rdmsr or wrmsr that the rule is about; False if the vCPU stands at none."""
        kind, rule = ask.instruction(), armed.rule
        if rule.overlays:
            return self._overlay.step(armed.site)
        if rule.watches_msr:
            if kind not in ("read", "write"):
                return False
            self._overlay.step_msr(armed.site, kind, observed=True)
            return True
        if kind != "cpuid":
            return False
        if rule.cpuid_leaf is not None:
            self.perform([inject.to_register("eax", rule.cpuid_leaf), inject.to_register("ecx", 0)], armed.site.name)
        self._overlay.step_cpuid(armed.site, observed=True, asked=rule.cpuid_leaf is not None)
        return True
