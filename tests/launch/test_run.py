"""Guests that really run: the stub, the console, the disk, and the notes about them."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pexpect
import pytest

from .conftest import Launcher, alive, wait_for


def packet(connection: socket.socket, body: str) -> str:
    """Send a remote protocol packet and read the answer."""
    connection.sendall(f"${body}#{sum(body.encode()) % 256:02x}".encode())
    data = b""
    while not (len(data) > 3 and data[-3:-2] == b"#"):
        more = connection.recv(4096)
        assert more, f"the stub hung up after {data!r}"
        data += more
    return data[data.index(b"$") + 1:-3].decode()


def connected(port: int) -> socket.socket:
    """A connection to a stub that may not listen yet."""
    attempts: list[socket.socket] = []

    def attempt() -> bool:
        try:
            attempts.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        except ConnectionRefusedError:
            return False
        return True

    wait_for(f"a stub on port {port}", attempt)
    return attempts[0]


def qmp(path: Path, command: str, **arguments: str) -> object:
    """One QMP command on a fresh connection."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        with connection.makefile("rw") as stream:
            stream.readline()
            for name, given in (("qmp_capabilities", {}), (command, arguments)):
                stream.write(json.dumps({"execute": name, "arguments": given}))
                stream.flush()
                while "event" in (answer := json.loads(stream.readline())):
                    pass
    return answer.get("return", answer)


def test_waits_and_answers(launcher: Launcher, echo: Path, tmp_path: Path) -> None:
    """The guest waits at its first instruction, the stub answers on loopback, and the state file says all of it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ("--stub", str(port), "--qmp", tmp_path / "q", "--append", "a=b c", echo)
    with launcher.start("wait", *arguments) as process:
        wait_for("QMP", (tmp_path / "q").exists)
        assert launcher.state("wait") == {
            "pid": str(process.pid), "launcher": str(process.pid), "name": "wait", "kernel": str(echo), "disk": "",
            "stub": f"127.0.0.1:{port}", "qmp": str(tmp_path / "q"), "console": str(launcher.folder / "wait.console"),
            "accel": "tcg", "smp": "1", "icount": "", "append": "a=b c"}
        assert stat.S_IMODE((launcher.folder / "wait.state").stat().st_mode) == 0o600
        assert stat.S_IMODE(launcher.folder.stat().st_mode) == 0o700
        with connected(port) as connection:
            assert packet(connection, "?").startswith("T05")
            assert launcher.console("wait") == "", "nothing has run yet"
            connection.sendall(b"$c#63")
            wait_for("the login prompt in the console log", lambda: "login: " in launcher.console("wait"))
        # Whoever listens on every interface also answers on another loopback address.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=10)


def test_console_without_terminal(launcher: Launcher, echo: Path) -> None:
    """Console on standard output, input from a pipe, QEMU's exit status through."""
    with launcher.start("pipe", "--stub", "none", "--no-wait", echo) as process:
        wait_for("the prompt", lambda: "login: " in launcher.console("pipe"))
        assert process.stdin is not None
        out, _ = process.communicate("x\x03q", timeout=10)
        assert process.returncode == 33
        assert out.endswith("login: x^C")
        assert launcher.console("pipe") == out


