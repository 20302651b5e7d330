"""The set-up of demo.sh and test.sh on machines that lack packages. The package managers are played by scripts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

RUN = {"gdb", "qemu-system-x86", "meson", "ninja-build", "gcc", "libelf-dev", "libdw-dev", "zlib1g-dev", "libzstd-dev",
       "libzydis-dev", "libjansson-dev", "python3"}
TEST = {"clang", "libcmocka-dev", "python3-pytest", "python3-mypy", "python3-flake8", "shellcheck", "tmux"}

# apt-cache policy PACKAGE...
KNOWS_ALL = "shift; for p; do echo $p:; echo '  Installed: (none)'; echo '  Candidate: 1.0'; done"


class Machine:
    """A PATH on which the package manager's commands are ours and write what they are told into a log."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.log = folder / "log"
        self.root = root

    def command(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.log}"\n{body}\n')
        path.chmod(0o755)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "GDB", "QEMU")}
        environment["PATH"] = f"{self.bin}:{environment['PATH']}"
        return subprocess.run([str(self.root / "launch" / command[0]), *command[1:]], env=environment, text=True,
                              cwd="/", capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)

    def told(self, word: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if word in line] if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path, root: Path) -> Machine:
    return Machine(tmp_path, root)


@pytest.mark.parametrize("script, wanted, unwanted", [("demo.sh", RUN, TEST), ("test.sh", RUN | TEST, set()),
                                                      ("setup.sh", RUN, TEST)])
def test_only_prints(machine: Machine, script: str, wanted: set[str], unwanted: set[str]) -> None:
    """--no-install on a Debian with nothing: the whole command, status 3, and nothing done."""
    machine.command("dpkg-query", "exit 1")
    machine.command("apt-get", "exit 0")
    done = machine.run(script, "--no-install")
    assert done.returncode == 3, done
    words = set(done.stdout.split())
    assert {"apt-get", "install", "--no-install-recommends", "DEBIAN_FRONTEND=noninteractive"} < words
    assert wanted < words and not unwanted & words
    assert machine.told("apt-get") == []
    assert "packages are missing" in done.stderr


def test_installs_what_is_missing_only(machine: Machine) -> None:
    """Printed, then run; no update where apt knows the packages."""
    machine.command("dpkg-query", "for p in gdb python3 meson ninja-build gcc libc6-dev binutils pkg-config libelf-dev "
                                  "libdw-dev zlib1g-dev libzstd-dev libjansson-dev; do echo $p installed; done; "
                                  "echo qemu-system-x86 config-files")
    machine.command("apt-cache", KNOWS_ALL)
    machine.command("apt-get", "exit 0")
    machine.command("sudo", 'exec "$@"')
    done = machine.run("setup.sh")
    assert done.returncode == 0, done
    assert machine.told("apt-get") == ["apt-get install -y -q --no-install-recommends qemu-system-x86 libzydis-dev"]
    assert "apt-get install -y -q --no-install-recommends qemu-system-x86 libzydis-dev" in done.stderr


def test_updates_stale_lists(machine: Machine) -> None:
    """A fresh machine's apt knows nothing; one with old lists fails at first."""
    machine.command("dpkg-query", "exit 1")
    machine.command("apt-cache", "exit 0")
    machine.command("apt-get", "exit 0")
    machine.command("sudo", 'exec "$@"')
    assert machine.run("setup.sh").returncode == 0
    assert [line.split()[1] for line in machine.told("apt-get")] == ["update", "install"]
    machine.log.unlink()
    machine.command("apt-cache", KNOWS_ALL)
    machine.command("apt-get", f'case $1 in update) touch "{machine.log}.new" ;; *) [ -e "{machine.log}.new" ] ;; esac')
    assert machine.run("setup.sh").returncode == 0
    assert [line.split()[1] for line in machine.told("apt-get")] == ["install", "update", "install"]


def test_cannot_install(machine: Machine) -> None:
    machine.command("dpkg-query", "exit 1")
    machine.command("apt-cache", KNOWS_ALL)
    machine.command("apt-get", "echo 'E: no network' >&2; exit 100")
    machine.command("sudo", 'exec "$@"')
    done = machine.run("demo.sh")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("demo.sh: ")


