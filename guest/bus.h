/*
 * bus.h: drivers as tables of methods, called by subr_bus.c only: a small newbus.
 */
#ifndef GUEST_BUS_H
#define GUEST_BUS_H

#include "cdefs.h"

#define ENOENT	2
#define ENXIO	6

typedef struct device *device_t;
typedef struct driver driver_t;

enum device_op { DEVICE_OP_END, DEVICE_OP_IDENTIFY, DEVICE_OP_PROBE, DEVICE_OP_ATTACH };

typedef struct {
	enum device_op	op;
	union {
		void	(*identify)(const driver_t *driver, device_t parent);	/* adds a child where there is a device */
		int	(*probe)(device_t dev);					/* 0: it is mine */
		int	(*attach)(device_t dev);				/* 0: it works */
	} func;
} device_method_t;

#define DEVMETHOD_IDENTIFY(f)	{ DEVICE_OP_IDENTIFY, { .identify = (f) } }
#define DEVMETHOD_PROBE(f)	{ DEVICE_OP_PROBE, { .probe = (f) } }
#define DEVMETHOD_ATTACH(f)	{ DEVICE_OP_ATTACH, { .attach = (f) } }
#define DEVMETHOD_END		{ DEVICE_OP_END, { .probe = NULL } }

struct driver {
	const char		*name;
	const device_method_t	*methods;	/* up to DEVMETHOD_END */
	size_t			size;		/* of the softc */
};

void	root_bus_configure(void);
device_t device_find_child(device_t dev, const char *name);
device_t BUS_ADD_CHILD(device_t dev, const char *name);
void	*device_get_softc(device_t dev);
void	device_set_desc(device_t dev, const char *desc);
const char *device_get_nameunit(device_t dev);
int	device_probe_and_attach(device_t dev);

#endif
