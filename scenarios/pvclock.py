"""Does this kernel use pvclock, and how far does it boot without a TSC frequency?

Watches every function of pvclock.c and the functions around it that bring the clocks up. Where the kernel would stop at
"TSC not initialized" because nobody told it the TSC's frequency, one is injected and the boot goes on.

    (gdb) source scenarios/pvclock.py
    $ launch/bootsonde run scenarios/pvclock.py --kernel K
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "gdb"))

from bootsonde import Check, Functions, Scenario  # noqa: E402

scenario = Scenario(__doc__)

source = scenario.setting("file", "pvclock.c", "the source file whose functions are watched")
also = scenario.setting("also", "tsc_init,init_TSC,probe_tsc*,tsc_freq_*,tsc_calibrate*,native_calibrate_*,lapic_init,"
                        "lapic_calibrate*,setup_local_APIC,clockcalib,tc_init,kvm_clock_*,kvmclock_*",
                        "further functions, globs")
files = scenario.setting("files", "tsc.c,local_apic.c,subr_clockcalib.c,kern_tc.c,kvm_clock.c,apic.c,kvmclock.c",
                         "where copies of those that the compiler has inlined are looked for")
tsc_freq = scenario.setting("tsc_freq", 1_000_000_000, "TSC frequency to inject where the kernel has 0, Hz")
limit = scenario.setting("limit", 20, "hits after which a function is no longer recorded")

scenario.at(Functions(file=source), limit=limit)
around = tuple(also.split(","))
scenario.at(Functions(around, inlined="exclude"), limit=limit, optional=True, name="the clock bring-up around it")
scenario.at(Functions(around, file=tuple(files.split(",")), inlined="only"), limit=limit, optional=True,
            name="inlined copies of those")
scenario.at(Check("TSC not initialized"), otherwise=Functions("lapic_init", inlined="exclude"),
            if_="tsc_freq == 0", note="where tsc_freq is injected if it is 0").inject(tsc_freq=tsc_freq)
scenario.until("login:")
scenario.start()
