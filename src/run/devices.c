/* devices.c - devices by name. The CPU is linked in; CUDA comes as a plug-in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "run/plugin.h"
#include "run/run.h"

typedef bcam_status (*find_fn)(bcam_device_options *options, const bcam_device_api **out, bcam_error *err);

static bcam_status find_cpu(bcam_device_options *options, const bcam_device_api **out, bcam_error *err)
{
    (void)options, (void)err;
    *out = &bcam_cpu_device;
    return BCAM_OK;
}

static bcam_status find_reference(bcam_device_options *options, const bcam_device_api **out, bcam_error *err)
{
    options->reference = true;
    return find_cpu(options, out, err);
}

static bcam_status find_cuda(bcam_device_options *options, const bcam_device_api **out, bcam_error *err)
{
    (void)options;
    bcam_status status = bcam_plugin_load("cuda", out, err);
    return status ? status : (*out)->probe(err);
}

/* CUDA where there is a card. Where there is a driver and yet no use of it, that is worth a line. */
static bcam_status find_auto(bcam_device_options *options, const bcam_device_api **out, bcam_error *err)
{
    bcam_error why = {0};
    if (!bcam_plugin_driver())
        return find_cpu(options, out, err);
    if (find_cuda(options, out, &why) == BCAM_OK) {
        bcam_log_line(&options->log, BCAM_LOG_INFO, "a CUDA card is there and is used; --device cpu leaves it alone");
        return BCAM_OK;
    }
    bcam_log_line(&options->log, BCAM_LOG_INFO, "computing on the CPU: %s", why.message);
    return find_cpu(options, out, err);
}

static const struct {
    const char *name;
    find_fn find;
    bool numbered; /* NAME:1 is the second one */
} devices[] = {
    {"auto", find_auto, false},
    {"cpu", find_cpu, false},
    {"cuda", find_cuda, true},
    {"reference", find_reference, false},
};

/* "cuda:1" is the name `length` bytes long and the number behind it; false where that is no number. */
static bool read_number(const char *name, size_t *length, int *number)
{
    const char *colon = strchr(name, ':');
    char *end = NULL;
    *length = colon ? (size_t)(colon - name) : strlen(name);
    *number = 0;
    if (!colon)
        return true;
    if (colon[1] < '0' || colon[1] > '9' || strlen(colon + 1) > 4)
        return false;
    *number = (int)strtol(colon + 1, &end, 10);
    return *end == 0;
}

bcam_status bcam_device_find(const char *name, bcam_device_options *options, const bcam_device_api **out,
                             bcam_error *err)
{
    size_t length = 0;
    int number = 0;
    name = name ? name : "auto";
    bool plain = read_number(name, &length, &number);
    for (size_t i = 0; i < BCAM_COUNT(devices); i++)
        if (plain && strlen(devices[i].name) == length && strncmp(devices[i].name, name, length) == 0 &&
            (devices[i].numbered || !name[length])) {
            options->index = number;
            return devices[i].find(options, out, err);
        }
    return bcam_fail(err, BCAM_E_DEVICE,
                     "device '%s' is not there; there are: auto, cpu, cuda (cuda:1 is the second card), reference",
                     name);
}
