/* fuzz_plan.c - any bytes that can be read as a model can be planned, or are refused. */
#include "plan_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    plan_model(data, size);
    return 0;
}
