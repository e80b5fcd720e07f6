/* test_plugin_golden.c - the plug-in on stand-ins: every golden network, through the public API, against PyTorch in double.
 *
 * Strict fp32 keeps to the bound that the CPU has. The coarser ways round to e = 2^-11 (tf32, fp16) or 2^-8 (bf16): activations and logits may be
 * 8 e off. So must three in four of all comparisons be; but rounding turns a share of about e of the ReLUs on or off, which moves gradients by
 * about sqrt(e) and is magnified where a channel's weight is a small difference: for gradients, weights and maps 16 sqrt(e) is the limit.
 * Deeper networks magnify what is rounded: for those of the narrow ones that the coarser ways compute, PyTorch's own error in float32 (e = 2^-24) is
 * allowed besides, times how much coarser they round.
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

/* Between them every kind of block. */
static bool is_chosen(const char *name)
{
    static const char *const chosen[] = {
        "narrow_convnext_new", "narrow_densenet_old", "narrow_efficientnet_new_kept", "narrow_hrnet_old",
        "narrow_regnet_y_new", "narrow_res2net_new",  "narrow_shufflenet_v2_new",     "narrow_xception_old_kept"};
    for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++)
        if (strcmp(name, chosen[i]) == 0)
            return true;
    return false;
}

static void run_coarse(bcam_precision precision, double e)
{
    golden_way way = {.precision = precision, .floor = 8 * e, .jumps = 16 * sqrt(e), .wants = golden_is_small};
    run(&way, false);
    way.factor = e * (1 << 24);
    way.wants = is_chosen;
    if (!SANITIZED)
        run(&way, false);
    cr_assert_geq(way.calm * 4, way.compared * 3, "only %d of %d comparisons are within the lower floor", way.calm,
                  way.compared);
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
