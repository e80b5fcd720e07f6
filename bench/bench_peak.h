/* bench_peak.h - what this machine's processor and memory do at most, measured. */
#ifndef BCAM_BENCH_PEAK_H
#define BCAM_BENCH_PEAK_H

#include "base/base.h"

typedef struct bench_peak {
    int threads;
    double fp32, bf16; /* arithmetic a second; bf16 is NAN where the processor has no such instructions */
    double read, copy; /* bytes a second of memory: read, and read and written together */
} bench_peak;

/** Takes about two seconds. */
bcam_status bench_peak_measure(int threads, bench_peak *out, bcam_error *err);
/** The faster of read and copy. */
double bench_peak_bytes(const bench_peak *peak);

#endif
