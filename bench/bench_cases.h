/* bench_cases.h - cases of the size that networks have: batch 16, the layers of ResNet-50, VGG-16, MobileNetV2 and EfficientNet-B0. */
#ifndef BCAM_BENCH_CASES_H
#define BCAM_BENCH_CASES_H

#include "check/check.h"

size_t bench_case_count(void);
/** Backward cases follow the forward ones. Every operand is filled with numbers of its own: no forward result is needed. */
void bench_case_get(size_t index, bcam_check_case *out);

#endif
