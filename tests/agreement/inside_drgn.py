"""Runs under the Python that has drgn: the layouts of structs. Questions and answers: peers.drgn_layouts."""

import json
import sys

import drgn


def members_of(type_, base):
    """(name, bit offset, size in bytes, bit field's size), anonymous ones flattened."""
    for member in type_.members:
        at = base + member.bit_offset
        if member.name is None:
            yield from members_of(member.type, at)
        elif member.bit_field_size is not None:
            yield member.name, at, 0, member.bit_field_size
        else:
            yield member.name, at, size_of(member.type), 0


def size_of(type_):
    try:
        return drgn.sizeof(type_)
    except TypeError:  # a flexible array has no size
        return 0


program = drgn.Program()
program.load_debug_info([sys.argv[1]])
answers = {}
for name in json.load(open(sys.argv[2])):
    try:
        found = program.type(f"struct {name}")
    except LookupError:
        continue
    if found.size is not None:
        answers[name] = {"size": found.size, "members": list(members_of(found, 0))}
with open(sys.argv[3], "w") as out:
    json.dump(answers, out)
