"""KVM's clock as it is pretended: what is written where when a guest registers, and the faults."""

from __future__ import annotations

import pytest

from bootsonde.model.cpuid_overlay import CpuidOverlay
from bootsonde.model.errors import UserError
from bootsonde.model.kvmclock import NEW_CLOCK, OLD_CLOCK, STABLE_BIT, Clockwork, KvmClock, Write
from bootsonde.model.pvclock import PAUSED, STABLE, PvclockTime, WallClock

HZ = 2_596_140_000
SYSTEM_TIME, SYSTEM_TIME_OLD, WALL_CLOCK, WALL_CLOCK_OLD = 0x4b564d01, 0x12, 0x4b564d00, 0x11
PAGE = 0x20b000


def clockwork(**settings: object) -> Clockwork:
    return Clockwork(KvmClock(**{"tsc_hz": HZ, **settings}))  # type: ignore[arg-type]


def register(clock: Clockwork, vcpu: int = 0, tsc: int = HZ, page: int = PAGE, before: bytes = b"") -> PvclockTime:
    [(address, data)] = clock.write(vcpu, SYSTEM_TIME, page | 1, tsc, 0, {page: before})
    assert address == page
    return PvclockTime.unpack(data)


def test_a_registered_page_shows_the_time_of_the_tsc() -> None:
    """A second of ticks is a second."""
    page = register(clockwork())
    assert page.version == 2 and page.flags == STABLE
    assert page.hz is not None and abs(page.hz - HZ) < 10
    assert abs(page.ns(HZ) - 10 ** 9) < 2 and abs(page.ns(3 * HZ) - 3 * 10 ** 9) < 5


def test_all_vcpus_agree_to_the_nanosecond() -> None:
    clock = clockwork()
    first, second = register(clock), register(clock, 1, 2 * HZ + 12345, PAGE + 64)
    assert second.pack() == first.pack()
    assert clock.registered == {0: PAGE, 1: PAGE + 64}


def test_the_frequency_is_the_one_that_cpuid_tells_in_khz() -> None:
    clock = clockwork(tsc_hz=2_000_000_999)
    overlay = CpuidOverlay()
    for line in clock.clock.cpuid():
        overlay.add(line)
    assert "0x40000010: eax = 0x1e8480, ebx = 0xf4240, ecx = 0x0, edx = 0x0" in overlay.describe()
    assert register(clock).hz == 2_000_000_000


def test_the_version_goes_on_from_the_one_that_is_there() -> None:
    """A guest that registers again must not see the version that it has seen."""
    clock = clockwork()
    assert register(clock, before=register(clock).pack()).version == 4
    assert register(clock, before=PvclockTime(7, 0, 0, 1, 0, 0).pack()).version == 8
    assert register(clock, before=b"\xfe\xff\xff\xff" + bytes(28)).version == 2, "not 0, which is never written"


def test_a_register_reads_what_was_written_each_vcpu_its_own() -> None:
    clock = clockwork()
    register(clock)
    clock.write(1, WALL_CLOCK, 0x1000, HZ, 10 ** 18, {})
    assert (clock.value(0, SYSTEM_TIME), clock.value(1, SYSTEM_TIME)) == (PAGE | 1, 0)
    assert clock.value(0, WALL_CLOCK) == clock.value(1, WALL_CLOCK) == 0x1000


def test_the_clock_is_complete_when_all_have_registered_and_the_wall_clock_was_asked_for() -> None:
    clock = clockwork()
    register(clock)
    assert not clock.is_complete(1)
    clock.write(0, WALL_CLOCK, 0x1000, HZ, 10 ** 18, {})
    assert clock.is_complete(1) and not clock.is_complete(2)
    register(clock, 1)
    assert clock.is_complete(2)


def test_a_vcpu_that_lets_go_is_forgotten() -> None:
    clock = clockwork()
    register(clock)
    assert clock.write(0, SYSTEM_TIME, 0, HZ, 0, {}) == []
    assert not clock.registered and clock.value(0, SYSTEM_TIME) == 0


def test_the_wall_clock_is_the_time_of_day_when_the_clock_was_0() -> None:
    [(address, data)] = clockwork().write(0, WALL_CLOCK, 0x20a040, 5 * HZ, 1_800_000_007_250_000_000, {})
    wall = WallClock.unpack(data)
    assert address == 0x20a040 and wall.version == 2
    assert abs(wall.sec * 10 ** 9 + wall.nsec - 1_800_000_002_250_000_000) < 10


