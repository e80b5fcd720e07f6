/* test_plugin_golden.c - the plug-in on stand-ins: every golden network, through the public API, against PyTorch in double.
 *
 * Strict fp32 keeps to the bound that the CPU has, the coarser ways to golden_run.h's.
 * Each batch is computed four times: step by step, while it is captured, and replayed.
 */
#include "fake.h"
#include "golden_run.h"

/* A third of the speed: what differs in little but numbers is left to the build without the sanitizers. */
#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1, ROUNDS = 3 };
#else
enum { SANITIZED = 0, ROUNDS = 4 };
#endif

static void skip_if_sanitized(void)
{
    if (SANITIZED)
        cr_skip_test("run without the sanitizers only");
}

static void run(golden_way *way, bool eager)
{
    char text[256];
    way->device = "cuda";
    way->rounds = ROUNDS;
    bcam_fake_set_eager(eager);
    golden_run(way);
    cr_assert_eq(bcam_fake_live(text, sizeof text), 0u, "%s", text);
    cr_assert_gt(bcam_fake_calls("cudaGraphLaunch"), 0u, "no graph was replayed");
}

static void run_coarse(bcam_precision precision, double e)
{
    golden_way way = golden_coarse(precision, e);
    run(&way, false);
    golden_coarse_deep(&way, e);
    if (!SANITIZED)
        run(&way, false);
    golden_expect_calm(&way);
}

Test(plugin_golden, fp32)
{
    run(&(golden_way){.precision = BCAM_PRECISION_FP32, .factor = 4, .floor = 1e-6}, false);
}

Test(plugin_golden, fp32_eager)
{
    skip_if_sanitized();
    run(&(golden_way){.precision = BCAM_PRECISION_FP32, .factor = 4, .floor = 1e-6, .wants = golden_is_small}, true);
}

Test(plugin_golden, tf32)
{
    skip_if_sanitized();
    run_coarse(BCAM_PRECISION_TF32, 1.0 / 2048);
}

Test(plugin_golden, fp16)
{
    run_coarse(BCAM_PRECISION_FP16, 1.0 / 2048);
}

Test(plugin_golden, bf16)
{
    run_coarse(BCAM_PRECISION_BF16, 1.0 / 256);
}
