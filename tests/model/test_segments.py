"""Where code is linked, loaded and kept in its file, by `cprobe info`."""

from __future__ import annotations

from bootsonde.model.segments import Segment, link_address, load_address, loaded_segments


def segment(kind: int, virtual: str, physical: str, offset: int, sizes: tuple[int, int],
            flags: str) -> dict[str, object]:
    return {"type": kind, "vaddr": virtual, "paddr": physical, "offset": offset, "filesz": sizes[0], "memsz": sizes[1],
            "flags": flags}


INFO = {"segments": [
    segment(4, "0x0", "0x0", 0x200, (0x7fffffff, 0x7fffffff), "r"),
    segment(1, "0xffffffff80200000", "0x200000", 0x1000, (0x800, 0x2000), "rx"),
    segment(1, "0x100000", "0x100000", 0x3000, (0x100, 0x100), "rw"),
]}


def test_notes_are_no_segments_that_are_loaded() -> None:
    assert loaded_segments(INFO) == [
        Segment(0xffffffff80200000, 0x200000, 0x1000, 0x800, 0x2000, True),
        Segment(0x100000, 0x100000, 0x3000, 0x100, 0x100, False)]


def test_zeroed_memory_is_held_but_not_in_the_file() -> None:
    code = loaded_segments(INFO)[0]
    assert code.has(0xffffffff802007f8, 8) and not code.has(0xffffffff802007f9, 8)
    assert code.holds(0xffffffff80201ff8, 8) and not code.holds(0xffffffff80201ff9, 8)
    assert not code.has(0xffffffff801fffff) and not code.holds(0xffffffff801fffff)


def test_code_that_is_linked_elsewhere_has_a_load_address() -> None:
    assert load_address(INFO, 0xffffffff80200010) == 0x200010
    assert load_address(INFO, 0x100010) is None
    assert load_address(INFO, 0xffffffff80202000) is None


def test_a_debug_files_segments_have_no_bytes_and_are_loaded_all_the_same() -> None:
    debug = {"segments": [{**each, "filesz": 0} for each in INFO["segments"]]}
    assert load_address(debug, 0xffffffff80200010) == 0x200010
    assert link_address(debug, 0x200010) == 0xffffffff80200010


def test_before_paging_code_runs_where_it_is_loaded() -> None:
    assert link_address(INFO, 0x200010) == 0xffffffff80200010
    assert link_address(INFO, 0x100010) == 0x100010
    assert link_address(INFO, 0xffffffff80200010) == 0xffffffff80200010
    assert link_address(INFO, 0xfff0) == 0xfff0
    assert link_address({}, 0x200010) == 0x200010
