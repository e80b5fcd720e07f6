/* plain_f32.c - plain C for every verb, in float. */
#define real float
#define REAL_DTYPE BCAM_F32
#define PLAIN_TABLE bcam_cpu_plain_f32
#include "cpu/plain.inc"