def test_no_input_at_all(launcher: Launcher, echo: Path) -> None:
    """CI has no standard input; one that is closed is no worse."""
    for name, redirect in (("null", "</dev/null"), ("closed", "<&-")):
        with subprocess.Popen(["sh", "-c", f'exec "$@" {redirect}', "sh", *launcher.command(
                "--name", name, "--stub", "none", "--no-wait", echo)], env=launcher.environment,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                wait_for(f"the prompt, {redirect}", lambda: "login: " in launcher.console(name))
            finally:
                process.terminate()


def test_reset_ends(launcher: Launcher, echo: Path) -> None:
    """A triple fault ends QEMU instead of booting again unseen."""
    with launcher.start("reset", "--stub", "none", "--no-wait", echo) as process:
        wait_for("the prompt", lambda: "login: " in launcher.console("reset"))
        process.communicate("r", timeout=10)
        assert process.returncode == 0


def test_terminal(launcher: Launcher, echo: Path) -> None:
    """At a terminal: how to attach, Ctrl-C to the guest, Ctrl-A X to end it."""
    command = launcher.command("--name", "tty", "--stub", "unix:" + str(launcher.base / "s"), "--no-wait", echo)
    with pexpect.spawn(command[0], command[1:], env=launcher.environment, timeout=10, encoding="utf-8") as terminal:
        terminal.expect_exact("Ctrl-C goes to the guest, Ctrl-A X ends it")
        terminal.expect_exact("login: ")
        terminal.sendcontrol("c")
        terminal.expect_exact("^C")
        terminal.send("ok")
        terminal.expect_exact("ok")
        terminal.sendcontrol("a")
        terminal.send("x")
        terminal.expect(pexpect.EOF)
        terminal.wait()
        assert terminal.exitstatus == 0


def test_terminal_says_how_to_attach(launcher: Launcher, echo: Path, root: Path) -> None:
    command = launcher.command("--name", "tty", "--stub", "unix:" + str(launcher.base / "s"), echo)
    with pexpect.spawn(command[0], command[1:], env=launcher.environment, timeout=10, encoding="utf-8",
                       dimensions=(24, 400)) as terminal:
        terminal.expect_exact(f"stub on unix:{launcher.base}/s")
        terminal.expect_exact(f"source {root}/scenarios/pvclock.py")


def test_reference_guest_gets_ctrl_c(launcher: Launcher, guest: Path) -> None:
    """The same with the guest that demo and tests boot. These options let it reach its prompt without a debugger."""
    command = launcher.command("--name", "ref", "--stub", "none", "--no-wait", "--cpu", "max,level=1", "--append",
                               "guest.hv_high_test=0 guest.lapic_calibration=0", guest)
    with pexpect.spawn(command[0], command[1:], env=launcher.environment, timeout=20, encoding="utf-8",
                       codec_errors="replace") as terminal:
        terminal.expect_exact("login: ")
        terminal.sendcontrol("c")
        terminal.expect("\\^C\\s+login: ")
        terminal.send("poweroff\r")
        terminal.expect(pexpect.EOF)
        terminal.wait()
        assert terminal.exitstatus == 33


@pytest.mark.parametrize("write, changed", [([], False), (["--write"], True)])
def test_disk_is_a_snapshot(launcher: Launcher, echo: Path, tmp_path: Path, write: list[str], changed: bool) -> None:
    """What the guest's disk controller writes reaches the file with --write only."""
    disk = tmp_path / "disk,1"
    disk.write_bytes(bytes(1 << 20))
    with launcher.start("disk", "--stub", "none", "--qmp", tmp_path / "q", *write, echo, disk) as process:
        wait_for("QMP", (tmp_path / "q").exists)
        qmp(tmp_path / "q", "human-monitor-command", **{"command-line": 'qemu-io disk0 "write -P 0xaa 0 512"'})
        qmp(tmp_path / "q", "human-monitor-command", **{"command-line": 'qemu-io disk0 "flush"'})
        qmp(tmp_path / "q", "quit")
        process.wait(10)
    assert (disk.read_bytes()[:512] == b"\xaa" * 512) is changed


def test_names_and_leftovers(launcher: Launcher, echo: Path) -> None:
    """A living guest's name and socket are refused, a dead one's are taken over; other guests' notes stay."""
    stub = launcher.folder / "old.sock"
    with launcher.start("old", "--stub", stub, echo) as old, launcher.start("other", "--stub", "none", echo):
        wait_for("the stub", stub.exists)
        assert "runs already" in launcher.refused(3, echo, "--name", "old", "--stub", "none")
        assert "somebody listens" in launcher.refused(3, echo, "--name", "new", "--stub", stub)
        old.send_signal(signal.SIGKILL)
        old.wait(10)
        assert stub.exists() and launcher.state("old")
        with launcher.start("new", "--stub", "none", echo):
            wait_for("its console log", (launcher.folder / "new.console").exists)
            assert {path.name for path in launcher.folder.iterdir()} == {
                "other.state", "other.console", "new.state", "new.console"}
        with launcher.start("old", "--stub", stub, echo) as again:
            wait_for("the stub", stub.exists)
            assert launcher.state("old")["pid"] == str(again.pid)


def test_stale_socket_outside(launcher: Launcher, echo: Path, tmp_path: Path) -> None:
    """A socket file that nobody listens on is replaced."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with launcher.start("stale", "--stub", path, echo):
        wait_for("the stub", lambda: answers(path))


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        try:
            connection.connect(str(path))
        except OSError:
            return False
        return packet(connection, "?").startswith("T05")


def test_recycled_process_number(launcher: Launcher, echo: Path) -> None:
    """The state file of a dead guest whose number another program has by now does not keep its name taken."""
    launcher.folder.mkdir(mode=0o700)
    (launcher.folder / "mine.state").write_text(f"pid={os.getpid()}\nlauncher={os.getpid()}\nname=mine\n")
    with launcher.start("mine", "--stub", "none", echo) as process:
        wait_for("a new state", lambda: launcher.state("mine").get("pid") == str(process.pid))


def test_temporary_folder(launcher: Launcher, echo: Path, tmp_path: Path) -> None:
    """Without XDG_RUNTIME_DIR the run folder is in the temporary one, and named after the user."""
    folder = tmp_path / f"bootsonde-{os.getuid()}"
    environment = {k: v for k, v in launcher.environment.items() if k != "XDG_RUNTIME_DIR"}
    environment["TMPDIR"] = f"{tmp_path}/"
    with subprocess.Popen(launcher.command("--name", "tmp", "--stub", "none", echo), env=environment,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for("its state", (folder / "tmp.state").exists)
        finally:
            process.terminate()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_respawn(launcher: Launcher, echo: Path) -> None:
    """QEMU starts again after the guest's exit; the end of the launcher is the end of QEMU and of its notes."""
    stub = launcher.folder / "again.sock"
    with launcher.start("again", "--respawn", "--stub", stub, "--no-wait", echo) as process:
        first = launcher.state("again")
        assert first["launcher"] == str(process.pid) != first["pid"]
        wait_for("the prompt", lambda: "login: " in launcher.console("again"))
        assert process.stdin is not None
        process.stdin.write("q")
        process.stdin.flush()
        wait_for("a second QEMU", lambda: launcher.state("again").get("pid") != first["pid"])
        second = int(launcher.state("again")["pid"])
        assert "runs already" in launcher.refused(3, echo, "--name", "again", "--stub", "none")
        wait_for("the prompt", lambda: "login: " in launcher.console("again"))
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=10)
        assert process.returncode == 143
        assert "guest exited with status 33; starting again, Ctrl-C here ends" in out
        assert not alive(second)
        assert list(launcher.folder.iterdir()) == []


