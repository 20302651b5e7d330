"""A baseline's text: [boot] written and read, and comments that stay at their lines. What cprobe does is not here."""

from __future__ import annotations

import pytest

from bootsonde.model.baseline import Boot, put_in, read_baseline, with_comments
from bootsonde.model.errors import UserError

END = "\n[end]\noutcome = passed\n"


@pytest.mark.parametrize("boot", [
    Boot(scenario="../pvclock.py", settings=["tsc_freq=1", "watch=a b"], options={"icount": "shift=3"}),
    Boot(functions=["tsc_*", "lapic_?"], files=["a.c", "b.c"], arguments=True, until=["login: ", '"', "# a"],
         timeout_s=2.5, options={"append": "", "smp": "2", "disk": "my disk.img"}, qemu="-device 'a b'"),
    Boot(scenario="a.py", settings=["text=a\nb"], qemu="-name 'a\nb'"),
    Boot(all=True)], ids=["scenario", "functions", "line breaks", "all"])
def test_boot_is_read_as_it_was_written(boot: Boot) -> None:
    text = put_in("bootsonde-baseline 1\n\n[recorded]\nkernel = k\n" + END, boot.lines(), [("disk", "d sha256:1")])
    found = read_baseline(text, "x")
    assert found.boot == boot
    assert found.recorded == [("kernel", "k"), ("disk", "d sha256:1")]


def test_order_and_indentation_do_not_matter() -> None:
    text = "# c\n\n  # d\nbootsonde-baseline   1\n[end]\noutcome = x\n[boot]\n   all=yes\n\n# e\n  smp =  2\n"
    assert read_baseline(text, "x").boot == Boot(all=True, options={"smp": "2"})


def test_blanks_around_names_of_functions_mean_nothing() -> None:
    text = "bootsonde-baseline 1\n[boot]\nfunctions = tsc_*, lapic_*\n" + END
    assert read_baseline(text, "x").boot.functions == ["tsc_*", "lapic_*"]


@pytest.mark.parametrize(("text", "says"), [
    ("", "x:1: no baseline"),
    ("# c\nbootsonde-baseline 2\n", "x:2: a baseline of version '2'"),
    ("bootsonde-baseline\n", "x:1: a baseline of version ''"),
    ("bootsonde-baseline 1\n", "x: there is no [boot]"),
    ("bootsonde-baseline 1\nall = yes\n", "x:2: a section such as [boot] is expected"),
    ("bootsonde-baseline 1\n[boot]\nsmp = 1\n", "x: [boot] does not say what is recorded"),
    ("bootsonde-baseline 1\n[boot]\nall = yes\n[boot]\n", "x:4: [boot] begins in line 2 already"),
    ("bootsonde-baseline 1\n[boot]\nall = yes\nset = a=b\n", "x:4: set is for a scenario"),
])
def test_what_is_no_baseline_is_named(text: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        read_baseline(text, "x")
    assert str(error.value).startswith(says)


@pytest.mark.parametrize(("lines", "says"), [
    ("smp = 1\nsmp = 2", "x:4: smp stands in line 3 already"),
    ("smp =", "x:3: smp has no value"),
    ("all = perhaps", "x:3: all is yes or no"),
    ("set = a", "x:3: set is NAME=VALUE"),
    ("timeout = -1", "x:3: timeout is a number"),
    ("timeout = inf\ntimeout = 1", "x:4: timeout stands"),
    ('until = "a', "x:3: a value that begins with"),
    ("= 3", "x:3: [boot] has lines KEY = VALUE"),
    ("scenario = a.py\nargs = yes", "x:4: args is the plugin's"),
    ("scenario = a.py\nset = a=1\nset = a=2", "x:5: a is set already"),
    ("functions = a\nall = yes", "x:4: all records every function"),
    ("functions = a,,b", "x:3: functions are names"),
    (r'append = "a\u0000b"', "x:3: a byte 0"),
    ("append = a\0b", "x:3: a byte 0"),
    (r'cpu = "\ud800"', "x:3: a byte 0, or half a character"),
])
def test_a_mistake_in_boot_is_named_by_its_line(lines: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        read_baseline(f"bootsonde-baseline 1\n[boot]\n{lines}\n{END}", "x")
    assert str(error.value).startswith(says)


@pytest.mark.parametrize(("old", "new", "merged"), [
    ("# a\nx\ny\n", "x\ny\n", "# a\nx\ny\n"),                            # before the first line
    ("x\ny\n# a\n", "x\ny\nz\n", "x\ny\nz\n# a\n"),                      # at the end
    ("x\n# a\ny\n", "x\nnew\ny\n", "x\nnew\n# a\ny\n"),                  # it stays with the line below
    ("x\n# a\ngone\ny\n", "x\ny\n", "x\n# a\ny\n"),                      # or with the next that is still there
    ("x\n\n# a\n\n# b\ny\n", "x\n\ny\n", "x\n\n# a\n\n# b\ny\n"),        # a block is one
    ("x\n# a\n\ny\n", "x\n\ny\n", "x\n\n# a\n\ny\n"),                    # as far from its line as it was
    ("x\n  # a\n  y\n", "x\n    y\n", "x\n  # a\n    y\n"),
    ("[p]\n1\n# a\n2\n[q]\n2\n", "[p]\n1\n[q]\n2\n", "[p]\n1\n# a\n[q]\n2\n"),
    ("[p]\n2\n[q]\n# a\n2\n", "[p]\n1\n2\n[q]\n2\n", "[p]\n1\n2\n[q]\n# a\n2\n"),  # a line of another section is none
])
def test_comments_stay_before_their_lines(old: str, new: str, merged: str) -> None:
    assert with_comments(old, new) == merged


def test_merging_again_changes_nothing() -> None:
    old = "# a\nx\n\n# b\n\n# c\ny\n# d\n"
    once = with_comments(old, "x\n\ny\n")
    assert once == old and with_comments(once, "x\n\ny\n") == once


def test_many_lines_take_no_time() -> None:
    """A long boot, with a comment in it, that has changed everywhere."""
    old = [f"    step {number % 97}" for number in range(30_000)]
    new = [f"    step {number % 89}" for number in range(30_000)]
    old.insert(15_000, "# here")
    assert "# here" in with_comments("\n".join(old), "\n".join(new))
