/* bench_peak.c - the peaks that shares are told of: the better of a matrix product by oneDNN and of a loop that stays in registers, and memory. */
#include "bench_peak.h"

#include <math.h>

#include "cpu/cpu.h"

bcam_status bench_peak_measure(int threads, bench_peak *out, bcam_error *err)
{
    *out = (bench_peak){.threads = threads};
    double bf16 = bcam_cpu_peak_loop(true, threads);
    out->fp32 = fmax(bcam_cpu_peak_loop(false, threads), bcam_cpu_peak_product(false, threads));
    out->bf16 = bf16 > 0 ? fmax(bf16, bcam_cpu_peak_product(true, threads)) : (double)NAN;
    return bcam_cpu_peak_memory(threads, &out->read, &out->copy, err);
}

double bench_peak_bytes(const bench_peak *peak)
{
    return fmax(peak->read, peak->copy);
}
