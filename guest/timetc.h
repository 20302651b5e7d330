/*
 * timetc.h: timecounters, as FreeBSD's <sys/timetc.h> names them, and time read from the chosen one.
 */
#ifndef GUEST_TIMETC_H
#define GUEST_TIMETC_H

#include "cdefs.h"

struct timecounter;
struct vdso_timehands;
typedef u_int timecounter_get_t(struct timecounter *);
typedef uint32_t timecounter_fill_vdso_timehands_t(struct vdso_timehands *, struct timecounter *);

struct timecounter {
	timecounter_get_t	*tc_get_timecount;	/* counts upwards, wraps at tc_counter_mask */
	u_int			tc_counter_mask;
	uint64_t		tc_frequency;		/* Hz */
	const char		*tc_name;
	int			tc_quality;		/* the best is chosen; negative: only by name */
	u_int			tc_flags;
	void			*tc_priv;
	struct timecounter	*tc_next;
	timecounter_fill_vdso_timehands_t *tc_fill_vdso_timehands;
};

/* Seconds and a binary fraction: frac counts 2^-64 s. */
struct bintime {
	int64_t		sec;
	uint64_t	frac;
};

struct timespec {
	int64_t		tv_sec;
	long		tv_nsec;
};

/* What user mode would get to read the clock without a system call. */
struct vdso_timehands {
	uint32_t	th_algo;
	uint8_t		th_x86_pvc_stable_mask;
	uint64_t	th_x86_pvc_last_systime;
};
#define VDSO_TH_ALGO_X86_PVCLK	3

extern struct timecounter *timecounter;		/* the one in use */

void	tc_init(struct timecounter *tc);
void	tc_windup(void);
u_int	tc_delta(void);
uint64_t tc_getfrequency(void);
void	inittimecounter(void);
void	timekeep_push_vdso(void);
void	binuptime(struct bintime *bt);
void	nanouptime(struct timespec *ts);

/* subr_clockcalib.c */
uint64_t clockcalib(uint64_t (*clk)(void), const char *clkname);

#endif
