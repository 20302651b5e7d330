/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the plugin share. */
#ifndef BOOTSONDE_PLUGIN_H
#define BOOTSONDE_PLUGIN_H

/* The API's version that the running QEMU has: plugin_api.h says which QEMU that is. */
extern int plugin_version;

/* To standard error, in one line, with the plugin's name in front. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
