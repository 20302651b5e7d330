/*
 * systm.h: what the kernel as a whole offers: messages, panic, assertions, tunables, CPUs, the self-check.
 */
#ifndef GUEST_SYSTM_H
#define GUEST_SYSTM_H

#include "cdefs.h"

/* subr_prf.c: %[-][0][width][l|ll|j|z](d|u|x|X|s|c|p|%) */
int	printf(const char *format, ...) __printflike(1, 2);
int	vprintf(const char *format, va_list ap);
int	snprintf(char *buffer, size_t size, const char *format, ...) __printflike(3, 4);
int	vsnprintf(char *buffer, size_t size, const char *format, va_list ap);

/* support.c; the compiler may call the mem functions itself */
void	*memcpy(void *to, const void *from, size_t size);
void	*memset(void *to, int value, size_t size);
void	*memmove(void *to, const void *from, size_t size);
int	memcmp(const void *a, const void *b, size_t size);
size_t	strlen(const char *string);
int	strcmp(const char *a, const char *b);
int	strncmp(const char *a, const char *b, size_t size);

/* kern_shutdown.c */
void	panic(const char *format, ...) __dead2 __printflike(1, 2);
void	vpanic(const char *format, va_list ap) __dead2;
void	kassert_panic(const char *format, ...) __dead2 __printflike(1, 2);
void	kern_reboot(int passed) __dead2;
extern const char *panicstr;

/* The test stays in the function that asserts: a debugger stops there, injects, and boot goes on. */
#define KASSERT(expression, message) do {				\
	if (__predict_false(!(expression)))				\
		kassert_panic message;					\
} while (0)

/* subr_kdb.c */
void	kdb_backtrace(uint64_t frame);
void	kdb_enter(const char *why, const char *message);

/* kern_environment.c: name=value words of the kernel command line */
void	init_dynamic_kenv(const char *cmdline);
bool	getenv_int(const char *name, int *value);
const char *kern_getenv(const char *name);
extern int bootverbose;

/* kern_fault.c: faults on demand, for the tests of those who watch a guest */
void	fault_point(const char *stage);

/* machdep.c, init_main.c, trap.c */
void	hammer_time(uint64_t start_info_pa);
void	mi_startup(void) __dead2;
void	cpu_reset(void) __dead2;
void	cpu_halt(void) __dead2;
void	triple_fault(void) __dead2;
void	drop_identity_map(void);

/* kern_selftest.c */
void	selftest_early(void);
void	selftest_run(void);
void	selftest_record(const char *name, bool passed);
void	selftest_skip(const char *name, const char *reason);
bool	selftest_summary(void);

/* getty.c, debugexit.c */
void	getty(void) __dead2;
void	debug_exit(bool passed);

/* delay.c */
void	DELAY(int microseconds);

#endif
