"""Replays: a baseline's boot once more, and where it went another way. For the verb and for pytest alike."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Dict, List, Optional, Tuple, Type

from bootsonde import places
from bootsonde.host.baselines import cprobe, load
from bootsonde.host.boots import TIMEOUT_S, Came, Kernel, boot_once, temporary_folder
from bootsonde.host.record import config_facts, disk_facts
from bootsonde.host.options import conf_of_folder
from bootsonde.host.report import file_text, last_lines, shown
from bootsonde.model.baseline import Baseline
from bootsonde.model.errors import UserError
from bootsonde.model.matrix import Row, read_matrix
from bootsonde.model.outcome import Outcome


class State(str, Enum):
    """What became of a replay. The value is the word in reports."""

    EQUAL = "equal"
    DIVERGED = "diverged"
    USAGE = "not run"
    LOST = "lost"
    TIMEOUT = "timed out"

    @property
    def exit_code(self) -> int:
        """As the contract has it."""
        return list(State).index(self)


@dataclass
class Result:
    """What became of a replay, and the text that says how it differs, or why it was not; where it is equal, on what
    other machine."""

    state: State
    text: str = ""


@dataclass(frozen=True)
class Choice:
    """What holds for all replays of one command. rows: of a matrix; none: each baseline boots once.

    options: the launcher's, in place of those of the baselines; files by absolute paths. timeout_s: in place of theirs.
    keep: a folder for the traces of boots that diverge; None: a temporary one for each; empty: they are not kept.
    """

    kernel: Kernel
    rows: List[Row] = field(default_factory=list)
    options: Dict[str, str] = field(default_factory=dict)
    timeout_s: Optional[float] = None
    keep: Optional[str] = None

    @property
    def has_kernels(self) -> bool:
        """Whether the matrix names the kernels; `kernel` is its first one then."""
        return bool(self.rows) and "kernel" in self.rows[0].values


@dataclass(frozen=True)
class Replay:
    """One boot to compare. name: the baseline's, with its row of the matrix."""

    path: str
    name: str
    kernel: Kernel
    options: Dict[str, str]
    timeout_s: Optional[float]
    keep: Optional[str]


def choose(kernel: Optional[str], symbols: Optional[str], matrix: Optional[str], options: Dict[str, str],
           timeout_s: Optional[float], keep: Optional[str]) -> Choice:
    """What a command line asks for. Raises UserError."""
    rows: List[Row] = []
    if matrix is not None:
        try:
            with open(matrix, encoding="utf-8") as file:
                rows = read_matrix(file.read(), matrix)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{matrix}: the matrix cannot be read: {error}") from None
    if rows and "kernel" in rows[0].values:
        if kernel is not None:
            raise UserError(f"a kernel is given, and {matrix} has some of its own: leave one of them out")
        kernel = rows[0].values["kernel"]
    if kernel is None:
        kernel, origin = places.default_kernel()
        if origin == places.CONF_OF_FOLDER:
            symbols = symbols or conf_of_folder().get("symbols")
    kernel = os.path.abspath(kernel)
    if options.get("icount") == "":
        raise UserError("without icount no boot is like another")
    return Choice(Kernel(kernel, os.path.abspath(symbols) if symbols else kernel), rows, options, timeout_s,
                  os.path.abspath(keep) if keep else None)


def replays_of(path: str, choice: Choice) -> List[Replay]:
    """The replays of one baseline's file, which is not read yet."""
    stem = os.path.splitext(os.path.basename(path))[0]
    found = []
    for row in choice.rows or [Row("", {})]:
        values = dict(row.values)
        kernel = Kernel(values["kernel"], values["kernel"]) if "kernel" in values else choice.kernel
        if "symbols" in values:
            kernel = Kernel(kernel.path, values["symbols"])
        options = {key: value for key, value in values.items() if key not in ("kernel", "symbols")}
        found.append(Replay(path, f"{stem}[{row.name}]" if row.name else stem, kernel, {**options, **choice.options},
                            choice.timeout_s, choice.keep))
    return found


