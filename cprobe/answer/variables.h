/* SPDX-License-Identifier: BSD-2-Clause */
/* Variables at fixed addresses, by DWARF. */
#ifndef CPROBE_VARIABLES_H
#define CPROBE_VARIABLES_H

#include "program.h"

/*
 * File, line, type and encoding of the variable of record->name at record->address, where DWARF has one; else nothing
 * is changed. The first few addresses are looked for in the bytes of .debug_info, which is quicker than reading every
 * unit; then every unit is read, once.
 */
struct cp_error *cp_variable_details(struct cp_program *program, struct cp_records *records, struct cp_record *record);

#endif