@pytest.mark.parametrize("features, owned, foreign", [
    (OLD_CLOCK, (SYSTEM_TIME_OLD, WALL_CLOCK_OLD), (SYSTEM_TIME, WALL_CLOCK)),
    (NEW_CLOCK, (SYSTEM_TIME, WALL_CLOCK), (SYSTEM_TIME_OLD, WALL_CLOCK_OLD)),
    (0, (), (SYSTEM_TIME, SYSTEM_TIME_OLD, WALL_CLOCK, WALL_CLOCK_OLD, 0x1b))])
def test_only_registers_that_are_announced_are_the_clocks(features: int, owned: tuple[int, ...],
                                                          foreign: tuple[int, ...]) -> None:
    clock = clockwork(features=features)
    assert all(map(clock.owns, owned)) and not any(map(clock.owns, foreign))


def test_without_the_stable_bit_the_flag_is_not_set() -> None:
    assert register(clockwork(features=NEW_CLOCK)).flags == 0
    assert register(clockwork(features=NEW_CLOCK | STABLE_BIT, paused=True)).flags == STABLE | PAUSED


@pytest.mark.parametrize("settings, said", [
    ({"fault": "late"}, "fault=late: expected one of odd .*, mul0|; mul0"), ({"tsc_hz": 999}, "a TSC of 999 Hz"),
    ({"tsc_hz": 1 << 52}, "expected 1000 Hz to 4294967295 kHz")])
def test_what_cannot_be_pretended_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        clockwork(**settings)


# Faults.


def test_an_odd_version_stays_odd() -> None:
    clock = clockwork(fault="odd")
    assert register(clock).version == 3 and not clock.clock.acts_on_reads


def test_mul_0_stops_the_clock() -> None:
    page = register(clockwork(fault="mul0"))
    assert page.mul == 0 and page.hz is None and page.version == 2


def reads(clock: Clockwork, count: int) -> list[list[Write]]:
    """What is written at each of so many reads of vCPU 0."""
    return [clock.read(0) for _ in range(count)]


def structures(found: list[list[Write]]) -> list[PvclockTime]:
    return [PvclockTime.unpack(data) for writes in found for _, data in writes]


def test_a_torn_read_shows_a_wild_time_and_then_the_true_one_again() -> None:
    """Both under new, even versions: a reader that looks at the version again is never fooled, and never waits."""
    clock = clockwork(fault="torn", limit=3)
    true = register(clock)
    found = structures(reads(clock, 100))
    assert len(found) == 6 and clock.is_done
    assert [each.version for each in found] == [4, 6, 8, 10, 12, 14]
    for wild, mended in zip(found[::2], found[1::2]):
        assert wild.ns(HZ) - true.ns(HZ) >= 10 ** 9
        assert mended.ns(HZ) == true.ns(HZ)


def test_the_true_structure_comes_at_the_very_next_read() -> None:
    clock = clockwork(fault="torn", limit=1)
    register(clock)
    wrote = [bool(writes) for writes in reads(clock, 20)]
    first = wrote.index(True)
    assert wrote[first:first + 3] == [True, True, False] and sum(wrote) == 2


def test_time_goes_back_and_never_below_0() -> None:
    clock = clockwork(fault="backwards", limit=4)
    before = register(clock)
    for after in structures(reads(clock, 100)):
        assert 0 <= after.system_time < before.system_time and after.ns(HZ) < before.ns(HZ)
        assert after.version == before.version + 2 and after.tsc_timestamp == before.tsc_timestamp
        before = after
    assert clock.is_done


def test_the_same_seed_acts_at_the_same_reads() -> None:
    def acts(seed: int) -> list[list[Write]]:
        clock = clockwork(fault="torn", seed=seed)
        register(clock)
        return reads(clock, 60)

    assert acts(7) == acts(7) != acts(8)


def test_a_vcpu_that_has_not_registered_is_not_disturbed() -> None:
    clock = clockwork(fault="torn")
    register(clock, 1)
    assert not structures(reads(clock, 50)) and not clock.is_done
