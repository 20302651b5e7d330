"""The reference guest in the forms in which kernels are shipped: what is missing costs what it names, nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from elfforms import FORMS
from labkit import Lab
from unikernel import unikernel

NAMED = [form for form in FORMS if form != "nameless"]
WITH_DWARF = ["whole", "debuglink", "no-build-id"]


@pytest.fixture
def form(request: pytest.FixtureRequest, build: Path, tmp_path: Path) -> Path:
    """A kernel in the form that the test's parameter names."""
    kernel = tmp_path / "kernel"
    FORMS[request.param](build / "guest" / "clockguest.full", kernel)
    return kernel


@pytest.mark.parametrize("form", NAMED, indirect=True)
def test_the_clock_bring_up_is_found_and_the_freq_injected(lab: Lab, form: Path) -> None:
    lab.run(lab.stock("pvclock"), "--kernel", form).expect(0)
    trace = lab.trace("pvclock")
    assert {"tsc_init", "lapic_init", "clockcalib", "tc_init"} <= {e["function"] for e in trace.of_kind("hit")}
    assert [event["target"] for event in trace.of_kind("inject")] == ["tsc_freq"]


@pytest.mark.parametrize("form", NAMED, indirect=True)
def test_cpuid_reaches_its_instruction(lab: Lab, form: Path) -> None:
    lab.run(lab.stock("cpuid"), "--kernel", form).expect(0)
    assert [event["leaf"] for event in lab.trace("cpuid").of_kind("cpuid")] == ["0x40000000"]


@pytest.mark.parametrize("form", WITH_DWARF, indirect=True)
def test_dwarf_gives_the_functions_of_a_file(lab: Lab, form: Path) -> None:
    assert "pvclock.c: 0 of 15 hit" in lab.run(lab.stock("pvclock"), "--kernel", form).expect(0).out


@pytest.mark.parametrize("form", ["symtab-only", "dynsym-only", "nameless"], indirect=True)
def test_without_dwarf_the_file_is_told_to_be_missing(lab: Lab, form: Path) -> None:
    done = lab.run(lab.stock("pvclock"), "--kernel", form)
    assert f"this kernel has not pvclock.c: cprobe: {form}: no DWARF" in done.out, str(done)


@pytest.mark.parametrize("form", ["nameless"], indirect=True)
def test_without_names_messages_are_still_found(lab: Lab, form: Path) -> None:
    """The check is reached; tsc_freq cannot be injected, so the guest panics as without bootsonde."""
    done = lab.run(lab.stock("pvclock"), "--kernel", form).expect(1)
    assert "this kernel has no variable tsc_freq: nothing is injected" in done.out
    assert "the guest panicked: panic: TSC not initialized" in done.err
    assert lab.trace("pvclock").of_kind("hit") and not lab.trace("pvclock").of_kind("inject")


@pytest.mark.parametrize("form", ["nameless"], indirect=True)
def test_without_names_every_cpuid_is_watched(lab: Lab, form: Path) -> None:
    lab.run(lab.stock("cpuid"), "--kernel", form).expect(1)
    assert "0x40000000" in {event["leaf"] for event in lab.trace("cpuid").of_kind("cpuid")}


@pytest.mark.parametrize("form", ["no-build-id"], indirect=True)
def test_without_build_id_the_wrong_kernel_is_found_by_its_entry(lab: Lab, form: Path) -> None:
    other = form.with_name("other")
    image = bytearray(form.read_bytes())
    begin = image.index(b"\x7fELF") + 0x1000  # .text begins there; the header's page is before it
    image[begin:begin + 16] = b"\x90" * 16
    other.write_bytes(image)
    done = lab.run(lab.stock("pvclock"), "--kernel", form, "--symbols", other)
    done.expect(2)
    assert "memory differs at the kernel's entry point" in done.err


#: The note lies in the segment of the code, as with many kernels' own scripts: objcopy keeps the segment's size then.
ONE_SEGMENT = """
PHDRS { all PT_LOAD; note PT_NOTE; }
SECTIONS { . = 0x100000; .text : { *(.text) } :all .rodata : { *(.rodata*) } .note : { *(.note.pvh) } :all :note
           .bss : { *(.bss) } :all }
"""


def test_symbols_may_be_a_debug_file_alone(lab: Lab, tmp_path: Path) -> None:
    """What lies at the offsets of its segments is not the kernel's code: it is not compared with the guest's memory."""
    script, debug = tmp_path / "one.ld", tmp_path / "unikernel.debug"
    script.write_text(ONE_SEGMENT)
    kernel = unikernel(tmp_path, 'int main(void) { say("login:"); return 0; }', f"-Wl,-n,--build-id=none,-T,{script}")
    subprocess.run(["objcopy", "--only-keep-debug", kernel, debug], check=True, timeout=60)
    lab.scenario("main", 'scenario.at(Functions("main"))')
    lab.run("main.py", "--kernel", kernel, "--symbols", debug).expect(0)
    assert [hit["function"] for hit in lab.trace("main").of_kind("hit")] == ["main"]
