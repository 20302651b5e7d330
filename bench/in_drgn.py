"""drgn's quickest way to cprobe's answers: in_drgn.py KERNEL function|type|load WORD..."""

import sys

import drgn

program = drgn.Program()
program.load_debug_info([sys.argv[1]])
for word in sys.argv[3:]:
    try:
        if sys.argv[2] == "function":
            name, _, file = word.partition("@")
            found = program.function(name, file or None)
            print(found.address_, name)
        elif sys.argv[2] == "type":
            print([(m.name, m.bit_offset, m.bit_field_size) for m in program.type(f"struct {word}").members])
    except LookupError as error:
        print(error)
