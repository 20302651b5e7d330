"""What the tools meet in the file: FreeBSD's ELF shape, split as FreeBSD splits it."""

from __future__ import annotations

import struct
import subprocess
import zlib
from pathlib import Path

import pytest

KERNBASE = 0xFFFFFFFF80000000
LINKED_AT = 0xFFFFFFFF80200000
PT_LOAD, PT_INTERP, PT_NOTE = 1, 3, 4
NT_GNU_BUILD_ID, XEN_ELFNOTE_PHYS32_ENTRY = 3, 18

# Names that scenarios for FreeBSD break on: all must be real functions, by their own name.
FUNCTIONS = """
    pvclock_resume pvclock_tsc_freq pvclock_read_time_info pvclock_read_wall_clock pvclock_getsystime
    pvclock_get_timecount pvclock_get_wallclock pvclock_cdev_open pvclock_cdev_mmap pvclock_tc_get_timecount
    pvclock_tc_vdso_timehands pvclock_gettime pvclock_init pvclock_destroy
    kvm_clock_identify kvm_clock_probe kvm_clock_attach
    tsc_init probe_tsc_freq tsc_freq_cpuid_vm tsc_freq_cpuid tsc_calibrate init_TSC_tc start_TSC tsc_get_timecount
    tsc_freq_changed
    lapic_init lapic_setup lapic_calibrate_timer lapic_calibrate_initcount lapic_calibrate_initcount_cpuid_vm
    lapic_read32 lapic_write32
    clockcalib tc_init tc_windup binuptime identify_cpu identify_hypervisor DELAY i8254_get_timecount
    hammer_time mi_startup cpu_mp_start init_secondary panic vpanic kassert_panic kdb_enter
""".split()
OBJECTS = "tsc_freq cpu_feature cpu_feature2 cpu_vendor hv_base hv_high hv_vendor vm_guest x2apic_mode".split()


class Elf:
    """Just enough of ELF64 for these tests."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        self.osabi = self.data[7]
        (self.type, _, _, self.entry, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum,
         shstrndx) = struct.unpack_from("<HHIQQQIHHHHHH", self.data, 16)
        # type, flags, offset, vaddr, paddr, filesz, memsz, align
        self.segments = [struct.unpack_from("<IIQQQQQQ", self.data, phoff + i * phentsize) for i in range(phnum)]
        # name, type, flags, addr, offset, size
        headers = [struct.unpack_from("<IIQQQQ", self.data, shoff + i * shentsize) for i in range(shnum)]
        names = headers[shstrndx][4]
        self.sections = {self.string(names + header[0]): header for header in headers}

    def string(self, offset: int) -> str:
        return self.data[offset:self.data.index(b"\0", offset)].decode()

    def section(self, name: str) -> bytes:
        _, _, _, _, offset, size = self.sections[name]
        return self.data[offset:offset + size]

    def note(self, section: str) -> tuple[str, int, bytes]:
        data = self.section(section)
        namesz, descsz, kind = struct.unpack_from("<III", data)
        start = 12 + (namesz + 3 & ~3)
        return data[12:12 + namesz - 1].decode(), kind, data[start:start + descsz]


@pytest.fixture(scope="module")
def kernel(guest: Path) -> Elf:
    return Elf(guest)


def test_is_freebsd_shaped(kernel: Elf) -> None:
    assert kernel.osabi == 9
    assert kernel.type == 2  # ET_EXEC
    assert kernel.entry == LINKED_AT
    interp = [s for s in kernel.segments if s[0] == PT_INTERP]
    assert len(interp) == 1 and kernel.string(interp[0][2]) == "/red/herring"


def test_loads_kernbase_lower(kernel: Elf) -> None:
    loads = [s for s in kernel.segments if s[0] == PT_LOAD]
    assert loads and loads[0][3] == LINKED_AT
    for segment in loads:
        assert segment[3] - segment[4] == KERNBASE
        assert segment[1] & 3 != 3, "writable and executable"


def test_notes_are_in_the_note_segment(kernel: Elf) -> None:
    name, kind, desc = kernel.note(".note.Xen")
    assert (name, kind) == ("Xen", XEN_ELFNOTE_PHYS32_ENTRY)
    assert int.from_bytes(desc, "little") == LINKED_AT - KERNBASE
    notes = [s for s in kernel.segments if s[0] == PT_NOTE]
    for section in (".note.Xen", ".note.gnu.build-id"):
        _, _, _, addr, _, size = kernel.sections[section]
        assert any(n[3] <= addr and addr + size <= n[3] + n[6] for n in notes), section


def test_split_files_belong_together(guest: Path, kernel: Elf) -> None:
    debug_path = guest.with_suffix(".debug")
    full, debug = Elf(guest.with_suffix(".full")), Elf(debug_path)
    name, kind, build_id = kernel.note(".note.gnu.build-id")
    assert (name, kind, len(build_id)) == ("GNU", NT_GNU_BUILD_ID, 20)
    assert full.note(".note.gnu.build-id")[2] == build_id
    assert debug.note(".note.gnu.build-id")[2] == build_id
    assert {full.osabi, debug.osabi} == {9}
    link = kernel.section(".gnu_debuglink")
    assert link[:link.index(b"\0")].decode() == debug_path.name
    assert int.from_bytes(link[-4:], "little") == zlib.crc32(debug_path.read_bytes())


def test_debug_sections_are_where_they_belong(guest: Path, kernel: Elf) -> None:
    assert ".debug_info" not in kernel.sections and ".symtab" in kernel.sections
    for other in (".full", ".debug"):
        sections = Elf(guest.with_suffix(other)).sections
        assert ".debug_info" in sections and ".debug_frame" in sections


def test_nothing_of_the_host_leaked_in(kernel: Elf) -> None:
    assert not [name for name in kernel.sections if name in (".init_array", ".dynamic", ".eh_frame", ".rela.dyn")]


def test_names_are_freebsds(guest: Path) -> None:
    listing = subprocess.run(["nm", "-f", "posix", str(guest)], check=True, capture_output=True, text=True).stdout
    kinds = {line.split()[0]: line.split()[1].lower() for line in listing.splitlines()}
    assert [name for name in FUNCTIONS if kinds.get(name) != "t"] == []
    assert [name for name in OBJECTS if kinds.get(name) not in ("b", "d")] == []
    assert "pvclock_scale_delta" not in kinds, "inline in FreeBSD, and here"
