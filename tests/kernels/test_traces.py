"""A whole boot of Debian's kernel under the plugin, and what cprobe says of it."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from labkit import Lab, open_lab

from bootsonde.model.trace import TraceReader

from .conftest import DEBIAN_APPEND, NO_ROOT


@dataclass
class Boot:
    """A recorded boot."""

    cprobe: Path
    kernel: Path
    trace: Path

    def ask(self, verb: str, *words: str) -> str:
        return subprocess.run([self.cprobe, verb, self.kernel, *words], capture_output=True, text=True, check=True,
                              timeout=60).stdout

    def records(self, verb: str, *words: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ask(verb, *words, "--format", "json").splitlines()]


@pytest.fixture(scope="module")
def boot(root: Path, build: Path, cprobe: Path, debian: Path,
         tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boot]:
    with open_lab(root, build, tmp_path_factory.mktemp("boot")) as lab:
        lab.command(lab.words("trace", "--kernel", debian / "vmlinux", "--append", DEBIAN_APPEND, "--until", NO_ROOT,
                              "-o", "boot.trace")).expect(0)
        yield Boot(cprobe, debian / "vmlinux", lab.cwd / "boot.trace")


def test_it_begins_before_paging(boot: Boot) -> None:
    """The first functions run where they are loaded; one of them comes to linked addresses, and back, in between."""
    with boot.trace.open("rb") as stream:
        first = [event["function"] for event in itertools.islice(TraceReader(stream, "boot"), 20000)]
    assert first[0] == "xen_prepare_pvh"
    assert first.index("verify_cpu") < first.index("__startup_64") < first.index("x86_64_start_kernel")


def test_millions_of_events_take_few_bytes(boot: Boot) -> None:
    entries = sum(record.get("count", 0) for record in boot.records("coverage", str(boot.trace))
                  if record.get("kind") == "function")
    assert entries > 1_000_000
    assert boot.trace.stat().st_size <= 12 * entries


def test_no_function_of_pvclock_ran(boot: Boot) -> None:
    shown = boot.ask("coverage", str(boot.trace), "--file", "pvclock.c")
    assert "pvclock_clocksource_read" in shown and ": 0 of " in shown


@pytest.mark.parametrize("function, words", [
    ("kvmclock_init", ["x86_hyper_kvm", "kvm_detect ran once", "kvm_init_platform did not run"]),
    ("xen_hvm_guest_init", ["x86_hyper_xen_hvm", "xen_platform_hvm ran once"]),
    ("native_calibrate_cpu", ["tsc_init", "native_calibrate_cpu_early"]),
])
def test_why(boot: Boot, function: str, words: list[str]) -> None:
    shown = boot.ask("why", function, str(boot.trace))
    assert f"{function} (" in shown and "did not run" in shown.splitlines()[0]
    for word in words:
        assert word in shown


def test_two_vcpus_have_streams_of_their_own(lab: Lab, debian: Path) -> None:
    lab.command(lab.words("trace", "--kernel", debian / "vmlinux", "--append", DEBIAN_APPEND, "--until", NO_ROOT,
                          "--smp", "2", "--machine", "acpi=on", "--file", "tsc*.c", "-o", "t")).expect(0)
    trace = lab.read("t")
    assert {event["vcpu"] for event in trace.of_kind("hit")} == {0, 1}
    assert trace.end is not None and len(trace.end["events"]) == 2


@pytest.mark.long
def test_two_recordings_are_the_same_byte_by_byte(lab: Lab, debian: Path) -> None:
    for name in ("a", "b"):
        lab.command(lab.words("trace", "--deterministic", "--kernel", debian / "vmlinux", "--append",
                              "console=ttyS0 nokaslr tsc_early_khz=1000000", "--until", NO_ROOT, "-o", name)).expect(0)
    assert (lab.cwd / "a").read_bytes() == (lab.cwd / "b").read_bytes()
