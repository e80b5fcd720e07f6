/* test_run_golden.c - whole networks against PyTorch in double, on the CPU: the bounds are docs/testing.md's. */
#include "cpu/cpu.h"
#include "golden_run.h"

Test(golden, reference)
{
    golden_way way = {.device = "reference", .factor = 4, .floor = 1e-6, .rounds = 1};
    golden_run(&way);
}

Test(golden, cpu)
{
    golden_way way = {.device = "cpu", .factor = 4, .floor = 1e-6, .rounds = 1};
    golden_run(&way);
}

/* In bfloat16 to the bounds that other devices have there. Where a map is a small difference, which algorithm is taken shows: always the same. */
static void run_bf16(const char *device)
{
    golden_way way = golden_coarse(BCAM_PRECISION_BF16, 1.0 / 256);
    way.device = device;
    way.deterministic = true;
    way.rounds = 1;
    golden_run(&way);
    golden_coarse_deep(&way, 1.0 / 256);
    golden_run(&way);
    golden_expect_calm(&way);
}

Test(golden, reference_bf16)
{
    run_bf16("reference");
}

Test(golden, cpu_bf16)
{
    bcam_error err = {0};
    bcam_device *device = NULL;
    bcam_device_options options = {.precision = BCAM_PRECISION_BF16};
    if (bcam_cpu_device.open(&options, &device, &err) == BCAM_E_UNSUPPORTED)
        cr_skip_test("this processor does not multiply bfloat16");
    bcam_cpu_device.close(&device);
    run_bf16("cpu");
}
