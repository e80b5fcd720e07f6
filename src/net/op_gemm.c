/* op_gemm.c - Gemm and MatMul: one product with a constant matrix where there is one, else sums of products. */
#include <string.h>

#include "net/build.h"

static void refuse_integers(bcam_build *b, int x, int input)
{
    if (b->status == BCAM_OK && x >= 0 && bcam_is_const(b->lo, x) && bcam_val(b->lo, x)->dtype != BCAM_F32)
        b->status = bcam_op_fail(b->node, b->err, "input %d holds integers, and the others real numbers", input);
}

static int real_operand(bcam_build *b, int input)
{
    int x = bcam_build_operand(b, input);
    refuse_integers(b, x, input);
    return x;
}

/* A constant times a number; for alpha and beta of Gemm, which are 1 in practice. */
static int scaled(bcam_build *b, int x, double factor)
{
    if (b->status != BCAM_OK || factor == 1)
        return x;
    if (!bcam_is_const(b->lo, x))
        return bcam_build_linear(b, x, factor, 0);
    const bcam_value from = *bcam_val(b->lo, x);
    float *data;
    int value = bcam_build_new(b, from.rank, from.dim, &data);
    if (value < 0)
        return -1;
    bcam_const_read(&from, BCAM_F32, data);
    for (int64_t i = 0, n = bcam_count(from.rank, from.dim); i < n; i++)
        data[i] = (float)(factor * (double)data[i]);
    return value;
}

/* A bias that is the same for every row of (N,M): (M), (1,M), (1) or a number, as (M); -1 where it is none. */
static int bias_as_m(bcam_build *b, int bias, int64_t m)
{
    if (b->status != BCAM_OK || bias < 0 || !bcam_is_const(b->lo, bias))
        return -1;
    const bcam_value from = *bcam_val(b->lo, bias);
    int64_t count = bcam_count(from.rank, from.dim);
    if ((count != m && count != 1) || (count == m && m > 1 && from.dim[from.rank - 1] != m))
        return -1;
    if (from.rank == 1 && count == m)
        return bias;
    float *data;
    int value = bcam_build_new(b, 1, &m, &data);
    if (value < 0)
        return -1;
    bcam_const_read(&from, BCAM_F32, data);
    for (int64_t i = count; i < m; i++)
        data[i] = data[0];
    return value;
}

static int transposed(bcam_build *b, int x)
{
    static const int swap[2] = {1, 0};
    if (b->status != BCAM_OK)
        return -1;
    if (!bcam_is_const(b->lo, x))
        return bcam_build_transpose(b, x, swap);
    const bcam_value v = *bcam_val(b->lo, x);
    const int64_t dim[2] = {v.dim[1], v.dim[0]}, stride[2] = {v.data_stride[1], v.data_stride[0]};
    int value = -1;
    b->status = bcam_const_view_value(b->lo, b->node, x, 2, dim, stride, &value, b->err);
    return value;
}

/* A (N,K) tensor, a constant matrix and a bias of its rows: one step. */
static bcam_status emit_gemm(bcam_build *b, int x, int w, int bias)
{
    const bcam_value *vx = bcam_val(b->lo, x), *vw = bcam_val(b->lo, w);
    const int64_t dim[2] = {vx->dim[0], vw->dim[0]};
    if (vx->dim[1] != vw->dim[1])
        return bcam_op_fail(b->node, b->err, "a row of %lld elements meets a matrix for %lld", (long long)vx->dim[1],
                            (long long)vw->dim[1]);
    bcam_step *step;
    bcam_status status = bcam_emit(b->lo, b->node, BCAM_VERB_GEMM, 2, dim, bcam_is_batched(b->lo, x), &step, b->err);
    if (status == BCAM_OK) {
        step->in[0] = x;
        step->in[1] = w;
        step->in[2] = bias;
    }
    return status;
}

bcam_status bcam_op_gemm(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = real_operand(&b, 0), w = real_operand(&b, 1), bias = bcam_in(lo, node, 2);
    refuse_integers(&b, bias, 2);
    if (b.status == BCAM_OK && (bcam_val(lo, x)->rank != 2 || bcam_val(lo, w)->rank != 2))
        return bcam_op_fail(node, err, "it multiplies matrices, not rank %d by rank %d", bcam_val(lo, x)->rank,
                            bcam_val(lo, w)->rank);
    if (bcam_attr_int(node, "transA", 0))
        x = transposed(&b, x);
    double alpha = bcam_attr_float(node, "alpha", 1), beta = bcam_attr_float(node, "beta", 1);
    bool trans_b = bcam_attr_int(node, "transB", 0) != 0;
    bias = bias >= 0 && beta != 0 ? scaled(&b, bias, beta) : -1;
    if (b.status != BCAM_OK)
        return b.status;
    if (bcam_is_const(lo, w) && !bcam_is_const(lo, x)) {
        int matrix = trans_b ? w : transposed(&b, w);
        matrix = scaled(&b, matrix, alpha);
        int row = b.status == BCAM_OK ? bias_as_m(&b, bias, bcam_val(lo, matrix)->dim[0]) : -1;
        if (b.status == BCAM_OK && (row >= 0 || bias < 0))
            return emit_gemm(&b, x, matrix, row);
    }
    int y = scaled(&b, bcam_build_matmul(&b, x, trans_b ? transposed(&b, w) : w), alpha);
    return bcam_build_end(&b, bias < 0 ? y : bcam_build_binary(&b, BCAM_BINARY_ADD, y, bias));
}

/* A vector takes part as a matrix of one row (left) or one column (right), which is dropped again. */
static int as_matrix(bcam_build *b, int x, int axis, bool *was_vector)
{
    if (b->status != BCAM_OK)
        return -1;
    const bcam_value v = *bcam_val(b->lo, x);
    *was_vector = v.rank == 1;
    if (v.rank != 1)
        return x;
    int64_t dim[2] = {1, 1}, stride[2] = {0, 0};
    dim[1 - axis] = v.dim[0];
    stride[1 - axis] = v.data_stride[0];
    if (v.role != BCAM_ROLE_CONST)
        return bcam_build_reshape(b, x, 2, dim, false);
    int value = -1;
    b->status = bcam_const_view_value(b->lo, b->node, x, 2, dim, stride, &value, b->err);
    return value;
}

bcam_status bcam_op_matmul(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bool row = false, column = false;
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = as_matrix(&b, real_operand(&b, 0), 0, &row);
    int y = bcam_build_matmul(&b, x, as_matrix(&b, real_operand(&b, 1), 1, &column));
    if (b.status == BCAM_OK && !row && !column && !bcam_is_const(lo, x) &&
        bcam_val(lo, x)->rank == bcam_val(lo, y)->rank)
        bcam_mark_like(lo, y, x); /* ConvNeXt's channels come last in between */
    if (b.status != BCAM_OK || (!row && !column))
        return bcam_build_end(&b, y);
    const bcam_value v = *bcam_val(lo, y);
    int64_t dim[BCAM_MAX_RANK];
    int rank = 0;
    for (int a = 0; a < v.rank; a++)
        if (!(row && a == v.rank - 2) && !(column && a == v.rank - 1))
            dim[rank++] = v.dim[a];
    return bcam_build_end(&b, bcam_build_reshape(&b, y, rank, dim, bcam_is_batched(lo, y) && rank > 0 && !row));
}
