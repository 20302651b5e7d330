"""Parts of kernel variables by path, and what of a variable can be watched. What DWARF knows comes from cprobe."""

from __future__ import annotations

import re
from typing import Tuple

from bootsonde.model.errors import UserError
from bootsonde.model.place import Site, Variable
from bootsonde.model.target import SIZES, Path
from bootsonde.probe import Probe

_ARRAY = re.compile(r"(.*?)((?:\[\d+\])+)")
_NAMED = re.compile(r"(?:(?:const|volatile|struct|union)\s+)*([A-Za-z_]\w*)")


def _element(root: Variable, indices: Tuple[int, ...]) -> Variable:
    """An element of an array; elements of elements one after another. Raises UserError."""
    found = _ARRAY.fullmatch(root.type or "")
    counts = [int(count) for count in re.findall(r"\d+", found[2])] if found else []
    if found is None or len(indices) > len(counts):
        raise UserError(f"{root.name} is {root.type or 'of no known type'}: it has no element "
                        + "".join(f"[{index}]" for index in indices))
    address, size = root.address, root.size
    for index, count in zip(indices, counts):
        if index >= count:
            raise UserError(f"{root.name} is {root.type}: [{index}] is behind its end")
        size //= count
        address += index * size
    rest = "".join(f"[{count}]" for count in counts[len(indices):])
    shown = root.name + "".join(f"[{index}]" for index in indices)
    # What its elements' own type is like, their name alone does not tell.
    return Variable(shown, address, size, found[1].strip() + rest, encoding="array" if rest else None)


def part(root: Variable, path: Path, probe: Probe) -> Variable:
    """The part of `root` that the path leads to. Raises UserError if there is none."""
    element = _element(root, path.indices) if path.indices else root
    if not path.fields:
        return element
    shown = f"{element.name}.{path.fields}"
    struct = _NAMED.fullmatch(element.type or "")
    if struct is None:
        raise UserError(f"{element.name} is {element.type or 'of no known type'}, in which no field can be named")
    answer = probe.ask("type", f"{struct[1]}.{path.fields}")
    places = {(record["offset"], record.get("size", 0)) for record in answer.records if record["kind"] == "field"}
    if not places:
        raise UserError(f"{element.name} is {element.type} and has no field {path.fields}: cprobe type KERNEL "
                        f"{struct[1]} lists them")
    if len(places) > 1:
        raise UserError(f"{shown}: this kernel has several types {struct[1]}, in which it lies at different places: "
                        f"cprobe type KERNEL {struct[1]} lists them")
    record = answer.records[0]
    if "bit_size" in record:
        raise UserError(f"{shown} is a bit-field: name the memory around it, mem:ADDRESS:SIZE")
    kind = record.get("encoding")
    return Variable(shown, element.address + record["offset"], record.get("size", 0), record.get("type"),
                    kind == "signed" or record.get("base_type") == "signed char",
                    "unsigned" if record.get("base_type") == "unsigned char" else kind)


def watched(variable: Variable) -> Site:
    """A site whose hits are writes. Raises UserError for what no hardware watchpoint covers."""
    if variable.size not in SIZES:
        raise UserError(f"{variable.name} has {variable.size} bytes ({variable.type or 'no type'}): a watchpoint "
                        "covers 1, 2, 4 or 8; name a part of it, as in NAME.FIELD or NAME[0]")
    if variable.address % variable.size:
        raise UserError(f"{variable.name} is at {variable.address:#x}, not aligned to its {variable.size} bytes: "
                        "a watchpoint cannot cover it")
    return Site(variable.address, variable.name, "object", size=variable.size, variable=variable.name)
