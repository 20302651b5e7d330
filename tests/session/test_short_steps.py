"""Steps over a breakpoint that QEMU ends before they have begun: a hit is told by what the guest has done since."""

from __future__ import annotations

from typing import Any

from labkit import Lab
from shortsteps import short_steps


def hits(lab: Lab, *lines: str) -> list[dict[str, Any]]:
    """Those of a boot in which every step over a breakpoint is cut short once."""
    scenario = lab.scenario("cut", *lines)
    with lab.waiting("--append", "guest.i8254=1"), short_steps(lab.runtime / "waiting") as steps:
        lab.run(scenario, "--attach", "waiting").expect(0)
        found = list(lab.trace("cut").of_kind("hit"))
        assert steps.cut >= len(found) - 1 > 0  # The last one may end the run.
        return found


def test_a_function_that_runs_once_is_one_hit(lab: Lab) -> None:
    found = hits(lab, 'scenario.at(Functions(("tsc_init", "lapic_init", "tsc_calibrate")))', 'scenario.until("login:")')
    assert [hit["function"] for hit in found] == ["tsc_init", "lapic_init", "tsc_calibrate"]


def test_each_turn_of_a_loop_is_a_hit(lab: Lab) -> None:
    """From one character to the next, the stack is the same."""
    found = hits(lab, 'scenario.at(Functions("cnputc"))', 'scenario.until("CPU: ")')
    text = "".join(chr(int(hit["args"][0]["value"], 0)) for hit in found)
    assert "clockguest\nCPU: " in text
    assert lab.console("waiting").replace("\r\n", "\n").startswith(text)
