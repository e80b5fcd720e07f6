/* devices.c - the devices that are linked in, by name. */
#include <string.h>

#include "cpu/cpu.h"
#include "run/run.h"

static const struct {
    const char *name;
    const bcam_device_api *api;
    bool reference;
} devices[] = {
    {"auto", &bcam_cpu_device, false},
    {"cpu", &bcam_cpu_device, false},
    {"reference", &bcam_cpu_device, true},
};

bcam_status bcam_device_find(const char *name, bcam_device_options *options, const bcam_device_api **out, bcam_error *err)
{
    for (size_t i = 0; i < BCAM_COUNT(devices); i++)
        if (strcmp(devices[i].name, name ? name : "auto") == 0) {
            options->reference = devices[i].reference;
            *out = devices[i].api;
            return BCAM_OK;
        }
    return bcam_fail(err, BCAM_E_DEVICE, "device '%s' is not there; there are: auto, cpu, reference", name);
}
