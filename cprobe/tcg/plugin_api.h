/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of QEMU's TCG plugin API that this plugin uses, and what else of QEMU it asks. Declared by hand: no Debian 12
 * package ships the header. Names and types as in QEMU's include/qemu/qemu-plugin.h (include/plugins/ since 10.2).
 *
 * What not every version has is weak, and NULL where the running QEMU lacks it. Versions: 1 is QEMU 7.2 to 8.2, 2 is 9.0,
 * 3 is 9.1, 4 is 9.2 and 10.0, 5 is 10.1 and 10.2, 6 is 11.0. Version 7 gives callbacks other arguments.
 */
#ifndef BOOTSONDE_PLUGIN_API_H
#define BOOTSONDE_PLUGIN_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLUGIN_EXPORT __attribute__((visibility("default")))
#define PLUGIN_NEWEST	6	/* the newest version that this plugin was written for */
#define WEAK __attribute__((weak))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_scoreboard;
struct qemu_plugin_register;

struct qemu_plugin_info_t {
	const char *target_name;
	struct {
		int min, cur;
	} version;
	bool system_emulation;
	struct {
		int smp_vcpus, max_vcpus;
	} system;
};

typedef struct {
	struct qemu_plugin_scoreboard *score;
	size_t offset;
} qemu_plugin_u64;

enum qemu_plugin_cb_flags {
	QEMU_PLUGIN_CB_NO_REGS,
	QEMU_PLUGIN_CB_R_REGS,
	QEMU_PLUGIN_CB_RW_REGS,
};

enum qemu_plugin_cond {
	QEMU_PLUGIN_COND_NEVER,
	QEMU_PLUGIN_COND_ALWAYS,
	QEMU_PLUGIN_COND_EQ,
};

enum qemu_plugin_op {
	QEMU_PLUGIN_INLINE_ADD_U64,
	QEMU_PLUGIN_INLINE_STORE_U64,	/* since 3 */
};

typedef void (*qemu_plugin_udata_cb_t)(qemu_plugin_id_t id, void *userdata);
typedef void (*qemu_plugin_vcpu_tb_trans_cb_t)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*qemu_plugin_vcpu_udata_cb_t)(unsigned int vcpu_index, void *userdata);

/* -- All versions ------------------------------------------------------------------------------------------------ */

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_vcpu_tb_trans_cb_t cb);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, qemu_plugin_vcpu_udata_cb_t cb,
    enum qemu_plugin_cb_flags flags, void *userdata);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, qemu_plugin_vcpu_udata_cb_t cb,
    enum qemu_plugin_cb_flags flags, void *userdata);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, qemu_plugin_udata_cb_t cb, void *userdata);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t idx);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
/* Since 3. Before, it took the instruction alone and returned a pointer to its bytes. */
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *dest, size_t len);

/* -- Only in 1 ---------------------------------------------------------------------------------------------------- */

WEAK void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, enum qemu_plugin_op op, void *ptr,
    uint64_t imm);
WEAK void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, enum qemu_plugin_op op, void *ptr,
    uint64_t imm);

/* -- Since 2 ------------------------------------------------------------------------------------------------------ */

WEAK struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t element_size);
WEAK void *qemu_plugin_scoreboard_find(struct qemu_plugin_scoreboard *score, unsigned int vcpu_index);
WEAK void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *tb, enum qemu_plugin_op op,
    qemu_plugin_u64 entry, uint64_t imm);
WEAK void qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(struct qemu_plugin_insn *insn, enum qemu_plugin_op op,
    qemu_plugin_u64 entry, uint64_t imm);

/* GLib's, in QEMU's memory; only what is needed of them. */
typedef struct {
	char *data;
	unsigned int len;
} GArray;

typedef struct {
	uint8_t *data;
	unsigned int len;
} GByteArray;

WEAK char *g_array_free(GArray *array, int free_segment);
WEAK GByteArray *g_byte_array_new(void);
WEAK GByteArray *g_byte_array_set_size(GByteArray *array, unsigned int length);

/* Of 24 bytes before version 6, which adds a bool: values.c steps accordingly. */
typedef struct {
	struct qemu_plugin_register *handle;
	const char *name;
	const char *feature;
} qemu_plugin_reg_descriptor;

WEAK GArray *qemu_plugin_get_registers(void);
/* Returns int before 6 and bool since; the bytes that were appended to `buf` are what can be relied on. */
WEAK int qemu_plugin_read_register(struct qemu_plugin_register *handle, GByteArray *buf);

/* -- Since 3, 4, 5, 6 --------------------------------------------------------------------------------------------- */

WEAK void qemu_plugin_register_vcpu_insn_exec_cond_cb(struct qemu_plugin_insn *insn, qemu_plugin_vcpu_udata_cb_t cb,
    enum qemu_plugin_cb_flags flags, enum qemu_plugin_cond cond, qemu_plugin_u64 entry, uint64_t imm, void *userdata);
WEAK bool qemu_plugin_read_memory_vaddr(uint64_t addr, GByteArray *data, size_t len);
WEAK bool qemu_plugin_write_memory_vaddr(uint64_t addr, GByteArray *data);	/* only looked for */
WEAK void qemu_plugin_set_pc(uint64_t vaddr);					/* only looked for */

/* -- QEMU's own, not of the plugin API; which builds export is up to them ------------------------------------------ */

extern WEAK int use_icount;		/* 0 no, 1 a fixed shift, 2 shift=auto */
WEAK int64_t icount_get(void);		/* QEMU_CLOCK_VIRTUAL, ns */
WEAK int64_t icount_get_raw(void);	/* instructions */
WEAK int64_t icount_to_ns(int64_t icount);
WEAK void *qemu_get_cpu(int index);
WEAK int qemu_shutdown_requested_get(void);	/* the cause; 0: not requested, or already seen to */

/* `notify` is given a pointer to the cause; from SHUTDOWN_CAUSE_GUEST on it was the guest's doing. */
struct qemu_notifier {
	void (*notify)(struct qemu_notifier *notifier, void *cause);
	void *links[2];
};
#define SHUTDOWN_CAUSE_GUEST 6
#define SHUTDOWN_CAUSE_GUEST_RESET 7

WEAK void qemu_register_shutdown_notifier(struct qemu_notifier *notifier);

#endif
