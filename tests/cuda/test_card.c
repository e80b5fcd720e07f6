/* test_card.c - on a card: every golden network, through the public API, against PyTorch in double; in every precision.
 *
 * What is allowed is what test_plugin_golden.c explains: strict fp32 keeps to the CPU's bound; tf32, fp16 and bf16 to 8 roundings, and gradients, which
 * jump where rounding turns a ReLU, to 16 sqrt(e), three in four of all comparisons staying within the former. The narrow
 * versions of known networks are deep enough to magnify that beyond use: they are computed in fp32. Each batch is computed four times: step by
 * step, while it is captured, and replayed.
 *
 *   BCAM_TEST_DATA=DIR       instead of the source tree's tests/
 *   BCAM_GOLDEN_ROWS=FILE    appends every comparison to FILE.PRECISION
 */
#include <stdlib.h>

static const char *test_data(void);
#ifdef BCAM_TEST_DATA /* where it was built; an archive carries its own */
static const char built_data[] = BCAM_TEST_DATA;
#undef BCAM_TEST_DATA
#else
static const char built_data[] = "tests";
#endif
#define BCAM_TEST_DATA test_data()
#include "golden_run.h"

static const char *test_data(void)
{
    const char *given = getenv("BCAM_TEST_DATA");
    return given ? given : built_data;
}

static void need_card(void)
{
    bcam_error err = {0};
    bcam_device_options options = {0};
    const bcam_device_api *api = NULL;
    if (bcam_device_find("cuda", &options, &api, &err) != BCAM_OK)
        cr_skip_test("%s", err.message);
}

static void run(const char *name, golden_way way)
{
    need_card();
    const char *rows = getenv("BCAM_GOLDEN_ROWS");
    char path[1024];
    way.device = "cuda";
    way.rounds = 4;
    if (rows) {
        snprintf(path, sizeof path, "%s.%s", rows, name);
        cr_assert(way.rows = fopen(path, "w"), "cannot write %s", path);
    }
    golden_run(&way);
    if (way.rows)
        fclose(way.rows);
    cr_assert_geq(way.calm * 4, way.compared * 3, "only %d of %d comparisons are within the lower floor", way.calm,
                  way.compared);
}

static golden_way coarse(bcam_precision precision, double e)
{
    return (golden_way){.precision = precision, .floor = 8 * e, .jumps = 16 * sqrt(e), .wants = golden_is_small};
}

Test(card, fp32)
{
    run("fp32", (golden_way){.precision = BCAM_PRECISION_FP32, .factor = 4, .floor = 1e-6});
}

Test(card, tf32)
{
    run("tf32", coarse(BCAM_PRECISION_TF32, 1.0 / 2048));
}

Test(card, fp16)
{
    run("fp16", coarse(BCAM_PRECISION_FP16, 1.0 / 2048));
}

Test(card, bf16)
{
    run("bf16", coarse(BCAM_PRECISION_BF16, 1.0 / 256));
}
