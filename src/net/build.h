/* build.h - an operator said as an expression: functions of values that give values. The first that fails fixes the status; those after it do
 * nothing and give -1. Private to net/. */
#ifndef BCAM_NET_BUILD_H
#define BCAM_NET_BUILD_H

#include "net/lower.h"

typedef struct bcam_build {
    bcam_lower *lo;
    const bcam_node *node;
    bcam_status status;
    bcam_error *err;
} bcam_build;

bcam_build bcam_build_begin(bcam_lower *lo, const bcam_node *node, bcam_error *err);
/** Output 0 is this value. */
bcam_status bcam_build_end(bcam_build *b, int value);

/* operands */
int bcam_build_tensor(bcam_build *b, int input);  /* depends on the photo */
int bcam_build_const(bcam_build *b, int input);   /* does not */
int bcam_build_operand(bcam_build *b, int input); /* either */
int bcam_build_number(bcam_build *b, double number);
/** A zeroed constant to be filled through *data. */
int bcam_build_new(bcam_build *b, int rank, const int64_t *dim, float **data);

/* steps */
int bcam_build_unary(bcam_build *b, int x, bcam_unary_kind kind);
int bcam_build_function(bcam_build *b, int x, bcam_unary_kind kind, double alpha, double beta);
int bcam_build_linear(bcam_build *b, int x, double alpha, double beta); /* alpha x + beta */
int bcam_build_binary(bcam_build *b, bcam_binary_kind kind, int x, int y);
int bcam_build_reduce(bcam_build *b, bcam_reduce_kind kind, int x, unsigned axes);
int bcam_build_norm(bcam_build *b, int x, int scale, int shift);
int bcam_build_reshape(bcam_build *b, int x, int rank, const int64_t *dim, bool batched);
int bcam_build_copy(bcam_build *b, int x, int rank, const int64_t *dim, bool batched, bcam_copy_attr **attr);
int bcam_build_transpose(bcam_build *b, int x, const int *perm); /* axis a of the result is axis perm[a] of x */
int bcam_build_take(bcam_build *b, int x, int axis, const int64_t *index, int64_t count);
/** x (…,K) times w^T, a constant (M,K): (…,M), as one product of all rows. */
int bcam_build_rows(bcam_build *b, int x, int w);
/** Along any axis: y[…, m, …] = sum over k of x[…, k, …] w[m][k]. */
int bcam_build_along(bcam_build *b, int x, int axis, int w);
/** (…,M,K) times (…,K,N) with numpy's broadcasting, whatever of the two depends on the photo. */
int bcam_build_matmul(bcam_build *b, int x, int y);

#endif
