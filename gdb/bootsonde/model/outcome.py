"""How a run ended, and what that means as an exit code."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Dict, List, Mapping, Optional

#: A word of the guest's that a boot has gone wrong, wherever on a line: FreeBSD and NetBSD, Linux, ddb, FreeBSD's KDB.
PANIC = re.compile(r"(?:^|\s)panic: |Kernel panic - not syncing|^db(?:\{\d+\})?> |KDB: enter: ")

#: Characters of a panic's line that a verdict repeats.
REASON_LIMIT = 200
#: A kernel's time stamp in front of a line, and what CONFIG_PRINTK_CALLER adds.
_STAMP = re.compile(r"^\s*\[ *\d+\.\d+\](\[[\w ]+\])?")

#: Functions that a kernel calls when it gives up; where they exist, a hit says why even before a console works.
PANIC_FUNCTIONS = ("panic", "vpanic", "kdb_enter")

#: The console line by which a guest that leaves through debug-exit reports its own checks.
SUMMARY = re.compile(r"\b(\d+) passed, (\d+) failed\b")

#: QEMU's exit status for a value v written to isa-debug-exit is 2 v + 1.
DEBUG_EXIT_PASSED = 0x10 * 2 + 1
DEBUG_EXIT_FAILED = 0x11 * 2 + 1

#: The end condition of a scenario that names none.
DEFAULT_END = "login:"


class Outcome(str, Enum):
    """The value is the word in traces and on the screen."""

    PASSED = "passed"
    FAILED = "failed"
    USAGE = "usage"
    LOST = "lost"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"

    @property
    def exit_code(self) -> int:
        """As the contract has it; an interrupted run gives 128 + SIGINT, as shells do."""
        return {"passed": 0, "failed": 1, "usage": 2, "lost": 3, "timeout": 4, "interrupted": 130}[self.value]


@dataclass
class VcpuPlace:
    """Where a vCPU stood at the end. `pc` is None where it could not be read."""

    vcpu: int
    pc: Optional[int]
    where: str = "?"

    def __str__(self) -> str:
        pc = "" if self.pc is None else f"{self.pc:#x} "
        return f"vCPU {self.vcpu} at {pc}{self.where}"


@dataclass
class Verdict:
    """An outcome with its reason, and what a person needs to go on from there."""

    outcome: Outcome
    reason: str
    advice: str = ""
    vcpus: List[VcpuPlace] = field(default_factory=list)

    def to_json(self) -> Dict[str, Any]:
        """The fields of a trace's end record."""
        return {"outcome": self.outcome.value, "reason": self.reason, "advice": self.advice,
                "vcpus": [{"vcpu": v.vcpu, "address": None if v.pc is None else f"{v.pc:#x}", "where": v.where}
                          for v in self.vcpus]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Verdict:
        """Inverse of to_json."""
        return cls(Outcome(record["outcome"]), record["reason"], record.get("advice", ""),
                   [VcpuPlace(v["vcpu"], None if v["address"] is None else int(v["address"], 0), v["where"])
                    for v in record.get("vcpus", ())])


def panic_reason(line: str) -> str:
    """What a verdict says of a panic's console line: without its time stamp, which is another one in each kernel."""
    return f"the guest panicked: {_STAMP.sub('', line).strip()[:REASON_LIMIT]}"


def panic_advice(line: str) -> str:
    """What to do about a panic's console line."""
    message = re.sub(r"^.*?(?:panic: |not syncing: )", "", line.strip())[:60].replace('"', "")
    return (f'cprobe find KERNEL --message "{message}" shows who says so and the check that guards it; break there, '
            "inject what it asks for, and go on")


def guest_exit(status: Optional[int], console: str, shutdown: Optional[str] = None) -> Verdict:
    """The verdict on a guest that ended by itself.

    status: QEMU's exit status, negative for a signal as subprocess has it, None if nobody knows it.
    console: all that the guest printed. shutdown: QEMU's word for it (SHUTDOWN event), such as guest-reset.
    """
    panic = next((line for line in console.splitlines() if PANIC.search(line)), None)
    if status is not None and status < 0:
        return Verdict(Outcome.LOST, f"QEMU was ended by signal {-status}",
                       "run it again; if it comes back, look for who ends QEMU, or for QEMU's own crash")
    if shutdown is not None and shutdown.startswith("host-"):
        return Verdict(Outcome.LOST, f"QEMU was ended from outside ({shutdown})",
                       "run it again; if it comes back, look for who ends QEMU")
    if status == DEBUG_EXIT_PASSED:
        summary = SUMMARY.search(console)
        if summary is None:
            return Verdict(Outcome.FAILED, "the guest left through debug-exit as passed, but printed no summary",
                           "a summary line reads `N passed, N failed`")
        if int(summary.group(2)):
            return Verdict(Outcome.FAILED, f"the guest left through debug-exit as passed, but says {summary.group(0)}")
        return Verdict(Outcome.PASSED, f"the guest left through debug-exit: {summary.group(0)}")
    if panic is not None:
        return Verdict(Outcome.FAILED, panic_reason(panic), panic_advice(panic))
    if status == DEBUG_EXIT_FAILED:
        return Verdict(Outcome.FAILED, "the guest left through debug-exit as failed", "its console says what failed")
    if shutdown == "guest-reset":
        return Verdict(Outcome.FAILED, "the guest reset itself; a triple fault looks the same",
                       "the last function of the trace is where to look; break after it and step")
    if status is None:
        return Verdict(Outcome.LOST, "the connection to the guest's stub was closed", "see whether its QEMU still runs")
    word = f" ({shutdown})" if shutdown else ""
    if status == 1 and shutdown is None:
        return Verdict(Outcome.LOST, "QEMU ended with status 1, an error of its own", "its message stands above")
    return Verdict(Outcome.FAILED, f"the guest ended, QEMU's exit status is {status}{word}",
                   "no end condition was seen; --until TEXT names one")
