"""Bad input ends at once, with one line that says what to do, and a status that tells usage from absence."""

from __future__ import annotations

import os
import shutil
import socket
import struct
from pathlib import Path

import pytest

from .conftest import Launcher


def elf(notes: bytes, machine: int = 62, phnum: int = 1, phentsize: int = 56) -> bytes:
    """A 64-bit ELF file with one PT_NOTE segment and nothing else."""
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01\x09", 2, machine, 1, 0, 64, 0, 0, 64, phentsize,
                         phnum, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 4, 4, 120, 0, 0, len(notes), len(notes), 4)
    return header + segment + notes


def note(kind: int, name: bytes = b"Xen\0", data: bytes = b"\0\0\x10\0") -> bytes:
    pad = bytes(-len(data) % 4)
    return struct.pack("<III", len(name), len(data), kind) + name + data + pad


@pytest.mark.parametrize("arguments, says", [
    ([], "no kernel given"), (["K", "D", "E"], "one word too many"),
    (["--kernel", "K", "--kernel", "L"], "two kernels"),
    (["K", "--bogus"], "unknown option --bogus"), (["K", "--bogus=1"], "unknown option --bogus"),
    (["K", "-s"], "unknown option -s"), (["K", "--append"], "needs a value"), (["K", "--smp", "0"], "number of vCPUs"),
    (["K", "--smp", "two"], "number of vCPUs"), (["K", "--memory", "lots"], "such as 512M"),
    (["K", "--memory", "5M5"], "such as 512M"), (["K", "--name", "a/b"], "letters, digits"),
    (["K", "--name", ""], "not empty"), (["K", "--name", ".x"], "letters, digits"),
    (["K", "--accel", "hvf"], "tcg or kvm"),
    (["K", "--rr", "shift=0"], "record:FILE"), (["K", "--accel", "kvm", "--icount", "auto"], "tcg only"),
    (["K", "--console", "a\nb"], "line break"), (["K", "--append", "a\nb"], "line break"),
    (["K", "--qmp", "tcp:127.0.0.1:4"], "unix socket"), (["K", "--stub", "127.0.0.1:"], "give PORT"),
    (["K", "--stub", "127.0.0.1:http"], "give PORT"), (["K", "--stub", "70000"], "at most 65535"),
    (["K", "--rr", "record:x", "--write"], "replay needs the disk as it was")])
def test_usage(launcher: Launcher, arguments: list[str], says: str) -> None:
    assert says in launcher.refused(2, *arguments)


@pytest.mark.parametrize("address", [":1234", "*:1234", "0.0.0.0:1234", "[::]:1234", "192.168.1.1:1234", "127.1:1234",
                                     "127:1234", "127.x.y.z:1234", "example:1234", "tcp::1234", "10.0.0.127:1"])
def test_never_on_every_interface(launcher: Launcher, echo: Path, address: str) -> None:
    assert "other machines might reach that" in launcher.refused(2, echo, "--stub", address)


def test_long_socket_path(launcher: Launcher, echo: Path) -> None:
    """108 bytes are one too many, counted as bytes and not as characters."""
    path = "/tmp/" + "é" * 51 + "x"
    assert len(path.encode()) == 108
    assert "108 bytes long" in launcher.refused(2, echo, "--stub", f"unix:{path}")
    assert "108 bytes long" in launcher.refused(2, echo, "--qmp", path)
    launcher.qemu(echo, "--stub", path[:-1])


def test_missing_files(launcher: Launcher, echo: Path, tmp_path: Path) -> None:
    assert "no kernel at /nowhere/k" in launcher.refused(3, "/nowhere/k")
    assert "must be a file" in launcher.refused(3, tmp_path)
    assert "there is no /nowhere/d" in launcher.refused(3, echo, "/nowhere/d")
    assert "is a folder" in launcher.refused(3, echo, tmp_path)
    assert "there is no /nowhere/i" in launcher.refused(3, echo, "--initrd", "/nowhere/i")
    assert "there is no such file" in launcher.refused(3, echo, "--plugin", "/nowhere/p.so,x=1")
    assert "there is no folder /nowhere" in launcher.refused(3, echo, "--console", "/nowhere/log")
    assert "there is no folder /nowhere" in launcher.refused(3, echo, "--stub", "unix:/nowhere/s")
    assert "no QEMU at /nowhere/qemu" in launcher.refused(3, echo, QEMU="/nowhere/qemu")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_unreadable_files(launcher: Launcher, echo: Path, tmp_path: Path) -> None:
    kernel = tmp_path / "kernel"
    shutil.copy(echo, kernel)
    kernel.chmod(0)
    assert "you may read" in launcher.refused(3, kernel)
    disk = tmp_path / "disk"
    disk.touch()
    disk.chmod(0o400)
    assert "cannot write to" in launcher.refused(3, echo, disk, "--write")


