"""`bootsonde record`: what a baseline says, and when none is written."""

from __future__ import annotations

import os
import signal
import stat

import pytest
from labkit import WATCH, wait_for
from replaykit import BOOTS, Baselines

from bootsonde.host.record import check_size
from bootsonde.model.baseline import read_baseline
from bootsonde.model.errors import UserError

#: What records little, quickly.
LITTLE = ("--functions", "tsc_*", "--append", BOOTS, "--runs", "1")


def section(text: str, name: str) -> list[str]:
    """A section's lines."""
    inside = text.split(f"\n[{name}]\n", 1)[1]
    return inside.split("\n\n", 1)[0].splitlines()


def test_boot_has_what_was_given_and_the_virtual_clock(recorded: str) -> None:
    assert section(recorded, "boot") == ["functions = tsc_*,lapic_*", f"append = {BOOTS}",
                                         "icount = shift=3,sleep=off", "until = login:"]


def test_all_boots_are_compared(recorded: str) -> None:
    assert "runs = 2" in section(recorded, "recorded")


def test_options_of_the_guest_are_kept(baselines: Baselines) -> None:
    baselines.record(*LITTLE, "--smp", "2", "--cpu", "Nehalem", "--memory", "128M", "--icount", "shift=4,sleep=off",
                     "--until", "SMP: ", "--timeout", "30", "-o", "a.baseline", "--", "-name", "a guest").expect(0)
    assert section((baselines.folder / "a.baseline").read_text(), "boot") == [
        "functions = tsc_*", f"append = {BOOTS}", "smp = 2", "cpu = Nehalem", "memory = 128M",
        "icount = shift=4,sleep=off", "qemu = -name 'a guest'", 'until = "SMP: "', "timeout = 30"]


def test_conf_of_the_folder_is_kept(baselines: Baselines) -> None:
    """Who replays it stands elsewhere."""
    (baselines.folder / "bootsonde.conf").write_text(f"append = {BOOTS}\n")
    baselines.record("--functions", "tsc_*", "--runs", "1", "-o", "a.baseline").expect(0)
    assert f"append = {BOOTS}" in section((baselines.folder / "a.baseline").read_text(), "boot")


def test_paths_are_seen_from_the_baselines_folder(baselines: Baselines) -> None:
    scenario = baselines.lab.scenario("watch", WATCH, 'scenario.until("login:")')
    (baselines.folder / "kept").mkdir()
    baselines.record(scenario, "--append", BOOTS, "--runs", "2", "-o", "kept/a.baseline").expect(0)
    path = baselines.folder / "kept" / "a.baseline"
    assert section(path.read_text(), "boot")[0] == "scenario = ../watch.py"
    os.rename(path.parent, baselines.folder / "moved")
    baselines.replay(baselines.folder / "moved" / "a.baseline").expect(0)


def test_settings_of_a_scenario_are_kept_and_used(baselines: Baselines) -> None:
    scenario = baselines.lab.scenario("set", 'name = scenario.setting("name", "tsc_init", "a function")',
                                      'scenario.at(Functions(name))', 'scenario.until("login:")')
    baselines.record(scenario, "--set", "name=lapic_init", "--append", BOOTS, "--runs", "1", "-o",
                     "a.baseline").expect(0)
    text = (baselines.folder / "a.baseline").read_text()
    assert "set = name=lapic_init" in section(text, "boot")
    assert [line.split()[0] for line in section(text, "vcpu 0")] == ["lapic_init"]


def test_a_disk_is_hashed(baselines: Baselines) -> None:
    (baselines.folder / "disk.img").write_bytes(b"\0" * 65536)
    baselines.record(*LITTLE, "--disk", "disk.img", "-o", "a.baseline").expect(0)
    text = (baselines.folder / "a.baseline").read_text()
    assert "disk = disk.img" in section(text, "boot")
    assert ("disk = disk.img sha256:de2f256064a0af797747c2b97505dc0b9f3df0de4f489eac731c23ae9ca9cc31"
            in section(text, "recorded"))


def test_a_panic_is_an_end_like_others(baselines: Baselines) -> None:
    done = baselines.record("--functions", "lapic_*,vpanic", "--append", "", "--runs", "2", "-o", "a.baseline")
    done.expect(0)
    text = (baselines.folder / "a.baseline").read_text()
    assert "    panic: TSC not initialized" in text and "    vpanic" in text
    baselines.replay("a.baseline").expect(0)


