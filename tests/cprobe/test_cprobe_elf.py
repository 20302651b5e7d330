"""Forms of ELF: compressed debug sections, kernel modules and their debug files."""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from cprobe_kernels import SOURCES
from cprobe_kit import Build, Cprobe

MODULE_C = """
int printk(const char *format, ...);
static int state;
static int ready(void) { return state == 3; }
int (*volatile ready_of_module)(void) = ready;
__attribute__((noinline, cold)) static void complain(int code) { printk("module: no clock, code %d", code); }
int module_open(int code)
{
\tif (!ready())
\t\tcomplain(code);
\treturn code + state;
}
__attribute__((section(".init.text"))) int module_init(void)
{
\tstate = 3;
\treturn printk("module: loaded");
}
"""

LIST = ["list", "--inlined", "include"]


def run(*words: str | Path) -> str:
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A relocatable file with several sections of code, as `ld -r` makes a module of a unit."""
    (tmp_path / "module.c").write_text(MODULE_C)
    run("gcc", "-c", "-O2", "-g", "-ffreestanding", "-fno-pie", "-mcmodel=kernel", "-fcf-protection=none",
        "-fno-stack-protector", "-ffunction-sections", tmp_path / "module.c", "-o", tmp_path / "module.o")
    run("ld", "-r", "--build-id=sha1", tmp_path / "module.o", "-o", tmp_path / "module.ko")
    return tmp_path / "module.ko"


def gdb_symbols(path: Path) -> set[tuple[str, int]]:
    """Names and addresses by GDB, which lays a module's sections out itself."""
    if not shutil.which("gdb"):
        pytest.skip("no gdb on this machine")
    out = run("gdb", "-nx", "-batch", "-ex", "set debug-file-directory /nonexistent", "-ex", "maint print msymbols",
              path)
    return {(m[2], int(m[1], 16)) for m in re.finditer(r"^\[ *\d+\] \w (0x[0-9a-f]+) (\S+)", out, re.M)}


def symbols(probe: Cprobe, path: Path) -> set[tuple[str, int]]:
    return {(r["name"], int(r["address"], 16)) for r in probe.records("symbol", path, "*")}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("form", ["zlib", "zlib-gnu", "zstd"])
def test_compressed_kernels_answer_as_plain_ones(probe: Cprobe, build_elf: Build, tmp_path: Path, form: str) -> None:
    kernel, packed = build_elf(SOURCES, ["-O2", "-g"]), tmp_path / "packed"
    done = subprocess.run(["objcopy", f"--compress-debug-sections={form}", kernel, packed], capture_output=True,
                          text=True, check=False)
    if done.returncode:
        pytest.skip(f"objcopy: {done.stderr.strip()}")
    headers = run("readelf", "-SW", packed)
    assert ".zdebug_" in headers if form == "zlib-gnu" else re.search(r" \.debug_\w+ .* C ", headers)
    got = probe.run(*LIST[:1], packed, *LIST[1:])
    if form == "zstd" and "without libzstd" in got.stderr:
        pytest.skip("built without libzstd")
    assert got.returncode == 0, got.stderr
    assert got.stdout == probe.run(*LIST[:1], kernel, *LIST[1:]).stdout


def test_a_modules_symbols_are_where_gdb_has_them(probe: Cprobe, module: Path) -> None:
    ours, theirs = symbols(probe, module), gdb_symbols(module)
    assert {"module_open", "module_init", "complain"} <= {name for name, _ in ours & theirs}
    assert {pair for pair in theirs if pair[0] in dict(ours)} <= ours
    assert len({address for name, address in ours if name in ("module_open", "module_init", "complain")}) == 3


def test_a_modules_functions_have_lines_and_messages(probe: Cprobe, module: Path) -> None:
    before = digest(module)
    found = {r["name"]: r for r in probe.records("list", module, "--file", "module.c") if r["kind"] == "function"}
    where = dict(symbols(probe, module))
    assert (found["module_open"]["line"], found["module_init"]["line"]) == (7, 13)
    assert all(int(found[name]["address"], 16) == where[name] for name in ("module_open", "module_init", "complain"))
    message, = [r for r in probe.records("find", module, "--message", "no clock, code 7") if r["kind"] == "message"]
    assert message["name"] == "complain"
    assert digest(module) == before


def test_modules_of_i386(probe: Cprobe, tmp_path: Path) -> None:
    """Their relocations keep what they add in the place itself."""
    (tmp_path / "module.c").write_text(MODULE_C)
    module = tmp_path / "module.ko"
    run("gcc", "-m32", "-c", "-O2", "-g", "-ffreestanding", "-fno-pic", "-fcf-protection=none", "-fno-stack-protector",
        tmp_path / "module.c", "-o", module)
    assert "R_386_32 " in run("readelf", "-rW", module)
    where = dict(symbols(probe, module))
    assert {pair for pair in gdb_symbols(module) if pair[0] in where} <= set(where.items())
    found = {r["name"]: r for r in probe.records("list", module, "--file", "module.c") if r["kind"] == "function"}
    assert all(int(found[name]["address"], 16) == where[name] for name in ("module_open", "module_init"))
    assert found["module_open"]["line"] == 7
    message, = [r for r in probe.records("find", module, "--message", "module: loaded") if r["kind"] == "message"]
    assert message["name"] == "module_init"


