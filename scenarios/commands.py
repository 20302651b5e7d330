"""The commands alone: nothing is watched, and the guest does not move.

    (gdb) source scenarios/commands.py
    (gdb) bootsonde attach
    (gdb) bootsonde cpuid 0x40000000
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "gdb"))

from bootsonde.session import commands, questions  # noqa: E402, F401  (importing them defines the commands)
