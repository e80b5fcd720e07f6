/* fast_base.c - the float table as the device runs it, compiled for any processor. See fast.h. */
#define real float
#define REAL_DTYPE BCAM_F32
#define FAST
#define PLAIN_TABLE bcam_cpu_fast_base
#include "cpu/fast.h"
#include "cpu/plain.inc"
