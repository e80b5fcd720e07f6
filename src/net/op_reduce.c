/* op_reduce.c - reductions over axes, global pooling (a reduction over rows and columns), softmax. */
#include <string.h>

#include "net/build.h"

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
    {"ReduceL2", BCAM_REDUCE_L2},   {"ReduceMean", BCAM_REDUCE_MEAN},        {"ReduceSum", BCAM_REDUCE_SUM},
    {"ReduceMax", BCAM_REDUCE_MAX}, {"GlobalAveragePool", BCAM_REDUCE_MEAN},
};

static bcam_reduce_kind kind_of(const bcam_node *node)
{
    size_t i = 0;
    while (i + 1 < BCAM_COUNT(reductions) && strcmp(reductions[i].op, node->op) != 0)
        i++;
    return reductions[i].kind;
}

/* Over everything behind the channels. The maximum is one window over all of it, so that a tie gives its gradient to the first maximum, as in
 * MaxPool; a reduction shares it. */
bcam_status bcam_op_global_pool(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = bcam_build_tensor(&b, 0), y = -1;
    if (b.status != BCAM_OK)
        return b.status;
    const bcam_value v = *bcam_val(lo, x);
    if (v.rank < 3)
        return bcam_op_fail(node, err, "its input has no rows and columns");
    if (strcmp(node->op, "GlobalMaxPool") != 0)
        return emit_reduce(lo, node, x, kind_of(node), (1u << v.rank) - 4, true, err);
    bool batched = bcam_is_batched(lo, x);
    const int64_t flat[4] = {v.dim[0], v.dim[1], v.dim[2], bcam_count(v.rank - 3, v.dim + 3)},
                  one[BCAM_MAX_RANK] = {v.dim[0], v.dim[1], 1, 1, 1, 1};
    x = bcam_build_reshape(&b, x, 4, flat, batched);
    bcam_step *step;
    if (b.status == BCAM_OK)
        b.status = bcam_emit_value(lo, node, node->outputs[0], BCAM_VERB_POOL, 4, one, batched, &step, &y, err);
    if (b.status != BCAM_OK)
        return b.status;
    step->in[0] = x;
    step->u.pool = (bcam_pool_attr){.kernel = {flat[2], flat[3]}, .stride = {1, 1}, .dilation = {1, 1}, .max = true};
    return bcam_build_end(&b, bcam_build_reshape(&b, y, v.rank, one, batched));
}

/* An attribute until operator set 17 (ReduceSum: 12), an input since. None: all axes, or, where the node says so, none at all. */
bcam_status bcam_reduce_axes(bcam_lower *lo, const bcam_node *node, int rank, unsigned *axes, bcam_error *err)
{
    int64_t list[BCAM_MAX_RANK];
    int count;
    bcam_status status = bcam_ints_of(lo, node, "axes", 1, list, BCAM_MAX_RANK, &count, err);
    *axes = count <= 0 && !bcam_attr_int(node, "noop_with_empty_axes", 0) ? (1u << rank) - 1 : 0;
    for (int i = 0; status == BCAM_OK && i < count; i++) {
        int axis;
        status = bcam_axis(node, list[i], rank, &axis, err);
        if (status == BCAM_OK)
            *axes |= 1u << axis;
    }
    return status;
}

bcam_status bcam_op_reduce(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x;
    unsigned axes;
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = bcam_reduce_axes(lo, node, bcam_val(lo, x)->rank, &axes, err);
    if (status != BCAM_OK)
        return status;
    return axes ? emit_reduce(lo, node, x, kind_of(node), axes, bcam_attr_int(node, "keepdims", 1) != 0, err)
                : bcam_bind(lo, node, x, err);
}

