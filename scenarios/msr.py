"""Which model-specific registers does this kernel read and write, where, and with which values?

Every rdmsr and wrmsr that the kernel executes is stepped and recorded with its function, the register's name in the
manuals and, of clocks and the local APIC, what the value means. Nothing is changed.

    (gdb) source scenarios/msr.py
    $ launch/bootsonde run scenarios/msr.py --set limit=5
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "gdb"))

from bootsonde import Insn, Scenario  # noqa: E402

scenario = Scenario(__doc__)

limit = scenario.setting("limit", 20, "accesses recorded at each place")
function = scenario.setting("function", "*", "only in functions that match")

scenario.at(Insn("rdmsr,wrmsr", in_func=None if function == "*" else function), limit=limit,
            name="every rdmsr and wrmsr that the kernel executes").watch_msr()
scenario.start()
