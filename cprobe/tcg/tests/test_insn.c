#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../insn.h"

#define AT 0xffffffff80001000

static const struct {
	uint8_t bytes[INSN_MAX];
	size_t size;
	enum insn_kind kind;
	uint64_t target;
} table[] = {
	{ { 0xe8, 0x10, 0, 0, 0 }, 5, INSN_DIRECT, AT + 5 + 0x10 },
	{ { 0xe8, 0xfb, 0xff, 0xff, 0xff }, 5, INSN_DIRECT, AT },
	{ { 0xe9, 0, 0, 0, 0x80 }, 5, INSN_DIRECT, AT + 5 - 0x80000000 },
	{ { 0x2e, 0xe8, 1, 0, 0, 0 }, 6, INSN_DIRECT, AT + 7 },
	{ { 0xeb, 0x80 }, 2, INSN_DIRECT, AT + 2 - 0x80 },
	{ { 0x74, 0x7f }, 2, INSN_DIRECT, AT + 2 + 0x7f },
	{ { 0x0f, 0x8f, 2, 0, 0, 0 }, 6, INSN_DIRECT, AT + 8 },
	{ { 0x66, 0xe8, 0, 0 }, 4, INSN_OTHER, 0 },
	{ { 0xff, 0xd0 }, 2, INSN_INDIRECT, 0 },			/* call *%rax */
	{ { 0x41, 0xff, 0xe3 }, 3, INSN_INDIRECT, 0 },			/* jmp *%r11 */
	{ { 0xff, 0x14, 0xc5, 0, 0, 0, 0 }, 7, INSN_INDIRECT, 0 },	/* call *0(,%rax,8) */
	{ { 0xff, 0x18 }, 2, INSN_OTHER, 0 },				/* lcall *(%rax) */
	{ { 0xff, 0x30 }, 2, INSN_OTHER, 0 },				/* push (%rax) */
	{ { 0xff, 0xc0 }, 2, INSN_OTHER, 0 },				/* inc %eax */
	{ { 0x40 }, 1, INSN_OTHER, 0 },					/* inc %eax of 32-bit code */
	{ { 0xe6, 0x80 }, 2, INSN_OUT, 0x80 },
	{ { 0x66, 0xe7, 0x43 }, 3, INSN_OUT, 0x43 },
	{ { 0xe6 }, 1, INSN_OUT, 0 },
	{ { 0xee }, 1, INSN_OUT, 0 },
	{ { 0xf3, 0x6e }, 2, INSN_OUT, 0 },
	{ { 0x66, 0xef }, 2, INSN_OUT, 0 },
	{ { 0xec }, 1, INSN_OTHER, 0 },					/* in */
	{ { 0xf4 }, 1, INSN_HALT, 0 },
	{ { 0x0f, 0x01, 0xc9 }, 3, INSN_HALT, 0 },			/* mwait */
	{ { 0x0f, 0x01, 0xc8 }, 3, INSN_OTHER, 0 },			/* monitor */
	{ { 0x0f, 0x0b }, 2, INSN_OTHER, 0 },
	{ { 0x66, 0x66 }, 2, INSN_OTHER, 0 },
	{ { 0xc3 }, 1, INSN_OTHER, 0 },
	{ { 0 }, 0, INSN_OTHER, 0 },
};

static void
instructions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint64_t target = 0;

		assert_int_equal(insn_decode(table[i].bytes, table[i].size, AT, &target), table[i].kind);
		assert_int_equal(target, table[i].target);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(instructions) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
