/* walk.h - strided tensors as few long rows. Private to the room. */
#ifndef BCAM_CPU_WALK_H
#define BCAM_CPU_WALK_H

#include "dev/dev.h"

#define BCAM_WALK_OPS 4

/** A box of indices walked over by several tensors at once. Axes are ordered by the strides of the first tensor that moves along them and
 *  merged where they lie end to end in all of them; the innermost becomes rows of at most `block` elements. */
typedef struct bcam_walk {
    int ops, rank;                  /* tensors; axes outside a row */
    int64_t dim[BCAM_MAX_RANK + 1]; /* outside a row, slowest first; the last counts the blocks of the inner axis */
    int64_t step[BCAM_WALK_OPS][BCAM_MAX_RANK + 1]; /* in elements */
    int64_t rows, inner, block;
    int64_t stride[BCAM_WALK_OPS]; /* inside a row */
} bcam_walk;

/** A tensor's stride along an axis where it is repeated is 0. */
void bcam_walk_init(bcam_walk *walk, int rank, const int64_t *dim, int ops, const int64_t *const stride[],
                    int64_t block);
/** The offsets, in elements, at which row `row` begins; returns its length. */
int64_t bcam_walk_row(const bcam_walk *walk, int64_t row, int64_t at[BCAM_WALK_OPS]);
/** The strides of `t` as seen by a box of `rank` and `dim` under numpy's broadcasting: aligned at the last axis, 0 where repeated. */
void bcam_walk_broadcast(const bcam_tensor *t, int rank, const int64_t *dim, int64_t *stride);

#endif
