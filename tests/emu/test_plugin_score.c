/* test_plugin_score.c - the plug-in on stand-ins: probabilities, other outputs, and one unit explained, against PyTorch in double. Bounds as in
 * test_plugin_golden.c. */
#include "fake.h"
#include "golden_score_run.h"

/* A third of the speed: two precisions are enough there. */
static void skip_if_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__)
    cr_skip_test("run without the sanitizers only");
#endif
}

static void run(golden_way way)
{
    char text[256];
    way.device = "cuda";
    way.rounds = 4; /* step by step, while it is captured, and replayed */
    golden_score_run(&way);
    cr_assert_eq(bcam_fake_live(text, sizeof text), 0u, "%s", text);
}

Test(plugin_score, fp32)
{
    run((golden_way){.precision = BCAM_PRECISION_FP32, .factor = 4, .floor = 1e-6});
}

Test(plugin_score, tf32)
{
    skip_if_sanitized();
    run((golden_way){.precision = BCAM_PRECISION_TF32, .floor = 8.0 / 2048});
}

Test(plugin_score, fp16)
{
    run((golden_way){.precision = BCAM_PRECISION_FP16, .floor = 8.0 / 2048});
}

Test(plugin_score, bf16)
{
    skip_if_sanitized();
    run((golden_way){.precision = BCAM_PRECISION_BF16, .floor = 8.0 / 256});
}
