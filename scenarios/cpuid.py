"""What does CPUID leaf L answer inside the kernel?

Stops at the cpuid instruction in tsc_freq_cpuid_vm, found by its opcode, sets $eax to the leaf that you ask for, steps
over it and decodes the answer, with which the kernel then goes on. A kernel without that function is watched instead:
every cpuid that it executes, with the leaf that it asked for and what it was told.

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
reach = scenario.setting("reach", True, "inject hv_high where the function would return before its cpuid")
limit = scenario.setting("limit", 50, "answers recorded of each cpuid, in a kernel without that function")

if reach:
    # Its inlined copies too, which are found at once in a file that is named, and slowly in a whole kernel.
    scenario.at(Functions(function, file="tsc.c"), otherwise=Functions(function, inlined="exclude"),
                if_="hv_high < 0x40000010", optional=True, stops=False,
                name="the limit that it tests",
                note="where hv_high is injected so that its cpuid is reached").inject(hv_high=0x40000010)
else:
    scenario.at(Functions(function))
scenario.at(Insn("cpuid", in_func=function), optional=True).ask_cpuid(leaf)
scenario.at(Insn("cpuid"), unless=Insn("cpuid", in_func=function), limit=limit,
            name="every cpuid that the kernel executes",
            note=f"since it has none in {function}: only watched").watch_cpuid()
scenario.start()
