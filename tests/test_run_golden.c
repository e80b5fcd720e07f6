/* test_run_golden.c - whole networks against PyTorch in double, on the CPU: the bound is docs/testing.md's. */
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