@pytest.mark.parametrize("name, status", [("SIGHUP", 129), ("SIGINT", 130)])
def test_respawn_ends_by(launcher: Launcher, echo: Path, name: str, status: int) -> None:
    with launcher.start("sig", "--respawn", "--stub", "none", echo) as process:
        child = int(launcher.state("sig")["pid"])
        process.send_signal(getattr(signal, name))
        process.communicate(timeout=10)
        assert process.returncode == status
        assert not alive(child)


def test_respawn_does_not_spin(launcher: Launcher, echo: Path) -> None:
    done = launcher.run("--respawn", "--stub", "none", echo, "--", "-no-such-option")
    assert done.returncode == 1
    assert "not starting it again" in done.stderr


def test_respawn_at_a_terminal(launcher: Launcher, echo: Path) -> None:
    """Ctrl-C goes to the guest while there is one, and ends the loop between two of them."""
    command = launcher.command("--name", "tty", "--respawn", "--stub", "none", "--no-wait", echo)
    with pexpect.spawn(command[0], command[1:], env=launcher.environment, timeout=10, encoding="utf-8") as terminal:
        for _ in range(2):
            terminal.expect_exact("login: ")
            terminal.sendcontrol("c")
            terminal.expect_exact("^C")
            terminal.send("q")
            terminal.expect_exact("Ctrl-C here ends")
        terminal.sendcontrol("c")
        terminal.expect(pexpect.EOF)
        terminal.wait()
        assert terminal.exitstatus == 130
    assert list(launcher.folder.iterdir()) == []


def test_respawn_waits_for_a_rebuilt_kernel(launcher: Launcher, echo: Path, tmp_path: Path) -> None:
    """While the kernel is being built it may be missing."""
    kernel = tmp_path / "kernel"
    kernel.write_bytes(echo.read_bytes())
    with launcher.start("built", "--respawn", "--stub", "none", "--no-wait", kernel) as process:
        wait_for("the prompt", lambda: "login: " in launcher.console("built"))
        first = launcher.state("built")["pid"]
        kernel.unlink()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("q")
        process.stdin.flush()
        output = process.stdout.fileno()
        said = b""

        def waiting() -> bool:
            nonlocal said
            if select.select([output], [], [], 0.02)[0]:
                said += os.read(output, 4096)
            return b"waiting for the kernel: no kernel at" in said

        wait_for("the launcher to wait for the kernel", waiting)
        kernel.write_bytes(echo.read_bytes().replace(b"echo guest", b"new  guest"))
        wait_for("a second QEMU", lambda: launcher.state("built").get("pid") != first)
        wait_for("its prompt", lambda: "new  guest" in launcher.console("built"))
