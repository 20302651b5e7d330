/*
 * kvm_clock.c: KVM's paravirtual clock, kvmclock(4): a driver whose methods subr_bus.c calls through the table below.
 *
 * Facts: Linux Documentation/virt/kvm/x86/{cpuid,msr}.rst. Each vCPU tells the host by MSR where its structure lies.
 */
#include "cpufunc.h"
#include "kvm.h"
#include "machine.h"
#include "pvclock.h"
#include "systm.h"

#define KVM_CLOCK_DEVNAME	"kvmclock"
#define KVM_CLOCK_TC_QUALITY	975	/* above the TSC's in a guest */

struct kvm_clock_softc {
	struct pvclock	pvc;
	u_int		msr_tc;		/* system time */
	u_int		msr_wc;		/* wall clock */
};

static struct pvclock_vcpu_time_info timeinfos[MAXCPU] __attribute__((__aligned__(4096)));
static struct pvclock_wall_clock wall_clock __attribute__((__aligned__(64)));
static struct kvm_clock_softc *kvm_clock_sc;

/* The new pair of MSRs where there is one. False: neither. */
static bool
kvm_clock_msrs(u_int features, u_int *msr_tc, u_int *msr_wc)
{
	if ((features & KVM_FEATURE_CLOCKSOURCE2) != 0) {
		*msr_tc = KVM_MSR_SYSTEM_TIME;
		*msr_wc = KVM_MSR_WALL_CLOCK;
	} else if ((features & KVM_FEATURE_CLOCKSOURCE) != 0) {
		*msr_tc = KVM_MSR_SYSTEM_TIME_OLD;
		*msr_wc = KVM_MSR_WALL_CLOCK_OLD;
	} else
		return (false);
	return (true);
}

/* On the CPU whose structure it is. */
static __noinline void
kvm_clock_system_time_enable(u_int msr_tc)
{
	wrmsr(msr_tc, vtophys(&timeinfos[PCPU_GET(cpuid)]) | KVM_SYSTEM_TIME_ENABLE);
}

static __noinline void
kvm_clock_system_time_enable_pcpu(void *arg)
{
	const struct kvm_clock_softc *sc = arg;

	kvm_clock_system_time_enable(sc->msr_tc);
}

static __noinline struct pvclock_wall_clock *
kvm_clock_get_wallclock(void *arg)
{
	const struct kvm_clock_softc *sc = arg;

	wrmsr(sc->msr_wc, vtophys(&wall_clock));	/* the host fills it in at once */
	return (&wall_clock);
}

/* The TSC's frequency before there are drivers: the boot processor registers early. False: no clock, or mul 0. */
__noinline bool
kvm_clock_tsc_freq(uint64_t *freq)
{
	u_int regs[4], msr_tc, msr_wc;
	uint64_t hz;

	kvm_cpuid_get_features(regs);
	if (!kvm_clock_msrs(regs[0], &msr_tc, &msr_wc))
		return (false);
	kvm_clock_system_time_enable(msr_tc);
	hz = pvclock_tsc_freq(&timeinfos[0]);
	if (hz == 0)
		return (false);
	*freq = hz;
	return (true);
}

/* Adds the device where KVM says that it has the clock. Under another hypervisor the features are zero. */
static void
kvm_clock_identify(const driver_t *driver, device_t parent)
{
	u_int regs[4];

	kvm_cpuid_get_features(regs);
	if ((regs[0] & (KVM_FEATURE_CLOCKSOURCE | KVM_FEATURE_CLOCKSOURCE2)) == 0)
		return;
	if (device_find_child(parent, driver->name) != NULL)
		return;
	BUS_ADD_CHILD(parent, driver->name);
}

static int
kvm_clock_probe(device_t dev)
{
	device_set_desc(dev, "KVM paravirtual clock");
	return (0);
}

static int
kvm_clock_attach(device_t dev)
{
	struct kvm_clock_softc *sc = device_get_softc(dev);
	u_int regs[4];

	kvm_cpuid_get_features(regs);
	if (!kvm_clock_msrs(regs[0], &sc->msr_tc, &sc->msr_wc))
		return (ENXIO);
	getenv_int("dev.kvmclock.0.vdso_enable_without_rdtscp", &sc->pvc.vdso_enable_without_rdtscp);
	getenv_int("dev.kvmclock.0.vdso_force_unstable", &sc->pvc.vdso_force_unstable);
	sc->pvc.stable_flag_supported = (regs[0] & KVM_FEATURE_CLOCKSOURCE_STABLE_BIT) != 0;
	sc->pvc.timeinfos = timeinfos;
	sc->pvc.ntimeinfos = mp_ncpus;
	sc->pvc.get_wallclock = kvm_clock_get_wallclock;
	sc->pvc.get_wallclock_arg = sc;
	smp_rendezvous(kvm_clock_system_time_enable_pcpu, sc);
	printf("kvmclock0: MSRs 0x%x and 0x%x, stable flag %s\n", sc->msr_tc, sc->msr_wc,
	    sc->pvc.stable_flag_supported ? "supported" : "not supported");
	pvclock_init(&sc->pvc, dev, KVM_CLOCK_DEVNAME, KVM_CLOCK_TC_QUALITY, 0);
	kvm_clock_sc = sc;
	return (0);
}

struct pvclock *
kvm_clock_pvclock(void)
{
	return (kvm_clock_sc != NULL ? &kvm_clock_sc->pvc : NULL);
}

static const device_method_t kvm_clock_methods[] = {
	DEVMETHOD_IDENTIFY(kvm_clock_identify),
	DEVMETHOD_PROBE(kvm_clock_probe),
	DEVMETHOD_ATTACH(kvm_clock_attach),
	DEVMETHOD_END
};

const driver_t kvm_clock_driver = { KVM_CLOCK_DEVNAME, kvm_clock_methods, sizeof(struct kvm_clock_softc) };
