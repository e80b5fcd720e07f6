/* op_reduce.c - reductions over axes, global pooling (a reduction over rows and columns), softmax. */
#include <string.h>

#include "net/lower.h"

/* A reduction keeps its axes as length 1; where the node drops them, a reshape follows. */
static bcam_status emit_reduce(bcam_lower *lo, const bcam_node *node, int x, bcam_reduce_kind kind, unsigned axes,
                               bool keep, bcam_error *err)
{
    const bcam_value v = *bcam_val(lo, x);
    int64_t dropped[BCAM_MAX_RANK];
    int rank = 0, value;
    for (int a = 0; a < v.rank; a++)
        if (!(axes >> a & 1))
            dropped[rank++] = v.dim[a];
    bcam_status status = bcam_emit_reduce(lo, node, x, kind, axes, &value, err);
    if (status != BCAM_OK)
        return status;
    return keep ? bcam_bind(lo, node, value, err) : bcam_emit_reshape(lo, node, value, rank, dropped, err);
}

static const struct {
    const char *op;
    bcam_reduce_kind kind;
} reductions[] = {
    {"ReduceMean", BCAM_REDUCE_MEAN},
    {"ReduceSum", BCAM_REDUCE_SUM},
    {"ReduceMax", BCAM_REDUCE_MAX},
    {"GlobalAveragePool", BCAM_REDUCE_MEAN},
};

static bcam_reduce_kind kind_of(const bcam_node *node)
{
    size_t i = 0;
    while (i + 1 < BCAM_COUNT(reductions) && strcmp(reductions[i].op, node->op) != 0)
        i++;
    return reductions[i].kind;
}

/* One window over all rows and columns, so that a tie gives its gradient to the first maximum, as in MaxPool; a reduction shares it. */
static bcam_status emit_global_max(bcam_lower *lo, const bcam_node *node, int x, bcam_error *err)
{
    const bcam_value v = *bcam_val(lo, x);
    const int64_t dim[4] = {v.dim[0], v.dim[1], 1, 1};
    bcam_step *step;
    bcam_status status = bcam_emit(lo, node, BCAM_VERB_POOL, 4, dim, bcam_is_batched(lo, x), &step, err);
    if (status != BCAM_OK)
        return status;
    step->in[0] = x;
    step->u.pool = (bcam_pool_attr){.kernel = {v.dim[2], v.dim[3]}, .stride = {1, 1}, .dilation = {1, 1}, .max = true};
    return BCAM_OK;
}

bcam_status bcam_op_global_pool(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x;
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status != BCAM_OK)
        return status;
    if (strcmp(node->op, "GlobalMaxPool") == 0 && bcam_val(lo, x)->rank == 4)
        return emit_global_max(lo, node, x, err);
    if (strcmp(node->op, "GlobalMaxPool") == 0)
        return bcam_op_fail(node, err, "its input has %d dimensions; only 2-D photos, (N,C,H,W), are supported",
                            bcam_val(lo, x)->rank);
    unsigned axes = 0;
    for (int a = 2; a < bcam_val(lo, x)->rank; a++)
        axes |= 1u << a;
    return axes ? emit_reduce(lo, node, x, kind_of(node), axes, true, err)
                : bcam_op_fail(node, err, "its input has no rows and columns");
}

bcam_status bcam_op_reduce(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, count;
    int64_t list[BCAM_MAX_RANK];
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = bcam_ints_of(lo, node, "axes", 1, list, BCAM_MAX_RANK, &count, err);
    if (status != BCAM_OK)
        return status;
    int rank = bcam_val(lo, x)->rank;
    if (count <= 0 && bcam_attr_int(node, "noop_with_empty_axes", 0))
        return bcam_bind(lo, node, x, err);
    unsigned axes = count <= 0 ? (1u << rank) - 1 : 0;
    for (int i = 0; i < count; i++) {
        int axis;
        status = bcam_axis(node, list[i], rank, &axis, err);
        if (status != BCAM_OK)
            return status;
        axes |= 1u << axis;
    }
    return emit_reduce(lo, node, x, kind_of(node), axes, bcam_attr_int(node, "keepdims", 1) != 0, err);
}

/* Until operator set 12, softmax ran over all axes from `axis` on, taken as one. */
bcam_status bcam_op_softmax(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, axis;
    bool old = lo->graph->opset < 13;
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = bcam_axis(node, bcam_attr_int(node, "axis", old ? 1 : -1), bcam_val(lo, x)->rank, &axis, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value v = *bcam_val(lo, x);
    if (old && bcam_count(v.rank - axis - 1, v.dim + axis + 1) != 1)
        return bcam_op_fail(node, err, "a softmax over several axes (operator set %d) is not supported",
                            lo->graph->opset);
    bcam_step *step;
    status = bcam_emit(lo, node, BCAM_VERB_SOFTMAX, v.rank, v.dim, bcam_is_batched(lo, x) && axis != 0, &step, err);
    if (status == BCAM_OK) {
        step->in[0] = x;
        step->u.softmax.axis = axis;
        step->u.softmax.log = strcmp(node->op, "LogSoftmax") == 0;
    }
    return status;
}
