/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A baseline's text, read and compared with a trace; or, where it begins with a byte 0xff, ids, a byte each, as loops.
 * In both, what is written of what was read is read as the same.
 */
#include <stdlib.h>
#include <string.h>

#include "baseline/baseline.h"
#include "fuzz/fuzz.h"

#define MOST_OPEN 64	/* loops that are nested */

/* -- Loops -- */

struct unfolding {
	const uint32_t *ids;
	uint32_t *found;	/* the ids again */
	size_t count, room;
	size_t begins[MOST_OPEN];
	uint32_t times[MOST_OPEN];
	size_t lines;		/* plain ones and edges */
};

static void plain(void *context, size_t depth, uint32_t at)
{
	struct unfolding *u = context;

	FUZZ_ASSERT(depth < MOST_OPEN && u->count < u->room);
	u->found[u->count++] = u->ids[at];
	u->lines++;
}

static void begin(void *context, size_t depth, uint32_t times)
{
	struct unfolding *u = context;

	FUZZ_ASSERT(depth < MOST_OPEN && times > 1);
	u->begins[depth] = u->count;
	u->times[depth] = times;
	u->lines++;
}

static void end(void *context, size_t depth)
{
	struct unfolding *u = context;
	size_t size = u->count - u->begins[depth];

	FUZZ_ASSERT(size && size <= (u->room - u->begins[depth]) / u->times[depth]);
	for (uint32_t i = 1; i < u->times[depth]; i++, u->count += size)
		memcpy(u->found + u->count, u->found + u->begins[depth], size * sizeof(*u->found));
	u->lines++;
}

static void fold(const uint8_t *data, size_t size)
{
	uint32_t *ids = malloc((size + 1) * sizeof(*ids));
	struct unfolding u = { .ids = ids, .found = malloc((size + 1) * sizeof(*ids)), .room = size };
	struct cp_folder folder = { plain, begin, end, &u };

	FUZZ_ASSERT(ids && u.found);
	for (size_t i = 0; i < size; i++)
		ids[i] = data[i];
	FUZZ_ASSERT(!cp_fold(ids, size, &folder));
	FUZZ_ASSERT(u.count == size && !memcmp(u.found, ids, size * sizeof(*ids)));
	FUZZ_ASSERT(u.lines <= size);
	free(ids);
	free(u.found);
}

/* -- Texts -- */

static void escape(const uint8_t *data, size_t size, bool is_name)
{
	struct cp_text text = { .bytes = NULL };
	size_t length;

	cp_baseline_escape(&text, (const char *)data, size, is_name);
	for (size_t i = 0; i < text.length; i++)
		FUZZ_ASSERT((unsigned char)text.bytes[i] >= 0x20 && text.bytes[i] != 0x7f);
	FUZZ_ASSERT(!text.length || (*text.bytes != ' ' && *text.bytes != '#' && text.bytes[text.length - 1] != ' '));
	FUZZ_ASSERT(!is_name || !text.length || (!strstr(text.bytes, " {") && !strstr(text.bytes, " = ")));
	length = text.length;
	FUZZ_ASSERT(!length || cp_baseline_unescape(text.bytes, &length));
	FUZZ_ASSERT(length == size && (!size || !memcmp(text.bytes, data, size)));
	cp_text_deinit(&text);
}

/* -- The whole -- */

static void check_steps(const struct cp_baseline *baseline)
{
	struct cp_names names;
	struct cp_steps steps;
	struct cp_step_details wanted = { .at = 0 };
	struct cp_error *error;

	cp_names_init(&names);
	error = cp_steps_of_baseline(baseline, &baseline->rule, &names, &steps);
	if (!error) {
		for (size_t i = 0; i < steps.stream_count; i++) {
			FUZZ_ASSERT(steps.streams[i].count && steps.streams[i].count <= CP_BASELINE_MOST_STEPS);
			wanted = (struct cp_step_details){ .stream = i, .at = steps.streams[i].count - 1 };
			FUZZ_ASSERT(!cp_steps_look(&steps, &wanted, 1) && wanted.known);
			cp_step_details_deinit(&wanted, 1);
		}
		cp_steps_deinit(&steps);
	}
	fuzz_take_error(error);
	cp_names_deinit(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cp_baseline *baseline;

	if (size && data[0] == 0xff) {
		fold(data + 1, size - 1);
		return 0;
	}
	escape(data, size, false);
	escape(data, size, true);
	baseline = fuzz_open_baseline(data, size);
	if (baseline)
		check_steps(baseline);
	cp_baseline_close(baseline);
	return 0;
}