def test_neither_root_nor_sudo(machine: Machine) -> None:
    """The command is printed all the same."""
    machine.command("dpkg-query", "exit 1")
    machine.command("apt-cache", KNOWS_ALL)
    machine.command("id", "echo 1000")
    for command in ("sh", "dirname", "sed", "tr", "awk", "uname"):
        (machine.bin / command).symlink_to(f"/usr/bin/{command}")
    (machine.bin / "apt-get").symlink_to("/bin/true")
    environment = {"PATH": str(machine.bin)}
    done = subprocess.run([str(machine.root / "launch" / "setup.sh")], env=environment, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == 3, done
    printed, why = done.stderr.splitlines()
    assert "apt-get install" in printed and "needs root" in why


def test_freebsd(machine: Machine) -> None:
    """pkg's names instead of a failing apt; Python's version in the names of its packages."""
    for command in ("sh", "dirname", "sed", "tr", "grep", "id"):
        (machine.bin / command).symlink_to(f"/usr/bin/{command}")
    machine.command("uname", "echo FreeBSD")
    machine.command("pkg", "case $3 in gdb | qemu-nox11) exit 0 ;; esac; exit 1")
    machine.command("python3", "echo py311")
    done = subprocess.run([str(machine.root / "launch" / "setup.sh"), "--test", "--no-install"], text=True,
                          env={"PATH": str(machine.bin), "PYTHON": "python3"}, capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 3, done
    words = done.stdout.split()
    assert words[:3] == ["pkg", "install", "-y"]
    assert {"elfutils", "zstd", "zydis", "jansson", "cmocka", "py311-pytest"} < set(words)
    assert not {"gdb", "qemu"} & set(words)


def test_unknown_system(machine: Machine) -> None:
    """It says what is needed, once."""
    for command in ("sh", "dirname", "sed", "tr", "grep", "id"):
        (machine.bin / command).symlink_to(f"/usr/bin/{command}")
    machine.command("uname", "echo Plan9")
    done = subprocess.run([str(machine.root / "launch" / "setup.sh")], text=True, env={"PATH": str(machine.bin)},
                          capture_output=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 3, done
    assert done.stderr.count("\n") == 1 and "Needed are: gdb with Python" in done.stderr


@pytest.mark.parametrize("script", ["demo.sh", "test.sh", "setup.sh", "fetch.sh"])
def test_usage(machine: Machine, script: str) -> None:
    done = machine.run(script, "--bogus")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done
    done = machine.run(script, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"usage: {script}")


def test_steps(root: Path, tmp_path: Path) -> None:
    """Every step runs though one fails; the table says which failed, which was skipped and why."""
    script = tmp_path / "steps.sh"
    script.write_text(f'''. "{root}/launch/lib/say.sh"; . "{root}/launch/lib/steps.sh"
begin_steps
absent() {{ skip 'no network'; }}
step one false
step two absent
step three true
echo '=== 3 passed in 1s ===' >"$steps_folder/pytest.log"
end_steps
''')
    done = subprocess.run(["sh", str(script)], text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    table = done.stdout[done.stdout.index("== summary"):]
    assert "FAILED with status 1" in table and "skipped: no network" in table and "1 steps failed" in table
    assert "=== 3 passed in 1s ===" in table.splitlines()


def test_fetch_without_debian(machine: Machine, tmp_path: Path) -> None:
    """No mirror or no network: one line says so, status 3, nothing half done is left."""
    machine.command("apt-get", "exit 0")
    done = subprocess.run([str(machine.root / "launch" / "fetch.sh"), "debian-kernel"], text=True, capture_output=True,
                          env={**os.environ, "PATH": f"{machine.bin}:{os.environ['PATH']}",
                               "XDG_CACHE_HOME": str(tmp_path / "cache")}, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines()[-1].endswith("this machine's apt has none")
    machine.command("apt-get", "case $1 in indextargets) echo 'bookworm main http://127.0.0.1:9/' ;; "
                               "*) exec /usr/bin/apt-get \"$@\" ;; esac")
    done = subprocess.run([str(machine.root / "launch" / "fetch.sh"), "debian-kernel"], text=True, capture_output=True,
                          env={**os.environ, "PATH": f"{machine.bin}:{os.environ['PATH']}",
                               "XDG_CACHE_HOME": str(tmp_path / "cache")}, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert "debian-kernel: cannot read the package lists: E" in done.stderr.splitlines()[-1]
    assert list((tmp_path / "cache" / "bootsonde").iterdir()) == []


def test_fetch_knows_what_it_has(machine: Machine, tmp_path: Path) -> None:
    """The second time asks nobody."""
    machine.command("apt-get", "exit 1")
    kernel = tmp_path / "cache" / "bootsonde" / "debian-kernel" / "6.1.0-1-cloud-amd64"
    kernel.mkdir(parents=True)
    done = subprocess.run([str(machine.root / "launch" / "fetch.sh"), "debian-kernel"], text=True, capture_output=True,
                          env={**os.environ, "PATH": f"{machine.bin}:{os.environ['PATH']}",
                               "XDG_CACHE_HOME": str(tmp_path / "cache")}, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{kernel}\n", "")
    assert machine.told("apt-get") == []
