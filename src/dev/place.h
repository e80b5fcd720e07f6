/* place.h - what every device needs to carry out a plan: is a step what it should be, where values lie, which of them share memory, and who
 * lives when. The devices add the memory itself.
 *
 * Where values lie. A value of rank 4 is channels-last, every other value is dense and row-major. Exceptions among rank 4, all dense:
 *   - outputs of CAM and everything UPSAMPLE reads or writes: (K,N,h,w) and (K,N,H,W) have no channels
 *   - constant weights of CONV and CONV_BWD lie as the device asks for
 *   - a value in (N,H,W,C): what a COPY transposes from or to (N,C,H,W), and what elementwise verbs make of
 *     such a value. That transposition then moves nothing.
 * A COPY or COPY_BWD that moves nothing becomes an alias: no step, the same memory. Where a device's steps can work on some of the channels of
 * a tensor, so does one that moves whole channels of pictures: what a Concat puts together is written where it belongs at once, what a Split takes
 * apart is read where it is. (What is a residual, or shares its memory already, is copied; so is what a second Concat wants.)
 *
 * Lifetimes. A value that is written in one segment and read in a later one is kept to the end, so that BACKWARD and CAM can run again and
 * again (other classes) after one FORWARD.
 */
#ifndef BCAM_DEV_PLACE_H
#define BCAM_DEV_PLACE_H

#include "dev/dev.h"

/* ---- query.c ---- */

/** The shape of an operand as one run of the step sees it: an each_k step sees one k, and a number (rank 0) is a row of one, as the k of its
 *  gradient are. Rank -1 where the operand is absent. */
bcam_tensor bcam_step_operand(const bcam_value *values, int64_t k, const bcam_step *step, int value);
/** Whether a step keeps to its verb's signature; says what is wrong with it. */
bcam_status bcam_step_check(const bcam_plan *plan, const bcam_step *step, bcam_error *err);

/* ---- element.c: copying between a tensor in host memory and a dense row-major array, converting ---- */

void bcam_elements_read(const bcam_tensor *from, bcam_dtype as, void *to);
void bcam_elements_write(const bcam_tensor *to, bcam_dtype as, const void *from);

/* ---- place.c ---- */

typedef enum bcam_order {
    BCAM_ORDER_CHANNELS_LAST,
    BCAM_ORDER_DENSE,
    BCAM_ORDER_KERNEL /* kh, kw, C/groups, M */
} bcam_order;

/** A copy of a plan, and what was found out about it. */
typedef struct bcam_placement {
    bcam_pool pool; /* everything below, and what the device adds */
    int64_t k;
    bcam_value *values;   /* without their data */
    bcam_tensor *tensors; /* how each value lies; `data` is the device's business */
    int *root;            /* the value whose memory a value shares; mostly itself */
    size_t *shift;        /* bytes from there to its first element */
    int *last;            /* the last step that reads or writes a value; -1: none, it needs no memory */
    bcam_span *spans;     /* of each root that is no constant; bytes is 0 for all other values */
    int *birth;           /* the first step that writes a root, or -1 */
    size_t value_count;
    bcam_step *steps;
    bool *alias; /* a step that moves nothing */
    size_t step_count;
    bool join; /* set by the device: its steps can work on some of the channels of a tensor */
} bcam_placement;

/** Copies values, steps and names; on failure bcam_placement_fini is still due. */
bcam_status bcam_placement_init(bcam_placement *placement, const bcam_plan *plan, bcam_error *err);
void bcam_placement_fini(bcam_placement *placement);
/** First half: fills `tensors`; F32 is stored as `real`. A device may then change types and strides before it goes on. */
bcam_status bcam_placement_lay(bcam_placement *placement, bcam_order weights, bcam_dtype real, bcam_error *err);
/** Second half: fills everything else but the spans' offsets. */
bcam_status bcam_placement_share(bcam_placement *placement, const bcam_plan *plan, bcam_error *err);
/** Offsets of all spans with bytes, `lead` bytes before and behind each; returns the total, SIZE_MAX when memory is out. */
size_t bcam_placement_layout(bcam_placement *placement, size_t align, size_t lead);
/** Bytes of a value as it lies, gaps between its rows included. */
bcam_status bcam_placement_bytes(const bcam_placement *placement, size_t value, size_t *bytes, bcam_error *err);
/** Whether the host may read or write a value as `as`: an INPUT, OUTPUT or CONST, in its own type, F32 in double too. */
bcam_status bcam_placement_access(const bcam_placement *placement, int value, bcam_dtype as, bcam_error *err);
/** Writes a constant of `plan` into host memory as it shall lie. */
bcam_status bcam_placement_constant(const bcam_placement *placement, const bcam_plan *plan, size_t value, void *memory,
                                    bcam_error *err);

/* ---- parts.c ---- */

/** Part of bcam_placement_share, where `join` is set. writers: of each value, how many steps write it. */
bcam_status bcam_placement_join(bcam_placement *placement, const int *writers, bcam_error *err);

#endif
