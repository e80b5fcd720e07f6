/* build.c - steps as expressions. */
#include "net/build.h"

#include <string.h>

bcam_build bcam_build_begin(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    return (bcam_build){.lo = lo, .node = node, .err = err};
}

bcam_status bcam_build_end(bcam_build *b, int value)
{
    return b->status != BCAM_OK ? b->status : bcam_bind(b->lo, b->node, value, b->err);
}

/* ---- operands ---- */

int bcam_build_tensor(bcam_build *b, int input)
{
    int value = -1;
    if (b->status == BCAM_OK)
        b->status = bcam_in_tensor(b->lo, b->node, input, &value, b->err);
    return value;
}

int bcam_build_const(bcam_build *b, int input)
{
    int value = -1;
    if (b->status == BCAM_OK)
        b->status = bcam_in_const(b->lo, b->node, input, &value, b->err);
    return value;
}

int bcam_build_operand(bcam_build *b, int input)
{
    int value = b->status == BCAM_OK ? bcam_in(b->lo, b->node, input) : -1;
    if (value < 0 && b->status == BCAM_OK)
        b->status = bcam_op_fail(b->node, b->err, "input %d is missing", input);
    return value;
}

int bcam_build_new(bcam_build *b, int rank, const int64_t *dim, float **data)
{
    int value = -1;
    void *memory = NULL;
    if (b->status == BCAM_OK)
        b->status = bcam_const_new(b->lo, b->node, b->node->outputs[0], BCAM_F32, rank, dim, &memory, &value, b->err);
    *data = memory;
    return b->status == BCAM_OK ? value : -1;
}

int bcam_build_number(bcam_build *b, double number)
{
    float *data;
    int value = bcam_build_new(b, 0, NULL, &data);
    if (value >= 0)
        *data = (float)number;
    return value;
}

/* ---- steps ---- */

int bcam_build_function(bcam_build *b, int x, bcam_unary_kind kind, double alpha, double beta)
{
    int value = -1;
    if (b->status == BCAM_OK)
        b->status =
            bcam_emit_unary(b->lo, b->node, x, (bcam_unary_attr){kind, (float)alpha, (float)beta}, &value, b->err);
    return value;
}

int bcam_build_unary(bcam_build *b, int x, bcam_unary_kind kind)
{
    return bcam_build_function(b, x, kind, 0, 0);
}

int bcam_build_linear(bcam_build *b, int x, double alpha, double beta)
{
    return bcam_build_function(b, x, BCAM_UNARY_LINEAR, alpha, beta);
}

int bcam_build_binary(bcam_build *b, bcam_binary_kind kind, int x, int y)
{
    int value = -1;
    if (b->status == BCAM_OK)
        b->status = bcam_emit_arithmetic(b->lo, b->node, x, y, kind, &value, b->err);
    return value;
}

int bcam_build_reduce(bcam_build *b, bcam_reduce_kind kind, int x, unsigned axes)
{
    int value = -1;
    if (b->status == BCAM_OK)
        b->status = bcam_emit_reduce(b->lo, b->node, x, kind, axes, &value, b->err);
    return value;
}

int bcam_build_norm(bcam_build *b, int x, int scale, int shift)
{
    int value = -1;
    if (b->status == BCAM_OK)
        b->status = bcam_emit_norm(b->lo, b->node, x, scale, shift, &value, b->err);
    return value;
}

int bcam_build_reshape(bcam_build *b, int x, int rank, const int64_t *dim, bool batched)
{
    int value = -1;
    if (b->status != BCAM_OK)
        return -1;
    const bcam_value *v = bcam_val(b->lo, x);
    if (v->rank == rank && memcmp(v->dim, dim, (size_t)rank * sizeof *dim) == 0)
        return x;
    bcam_step *step;
    b->status =
        bcam_emit_value(b->lo, b->node, b->node->outputs[0], BCAM_VERB_COPY, rank, dim, batched, &step, &value, b->err);
    if (b->status == BCAM_OK) {
        step->in[0] = x;
        step->u.copy.reshape = true;
    }
    return value;
}

int bcam_build_copy(bcam_build *b, int x, int rank, const int64_t *dim, bool batched, bcam_copy_attr **attr)
{
    int value = -1;
    if (b->status == BCAM_OK)
        b->status = bcam_emit_copy(b->lo, b->node, x, rank, dim, batched, attr, &value, b->err);
    return b->status == BCAM_OK ? value : -1;
}

int bcam_build_transpose(bcam_build *b, int x, const int *perm)
{
    if (b->status != BCAM_OK)
        return -1;
    const bcam_value v = *bcam_val(b->lo, x);
    int64_t dim[BCAM_MAX_RANK];
    bool same = true;
    for (int a = 0; a < v.rank; a++) {
        dim[a] = v.dim[perm[a]];
        same &= perm[a] == a;
    }
    if (same)
        return x;
    bcam_copy_attr *attr;
    int y = bcam_build_copy(b, x, v.rank, dim, bcam_is_batched(b->lo, x) && perm[0] == 0, &attr);
    for (int a = 0; y >= 0 && a < v.rank; a++)
        attr->axis[a] = perm[a];
    return y;
}

int bcam_build_take(bcam_build *b, int x, int axis, const int64_t *index, int64_t count)
{
    int value = -1;
    if (b->status == BCAM_OK)
        b->status = bcam_emit_take(b->lo, b->node, x, axis, index, count, &value, b->err);
    return value;
}

