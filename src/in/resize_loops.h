/* resize_loops.h - the inner loops of resize.c, for several kinds of processor; all give the same bytes. Private to src/in and its tests. */
#ifndef BCAM_IN_RESIZE_LOOPS_H
#define BCAM_IN_RESIZE_LOOPS_H

#include "base/base.h"

enum {
    BCAM_WEIGHT_BITS = 22, /* weights are multiples of 2^-22 */
    BCAM_WEIGHT_HALF = 1 << (BCAM_WEIGHT_BITS - 1),
    BCAM_WEIGHT_MOST =
        7 << 20,        /* the loops take weights up to this (1.75) and down to its negative; filters stay below 1.5 */
    BCAM_LOOP_ROWS = 4, /* rows that are resized together */
    BCAM_LOOP_TAPS = 4, /* weights come in groups */
    BCAM_LOOP_BEYOND = 16, /* bytes that may be read behind the end of a row, and written behind that of a result */
};

/** One side: result pixel i is the sum over t < count[i] of source pixel first[i] + t times weight[i * taps + t]. */
typedef struct bcam_taps {
    int length, taps; /* taps: a multiple of BCAM_LOOP_TAPS; weights behind count[i] are 0 */
    const int *first, *count;
    const int32_t *weight, *packed; /* (length, taps); packed: groups of four in the order that the loops want */
} bcam_taps;

typedef struct bcam_resize_loops {
    const char *name;
    /** A group of four weights as these loops want them; NULL: they read `weight`. */
    void (*pack)(const int32_t weight[BCAM_LOOP_TAPS], int32_t packed[BCAM_LOOP_TAPS]);
    /** Four rows of RGB, from the first pixel of the photo on, become x->length pixels each. */
    void (*rows)(const bcam_taps *x, const uint8_t *const src[BCAM_LOOP_ROWS], uint8_t *const out[BCAM_LOOP_ROWS]);
    /** `step_bytes` bytes of a result row from those of `count` rows that lie `stride` apart; NULL: there is only the plain loop. */
    void (*step)(const int32_t *packed, int count, const uint8_t *src, size_t stride, uint8_t *out);
    size_t step_bytes;
} bcam_resize_loops;

/** Row i of the result, `bytes` bytes, from y->count[i] rows that lie `stride` apart, the first at `src`. Nothing behind `bytes` is touched. */
void bcam_resize_column(const bcam_resize_loops *loops, const bcam_taps *y, int i, const uint8_t *src, size_t stride,
                        size_t bytes, uint8_t *out);

/** The loops that this processor can run, fastest first; NULL behind the last. */
const bcam_resize_loops *bcam_resize_loops_at(int i);
/** Those that any processor runs, with weights of any size. */
const bcam_resize_loops *bcam_resize_plain(void);

/** A sum of weighted bytes, half a unit included, as a byte. */
static inline uint8_t bcam_resized_byte(int32_t sum)
{
    int32_t value = sum >> BCAM_WEIGHT_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* resize_sse2.c, resize_avx2.c, resize_avx512.c; only where the compiler is for x86-64 */
enum { BCAM_PART_BITS = 11 }; /* of the lower part of a weight, where it is taken in two */
void bcam_resize_pack_pairs(const int32_t weight[BCAM_LOOP_TAPS], int32_t packed[BCAM_LOOP_TAPS]);
extern const bcam_resize_loops bcam_resize_sse2, bcam_resize_avx2, bcam_resize_avx512;

#endif
