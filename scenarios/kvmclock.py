"""What would this kernel do with a KVM clock?

Pretends to be KVM: its signature and features, the TSC's frequency in leaf 0x40000010, and the clock itself, whose
structures are filled in when the kernel registers them. The kernel is unmodified, and no KVM is needed. With --set
fault=... the clock misbehaves, to see what the kernel's reader makes of it.

    (gdb) source scenarios/kvmclock.py
    $ launch/bootsonde run scenarios/kvmclock.py --kernel K --smp 2
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "gdb"))

from bootsonde import Functions, Scenario  # noqa: E402

scenario = Scenario(__doc__)

tsc_hz = scenario.setting("tsc_hz", 0, "the TSC's frequency that the guest is told, Hz; 0: the true one, measured")
features = scenario.setting("features", 0x01000009, "leaf 0x40000001 EAX: 1 old MSRs, 8 new MSRs, 0x1000000 stable")
paused = scenario.setting("paused", False, "the guest is told that it was paused (flag bit 1)")
fault = scenario.setting("fault", "", "odd, mul0, torn or backwards: what is wrong with the clock")
again = scenario.setting("again", False, "vCPUs may register anew, elsewhere, later on")
detour = scenario.setting("detour", True, "the guest's code may be changed so that it is stopped at fewer leaves")
seed = scenario.setting("seed", 1, "at which reads a fault acts, and how")
faults = scenario.setting("faults", 5, "how often it acts")
watch = scenario.setting("watch", "pvclock_init,kvm_clock_*,kvmclock_*,kvm_sched_clock_init,kvm_get_wallclock,"
                         "pvclock_tsc_freq,pvclock_read_wall*,tc_init", "functions whose hits are recorded, globs")
limit = scenario.setting("limit", 3, "hits recorded of each of those")

scenario.kvm_clock(tsc_hz=tsc_hz or None, features=features, paused=paused, fault=fault, seed=seed, limit=faults,
                   again=again)
if not detour:
    scenario.leave_code()
scenario.at(Functions(tuple(watch.split(",")), inlined="exclude"), limit=limit, optional=True,
            name="what brings the clock up")
scenario.until("login:")
scenario.start()
