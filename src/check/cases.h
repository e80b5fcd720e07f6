/* cases.h - what the case files share. Private to the room. */
#ifndef BCAM_CHECK_CASES_H
#define BCAM_CHECK_CASES_H

#include <stdio.h>
#include <string.h>

#include "check/check.h"

#define FILLS_ALL ((1u << BCAM_FILL_COUNT) - 1)
#define FILLS_FINITE (FILLS_ALL & ~(1u << BCAM_FILL_SPECIAL))

/** The rows of one forward verb: `make` fills case `row`; the first `backward` of them also make cases of the backward
 * verb. */
typedef struct bcam_check_table {
    size_t count, backward;
    void (*make)(size_t row, bcam_check_case *c);
} bcam_check_table;

/* One per forward verb; cases_linear.c, cases_point.c, cases_move.c, cases_cam.c */
extern const bcam_check_table bcam_check_conv, bcam_check_gemm, bcam_check_pool;
extern const bcam_check_table bcam_check_norm, bcam_check_unary, bcam_check_binary, bcam_check_reduce,
    bcam_check_softmax;
extern const bcam_check_table bcam_check_copy, bcam_check_prep, bcam_check_resize;
extern const bcam_check_table bcam_check_select, bcam_check_cam, bcam_check_upsample;

/** An operand of real numbers. */
bcam_check_operand bcam_check_real(bcam_role role, bcam_check_lead lead, int rank, const int64_t *dim);
/** The backward case of a forward one. */
void bcam_check_backward(const bcam_check_case *forward, bcam_check_case *backward);
#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

#endif
