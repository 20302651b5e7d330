"""Injection, by scenario and by hand: what is written, what is refused before anything is, what is recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from labkit import Lab
from terminals import Gdb, gdb, launcher

#: A guest that comes to login by itself.
BOOTS = ("--append", "guest.i8254=1")
#: The reference guest's 32-bit entry, at its physical address: cli, cld, and a mov of 6 bytes.
PVH_ENTRY = 0x200000
#: VMA - LMA of the reference guest.
KERNBASE = 0xffffffff80000000


@pytest.fixture
def at_hit(lab: Lab) -> Iterator[Gdb]:
    """In the kernel, 64-bit, at tsc_init, with its symbols."""
    with launcher(lab), gdb(lab) as debugger:
        assert "cpu0 tsc_init()" in debugger.type(f"source {lab.stock('pvclock')}")
        yield debugger


def injected(lab: Lab, name: str = "pvclock") -> list[tuple[Any, ...]]:
    return [(event["target"], event["before"], event["after"]) for event in lab.trace(name).of_kind("inject")]


def value(debugger: Gdb, expression: str) -> int:
    """What GDB makes of a C expression."""
    said = debugger.type(f"p/x {expression}")
    found = re.search(r"^\$\d+ = (0x[0-9a-f]+)", said, re.M)
    assert found is not None, said
    return int(found[1], 16)


def ran(lab: Lab, *rules: str, status: int = 0, words: tuple[str, ...] = BOOTS) -> str:
    """A run with these rules to its end; what it said."""
    lab.scenario("rules", *rules, 'scenario.until("login:")')
    done = lab.run("rules.py", *words).expect(status)
    assert "Traceback" not in done.out + done.err
    lab.expect_nothing_left()
    return done.out + done.err


# Variables.


def test_variables_are_injected_by_name_at_a_stop(at_hit: Gdb, lab: Lab) -> None:
    said = at_hit.type("bootsonde inject tsc_freq=2000000000 bootverbose=$rax*0+1")
    assert "injected tsc_freq = 0x77359400 (2000000000), was 0x0" in said and "injected bootverbose = 0x1" in said
    assert value(at_hit, "tsc_freq") == 2000000000
    at_hit.type("bootsonde detach")
    events = [(event["function"], event["target"], event["after"]) for event in lab.trace("pvclock").of_kind("inject")]
    assert events == [("tsc_init", "tsc_freq", "0x77359400"), ("tsc_init", "bootverbose", "0x1")]


def test_a_negative_value_fits_a_signed_variable(at_hit: Gdb) -> None:
    assert "injected vm_guest = 0xffffffff (-1)" in at_hit.type("bootsonde inject vm_guest=-1")
    assert "= -1" in at_hit.type("p vm_guest")


def test_a_register_is_taken_with_all_its_bits(at_hit: Gdb) -> None:
    """GDB has r12 as a negative number then; tsc_freq is unsigned."""
    at_hit.type("set $r12 = 0xffffffff80001234")
    at_hit.type("bootsonde inject tsc_freq=$r12")
    assert value(at_hit, "tsc_freq") == 0xffffffff80001234


@pytest.mark.parametrize("path", ["timeinfos[1].tsc_shift", "timeinfos[0].system_time", "timeinfos[2].pad[1]",
                                  "dummy_timecounter.tc_frequency", "hv_vendor[3]"])
def test_a_part_of_a_variable_is_written_and_nothing_else(at_hit: Gdb, path: str) -> None:
    """GDB, which has read the kernel's types, writes the same on its way back."""
    whole = re.split(r"[.\[]", path)[0]
    dump = f"x/{value(at_hit, f'sizeof({whole})')}xb &{whole}"
    at_hit.type(f"set $was = {path}")
    before = at_hit.type(dump)
    assert f"injected {path} = 0x5a" in at_hit.type(f"bootsonde inject {path}=0x5a")
    assert at_hit.type(dump) != before
    at_hit.type(f"set var {path} = $was")
    assert at_hit.type(dump) == before


def test_parts_in_a_scenario(lab: Lab) -> None:
    ran(lab, 'scenario.at(Functions("tsc_init")).inject({"timeinfos[1].tsc_shift": -1}, vm_guest=-2)')
    assert injected(lab, "rules") == [("timeinfos[1].tsc_shift", "0x0", "0xff"), ("vm_guest", "0x1", "0xfffffffe")]


