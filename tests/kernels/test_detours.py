"""Detours in a kernel that asks all leaves by one cpuid instruction, Debian's: where they are made, and where not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from labkit import Done, Lab, open_lab
from terminals import Gdb, gdb, launcher

from bootsonde.model.trace import Trace
from bootsonde.probe import Probe

from .conftest import DEBIAN_APPEND, NO_ROOT

MADE = "cpuid in native_cpuid: detoured, GDB is only stopped for the leaves of the overlay"
REFUSED = "cpuid in native_cpuid: GDB is stopped for every leaf, since"
SMP = {1: (), 2: ("--smp", "2", "--machine", "acpi=on")}
CLOCK = ("scenario.kvm_clock()", f"scenario.until({NO_ROOT!r})")


@dataclass(frozen=True)
class Places:
    """Of native_cpuid's instruction: where it is, and the padding that cprobe tells."""

    site: int
    hop: int
    cave: int


@pytest.fixture(scope="module")
def places(cprobe: Path, debian: Path) -> Places:
    asked = Probe(str(cprobe), str(debian / "vmlinux")).ask("find", "--insn", "cpuid", "--padding", "--in-func",
                                                            "native_cpuid")
    (record,) = [each for each in asked.records if "hop" in each and "outer" not in each]
    return Places(*(int(record[key], 16) for key in ("address", "hop", "cave")))


def boot(lab: Lab, debian: Path, *lines: str, words: tuple[str, ...] = ()) -> tuple[Done, Trace]:
    done = lab.run(lab.scenario("told", *lines), "--kernel", debian / "vmlinux", "--append", DEBIAN_APPEND, *words)
    return done.expect(0), lab.trace("told")


def written(trace: Trace) -> list[dict[str, Any]]:
    return [event for event in trace.of_kind("inject") if event["target"] == "code"]


@pytest.fixture(scope="module", params=[1, 2], ids=lambda smp: f"{smp} vCPU")
def detoured(request: pytest.FixtureRequest, root: Path, build: Path, debian: Path,
             tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Done, Trace]]:
    with open_lab(root, build, tmp_path_factory.mktemp("detoured")) as lab:
        yield boot(lab, debian, *CLOCK, words=SMP[request.param])


def test_a_detour_is_made_and_told(detoured: tuple[Done, Trace], places: Places) -> None:
    done, trace = detoured
    assert done.out.count(MADE) == 1
    cave, hop, site = written(trace)
    assert [int(event["address"], 16) for event in (cave, hop, site)] == [places.cave, places.hop, places.site]
    assert (site["before"], site["after"][:2], hop["after"][:2]) == ("0fa2", "eb", "e9")
    assert set(cave["before"]) == {"c"} and cave["after"].count("0fa2") == 2


def test_what_is_answered_is_said_of_the_site(detoured: tuple[Done, Trace], places: Places) -> None:
    _, trace = detoured
    begin = written(trace)[-1]["seq"]
    told = [event for event in trace.of_kind("cpuid") if event["seq"] > begin]
    assert len(told) > 10 and {(event["function"], int(event["address"], 16)) for event in told} == {
        ("native_cpuid", places.site)}
    assert {event["leaf"] for event in told} == {"0x40000000", "0x40000001"}
    assert {event["caller"]["function"].partition("+")[0] for event in told} >= {
        "kvm_arch_para_features", "__kvm_cpuid_base"}


def test_the_kernel_goes_on_as_ever(detoured: tuple[Done, Trace]) -> None:
    """It meets its own answers where they are not changed, and prints of the others what it did before."""
    console = "\n".join(event["text"] for event in detoured[1].of_kind("console"))
    assert "Hypervisor detected: KVM" in console and "Switched to clocksource kvm-clock" in console
    assert not re.search(r"WARNING:|BUG:|Oops|unchecked MSR", console)


# Where there is none.


@pytest.mark.long
def test_not_where_the_scenario_leaves_the_code(lab: Lab, debian: Path, places: Places) -> None:
    done = lab.run(lab.stock("kvmclock"), "--kernel", debian / "vmlinux", "--append", DEBIAN_APPEND, "--until", NO_ROOT,
                   "--set", "detour=no").expect(0)
    assert "detoured" not in done.out and not written(lab.trace("kvmclock"))
    assert {int(event["address"], 16) for event in lab.trace("kvmclock").of_kind("cpuid")} == {places.site}


@pytest.mark.long
def test_not_for_leaves_without_number(lab: Lab, debian: Path) -> None:
    """Each leaf above a limit shows the highest basic one."""
    done, trace = boot(lab, debian, 'scenario.cpuid("0x15: eax = 2, ebx = 216, ecx = 24000000, edx = 0")', CLOCK[1])
    assert not written(trace) and trace.of_kind("cpuid")
    assert f"{REFUSED} what is changed shows in leaves without number" in done.out


