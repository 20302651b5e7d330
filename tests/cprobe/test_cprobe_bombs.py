"""Small files that want much: time and memory stay proportional to a file's size, whatever it shares, repeats or nests.

Each bomb is made for a size. It is asked about at a size and at four times that: what takes time in proportion takes
four times as long, what is quadratic sixteen times. No bound here depends on how fast the machine is, save that a
question which takes longer than CPU_LIMIT is taken for one without end.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from cprobe_kit import Cprobe

SIZE = 256 << 10
CPU_LIMIT = 10
MOST_RSS, MOST_RSS_FACTOR = 64 << 20, 64

#: In a small process, as a child's peak RSS is never below that of the process that made it.
MEASURE = f"""
import json, os, resource, sys
child = os.fork()
if not child:
    resource.setrlimit(resource.RLIMIT_CPU, ({CPU_LIMIT}, {CPU_LIMIT}))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
status, usage = os.wait4(child, 0)[1:]
print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_utime, usage.ru_maxrss]))
"""

TEXT = 0xffffffff80200000
DATA = 0xffffffff81000000
# Section types and flags.
PROGBITS, SYMTAB, STRTAB, RELA, NOTE = 1, 2, 3, 4, 7
ALLOC, CODE, COMPRESSED = 2, 2 | 4, 0x800
# DWARF: tags, attributes, forms.
ARRAY, LEXICAL, PARAMETER, MEMBER, COMPILE_UNIT, STRUCT, TYPEDEF = 0x01, 0x0b, 0x05, 0x0d, 0x11, 0x13, 0x16
SUBRANGE, SUBPROGRAM, VARIABLE = 0x21, 0x2e, 0x34
LOCATION, NAME, STMT_LIST, LOW_PC, HIGH_PC, COUNT, ORIGIN, DECL_LINE = 0x02, 0x03, 0x10, 0x11, 0x12, 0x37, 0x31, 0x3b
EXTERNAL, TYPE, ENTRY_PC, RANGES = 0x3f, 0x49, 0x52, 0x55
ADDR, BLOCK4, DATA4, DATA8, STRING, DATA1, STRP, UDATA = 0x01, 0x04, 0x06, 0x07, 0x08, 0x0b, 0x0e, 0x0f
REF4, EXPRLOC, FLAG_PRESENT, IMPLICIT, ADDRX1 = 0x13, 0x18, 0x19, 0x21, 0x29


class Section(NamedTuple):
    name: str
    data: bytes = b""
    type: int = PROGBITS
    flags: int = 0
    address: int = 0
    link: int = 0
    info: int = 0
    entsize: int = 0
    times: int = 1  # so many section headers for the same bytes


Attr = tuple[int, ...]  # attribute, form and, of IMPLICIT, the value
Bomb = Callable[[int], bytes]


def elf(*sections: Section, kind: int = 2, segments: bytes = b"") -> bytes:
    """A 64-bit file with these sections and a table of their names, which is the last one."""
    names, body, headers = b"\0", bytearray(segments), [bytes(64)]
    for section in [*sections, Section(".shstrtab", b"\0", STRTAB)]:
        offset = 0
        if section.name:
            offset, names = len(names), names + section.name.encode() + b"\0"
        data = names if section.name == ".shstrtab" else section.data
        headers += [struct.pack("<IIQQQQIIQQ", offset, section.type, section.flags, section.address, 64 + len(body),
                                len(data), section.link, section.info, 1, section.entsize)] * section.times
        body += data
    count = len(headers)
    assert count < 0xff00
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", kind, 62, 1, TEXT, 64 if segments else 0,
                         64 + len(body), 0, 64, 56, len(segments) // 56, 64, count, count - 1)
    return header + body + b"".join(headers)


def code(data: bytes, times: int = 1) -> Section:
    return Section(".text", data, flags=CODE, address=TEXT, times=times)


def symbols(where: int, items: Iterable[tuple[int, int, int, int, int]], names: bytes) -> list[Section]:
    """A symbol table, at index `where` of the file's sections: name, type, section, address, size of each."""
    table = bytes(24) + b"".join(struct.pack("<IBBHQQ", name, 0x10 | kind, 0, section, address, size)
                                 for name, kind, section, address, size in items)
    return [Section(".symtab", table, SYMTAB, link=where + 1, entsize=24), Section(".strtab", names, STRTAB)]


