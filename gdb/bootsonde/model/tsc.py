"""What a processor says of its time stamp counter through CPUID.

Sources: Intel SDM volume 3, "Time-Stamp Counter" and volume 2A, CPUID leaves 0x15 and 0x16; Linux
Documentation/virt/kvm/x86/cpuid.rst and VMware's convention for leaf 0x40000010.
"""

from __future__ import annotations

from typing import Callable, List, Optional

from bootsonde.model.cpuid import CpuidAnswer, highest_of

Ask = Callable[[int], CpuidAnswer]


def _frequency_15(answer: CpuidAnswer) -> Optional[int]:
    return answer.ecx * answer.ebx // answer.eax if answer.eax and answer.ebx and answer.ecx else None


def describe_tsc(ask: Ask) -> List[str]:
    """One statement a line: features, what each leaf tells of the frequency, and whether any does.

    ask: CPUID with sub-leaf 0. Only leaves up to the limits are asked for, since what is above is answered with another
    leaf's values.
    """
    first = ask(1)
    extended = ask(0x80000000).eax
    rdtscp = extended >= 0x80000001 and bool(ask(0x80000001).edx >> 27 & 1)
    invariant = extended >= 0x80000007 and bool(ask(0x80000007).edx >> 8 & 1)
    features = [("TSC", first.edx >> 4 & 1), ("RDTSCP", rdtscp), ("invariant TSC", invariant),
                ("TSC deadline timer", first.ecx >> 24 & 1)]
    said = [("has " if has else "lacks ") + name for name, has in features]
    told: List[int] = []
    basic = ask(0).eax
    if basic >= 0x15:
        hz = _frequency_15(ask(0x15))
        said.append("leaf 0x15: " + ("a field is 0, so no frequency" if hz is None else f"{hz} Hz"))
        told += [hz] if hz is not None else []
    else:
        said.append(f"leaf 0x15: not there, the highest is {basic:#x}")
    if basic >= 0x16:
        said.append(f"leaf 0x16: base frequency {ask(0x16).eax} MHz, informational")
    if first.ecx >> 31 & 1:
        told += _describe_hypervisor(ask, said)
    else:
        said.append("no hypervisor")
    said.append("the frequency is told: " + ", ".join(f"{hz} Hz" for hz in told) if told else
                "no leaf tells the frequency: the kernel has to measure it")
    return said


def _describe_hypervisor(ask: Ask, said: List[str]) -> List[int]:
    """Adds to `said`; the frequencies, Hz, that the hypervisor tells."""
    answer = ask(0x40000000)
    highest = highest_of(answer)
    if highest < 0x40000010:
        said.append(f'leaf 0x40000010: not there, the highest of "{answer.vendor}" is {highest:#x}')
        return []
    khz = ask(0x40000010).eax
    said.append(f'leaf 0x40000010 of "{answer.vendor}": {khz} kHz' + ("" if khz else ", which is no frequency"))
    return [khz * 1000] if khz else []
