/* race_check.c - every own kernel on a few cases, for the race detector: threads of a block are ordered by barriers and warp operations alone,
 * threads of different blocks by nothing. Without a unit-test framework, which the detector does not get on with. Says what it ran. */
#include <stdio.h>
#include <stdlib.h>

#include "check/check.h"
#include "cpu/cpu.h"
#include "emu_run.h"
#include "kernel_device.h"
#include "kernels.h"

static bool open_side(const bcam_device_api *api, bcam_check_side *side)
{
    bcam_device_options options = {.reference = api == &bcam_cpu_device, .threads = 1};
    bcam_error err = {0};
    side->api = api;
    if (api->open(&options, &side->device, &err) == BCAM_OK)
        return true;
    fprintf(stderr, "%s\n", err.message);
    return false;
}

static int run_verb(bcam_verb verb, size_t cases, const bcam_check_side *reference, const bcam_check_side *side)
{
    size_t count = bcam_check_case_count(verb), step = count > cases ? count / cases : 1;
    int failed = 0, ran = 0;
    for (size_t i = 0; i < count; i += step, ran++) {
        bcam_check_case c;
        bcam_check_result result;
        bcam_error err = {0};
        bcam_check_case_get(verb, i, &c);
        c.fills = 1u << BCAM_FILL_RANDOM;
        if (bcam_check_run(&c, reference, side, 1, false, &result, &err) || result.outcome != BCAM_CHECK_PASSED) {
            fprintf(stderr, "%s%s\n", err.message, result.message);
            failed++;
        }
    }
    printf("%-12s %d cases\n", bcam_verb_name(verb), ran);
    return failed;
}

int main(int argc, char **argv)
{
    bcam_check_side reference, side;
    int failed = 0;
    size_t cases = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 6;
    if (!open_side(&bcam_cpu_device, &reference) || !open_side(&kernel_device, &side))
        return 1;
    emu_set_seed(5);
    emu_set_grid_limit(4);
    for (bcam_verb verb = 0; verb < BCAM_VERB_COUNT; verb++)
        if (bcam_kernels[verb])
            failed += run_verb(verb, cases, &reference, &side);
    reference.api->close(&reference.device);
    side.api->close(&side.device);
    return failed > 0;
}
