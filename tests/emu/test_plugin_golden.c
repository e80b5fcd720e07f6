/* test_plugin_golden.c - the plug-in on stand-ins: every golden network, through the public API, against PyTorch in double.
 *
 * Strict fp32 keeps to the bound that the CPU has. The coarser ways round to e = 2^-11 (tf32, fp16) or 2^-8 (bf16): activations and logits may be
 * 8 e off. So must three in four of all comparisons be; but rounding turns a share of about e of the ReLUs on or off, which moves gradients by
 * about sqrt(e) and is magnified where a channel's weight is a small difference: for gradients, weights and maps 16 sqrt(e) is the limit.
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

static void run(golden_way way, bool eager)
{
    char text[256];
    way.device = "cuda";
    way.rounds = ROUNDS;
    bcam_fake_set_eager(eager);
    golden_run(&way);
    cr_assert_geq(way.calm * 4, way.compared * 3, "only %d of %d comparisons are within the lower floor", way.calm, way.compared);
    cr_assert_eq(bcam_fake_live(text, sizeof text), 0u, "%s", text);
    cr_assert_gt(bcam_fake_calls("cudaGraphLaunch"), 0u, "no graph was replayed");
}

static golden_way coarse(bcam_precision precision, double e)
{
    return (golden_way){.precision = precision, .floor = 8 * e, .jumps = 16 * sqrt(e)};
}

Test(plugin_golden, fp32)
{
    run((golden_way){.precision = BCAM_PRECISION_FP32, .factor = 4, .floor = 1e-6}, false);
}

Test(plugin_golden, fp32_eager)
{
    skip_if_sanitized();
    run((golden_way){.precision = BCAM_PRECISION_FP32, .factor = 4, .floor = 1e-6}, true);
}

Test(plugin_golden, tf32)
{
    skip_if_sanitized();
    run(coarse(BCAM_PRECISION_TF32, 1.0 / 2048), false);
}

Test(plugin_golden, fp16)
{
    run(coarse(BCAM_PRECISION_FP16, 1.0 / 2048), false);
}

Test(plugin_golden, bf16)
{
    run(coarse(BCAM_PRECISION_BF16, 1.0 / 256), false);
}
