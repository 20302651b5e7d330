/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "diff/groups.h"

static uint32_t *slot_of(const struct cp_grouping *g, enum cp_change change, uint64_t hash)
{
	for (size_t at = (size_t)(hash + change * 0x9e3779b9u);; at++) {
		uint32_t *slot = &g->slots[at & (g->size - 1)];
		const struct cp_group *group = *slot ? &g->all->groups[*slot - 1] : NULL;

		if (!group || (group->change == change && group->hash == hash))
			return slot;
	}
}

static bool make_slots(struct cp_grouping *g)
{
	uint32_t *slots;
	size_t size = g->size ? 2 * g->size : 256;

	if (2 * g->all->group_count < g->size)
		return true;
	slots = calloc(size, sizeof(*slots));
	if (!slots)
		return false;
	free(g->slots);
	g->slots = slots;
	g->size = size;
	for (size_t i = 0; i < g->all->group_count; i++)
		*slot_of(g, g->all->groups[i].change, g->all->groups[i].hash) = (uint32_t)i + 1;
	return true;
}

struct cp_error *cp_group_add(struct cp_grouping *g, enum cp_change change, uint64_t hash, const struct cp_place *place,
	uint64_t steps, struct cp_group **ret)
{
	struct cp_findings *all = g->all;
	struct cp_group *grown;
	uint32_t *slot;

	if (!make_slots(g))
		return &cp_error_no_memory;
	slot = slot_of(g, change, hash);
	if (!*slot) {
		grown = cp_grow(all->groups, all->group_count, sizeof(*grown));
		if (!grown)
			return &cp_error_no_memory;
		all->groups = grown;
		grown[all->group_count++] = (struct cp_group){ .change = change, .hash = hash, .first = *place };
		*slot = (uint32_t)all->group_count;
	}
	*ret = &all->groups[*slot - 1];
	(*ret)->places++;
	(*ret)->steps += steps;
	all->places[change]++;
	all->steps[change] += steps;
	return NULL;
}

static int by_weight(const void *a, const void *b)
{
	const struct cp_group *x = a, *y = b;

	if (x->change != y->change)
		return x->change < y->change ? -1 : 1;
	if (x->change == CP_CHANGE_SLOWER) {
		double more = (double)x->b_t / (double)(x->a_t ? x->a_t : 1), other = (double)y->b_t / (double)(y->a_t ? y->a_t : 1);

		if (more != other)
			return more > other ? -1 : 1;
	} else if (x->steps != y->steps) {
		return x->steps > y->steps ? -1 : 1;
	}
	if (x->first.stream != y->first.stream)
		return x->first.stream < y->first.stream ? -1 : 1;
	if (x->first.a != y->first.a)
		return x->first.a < y->first.a ? -1 : 1;
	return x->first.b < y->first.b ? -1 : x->first.b > y->first.b;
}

void cp_groups_sort(struct cp_findings *findings)
{
	if (findings->group_count)
		qsort(findings->groups, findings->group_count, sizeof(*findings->groups), by_weight);
}