def test_comments_may_be_added(baselines: Baselines) -> None:
    """Anywhere: before the first line too."""
    path = baselines.put()
    path.write_text("# why\n" + path.read_text().replace("\n[", "\n  # a section\n[") + "# the end\n")
    baselines.replay(path).expect(0)


def test_an_existing_baseline_is_left_alone(baselines: Baselines) -> None:
    path = baselines.put()
    done = baselines.record(*LITTLE, "-o", path).expect(2)
    assert "is there already" in done.err and "--accept" in done.err
    assert path.read_text() == baselines.recorded


def test_force_writes_over_it(baselines: Baselines) -> None:
    path = baselines.put()
    path.chmod(0o640)
    baselines.record(*LITTLE, "--force", "-o", path).expect(0)
    assert section(path.read_text(), "boot")[0] == "functions = tsc_*"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(("words", "says"), [
    ([], "say what is to be recorded"),
    (["nosuch.py"], "nosuch.py: no such scenario"),
    (["{pvclock}", "--all"], "a scenario and --all"),
    (["--all", "--file", "tsc.c"], "--all records every function"),
    (["--all", "--set", "a=b"], "--set is for a scenario"),
    (["--all", "--runs", "0"], "--runs wants a number of boots"),
    (["--all", "--accel", "kvm"], "virtual time needs --accel tcg"),
    (["--all", "--rr", "record:x"], "--rr: "),
    (["--all", "--write"], "--write: "),
    (["--all", "--timeout", "-1"], "--timeout wants a positive number"),
    (["--all", "--kernel", "nosuch"], "nosuch: no such kernel"),
    (["--all", "--initrd", "nosuch"], "no "),
    (["--functions", "tsc_*,"], "--functions wants names"),
    (["--all", "-o", "other.txt"], "ends with .baseline"),
    (["--all", "-o", "nosuch/a.baseline"], "there is no folder"),
])
def test_refused(baselines: Baselines, words: list[str], says: str) -> None:
    given = [word.format(pvclock=baselines.lab.stock("pvclock")) for word in words]
    done = baselines.record("-o", "a.baseline", *given).expect(2)
    assert says in done.err and "Traceback" not in done.err, done
    assert not (baselines.folder / "a.baseline").exists()
    baselines.expect_nothing_left()


def test_a_boot_that_times_out_records_nothing(baselines: Baselines) -> None:
    done = baselines.record(*LITTLE, "--until", "never", "--timeout", "1", "-o", "a.baseline").expect(4)
    assert "nothing was recorded" in done.err
    assert not (baselines.folder / "a.baseline").exists()
    baselines.expect_nothing_left()


def test_a_boot_that_is_lost_records_nothing(baselines: Baselines) -> None:
    words = (*LITTLE, "--until", "never", "-o", "a.baseline")
    with baselines.lab.running(*words, verb="record") as process:
        os.kill(baselines.lab.pid("qemu-system"), signal.SIGKILL)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 3 and "nothing was recorded" in err
    assert not (baselines.folder / "a.baseline").exists()
    baselines.expect_nothing_left()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_leaves_nothing(baselines: Baselines, number: int, status: int) -> None:
    words = (*LITTLE, "--until", "never", "-o", "a.baseline")
    with baselines.lab.running(*words, verb="record") as process:
        baselines.lab.pid("qemu-system")
        wait_for("the guest's console", lambda: any(
            path.stat().st_size for path in baselines.temporary.glob("*/1/console")))
        process.send_signal(number)
        process.communicate(timeout=20)
        assert process.returncode == status
    assert not (baselines.folder / "a.baseline").exists()
    baselines.expect_nothing_left()


def test_of_two_at_once_one_is_refused(baselines: Baselines) -> None:
    words = (*LITTLE, "-o", "a.baseline")
    with baselines.lab.running(*words, verb="record") as one, baselines.lab.running(*words, verb="record") as two:
        said = [process.communicate(timeout=30)[1] for process in (one, two)]
    assert sorted([one.returncode, two.returncode]) == [0, 2], said
    assert "was made by somebody else meanwhile" in "".join(said)
    read_baseline((baselines.folder / "a.baseline").read_text(), "a.baseline")
    baselines.expect_nothing_left()


def test_a_large_one_is_refused_unless_asked_for() -> None:
    check_size("-" * 1_000_000, "a.baseline", False)
    with pytest.raises(UserError, match=r"a\.baseline would have 1\.5 MB.*record less"):
        check_size("-" * 1_500_000, "a.baseline", False)
    check_size("-" * 1_500_000, "a.baseline", True)
