"""Runs inside GDB: functions of files, and functions around addresses. Questions and answers: peers.gdb_functions.

A file that GDB cannot be asked about is left out of the answer, and counted as missing there.
"""

import json
import os

import gdb


def functions_of(block):
    for symbol in block:
        if symbol.is_function and symbol.addr_class == gdb.SYMBOL_LOC_BLOCK:
            yield {"address": int(symbol.value().address), "name": symbol.name, "file": symbol.symtab.filename,
                   "line": symbol.line}


def around(address):
    names = []
    block = gdb.block_for_pc(address)
    while block is not None and not block.is_static and not block.is_global:
        if block.function is not None:
            names.append(block.function.name)
        block = block.superblock
    return names


asked = json.load(open(os.environ["AGREE_ASKED"]))
answers = {}
for file, question in asked.items():
    functions, seen = [], set()
    for anchor in question["anchors"]:
        block = gdb.block_for_pc(anchor)
        if block is None or block.static_block.start in seen:
            continue
        seen.add(block.static_block.start)
        for table in (block.static_block, block.global_block):
            functions.extend(functions_of(table))
    answers[file] = {"functions": functions, "around": {str(a): around(a) for a in question["copies"]}}
with open(os.environ["AGREE_ANSWERED"], "w") as out:
    json.dump(answers, out)