@pytest.mark.parametrize("words, said", [
    ("", "usage: bootsonde inject TARGET=VALUE..."), ("tsc_freq", "usage: bootsonde inject TARGET=VALUE..."),
    ("no_such=1", "this kernel has no variable no_such: cprobe symbol KERNEL '*no_such*' lists those like it"),
    ("tsc_freq=5 no_such=1", "this kernel has no variable no_such"),
    ("tsc_freq=nothing", "nothing is no value: No symbol"),
    ("tsc_freq=5 timeinfos=1", "only 1, 2, 4 or 8 can be injected: name a part of it, as in timeinfos[0]"),
    ("tsc_freq=5 wall_clock=1", "name a field of it, as in wall_clock.FIELD"),
    ("tsc_freq=-1", "-1 does not fit tsc_freq, which is uint64_t: 0 to 18446744073709551615"),
    ("tsc_freq=5 vm_guest=0x80000000", "does not fit vm_guest, which is int: -2147483648 to 2147483647"),
    ("tsc_freq=5 timeinfos[0].nothing=1", "has no field nothing: cprobe type KERNEL pvclock_vcpu_time_info lists them"),
    ("tsc_freq=5 timeinfos[4].flags=1", "[4] is behind its end"), ("tsc_freq=5 vm_guest[0]=1", "it has no element [0]"),
    ("tsc_freq=5 vm_guest.x=1", "has no field x"),
    ("tsc_freq=5 timecounter.tc_name=1", "in which no field can be named"),
    ("tsc_freq=5 a->b=1", "a->b names no variable"),
    ("tsc_freq=5 $rxx=1", "rxx is no register"), ("tsc_freq=5 $al=256", "0x100 does not fit al, which has 8 bits"),
    ("tsc_freq=5 $eax=0x100000000", "does not fit eax, which has 32 bits"),
    ("tsc_freq=5 mem:0x123400000000:8=1", "0x123400000000 is not mapped here: inject it later, in 64-bit code, or by"),
    ("tsc_freq=5 mem:$rsp:3=1", "3 bytes cannot be injected"), ("tsc_freq=5 mem:$rsp=1", "expected mem:ADDRESS:SIZE"),
    ("tsc_freq=5 mem:&tsc_freq:2=65536", "0x10000 does not fit 2 bytes"),
])
def test_all_or_none(at_hit: Gdb, words: str, said: str) -> None:
    answer = at_hit.type(f"bootsonde inject {words}")
    assert said in answer and "Traceback" not in answer and "injected" not in answer.replace("be injected", ""), answer
    assert value(at_hit, "tsc_freq") == 0


@pytest.mark.parametrize("rule, said", [
    ("inject(vm_guest=1 << 31)", "does not fit vm_guest, which is int"), ("inject(timeinfos=1)", "name a part of it"),
    ('inject({"timeinfos[0].nothing": 1})', "has no field nothing"), ("set_registers(ah=256)", "does not fit ah"),
    ("set_registers(rxx=1)", "rxx is no register"), ("set_memory(0x1000, 1, size=3)", "3 bytes cannot be injected"),
    ("returns(1 << 64)", "does not fit rax"), ("skips(0)", "skips(0) skips nothing")])
def test_a_scenario_is_checked_before_the_guest_moves(lab: Lab, rule: str, said: str) -> None:
    assert said in ran(lab, f'scenario.at(Functions("tsc_init")).{rule}', status=2)
    assert not (lab.cwd / "rules.trace.jsonl").exists()


# Registers.


@pytest.mark.parametrize("name, after", [
    ("rax", 0x5a), ("eax", 0x5a), ("ax", 0x112233445566005a), ("al", 0x112233445566775a), ("ah", 0x1122334455665a88)])
def test_a_part_of_a_register(at_hit: Gdb, name: str, after: int) -> None:
    at_hit.type("set $rax = 0x1122334455667788")
    assert f"injected rax = {after:#x}" in at_hit.type(f"bootsonde inject ${name}=0x5a")
    assert value(at_hit, "$rax") == after


def test_parts_of_one_register_add_up(at_hit: Gdb, lab: Lab) -> None:
    at_hit.type("set $r8 = 0x1122334455667788")
    at_hit.type("bootsonde inject $r8w=0x99aa $r8b=0xbb")
    assert value(at_hit, "$r8") == 0x11223344556699bb
    at_hit.type("bootsonde detach")
    assert injected(lab) == [("r8", "0x1122334455667788", "0x11223344556699aa"),
                             ("r8", "0x11223344556699aa", "0x11223344556699bb")]


