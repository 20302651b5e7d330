"""cprobe agrees with others, or docs/agreement.md says why not. agree.py prints the figures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from agreement import agree, compare, forms, peers
from agreement.score import EXPLAINED, UNEXPLAINED, Score, markdown
from fetched import fetched

DOCS = Path(__file__).resolve().parents[2] / "docs" / "agreement.md"
MODULES = ("virtio_blk.ko", "virtio_net.ko")


@pytest.fixture(scope="module")
def libdw(tmp_path_factory: pytest.TempPathFactory) -> peers.Libdw:
    return peers.Libdw(tmp_path_factory.mktemp("libdw"))


def agreed(scores: list[Score], least: int) -> None:
    """At least so many comparisons, and all disagreements explained."""
    shown = [example for score in scores for example in score.examples.get(UNEXPLAINED, [])]
    assert not shown, markdown(scores) + "\n" + "\n".join(shown)
    compared = sum(score.compared for score in scores)
    assert compared >= least, f"only {compared} comparisons:\n{markdown(scores)}"


@pytest.mark.parametrize("question", agree.QUESTIONS)
@pytest.mark.parametrize("form", forms.FORMS, ids=lambda form: form.name)
def test_small_program(form: forms.Form, question: str, cprobe: Path, libdw: peers.Libdw, tmp_path: Path) -> None:
    try:
        elf = forms.compile_form(form, tmp_path)
    except forms.ToolMissing as error:
        pytest.skip(str(error))
    about = agree.subject(form.name, elf, cprobe, tmp_path, libdw, seed=1)
    agreed(agree.ask(about, (question,), addresses=500), least=12)


@pytest.mark.parametrize("module", MODULES)
def test_debian_module(module: str, cprobe: Path, libdw: peers.Libdw, tmp_path: Path) -> None:
    elf = fetched("debian-kernel") / "modules" / "debug" / module
    about = agree.subject(module, elf, cprobe, tmp_path, libdw, seed=1)
    agreed(agree.ask(about, agree.QUESTIONS, addresses=500), least=3000)


@pytest.mark.long
@pytest.mark.parametrize("question,least", [("insn", 10_000), ("functions", 300_000), ("files", 4_000),
                                            ("symbolize", 40_000), ("type", 1_000)])
def test_debian_kernel(question: str, least: int, cprobe: Path, libdw: peers.Libdw, tmp_path: Path) -> None:
    elf = fetched("debian-kernel") / "vmlinux"
    about = agree.subject("vmlinux", elf, cprobe, tmp_path, libdw, seed=1)
    agreed(agree.ask(about, (question,), addresses=10_000), least)


def test_docs_explain_every_class() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert [name for name in EXPLAINED if f"**{name}**" not in text] == []


def test_linked_twin_is_where_gdb_has_it(tmp_path: Path) -> None:
    """The layout that the comparison of modules rests on, by GDB itself."""
    form = next(form for form in forms.FORMS if form.link == "relocatable")
    elf = forms.compile_form(form, tmp_path)
    functions = [s for s in peers.symbols(forms.linked_twin(elf, tmp_path)) if s.kind == "FUNC" and s.size]
    assert len(functions) > 8
    command = ["gdb", "-nx", "-nh", "-q", "-batch", "-ex", f"file {elf}"]
    for symbol in functions:
        command += ["-ex", f"info symbol {symbol.address:#x}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout.splitlines()
    assert len(said) == len(functions), done.stderr
    for symbol, line in zip(functions, said):  # GDB has its own way with .cold and the like, or an alias
        near = [s.name for s in functions if s.address == symbol.address]
        assert any(name.startswith(line.split()[0].removesuffix("[cold]")) for name in near), (near, line)


RIGHT = peers.Copy(0x1000, "inner", "outer", "a/b.c", 10, "a/b.c", 20)


@pytest.mark.parametrize("ours", [
    [], [RIGHT, peers.Copy(0x1000, "inner", "outer", "a/b.c", 10, "a/b.c", 21)],
    [peers.Copy(0x1001, "inner", "outer", "a/b.c", 10, "a/b.c", 20)],
    [peers.Copy(0x1000, "other", "outer", "a/b.c", 10, "a/b.c", 20)],
    [peers.Copy(0x1000, "inner", "other", "a/b.c", 10, "a/b.c", 20)],
    [peers.Copy(0x1000, "inner", "outer", "c/b.c", 10, "a/b.c", 20)],
    [peers.Copy(0x1000, "inner", "outer", "a/b.c", 10, "a/b.c", 21)],
], ids=["missing", "one too many", "address", "name", "outer", "file", "call line"])
def test_a_wrong_answer_is_noticed(ours: list[peers.Copy]) -> None:
    """The comparison itself: one wrong field of one record is a disagreement, and unexplained."""
    score = Score("", "", "")
    compare.compare_copies(score, ours, [RIGHT], lambda address: True)
    assert score.classes[UNEXPLAINED] >= 1


def test_a_bit_field_of_paholes_is_read() -> None:
    text = """struct x {
    u32                        a:3;                  /*     0: 0  4 */
    enum {
        ONE                = 1,
    } b:5;                                           /*     0: 3  4 */
    union {
        u64                whole;                /*     8     8 */
        int                (*call)(int, char *); /*     8     8 */
    };                                               /*     8     8 */
    struct {
        u8                 in;                   /*    16     1 */
    } named[2];                                      /*    16     2 */
    u8                         tail[6] __attribute__((__aligned__(2))); /*    18     6 */

    /* size: 24, cachelines: 1, members: 5 */
};"""
    assert peers.pahole_layout(text) == peers.Layout(24, frozenset({
        peers.Member("a", 0, 0, 3), peers.Member("b", 3, 0, 5), peers.Member("whole", 64, 8, 0),
        peers.Member("call", 64, 8, 0), peers.Member("named", 128, 2, 0), peers.Member("tail", 144, 6, 0)}))
