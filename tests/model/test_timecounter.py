"""FreeBSD's timecounter and timehands in words."""

from __future__ import annotations

import pytest

from bootsonde.model.timecounter import Timecounter, Timehands, scale_hz, seconds


@pytest.mark.parametrize("sec, frac, text", [
    (0, 0, "0.000000000"), (1, 1 << 63, "1.500000000"), (3, (1 << 64) - 1, "3.999999999"),
    (0, 18446744074, "0.000000001"), (-1, 1 << 63, "-0.500000000"), (-2, 0, "-2.000000000"),
])
def test_a_bintime_is_seconds_and_a_binary_fraction(sec: int, frac: int, text: str) -> None:
    assert seconds(sec, frac) == text


@pytest.mark.parametrize("hz", [1, 1193182, 14318180, 1_000_000_000, 2_596_128_000, 3_579_545, 3_000_000_000])
def test_a_scale_gives_its_frequency_back(hz: int) -> None:
    """As the reference guest and as FreeBSD compute it: 2^64 / f, cut off, and twice 2^63 / f."""
    assert scale_hz((2 ** 64 - 1) // hz) == hz and scale_hz(2 ** 63 // hz * 2) == hz


@pytest.mark.parametrize("scale", [0, -1])
def test_a_scale_of_0_is_no_frequency(scale: int) -> None:
    assert scale_hz(scale) is None


@pytest.mark.parametrize("counter, said", [
    (Timecounter("TSC", 2_596_128_000, 800, 0xffffffff, 0),
     'timecounter "TSC", 2596128000 Hz, quality 800, mask 0xffffffff (wraps after 1.654374243 s), flags 0x0'),
    (Timecounter("dummy", 1_000_000, -1_000_000, 0xffffffff, 3),
     'timecounter "dummy", 1000000 Hz, quality -1000000, mask 0xffffffff (wraps after 4294.967296000 s), flags 0x3'),
    (Timecounter("none", 0, 0, 0xffff, 0), 'timecounter "none", 0 Hz, quality 0, mask 0xffff, flags 0x0'),
    (Timecounter(None, None, None, None, None),
     "timecounter, name unreadable, frequency unreadable, quality unreadable, mask unreadable, flags unreadable"),
])
def test_a_timecounter(counter: Timecounter, said: str) -> None:
    assert counter.describe() == said


@pytest.mark.parametrize("hands, said", [
    (Timehands("TSC", 12, 1 << 62, (2 ** 64 - 1) // 1_000_000_000, 77),
     'timehands of "TSC", offset 12.250000000 s at count 77, 1000000000 Hz by its scale'),
    (Timehands("TSC", 12, None, 0, None), 'timehands of "TSC", offset unreadable at count unreadable, scale 0: '
                                          'time stands still'),
    (Timehands(None, None, 0, None, 1), "timehands of unreadable counter, offset unreadable at count 1, scale "
                                        "unreadable"),
])
def test_timehands(hands: Timehands, said: str) -> None:
    assert hands.describe() == said
