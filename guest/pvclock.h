/*
 * pvclock.h: the clock pages that KVM and Xen keep for a guest. Layout: Linux Documentation/virt/kvm/x86/msr.rst,
 * MSR_KVM_SYSTEM_TIME_NEW and MSR_KVM_WALL_CLOCK_NEW.
 */
#ifndef GUEST_PVCLOCK_H
#define GUEST_PVCLOCK_H

#include "bus.h"
#include "timetc.h"

#define PVCLOCK_FLAG_TSC_STABLE		0x01	/* time is the same on every vCPU */
#define PVCLOCK_FLAG_GUEST_PASUED	0x02	/* the guest was stopped; FreeBSD spells it so */

struct pvclock_vcpu_time_info {
	uint32_t	version;		/* odd while the host writes */
	uint32_t	pad0;
	uint64_t	tsc_timestamp;		/* TSC at system_time */
	uint64_t	system_time;		/* ns */
	uint32_t	tsc_to_system_mul;	/* 2^32 ns a (shifted) tick; 0 is no clock */
	int8_t		tsc_shift;		/* of the tick count, left if positive */
	uint8_t		flags;
	uint8_t		pad[2];
};
_Static_assert(offsetof(struct pvclock_vcpu_time_info, tsc_timestamp) == 8, "msr.rst");
_Static_assert(offsetof(struct pvclock_vcpu_time_info, system_time) == 16, "msr.rst");
_Static_assert(offsetof(struct pvclock_vcpu_time_info, tsc_to_system_mul) == 24, "msr.rst");
_Static_assert(offsetof(struct pvclock_vcpu_time_info, tsc_shift) == 28, "msr.rst");
_Static_assert(offsetof(struct pvclock_vcpu_time_info, flags) == 29, "msr.rst");
_Static_assert(sizeof(struct pvclock_vcpu_time_info) == 32, "msr.rst");

struct pvclock_wall_clock {		/* the time of day when system_time was 0 */
	uint32_t	version;
	uint32_t	sec;
	uint32_t	nsec;
};
_Static_assert(sizeof(struct pvclock_wall_clock) == 12, "msr.rst");

typedef struct pvclock_wall_clock *pvclock_get_wallclock_t(void *arg);

/* A device node nobody opens: /dev/pvclock would show the pages to user mode. */
struct cdevsw {
	const char	*d_name;
	int		(*d_open)(void *cdev);
	int		(*d_mmap)(void *cdev, uint64_t offset, vm_paddr_t *paddr);
};

/* timeinfos is one structure a vCPU, page aligned, and the owner's. */
struct pvclock {
	pvclock_get_wallclock_t		*get_wallclock;
	void				*get_wallclock_arg;
	struct pvclock_vcpu_time_info	*timeinfos;
	u_int				ntimeinfos;
	bool				stable_flag_supported;
	int				vdso_enable_without_rdtscp;	/* tunables of kvmclock(4) */
	int				vdso_force_unstable;
	struct timecounter		tc;
	const struct cdevsw		*cdevsw;
};

extern volatile uint64_t pvclock_last_systime;
extern u_int pvclock_read_failures;	/* structures found unusable */

void	pvclock_resume(void);
uint64_t pvclock_tsc_freq(struct pvclock_vcpu_time_info *ti);
bool	pvclock_read_time_info(struct pvclock_vcpu_time_info *ti, uint64_t *ns, uint8_t *flags);
void	pvclock_read_wall_clock(struct pvclock_wall_clock *wc, struct timespec *ts);
uint64_t pvclock_getsystime(struct pvclock *pvc);
uint64_t pvclock_get_timecount(struct pvclock_vcpu_time_info *ti);
void	pvclock_get_wallclock(struct pvclock_wall_clock *wc, struct timespec *ts);
u_int	pvclock_tc_get_timecount(struct timecounter *tc);
uint32_t pvclock_tc_vdso_timehands(struct vdso_timehands *vdso_th, struct timecounter *tc);
void	pvclock_gettime(struct pvclock *pvc, struct timespec *ts);
void	pvclock_init(struct pvclock *pvc, device_t dev, const char *tc_name, int tc_quality, u_int tc_flags);
int	pvclock_destroy(struct pvclock *pvc);

/* kvm_clock.c, for kern_selftest.c; NULL: not attached */
struct pvclock *kvm_clock_pvclock(void);

#endif