def test_flags_are_a_register(at_hit: Gdb) -> None:
    assert "injected eflags = 0x47 (71)" in at_hit.type("bootsonde inject $eflags=0x47")
    assert value(at_hit, "$eflags") == 0x47


def test_what_a_register_does_not_keep_is_said(at_hit: Gdb) -> None:
    """cr8 is the task priority, four bits."""
    assert "injected cr8 = 0xffff (65535), was 0x0; the guest kept 0xf" in at_hit.type(
        "bootsonde inject $cr8=0xffff")


def test_registers_are_the_vcpus_whatever_frame_is_selected(at_hit: Gdb) -> None:
    at_hit.type("up")
    at_hit.type("bootsonde inject $rbx=0x77")
    at_hit.type("frame 0")
    assert value(at_hit, "$rbx") == 0x77


def test_the_frame_stays_when_only_memory_is_written(at_hit: Gdb) -> None:
    at_hit.type("up")
    at_hit.type("bootsonde inject tsc_freq=1")
    assert "hammer_time" in at_hit.type("frame")


def test_registers_in_a_scenario(lab: Lab) -> None:
    ran(lab, 'scenario.at(Functions("lapic_init")).set_registers(r10=0x1122334455667788, r10b=0xff, r11d=7)')
    assert [(target, after) for target, _, after in injected(lab, "rules")] == [
        ("r10", "0x1122334455667788"), ("r10", "0x11223344556677ff"), ("r11", "0x7")]


# Memory.


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_memory_by_virtual_address(at_hit: Gdb, size: int) -> None:
    at_hit.type("set var timeinfos[0].tsc_timestamp = -1")
    said = at_hit.type(f"bootsonde inject mem:&timeinfos[0].tsc_timestamp:{size}=0x21")
    assert f"= 0x21 (33), was {(1 << 8 * size) - 1:#x}" in said, said
    assert value(at_hit, "timeinfos[0].tsc_timestamp") == (1 << 64) - (1 << 8 * size) + 0x21


def test_memory_by_physical_address(at_hit: Gdb, lab: Lab) -> None:
    """And addresses are virtual again afterwards."""
    address = value(at_hit, "&tsc_freq") - KERNBASE
    assert f"injected phys:{address:#x}:4 = 0x4d2" in at_hit.type(f"bootsonde inject phys:{address:#x}:4=1234")
    assert value(at_hit, "tsc_freq") == 1234
    at_hit.type("bootsonde detach")
    (event,) = lab.trace("pvclock").of_kind("inject")
    assert (event["physical"], event["address"], event["before"]) == (True, f"{address:#x}", "0x0")


def test_where_there_is_no_memory_a_physical_write_is_not_kept(at_hit: Gdb) -> None:
    """QEMU reads an address that nobody answers at as 0 and forgets what is written there."""
    said = at_hit.type("bootsonde inject phys:0x123400000000:4=1")
    assert "= 0x1 (1), was 0x0; the guest kept 0x0" in said, said


def test_read_only_text_is_memory_too(at_hit: Gdb) -> None:
    at_hit.type("bootsonde inject mem:&clockcalib+1:1=0xcc")
    assert value(at_hit, "*((unsigned char *)&clockcalib+1)") == 0xcc


def test_memory_in_a_scenario(lab: Lab) -> None:
    """One variable by both addresses: the second sees what the first wrote."""
    cprobe = str(lab.build / "cprobe" / "cprobe")
    address = int(lab.command([cprobe, "symbol", str(lab.kernel), "tsc_freq"]).expect(0).out.split()[0], 16)
    ran(lab, f'scenario.at(Functions("cpu_initclocks")).set_memory({address:#x}, 0x1122334455667788)',
        f'scenario.at(Functions("cpu_initclocks")).set_memory({address - KERNBASE:#x}, 7, 4, physical=True)',
        'scenario.at(Functions("cpu_initclocks")).passes()')
    (_, _, first), (_, before, after) = injected(lab, "rules")
    assert (first, before, after) == ("0x1122334455667788", "0x55667788", "0x7")


def test_unmapped_memory_ends_the_run_with_a_message(lab: Lab) -> None:
    said = ran(lab, 'scenario.at(Functions("tsc_init")).inject(tsc_freq=5).set_memory(0x123400000000, 1)', status=2)
    assert "0x123400000000 is not mapped here" in said
    end = lab.trace("rules").end
    assert end is not None and end["outcome"] == "usage" and injected(lab, "rules") == []


