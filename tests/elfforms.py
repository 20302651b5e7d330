"""One kernel in the forms in which kernels are shipped, made with objcopy from the whole one."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

#: Section types: SHT_SYMTAB, SHT_STRTAB, SHT_DYNSYM.
SYMTAB, STRTAB, DYNSYM = 2, 3, 11


def objcopy(*words: str | Path) -> None:
    subprocess.run(["objcopy", *map(str, words)], check=True, timeout=60, capture_output=True)


def whole(full: Path, kernel: Path) -> None:
    shutil.copy(full, kernel)


def symtab_only(full: Path, kernel: Path) -> None:
    """As Linux's stripped-for-distribution modules, or a kernel built without -g."""
    objcopy("--strip-debug", full, kernel)


def debuglink(full: Path, kernel: Path) -> None:
    """Everything stripped, all names in a file beside it."""
    debug = kernel.with_name("kernel.debug")
    objcopy("--only-keep-debug", full, debug)
    objcopy("--strip-all", f"--add-gnu-debuglink={debug}", full, kernel)


def dynsym_only(full: Path, kernel: Path) -> None:
    """The symbol table under the name and type that a dynamic linker reads; loaders that relocate kernels keep it."""
    objcopy("--strip-debug", full, kernel)
    image = bytearray(kernel.read_bytes())
    table, = struct.unpack_from("<Q", image, 40)
    size, count = struct.unpack_from("<HH", image, 58)
    for at in range(table, table + size * count, size):
        if struct.unpack_from("<I", image, at + 4)[0] == SYMTAB:
            struct.pack_into("<I", image, at + 4, DYNSYM)
    kernel.write_bytes(image)


def nameless(full: Path, kernel: Path) -> None:
    """No names at all."""
    objcopy("--strip-all", full, kernel)


def without_build_id(full: Path, kernel: Path) -> None:
    """Names, but nothing that tells this build from another. The note's bytes stay, as they lie in a segment."""
    image = full.read_bytes()
    note = image.index(b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0")
    kernel.write_bytes(image[:note + 8] + b"\x7f" + image[note + 9:])


FORMS: dict[str, Callable[[Path, Path], None]] = {
    "whole": whole, "symtab-only": symtab_only, "debuglink": debuglink, "dynsym-only": dynsym_only,
    "nameless": nameless, "no-build-id": without_build_id,
}
