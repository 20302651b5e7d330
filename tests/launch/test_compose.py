"""What microvm_debug.sh makes of its options: read from --dry-run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from .conftest import Launcher


def value(arguments: list[str], option: str) -> str:
    """The value of an option that is given once."""
    assert arguments.count(option) == 1, arguments
    return arguments[arguments.index(option) + 1]


def values(arguments: list[str], option: str) -> list[str]:
    return [arguments[i + 1] for i, word in enumerate(arguments) if word == option]


def test_default(launcher: Launcher, echo: Path) -> None:
    """The porter's machine, waiting on loopback."""
    command = launcher.qemu(echo)
    assert Path(command[0]).name.startswith("qemu-system-x86_64")
    assert value(command, "-M") == "microvm,acpi=off"
    assert value(command, "-accel") == "tcg"
    assert value(command, "-cpu") == "max"
    assert value(command, "-kernel") == str(echo)
    assert value(command, "-gdb") == "tcp:127.0.0.1:1234"
    assert {"-S", "-nodefaults", "-no-user-config", "-no-reboot"} < set(command)
    assert value(command, "-device") == "isa-debug-exit,iobase=0xf4,iosize=4"
    assert "mux=on,signal=off,logfile=" in value(command, "-chardev")
    assert "-drive" not in command and "-netdev" not in command and "-append" not in command
    assert not launcher.folder.exists(), "a dry run touches nothing"


@pytest.mark.parametrize("style", ["two words", "one word"])
def test_values(launcher: Launcher, echo: Path, style: str) -> None:
    """Each plain option, as `--opt value` and `--opt=value`."""
    options = {"--append": "console=ttyS0 quote='it''s'", "--memory": "512M", "--smp": "4", "--cpu": "qemu64,+x2apic",
               "--machine": "rtc=on", "--name": "n.1-x", "--kernel": str(echo), "--accel": "tcg"}
    words = [w for k, v in options.items() for w in ([k, v] if style == "two words" else [f"{k}={v}"])]
    command = launcher.qemu(*words)
    assert value(command, "-append") == options["--append"]
    assert value(command, "-m") == "512M"
    assert value(command, "-smp") == "4"
    assert value(command, "-cpu") == "qemu64,+x2apic"
    assert value(command, "-M") == "microvm,acpi=off,rtc=on"
    assert value(command, "-name") == "n.1-x"


def test_own_arguments_last(launcher: Launcher, echo: Path) -> None:
    assert launcher.qemu(echo, "--", "-d", "int,cpu_reset", "--write")[-3:] == ["-d", "int,cpu_reset", "--write"]


def test_empty_append(launcher: Launcher, echo: Path) -> None:
    assert value(launcher.qemu(echo, "--append", ""), "-append") == ""


def test_names_with_blanks_and_commas(launcher: Launcher, echo: Path, tmp_path: Path) -> None:
    """A comma ends a value of QEMU's options unless doubled; a blank must not end anything."""
    folder = tmp_path / "a b,c 'd'"
    folder.mkdir()
    kernel = folder / "kernel"
    shutil.copy(echo, kernel)
    disk = folder / "disk,1"
    disk.write_bytes(bytes(1 << 20))
    command = launcher.qemu("--console", folder / "log", "--stub", folder / "s", "--qmp", folder / "q", kernel, disk)
    twice = str(folder).replace(",", ",,")
    assert value(command, "-kernel") == str(kernel)
    assert value(command, "-drive") == f"if=none,id=disk0,file={twice}/disk,,1,format=raw,snapshot=on"
    assert value(command, "-chardev").endswith(f"logfile={twice}/log")
    assert value(command, "-gdb") == f"unix:{twice}/s,server=on,wait=off"
    assert value(command, "-qmp") == f"unix:{twice}/q,server=on,wait=off"


