/* SPDX-License-Identifier: BSD-2-Clause */
/* Abbreviation tables: read whole and declaration by declaration they say the same. Byte 0 chooses the sizes. */
#include <stdlib.h>

#include "dwarf/abbrev.h"
#include "fuzz/fuzz.h"

/* One declaration as cp_abbrev_seek() finds it. */
static void compare(const struct cp_abbrev *abbrev, struct cp_cursor c, struct cp_dw_sizes sizes)
{
	struct cp_abbrev_attr attr;
	uint64_t tag;
	bool children;
	size_t count = 0;

	FUZZ_ASSERT(cp_abbrev_seek(&c, abbrev->code, &tag, &children));
	FUZZ_ASSERT((tag > UINT16_MAX || tag == abbrev->tag) && children == abbrev->children);
	while (cp_abbrev_next_attr(&c, sizes, &attr)) {
		const struct cp_abbrev_attr *other = &abbrev->attrs[count++];

		FUZZ_ASSERT(count <= abbrev->attr_count);
		FUZZ_ASSERT(attr.name == other->name && attr.form == other->form && attr.size == other->size);
		FUZZ_ASSERT(attr.implicit == other->implicit);
	}
	FUZZ_ASSERT(count == abbrev->attr_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cp_abbrevs table = { .items = NULL };
	struct cp_dw_sizes sizes = { .version = size ? data[0] % 4 + 2 : 2, .address = size && data[0] & 0x10 ? 4 : 8,
		.offset = size && data[0] & 0x20 ? 8 : 4 };
	uint8_t *bytes = malloc(size);	/* of just that size: what is read behind them is seen */
	struct cp_cursor c;

	if (!bytes || !size) {
		free(bytes);
		return 0;
	}
	memcpy(bytes, data + 1, size - 1);
	c = (struct cp_cursor){ bytes, bytes + size - 1, false };
	if (cp_abbrevs_read(&table, &c, sizes)) {
		for (size_t i = 0; i < table.count && i < 64; i++) {
			const struct cp_abbrev *abbrev = &table.items[i];

			FUZZ_ASSERT(cp_abbrev_find(&table, abbrev->code));
			FUZZ_ASSERT(cp_abbrev_find(&table, abbrev->code)->code == abbrev->code);
			compare(abbrev, (struct cp_cursor){ bytes, bytes + size - 1, false }, sizes);
		}
	} else {
		FUZZ_ASSERT(c.failed);	/* there is memory enough */
	}
	cp_abbrevs_deinit(&table);
	free(bytes);
	return 0;
}
