"""Damaged files of every form, and the whole program on them, with ASan and UBSan where launch/test.sh has built it."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cprobe_kit import Cprobe

SEEDS = Path(__file__).resolve().parents[2] / "cprobe" / "fuzz" / "corpus" / "elf"
#: With what the seeds have of each: a function, a file, a struct, a message. See cprobe/fuzz/seeds.py.
VERBS = [["info"], ["list"], ["list", "--file", "k.c", "--inlined", "only"], ["symbol", "*"], ["line", "k.c:20"],
         ["symbolize", "--inlines", "0x10010", "0x10", "0x100a0"], ["type", "pcpu", "reg.high"],
         ["find", "--insn", "cpuid,mov"], ["find", "--message", "TSC not initialized"],
         ["find", "--message", "Statistical lapic calibration failed!"]]
#: Values that counts, sizes and offsets go wrong at.
ODD = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff, 0xffffffffffffffff]
#: Files by default and with --long; each is asked every verb.
FEW, MANY = 12, 400


@pytest.fixture(scope="session")
def checked(build: Path, root: Path, cprobe: Path) -> Cprobe:
    """cprobe with sanitizers: build-clang/ beside the build; else the build's own."""
    sanitized = root / "build-clang" / "cprobe" / "cprobe"
    return Cprobe(sanitized if sanitized.exists() else cprobe)


def headers(image: bytearray) -> tuple[int, int]:
    """Where the section headers lie, and their size together."""
    wide = image[4] == 2
    at, = struct.unpack_from("<Q" if wide else "<I", image, 40 if wide else 32)
    size, count = struct.unpack_from("<HH", image, 58 if wide else 46)
    return at, size * count


def contents(image: bytearray) -> list[tuple[int, int]]:
    """Offset and size of each section that has bytes in the file."""
    wide, (table, size) = image[4] == 2, headers(image)
    step = 64 if wide else 40
    found = [struct.unpack_from("<QQ" if wide else "<II", image, at + (24 if wide else 16))
             for at in range(table, table + size, step) if struct.unpack_from("<I", image, at + 4)[0] not in (0, 8)]
    return [(at, length) for at, length in found if length and at + length <= len(image)]


def flip_bits(image: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice([1, 8, 64])):
        image[draw.randrange(16, len(image))] ^= 1 << draw.randrange(8)


def flip_header_bits(image: bytearray, draw: random.Random) -> None:
    at, size = headers(image)
    for _ in range(draw.choice([1, 3])):
        image[draw.choice([draw.randrange(16, 52), at + draw.randrange(size)])] ^= 1 << draw.randrange(8)


def put_odd_values(image: bytearray, draw: random.Random) -> None:
    """In one section, as wide as a number there may be."""
    at, size = draw.choice(contents(image))
    for _ in range(draw.choice([1, 4])):
        width = draw.choice([1, 2, 4, 8])
        value = (draw.choice(ODD) & ((1 << 8 * width) - 1)).to_bytes(width, "little")
        start = at + draw.randrange(size)
        image[start:start + width] = value[:len(image) - start]


def swap_contents(image: bytearray, draw: random.Random) -> None:
    """A piece of one section over a piece of another."""
    (one, one_size), (other, other_size) = draw.choice(contents(image)), draw.choice(contents(image))
    length = draw.randrange(1, min(one_size, other_size) + 1)
    image[other:other + length] = image[one:one + length]


def cut_off(image: bytearray, draw: random.Random) -> None:
    del image[draw.randrange(16, len(image)):]


def repeat_a_piece(image: bytearray, draw: random.Random) -> None:
    """One place of a section over all of it behind that place: endless lists, a million equal entries."""
    at, size = draw.choice(contents(image))
    start, length = draw.randrange(size), draw.choice([1, 2, 3, 8, 24])
    piece = image[at + start:at + min(size, start + length)]
    rest = size - start
    image[at + start:at + size] = (piece * (rest // len(piece) + 1))[:rest]


MUTATIONS: list[Callable[[bytearray, random.Random], None]] = [
    flip_bits, flip_header_bits, put_odd_values, swap_contents, cut_off, repeat_a_piece]


def mutated(draw: random.Random, count: int) -> Iterator[tuple[str, bytes]]:
    seeds = sorted(SEEDS.iterdir())
    for number in range(count):
        seed = draw.choice(seeds)
        image = bytearray(seed.read_bytes())
        mutation = MUTATIONS[number % len(MUTATIONS)]
        mutation(image, draw)
        yield f"{seed.name}, {mutation.__name__} {number}", bytes(image)


def fault(probe: Cprobe, path: Path, verb: list[str], form: str) -> str:
    """What is wrong with the outcome, "" if nothing is; a run that takes a minute raises."""
    done = probe.run(verb[0], path, *verb[1:], "--format", form, env={"UBSAN_OPTIONS": "halt_on_error=1"})
    if done.returncode not in (0, 1, 3) or "Sanitizer" in done.stderr or "runtime error" in done.stderr:
        return f"{verb}: status {done.returncode}: {done.stderr[-1500:]}"
    if any(not line.startswith("cprobe: ") for line in done.stderr.splitlines()):
        return f"{verb}: a line that is not cprobe's: {done.stderr[-500:]}"
    return "" if done.returncode != 3 or done.stderr else f"{verb}: status 3 without a reason"


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_do_no_damage(checked: Cprobe, tmp_path: Path, request: pytest.FixtureRequest, seed: int) -> None:
    """Whatever is damaged, the outcome is an answer, or status 3 and the reason."""
    draw, path, faults = random.Random(seed), tmp_path / "damaged", []
    for name, image in mutated(draw, MANY if request.config.getoption("--long") else FEW):
        path.write_bytes(image)
        for verb in VERBS:
            said = fault(checked, path, verb, draw.choice(["text", "json", "gdb"]))
            if said:
                faults.append(f"{name}: {said}")
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:5])


@pytest.mark.parametrize("seed", sorted(path.name for path in SEEDS.iterdir()))
def test_the_seeds_are_sound(checked: Cprobe, seed: str) -> None:
    """Else the damaged ones would be refused for another reason."""
    assert fault(checked, SEEDS / seed, ["info"], "json") == ""
    assert checked.run("info", SEEDS / seed).returncode == 0