# A function that is not run, instructions that are not executed.


def test_a_function_is_left_at_its_entry(at_hit: Gdb, lab: Lab) -> None:
    said = at_hit.type("bootsonde return 7")
    assert "returned 0x7 (7) at once, to hammer_time+0x76" in said
    assert "hammer_time" in at_hit.type("frame") and value(at_hit, "$rax") == 7
    assert 'passed: the console shows "login:"' in at_hit.type("bootsonde go")
    assert "probe_tsc_freq" not in [event["function"] for event in lab.trace("pvclock").of_kind("hit")]


def test_a_function_is_left_only_at_its_entry(at_hit: Gdb) -> None:
    at_hit.type("stepi")
    before = at_hit.type("info registers")
    said = at_hit.type("bootsonde return")
    assert "stands at tsc_init+0x" in said and "not at a function's first instruction" in said
    assert at_hit.type("info registers") == before


def test_an_instruction_is_skipped_by_hand(at_hit: Gdb, lab: Lab) -> None:
    places = [int(word, 16) for word in re.findall(r"^(?:=>)? +(0x[0-9a-f]+)", at_hit.type("x/4i $pc"), re.M)]
    said = at_hit.type("bootsonde skip")
    assert "  skipped " in said and value(at_hit, "$pc") == places[1], said
    at_hit.type("bootsonde skip 2")
    assert value(at_hit, "$pc") == places[3]
    at_hit.type("bootsonde detach")
    one, two = lab.trace("pvclock").of_kind("inject")
    assert (one["target"], one["before"], one["after"]) == ("rip", f"{places[0]:#x}", f"{places[1]:#x}")
    assert (one["function"], len(one["skipped"]), len(two["skipped"])) == ("tsc_init", 1, 2)


@pytest.mark.parametrize("words, said", [("x", "x is no count"), ("0x10000", "is no count of instructions"),
                                         ("-1", "is no count of instructions"), ("0", "skip how many instructions?")])
def test_what_cannot_be_skipped(at_hit: Gdb, words: str, said: str) -> None:
    before = value(at_hit, "$pc")
    assert said in at_hit.type(f"bootsonde skip {words}")
    assert value(at_hit, "$pc") == before


def test_where_no_memory_is_mapped_nothing_is_skipped(at_hit: Gdb) -> None:
    at_hit.type("set $pc = 0x123400000000")
    assert "no memory is mapped there" in at_hit.type("bootsonde skip")
    assert value(at_hit, "$pc") == 0x123400000000


@pytest.fixture
def early(lab: Lab) -> Iterator[Gdb]:
    """At the reset vector, without a scenario."""
    with launcher(lab), gdb(lab) as debugger:
        debugger.type(f"source {lab.root / 'gdb' / 'commands.py'}")
        debugger.type("bootsonde attach")
        debugger.type("python from bootsonde.session import moving")
        yield debugger


def test_instructions_are_skipped_in_32_bit_code(early: Gdb) -> None:
    """The first is made an inc of eax: in 64-bit code that byte is a REX prefix, of the cld behind it."""
    early.type(f"break *{PVH_ENTRY:#x}")
    early.type("continue")
    early.type(f"set {{char}}{PVH_ENTRY:#x} = 0x40")
    lengths = early.type("python print([moving.skip_instructions(1).after for _ in range(3)])")
    assert f"[{PVH_ENTRY + 1}, {PVH_ENTRY + 2}, {PVH_ENTRY + 8}]" in lengths, lengths


def test_nothing_is_skipped_in_16_bit_code(early: Gdb) -> None:
    assert "cannot be skipped in 16-bit code" in early.type("python moving.skip_instructions(1)")
    assert value(early, "$rip") == 0xfff0


def test_an_instruction_is_skipped_by_a_scenario_and_the_next_one_counts(lab: Lab) -> None:
    """i8254_get_timecount latches the counter by an `out`, and an `in` follows it directly."""
    ran(lab, 'scenario.at(Insn("out", in_func="i8254_get_timecount"), limit=1).skips()',
        'scenario.at(Insn("in", in_func="i8254_get_timecount"), limit=1)')
    out, in_ = lab.trace("rules").of_kind("hit")[:2]
    (skipped,) = lab.trace("rules").of_kind("inject")
    assert skipped["skipped"] == ["out %al,$0x43"] and skipped["before"] == out["address"]
    assert int(in_["address"], 16) == int(out["address"], 16) + 2 == int(skipped["after"], 16)


