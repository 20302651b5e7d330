"""GDB's quickest way to cprobe's answers: sourced with `$question` and `$word` set, on a kernel with a warm index."""

import gdb


def functions_of_file(file):
    """The unit of a line of the file, and what is in it; nothing else is read in."""
    try:
        places = gdb.decode_line(f"{file}:1")[1] or ()
    except gdb.error as error:
        print(error)
        return
    for place in places[:1]:
        for block in (place.symtab.global_block(), place.symtab.static_block()):
            for symbol in block:
                if symbol.is_function:
                    print(hex(int(symbol.value().address)), symbol.name, symbol.symtab.filename, symbol.line)


def function(name):
    try:
        for place in gdb.decode_line(f"-function {name}")[1]:
            print(hex(place.pc), name, place.symtab.filename, place.line)
    except gdb.error as error:
        print(error)


question, word = (gdb.convenience_variable(name).string() for name in ("question", "word"))
{"file": functions_of_file, "function": function}[question](word)
