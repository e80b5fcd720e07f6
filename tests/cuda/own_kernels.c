/* own_kernels.c - on a card: the case tables of those verbs that are kernels of our own, and nothing of cuDNN or cuBLAS: for tools that watch every access
 * and make each many times slower.
 *
 *   own_kernels [CASES [PRECISION]]     so many cases a verb (default: all), in fp32, bf16 or fp16 (default: fp32; the others run without comparing)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/bind.h"
#include "check/check.h"
#include "cpu/cpu.h"
#include "cuda/cuda.h"

static bool open_side(const bcam_device_api *api, bcam_precision precision, bcam_check_side *side)
{
    bcam_device_options options = {
        .reference = api == &bcam_cpu_device, .threads = 1, .deterministic = true, .precision = precision};
    bcam_error err = {0};
    side->api = api;
    if (api->open(&options, &side->device, &err) == BCAM_OK)
        return true;
    fprintf(stderr, "%s\n", err.message);
    return false;
}

/* Runs a case once without a word about its numbers. */
static bcam_status run_blind(const bcam_check_case *c, const bcam_check_side *reference, const bcam_check_side *side,
                             bcam_error *err)
{
    bcam_check_data data = {0};
    bcam_check_bound bound = {0};
    bcam_status status = bcam_check_data_init(c, &data, err);
    if (!status)
        status = bcam_check_fill_data(c, BCAM_FILL_RANDOM, reference, 1, &data, err);
    if (!status)
        status = bcam_check_bind(c, side, &data, &bound, err);
    if (!status)
        status = bcam_check_compute(&bound, &data, err);
    bcam_check_unbind(&bound);
    bcam_check_data_fini(&data);
    return status;
}

static bool run_case(bcam_verb verb, size_t index, bool compare, const bcam_check_side *reference,
                     const bcam_check_side *side)
{
    bcam_check_case c;
    bcam_check_result result = {.outcome = BCAM_CHECK_PASSED};
    bcam_error err = {0};
    bcam_check_case_get(verb, index, &c);
    c.fills = 1u << BCAM_FILL_RANDOM;
    bcam_status status =
        compare ? bcam_check_run(&c, reference, side, 1, false, &result, &err) : run_blind(&c, reference, side, &err);
    if (status == BCAM_OK && result.outcome == BCAM_CHECK_PASSED)
        return true;
    fprintf(stderr, "%s: %s%s\n", c.name, status ? err.message : "", result.message);
    return false;
}

int main(int argc, char **argv)
{
    size_t most = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : SIZE_MAX, total = 0;
    const char *word = argc > 2 ? argv[2] : "fp32";
    bcam_precision precision = strcmp(word, "fp16") == 0   ? BCAM_PRECISION_FP16
                               : strcmp(word, "bf16") == 0 ? BCAM_PRECISION_BF16
                                                           : BCAM_PRECISION_FP32;
    bcam_check_side reference, side;
    int failed = 0;
    if (!open_side(&bcam_cpu_device, BCAM_PRECISION_FP32, &reference) ||
        !open_side(&bcam_cuda_device, precision, &side))
        return 1;
    for (bcam_verb verb = 0; verb < BCAM_VERB_COUNT; verb++) {
        size_t count = bcam_kernels[verb] ? bcam_check_case_count(verb) : 0, ran = 0;
        size_t step = count > most && most > 0 ? count / most : 1;
        for (size_t i = 0; i < count; i += step, ran++)
            failed += !run_case(verb, i, precision == BCAM_PRECISION_FP32, &reference, &side);
        if (ran)
            printf("%-14s %zu cases\n", bcam_verb_name(verb), ran);
        total += ran;
    }
    reference.api->close(&reference.device);
    side.api->close(&side.device);
    printf("%zu cases in %s, %d failed\n", total, word, failed);
    return failed > 0;
}
