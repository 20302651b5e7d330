"""KVM's clock without KVM: what its CPUID leaves say, and what its MSRs have written into the guest's memory.

Source: Linux Documentation/virt/kvm/x86/{cpuid,msr}.rst.

All vCPUs' structures are taken from one moment (TSC, ns), so that they agree to the nanosecond; this is right where all
vCPUs count one TSC, as QEMU's under TCG do. The clock began when the TSC was 0, which is when QEMU started; that is the
moment, unless one is wanted before which time can go back.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Dict, List, Mapping, Optional, Tuple

from bootsonde.model import msr, pvclock
from bootsonde.model.errors import UserError
from bootsonde.model.pvclock import PvclockTime, WallClock, scale_for

SIGNATURE = "KVMKVMKVM"
#: The leaf without which no kernel knows of the clock's registers.
FEATURES = 0x40000001
#: The leaf with the frequencies.
RATES = 0x40000010
#: Bits of FEATURES' EAX.
OLD_CLOCK, NEW_CLOCK, STABLE_BIT = 1 << 0, 1 << 3, 1 << 24
_NS = 10 ** 9
#: When a guest with virtual time begins, ns since 1970: 2020-01-01, as launch/microvm_debug.sh sets its RTC.
VIRTUAL_EPOCH_NS = 1577836800 * _NS

#: What a guest's reader may meet, see `KvmClock.fault`.
FAULTS = {
    "": "none",
    "odd": "the version stays odd: the host never finishes writing",
    "mul0": "mul is 0: the clock stands still",
    "torn": "in the middle of some reads the structure becomes another one: a reader that does not look at the version "
            "again takes it for the time",
    "backwards": "after some reads the time goes back",
}

#: Physical address and bytes.
Write = Tuple[int, bytes]


@dataclass
class KvmClock:
    """What is to be pretended.

    tsc_hz: the TSC's frequency, None until it is measured. bus_hz: the local APIC timer's before its divider; QEMU's
    counts nanoseconds. features: leaf 0x40000001 EAX. paused: flag bit 1 is set at registration. fault: one of FAULTS.
    seed: chooses at which reads `torn` and `backwards` act and by how much. limit: how often they act. readers: globs
    of functions whose TSC reads stand in the middle of reading a structure. again: vCPUs may register anew, elsewhere,
    as when a kernel was suspended; else no wrmsr is looked at once all have, because breakpoints there slow it down.
    """

    tsc_hz: Optional[int] = None
    bus_hz: int = _NS
    features: int = OLD_CLOCK | NEW_CLOCK | STABLE_BIT
    paused: bool = False
    fault: str = ""
    seed: int = 1
    limit: int = 5
    again: bool = False
    readers: Tuple[str, ...] = ("*pvclock*", "*kvm_clock*", "*kvmclock*")

    def __post_init__(self) -> None:
        if self.fault not in FAULTS:
            raise UserError(f"fault={self.fault}: expected one of "
                            + "; ".join(f"{name} ({text})" for name, text in FAULTS.items() if name))
        if self.tsc_hz is not None:
            self.check_hz(self.tsc_hz)

    @staticmethod
    def check_hz(hz: int) -> None:
        """Raises UserError for a frequency that leaf 0x40000010 (kHz, 32 bits) or a pvclock cannot say."""
        if not 1000 <= hz // 1000 * 1000 <= 0xffffffff * 1000:
            raise UserError(f"a TSC of {hz} Hz: expected 1000 Hz to {0xffffffff} kHz")

    def cpuid(self) -> List[str]:
        """The leaves, for a CpuidOverlay. The frequency has to be known."""
        assert self.tsc_hz is not None
        return [f"0x40000000: eax = {RATES:#x}, vendor = {SIGNATURE}",
                f"{FEATURES:#x}: eax = {self.features:#x}, ebx = 0, ecx = 0, edx = 0",
                f"{RATES:#x}: eax = {self.tsc_hz // 1000}, ebx = {self.bus_hz // 1000}, ecx = 0, edx = 0"]

    @property
    def system_time_msrs(self) -> Tuple[int, ...]:
        """Those that the features announce."""
        return ((msr.KVM_SYSTEM_TIME_OLD,) if self.features & OLD_CLOCK else ()) + (
            (msr.KVM_SYSTEM_TIME,) if self.features & NEW_CLOCK else ())

    @property
    def wall_clock_msrs(self) -> Tuple[int, ...]:
        """Those that the features announce."""
        return ((msr.KVM_WALL_CLOCK_OLD,) if self.features & OLD_CLOCK else ()) + (
            (msr.KVM_WALL_CLOCK,) if self.features & NEW_CLOCK else ())

    @property
    def msrs(self) -> Tuple[int, ...]:
        """All of this clock's registers."""
        return self.system_time_msrs + self.wall_clock_msrs

    @property
    def acts_on_reads(self) -> bool:
        """Whether `Clockwork.read` wants to be called."""
        return self.fault in ("torn", "backwards")


