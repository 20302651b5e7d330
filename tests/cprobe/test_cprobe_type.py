"""type: layouts of structs and unions, against what the compiler itself says of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cprobe_kit import Build, Cprobe

PLAIN = ["-ffreestanding", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-fno-stack-protector"]
MACHINES: list[list[str]] = [[], ["-m32"]]
VARIANTS = [(compiler, [f"-gdwarf-{version}", *machine]) for compiler in ("gcc", "clang") for version in (2, 4, 5)
            for machine in MACHINES]

TYPES = """
typedef unsigned long ulong_t;
typedef int row_t[4];
typedef struct { short tag; long long value; } nameless_t;
enum color { RED, GREEN = 1000 };
struct point { char letter; int x, y; };
union word { unsigned char bytes[8]; struct point as_point; double as_double; };
struct shape {
\tchar kind;
\tstruct point from, corners[3];
\tint cube[2][3][5];
\tunion {
\t\tint whole;
\t\tstruct {
\t\t\tshort low;
\t\t\tunion { short high; char highs[2]; };
\t\t};
\t};
\tstruct { unsigned char deep; struct { long long deeper[2]; } level; } inner;
\tnameless_t one, many[2];
\tunion word word;
\tenum color color;
\t_Bool visible;
\tconst volatile ulong_t *const *stamps;
\tstruct shape *next, *children[2];
\tvoid (*draw)(struct shape *);
\tlong double area;
\tunsigned char odd[3];
\tstruct __attribute__((packed)) { char before; long long unaligned; } packed;
\tint count;
\tstruct point rest[];
};
"""
SHAPE = {"shape.c": TYPES + "struct shape shape;\nunion word word;\nvoid _start(void) { }\n"}
FIELDS = ["kind", "from", "corners", "cube", "whole", "low", "high", "highs", "inner", "one", "many", "word", "color",
          "visible", "stamps", "next", "children", "draw", "area", "odd", "packed", "count", "rest"]


def asserts(records: Sequence[dict[str, Any]]) -> str:
    """What a compiler must find true when the fields are what the records say."""
    ret = []
    for record in records:
        path = record["name"].split(".", 1)[1]
        ret.append(f'_Static_assert(__builtin_offsetof(struct shape, {path}) == {record["offset"]}, "{path}: offset");')
        if record.get("size"):
            ret.append(f'_Static_assert(sizeof(((struct shape *)0)->{path}) == {record["size"]}, "{path}: size");')
    return "\n".join(ret)


def type_asserts(records: Sequence[dict[str, Any]]) -> str:
    """The same of the C text of their types, where that can be written."""
    return "\n".join(f'_Static_assert(__builtin_types_compatible_p(__typeof__(((struct shape *)0)->'
                     f'{record["name"].split(".", 1)[1]}), {record["type"]}), "{record["name"]}: {record["type"]}");'
                     for record in records if "{...}" not in record["type"])


def compiles(folder: Path, compiler: str, flags: Sequence[str], text: str) -> None:
    (folder / "asserts.c").write_text(text)
    done = subprocess.run([compiler, *PLAIN, *flags, "-fsyntax-only", "asserts.c"], cwd=folder, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_a_layout_is_the_compilers(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    shape = build_elf(SHAPE, [*PLAIN, *flags], compiler, kernel=False)
    whole, *fields = probe.records("type", shape, "shape")
    assert [r["name"] for r in fields] == [f"shape.{name}" for name in FIELDS]
    compiles(shape.parent, compiler, flags, TYPES + asserts(fields) +
             f'\n_Static_assert(sizeof(struct shape) == {whole["size"]}, "size");\n')


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_types_of_fields_are_the_compilers(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    shape = build_elf(SHAPE, [*PLAIN, *flags], compiler, kernel=False)
    compiles(shape.parent, compiler, flags, TYPES + type_asserts(probe.records("type", shape, "shape")[1:]))


PATHS = ["from.x", "corners[0]", "corners[2]", "corners[2].y", "cube[1][2][4]", "cube[0][0][0]", "high", "highs[1]",
         "inner.deep", "inner.level", "inner.level.deeper[1]", "one.value", "many[1]", "many[1].value", "word.bytes[7]",
         "word.as_point.y", "children[1]", "odd[2]", "packed.unaligned", "rest[0].y", "rest[7].x"]


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_paths_lead_where_the_compiler_says(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    """A field within fields, an element of an array, and what is within them."""
    shape = build_elf(SHAPE, [*PLAIN, *flags], compiler, kernel=False)
    found = [probe.records("type", shape, f"shape.{path}") for path in PATHS]
    assert [records[0]["name"] for records in found] == [f"shape.{path}" for path in PATHS]
    compiles(shape.parent, compiler, flags, TYPES + asserts([r for records in found for r in records]))


ELEMENTS = ["corners[2]", "cube[1][2][4]", "highs[1]", "many[1]", "word.bytes[7]", "children[1]", "odd[2]"]


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_an_element_has_the_type_of_one(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    shape = build_elf(SHAPE, [*PLAIN, *flags], compiler, kernel=False)
    found = [probe.records("type", shape, f"shape.{path}")[0] for path in ELEMENTS]
    compiles(shape.parent, compiler, flags, TYPES + type_asserts(found))
    assert [r["encoding"] for r in found] == ["struct", "signed", "char", "struct", "char", "pointer", "char"]
    assert not any("count" in r for r in found)


@pytest.mark.parametrize("path,size,count", [("cube", 120, 30), ("cube[1]", 60, 15), ("cube[1][2]", 20, 5)])
def test_fewer_indices_than_dimensions_give_a_smaller_array(probe: Cprobe, build_elf: Build, path: str, size: int,
                                                            count: int) -> None:
    shape = build_elf(SHAPE, [*PLAIN, "-g"], kernel=False)
    record, = probe.records("type", shape, f"shape.{path}")
    assert (record["size"], record["count"]) == (size, count)
    compiles(shape.parent, "gcc", [], TYPES + asserts([record]) + type_asserts([record]))


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("path,size", [("rows", 32), ("rows[1]", 16), ("rows[1][2]", 4)])
def test_arrays_of_arrays_by_a_typedef(probe: Cprobe, build_elf: Build, compiler: str, path: str, size: int) -> None:
    """clang keeps the typedef between them, gcc makes one array of both."""
    text = "typedef int row_t[4];\nstruct shape { char before; row_t rows[2]; };\n"
    table = build_elf({"a.c": text + "struct shape s;\nvoid _start(void) { }\n"}, [*PLAIN, "-g"], compiler,
                      kernel=False)
    record, = probe.records("type", table, f"shape.{path}")
    assert record["size"] == size
    compiles(table.parent, compiler, [], text + asserts([record]) + type_asserts([record]))


def test_flexible_arrays_have_elements_without_an_end(probe: Cprobe, build_elf: Build) -> None:
    shape = build_elf(SHAPE, [*PLAIN, "-g"], kernel=False)
    rest = probe.records("type", shape, "shape.rest")[0]
    assert rest["size"] == 0 and rest["type"] == "struct point[]" and "count" not in rest
    far = probe.records("type", shape, "shape.rest[1000]")
    assert [r["offset"] - rest["offset"] for r in far] == [12000, 12000, 12004, 12008]


def test_an_element_of_a_flexible_array_has_a_size(probe: Cprobe, build_elf: Build) -> None:
    shape = build_elf(SHAPE, [*PLAIN, "-g"], kernel=False)
    element = probe.records("type", shape, "shape.rest[3]")[0]
    assert (element["size"], element["type"], element["encoding"]) == (12, "struct point", "struct")


@pytest.mark.parametrize("name,field", [
    ("table", "int (*table)[3]"), ("calls", "int (*calls[2])(void)"), ("find", "int *(*find)(void)"),
    ("call", "int (**call)(void)"), ("names", "const char *const names[2]"), ("order", "char *const volatile order"),
    ("deep", "int (*(*deep)(void))(void)")])
def test_the_text_of_a_type_is_c(probe: Cprobe, build_elf: Build, name: str, field: str) -> None:
    text = f"struct shape {{ {field}; }};\n"
    path = build_elf({"a.c": text + "struct shape s;\nvoid _start(void) { }\n"}, [*PLAIN, "-g"], kernel=False)
    record, = probe.records("type", path, f"shape.{name}")
    compiles(path.parent, "gcc", [], text + type_asserts([record]))
    assert "const const" not in record["type"]


# -- Bit fields -------------------------------------------------------------------------------------------------------

BITS_H = """
struct bits {
\tchar before;
\tunsigned a : 3, b : 7, c : 20;
\tunsigned long long d : 40;
\t_Bool e : 1;
\tunsigned : 5;
\tshort f : 9;
\tint g : 32;
\tunion { unsigned h : 11; struct { unsigned char : 4, i : 2; }; };
\tstruct { signed char skip; long j : 17, k : 2; } inner;
\tunsigned char l : 8;
};
struct __attribute__((packed)) tight {
\tunsigned a : 5, b : 31;
\tunsigned long long c : 60, d : 3;
\tchar e;
\tunsigned f : 9;
\tunsigned short g : 15;
};
"""
BIT_FIELDS = {"bits": [*"abcdefghi", "inner.j", "inner.k", "l"], "tight": [*"abcdefg"]}


def section(path: Path, name: str) -> bytes:
    subprocess.run(["objcopy", "-O", "binary", f"--only-section={name}", path, path.with_suffix(".bin")], check=True)
    return path.with_suffix(".bin").read_bytes()


@pytest.mark.parametrize("struct", BIT_FIELDS)
@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_bit_fields_are_where_memory_has_them(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str],
                                              struct: str) -> None:
    """One object for each field, all bits of which are ones and no others."""
    fields = BIT_FIELDS[struct]
    objects = ",\n".join(f"\t{{ .{name} = -1 }}" for name in fields)
    kernel = build_elf({"bits.c": f"{BITS_H}__attribute__((section(\".probe\"), used)) struct {struct} probe[] = {{\n"
                                  f"{objects}\n}};\nvoid _start(void) {{ }}\n"}, [*PLAIN, "-w", *flags], compiler,
                       kernel=False)
    size = probe.records("type", kernel, struct)[0]["size"]
    memory = section(kernel, ".probe")
    assert len(memory) == size * len(fields)
    for i, name in enumerate(fields):
        record = probe.records("type", kernel, f"{struct}.{name}")[0]
        bits = record.get("bit_size", 8 * record["size"])
        got = ((1 << bits) - 1) << (8 * record["offset"] + record.get("bit_offset", 0))
        assert f"{got:#x}" == f"{int.from_bytes(memory[i * size:(i + 1) * size], 'little'):#x}", (name, record)


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_fields_that_are_no_bit_fields_have_no_bits(probe: Cprobe, build_elf: Build, compiler: str,
                                                    flags: list[str]) -> None:
    kernel = build_elf({"bits.c": f"{BITS_H}struct bits bits;\nvoid _start(void) {{ }}\n"}, [*PLAIN, *flags],
                       compiler, kernel=False)
    fields = {r["name"]: r for r in probe.records("type", kernel, "bits")}
    assert fields["bits.b"]["bit_size"] == 7
    assert all("bit_size" not in fields[f"bits.{name}"] for name in ("before", "inner"))


# -- Which types ------------------------------------------------------------------------------------------------------

def test_a_union_has_all_at_0(probe: Cprobe, build_elf: Build) -> None:
    shape = build_elf(SHAPE, [*PLAIN, "-g"], kernel=False)
    union, *fields = probe.records("type", shape, "word")
    assert (union["type"], union["size"]) == ("union word", 16)
    assert [(r["name"], r["offset"], r["size"]) for r in fields] == \
        [("word.bytes", 0, 8), ("word.as_point", 0, 12), ("word.as_double", 0, 8)]


def test_a_struct_says_where_it_was_declared(probe: Cprobe, build_elf: Build) -> None:
    shape = build_elf(SHAPE, [*PLAIN, "-g"], kernel=False)
    line = TYPES.splitlines().index("struct point { char letter; int x, y; };") + 1
    assert {(Path(r["file"]).name, r["line"]) for r in probe.records("type", shape, "point")} == {("shape.c", line)}


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_a_typedef_names_a_struct_without_a_name(probe: Cprobe, build_elf: Build, compiler: str,
                                                 flags: list[str]) -> None:
    shape = build_elf(SHAPE, [*PLAIN, *flags], compiler, kernel=False)
    struct, tag, value = probe.records("type", shape, "nameless_t")
    assert (struct["name"], struct["kind"], struct["size"]) == ("nameless_t", "type", value["offset"] + 8)
    assert (tag["name"], tag["offset"], tag["size"]) == ("nameless_t.tag", 0, 2)
    assert (value["name"], value["type"]) == ("nameless_t.value", value["base_type"])
    assert probe.records("type", shape, "nameless_t.value") == [value]


@pytest.mark.parametrize("keyword", ["struct ", "union "])
def test_the_keyword_may_be_there(probe: Cprobe, build_elf: Build, keyword: str) -> None:
    shape = build_elf(SHAPE, [*PLAIN, "-g"], kernel=False)
    name = {"struct ": "point", "union ": "word"}[keyword]
    assert probe.records("type", shape, keyword + name) == probe.records("type", shape, name)


def test_a_struct_and_its_typedef_of_one_name_are_one(probe: Cprobe, build_elf: Build) -> None:
    text = "struct same { int x; };\ntypedef struct same same;\nsame s;\nvoid _start(void) { }\n"
    kernel = build_elf({"a.c": text}, [*PLAIN, "-g"], kernel=False)
    assert [r["name"] for r in probe.records("type", kernel, "same")] == ["same", "same.x"]


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_pointers_to_itself_are_not_followed(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    kernel = build_elf({"a.c": "struct node { struct node *next; const struct node *other; } node;\n"
                               "void _start(void) { }\n"}, [*PLAIN, *flags], compiler, kernel=False)
    records = probe.records("type", kernel, "node")
    assert [(r["name"], r["type"]) for r in records] == \
        [("node", "struct node"), ("node.next", "struct node *"), ("node.other", "const struct node *")]
    assert probe.run("type", kernel, "node.next.next").returncode == 1


# -- One name in several units ----------------------------------------------------------------------------------------

def two_units(build_elf: Build, one: str, other: str, compiler: str = "gcc", flags: Sequence[str] = ("-g",)) -> Path:
    """Two files, each with its own definition on the same line."""
    return build_elf({"one.c": f"{one}\nstruct twin one;\nvoid _start(void) {{ }}\n",
                      "other.c": f"{other}\nstruct twin other;\n"}, [*PLAIN, *flags], compiler, kernel=False)


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_two_layouts_of_one_name_are_both_told(probe: Cprobe, build_elf: Build, compiler: str,
                                               flags: list[str]) -> None:
    kernel = two_units(build_elf, "struct twin { int first; };", "struct twin { char first; long long second; };",
                       compiler, flags)
    records = probe.records("type", kernel, "twin")
    assert [(Path(r["file"]).name, r["name"].partition(".")[2]) for r in records] == \
        [("one.c", ""), ("one.c", "first"), ("other.c", ""), ("other.c", "first"), ("other.c", "second")]
    assert [(Path(r["file"]).name, r["size"]) for r in probe.records("type", kernel, "twin.first")] == \
        [("one.c", 4), ("other.c", 1)]
    assert [Path(r["file"]).name for r in probe.records("type", kernel, "twin.second")] == ["other.c"]


# Of one size, and with as many fields on the same line: what else can differ.
LIKE_TWINS = {
    "short names": ("struct twin { int a, b; };", "struct twin { int x, y; };"),
    "long names": ("struct twin { int first, second; };", "struct twin { int second, first; };"),
    "offsets": ("struct twin { char a; short b; int c; };", "struct twin { char a, b; int c; };"),
    "types": ("struct twin { int a; float b; };", "struct twin { float a; int b; };"),
    "unnamed": ("struct twin { struct { int a, b; }; };", "struct twin { struct { int x, y; }; };"),
    "inner": ("struct in { int a, b; }; struct twin { struct in in; };",
              "struct in { int x, y; }; struct twin { struct in in; };"),
    "dimensions": ("struct twin { int a[2][3]; };", "struct twin { int a[3][2]; };"),
    "bits": ("struct twin { unsigned a : 3, b : 4; };", "struct twin { unsigned a : 4, b : 3; };"),
}


@pytest.mark.parametrize("compiler,flags", [v for v in VARIANTS if "-m32" not in v[1]])
@pytest.mark.parametrize("what", [what for what in LIKE_TWINS if what != "inner"])
def test_layouts_that_differ_in_little_are_both_told(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str],
                                                     what: str) -> None:
    kernel = two_units(build_elf, *LIKE_TWINS[what], compiler, flags)
    assert {Path(r["file"]).name for r in probe.records("type", kernel, "twin")} == {"one.c", "other.c"}


@pytest.mark.parametrize("path", ["twin.in.a", "twin.in.y"])
def test_fields_of_inner_structs_are_found_in_either_layout(probe: Cprobe, build_elf: Build, path: str) -> None:
    kernel = two_units(build_elf, *LIKE_TWINS["inner"])
    assert [r["name"] for r in probe.records("type", kernel, path)] == [path]


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_one_layout_of_many_units_is_told_once(probe: Cprobe, build_elf: Build, compiler: str,
                                               flags: list[str]) -> None:
    units = {f"unit{i}.c": f'#include "twin.h"\nstruct twin twin{i};\n' for i in range(5)}
    kernel = build_elf({"twin.h": "struct twin { int first; char second[3]; };\n", **units,
                        "start.c": "void _start(void) { }\n"}, [*PLAIN, *flags], compiler, kernel=False)
    assert [r["name"] for r in probe.records("type", kernel, "twin")] == ["twin", "twin.first", "twin.second"]


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_a_declaration_is_no_layout(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    kernel = build_elf({"a.c": "struct hidden; struct hidden *pointer;\nvoid _start(void) { }\n"}, [*PLAIN, *flags],
                       compiler, kernel=False)
    done = probe.run("type", kernel, "hidden")
    assert done.returncode == 1 and done.stdout == "" and "hidden" in done.stderr


def test_a_declaration_does_not_hide_the_definition(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf({"a.c": "struct hidden; struct hidden *pointer;\nvoid _start(void) { }\n",
                        "b.c": "struct hidden { int here; } hidden;\n"}, [*PLAIN, "-g"], kernel=False)
    assert [r["name"] for r in probe.records("type", kernel, "hidden")] == ["hidden", "hidden.here"]


@pytest.mark.parametrize("version", [4, 5])
def test_type_units_answer_the_same(probe: Cprobe, build_elf: Build, version: int) -> None:
    """clang makes none of C. Those of DWARF 4 know no folder: only the names of the files are compared."""
    words = ["shape", "point", "word", "nameless_t", "shape.corners[1].y", "shape.word.as_point.x", "shape.one.value"]
    flags = [*PLAIN, f"-gdwarf-{version}"]
    plain = build_elf(SHAPE, flags, name="plain", kernel=False)
    apart = build_elf(SHAPE, [*flags, "-fdebug-types-section"], name="apart", kernel=False)
    dump = subprocess.run(["readelf", "--debug-dump=info", apart], capture_output=True, text=True, check=True).stdout
    assert "ignature:" in dump, "no type units: the test tests nothing"
    for word in words:
        ours, theirs = ([{**r, "file": Path(r["file"]).name} for r in probe.records("type", path, word)]
                        for path in (apart, plain))
        assert ours == theirs, word


# -- Questions that have no answer ------------------------------------------------------------------------------------

def test_an_unknown_struct_is_one_and_said(probe: Cprobe, build_elf: Build) -> None:
    shape = build_elf(SHAPE, [*PLAIN, "-g"], kernel=False)
    done = probe.run("type", shape, "no_such")
    assert done.returncode == 1 and done.stdout == "" and "no_such" in done.stderr


def test_partly_known_is_zero_and_said(probe: Cprobe, build_elf: Build) -> None:
    shape = build_elf(SHAPE, [*PLAIN, "-g"], kernel=False)
    done = probe.run("type", shape, "no_such", "point.x")
    assert done.returncode == 0 and "no_such" in done.stderr and "point.x" in done.stdout


@pytest.mark.parametrize("path,said", [
    ("shape.nothing", "shape.nothing"), ("shape.kind.x", "shape.kind.x"), ("shape.next.kind", "shape.next.kind"),
    ("shape.corners[3]", "beyond the end"), ("shape.corners[3].x", "beyond the end"), ("shape.kind[0]", "no array"),
    ("shape.cube[0][3][0]", "beyond the end"), ("shape.cube[0][0][0][0]", "fewer dimensions"),
    ("shape.corners[18446744073709551615]", "beyond the end")])
def test_fields_that_are_not_there_are_one_and_said(probe: Cprobe, build_elf: Build, path: str, said: str) -> None:
    shape = build_elf(SHAPE, [*PLAIN, "-g"], kernel=False)
    done = probe.run("type", shape, path)
    assert done.returncode == 1 and done.stdout == "" and said in done.stderr and path in done.stderr


@pytest.mark.parametrize("path,said", [
    ("shape.corners[x]", "an index is a number"), ("shape.corners[-1]", "an index is a number"),
    ("shape.corners[]", "an index is a number"), ("shape.corners[1", "an index is a number"),
    ("shape.corners[1]x", "give STRUCT"), ("shape[1]", "give STRUCT"), (".kind", "give STRUCT"), ("", "give STRUCT"),
    ("shape.corners[99999999999999999999]", "an index is a number")])
def test_paths_that_make_no_sense_are_usage(probe: Cprobe, build_elf: Build, path: str, said: str) -> None:
    shape = build_elf(SHAPE, [*PLAIN, "-g"], kernel=False)
    done = probe.run("type", shape, path)
    assert done.returncode == 2 and done.stdout == "" and said in done.stderr


def test_without_dwarf_it_says_what_to_do(probe: Cprobe, build_elf: Build) -> None:
    shape = build_elf(SHAPE, PLAIN, kernel=False)
    done = probe.run("type", shape, "shape")
    assert done.returncode == 1 and "no DWARF" in done.stderr and re.search(r"-g|debug", done.stderr)


def test_names_come_from_standard_input(probe: Cprobe, build_elf: Build) -> None:
    shape = build_elf(SHAPE, [*PLAIN, "-g"], kernel=False)
    words = ["point.y", "shape.corners[2].x", "union word"]
    done = probe.run("type", shape, stdin="".join(f"{word}\n" for word in words))
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout == "".join(probe.run("type", shape, word).stdout for word in words)


def test_control_characters_of_a_type_reach_no_terminal(probe: Cprobe, build_elf: Build) -> None:
    """DEL and ESC in the name of a member's type: a question mark for each, and still one line for the member."""
    shape = build_elf(SHAPE, [*PLAIN, "-g"], kernel=False)
    image = shape.read_bytes()
    assert b"\0ulong_t\0" in image
    shape.write_bytes(image.replace(b"\0ulong_t\0", b"\0ul\x7fn\x1b_t\0"))
    done = probe.run("type", shape, "shape.stamps")
    assert done.returncode == 0 and "\x7f" not in done.stdout and "\x1b" not in done.stdout
    assert "ul?n?_t" in done.stdout and done.stdout.count("\n") == 1


def test_classes_have_their_bases_and_no_static_members(probe: Cprobe, build_elf: Build) -> None:
    if not shutil.which("g++"):
        pytest.skip("no g++ on this machine")
    source = """
struct Base { int b; static int shared; };
struct Derived : Base { char c; Base &other; template<class T> struct In { T t; }; In<int> in; };
int Base::shared;
extern "C" int _start(Derived *d) { return d->c + Base::shared; }
"""
    elf = build_elf({"classes.cc": source}, ["-O1", "-g", "-fno-asynchronous-unwind-tables"], "g++")
    fields = {r["name"]: (r["offset"], r["size"], r["type"])
              for r in probe.records("type", elf, "Derived") if r["kind"] == "field"}
    assert fields == {"Derived.b": (0, 4, "int"), "Derived.c": (4, 1, "char"), "Derived.other": (8, 8, "struct Base &"),
                      "Derived.in": (16, 4, "struct In<int>")}
    assert probe.records("type", elf, "In<int>.t")[0]["size"] == 4
