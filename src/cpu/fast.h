/* fast.h - plain C's float verbs as the CPU device runs them. Private to the room.
 *
 * plain.inc once more, compiled for several instruction sets, with functions.inc in place of the C library's functions. Nothing is contracted and all
 * sums have the lanes that are written down, so every variant gives the same bytes. The reference (bcam_cpu_plain_f32) stays apart: it is compiled for
 * any processor, and calls the C library. */
#ifndef BCAM_CPU_FAST_H
#define BCAM_CPU_FAST_H

#include "cpu/cpu.h"

extern const bcam_cpu_verb bcam_cpu_fast_base[BCAM_VERB_COUNT];
extern const bcam_cpu_verb bcam_cpu_fast_avx2[BCAM_VERB_COUNT];
extern const bcam_cpu_verb bcam_cpu_fast_avx512[BCAM_VERB_COUNT];

typedef struct bcam_cpu_variant {
    const char *name;
    const bcam_cpu_verb *table;
} bcam_cpu_variant;

/** The variant that this processor runs fastest (0), the next one (1) … `table` is NULL behind the last. */
bcam_cpu_variant bcam_cpu_fast(int index);

#endif
