"""What does CPUID leaf L answer inside the kernel?

Stops at the cpuid instruction in tsc_freq_cpuid_vm, found by its opcode, has it answer the leaf that you ask for, steps
over it and decodes the answer. A kernel without that function is watched instead: every cpuid that it executes, with
the leaf that it asked for and what it was told.

    (gdb) source scenarios/cpuid.py
    $ launch/bootsonde run scenarios/cpuid.py --set leaf=0x80000000
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "gdb"))

from bootsonde import Functions, Insn, Scenario  # noqa: E402

scenario = Scenario(__doc__)

leaf = scenario.setting("leaf", 0x40000000, "the leaf to ask for")
function = scenario.setting("function", "tsc_freq_cpuid_vm", "the function whose cpuid instruction asks")

scenario.at(Functions(function))
scenario.at(Insn("cpuid", in_func=function)).ask_cpuid(leaf)
scenario.start()
