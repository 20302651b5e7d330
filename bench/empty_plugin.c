/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A QEMU plugin that is told of each block translated, and looks at none: what a boot takes with it is QEMU's own price of
 * any plugin that finds its functions as they are translated. For trace_bench.py. Without QEMU's header, as in
 * ../cprobe/tcg/plugin_api.h.
 */
#include <stddef.h>
#include <stdint.h>

struct qemu_plugin_tb;

#define PLUGIN_EXPORT __attribute__((visibility("default")))

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*callback)(uint64_t id, struct qemu_plugin_tb *tb));
__attribute__((weak)) void *qemu_plugin_scoreboard_new(uint64_t size);	/* since version 2 */

PLUGIN_EXPORT int qemu_plugin_version = 1;
PLUGIN_EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

__attribute__((constructor)) static void
choose_version(void)
{
	if (qemu_plugin_scoreboard_new != NULL)
		qemu_plugin_version = 2;
}

static void
on_translate(uint64_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	(void)tb;
}

int
qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	(void)info;
	(void)argc;
	(void)argv;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	return 0;
}