@dataclass
class Clockwork:
    """The clock as it runs in one guest: which vCPU has registered what. Needs the frequency."""

    clock: KvmClock
    registered: Dict[int, int] = field(default_factory=dict)    # vCPU -> physical address
    structures: Dict[int, PvclockTime] = field(default_factory=dict)
    _msrs: Dict[Tuple[int, int], int] = field(default_factory=dict)
    _began: Optional[Tuple[int, int]] = None                    # TSC and ns of the one moment
    _acts_left: int = 0
    _until_act: int = 0
    _torn: Dict[int, PvclockTime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.clock.seed)
        self._acts_left = self.clock.limit
        self._until_act = self._random.randint(2, 8)

    def owns(self, index: int) -> bool:
        """Whether the register is one of this clock's."""
        return index in self.clock.msrs

    def value(self, vcpu: int, index: int) -> int:
        """What rdmsr reads: what was written last; the wall clock's register is one for all vCPUs."""
        return self._msrs.get((0 if index in self.clock.wall_clock_msrs else vcpu, index), 0)

    def now(self, tsc: int) -> int:
        """The clock's ns at a TSC."""
        assert self.clock.tsc_hz is not None
        mul, shift = scale_for(self.clock.tsc_hz // 1000 * 1000)
        return PvclockTime(2, 0, 0, mul, shift, 0).ns(tsc)

    def needs_tsc(self, index: int) -> bool:
        """Whether `write` has to know the TSC."""
        return index in self.clock.wall_clock_msrs or self.clock.fault == "backwards" and self._began is None

    def write(self, vcpu: int, index: int, value: int, tsc: int, realtime_ns: int,
              before: Mapping[int, bytes]) -> List[Write]:
        """A vCPU has written one of this clock's registers: what is to be written into its memory.

        tsc, realtime_ns: at this moment; 0 where they are not needed. before: physical address -> the bytes that are
        there, for the version, which goes on from them.
        """
        if index in self.clock.wall_clock_msrs:
            self._msrs[0, index] = value
            return [(value, self._wall_clock(tsc, realtime_ns, before.get(value, b"")))] if value else []
        self._msrs[vcpu, index] = value
        address = value & ~1
        if not value & 1:
            self.registered.pop(vcpu, None)
            self.structures.pop(vcpu, None)
            return []
        if self._began is None:
            self._began = (tsc, self.now(tsc))
        version = int.from_bytes(before.get(address, b"")[:4], "little")
        structure = self._structure((version + 2) & 0xfffffffe or 2)
        self.registered[vcpu], self.structures[vcpu] = address, structure
        return [(address, structure.pack())]

    def _structure(self, version: int) -> PvclockTime:
        assert self.clock.tsc_hz is not None and self._began is not None
        mul, shift = scale_for(self.clock.tsc_hz // 1000 * 1000)
        flags = (pvclock.STABLE if self.clock.features & STABLE_BIT else 0) | (
            pvclock.PAUSED if self.clock.paused else 0)
        if self.clock.fault == "odd":
            version |= 1
        return PvclockTime(version, *self._began, 0 if self.clock.fault == "mul0" else mul, shift, flags)

    def _wall_clock(self, tsc: int, realtime_ns: int, before: bytes) -> bytes:
        sec, nsec = divmod(realtime_ns - self.now(tsc), _NS)
        version = int.from_bytes(before[:4], "little")
        return WallClock((version + 2) & 0xfffffffe or 2, sec, nsec).pack()

    def read(self, vcpu: int) -> List[Write]:
        """A vCPU is in the middle of reading its structure: what a fault has the host write just now."""
        structure = self.structures.get(vcpu)
        if structure is None:
            return []
        if vcpu in self._torn:
            # The next look at it, by whoever reads: the true one again, of a newer version.
            return self._put(vcpu, self._torn.pop(vcpu))
        if not self._acts_left:
            return []
        self._until_act -= 1
        if self._until_act > 0:
            return []
        self._acts_left -= 1
        self._until_act = self._random.randint(2, 8)
        version = structure.version + 2
        if self.clock.fault == "backwards":
            # Not further than the clock had come when it was registered, so that it never shows less than 0.
            most = min(structure.system_time, _NS)
            back = self._random.randint(most // 4, most)
            return self._put(vcpu, replace(structure, version=version, system_time=structure.system_time - back))
        self._torn[vcpu] = replace(structure, version=version + 2)
        wild = structure.system_time + self._random.randint(1, 1000) * _NS
        return self._put(vcpu, replace(structure, version=version, system_time=wild))

    def is_complete(self, vcpus: int) -> bool:
        """Whether that many vCPUs have registered and the wall clock was asked for."""
        return len(self.registered) >= vcpus and any((0, index) in self._msrs for index in self.clock.wall_clock_msrs)

    @property
    def is_done(self) -> bool:
        """Whether `read` has nothing more to do."""
        return not self._acts_left and not self._torn

    def _put(self, vcpu: int, structure: PvclockTime) -> List[Write]:
        self.structures[vcpu] = structure
        return [(self.registered[vcpu], structure.pack())]
