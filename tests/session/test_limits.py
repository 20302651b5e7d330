"""Breakpoints that reach their limit while the guest runs into them all the time."""

from __future__ import annotations

import pytest
from labkit import Lab


@pytest.mark.parametrize("smp", [pytest.param("1", marks=pytest.mark.long), "2"])
def test_many_limits_end_no_run(lab: Lab, smp: str) -> None:
    """Each is hit again within microseconds of the hit that disables it. A race, so it is tried some times."""
    scenario = lab.scenario("limits", 'names = ("strcmp", "ns8250_putc", "format_to*", "mem*", "strlen", "emit*")',
                            'scenario.at(Functions(names, inlined="exclude"), limit=3)')
    for _ in range(6):
        done = lab.run(scenario, "--timeout", "20", "--smp", smp)
        assert (done.status, "limit reached" in done.out) == (1, True), str(done)
        assert "panic: TSC not initialized" in done.err
