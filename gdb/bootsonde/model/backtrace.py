"""Who called, from nothing but a stack and the code: return addresses, each checked by the call in front of it.

No symbol table and no unwind table is needed, so it works in a kernel that keeps no frame pointers. A word of the
stack is a return address if it lies in code and a call instruction ends there. The next one out is the first whose
call goes to the function that is being left; failing that, the one that the frame pointer leads to if it is of a call
through a pointer, or the first of all. Those are guesses: there may have been a tail call, and the stack keeps what
earlier calls have left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List, Optional, Tuple

#: Frames that are looked for, and bytes of the stack in which the next one is.
DEPTH, WINDOW = 16, 4096
#: Bytes of the longest call instruction: FF /2 with prefix, SIB and displacement.
_LONGEST = 8

#: Reads memory: (address, size) to bytes, fewer where they end; none where nothing is mapped.
Reader = Callable[[int, int], bytes]


@dataclass(frozen=True)
class Caller:
    """A return address. `certain`: its call goes straight to the function inside it."""

    address: int
    certain: bool


def _modrm_length(code: bytes) -> int:
    """Bytes of ModRM, SIB and displacement (Intel SDM volume 2, 2.1.3 to 2.1.5), in 64-bit and in 32-bit code."""
    mod, rm = code[0] >> 6, code[0] & 7
    if mod == 3:
        return 1
    sib = rm == 4
    no_base = sib and len(code) > 1 and code[1] & 7 == 5
    displacement = {0: 4 if rm == 5 or no_base else 0, 1: 1, 2: 4}[mod]
    return 1 + sib + displacement


def call_before(code: bytes, address: int, word: int = 8) -> Optional[int]:
    """What the call instruction that ends at `address` calls, 0 for a pointer; None if there is none.

    code: the bytes before `address`. word: bytes of an address, 8 or 4.
    """
    if len(code) >= 5 and code[-5] == 0xe8:
        return (address + int.from_bytes(code[-4:], "little", signed=True)) & (1 << 8 * word) - 1
    for length in range(2, min(len(code), _LONGEST - 1) + 1):
        rest = code[-length:]
        if rest[0] == 0xff and rest[1] >> 3 & 7 == 2 and 1 + _modrm_length(rest[1:]) == length:
            return 0
    return None


def callers(function: Optional[int], sp: int, fp: int, read: Reader, starts_at: Callable[[int], Optional[int]],
            depth: int = DEPTH, window: int = WINDOW, in_code: Callable[[int], bool] = lambda address: True,
            word: int = 8) -> List[Caller]:
    """The return addresses from the innermost on.

    function: the first address of the function that is being left, if known. sp, fp: stack and frame pointer there.
    starts_at: the first address of the function around an address; None where there is no code. window: bytes of the
    stack in which each is looked for. in_code: says at once whether an address may be code; it spares `starts_at`, and
    reading, most words of the stack. word: bytes of a word of the stack, 8 in 64-bit code, 4 in 32-bit code.
    """
    found: List[Caller] = []
    while len(found) < depth:
        step = _next(function, sp, fp, read, starts_at, window, in_code, word)
        if step is None:
            break
        caller, slot = step
        found.append(caller)
        if slot == fp + word:
            fp = int.from_bytes(read(fp, word), "little")
        sp = slot + word
        function = starts_at(caller.address - 1)
    return found


def _next(function: Optional[int], sp: int, fp: int, read: Reader, starts_at: Callable[[int], Optional[int]],
          window: int, in_code: Callable[[int], bool], word: int) -> Optional[Tuple[Caller, int]]:
    """The next return address, and where on the stack it is."""
    guess: Optional[int] = None
    stack = read(sp, window)
    for offset in range(0, len(stack) - word + 1, word):
        address = int.from_bytes(stack[offset:offset + word], "little")
        # The byte before: a call that does not return may be the last instruction of its function.
        if not in_code(address - 1):
            continue
        called = call_before(read(address - _LONGEST, _LONGEST), address, word)
        if called is None or starts_at(address - 1) is None:
            continue
        slot = sp + offset
        if called == function:
            return Caller(address, True), slot
        if slot == fp + word and not called:
            guess = slot
            break
        guess = slot if guess is None else guess
    if guess is None:
        return None
    return Caller(int.from_bytes(stack[guess - sp:guess - sp + word], "little"), False), guess
