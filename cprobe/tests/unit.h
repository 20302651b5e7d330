/* SPDX-License-Identifier: BSD-2-Clause */
/* cmocka wants these before it, in this order. */
#ifndef CPROBE_UNIT_H
#define CPROBE_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
