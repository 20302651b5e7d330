"""Callers from a stack: return addresses by the calls in front of them."""

from __future__ import annotations

import struct
from typing import Optional

import pytest

from bootsonde.model.backtrace import DEPTH, WINDOW, call_before, callers

#: Functions of 0x100 bytes each, one after another.
CODE, COUNT = 0xffffffff80200000, 40
STACK = 0xffffffff8021a000


class Machine:
    """Code with calls in it, and a stack."""

    def __init__(self) -> None:
        self.memory: dict[int, int] = {}

    def put(self, address: int, data: bytes) -> None:
        self.memory.update((address + offset, byte) for offset, byte in enumerate(data))

    def call(self, caller: int, callee: Optional[int], offset: int = 0x20) -> int:
        """A call in function number `caller`, of number `callee` or through a pointer; its return address."""
        back = CODE + caller * 0x100 + offset
        if callee is None:
            self.put(back - 2, b"\xff\xd0")
        else:
            self.put(back - 5, b"\xe8" + struct.pack("<i", CODE + callee * 0x100 - back))
        return back

    def push(self, words: list[int]) -> None:
        self.put(STACK, struct.pack(f"<{len(words)}Q", *words))

    def read(self, address: int, size: int) -> bytes:
        data = bytearray()
        while len(data) < size and address + len(data) in self.memory:
            data.append(self.memory[address + len(data)])
        # A call's bytes are looked for up to 8 before: code is there, whatever it is.
        return bytes(data) if data or address >= STACK else bytes(
            self.memory.get(address + offset, 0x90) for offset in range(size))

    def callers(self, function: Optional[int], fp: int = 0) -> list[tuple[int, bool]]:
        found = callers(None if function is None else CODE + function * 0x100, STACK, fp, self.read, self.starts_at)
        return [(caller.address, caller.certain) for caller in found]

    @staticmethod
    def starts_at(address: int) -> Optional[int]:
        return address & ~0xff if CODE <= address < CODE + COUNT * 0x100 else None


@pytest.fixture
def machine() -> Machine:
    machine = Machine()
    machine.put(CODE, b"\x90" * (COUNT * 0x100))
    return machine


def test_direct_calls_are_followed_without_frame_pointers(machine: Machine) -> None:
    first, second = machine.call(2, 1), machine.call(3, 2)
    machine.push([7, CODE + 0x50, first, 0, 0, second, 0])
    assert machine.callers(1) == [(first, True), (second, True)]


def test_what_earlier_calls_have_left_is_passed_over(machine: Machine) -> None:
    """A return address whose call went elsewhere lies before the one that counts."""
    stale, true = machine.call(5, 9), machine.call(2, 1)
    machine.push([stale, 0, true])
    assert machine.callers(1) == [(true, True)]


def test_a_call_through_a_pointer_is_a_guess(machine: Machine) -> None:
    first, second = machine.call(2, None), machine.call(3, 2)
    machine.push([0, first, second])
    assert machine.callers(1) == [(first, False), (second, True)]


def test_the_frame_pointer_tells_among_calls_through_pointers(machine: Machine) -> None:
    stale, true, outer = machine.call(4, None), machine.call(2, None), machine.call(3, 2)
    machine.push([stale, 0, STACK + 0x28, true, 0, 0, outer])
    assert machine.callers(1, fp=STACK + 0x10) == [(true, False), (outer, True)]


def test_the_frame_pointer_is_followed(machine: Machine) -> None:
    """The second call through a pointer is found by the frame pointer that the first one's frame had saved."""
    first, stale, second = machine.call(2, None), machine.call(6, None), machine.call(3, None)
    machine.push([STACK + 0x20, first, stale, 0, 0, second])
    assert machine.callers(1, fp=STACK) == [(first, False), (second, False)]


def test_a_direct_call_below_the_frame_pointers_is_taken(machine: Machine) -> None:
    """A function that has set up no frame: the frame pointer is its caller's."""
    inner, outer = machine.call(2, 1), machine.call(3, None)
    machine.push([inner, STACK + 0x20, outer])
    assert machine.callers(1, fp=STACK + 8) == [(inner, True), (outer, False)]


def test_unknown_function_is_left_by_a_guess(machine: Machine) -> None:
    first = machine.call(2, 1)
    machine.push([first])
    assert machine.callers(None) == [(first, False)]


def test_nothing_is_found_where_there_is_nothing(machine: Machine) -> None:
    machine.push([0, 1, CODE + 0x77, STACK])
    assert machine.callers(1) == []
    assert callers(CODE, 0x1000, 0, lambda address, size: b"", machine.starts_at) == []


def test_recursion_without_end_is_bounded(machine: Machine) -> None:
    machine.push([machine.call(1, 1)] * 64)
    assert len(machine.callers(1)) == DEPTH


def test_a_frame_is_looked_for_in_a_window(machine: Machine) -> None:
    machine.push([0] * (WINDOW // 8) + [machine.call(2, 1)])
    assert machine.callers(1) == []


def test_in_32_bit_code_a_word_has_4_bytes() -> None:
    """Both return addresses are in the upper half of what would be a word of 8; the frame pointer tells the second one
    from what lies before it."""
    code, stack = 0xc0100000, 0xc0200000
    machine = Machine()
    machine.put(code, b"\x90" * 0x400)
    machine.put(code + 0x11b, b"\xe8" + struct.pack("<i", -0x120))
    machine.put(code + 0x21e, b"\xff\xd0")
    machine.put(code + 0x31e, b"\xff\xd0")
    machine.put(stack, struct.pack("<8I", 7, code + 0x120, 3, code + 0x320, stack + 0x18, code + 0x220, 0, 0))

    found = callers(code, stack, stack + 0x10, machine.read,
                    lambda at: at & ~0xff if code <= at < code + 0x400 else None, word=4)
    assert [(caller.address, caller.certain) for caller in found] == [
        (code + 0x120, True), (code + 0x220, False)]


def test_a_call_backwards_stays_within_32_bits() -> None:
    assert call_before(bytes.fromhex("e8 00 f0 ff ff"), 0x800, word=4) == 0xfffff800


@pytest.mark.parametrize("code, called", [
    ("e8 00 01 00 00", 0x1100), ("e8 fb ff ff ff", 0xffb), ("ff d0", 0), ("41 ff d4", 0), ("ff 10", 0), ("ff 50 08", 0),
    ("ff 90 00 01 00 00", 0), ("ff 15 00 01 00 00", 0), ("ff 54 24 08", 0), ("ff 14 c5 00 00 00 80", 0),
    ("ff 94 24 00 01 00 00", 0), ("ff 14 24", 0),
    ("ff e0", None), ("90 90", None), ("ff 50", None), ("ff 15 00", None), ("c3", None), ("", None), ("ff", None),
])
def test_calls_are_told_by_their_bytes(code: str, called: Optional[int]) -> None:
    assert call_before(bytes.fromhex(code), 0x1000) == called
