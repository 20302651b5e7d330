/* SPDX-License-Identifier: BSD-2-Clause */
/* What differs between two boots, in groups: the same change at many places is one of them. */
#ifndef CPROBE_FINDINGS_H
#define CPROBE_FINDINGS_H

#include "diff/align.h"
#include "diff/steps.h"

enum cp_change {
	CP_CHANGE_MISSING,	/* a run of steps that came no more */
	CP_CHANGE_EXTRA,	/* one that is new */
	CP_CHANGE_MOVED,	/* one that came elsewhere, or on another vCPU */
	CP_CHANGE_REPEATED,	/* a loop that went round more or less often */
	CP_CHANGE_VALUES,	/* a step with other values */
	CP_CHANGE_SLOWER,	/* one that came later */
	CP_CHANGES
};

/* Steps of both boots; a count of 0: none there, and the place where they would be. */
struct cp_place {
	int stream;		/* its number, in the baseline */
	int to_stream;		/* in the other boot; another one only of what moved */
	uint32_t a, a_count, b, b_count;
};

struct cp_group {
	enum cp_change change;
	struct cp_place first;
	uint64_t hash;		/* of the steps, so that equal runs come together */
	uint64_t places, steps;	/* how often; of all places together, REPEATED: of the rounds that differ */
	uint32_t period;	/* REPEATED: steps of a round */
	uint64_t a_rounds, b_rounds;	/* REPEATED: of all places */
	uint64_t a_t, b_t;	/* SLOWER: ns */
};

/* What one boot alone has, because the other one ends early without having ended. */
struct cp_unreached {
	uint64_t a, b;		/* steps behind the other's cut */
};

struct cp_findings {
	struct cp_group *groups;	/* by change, then the most steps first */
	size_t group_count;
	uint64_t places[CP_CHANGES], steps[CP_CHANGES];
	struct cp_unreached unreached;
	struct cp_place *divergences;	/* the first one of each stream that has one; a_count and b_count as of a hunk */
	size_t divergence_count;
	int *lone;			/* vCPUs that one boot alone has: numbers, of the baseline's as -1 - number */
	size_t lone_count;
};

struct cp_finding_rule {
	bool times;		/* are steps of streams with times that come later by more than `slower` percent told? */
	uint64_t slower;
};

/* Compare. *ret is the caller's until cp_findings_deinit(). */
struct cp_error *cp_findings_make(const struct cp_steps *a, const struct cp_steps *b,
	const struct cp_finding_rule *rule, struct cp_findings *ret);
void cp_findings_deinit(struct cp_findings *findings);

#endif
