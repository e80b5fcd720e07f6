/* plain_f64.c - plain C for every verb, in double. */
#define real double
#define REAL_DTYPE BCAM_F64
#define PLAIN_TABLE bcam_cpu_plain_f64
#include "cpu/plain.inc"
