"""Who writes these variables?

Every write that changes one is recorded: by which instruction, called by whom, the old value and the new one.

    (gdb) source scenarios/watch.py
    $ launch/bootsonde run scenarios/watch.py --set names=tsc_khz,jiffies_64 --set limit=5 --kernel K
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "gdb"))

from bootsonde import Scenario  # noqa: E402

scenario = Scenario(__doc__)

names = scenario.setting("names", "tsc_freq,x2apic_mode,timecounter", "the variables, or parts of them by path")
limit = scenario.setting("limit", 20, "writes recorded of each")
condition = scenario.setting("if", "", "count only writes for which this holds; $old and $new are the values")

for name in names.split(","):
    scenario.watch(name, limit=limit, if_=condition or None)
scenario.until("login:")
scenario.start()
