"""What every test shares: where the build is, and the `--long` switch.

$BOOTSONDE_BUILD names the Meson build folder (default: build/ of the checkout).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from labkit import Lab, open_lab
from turns import turn

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests marked `long`")


def pytest_configure() -> None:
    """A run in the background (nohup, `&`) ignores signals, and so would the commands under test: handlers are not
    inherited."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Around a test and its fixtures; its time limit does not count while it waits."""
    with turn("alone" in item.keywords):
        yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="long test: run with --long")
    for item in items:
        if "long" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def build() -> Path:
    """The Meson build folder; it must have been compiled."""
    folder = Path(os.environ.get("BOOTSONDE_BUILD", ROOT / "build"))
    if not (folder / "build.ninja").exists():
        pytest.fail(f"{folder} is not a Meson build folder: run meson setup build && meson compile -C build")
    return folder


@pytest.fixture(scope="session")
def cprobe(build: Path) -> Path:
    """The cprobe command."""
    return build / "cprobe" / "cprobe"


@pytest.fixture(scope="session")
def guest(build: Path) -> Path:
    """The reference guest, stripped, with a .gnu_debuglink to clockguest.debug beside it."""
    return build / "guest" / "clockguest"


@pytest.fixture
def lab(root: Path, build: Path, tmp_path: Path) -> Iterator[Lab]:
    """A room for runs of bootsonde; see labkit.Lab."""
    with open_lab(root, build, tmp_path) as opened:
        yield opened
