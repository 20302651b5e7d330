/*
 * subr_bus.c: walks the drivers' method tables: identify adds children, probe claims them, attach starts them.
 * No other file calls a driver's method, so no direct call in the program leads to one.
 */
#include "bus.h"
#include "systm.h"

#define MAX_DEVICES	8
#define SOFTC_POOL	2048

struct device {
	const char	*nameunit;	/* unit 0: one device a driver */
	const driver_t	*driver;
	const char	*desc;
	void		*softc;
	bool		attached;
};

extern const driver_t attimer_driver, kvm_clock_driver;

/* In the order in which their devices are looked for. */
static const driver_t *const nexus_drivers[] = { &attimer_driver, &kvm_clock_driver };

static struct device nexus = { .nameunit = "nexus", .attached = true };
static struct device devices[MAX_DEVICES];
static u_int device_count;
static uint8_t softc_pool[SOFTC_POOL] __attribute__((__aligned__(64)));
static size_t softc_used;

static const device_method_t *
find_method(const driver_t *driver, enum device_op op)
{
	for (const device_method_t *method = driver->methods; method->op != DEVICE_OP_END; method++)
		if (method->op == op)
			return (method);
	return (NULL);
}

__noinline device_t
device_find_child(device_t dev __unused, const char *name)
{
	for (u_int i = 0; i < device_count; i++)
		if (strcmp(devices[i].driver->name, name) == 0)
			return (&devices[i]);
	return (NULL);
}

/* NULL: no driver of that name, or no room. */
__noinline device_t
BUS_ADD_CHILD(device_t dev __unused, const char *name)
{
	for (size_t i = 0; i < nitems(nexus_drivers); i++) {
		const driver_t *driver = nexus_drivers[i];
		size_t size = (driver->size + 63) & ~(size_t)63;

		if (strcmp(driver->name, name) != 0)
			continue;
		if (device_count == MAX_DEVICES || softc_used + size > SOFTC_POOL)
			return (NULL);
		devices[device_count].driver = driver;
		devices[device_count].nameunit = driver->name;
		devices[device_count].softc = softc_pool + softc_used;
		softc_used += size;
		return (&devices[device_count++]);
	}
	return (NULL);
}

void *
device_get_softc(device_t dev)
{
	return (dev->softc);
}

void
device_set_desc(device_t dev, const char *desc)
{
	dev->desc = desc;
}

const char *
device_get_nameunit(device_t dev)
{
	return (dev->nameunit);
}

__noinline int
device_probe_and_attach(device_t dev)
{
	const device_method_t *probe = find_method(dev->driver, DEVICE_OP_PROBE);
	const device_method_t *attach = find_method(dev->driver, DEVICE_OP_ATTACH);
	int error;

	if (probe == NULL || attach == NULL)
		return (ENXIO);
	error = probe->func.probe(dev);
	if (error != 0)
		return (error);
	printf("%s0: <%s> on nexus0\n", dev->nameunit, dev->desc);
	error = attach->func.attach(dev);
	dev->attached = error == 0;
	if (error != 0)
		printf("device_attach: %s0 attach returned %d\n", dev->nameunit, error);
	return (error);
}

/* Every driver may add children, then every child is probed and attached. */
__noinline void
root_bus_configure(void)
{
	for (size_t i = 0; i < nitems(nexus_drivers); i++) {
		const device_method_t *identify = find_method(nexus_drivers[i], DEVICE_OP_IDENTIFY);

		if (identify != NULL)
			identify->func.identify(nexus_drivers[i], &nexus);
	}
	for (u_int i = 0; i < device_count; i++)
		device_probe_and_attach(&devices[i]);
}