def test_a_breakpoint_that_a_skip_by_hand_leads_to_counts(lab: Lab) -> None:
    scenario = lab.scenario("rules", 'scenario.at(Insn("out", in_func="i8254_get_timecount"), limit=1)',
                            'scenario.at(Insn("in", in_func="i8254_get_timecount"), limit=1, stops=False)')
    with launcher(lab, *BOOTS), gdb(lab) as debugger:
        assert "cpu0 out in i8254_get_timecount" in debugger.type(f"source {scenario}")
        said = debugger.type("bootsonde skip")
        assert "skipped out %al,$0x43" in said and "cpu0 in in i8254_get_timecount" in said, said


def test_a_place_that_a_skip_by_hand_leads_to_can_be_the_end(lab: Lab) -> None:
    scenario = lab.scenario("rules", 'scenario.at(Insn("out", in_func="i8254_get_timecount"), limit=1)',
                            'scenario.at(Insn("in", in_func="i8254_get_timecount"), limit=1).passes()')
    with launcher(lab, *BOOTS), gdb(lab) as debugger:
        debugger.type(f"source {scenario}")
        assert "passed: in in i8254_get_timecount was reached" in debugger.type("bootsonde skip")
        assert "this run has ended" in debugger.type("bootsonde skip")


def test_vcpu_condition_skip_and_limit_are_those_of_the_rule(lab: Lab) -> None:
    ran(lab, 'scenario.at(Functions("init_secondary"), vcpu=2).set_registers(r10=1)',
        'scenario.at(Functions("selftest_record"), skip=1, limit=1).set_registers(r10=2)',
        'scenario.at(Functions("lapic_init"), if_="tsc_freq == 12345").set_registers(r10=3)',
        words=("--smp", "3", *BOOTS))
    events = [(event["vcpu"], event["function"], event["after"]) for event in lab.trace("rules").of_kind("inject")]
    assert sorted(events) == [(0, "selftest_record", "0x2"), (2, "init_secondary", "0x1")]


# A replay.


@pytest.fixture
def replay(lab: Lab) -> tuple[str, ...]:
    """The launcher's options for a replay of the reference guest's boot, which watch.py has recorded."""
    path = lab.cwd / "rr.bin"
    options = ("--icount", "shift=3,sleep=off", *BOOTS)
    lab.scenario("watch", 'scenario.at(Functions("tsc_init"))', 'scenario.until("login:")')
    lab.run("watch.py", *options, "--rr", f"record:{path}").expect(0)
    return *options, "--rr", f"replay:{path}"


def test_a_replay_can_be_watched(lab: Lab, replay: tuple[str, ...]) -> None:
    lab.run("watch.py", *replay).expect(0)
    assert lab.trace("watch").of_kind("hit")[0]["function"] == "tsc_init"


@pytest.mark.parametrize("rule", ["inject(tsc_freq=1)", "set_registers(rax=1)", "set_memory(0, 1)", "returns(1)",
                                  "skips()"])
def test_a_scenario_that_injects_is_refused_in_a_replay(lab: Lab, replay: tuple[str, ...], rule: str) -> None:
    said = ran(lab, f'scenario.at(Functions("tsc_init")).{rule}', status=2, words=replay)
    assert "rules cannot run, as it changes the guest: this guest replays a recording" in said, said
    assert "start it without --rr replay:FILE" in said


def test_an_overlay_is_refused_in_a_replay(lab: Lab, replay: tuple[str, ...]) -> None:
    said = ran(lab, 'scenario.cpuid("0x40000000: eax = 0x40000010")', status=2, words=replay)
    assert "rules cannot run, as it changes the guest: this guest replays a recording" in said, said


def test_commands_that_write_are_refused_in_a_replay(lab: Lab, replay: tuple[str, ...]) -> None:
    """And it then goes on to its end."""
    with launcher(lab, *replay), gdb(lab) as debugger:
        debugger.type("source watch.py")
        before = debugger.type("info registers")
        for command in ("inject tsc_freq=1", "return", "skip", "cpuid 1", "wrmsr IA32_LSTAR 1", "rdtsc",
                        "overlay cpuid 1: eax = 1"):
            said = debugger.type(f"bootsonde {command}")
            assert "this guest replays a recording, and a write may stall it" in said, said
        assert debugger.type("info registers") == before
        assert 'passed: the console shows "login:"' in debugger.type("bootsonde go")
