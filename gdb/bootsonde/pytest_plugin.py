"""Baselines as pytest's tests: `pytest -p bootsonde.pytest_plugin FILE.baseline`.

Each *.baseline is a test, or one for each row of --bootsonde-matrix. A boot that went another way is a failure; one
that was lost, timed out or could not be run is an error, as it says nothing about the kernel.
scenarios/baselines/conftest.py loads this where baselines lie.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple, Union

import pytest

from bootsonde.host.baselines import SUFFIX
from bootsonde.host.options import check_timeout
from bootsonde.host.replaying import Choice, Replay, Result, State, carry_out, choose, replays_of
from bootsonde.model.baseline import FILES, OPTIONS
from bootsonde.model.errors import UserError

#: The properties of a test's report that have its State, and what is to be said of one that is equal.
PROPERTY, NOTES = "bootsonde", "bootsonde-notes"
_CHOICE = pytest.StashKey[Choice]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """--bootsonde-*."""
    group = parser.getgroup("bootsonde", "boots compared with baselines")
    group.addoption("--bootsonde-kernel", metavar="K", help="what to boot; else $BOOTSONDE_KERNEL, else "
                                                            "./bootsonde.conf, else the reference guest")
    group.addoption("--bootsonde-symbols", metavar="S", help="the ELF to look names up in, if it is not K")
    group.addoption("--bootsonde-matrix", metavar="FILE", help="kernels, CPUs, numbers of vCPUs: a test for each "
                                                               "combination")
    group.addoption("--bootsonde-timeout", metavar="S", type=float, help="seconds for each boot, in place of the "
                                                                         "baseline's")
    group.addoption("--bootsonde-keep", metavar="FOLDER", help="where traces and consoles of boots that diverge are "
                                                               "kept (default: a temporary folder)")
    group.addoption("--bootsonde-boot", metavar="NAME=VALUE", action="append", default=[],
                    help="an option of the launcher in place of the baseline's, such as smp=2")


def _options(words: Iterable[str]) -> Dict[str, str]:
    options = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in OPTIONS:
            raise UserError(f"--bootsonde-boot {word}: NAME=VALUE is expected, with one of {', '.join(OPTIONS)}")
        options[name] = os.path.abspath(value) if name in FILES else value
    return options


def _choice(config: pytest.Config) -> Choice:
    """What the command line asks for, once. Raises pytest.UsageError."""
    choice = config.stash.get(_CHOICE, None)
    if choice is None:
        def given(name: str) -> Any:
            return config.getoption(f"bootsonde_{name}", None)  # None, too, where a conftest below loaded this late.

        try:
            timeout_s: Optional[float] = given("timeout")
            if timeout_s is not None:
                check_timeout(timeout_s)
            choice = choose(given("kernel"), given("symbols"), given("matrix"), _options(given("boot") or []),
                            timeout_s, given("keep"))
        except UserError as error:
            raise pytest.UsageError(f"bootsonde: {error}") from None
        config.stash[_CHOICE] = choice
    return choice


def pytest_configure(config: pytest.Config) -> None:
    """What is wrong with the options is said before anything runs."""
    if any(config.getoption(f"bootsonde_{name}", None) not in (None, []) for name in ("matrix", "timeout", "boot")):
        _choice(config)


def pytest_report_header(config: pytest.Config) -> List[str]:
    """The kernel, as the command announces it; none where there is none to boot, which the tests say."""
    try:
        choice = _choice(config)
        return [] if choice.has_kernels else [f"bootsonde: kernel {choice.kernel.path}"]
    except pytest.UsageError:
        return []


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Optional[BaselineFile]:
    """pytest's hook."""
    if file_path.suffix == SUFFIX:
        return BaselineFile.from_parent(parent, path=file_path)  # type: ignore[no-any-return]
    return None


class BaselineFile(pytest.File):
    """One baseline's tests."""

    def collect(self) -> Iterable[BaselineItem]:
        """One for each row of the matrix."""
        for replay in replays_of(str(self.path), _choice(self.config)):
            yield BaselineItem.from_parent(self, name=replay.name, replay=replay)


class BaselineItem(pytest.Item):
    """One boot. It is set up by being carried out; what it says of the kernel is the outcome of its run."""

    def __init__(self, *, replay: Replay, **known: Any) -> None:
        super().__init__(**known)
        self._replay = replay
        self._result = Result(State.USAGE)

    def setup(self) -> None:
        """Boot, and compare. What is wrong here is an error, not a failure."""
        self._result = carry_out(self._replay)
        self.user_properties.append((PROPERTY, self._result.state.value))
        if self._result.state is State.EQUAL and self._result.text:
            self.user_properties.append((NOTES, self._result.text))
        if self._result.state not in (State.EQUAL, State.DIVERGED):
            pytest.fail(self._result.text, pytrace=False)

    def runtest(self) -> None:
        """Whether it went another way."""
        if self._result.state is not State.EQUAL:
            pytest.fail(self._result.text, pytrace=False)

    def reportinfo(self) -> Tuple[Union[Path, str], Optional[int], str]:
        """Where the test is, for pytest's reports."""
        return self.path, None, self.name
