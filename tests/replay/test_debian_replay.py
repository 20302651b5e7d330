"""Record and replay on Debian's kernel, which nobody here wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fetched import fetched
from labkit import Lab, open_lab

pytestmark = pytest.mark.long

#: Until it finds no root; the TSC's frequency is told, since its measuring hangs on a busy machine.
BOOT = "console=ttyS0 nokaslr tsc_early_khz=1000000"
END = "Unable to mount root"
#: The clocks' functions by the plugin, which knows no scenario; and what GDB sees by one.
WHAT = {"plugin": ["--file", "tsc.c", "--file", "apic.c", "--file", "hpet.c"],
        "gdb": ["pvclock"]}
REPLAYS = 10
LIMIT_S = 600.0


@pytest.fixture(scope="module", params=["plugin", "gdb"])
def recorded(request: pytest.FixtureRequest, root: Path, build: Path, tmp_path_factory: pytest.TempPathFactory
             ) -> Iterator[tuple[Lab, Path]]:
    kernel = fetched("debian-kernel") / "vmlinux"
    with open_lab(root, build, tmp_path_factory.mktemp("debian")) as lab:
        what = [str(lab.stock(word)) if word == "pvclock" else word for word in WHAT[request.param]]
        lab.command(lab.words("record", *what, "--kernel", kernel, "--append", BOOT, "--until", END, "--console",
                              "text", "-o", "linux.baseline"), deadline=LIMIT_S).expect(0)
        yield lab, kernel


def test_the_baseline_has_kilobytes_and_the_clocks(recorded: tuple[Lab, Path]) -> None:
    text = (recorded[0].cwd / "linux.baseline").read_text()
    assert len(text) < 100_000
    assert "    tsc_init" in text and "kernel/tsc.c:" in text and END in text


def test_it_replays_without_a_false_alarm(recorded: tuple[Lab, Path]) -> None:
    lab, kernel = recorded
    for _ in range(REPLAYS):
        lab.command(lab.words("replay", "linux.baseline", "--kernel", kernel), deadline=LIMIT_S).expect(0)


def test_a_command_line_that_changes_the_path_is_caught(recorded: tuple[Lab, Path]) -> None:
    """Without a local APIC other functions bring the clocks up."""
    lab, kernel = recorded
    done = lab.command(lab.words("replay", "linux.baseline", "--kernel", kernel, "--append", f"{BOOT} nolapic"),
                       deadline=LIMIT_S).expect(1)
    assert "first divergence: " in done.out and "note: -append: " in done.out
    assert "setup_local_APIC" in done.out or "apic" in done.out.lower()