@pytest.mark.parametrize("content, says", [
    (b"", "neither an ELF file nor a bzImage"), (b"#!/bin/sh\n", "neither an ELF file nor a bzImage"),
    (bytes(4096), "neither an ELF file nor a bzImage"), (b"\x7fELF\x02\x01", "another machine"),
    (elf(note(18), machine=183), "another machine"), (b"\x7fELF\x02\x02" + bytes(60), "another machine"),
    (elf(note(3)), "no PVH entry"), (elf(b""), "no PVH entry"), (elf(note(18, name=b"GNU\0")), "no PVH entry"),
    (elf(note(18), phnum=0), "no PVH entry"), (elf(note(18), phentsize=0), "no PVH entry"),
    (elf(note(18))[:100], "no PVH entry"), (elf(struct.pack("<III", 0xffffffff, 0xffffffff, 1)), "no PVH entry")],
    ids=["empty", "script", "zeros", "cut off", "arm", "big-endian", "other note", "no note", "other owner",
         "no segments", "entry size 0", "cut in the segments", "huge note"])
def test_not_a_kernel(launcher: Launcher, tmp_path: Path, content: bytes, says: str) -> None:
    kernel = tmp_path / "kernel"
    kernel.write_bytes(content)
    assert says in launcher.refused(3, kernel)


@pytest.mark.parametrize("content", [elf(note(18)), elf(note(6, data=b"linux") + note(3) + note(18, data=bytes(8))),
                                     bytes(514) + b"HdrS" + bytes(100)], ids=["one note", "third note", "bzImage"])
def test_a_kernel(launcher: Launcher, tmp_path: Path, content: bytes) -> None:
    kernel = tmp_path / "kernel"
    kernel.write_bytes(content)
    launcher.qemu(kernel)


def test_taken_port(launcher: Launcher, echo: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert "the port is taken" in launcher.refused(3, echo, "--stub", str(port))


def test_sockets(launcher: Launcher, echo: Path, tmp_path: Path) -> None:
    """A living one is refused, and not even connected to: a connection stops the guest behind a stub."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(1)
        server.setblocking(False)
        for option in ("--stub", "--qmp"):
            assert f"{option}: somebody listens" in launcher.refused(3, echo, "--stub", "none", option, path)
        with pytest.raises(BlockingIOError):
            server.accept()
        # Without Python nobody can tell, and the socket might be alive.
        assert "somebody listens" in launcher.refused(3, echo, "--stub", path, PYTHON="/nowhere/python")
    path.unlink()
    path.touch()
    assert "is not a socket" in launcher.refused(3, echo, "--stub", path)
    assert path.exists()


def test_run_folder_of_others(launcher: Launcher, echo: Path, tmp_path: Path) -> None:
    """A run folder that others may write to, or that is a link, could be a trap."""
    launcher.folder.mkdir(mode=0o755)
    assert "must be yours alone" in launcher.refused(3, echo, "--stub", "none")
    launcher.folder.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    launcher.folder.symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in launcher.refused(3, echo, "--stub", "none")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_run_folder_of_another_user(launcher: Launcher, echo: Path) -> None:
    launcher.folder.mkdir(mode=0o700)
    os.chown(launcher.folder, 65534, -1)
    assert "must be yours alone" in launcher.refused(3, echo, "--stub", "none")


def test_kvm_that_does_not_work(launcher: Launcher, echo: Path, tmp_path: Path) -> None:
    """/dev/kvm may exist and still fail: the probe believes only a QEMU that starts."""
    qemu = tmp_path / "qemu"
    qemu.write_text("#!/bin/sh\necho 'failed to set MSR' >&2\nkill -ABRT $$\n")
    qemu.chmod(0o755)
    assert "use --accel tcg" in launcher.refused(3, echo, "--accel", "kvm", QEMU=str(qemu))


def test_kvm_without_arch_capabilities(launcher: Launcher, echo: Path, tmp_path: Path) -> None:
    """Where only `max,-arch-capabilities` starts, that is what is used."""
    qemu = tmp_path / "qemu"
    qemu.write_text('#!/bin/sh\ncase "$*" in *-arch-capabilities*) exit 0 ;; esac\nexit 1\n')
    qemu.chmod(0o755)
    done = launcher.run(echo, "--accel", "kvm", "--dry-run", QEMU=str(qemu))
    assert done.returncode == 0 and "-accel kvm -cpu max,-arch-capabilities " in done.stdout, done