def test_disk(launcher: Launcher, echo: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"QFI\xfb" + bytes(508))
    assert value(launcher.qemu(echo, disk), "-drive").endswith("format=qcow2,snapshot=on")
    assert value(launcher.qemu(echo, disk, "--write"), "-drive").endswith("snapshot=off")
    assert "virtio-blk-device,drive=disk0" in values(launcher.qemu("--kernel", echo, "--disk", disk), "-device")


def test_net(launcher: Launcher, echo: Path) -> None:
    command = launcher.qemu(echo, "--net", "user,restrict=on")
    assert value(command, "-netdev") == "user,restrict=on,id=net0"
    assert "virtio-net-device,netdev=net0" in values(command, "-device")


def test_plugins(launcher: Launcher, echo: Path, tmp_path: Path) -> None:
    """A file name may have commas itself; several plugins keep their order."""
    odd = tmp_path / "p,1.so"
    plain = tmp_path / "p2.so"
    odd.touch()
    plain.touch()
    command = launcher.qemu(echo, "--plugin", f"{odd},out=/x,all=on", "--plugin", plain)
    assert values(command, "-plugin") == [f"{tmp_path}/p,,1.so,out=/x,all=on", str(plain)]


def test_determinism(launcher: Launcher, echo: Path, tmp_path: Path) -> None:
    """Virtual time comes with all that two equal runs need; record and replay put the disk and network behind it."""
    command = launcher.qemu(echo, "--icount", "shift=0,sleep=off")
    assert value(command, "-icount") == "shift=0,sleep=off"
    assert value(command, "-seed") == "1"
    assert value(command, "-rtc") == "base=2020-01-01T00:00:00,clock=vm"
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(512))
    command = launcher.qemu(echo, disk, "--rr", f"record:{tmp_path}/r,r", "--net", "user")
    assert value(command, "-icount") == f"shift=3,sleep=off,rr=record,rrfile={tmp_path}/r,,r"
    assert "driver=blkreplay,if=none,id=replay0,image=disk0" in values(command, "-drive")
    assert "filter-replay,id=netreplay,netdev=net0" in values(command, "-object")


@pytest.mark.parametrize("given, composed", [
    ("4444", "tcp:127.0.0.1:4444"), ("localhost:4444", "tcp:127.0.0.1:4444"), ("tcp:127.0.0.2:1", "tcp:127.0.0.2:1"),
    ("[::1]:99", "tcp:[::1]:99"), ("unix:/tmp/s", "unix:/tmp/s,server=on,wait=off"),
    ("/tmp/s", "unix:/tmp/s,server=on,wait=off")])
def test_stub(launcher: Launcher, echo: Path, given: str, composed: str) -> None:
    assert value(launcher.qemu(echo, "--stub", given), "-gdb") == composed


def test_no_stub_no_wait(launcher: Launcher, echo: Path) -> None:
    command = launcher.qemu(echo, "--stub", "none", "--no-wait")
    assert "-gdb" not in command and "-S" not in command and "-s" not in command


def test_relative_paths(launcher: Launcher, echo: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU and the state file get paths that hold anywhere; the launcher may be called through a link."""
    monkeypatch.chdir(echo.parent)
    link = launcher.base / "link"
    link.symlink_to(launcher.script)
    command = replace(launcher, script=link).qemu("echo", "--stub", "./s")
    assert value(command, "-kernel") == str(echo)
    assert value(command, "-gdb") == f"unix:{echo.parent}/./s,server=on,wait=off"


def test_runs_again_when_pasted(launcher: Launcher, echo: Path) -> None:
    """A shell reads the printed line back as it was, also from a shell other than /bin/sh."""
    odd = "a'b \"c\" $HOME `x` \\ *"
    for shell in ("dash", "bash --posix", "busybox sh"):
        if shutil.which(shell.split()[0]):
            assert value(replace(launcher, shell=tuple(shell.split())).qemu(echo, "--append", odd), "-append") == odd


def test_help(launcher: Launcher) -> None:
    done = launcher.run("--help")
    assert done.returncode == 0 and done.stdout.startswith("usage: microvm_debug.sh")