def uleb(value: int) -> bytes:
    low, value = value & 0x7f, value >> 7
    return bytes([low | 0x80]) + uleb(value) if value else bytes([low])


def abbrev(number: int, tag: int, children: bool, *attrs: Attr) -> bytes:
    numbers = [number, tag, int(children), *(value for attr in attrs for value in attr), 0, 0]
    return b"".join(map(uleb, numbers))


def unit(dies: bytes, version: int = 4, table: int = 0) -> bytes:
    head = struct.pack("<HIB", 4, table, 8) if version == 4 else struct.pack("<HBBI", 5, 1, 8, table)
    return struct.pack("<I", len(head) + len(dies)) + head + dies


def dwarf(abbrevs: Iterable[bytes], info: bytes, *more: Section) -> bytes:
    """A file of that DWARF; `info`, unless it is whole, is what lies below a unit's root, the abbreviation 1."""
    return elf(code(b"\x90" * 16), Section(".debug_abbrev", b"".join(abbrevs) + b"\0"), Section(".debug_info", info),
               *more)


ROOT = abbrev(1, COMPILE_UNIT, True)
HEADER = 11  # bytes of a unit of version 4 before its root


def one_unit(abbrevs: Iterable[bytes], dies: bytes, *more: Section, version: int = 4) -> bytes:
    return dwarf([ROOT, *abbrevs], unit(b"\1" + dies + b"\0", version), *more)


def ref(die: int) -> bytes:
    """To what is that many bytes behind the root of a unit of version 4."""
    return struct.pack("<I", HEADER + 1 + die)


#: What a line table begins with: opcode 13 + N advances the line by N - 5, and the address by 0 for N below 14.
STEPS = b"\1\1\1\xfb\x0e\x0d\0\1\1\1\1\0\0\0\1\0\0\1"


def lines(name: bytes, program: bytes, folders: bytes = b"", files: bytes = b"") -> bytes:
    """A line table of version 4."""
    tables = STEPS + folders + b"\0" + name + b"\0\0\0\0" + files + b"\0"
    body = struct.pack("<HI", 4, len(tables)) + tables + program
    return struct.pack("<I", len(body)) + body


# -- ELF: what headers share ---------------------------------------------------------------------------------------

