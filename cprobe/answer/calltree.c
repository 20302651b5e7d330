/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "answer/calltree.h"
#include "base/arena.h"

/* 64 MiB and more of nodes: beyond that, calls are told apart no further. */
#define MAX_NODES ((size_t)1 << 20)

static struct cp_error *add_node(struct cp_calls *calls, uint32_t parent, enum cp_node_kind kind, uint32_t what,
	uint64_t t, uint32_t *ret)
{
	struct cp_call_tree *tree = &calls->tree;
	struct cp_node *grown = cp_grow(tree->nodes, tree->count, sizeof(*grown));
	uint32_t number = (uint32_t)tree->count;

	if (!grown)
		return &cp_error_no_memory;
	tree->nodes = grown;
	grown[tree->count++] = (struct cp_node){ .parent = parent, .first_child = CP_NO_NODE, .last_child = CP_NO_NODE,
		.next = CP_NO_NODE, .kind = (uint8_t)kind, .what = what, .first = t };
	if (parent != CP_NO_NODE) {
		if (grown[parent].last_child == CP_NO_NODE)
			grown[parent].first_child = number;
		else
			grown[grown[parent].last_child].next = number;
		grown[parent].last_child = number;
	}
	*ret = number;
	return NULL;
}

struct cp_error *cp_tree_add_vcpu(struct cp_calls *calls, uint32_t vcpu, uint64_t t, uint32_t *ret)
{
	return add_node(calls, CP_NO_NODE, CP_NODE_VCPU, vcpu, t, ret);
}

static size_t hash(uint32_t parent, uint32_t function)
{
	uint64_t value = ((uint64_t)parent << 32 | function) * 0x9e3779b97f4a7c15u;

	return (size_t)(value ^ value >> 32);
}

static bool grow_slots(struct cp_call_tree *tree)
{
	size_t size = tree->slot_count ? 2 * tree->slot_count : 1024;
	uint32_t *slots = calloc(size, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < tree->count; i++) {
		const struct cp_node *node = &tree->nodes[i];
		size_t at = hash(node->parent, node->what);

		if (node->kind != CP_NODE_FUNCTION && node->kind != CP_NODE_CALLER)
			continue;
		while (slots[at & (size - 1)])
			at++;
		slots[at & (size - 1)] = (uint32_t)i + 1;
	}
	free(tree->slots);
	tree->slots = slots;
	tree->slot_count = size;
	return true;
}

struct cp_error *cp_tree_enter(struct cp_calls *calls, uint32_t parent, uint64_t depth, uint32_t function,
	enum cp_node_kind kind, uint64_t t, uint32_t *ret)
{
	struct cp_call_tree *tree = &calls->tree;
	uint64_t seen = kind == CP_NODE_FUNCTION;
	struct cp_error *error;
	uint32_t *slot;

	if (2 * tree->count >= tree->slot_count && !grow_slots(tree))
		return &cp_error_no_memory;
	if (depth >= calls->options->depth) {
		tree->nodes[parent].deeper += seen;
		*ret = parent;
		return NULL;
	}
	for (size_t at = hash(parent, function);; at++) {
		const struct cp_node *node;

		slot = &tree->slots[at & (tree->slot_count - 1)];
		if (!*slot)
			break;
		node = &tree->nodes[*slot - 1];
		if (node->parent == parent && node->what == function && node->kind == kind) {
			*ret = *slot - 1;
			tree->nodes[*ret].count += seen;
			return NULL;
		}
	}
	if (tree->count >= MAX_NODES && tree->nodes[parent].kind != CP_NODE_VCPU) {
		tree->full = true;
		tree->nodes[parent].deeper += seen;
		*ret = parent;
		return NULL;
	}
	error = add_node(calls, parent, kind, function, t, ret);
	if (error)
		return error;
	*slot = *ret + 1;
	tree->nodes[*ret].count = seen;
	return NULL;
}

struct cp_error *cp_tree_add_gap(struct cp_calls *calls, uint32_t parent, const struct cp_call_gap *gap)
{
	uint32_t node;
	struct cp_error *error = add_node(calls, parent, CP_NODE_GAP, gap->next, gap->t, &node);

	if (!error)
		calls->tree.nodes[node].self = gap->length;
	return error;
}

struct cp_error *cp_tree_add_text(struct cp_calls *calls, uint32_t parent, const struct cp_event *event)
{
	struct cp_call_tree *tree = &calls->tree;
	bool console = event->text != NULL;
	const char *bytes = console ? event->text : event->json;
	size_t length = !bytes ? 0 : console ? event->text_length : event->json_length;
	char **grown = cp_grow(tree->texts, tree->text_count, sizeof(*grown));
	uint32_t node;
	char *text;

	if (!grown)
		return &cp_error_no_memory;
	tree->texts = grown;
	text = cp_arena_alloc(&calls->arena, length + 1);
	if (!text)
		return &cp_error_no_memory;
	for (size_t i = 0; i < length; i++)
		text[i] = bytes[i] ? bytes[i] : '?';
	grown[tree->text_count++] = text;
	return add_node(calls, parent, console ? CP_NODE_CONSOLE : CP_NODE_EVENT, (uint32_t)tree->text_count - 1, event->t,
		&node);
}

void cp_tree_add_up(struct cp_calls *calls)
{
	struct cp_node *nodes = calls->tree.nodes;

	for (size_t i = calls->tree.count; i--; ) {
		if (nodes[i].kind > CP_NODE_CALLER)
			continue;
		nodes[i].inclusive += nodes[i].self;
		if (nodes[i].parent != CP_NO_NODE)
			nodes[nodes[i].parent].inclusive += nodes[i].inclusive;
	}
}