/* log(sum(e^x)), with the maximum taken out first, so that nothing overflows. */
static int log_sum_exp(bcam_build *b, int x, unsigned axes)
{
    int most = bcam_build_reduce(b, BCAM_REDUCE_MAX, x, axes);
    int powers = bcam_build_unary(b, bcam_build_binary(b, BCAM_BINARY_SUB, x, most), BCAM_UNARY_EXP);
    int log = bcam_build_unary(b, bcam_build_reduce(b, BCAM_REDUCE_SUM, powers, axes), BCAM_UNARY_LOG);
    return bcam_build_binary(b, BCAM_BINARY_ADD, log, most);
}

/* Reductions that are another one with a function before or behind it. */
bcam_status bcam_op_reduce_of(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    const char *of = node->op + strlen("Reduce");
    int x = bcam_build_tensor(&b, 0), y = -1;
    unsigned axes = 0;
    if (b.status == BCAM_OK)
        b.status = bcam_reduce_axes(lo, node, bcam_val(lo, x)->rank, &axes, err);
    if (strcmp(of, "Min") == 0)
        y = bcam_build_unary(&b, bcam_build_reduce(&b, BCAM_REDUCE_MAX, bcam_build_unary(&b, x, BCAM_UNARY_NEG), axes),
                             BCAM_UNARY_NEG);
    else if (strcmp(of, "L1") == 0)
        y = bcam_build_reduce(&b, BCAM_REDUCE_SUM, bcam_build_unary(&b, x, BCAM_UNARY_ABS), axes);
    else if (strcmp(of, "SumSquare") == 0)
        y = bcam_build_reduce(&b, BCAM_REDUCE_SUM, bcam_build_binary(&b, BCAM_BINARY_MUL, x, x), axes);
    else if (strcmp(of, "LogSum") == 0)
        y = bcam_build_unary(&b, bcam_build_reduce(&b, BCAM_REDUCE_SUM, x, axes), BCAM_UNARY_LOG);
    else
        y = log_sum_exp(&b, x, axes);
    if (b.status != BCAM_OK || bcam_attr_int(node, "keepdims", 1))
        return bcam_build_end(&b, y);
    const bcam_value v = *bcam_val(lo, x);
    int64_t dropped[BCAM_MAX_RANK];
    int rank = 0;
    for (int a = 0; a < v.rank; a++)
        if (!(axes >> a & 1))
            dropped[rank++] = v.dim[a];
    return bcam_build_end(&b, bcam_build_reshape(&b, y, rank, dropped, bcam_is_batched(lo, x) && !(axes & 1)));
}

/* Until operator set 12, softmax ran over all axes from `axis` on, taken as one. */
bcam_status bcam_op_softmax(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    bool old = lo->graph->opset < 13;
    int x = bcam_build_tensor(&b, 0), axis = 0, y = -1;
    if (b.status == BCAM_OK)
        b.status = bcam_axis(node, bcam_attr_int(node, "axis", old ? 1 : -1), bcam_val(lo, x)->rank, &axis, err);
    if (b.status != BCAM_OK)
        return b.status;
    const bcam_value v = *bcam_val(lo, x);
    bool batched = bcam_is_batched(lo, x) && axis != 0;
    bool joined = old && bcam_count(v.rank - axis - 1, v.dim + axis + 1) != 1;
    const int64_t flat[2] = {bcam_count(axis, v.dim), bcam_count(v.rank - axis, v.dim + axis)};
    bcam_step *step;
    int from = joined ? bcam_build_reshape(&b, x, 2, flat, batched) : x;
    if (b.status == BCAM_OK)
        b.status = bcam_emit_value(lo, node, node->outputs[0], BCAM_VERB_SOFTMAX, joined ? 2 : v.rank,
                                   joined ? flat : v.dim, batched, &step, &y, err);
    if (b.status != BCAM_OK)
        return b.status;
    step->in[0] = from;
    step->u.softmax.axis = joined ? 1 : axis;
    step->u.softmax.log = strcmp(node->op, "LogSoftmax") == 0;
    return bcam_build_end(&b, joined ? bcam_build_reshape(&b, y, v.rank, v.dim, batched) : y);
}
