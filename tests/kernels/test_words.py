"""What is said of kernels that cannot be used as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from fetched import fetched
from labkit import Lab


@pytest.fixture(scope="module")
def others() -> Path:
    return fetched("other-kernels")


def test_xen_has_no_pvh_entry(lab: Lab, others: Path) -> None:
    """Debian's Xen carries Multiboot headers only."""
    done = lab.run(lab.stock("pvclock"), "--kernel", others / "xen").expect(2)
    assert "xen has no PVH entry (ELF note Xen, type 18)" in done.err
    assert done.err.count("\n") == 1, "one line says it"


def test_grub_has_nothing_to_break_on(lab: Lab, others: Path) -> None:
    """A 32-bit PVH kernel without symbols: microvm starts it, and each place is said to be missing, with the reason."""
    done = lab.run(lab.stock("pvclock"), "--kernel", others / "grub").expect(2)
    assert "has nothing of what pvclock looks for" in done.err
    assert "no DWARF, and no debug file" in done.err
    lab.expect_nothing_left()


def test_grub_sections_do_not_say_that_they_are_code(others: Path, cprobe: Path, lab: Lab) -> None:
    """Its only executable flag is the segment's; objdump, told to disassemble all, knows where the cpuids are."""
    shown = lab.command(["objdump", "-D", str(others / "grub")]).expect(0).out
    wanted = {int(line.split(":")[0], 16) for line in shown.splitlines() if line.rstrip().endswith("cpuid")}
    found = lab.command([str(cprobe), "find", str(others / "grub"), "--insn", "cpuid"]).expect(0).out
    assert {int(line.split()[0], 16) for line in found.splitlines() if line.startswith("0x")} >= wanted > set()


def test_a_bzimage_alone_has_no_symbols(lab: Lab, others: Path) -> None:
    done = lab.run(lab.stock("pvclock"), "--kernel", others / "memtest").expect(2)
    assert "a bzImage, or compressed? give the ELF file in it" in done.err and "--symbols" in done.err
    assert "Traceback" not in done.err


def test_cprobe_knows_the_32_bit_pvh_entry(lab: Lab, others: Path, cprobe: Path) -> None:
    done = lab.command([str(cprobe), "info", str(others / "grub")]).expect(0)
    assert "class:       ELF32" in done.out and "PVH entry:   0x100000" in done.out


def test_the_folder_of_the_commands_may_be_a_link(lab: Lab, tmp_path: Path) -> None:
    """What they need lies beside the folder itself, not beside the link."""
    (tmp_path / "tools").symlink_to(lab.root / "launch")
    lab.command([str(tmp_path / "tools" / "bootsonde"), "--help"]).expect(0)
