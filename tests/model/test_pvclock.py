"""KVM's clock structures: the vectors of real machines, and what a guest would compute."""

from __future__ import annotations

import random
import struct

import pytest

from bootsonde.model.pvclock import PAUSED, STABLE, PvclockTime, WallClock, scale_for

#: As KVM filled it on a 2.6 GHz host.
REAL = PvclockTime(version=2, tsc_timestamp=1000, system_time=5, mul=0xc5377ec6, shift=-1, flags=STABLE)


def test_the_frequency_is_that_of_the_machine_it_came_from() -> None:
    assert REAL.hz == 2_596_128_000


def test_a_frequency_has_the_scale_that_kvm_gives_it() -> None:
    assert scale_for(2_596_128_000) == (0xc5377ec6, -1)


@pytest.mark.parametrize("hz, scale", [(10 ** 9, (0x80000000, 1)), (4 * 10 ** 9, (0x80000000, -1)),
                                       (10 ** 9 + 1, (0xfffffffb, 0)), (1000, (0xf4240000, 20)), (1, (0xee6b2800, 30))])
def test_mul_uses_all_of_its_32_bits(hz: int, scale: tuple[int, int]) -> None:
    assert scale_for(hz) == scale


def test_a_scale_leads_back_to_its_frequency() -> None:
    source = random.Random(4)
    for _ in range(2000):
        hz = source.randrange(1, 1 << source.randrange(1, 45))
        mul, shift = scale_for(hz)
        assert 1 << 31 <= mul < 1 << 32
        back = PvclockTime(2, 0, 0, mul, shift, STABLE).hz
        assert back is not None and abs(back - hz) <= hz / 2 ** 31 + 1, hz


@pytest.mark.parametrize("hz", [0, -1, 1 << 300])
def test_frequencies_that_no_clock_has_are_refused(hz: int) -> None:
    with pytest.raises(ValueError, match="frequency"):
        scale_for(hz)


def test_time_follows_the_tsc() -> None:
    assert REAL.ns(1000) == 5
    assert abs(REAL.ns(1000 + 2_596_128_000) - (10 ** 9 + 5)) <= 1


def test_a_positive_shift_multiplies() -> None:
    assert PvclockTime(2, 0, 7, 1 << 31, 3, 0).ns(100) == 7 + 400


def test_time_is_computed_modulo_64_bits_as_the_guest_does() -> None:
    ahead = PvclockTime(2, 1000, 5, 1 << 31, 1, 0)
    assert ahead.ns(999) == 5 + ((((1 << 64) - 1) << 1 & (1 << 64) - 1) * (1 << 31) >> 32)
    assert PvclockTime(2, 0, (1 << 64) - 1, 1 << 31, 1, 0).ns(1) == 0


def test_the_structure_has_the_layout_of_the_header() -> None:
    data = bytearray(32)
    struct.pack_into("<I", data, 0, 4)
    struct.pack_into("<QQ", data, 8, 0x1122334455667788, 0x99)
    struct.pack_into("<I", data, 24, 0xc5377ec6)
    data[28], data[29] = 0xff, 3
    found = PvclockTime.unpack(bytes(data))
    assert found == PvclockTime(4, 0x1122334455667788, 0x99, 0xc5377ec6, -1, STABLE | PAUSED)
    assert found.pack() == bytes(data)


def test_the_wall_clock_is_three_words() -> None:
    clock = WallClock.unpack(struct.pack("<III", 2, 1_764_000_000, 999))
    assert (clock.version, clock.sec, clock.nsec) == (2, 1_764_000_000, 999)
    assert WallClock.unpack(clock.pack()) == clock


@pytest.mark.parametrize("kind, size", [(PvclockTime, 31), (PvclockTime, 0), (WallClock, 16)])
def test_bytes_of_another_size_are_refused(kind: type[PvclockTime] | type[WallClock], size: int) -> None:
    with pytest.raises(ValueError, match=f"{size}"):
        kind.unpack(bytes(size))


@pytest.mark.parametrize("clock, said", [
    (REAL, "TSC 2596128000 Hz (mul 0xc5377ec6, shift -1)"), (REAL, "flags: stable across vCPUs"),
    (PvclockTime(3, 0, 0, 1, 0, 0), "version 3, odd: it is being written"),
    (PvclockTime(0, 0, 0, 0, 0, 0), "mul 0: nobody has filled it in"),
    (PvclockTime(2, 0, 0, 0, 0, 0), "mul 0: the clock stands still"),
    (PvclockTime(2, 0, 0, 1, 0, 0), "flags: none"),
    (PvclockTime(2, 0, 0, 1, 0, 0x82), "flags: guest was paused, unknown 0x80"),
])
def test_it_is_said_in_words(clock: PvclockTime, said: str) -> None:
    assert said in clock.describe()


@pytest.mark.parametrize("clock, said", [
    (WallClock(2, 1_577_836_800, 7), ["version 2", "1577836800.000000007 s after 1970 began, 2020-01-01 00:00:00 UTC"]),
    (WallClock(3, 0xffffffff, 0), ["version 3, odd: it is being written",
                                   "4294967295.000000000 s after 1970 began, 2106-02-07 06:28:15 UTC"]),
    (WallClock(0, 0, 0), ["version 0", "nobody has filled it in"]),
])
def test_the_wall_clock_is_said_in_words(clock: WallClock, said: list[str]) -> None:
    assert clock.describe() == said


def test_with_a_tsc_it_says_the_time() -> None:
    assert PvclockTime(2, 0, 7, 1 << 31, 1, 0).describe(100)[-2] == "107 ns now, at TSC 0x64"
