/* resize_axis.h - one side of a resize: which source pixels a result pixel is made of, and with which weights. Private to src/in. */
#ifndef BCAM_IN_RESIZE_AXIS_H
#define BCAM_IN_RESIZE_AXIS_H

#include "in/in.h"
#include "in/resize_loops.h"

typedef struct bcam_axis {
    int source, result;    /* lengths */
    double before, behind; /* of the source, what is not to be seen at either end: parts of a pixel */
    int at, length;        /* the window of the result */
    int begin, end;        /* source pixels that the window needs; one more at either end does no harm */
    int taps;              /* room for weights per pixel, a multiple of BCAM_LOOP_TAPS; 0: this side keeps its length */
    int *first, *count;    /* (length) first is counted from `begin`; for nearest it may be -1: none */
    int32_t *weight, *packed; /* (length, taps) */
    double *exact;            /* (taps) scratch */
} bcam_axis;

/** Whether this side keeps its length. */
bool bcam_axis_kept(const bcam_axis *a);
/** Sets begin, end and taps from the lengths and the window. */
void bcam_axis_measure(bcam_axis *a, bcam_filter filter);
/** Fills first, count and weight, and packed where `loops` want it. False: these weights are too large for any but the plain loops. */
bool bcam_axis_fill(bcam_axis *a, bcam_filter filter, const bcam_resize_loops *loops);
/** Fills first: where each pixel is taken from. */
void bcam_axis_fill_nearest(bcam_axis *a);

#endif
