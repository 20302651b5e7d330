/*
 * kern_environment.c: tunables. The PVH loader's command line is a list of name=value words; README.md has the table.
 */
#include "systm.h"

#define KENV_SIZE	1024
#define KENV_WORDS	32

int bootverbose;

static char kenv_text[KENV_SIZE];
static char *kenv_words[KENV_WORDS];
static u_int kenv_count;

/* Every tunable that some file asks for: another name on the command line is a mistake, and said. */
static const char *const kenv_known[] = {
	"boot_verbose",
	"dev.kvmclock.0.vdso_enable_without_rdtscp",
	"dev.kvmclock.0.vdso_force_unstable",
	"guest.exit",
	"guest.fault",
	"guest.hv_high_test",
	"guest.i8254",
	"guest.kdb",
	"guest.lapic_calibration",
	"hw.x2apic_enable",
	"kern.smp.disabled",
	"kern.timecounter.hardware",
	"machdep.disable_tsc_calibration",
};

/* The value after `name=` where the word starts so; else NULL. */
static const char *
word_value(const char *word, const char *name)
{
	size_t length = strlen(name);

	return (strncmp(word, name, length) == 0 && word[length] == '=' ? word + length + 1 : NULL);
}

/* The last of several settings wins. NULL: not set. */
__noinline const char *
kern_getenv(const char *name)
{
	for (u_int i = kenv_count; i > 0; i--) {
		const char *value = word_value(kenv_words[i - 1], name);

		if (value != NULL)
			return (value);
	}
	return (NULL);
}

/* Decimal numbers with an optional sign. False, and *value untouched, where the tunable is not set or no number. */
__noinline bool
getenv_int(const char *name, int *value)
{
	const char *text = kern_getenv(name);
	bool negative;
	int number = 0;

	if (text == NULL)
		return (false);
	negative = *text == '-';
	text += negative;
	if (*text == '\0')
		return (false);
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9' || number > 100000000)
			return (false);
		number = number * 10 + *text - '0';
	}
	*value = negative ? -number : number;
	return (true);
}

static void
report_unknown(const char *word)
{
	for (size_t i = 0; i < nitems(kenv_known); i++)
		if (word_value(word, kenv_known[i]) != NULL)
			return;
	printf("kenv: unknown tunable: %s\n", word);
}

/* cmdline is the loader's and may be overwritten later: it is copied. */
__noinline void
init_dynamic_kenv(const char *cmdline)
{
	size_t length = 0;

	for (; cmdline[length] != '\0' && length + 1 < sizeof(kenv_text); length++)
		kenv_text[length] = cmdline[length] == '\t' ? ' ' : cmdline[length];
	if (cmdline[length] != '\0')
		printf("kenv: command line cut at %zu characters\n", length);
	for (char *at = kenv_text; *at != '\0' && kenv_count < KENV_WORDS;) {
		if (*at == ' ') {
			*at++ = '\0';
			continue;
		}
		kenv_words[kenv_count++] = at;
		while (*at != '\0' && *at != ' ')
			at++;
	}
	/* The last word may have ended the loop above with others behind it. */
	for (char *at = kenv_text + length; kenv_count == KENV_WORDS && at-- > kenv_words[KENV_WORDS - 1];)
		if (*at == ' ')
			*at = '\0';
	for (u_int i = 0; i < kenv_count; i++)
		report_unknown(kenv_words[i]);
	getenv_int("boot_verbose", &bootverbose);
}
