/* test_plugin_golden.c - the plug-in on stand-ins: every golden network, through the public API, against PyTorch in double.
 *
 * Strict fp32 keeps to the bound that the CPU has. The coarser ways have factors of their own: PyTorch's float32 error tells how a case magnifies
 * rounding, and they round 2^13 times (tf32, fp16) and 2^16 times (bf16) as coarsely as float32. Each batch is computed four times: step by step,
 * while it is captured, and replayed.
 */
#include "fake.h"
#include "golden_run.h"

static void run(bcam_precision precision, double factor, double floor, bool eager)
{
    char text[256];
    golden_way way = {.device = "cuda", .precision = precision, .factor = factor, .floor = floor, .rounds = 4};
    bcam_fake_set_eager(eager);
    golden_run(&way);
    cr_assert_eq(bcam_fake_live(text, sizeof text), 0u, "%s", text);
    cr_assert_gt(bcam_fake_calls("cudaGraphLaunch"), 0u, "no graph was replayed");
}

Test(plugin_golden, fp32)
{
    run(BCAM_PRECISION_FP32, 4, 1e-6, false);
}

Test(plugin_golden, fp32_eager)
{
    run(BCAM_PRECISION_FP32, 4, 1e-6, true);
}

Test(plugin_golden, tf32)
{
    run(BCAM_PRECISION_TF32, 8192, 1e-3, false);
}

Test(plugin_golden, fp16)
{
    run(BCAM_PRECISION_FP16, 8192, 1e-3, false);
}

Test(plugin_golden, bf16)
{
    run(BCAM_PRECISION_BF16, 65536, 8e-3, false);
}
