/* fast_avx512.c - the float table as the device runs it, compiled for AVX-512. See fast.h. */
#define real float
#define REAL_DTYPE BCAM_F32
#define FAST
#define PLAIN_TABLE bcam_cpu_fast_avx512
#include "cpu/fast.h"
#include "cpu/plain.inc"
