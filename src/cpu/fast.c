/* fast.c - which variants of the float table this processor can run. */
#include "cpu/fast.h"

bcam_cpu_variant bcam_cpu_fast(int index)
{
    bcam_cpu_variant found[4] = {{NULL, NULL}};
    int count = 0;
#if defined __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        found[count++] = (bcam_cpu_variant){"avx512", bcam_cpu_fast_avx512};
    if (__builtin_cpu_supports("avx2"))
        found[count++] = (bcam_cpu_variant){"avx2", bcam_cpu_fast_avx2};
#endif
    found[count++] = (bcam_cpu_variant){"base", bcam_cpu_fast_base};
    return index >= 0 && index < count ? found[index] : (bcam_cpu_variant){NULL, NULL};
}