def section_names(size: int) -> bytes:
    """Sections whose names are one long string."""
    return elf(Section("a" * (size // 2), times=size // 128))


def notes(size: int) -> bytes:
    """Sections of notes that lie in one place."""
    return elf(Section(".note", struct.pack("<III", 0, 0, 9) * (size // 24), NOTE, times=size // 128))


def relocation_tables(size: int) -> bytes:
    """A table of relocations for each section of a module."""
    count = size // 153
    return elf(*(Section("", b"\x90", flags=ALLOC) for _ in range(count)),
               *(Section("", bytes(24), RELA, link=2 * count + 1, info=i + 1, entsize=24) for i in range(count)),
               *symbols(2 * count + 1, [], b"\0"), kind=1)


def segments(size: int) -> bytes:
    """Segments that leave the file, each of which asks whether there is a section .debug_info."""
    one = struct.pack("<IIQQQQQQ", 1, 5, 1 << 40, TEXT, 0, 4096, 4096, 1)
    return elf(Section("", times=size // 128), Section(".debug_info", unit(b"\0")), segments=one * (size // 112))


def sections_of_code(size: int) -> bytes:
    return elf(code(b"\x0f\xa2" * (size // 4), times=size // 128))


def sections_of_data(size: int) -> bytes:
    return elf(code(b"\x90" * 16), Section(".rodata", b"some text\0" * (size // 20), flags=ALLOC, address=DATA,
                                           times=size // 128))


def deflated(size: int) -> bytes:
    """Zeroes, which become a thousandth."""
    data = zlib.compress(bytes(size * 1024), 9)
    return elf(Section(".debug_str", struct.pack("<IIQQ", 1, 0, size * 1024, 1) + data, flags=COMPRESSED),
               Section(".debug_info", unit(b"\0")), Section(".debug_abbrev", b"\0"))


# -- Symbols ------------------------------------------------------------------------------------------------------

def symbol_names(size: int) -> bytes:
    """Symbols of one name, which is long."""
    items = [(1, 2, 1, TEXT + i, 1) for i in range(size // 48)]
    return elf(code(b"\x90" * 16), *symbols(2, items, b"\0" + b"a" * (size // 2) + b"\0"))


def symbols_below(size: int) -> bytes:
    """Thousands of symbols that are no code, in front of each instruction."""
    return elf(code(b"\x0f\xa2" * (size // 4)), *symbols(2, [(1, 1, 1, TEXT, 0)] * (size // 48), b"\0x\0"))


def twins(size: int) -> bytes:
    """Functions by DWARF and by symbols, all at one address."""
    function = abbrev(2, SUBPROGRAM, False, (NAME, STRING), (LOW_PC, ADDR), (HIGH_PC, IMPLICIT, 1))
    dies = struct.pack("<B2sQ", 2, b"f", TEXT) * (size // 22)
    return one_unit([function], dies, *symbols(4, [(1, 2, 1, TEXT, 1)] * (size // 48), b"\0g\0"))


def objects(size: int) -> bytes:
    """Variables that only symbols name: each is looked for in all of .debug_info."""
    block = b"\2" + struct.pack("<I", size // 2) + b"\3\0" * (size // 4)
    items = [(1, 1, 1, TEXT + 1, 1) for i in range(size // 48)]
    return one_unit([abbrev(2, VARIABLE, False, (NAME, BLOCK4))], block, *symbols(4, items, b"\0x\0"))


def objects_by_number(size: int) -> bytes:
    """The same with .debug_addr: each is looked for in all DIEs."""
    items = [(1, 1, 1, TEXT + 1, 1)] * (size // 48)
    return one_unit([abbrev(2, VARIABLE, False)], b"\2" * (size // 2), *symbols(4, items, b"\0x\0"),
                    Section(".debug_addr", bytes(8)))


# -- DWARF: what DIEs and units share -----------------------------------------------------------------------------

def attributes(tag: int) -> Bomb:
    """DIEs of one abbreviation whose many attributes take no bytes."""
    def make(size: int) -> bytes:
        return one_unit([abbrev(2, tag, False, *[(EXTERNAL, FLAG_PRESENT)] * (size // 4))], b"\2" * (size // 2))
    return make


def roots(size: int) -> bytes:
    """The same of units."""
    return dwarf([abbrev(1, COMPILE_UNIT, False, *[(EXTERNAL, FLAG_PRESENT)] * (size // 4))],
                 unit(b"\1") * (size // 24))


def tables(size: int) -> bytes:
    """Tables of abbreviations that begin within one another, one for each unit, all of which are read."""
    one = abbrev(1, COMPILE_UNIT, False)
    return dwarf([one * (size // 2 // len(one))], b"".join(unit(b"\1", 4, len(one) * i) for i in range(size // 24)),
                 *symbols(4, [(1, 1, 1, TEXT, 1)], b"\0x\0"), Section(".debug_addr", bytes(8)))


def units(size: int) -> bytes:
    return dwarf([abbrev(1, COMPILE_UNIT, False)], unit(b"\1") * (size // 12))


def line_files(size: int) -> bytes:
    """Units that share a line table with many folders that take no bytes."""
    tables = STEPS + 2 * (b"\1\1\x19" + uleb(size // 4))
    body = struct.pack("<HBBI", 5, 8, 0, len(tables)) + tables + bytes(size // 2)
    return dwarf([abbrev(1, COMPILE_UNIT, False, (STMT_LIST, IMPLICIT, 0))], unit(b"\1", 5) * (size // 26),
                 Section(".debug_line", struct.pack("<I", len(body)) + body))


def line_rows(size: int) -> bytes:
    """Units that share a line table, whose rows all are of interest."""
    set_address = b"\0\x09\2" + struct.pack("<Q", TEXT)
    root = abbrev(1, COMPILE_UNIT, False, (NAME, STRING), (STMT_LIST, IMPLICIT, 0))
    return dwarf([root], unit(b"\1a.c\0") * (size // 32),
                 Section(".debug_line", lines(b"a.c", set_address + b"\x13\x11" * (size // 4))))


def range_bases(size: int) -> bytes:
    """Functions that share a list of ranges, which only sets its base."""
    function = abbrev(2, SUBPROGRAM, False, (NAME, STRING), (RANGES, IMPLICIT, 0))
    return one_unit([function], b"\2f\0" * (size // 6), Section(".debug_rnglists", b"\1\0" * (size // 4) + b"\0"),
                    Section(".debug_addr", bytes(8)), version=5)


def range_lists(size: int) -> bytes:
    """Functions that share a list of ranges."""
    function = abbrev(2, SUBPROGRAM, False, (NAME, STRING), (RANGES, IMPLICIT, 0))
    address = b"\5" + struct.pack("<Q", TEXT)
    return one_unit([function], b"\2f\0" * (size // 6), version=5,
                    *[Section(".debug_rnglists", address + b"\4\0\1" * (size // 6) + b"\0")])


def references(block: bytes, size: int) -> bytes:
    """Functions that are instances of what is at the beginning of a block."""
    function = abbrev(3, SUBPROGRAM, False, (ORIGIN, REF4), (LOW_PC, IMPLICIT, 0))
    return one_unit([abbrev(2, VARIABLE, False, (NAME, BLOCK4)), function, abbrev(4, VARIABLE, False, (NAME, STRING))],
                    b"\2" + struct.pack("<I", len(block)) + block + (b"\3" + ref(5)) * (size // 10))


def long_numbers(size: int) -> bytes:
    """References to a DIE whose abbreviation is a number of very many digits."""
    return references(b"\x80" * (size // 2) + b"\0", size)


def long_texts(size: int) -> bytes:
    """References to a DIE whose name lies in it and is long."""
    return references(b"\4" + b"a" * (size // 2) + b"\0", size)


def function_names(step: int) -> Bomb:
    """Functions with long names that overlap, at one address or apart."""
    def make(size: int) -> bytes:
        function = abbrev(2, SUBPROGRAM, False, (NAME, STRP), (LOW_PC, ADDR), (HIGH_PC, IMPLICIT, 1))
        dies = b"".join(struct.pack("<BIQ", 2, i % 64, TEXT + step * i) for i in range(size // 26))
        return one_unit([function], dies, Section(".debug_str", b"a" * (size // 2) + b"\0"))
    return make


def entries(size: int) -> bytes:
    """A function of many parameters that is entered by each of its many ranges."""
    function = abbrev(2, SUBPROGRAM, True, (NAME, STRING), (ENTRY_PC, ADDR), (RANGES, IMPLICIT, 0))
    address = struct.pack("<Q", TEXT)
    return one_unit([function, abbrev(3, PARAMETER, False)], b"\2f\0" + address + b"\3" * (size // 2) + b"\0",
                    Section(".debug_rnglists", b"\5" + address + b"\4\0\1" * (size // 6) + b"\0"), version=5)


def scopes(size: int) -> bytes:
    """A function of many scopes and many instructions that are looked for."""
    function = abbrev(2, SUBPROGRAM, True, (NAME, STRING), (LOW_PC, ADDR), (HIGH_PC, DATA4))
    dies = b"\2f\0" + struct.pack("<QI", TEXT, size // 2) + b"\3" * (size // 2) + b"\0"
    root = abbrev(1, COMPILE_UNIT, True, (LOW_PC, ADDR), (HIGH_PC, DATA4))
    return elf(code(b"\x0f\xa2" * (size // 4)),
               Section(".debug_abbrev", root + function + abbrev(3, LEXICAL, False) + b"\0"),
               Section(".debug_info", unit(b"\1" + struct.pack("<QI", TEXT, size // 2) + dies + b"\0")))


# -- Paths --------------------------------------------------------------------------------------------------------

def named_unit(table: bytes, name: bytes = b"a.c") -> bytes:
    return dwarf([abbrev(1, COMPILE_UNIT, False, (NAME, STRING), (STMT_LIST, IMPLICIT, 0))], unit(b"\1" + name + b"\0"),
                 Section(".debug_line", table))


def folders(size: int) -> bytes:
    """Files in one folder, whose name is long."""
    return named_unit(lines(b"a.c", b"", b"/" + b"d" * (size // 2) + b"\0", b"x\0\1\0\0" * (size // 10)))


def dots(size: int) -> bytes:
    """A path to normalise."""
    return named_unit(lines(b"a.c", b""), b"x" * (size // 2) + b"/." * (size // 4))


def slashes(size: int) -> bytes:
    """A line program that goes from file to file, one of them in many folders."""
    return named_unit(lines(b"a.c", b"\4\2\1\4\1\1" * (size // 12), b"", b"d/" * (size // 4) + b"x\0\0\0\0"))


# -- Types --------------------------------------------------------------------------------------------------------

def struct_of(member: bytes, members: bytes, before: bytes = b"", *more: bytes) -> tuple[list[bytes], bytes]:
    """Of a struct T: abbreviations, 2 and 3 its own, and DIEs."""
    return [abbrev(2, STRUCT, True, (NAME, STRING)), member, *more], before + b"\2T\0" + members + b"\0"


def fan_out(size: int) -> bytes:
    """Structs with two unnamed structs each, 30 deep."""
    dies, at = b"", 0
    for level in range(30):
        dies += (b"\2T\0" if not level else b"\4") + 2 * (b"\3" + ref(at + (14 if not level else 12))) + b"\0"
        at = len(dies)
    inner = [abbrev(3, MEMBER, False, (TYPE, REF4)), abbrev(4, STRUCT, True), abbrev(5, MEMBER, False, (NAME, STRING))]
    return one_unit([abbrev(2, STRUCT, True, (NAME, STRING)), *inner], dies + b"\4\5m\0\0", Section("x", bytes(size)))


def typedefs(size: int) -> bytes:
    """Types of one name that are all the same large struct."""
    abbrevs, dies = struct_of(abbrev(3, MEMBER, False, (NAME, STRING)), b"\3m\0" * (size // 6), b"",
                              abbrev(4, TYPEDEF, False, (NAME, STRING), (TYPE, REF4), (DECL_LINE, DATA4)))
    return one_unit(abbrevs, dies + b"".join(b"\4T\0" + ref(0) + struct.pack("<I", i) for i in range(size // 22)))


def member_names(size: int) -> bytes:
    """Members of one name, which is long."""
    return one_unit(*struct_of(abbrev(3, MEMBER, False, (NAME, STRP)), b"\3\0\0\0\0" * (size // 10)),
                    Section(".debug_str", b"a" * (size // 2) + b"\0"))


def members_of(type_dies: bytes, size: int, *more: bytes, start: int = 0) -> bytes:
    """Members of one type, which begins at `start` of type_dies."""
    return one_unit(*struct_of(abbrev(3, MEMBER, False, (NAME, STRING), (TYPE, REF4)),
                               (b"\3m\0" + ref(start)) * (size // 14), type_dies, *more))


def type_names(size: int) -> bytes:
    return members_of(b"\4" + b"a" * (size // 2) + b"\0", size, abbrev(4, STRUCT, False, (NAME, STRING)))


def dimensions(size: int) -> bytes:
    """Arrays of arrays, 30 deep, of eight dimensions each."""
    one = b"\5" + struct.pack("<Q", 1 << 63)
    length = 5 + 8 * len(one) + 1
    dies = b"".join(b"\4" + ref(length * (i + 1)) + 8 * one + b"\0" for i in range(30)) + b"\6x\0"
    return members_of(dies, size, abbrev(4, ARRAY, True, (TYPE, REF4)), abbrev(5, SUBRANGE, False, (COUNT, DATA8)),
                      abbrev(6, STRUCT, False, (NAME, STRING)))


def array_children(size: int) -> bytes:
    """Members of one array type with very many children."""
    return members_of(b"\4" + b"\5" * (size // 2) + b"\0", size, abbrev(4, ARRAY, True), abbrev(5, VARIABLE, False))


# -- Code ---------------------------------------------------------------------------------------------------------

def message(text: bytes, items: list[tuple[int, int, int, int, int]], *more: Section) -> bytes:
    """Code that prints "some text" of .rodata."""
    return elf(code(text), Section(".rodata", b"some text\0", flags=ALLOC, address=TEXT + (64 << 20)),
               *symbols(3, items, b"\0f\0g\0"), *more)


def load(at: int) -> bytes:
    """lea rdi, [rip + ...] of the message, at an offset of the code."""
    return b"\x48\x8d\x3d" + struct.pack("<i", (64 << 20) - at - 7)


def loads(named: bool) -> Bomb:
    """A function that prints the message again and again."""
    def make(size: int) -> bytes:
        count = size // 7
        return message(b"".join(load(7 * i) for i in range(count)), [(1, 2, 1, TEXT, 7 * count)] if named else [])
    return make


def printers(size: int) -> bytes:
    """Functions that print the message once."""
    count = size // 32
    return message(b"".join(load(8 * i) + b"\xc3" for i in range(count)),
                   [(1, 2, 1, TEXT + 8 * i, 8) for i in range(count)])


def line_programs(size: int) -> bytes:
    """The same in one unit with a long line program."""
    count = size // 64
    root = abbrev(1, COMPILE_UNIT, False, (NAME, STRING), (LOW_PC, ADDR), (HIGH_PC, DATA4), (STMT_LIST, IMPLICIT, 0))
    program = b"\0\x09\2" + struct.pack("<Q", TEXT) + b"\1" * (size // 2)
    return message(b"".join(load(8 * i) + b"\xc3" for i in range(count)),
                   [(1, 2, 1, TEXT + 8 * i, 8) for i in range(count)],
                   Section(".debug_abbrev", root + b"\0"), Section(".debug_line", lines(b"a.c", program)),
                   Section(".debug_info", unit(b"\1a.c\0" + struct.pack("<QI", TEXT, 8 * count))))


def calls(size: int) -> bytes:
    """A function that calls a long one, which does not return, again and again."""
    count = size // 14
    body = b"".join(b"\xe8" + struct.pack("<i", 7 * (count - i) - 4) + b"\x74\xfe" for i in range(count))
    return message(load(0) + body + b"\xc3" + b"\x90" * (size // 2),
                   [(1, 2, 1, TEXT, len(body) + 8), (3, 2, 1, TEXT + len(body) + 8, size // 2)])


def alternatives(size: int) -> bytes:
    """Alternatives that replace nothing, in front of each instruction that is looked for."""
    replacements, places = TEXT + 0x800000, range(DATA, DATA + size // 2 // 12 * 12, 12)
    table = b"".join(struct.pack("<iiHBB", TEXT - at, replacements - at - 4, 0, 0, 0) for at in places)
    return elf(code(b"\x90" * 16), Section(".altinstr_replacement", b"\x0f\xa2" * (size // 4), flags=CODE,
                                           address=replacements),
               Section(".altinstructions", table, flags=ALLOC, address=DATA))


#: What is asked; FILE is the bomb.
BOMBS: dict[str, tuple[Bomb, str]] = {
    "section names": (section_names, "info FILE"),
    "notes": (notes, "info FILE"),
    "relocation tables": (relocation_tables, "info FILE"),
    "segments": (segments, "info FILE"),
    "sections of code": (sections_of_code, "find FILE --insn cpuid"),
    "sections of data": (sections_of_data, "find FILE --message some~text"),
    "deflated": (deflated, "info FILE"),
    "symbol names": (symbol_names, "symbol FILE *b"),
    "symbol names printed": (symbol_names, "symbol FILE a*"),
    "symbols below": (symbols_below, "find FILE --insn cpuid"),
    "twins": (twins, "list FILE"),
    "objects": (objects, "symbol FILE *"),
    "objects by number": (objects_by_number, "symbol FILE *"),
    "attributes of functions": (attributes(SUBPROGRAM), "list FILE"),
    "attributes of types": (attributes(TYPEDEF), "type FILE T"),
    "roots": (roots, "list FILE --file a.c"),
    "tables": (tables, "symbol FILE x"),
    "units": (units, "list FILE"),
    "line files": (line_files, "list FILE --file *.h"),
    "line rows": (line_rows, "line FILE a.c:1"),
    "range bases": (range_bases, "list FILE"),
    "range lists": (range_lists, "list FILE"),
    "long numbers": (long_numbers, "list FILE"),
    "long texts": (long_texts, "list FILE"),
    "function names": (function_names(1), "list FILE"),
    "function names at one address": (function_names(0), "list FILE"),
    "entries": (entries, "list FILE --format json"),
    "scopes": (scopes, "find FILE --insn cpuid"),
    "folders": (folders, "list FILE --file *.h"),
    "dots": (dots, "list FILE --file *"),
    "slashes": (slashes, "line FILE a.c:1"),
    "fan-out": (fan_out, "type FILE T"),
    "fan-out, a field": (fan_out, "type FILE T.x"),
    "typedefs": (typedefs, "type FILE T"),
    "member names": (member_names, "type FILE T"),
    "type names": (type_names, "type FILE T"),
    "dimensions": (dimensions, "type FILE T"),
    "array children": (array_children, "type FILE T"),
    "loads in a function": (loads(True), "find FILE --message some~text"),
    "loads without symbols": (loads(False), "find FILE --message some~text"),
    "printers": (printers, "find FILE --message some~text"),
    "line programs": (line_programs, "find FILE --message some~text"),
    "calls": (calls, "find FILE --message some~text"),
    "alternatives": (alternatives, "find FILE --insn cpuid"),
}


class Outcome(NamedTuple):
    status: int
    seconds: float  # of all CPUs, in the program itself
    peak: int  # bytes
    said: str


def ask(probe: Cprobe, path: Path, question: str) -> Outcome:
    words = [str(path) if word == "FILE" else word.replace("~", " ") for word in question.split()]
    done = subprocess.run([sys.executable, "-S", "-E", "-c", MEASURE, str(probe.path), *words], capture_output=True,
                          text=True, errors="surrogateescape", check=True, timeout=20 * CPU_LIMIT)
    status, seconds, peak = json.loads(done.stdout)
    return Outcome(status, seconds, peak << 10, done.stderr)


def check(outcome: Outcome, size: int) -> None:
    assert outcome.status in (0, 1, 3), (outcome.status, outcome.said[-500:])
    assert outcome.status != 3 or outcome.said.startswith("cprobe: "), outcome.said[-500:]
    assert outcome.peak <= MOST_RSS + MOST_RSS_FACTOR * size, f"{outcome.peak >> 20} MiB for a file of {size} bytes"


@pytest.fixture(autouse=True)
def as_built_for_users(probe: Cprobe) -> None:
    if any(name in probe.path.read_bytes() for name in (b"__asan_init", b"__tsan_init")):
        pytest.skip("a sanitizer has its own needs of time and memory")


@pytest.mark.parametrize("name", BOMBS)
def test_bounded_by_the_files_size(probe: Cprobe, tmp_path: Path, name: str) -> None:
    make, question = BOMBS[name]
    path = tmp_path / "bomb"
    taken = []
    for size in (SIZE, 4 * SIZE):
        path.write_bytes(make(size))
        assert size / 2 < path.stat().st_size < 2 * size
        outcome = ask(probe, path, question)
        check(outcome, path.stat().st_size)
        taken.append(outcome.seconds)
    assert taken[1] <= 8 * max(taken[0], 0.03), taken


def test_an_answer_is_whole_or_none(probe: Cprobe, tmp_path: Path) -> None:
    """More shared ranges than are read for one question: that is said, no function is left out silently."""
    function = abbrev(2, SUBPROGRAM, False, (NAME, STRING), (RANGES, IMPLICIT, 0))
    empty = b"\5" + struct.pack("<Q", TEXT) + b"\4\0\0" * 40000 + b"\4\0\1\0"
    path = tmp_path / "bomb"
    path.write_bytes(one_unit([function], b"".join(b"\2f%05d\0" % i for i in range(4000)),
                              Section(".debug_rnglists", empty), version=5))
    done = probe.run("list", path)
    assert done.returncode == 3 or len(done.stdout.splitlines()) == 4000, (done.returncode, done.stderr[-500:])
