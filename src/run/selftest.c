/* selftest.c - every verb's cases on this machine's device, against the plain C reference. */
#include <time.h>

#include "check/check.h"
#include "cpu/cpu.h"
#include "run/run.h"

static bcam_status open_side(const char *name, bcam_precision precision, bcam_check_side *side, bcam_error *err)
{
    bcam_device_options o = {.precision = precision, .guard = true, .deterministic = true};
    bcam_status status = bcam_device_find(name, &o, &side->api, err);
    side->precision = precision == BCAM_PRECISION_FP32 ? BCAM_PRECISION_DEFAULT : precision;
    side->libraries = status == BCAM_OK && side->api != &bcam_cpu_device;
    return status != BCAM_OK ? status : side->api->open(&o, &side->device, err);
}

bcam_status bcam_selftest(const char *device, bcam_precision precision, uint64_t *seed, bcam_selftest_fn row,
                          void *data, bcam_error *err)
{
    bcam_check_side reference = {0}, candidate = {0};
    uint64_t own = (uint64_t)time(NULL);
    if (!seed)
        seed = &own;
    if (!*seed)
        *seed = (uint64_t)time(NULL);
    precision = precision == BCAM_PRECISION_DEFAULT ? BCAM_PRECISION_FP32 : precision;
    if (precision == BCAM_PRECISION_AUTO)
        return bcam_fail(err, BCAM_E_ARGUMENT, "name the precision to check: fp32, tf32, bf16 or fp16");
    bcam_status status = open_side("reference", BCAM_PRECISION_FP32, &reference, err);
    if (status == BCAM_OK)
        status = open_side(device, precision, &candidate, err);
    if (status == BCAM_OK)
        status = bcam_check_selftest(&reference, &candidate, *seed, row, data, err);
    if (candidate.device)
        candidate.api->close(&candidate.device);
    if (reference.device)
        reference.api->close(&reference.device);
    return status;
}
