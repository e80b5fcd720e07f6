/* winograd.h - a 3x3 convolution of stride 1 by minimal filtering F(4x4, 3x3): S. Winograd, Arithmetic Complexity of Computations (1980); A. Lavin
 * and S. Gray, Fast Algorithms for Convolutional Neural Networks (CVPR 2016), section 4.
 *
 *     Y = A' [ sum over channels of (G g G') * (B' d B) ] A        per tile of 4x4 outputs, d its 6x6 inputs
 *
 * The sums over channels, one for each of the 36 places in a tile, are 36 matrix products; this file does what comes before and after them, on
 * channels-last memory, 16 channels at a time. Products: a quarter of what the convolution takes.
 *
 * The six points are 0, +-5/8, +-3/2 and infinity: their constants are exact in float, and rounding errors are 2 to 3 times smaller than with
 * the usual 0, +-1, +-2. Errors are measured against the largest sum of a tile, not of a pixel: a NaN or an overflow spreads over its tile. */
#ifndef BCAM_CPU_WINOGRAD_H
#define BCAM_CPU_WINOGRAD_H

#include "dev/dev.h"

enum { BCAM_WINOGRAD_TILE = 4, BCAM_WINOGRAD_PATCH = 6, BCAM_WINOGRAD_PLACES = 36, BCAM_WINOGRAD_LANES = 16 };

typedef struct bcam_winograd {
    bcam_tensor x, y;     /* (N,C,h,w) and (N,M,H,W), channels-last, C and M whole lanes; F32 or BF16, both alike */
    const float *bias;    /* (M) or NULL */
    bcam_tensor residual; /* as y, added before the clamp; data NULL: none */
    int64_t pad[2];       /* rows and columns before the first input */
    float low, high;      /* the result is clamped; a NaN stays */
    int64_t rows, columns, tiles; /* tiles a photo, and of all photos */
} bcam_winograd;

/* The products' inner side is C, or equal slices of it, `depth` channels each, one after the other: long sums are made in parts. */

/** G g G' of weights (M,C,3,3) in any strides; `turned`: each filter turned by 180 degrees. */
void bcam_winograd_weights(const bcam_tensor *w, bool turned, int64_t depth, int threads,
                           float *out); // (C/depth,36,depth,M)
/** B' d B of tiles `first` to `first + count`. `patch`: scratch for 36 C floats. */
void bcam_winograd_in(const bcam_winograd *g, int64_t first, int64_t count, int64_t depth, float *patch,
                      float *out); // (C/depth,36,count,depth)
/** A' m A, bias, residual, clamp, into y. */
void bcam_winograd_out(const bcam_winograd *g, int64_t first, int64_t count, const float *m); // (36,count,M)

#endif
