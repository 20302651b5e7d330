"""What people type and write: break specifications, settings, bootsonde.conf, state files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bootsonde.model import scenario as model_scenario
from bootsonde.model.breakspec import parse_break
from bootsonde.model.config import SessionConfig, read_conf
from bootsonde.model.console import ConsoleLog, printable
from bootsonde.model.errors import UserError
from bootsonde.model.guests import gdb_target, run_folder, waiting_guests
from bootsonde.model.place import Functions, Line
from bootsonde.model.scenario import Scenario
from bootsonde.model.summary import summary


def test_a_break_takes_all_its_parts() -> None:
    rule = parse_break("pvclock_* vcpu 1 skip 2 limit 5 if tsc_freq == 0 && $rdi")
    assert (rule.place, rule.vcpu, rule.skip, rule.limit, rule.condition) == (
        Functions("pvclock_*"), 1, 2, 5, "tsc_freq == 0 && $rdi")


def test_a_break_takes_a_line() -> None:
    assert parse_break("x86/tsc.c:120").place == Line("x86/tsc.c:120")


@pytest.mark.parametrize("text", ["", "f vcpu", "f vcpu one", "f skip 1 skip 2", "f nonsense 3", "f if "])
def test_a_wrong_break_shows_the_usage(text: str) -> None:
    with pytest.raises(UserError, match="usage"):
        parse_break(text)


def scenario_with(monkeypatch: pytest.MonkeyPatch, **overrides: str) -> Scenario:
    monkeypatch.setattr(model_scenario, "overrides", overrides)
    return Scenario("doc", file="s.py")


def test_settings_take_numbers_in_hexadecimal_words_and_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = scenario_with(monkeypatch, leaf="0x40000000", name="x", keep="yes")
    assert (scenario.setting("leaf", 1, ""), scenario.setting("name", "y", ""), scenario.setting("keep", False, ""),
            scenario.setting("other", 7, "")) == (0x40000000, "x", True, 7)
    scenario.check_settings()


@pytest.mark.parametrize("given, said", [({"leaf": "many"}, "leaf=many"), ({"laef": "1"}, "no setting named laef")])
def test_a_setting_that_cannot_be_taken_is_refused(
        monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str) -> None:
    scenario = scenario_with(monkeypatch, **given)
    scenario.setting("leaf", 1, "the leaf")
    with pytest.raises(UserError, match=said):
        scenario.check_settings()


def test_conf_resolves_paths_from_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "bootsonde.conf").write_text("# mine\nkernel = obj/kernel\nappend = console=ttyS0 x=y\n")
    assert read_conf(str(tmp_path / "bootsonde.conf")) == {
        "kernel": str(tmp_path / "obj/kernel"), "append": "console=ttyS0 x=y"}


def test_a_wrong_line_in_conf_is_named(tmp_path: Path) -> None:
    (tmp_path / "bootsonde.conf").write_text("kernel = k\nkernle = x\n")
    with pytest.raises(UserError, match="bootsonde.conf:2: "):
        read_conf(str(tmp_path / "bootsonde.conf"))


def test_a_conf_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bootsonde.conf").write_bytes(b"kernel = \xff\n")
    for path in (tmp_path / "bootsonde.conf", tmp_path):
        with pytest.raises(UserError, match=f"{path} cannot be read: "):
            read_conf(str(path))


def test_a_session_config_survives_its_file(tmp_path: Path) -> None:
    config = SessionConfig("s", "k", "k", "cprobe", until=["login:"], source_map=[("/a", "/b")], deadline_s=1.5)
    config.save(str(tmp_path / "c"))
    assert SessionConfig.load(str(tmp_path / "c")) == config
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("stub, target", [("unix:/run/x y/gdb", "/run/x y/gdb"), ("127.0.0.1:1234", "127.0.0.1:1234"),
                                          (":1234", "127.0.0.1:1234"), ("1234", "127.0.0.1:1234")])
def test_stub_addresses_in_gdbs_words(stub: str, target: str) -> None:
    assert gdb_target(stub) == target


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "bootsonde"


def test_only_living_guests_wait(runtime: Path) -> None:
    assert run_folder(create=True) == str(runtime)
    dead = os.fork()
    if dead == 0:
        os._exit(0)
    os.waitpid(dead, 0)
    for name, pid in (("living", os.getpid()), ("dead", dead)):
        (runtime / f"{name}.state").write_text(f"pid={pid}\nkernel=/k\nstub=127.0.0.1:1234\nconsole=\n")
    (runtime / "broken.state").write_text("pid=\n")
    assert [(guest.name, guest.console) for guest in waiting_guests()] == [("living", None)]


def test_a_run_folder_that_others_may_read_is_refused(runtime: Path) -> None:
    runtime.mkdir(0o755)
    with pytest.raises(UserError, match="0700"):
        run_folder()


def test_console_lines_come_whole_and_once(tmp_path: Path) -> None:
    path = tmp_path / "console"
    log = ConsoleLog(str(path))
    assert log.read() == []
    path.write_bytes("first\r\nsec€".encode()[:-1])
    assert log.read() == ["first"]
    with path.open("ab") as file:
        file.write("€".encode()[-1:] + b"ond\nlogin: ")
    assert log.read() == ["sec€ond"] and log.partial == "login: "


@pytest.mark.parametrize("end, partial", [(b"", "x"), (b"\n", "")])
def test_an_endless_console_line_is_cut(tmp_path: Path, end: bytes, partial: str) -> None:
    path = tmp_path / "console"
    log = ConsoleLog(str(path))
    path.write_bytes(b"x" * (2 * ConsoleLog.LINE_LIMIT + 1) + end)
    lines = [len(line) for line in log.read()]
    assert lines[:2] == [ConsoleLog.LINE_LIMIT] * 2 and max(lines) == ConsoleLog.LINE_LIMIT
    assert log.partial == partial


def test_what_the_console_showed_before_belongs_to_no_run(tmp_path: Path) -> None:
    path = tmp_path / "console"
    path.write_bytes(b"old\nlogin: ")
    log = ConsoleLog(str(path))
    assert log.began_late and log.read() == [] and log.partial == ""
    with path.open("ab") as file:
        file.write(b"root\n")
    assert log.read() == ["root"]


def test_a_prompt_with_escapes_is_shown_without_them(tmp_path: Path) -> None:
    path = tmp_path / "console"
    log = ConsoleLog(str(path))
    path.write_bytes("\x1b[2J\x9b2Jdb> ".encode())
    assert log.read() == [] and log.partial == "2Jdb> "


def test_escape_sequences_do_not_reach_the_terminal() -> None:
    assert printable("\x1b[2J\x1b]0;title\x07red\x1b[31m\r") == "0;titlered"


def test_the_summary_counts_a_name_once_however_many_places_it_has() -> None:
    lines = summary("pvclock.c", [("pvclock_scale_delta", 0, False), ("pvclock_scale_delta", 3, True),
                                  ("pvclock_init", 0, False)])
    assert lines == ["pvclock.c: 1 of 2 hit", "  hit:   pvclock_scale_delta 3+", "  never: pvclock_init"]
