"""Places in an exact recording, and its description."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bootsonde.model.errors import UserError
from bootsonde.model.exact import Count, Entry, Place, Recording, Text, option, parse_place, shown, with_paths

BOOT = b"one\r\ntwo: 1\r\ntwo: 2\r\nlogin: "


@pytest.mark.parametrize("word, meant", [
    ("0", [Count(0)]),
    ("1289759", [Count(1289759)]),
    ("tsc_init", [Entry("tsc_init"), Text("tsc_init")]),
    ("tsc_init#3", [Entry("tsc_init", 3), Text("tsc_init#3")]),
    ("strcmp.part.0", [Entry("strcmp.part.0"), Text("strcmp.part.0")]),
    ("0xffffffff80202d70#2", [Entry("0xffffffff80202d70", 2), Text("0xffffffff80202d70#2")]),
    ("tsc_init#0", [Text("tsc_init#0")]),
    ("login:", [Text("login:")]),
])
def test_a_word_is_a_count_an_entry_or_a_text(word: str, meant: list[Place]) -> None:
    assert parse_place(word) == meant


@pytest.mark.parametrize("word", ["", "two\nlines", "a\r"])
def test_what_no_line_shows_is_no_place(word: str) -> None:
    with pytest.raises(UserError, match="--at wants"):
        parse_place(word)


@pytest.mark.parametrize("place, least", [
    (Text("one"), b"one\r\n"),
    (Text("two"), b"one\r\ntwo: 1\r\n"),
    (Text("two", 2), b"one\r\ntwo: 1\r\ntwo: 2\r\n"),
    (Text("login"), b"one\r\ntwo: 1\r\ntwo: 2\r\nlogin"),
])
def test_a_text_is_shown_when_its_line_is_complete_or_will_never_be(place: Text, least: bytes) -> None:
    assert [size for size in range(len(BOOT) + 1) if shown(place, BOOT[:size], BOOT)][0] == len(least)


def test_a_text_that_never_comes_is_not_shown() -> None:
    assert not shown(Text("two", 3), BOOT, BOOT)


def recording() -> Recording:
    return Recording("../kernel", "../kernel", None, "7.2.22", 3902209, "the end", 11276, options=["--append", "a"],
                     sha256={"log": "00"})


def test_a_recording_is_read_as_it_was_written(tmp_path: Path) -> None:
    recording().save(str(tmp_path / "r"))
    assert Recording.load(str(tmp_path / "r")) == recording()


@pytest.mark.parametrize("change, said", [
    ({"format": "other"}, "does not describe an exact recording"),
    ({"version": 2}, "has version 2; this bootsonde reads 1"),
    ({"end": "many"}, "is damaged: end is 'many'"),
    ({"unknown": 1}, "is damaged: "),
])
def test_what_is_no_recording_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "r"
    recording().save(str(path))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=said):
        Recording.load(str(path))


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_what_is_no_description_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r").write_text(text)
    with pytest.raises(UserError):
        Recording.load(str(tmp_path / "r"))


def test_paths_among_options() -> None:
    words = ["--append", "initrd", "--initrd", "i"]
    assert with_paths(words, lambda path: f"../{path}") == ["--append", "initrd", "--initrd", "../i"]
    assert (option(words, "append"), option(words, "smp")) == ("initrd", None)