@pytest.mark.long
def test_not_where_a_rule_watches_it(lab: Lab, debian: Path) -> None:
    done, trace = boot(lab, debian, *CLOCK,
                       'scenario.at(Insn("cpuid", in_func="native_cpuid"), limit=700).watch_cpuid()')
    assert "detoured" not in done.out and not written(trace)
    assert "0x40000100" in {event["leaf"] for event in trace.of_kind("cpuid")}


@pytest.mark.long
@pytest.mark.parametrize("room", ["hop", "cave"])
def test_not_where_memory_has_other_bytes(lab: Lab, debian: Path, places: Places, room: str) -> None:
    """As if the kernel had patched its padding."""
    start = getattr(places, room) - 0xffffffff80000000
    writes = "".join(f".set_memory({start + offset:#x}, 0x67, size=1, physical=True)" for offset in range(
        0, 15 if room == "hop" else 256, 5 if room == "hop" else 64))
    done, trace = boot(lab, debian, *CLOCK, f'scenario.at(Functions("xen_prepare_pvh")){writes}')
    assert f"{REFUSED} nothing is where the kernel's file has padding" in done.out
    assert not written(trace) and "Hypervisor detected: KVM" in str(trace.of_kind("console"))


@pytest.mark.long
def test_other_padding_is_taken_where_the_first_is_not_free(lab: Lab, debian: Path, places: Places) -> None:
    start = places.cave - 0xffffffff80000000
    _, trace = boot(lab, debian, *CLOCK, 'scenario.at(Functions("xen_prepare_pvh")).set_memory('
                    f'{start:#x}, 0x67, size=1, physical=True)')
    assert int(written(trace)[0]["address"], 16) == places.cave + 64


# A person's GDB.


def bytes_at(debugger: Gdb, address: int) -> str:
    return "".join(re.findall(r"0x([0-9a-f]{2})\b", debugger.type(f"x/2xb {address:#x}").partition(":")[2]))


@pytest.fixture
def at_registration(lab: Lab, debian: Path) -> Iterator[Gdb]:
    """Stopped where the kernel registers its clock, in a connection that was there before the scenario."""
    scenario = lab.scenario("told", *CLOCK, 'scenario.at(Functions("kvm_register_clock"))')
    with launcher(lab, "--append", DEBIAN_APPEND, kernel=debian / "vmlinux"), gdb(lab) as debugger:
        debugger.type(f"source {lab.root / 'gdb' / 'commands.py'}")
        debugger.type("set bootsonde-symbols-at-prompt never")
        debugger.type(f"target remote {lab.runtime / 'tty'}")
        assert MADE in debugger.type(f"source {scenario}")
        yield debugger


def test_detaching_puts_the_instruction_back(at_registration: Gdb, places: Places) -> None:
    assert bytes_at(at_registration, places.site).startswith("eb")
    assert "the connection stays" in at_registration.type("bootsonde detach")
    assert bytes_at(at_registration, places.site) == "0fa2"


@pytest.mark.long
def test_a_vcpu_in_a_detour_is_brought_back(at_registration: Gdb, places: Places) -> None:
    at_registration.type(f"set $rip = {places.cave + 2:#x}")
    at_registration.type("set $rdx = 0x1234")
    at_registration.type("bootsonde detach")
    shown = at_registration.type("p/x $rip == %d && $rcx == 0x1234" % places.site)
    assert "= 0x1" in shown, shown


@pytest.mark.parametrize("command", ["bootsonde overlay cpuid 0x80000007: edx |= invariant_tsc",
                                     "bootsonde break native_read_cr0"])
def test_what_is_added_finds_the_instruction(at_registration: Gdb, places: Places, command: str) -> None:
    at_registration.type(command)
    assert bytes_at(at_registration, places.site) == "0fa2"
    said = at_registration.type("bootsonde go")
    assert MADE in said and f'passed: the console shows "{NO_ROOT}"' in said, said


@pytest.mark.long
def test_a_second_session_finds_its_own_padding(at_registration: Gdb, lab: Lab, places: Places) -> None:
    """What was left there is what it would write."""
    at_registration.type("bootsonde detach")
    again = lab.scenario("again", *CLOCK)
    said = at_registration.type(f"source {again}")
    assert MADE in said, said
    cave, hop, site = written(lab.trace("again"))
    assert int(cave["address"], 16) == places.cave and int(hop["address"], 16) == places.hop
    assert cave["before"] == cave["after"] and hop["before"] == hop["after"] and site["before"] == "0fa2"


@pytest.mark.long
def test_not_where_a_person_has_a_breakpoint(lab: Lab, debian: Path, places: Places) -> None:
    scenario = lab.scenario("told", *CLOCK, 'scenario.at(Functions("xen_prepare_pvh"))')
    with launcher(lab, "--append", DEBIAN_APPEND, kernel=debian / "vmlinux"), gdb(lab) as debugger:
        debugger.type("set bootsonde-symbols-at-prompt never")
        debugger.type(f"source {scenario}")
        debugger.type(f"break *{places.site:#x} if $rax == 0x12345678")
        said = debugger.type("bootsonde go")
        assert f"{REFUSED} there is another breakpoint" in said, said
        assert bytes_at(debugger, places.site) == "0fa2"
