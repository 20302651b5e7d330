"""A session: one guest, one scenario, from the connection to the verdict."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any, Dict, List, Optional, Sequence, Set, Union

import gdb

from bootsonde.model.config import SessionConfig
from bootsonde.model.console import printable
from bootsonde.model.errors import UserError
from bootsonde.model.outcome import DEFAULT_END, PANIC_FUNCTIONS, Outcome, Verdict, VcpuPlace, guest_exit
from bootsonde.model.place import Functions, Site
from bootsonde.model.scenario import Rule, Scenario
from bootsonde.model.summary import summary
from bootsonde.probe import Probe, Symbolizer
from bootsonde.session import machine
from bootsonde.session.actions import Actions
from bootsonde.session.arming import Arming
from bootsonde.session.callers import Callers
from bootsonde.session.connection import Connection, check_identity
from bootsonde.session.detours import Detours
from bootsonde.session.frontier import listed, next_sites
from bootsonde.session.guard import check_writable
from bootsonde.session.laststop import LastStop
from bootsonde.session.overlay import Overlay
from bootsonde.session.plan import Planned, Planner
from bootsonde.session.points import Armed, Point, Points, arm
from bootsonde.session.recorder import Recorder, say
from bootsonde.session.watch import Watchpoint, Writers, value_in_memory
from bootsonde.session.watchdog import Watchdog

#: How long the host may take to tell how QEMU ended, seconds.
EXIT_FILE_S = 3.0
#: Kinds of sites that are a function, as a whole.
_FUNCTIONS = ("function", "inlined")


class Session:
    """Attaches, sets a scenario's breakpoints, runs, records, judges.

    `verdict` is None until the run has ended; after that the trace is closed.
    """

    def __init__(self, config: SessionConfig, connection: Connection) -> None:
        self.config = config
        self.connection = connection
        self.scenario: Optional[Scenario] = None
        self.verdict: Optional[Verdict] = None
        self.planned: List[Planned] = []
        self.points = Points(self._on_stop, self._watchpoint)
        self.planner = Planner(Probe(config.cprobe, config.symbols))
        self.symbolizer = Symbolizer(config.cprobe, config.symbols)
        self._recorder: Optional[Recorder] = None
        self._watchdog: Optional[Watchdog] = None
        self._pending: List[Armed] = []
        self._spent: List[Union[Point, Watchpoint]] = []
        self._failure: Optional[BaseException] = None
        self._identified = False
        self._stop_at_hit = False
        self._hit = False
        self._own_stop = False
        self._last_stop = LastStop()
        self._ending: Optional[Verdict] = None

    @property
    def recorder(self) -> Recorder:
        """The run's recorder; there is one from prepare on."""
        assert self._recorder is not None
        return self._recorder

    @property
    def watchdog(self) -> Watchdog:
        """The run's watchdog; there is one from prepare on."""
        assert self._watchdog is not None
        return self._watchdog

    @property
    def started(self) -> bool:
        """Whether there is a run to end: prepare has succeeded."""
        return self._recorder is not None

    def prepare(self, scenario: Scenario) -> None:
        """Check the guest, find the scenario's sites, set the breakpoints. The guest has not moved yet.

        Raises UserError; no breakpoint is left then.
        """
        scenario.check_settings()
        self.scenario = scenario
        self.symbolizer.start()
        probe = Probe(self.config.cprobe, self.config.symbols)
        info = probe.ask("info").records[0]
        info["file"] = self.config.symbols
        self._info = info
        self._identified = check_identity(info)
        callers = Callers(self.symbolizer, info)
        tripwire = Rule(Functions(PANIC_FUNCTIONS, inlined="exclude"), optional=True, outcome="panic")
        self.overlay = Overlay(scenario.cpuid_overlay, scenario.msr_overlay, scenario.clock, scenario.detour)
        rules = [*scenario.rules, *self.overlay.rules()]
        if any(rule.changes for rule in rules):
            check_writable(f"{scenario.name} cannot run, as it changes the guest")
        notes = self.overlay.prepare(self.config.icount)
        self.planned, remarks = self.planner.plan([*rules, tripwire])
        self.arming = Arming(self.overlay, info)
        wanted = self.arming.narrow(self.planned)
        count = sum(len(planned.armed) for planned in self.planned[:-1])
        if not count:
            raise UserError(f"{self.config.symbols} has nothing of what {scenario.name} looks for:\n  "
                            + "\n  ".join(remarks))
        say(f"bootsonde: {scenario.name} on {os.path.basename(self.config.kernel)}, "
            f"build-id {(info.get('build_id') or 'none')[:12]}")
        for planned in self.planned[:-1]:
            if planned.armed:
                kind = "watchpoints" if planned.armed[0].site.kind == "object" else "breakpoints"
                say(f"  {len(planned.armed):3} {kind}: {planned.title}"
                    + (f", {planned.rule.note}" if planned.rule.note else ""))
        for note in notes:
            say(f"  {note}")
        for remark in remarks:
            say(f"  note: {remark}")
        until = self.config.until or scenario.end_texts or [DEFAULT_END]
        # At GDB's prompt nobody has looked it up before; a trace without it could be anybody's.
        kernel = {"build-id": info.get("build_id"), **self.config.trace_header.get("kernel", {})}
        try:
            self._recorder = Recorder(self.symbolizer, callers, self.config.trace, {
                **self.config.trace_header, "kernel": kernel, "scenario": {"name": scenario.name, "until": until},
                "clock": "host", "listed": listed(scenario.rules)},
                self.config.echo_console)
        except OSError as error:
            raise UserError(f"the trace cannot be written: {error}") from None
        self.overlay.recorder = self._recorder
        self.detours = Detours(self.points, self.overlay, self._recorder, info)
        self.actions = Actions(self.planner, self.symbolizer, self._recorder, Writers(callers), self.overlay,
                               self.points)
        deadline = None if self.config.deadline_s is None else time.monotonic() + self.config.deadline_s
        self._watchdog = Watchdog(self.config.console, until, deadline, self._recorder.now,
                                  os.getppid() if self.config.headless else None)
        if self._watchdog.began_late:
            say("  note: this guest has run already; start it again to see its boot from the first instruction")
        try:
            self.points.add(wanted + [armed for planned in self.planned for armed in planned.armed
                                      if not planned.rule.overlays and (
                                          planned.rule.outcome != "panic" or armed.site.kind == "function")])
        except UserError:
            self.points.clear()
            raise

    def add_overlay(self, kind: str, line: str) -> int:
        """One more `cpuid` or `msr` line in the running session; how many breakpoints that took. Raises UserError."""
        self.overlay.add(kind, line)
        self.detours.undo()  # Their leaves are others now.
        planned, _ = self.planner.plan([rule for rule in self.overlay.rules() if rule.overlays == kind])
        wanted = self.arming.narrow(planned)
        there = {address for address, point in self.points.by_address.items()
                 if any(armed.rule.overlays == kind for armed in point.armed)}
        new = [armed for armed in wanted if armed.site.address not in there]
        if not new and not there:
            raise UserError(f"cprobe finds no {kind} instruction in this kernel: nothing will be answered")
        self.points.add(new)
        return len(new)

    def add_rule(self, rule: Rule) -> Planned:
        """One more rule in the running session. Raises UserError if this kernel has no such place."""
        (planned,), remarks = self.planner.plan([rule])
        if not planned.armed:
            raise UserError("; ".join(remarks))
        self.detours.undo()  # It may be about code that they have replaced.
        self.points.add(planned.armed)
        self.planned.insert(-1, planned)
        return planned

    def add_next(self, function: Optional[str]) -> List[Site]:
        """Breakpoints where the boot may go on from what has run so far, or on the way to a function alone.

        Raises UserError where there is nothing to break on that has no breakpoint yet.
        """
        if self.config.trace is None:
            raise UserError("this session writes no trace, which says what has run: run it with --trace")
        if self.verdict is not None:
            raise UserError("the run has ended: source the scenario again, or list them by cprobe next KERNEL "
                            + self.config.trace)
        sites = [site for site in next_sites(self.planner.probe, self.config.trace, function)
                 if site.address not in self.points.by_address]
        if not sites:
            raise UserError("all places that cprobe would break on next have their breakpoints")
        rule = Rule(Functions(function) if function else Functions(), optional=True,
                    name=f"on the way to {function}" if function else "next")
        planned = Planned(rule, rule.name, [arm(rule, site, self.planner.variable) for site in sites])
        self.points.add(planned.armed)
        self.planned.insert(-1, planned)
        self.recorder.event("milestone", None, text=f"{len(sites)} breakpoints: {rule.name}")
        return sites

    def _watchpoint(self, site: Site) -> Watchpoint:
        return Watchpoint(site, self._on_hit, value_in_memory(site, self._info, self._identified))

    # In stop(): no resuming, no stepping, no changing of breakpoints; read, write, and say whether to stop.

    def _on_stop(self, point: Point) -> bool:
        """GDB's question at a breakpoint. By hand, where GDB would step over one, it is `_on_hit`."""
        return self._on_hit(point, by_hand=False)

    def _on_hit(self, point: Union[Point, Watchpoint], by_hand: bool = True) -> bool:
        try:
            if isinstance(point, Point) and self._passes(point):
                stop = self.detours.passed(point)
            elif not by_hand and self._last_stop.is_this():
                stop = self.watchdog.overdue or self.watchdog.interrupted
            else:
                stop = self._reached(point)
            self._last_stop.note()
        except (Exception, KeyboardInterrupt) as error:  # GDB would swallow it. run() raises it.
            self._failure = error
            stop = True
        self._own_stop |= stop
        return stop

    def _passes(self, point: Point) -> bool:
        """Whether there is nothing but a cpuid which the processor answers: most are, and each is to take no time."""
        return self._identified and self.verdict is None and point.armed[0].rule.overlays == "cpuid" and (
            len(point.armed) == 1 and self.overlay.passes()) and not (
            self.watchdog.overdue or self.watchdog.interrupted)

    def _reached(self, point: Union[Point, Watchpoint]) -> bool:
        if self.verdict is not None:
            return False  # The run has ended; a person may `continue` without recording.
        self._take_console()
        if not self._identified and point.address not in self.arming.load_addresses:
            check_identity(self._info, virtual=True)
            self._identified = True
        change = point.take_change() if isinstance(point, Watchpoint) else None
        seen: List[Site] = []
        waiting = len(self._pending)
        for armed in point.armed:
            if armed.rule.overlays or (isinstance(point, Watchpoint) and change is None) or not armed.counts(change):
                continue
            self._hit |= armed.rule.stops
            if armed.rule.outcome == "panic":
                self._panicked(armed.site)
            elif armed.site not in seen:
                self.actions.record(armed.site, point, change)
            seen.append(armed.site)
            self.actions.inject(armed)
            self.actions.move(armed)
            if armed.rule.needs_stop:
                self._pending.append(armed)
            if armed.rule.outcome in ("passed", "failed"):
                self._ending = Verdict(Outcome(armed.rule.outcome), f"{armed.site.distinct} was reached")
            if armed.spent:
                say(f"  limit reached: no more hits of {armed.site.distinct} are recorded")
                self.recorder.event("milestone", machine.current_vcpu(), name="limit", function=armed.site.name)
                if all(each.spent for each in point.armed):
                    self._spent.append(point)
        self._overlay(point, waiting)
        stop = bool(self._pending or self._spent or self.arming.due or self._ending) or (
            self._stop_at_hit and self._hit)
        there = self.points.by_address.get(machine.register("rip"))
        if there is not None and there is not point and there.is_valid() and there.enabled:
            stop |= self._reached(there)  # GDB steps over a breakpoint to which the vCPU was moved.
        stop |= self.watchdog.poll() is not None or self.watchdog.interrupted
        return stop or self.recorder.failed is not None

    def _overlay(self, point: Union[Point, Watchpoint], waiting: int) -> None:
        """Answer in the processor's place, or have it done at a stop; not where one is due at this instruction anyhow,
        or where the vCPU has been moved away."""
        for armed in point.armed:
            if armed.rule.overlays == "reads":
                if not armed.spent and self.overlay.reading(armed.site):
                    self._spent += [each for each in self.points.by_address.values() if each.armed == [armed]]
            elif armed.rule.overlays and len(self._pending) == waiting:
                armed.hits += 1
                if machine.register("rip") == point.address and not self.overlay.answer_now(armed.site):
                    self._pending.append(armed)
                self.arming.answered(armed.site)
                self._leave_clock()
                break

    def _leave_clock(self) -> None:
        """Once the KVM clock is set, no wrmsr is looked at any more."""
        if self.overlay.clock_is_set():
            self._spent += [point for point in self.points.by_address.values()
                            if all(each.rule.overlays == "msr" for each in point.armed)]

    def _panicked(self, site: Site) -> None:
        message = machine.read_string(machine.register("rdi")) or ""
        self.recorder.hit(site, "milestone")
        reason = f'the guest called {site.name}("{message}")' if message.isprintable() and message else \
            f"the guest called {site.name}"
        self.watchdog.panicked(reason, message)

    def return_now(self, value: int) -> None:
        """Have the function at whose first instruction the vCPU stands return at once. Raises UserError."""
        self.actions.return_from_here(value)
        self.moved()

    def skip_now(self, count: int) -> None:
        """Move the vCPU past so many instructions. Raises UserError."""
        self.actions.skip(count)
        self.moved()

    def moved(self) -> None:
        """A person has moved the vCPU: GDB would step over a breakpoint there, so it counts now."""
        point = self.points.by_address.get(machine.register("rip"))
        if point is not None and point.is_valid() and point.enabled:
            self._on_hit(point)
            self._settle_stop()
            if self._ending is not None:
                self.finish(self._ending)

    # Between stops.

    def run(self, stop_at_hit: bool) -> Optional[Verdict]:
        """Let the guest run to the first hit, or to the end of the run; None if it stands before that end.

        Ctrl-C counts as standing before the end, wherever it comes. Raises what a breakpoint's handling raised.
        """
        self._stop_at_hit = stop_at_hit
        try:
            return self._run(stop_at_hit)
        except KeyboardInterrupt:
            self.watchdog.interrupted = True
            return None

    def _run(self, stop_at_hit: bool) -> Optional[Verdict]:
        while self.verdict is None:
            self._hit = self._own_stop = False
            signal = self._continue()
            self._raise_failure()
            self._take_console()
            if not machine.connected():
                self.finish(self._guest_gone())
                break
            self._settle_stop()
            if self._ending or self.watchdog.poll():
                self.finish(self.watchdog.verdict or self._ending)
            elif self.recorder.failed is not None:
                self.finish(Verdict(Outcome.FAILED, f"the trace cannot be written further: {self.recorder.failed}",
                                    "make room, or name another place with --trace; what is there can be read"))
            elif stop_at_hit and self._hit:
                return None
            elif signal or self.watchdog.interrupted or not self._own_stop:
                return None  # Ctrl-C, or a breakpoint of the user's own.
        return self.verdict

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _settle_stop(self) -> None:
        """What hits have left to do once the guest stands still."""
        self._raise_failure()
        self._retire()
        self._set_due()
        self._act()
        self.detours.make()

    def _retire(self) -> None:
        """Disable breakpoints whose rules are spent.

        While the guest runs, as from a posted event, GDB may get a hit of one that it has just disabled; it then stops
        for no reason that it can name.
        """
        while self._spent:
            point = self._spent.pop()
            if point.is_valid():
                point.enabled = False

    def _continue(self) -> bool:
        """Resume until GDB stops; True if a signal did it."""
        signals: List[str] = []

        def note(event: Any) -> None:
            if hasattr(event, "stop_signal"):
                signals.append(event.stop_signal)
            for each in getattr(event, "breakpoints", ()):
                if not isinstance(each, (Point, Watchpoint)):
                    say(f"bootsonde: stopped at breakpoint {each.number}, which is yours")

        self.points.check()
        gdb.events.stop.connect(note)
        self.recorder.start_clock()
        self.watchdog.set_running(True)
        try:
            with machine.settings(suppress_cli_notifications="on", can_use_hw_watchpoints="1"):
                gdb.execute("continue", to_string=True)
        except gdb.error as error:
            if machine.connected():
                # "Command aborted." is what remains of "Cannot insert breakpoint N".
                raise UserError(f"GDB cannot go on: {error} Under KVM no breakpoint can be set before paging: "
                                "start the guest with --accel tcg") from None
        finally:
            self.watchdog.set_running(False)
            gdb.events.stop.disconnect(note)
        return bool(signals)

    def _set_due(self) -> None:
        """Set the breakpoints that are due; that where the vCPU stands is asked by hand, as GDB would step over it."""
        due, self.arming.due = self.arming.due, []
        here = machine.register("rip") if due else 0
        was_there = here in self.points.by_address
        self.points.add(due)
        if not was_there and here in self.points.by_address:
            self._on_hit(self.points.by_address[here])

    def _act(self) -> None:
        """What could not be done in stop(): step cpuid, rdmsr and wrmsr instructions."""
        while self._pending:
            armed = self._pending.pop(0)
            stepped = self.actions.step(armed)
            self.arming.answered(armed.site)
            self._leave_clock()
            self._set_due()
            self._retire()
            if not stepped:
                say(f"  {armed.site.label}: no such instruction here; not stepped")
                continue
            # GDB takes a breakpoint at the place it stands at as hit already.
            point = self.points.by_address.get(machine.register("rip"))
            if point is not None and point.is_valid() and point.enabled:
                self._on_hit(point)

    def _take_console(self) -> None:
        self.watchdog.poll()
        for t, line in self.watchdog.take_lines():
            self.recorder.console(t, line)

    def _guest_gone(self) -> Verdict:
        """The verdict on a guest whose stub has closed."""
        status: Optional[int] = None
        shutdown: Optional[str] = None
        if self.config.exit_file is not None:
            deadline = time.monotonic() + EXIT_FILE_S
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError, ValueError):
                    with open(self.config.exit_file, encoding="utf-8") as file:
                        told = json.load(file)
                    status, shutdown = told["status"], told.get("shutdown")
                    break
                time.sleep(0.01)
        self._take_console()
        if self.watchdog.verdict is not None and self.watchdog.verdict.outcome is Outcome.PASSED:
            return self.watchdog.verdict
        verdict = guest_exit(status, self.watchdog.text(), shutdown)
        self.recorder.event("exit", None, status=status, shutdown=shutdown)
        return verdict

    def finish(self, verdict: Optional[Verdict]) -> None:
        """End the run: where the vCPUs are, the trace's end, the summary. The guest, if any, stands still."""
        assert verdict is not None
        if self.verdict is not None:
            return
        self._take_console()
        verdict = self._identity_verdict() or verdict
        if not verdict.vcpus and machine.connected():
            places = [(vcpu, pc if pc is None else self.detours.stands_for(pc))
                      for vcpu, pc in machine.program_counters()]
            verdict.vcpus = [VcpuPlace(vcpu, pc, "" if pc is None else self.symbolizer.describe(pc))
                             for vcpu, pc in places]
        if self.watchdog.partial():
            self.recorder.console(self.recorder.now(), printable(self.watchdog.partial()))
        self.verdict = verdict
        self.recorder.end(**verdict.to_json())
        self.watchdog.close()

    def _identity_verdict(self) -> Optional[Verdict]:
        """At the end of a run without a hit: a verdict if the guest turns out to have run another kernel."""
        if not self._identified and machine.connected():
            try:
                self._identified = check_identity(self._info, virtual=True)
            except UserError as error:
                return Verdict(Outcome.USAGE, str(error))
        return None

    @staticmethod
    def _counted(sites: Sequence[Site]) -> List[str]:
        """Under which names the sites' hits are counted: a function with its copies, any other place by itself. Several
        functions of one name, such as static twins and methods, are told apart by where they are declared."""
        declared: Dict[str, Set[str]] = {}
        for site in sites:
            if site.kind in _FUNCTIONS:
                declared.setdefault(site.function, set()).add(site.where)
        return [site.distinct if site.kind not in _FUNCTIONS else
                site.function if len(declared[site.function]) == 1 else f"{site.function} ({site.where})"
                for site in sites]

    def print_summary(self) -> None:
        """Which functions were hit and which never, rule by rule."""
        for planned in self.planned[:-1]:
            if planned.armed and not planned.rule.overlays:
                names = self._counted([armed.site for armed in planned.armed])
                for line in summary(planned.title, [(name, armed.hits, armed.spent)
                                                    for name, armed in zip(names, planned.armed)]):
                    say(line)
                unreadable = sum(armed.unreadable for armed in planned.armed)
                if unreadable:
                    say(f"  the condition's memory was not mapped at {unreadable} hits; they do not count")
        for line in self.overlay.summary():
            say(line)
        if not self._identified:
            say(f"  note: nothing was hit, and nothing of {self.config.symbols} was seen in the guest's memory: is it "
                "what was booted, and does it run where it was linked (Linux: nokaslr)?")

    def close_files(self) -> None:
        """End the watchdog's thread and the symbolizer's process."""
        if self._watchdog is not None:
            self._watchdog.close()
        self.symbolizer.close()

    def close_run(self) -> None:
        """Take the breakpoints out; a run that has not ended ends here. The connection stays."""
        if self.started and self.verdict is None:
            self.finish(Verdict(Outcome.INTERRUPTED, "the session was left before the run had ended"))
        if self.started:
            with contextlib.suppress(gdb.error):  # The guest may end just now.
                self.detours.undo()
        self.points.clear()
        self.close_files()

    def close(self, kill: bool) -> None:
        """close_run, then leave the guest: end it, or let it run on. A connection that was found stays."""
        self.close_run()
        if self.connection.ours:
            self.connection.close(kill)
