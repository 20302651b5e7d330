"""The structures that a KVM clock keeps in the guest's memory, decoded and made.

Source: Linux Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW and MSR_KVM_WALL_CLOCK_NEW.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, List, Optional, Tuple

_NS = 10 ** 9
_MASK64 = (1 << 64) - 1

#: Bits of PvclockTime.flags.
STABLE, PAUSED = 1, 2


def scale_for(hz: int) -> Tuple[int, int]:
    """(mul, shift) that turn ticks of a clock of `hz` into ns, mul as large as 32 bits allow.

    Raises ValueError if there is none: hz not above 0, or beyond what a shift of a signed byte reaches.
    """
    if hz <= 0:
        raise ValueError(f"a frequency of {hz} Hz: expected one above 0")
    # ns = (ticks << shift) x mul >> 32. The smallest shift with 10^9 / hz < 2^shift has mul within [2^31, 2^32).
    shift = _NS.bit_length() - hz.bit_length() + 1
    while _NS << max(1 - shift, 0) < hz << max(shift - 1, 0):
        shift -= 1
    if not -128 <= shift <= 127:
        raise ValueError(f"a frequency of {hz} Hz is beyond what a pvclock can say")
    return (_NS << 32 << max(-shift, 0)) // (hz << max(shift, 0)), shift


@dataclass(frozen=True)
class PvclockTime:
    """struct pvclock_vcpu_time_info: ns of a vCPU's clock as a function of its TSC. Little-endian, 32 bytes."""

    version: int                # odd while the hypervisor writes
    tsc_timestamp: int          # TSC when system_time was taken
    system_time: int            # ns
    mul: int                    # tsc_to_system_mul
    shift: int                  # tsc_shift, signed
    flags: int                  # STABLE, PAUSED

    SIZE: ClassVar[int] = 32
    STRUCT: ClassVar[str] = "pvclock_vcpu_time_info"
    _FORMAT: ClassVar[str] = "<I4xQQIbB2x"

    @classmethod
    def unpack(cls, data: bytes) -> PvclockTime:
        """From the structure's bytes. Raises ValueError if they are not SIZE."""
        if len(data) != cls.SIZE:
            raise ValueError(f"a pvclock_vcpu_time_info has {cls.SIZE} bytes, not {len(data)}")
        return cls(*struct.unpack(cls._FORMAT, data))

    def pack(self) -> bytes:
        """The structure's bytes; the padding is 0."""
        return struct.pack(self._FORMAT, self.version, self.tsc_timestamp, self.system_time, self.mul, self.shift,
                           self.flags)

    @property
    def hz(self) -> Optional[int]:
        """The TSC's frequency that mul and shift stand for, Hz; None with mul 0, which stops the clock."""
        if not self.mul:
            return None
        return (_NS << 32 << -self.shift) // self.mul if self.shift < 0 else (_NS << 32) // self.mul >> self.shift

    def ns(self, tsc: int) -> int:
        """What the clock shows at a TSC value, ns, modulo 2^64 as a guest computes it."""
        delta = (tsc - self.tsc_timestamp) & _MASK64
        delta = delta >> -self.shift if self.shift < 0 else delta << self.shift & _MASK64
        return (self.system_time + (delta * self.mul >> 32)) & _MASK64

    @property
    def is_being_written(self) -> bool:
        """Whether a reader has to wait: the version is odd."""
        return bool(self.version & 1)

    def summary(self) -> str:
        """One line."""
        rate = "mul 0" if self.hz is None else f"{self.hz} Hz"
        return (f"version {self.version}, {rate}, {self.system_time} ns at TSC {self.tsc_timestamp:#x}, "
                f"flags {self.flags}")

    def describe(self, tsc: Optional[int] = None) -> List[str]:
        """What it means, one statement a line; with a TSC value, also what the clock shows then."""
        said = [f"version {self.version}" + (", odd: it is being written" if self.is_being_written else "")]
        if self.hz is None:
            said.append("mul 0: the clock stands still" if self.version else "mul 0: nobody has filled it in")
        else:
            said.append(f"TSC {self.hz} Hz (mul {self.mul:#x}, shift {self.shift})")
        said.append(f"{self.system_time} ns at TSC {self.tsc_timestamp:#x}")
        if tsc is not None:
            said.append(f"{self.ns(tsc)} ns now, at TSC {tsc:#x}")
        names = [name for bit, name in ((STABLE, "stable across vCPUs"), (PAUSED, "guest was paused"))
                 if self.flags & bit]
        other = self.flags & ~(STABLE | PAUSED)
        said.append("flags: " + (", ".join(names + ([f"unknown {other:#x}"] if other else [])) or "none"))
        return said


@dataclass(frozen=True)
class WallClock:
    """struct pvclock_wall_clock: the time of day when the system time was 0. Little-endian, 12 bytes."""

    version: int
    sec: int
    nsec: int

    SIZE: ClassVar[int] = 12
    STRUCT: ClassVar[str] = "pvclock_wall_clock"

    @classmethod
    def unpack(cls, data: bytes) -> WallClock:
        """From the structure's bytes. Raises ValueError if they are not SIZE."""
        if len(data) != cls.SIZE:
            raise ValueError(f"a pvclock_wall_clock has {cls.SIZE} bytes, not {len(data)}")
        return cls(*struct.unpack("<3I", data))

    def pack(self) -> bytes:
        """The structure's bytes."""
        return struct.pack("<3I", self.version, self.sec, self.nsec)

    def summary(self) -> str:
        """One line."""
        return f"version {self.version}, {self.sec}.{self.nsec:09d} s since 1970"