class _Replaying:
    """One replay under way. A context manager: after it the boot's files are gone, but for those worth a look.

    Raises UserError for what cannot be replayed.
    """

    def __init__(self, asked: Replay) -> None:
        self._asked = asked
        self._baseline: Optional[Baseline] = None
        self._came: Optional[Came] = None
        self._folder = ""
        self._is_kept = False

    def __enter__(self) -> _Replaying:
        self._folder = temporary_folder("replay")
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], *_: object) -> None:
        if not self._is_kept:
            shutil.rmtree(self._folder, ignore_errors=True)

    def boot(self) -> Optional[Result]:
        """A result only where there is nothing to compare: the boot does not come to an end by itself."""
        asked = self._asked
        baseline = self._baseline = load(asked.path)
        boot = replace(baseline.boot, options={**baseline.boot.options, **asked.options})
        base = os.path.dirname(os.path.abspath(asked.path))
        self._came = boot_once(boot, asked.kernel, base, self._folder,
                               asked.timeout_s or baseline.boot.timeout_s or TIMEOUT_S)
        state = {Outcome.LOST: State.LOST, Outcome.TIMEOUT: State.TIMEOUT}.get(self._came.verdict.outcome)
        return Result(state, "\n".join(self._unfinished(self._came))) if state is not None else None

    def compare(self) -> Result:
        """After boot(): where it went another way than the baseline."""
        assert self._came is not None
        differs, text = self._diff(self._came.trace)
        if not differs:
            return Result(State.EQUAL, text)
        ended = [f"this boot: {self._came.verdict.outcome.value}: {self._came.verdict.reason}"]
        return Result(State.DIVERGED, "\n".join([text, *ended, *self._notes(), *self._kept(), *self._next()]))

    def _diff(self, trace: str) -> Tuple[bool, str]:
        """Whether the trace differs, and how; of one that does not, what was another machine."""
        path = self._asked.path
        status, text, said = cprobe("diff", path, trace)
        if not status:
            return False, "\n".join(line for line in text.split("\n") if line.startswith("note: "))
        try:  # Once more, with the kernel's lines of source where the trace has none.
            status, text, said = cprobe("diff", path, trace, "--kernel", self._asked.kernel.symbols)
        except UserError:
            pass
        return True, "\n".join(part for part in (text.rstrip(), said) if part)

    def _unfinished(self, came: Came) -> List[str]:
        verdict = came.verdict
        lines = [verdict.reason]
        lines += [f"  {program}: {line}" for program, log in came.said.items() for line in last_lines(log)]
        tail = last_lines(file_text(came.console))
        lines += ["  the console's last lines:", *(f"    {line}" for line in tail)] if tail else []
        lines += [f"  {place}" for place in verdict.vcpus]
        lines += [f"  next: {verdict.advice}"] if verdict.advice else []
        if os.path.exists(came.trace):
            try:
                differs, text = self._diff(came.trace)
            except UserError as error:
                differs, text = True, str(error)
            lines += ["as far as it came:", text] if differs else []
        return [*lines, *self._kept()]

    def _notes(self) -> List[str]:
        """What else is not as it was when the baseline was recorded."""
        assert self._baseline is not None
        asked, lines = self._asked, []
        known = self._baseline.of_recorded("kernel")
        if known and known != [asked.kernel.name]:
            lines.append(f"note: recorded with the kernel {known[0]}, and this is {asked.kernel.path}")
        base = os.path.dirname(os.path.abspath(asked.path))
        boot = replace(self._baseline.boot, options={**self._baseline.boot.options, **asked.options})
        facts = disk_facts(boot, base)
        if self._baseline.of_recorded("config"):
            facts += config_facts(asked.kernel) or [("config", "none in this kernel")]
        for key, value in facts:
            was = self._baseline.of_recorded(key)
            if was and was != [value]:
                lines.append(f"note: another {key}: {value}; recorded: {was[0]}")
        return lines

    def _kept(self) -> List[str]:
        """Keep the boot's files; lines that say where."""
        assert self._came is not None
        found = [(name, path) for name, path in (("trace", self._came.trace), ("console", self._came.console))
                 if os.path.exists(path)]
        if self._asked.keep == "":
            return []
        if self._asked.keep is None:
            self._is_kept = True
            return [f"{name} in {path}" for name, path in found]
        near = os.path.dirname(os.path.relpath(self._asked.path))
        if near.startswith(os.pardir):  # Several may have one name.
            near = os.path.dirname(os.path.abspath(self._asked.path))[1:]
        stem = re.sub(r"[^\w.,=+-]", "_", os.path.join(near, self._asked.name))
        lines = []
        for name, path in found:
            to = os.path.join(self._asked.keep, f"{stem}.{name}")
            try:
                os.makedirs(self._asked.keep, exist_ok=True)
                shutil.move(path, to)
                lines.append(f"{name} in {to}")
            except OSError as error:
                self._is_kept = True
                lines.append(f"{name} in {path}: it could not be put into {self._asked.keep}: {error.strerror}")
        return lines

    def _next(self) -> List[str]:
        accept = f"bootsonde replay --accept {shown(self._asked.path)} --kernel {shown(self._asked.kernel.path)}"
        if not self._asked.options:
            return [f"if this is meant: {accept}"]
        # --accept boots as the baseline says.
        given = ", ".join(f"`{key} = {value}`" for key, value in self._asked.options.items())
        return [f"if this is meant: {given} into [boot] of that baseline, or of a copy, then {accept}"]


def carry_out(asked: Replay) -> Result:
    """One replay from beginning to end."""
    try:
        with _Replaying(asked) as replaying:
            return replaying.boot() or replaying.compare()
    except UserError as error:
        return Result(State.USAGE, str(error))