@pytest.mark.parametrize("form", ["none", "zlib", "zlib-gnu"])
def test_a_module_and_its_debug_file_agree(probe: Cprobe, module: Path, tmp_path: Path, form: str) -> None:
    """The debug file's NOBITS sections take as much room as the module's own; its debug sections are relocated."""
    whole = probe.run("list", module).stdout
    debug, stripped = tmp_path / "module.debug", tmp_path / "stripped.ko"
    run("objcopy", "--only-keep-debug", f"--compress-debug-sections={form}", module, debug)
    run("objcopy", "--strip-debug", f"--add-gnu-debuglink={debug}", module, stripped)
    assert "module_open" in whole and "module.c:7" in whole
    assert probe.run("list", stripped).stdout == whole


def test_a_whole_module_is_a_debug_file_too(probe: Cprobe, module: Path, tmp_path: Path) -> None:
    """Its CRC is that of the file, whose relocations are applied in memory only."""
    folder = tmp_path / "stripped"
    folder.mkdir()
    run("objcopy", "--strip-debug", "--remove-section=.note.gnu.build-id", f"--add-gnu-debuglink={module}", module,
        folder / "module2.ko")
    shutil.copy(module, folder / "module.ko")
    assert "module.c:7" in probe.run("list", folder / "module2.ko").stdout


def test_debian_modules(probe: Cprobe, debian_vmlinux: Path, tmp_path: Path) -> None:
    """Where GDB has all their symbols, and a stripped one with its debug file as the debug file alone."""
    folder = debian_vmlinux.parent / "modules"
    if not folder.is_dir():
        pytest.skip("no modules beside this vmlinux")
    for module in [*sorted(folder.glob("*.ko")), *sorted((folder / "debug").glob("*.ko"))]:
        ours, theirs = symbols(probe, module), gdb_symbols(module)
        assert len(ours & theirs) > 50 and {pair for pair in theirs if pair[0] in dict(ours)} <= ours, module
    stripped, debug = folder / "virtio_net.ko", folder / "debug" / "virtio_net.ko"
    found = re.search(r"Build ID: (\w\w)(\w+)", run("readelf", "-n", stripped))
    assert found
    link = tmp_path / ".build-id" / found[1] / f"{found[2]}.debug"
    link.parent.mkdir(parents=True)
    shutil.copy(debug, link)
    split = probe.run("list", stripped, "--file", "virtio_net.c", env={"CPROBE_DEBUG_DIR": str(tmp_path)})
    assert split.stdout == probe.run("list", debug, "--file", "virtio_net.c").stdout
    assert split.stdout.count("\n") > 100


def sections(image: bytes) -> dict[str, tuple[int, int, int]]:
    """Name to header's offset, contents' offset, contents' size, of a 64-bit file."""
    table, = struct.unpack_from("<Q", image, 40)
    count, names = struct.unpack_from("<HH", image, 60)
    heads = [table + 64 * i for i in range(count)]
    text, = struct.unpack_from("<Q", image, heads[names] + 24)
    ret = {}
    for head in heads:
        at = text + struct.unpack_from("<I", image, head)[0]
        offset, size = struct.unpack_from("<QQ", image, head + 24)
        ret[image[at:image.index(b"\0", at)].decode()] = (head, offset, size)
    return ret


@pytest.mark.parametrize("claimed,size", [(0, 50), (1 << 20, 50), (1 << 40, 50), (2 ** 64 - 1, 50), (1 << 24, 1 << 24)])
def test_size_bombs(probe: Cprobe, module: Path, tmp_path: Path, claimed: int, size: int) -> None:
    """A debug section that claims another size than comes out, or that is zeros all the way."""
    image = bytearray(module.read_bytes())
    head, _, _ = sections(image)[".debug_info"]
    packed = struct.pack("<IIQQ", 1, 0, claimed, 1) + zlib.compress(bytes(size), 9)
    struct.pack_into("<QQQQ", image, head + 8, 0x800, 0, len(image), len(packed))
    bomb = tmp_path / "bomb.ko"
    bomb.write_bytes(bytes(image) + packed)
    done = probe.run("list", bomb)
    assert done.returncode in (0, 1, 3) and done.stderr.startswith("cprobe: "), done
    if claimed != size:
        assert done.returncode == 3 and f"0x{claimed:x}" in done.stderr, done