/* ---- products ---- */

int bcam_build_rows(bcam_build *b, int x, int w)
{
    if (b->status != BCAM_OK)
        return -1;
    const bcam_value v = *bcam_val(b->lo, x);
    int64_t k = v.dim[v.rank - 1], m = bcam_val(b->lo, w)->dim[0], rows = bcam_count(v.rank - 1, v.dim);
    int64_t in[2] = {rows, k}, out[2] = {rows, m}, dim[BCAM_MAX_RANK];
    bool batched = v.rank > 1 && bcam_is_batched(b->lo, x);
    int flat = bcam_build_reshape(b, x, 2, in, batched), y = -1;
    bcam_step *step;
    if (b->status == BCAM_OK)
        b->status =
            bcam_emit_value(b->lo, b->node, b->node->outputs[0], BCAM_VERB_GEMM, 2, out, batched, &step, &y, b->err);
    if (b->status != BCAM_OK)
        return -1;
    step->in[0] = flat;
    step->in[1] = w;
    memcpy(dim, v.dim, sizeof dim);
    dim[v.rank - 1] = m;
    return bcam_build_reshape(b, y, v.rank, dim, batched);
}

int bcam_build_along(bcam_build *b, int x, int axis, int w)
{
    if (b->status != BCAM_OK)
        return -1;
    int rank = bcam_val(b->lo, x)->rank, perm[BCAM_MAX_RANK];
    for (int a = 0; a < rank; a++)
        perm[a] = a;
    perm[axis] = rank - 1;
    perm[rank - 1] = axis;
    return bcam_build_transpose(b, bcam_build_rows(b, bcam_build_transpose(b, x, perm), w), perm);
}

/* A constant matrix with its axes exchanged: only strides change. */
static int transposed_const(bcam_build *b, int w)
{
    const bcam_value v = *bcam_val(b->lo, w);
    const int64_t dim[2] = {v.dim[1], v.dim[0]}, stride[2] = {v.data_stride[1], v.data_stride[0]};
    int value = -1;
    if (b->status == BCAM_OK)
        b->status = bcam_const_view_value(b->lo, b->node, w, 2, dim, stride, &value, b->err);
    return value;
}

static int with_axis(bcam_build *b, int x, int at)
{
    if (b->status != BCAM_OK)
        return -1;
    const bcam_value v = *bcam_val(b->lo, x);
    int64_t dim[BCAM_MAX_RANK + 1], stride[BCAM_MAX_RANK + 1];
    if (v.rank == BCAM_MAX_RANK) {
        b->status = bcam_op_fail(b->node, b->err, "a product of tensors with %d dimensions is not supported", v.rank);
        return -1;
    }
    for (int a = 0; a <= v.rank; a++) {
        int from = a < at ? a : a - 1;
        dim[a] = a == at ? 1 : v.dim[from];
        stride[a] = a == at ? 0 : v.data_stride[from];
    }
    if (v.role != BCAM_ROLE_CONST)
        return bcam_build_reshape(b, x, v.rank + 1, dim, bcam_is_batched(b->lo, x) && at > 0);
    int value = -1;
    b->status = bcam_const_view_value(b->lo, b->node, x, v.rank + 1, dim, stride, &value, b->err);
    return value;
}

/* Both sides with an axis for the other's: (…,M,K,1) times (…,1,K,N), summed over K. All products stand in memory, so this is for what no
 * other way is there for. */
static int product_by_sums(bcam_build *b, int x, int y)
{
    int product = bcam_build_binary(b, BCAM_BINARY_MUL, with_axis(b, x, bcam_val(b->lo, x)->rank),
                                    with_axis(b, y, bcam_val(b->lo, y)->rank - 2));
    if (b->status != BCAM_OK)
        return -1;
    int rank = bcam_val(b->lo, product)->rank;
    int sum = bcam_build_reduce(b, BCAM_REDUCE_SUM, product, 1u << (rank - 2));
    if (b->status != BCAM_OK)
        return -1;
    const bcam_value v = *bcam_val(b->lo, sum);
    int64_t dim[BCAM_MAX_RANK];
    memcpy(dim, v.dim, sizeof dim);
    dim[rank - 2] = v.dim[rank - 1];
    return bcam_build_reshape(b, sum, rank - 1, dim, bcam_is_batched(b->lo, sum) && rank > 2);
}

int bcam_build_matmul(bcam_build *b, int x, int y)
{
    if (b->status != BCAM_OK)
        return -1;
    const bcam_value vx = *bcam_val(b->lo, x), vy = *bcam_val(b->lo, y);
    bool x_const = vx.role == BCAM_ROLE_CONST, y_const = vy.role == BCAM_ROLE_CONST;
    if (vx.rank < 2 || vy.rank < 2 || vx.dim[vx.rank - 1] != vy.dim[vy.rank - 2]) {
        b->status = bcam_op_fail(b->node, b->err, "a row of %lld elements meets a matrix for %lld",
                                 (long long)(vx.rank ? vx.dim[vx.rank - 1] : 0),
                                 (long long)(vy.rank > 1 ? vy.dim[vy.rank - 2] : 0));
        return -1;
    }
    if (y_const && !x_const && vy.rank == 2)
        return bcam_build_rows(b, x, transposed_const(b, y));
    if (x_const && !y_const && vx.rank == 2)
        return bcam_build_along(b, y, vy.rank - 2, x);
    return product_by_sums(b, x, y);
}
