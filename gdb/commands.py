"""GDB's commands of bootsonde, without a scenario: nothing is watched, and the guest does not move.

    (gdb) source gdb/commands.py
    (gdb) bootsonde attach
    (gdb) bootsonde cpuid 0x40000000
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

try:
    # Each defines what it is named for.
    from bootsonde.session import commands, orders, printers, questions  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "gdb":
        raise
    sys.exit("bootsonde: this is for GDB's prompt: (gdb) source gdb/commands.py")
