/* op_reshape.c - operators that leave the elements where they are in another shape, and those that have no place in a network. */
#include <string.h>

#include "net/lower.h"

bcam_status bcam_op_none(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    (void)lo;
    return bcam_op_fail(node, err, "it is supported on constants only");
}

/* ---- reshape and its kin ---- */

/* Resolves 0 (copied) and -1 (what is left) of Reshape. While lifting, the first number may be the file's fixed batch: it becomes N. */
static bcam_status resolve_reshape(bcam_lower *lo, const bcam_node *node, const bcam_value *x, bool batched,
                                   int64_t *dim, int rank, bcam_error *err)
{
    int64_t total = bcam_count(x->rank, x->dim), known = 1;
    int free_axis = -1;
    bool allow_zero = bcam_attr_int(node, "allowzero", 0) != 0;
    for (int a = 0; a < rank; a++) {
        if (dim[a] == 0 && !allow_zero && a < x->rank)
            dim[a] = x->dim[a];
        if (dim[a] == -1 && free_axis < 0)
            free_axis = a;
        else if (dim[a] < 1)
            return bcam_op_fail(node, err, "its shape has a dimension of %lld", (long long)dim[a]);
        else if (__builtin_mul_overflow(known, dim[a], &known))
            return bcam_op_fail(node, err, "%lld elements do not fit its shape", (long long)total);
    }
    bool fits = true;
    if (lo->lift && batched && rank > 0 && free_axis != 0 && dim[0] == lo->declared_batch) {
        fits = !__builtin_mul_overflow(known / dim[0], x->dim[0], &known);
        dim[0] = x->dim[0];
    }
    if (!fits || (free_axis >= 0 ? total % known : total != known))
        return bcam_op_fail(node, err, "%lld elements do not fit its shape", (long long)total);
    if (free_axis >= 0)
        dim[free_axis] = total / known;
    return BCAM_OK;
}

static bool only_gathered(const bcam_graph *graph, const char *tensor)
{
    bool any = false;
    for (int o = 0; o < graph->output_count; o++)
        if (strcmp(graph->outputs[o].name, tensor) == 0)
            return false;
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i].input_count; k++)
            if (strcmp(graph->nodes[i].inputs[k], tensor) == 0) {
                if (k > 0 || strcmp(graph->nodes[i].op, "Gather") != 0)
                    return false;
                any = true;
            }
    return any;
}

/* PyTorch's as_strided (which ends ConvNeXt's pooling): everything in one row, and each element taken from there. In between the batch is joined to
 * the rest; Gather, which alone may read it, sees to it that nothing changes places. */
static bool joins_batch(const bcam_lower *lo, const bcam_node *node, int x, int rank, const int64_t *dim)
{
    const bcam_value *v = bcam_val(lo, x);
    return lo->lift && rank == 1 && v->rank > 1 && dim[0] != v->dim[0] && bcam_is_batched(lo, x) &&
           only_gathered(lo->graph, node->outputs[0]);
}

bcam_status bcam_op_reshape(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_step *step;
    int x, rank;
    int64_t dim[BCAM_MAX_RANK];
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = bcam_ints_of(lo, node, "shape", 1, dim, BCAM_MAX_RANK, &rank, err);
    if (status == BCAM_OK && rank < 0)
        return bcam_op_fail(node, err, "its shape is missing");
    if (status == BCAM_OK)
        status = resolve_reshape(lo, node, bcam_val(lo, x), bcam_is_batched(lo, x), dim, rank, err);
    if (status != BCAM_OK || !joins_batch(lo, node, x, rank, dim))
        return status != BCAM_OK ? status : bcam_emit_reshape(lo, node, x, rank, dim, err);
    status = bcam_emit(lo, node, BCAM_VERB_COPY, 1, dim, true, &step, err);
    if (status == BCAM_OK) {
        step->in[0] = x;
        step->u.copy.reshape = true;
    }
    return status;
}

bcam_status bcam_op_flatten(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x;
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value *v = bcam_val(lo, x);
    int64_t axis = bcam_attr_int(node, "axis", 1);
    if (axis < -v->rank || axis > v->rank)
        return bcam_op_fail(node, err, "axis %lld is outside a tensor of rank %d", (long long)axis, v->rank);
    int split = (int)(axis < 0 ? axis + v->rank : axis);
    int64_t dim[2] = {bcam_count(split, v->dim), bcam_count(v->rank - split, v->dim + split)};
    return bcam_emit_reshape(lo, node, x, 2, dim, err);
}

/* Squeeze and Unsqueeze on a shape: which axes go or come. */
static bcam_status squeezed_dims(bcam_lower *lo, const bcam_node *node, const bcam_value *v, int *rank, int64_t *dim,
                                 bcam_error *err)
{
    bool un = strcmp(node->op, "Unsqueeze") == 0, named[2 * BCAM_MAX_RANK] = {false};
    bool batch = lo->lift && v->role == BCAM_ROLE_WORK; /* then axis 0 has one element by chance only */
    int64_t axes[BCAM_MAX_RANK];
    int count;
    bcam_status status = bcam_ints_of(lo, node, "axes", 1, axes, BCAM_MAX_RANK, &count, err);
    if (status != BCAM_OK)
        return status;
    int range = un ? v->rank + count : v->rank;
    if (range > BCAM_MAX_RANK || (un && count < 0))
        return bcam_op_fail(node, err, "its axes do not fit a tensor of rank %d", v->rank);
    for (int i = 0; i < count; i++) {
        int axis;
        status = bcam_axis(node, axes[i], range, &axis, err);
        if (status != BCAM_OK)
            return status;
        named[axis] = true;
    }
    *rank = 0;
    for (int a = 0, from = 0; a < range; a++) {
        if (un)
            dim[(*rank)++] = named[a] ? 1 : v->dim[from++ % BCAM_MAX_RANK];
        else if (count < 0 ? v->dim[a] != 1 || (a == 0 && batch) : !named[a])
            dim[(*rank)++] = v->dim[a];
        else if (v->dim[a] != 1)
            return bcam_op_fail(node, err, "axis %d has %lld elements and cannot be squeezed", a, (long long)v->dim[a]);
    }
    return BCAM_OK;
}

bcam_status bcam_op_squeeze(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, rank;
    int64_t dim[BCAM_MAX_RANK];
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = squeezed_dims(lo, node, bcam_val(lo, x), &rank, dim, err);
    if (status == BCAM_OK && bcam_count(rank, dim) != bcam_count(bcam_val(lo, x)->rank, bcam_val(lo, x)->dim))
        return bcam_op_fail(node, err, "its axes name one axis twice");
    return status != BCAM_OK ? status : bcam_emit_reshape(lo, node, x, rank, dim, err);
}

bcam_status bcam_fold_squeeze(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, rank, at = 0;
    int64_t dim[BCAM_MAX_RANK], stride[BCAM_MAX_RANK];
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = squeezed_dims(lo, node, bcam_val(lo, x), &rank, dim, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value *v = bcam_val(lo, x);
    for (int a = 0; a < rank; a++) {
        /* New axes of length 1 may have any stride; the others keep theirs, in order. */
        while (at < v->rank && dim[a] != 1 && v->dim[at] == 1)
            at++;
        stride[a] = dim[a] == 1 ? 0 : at < v->rank ? v->data_stride[at++] : 0;
    }
    return bcam_const_view(lo, node, x, rank, dim, stride, err);
}

bcam_status bcam_fold_reshape(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, rank = 2;
    int64_t dim[BCAM_MAX_RANK], stride[BCAM_MAX_RANK];
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    if (status != BCAM_OK)
        return status;
    bcam_value v = *bcam_val(lo, x);
    if (strcmp(node->op, "Flatten") == 0) {
        int axis;
        int64_t asked = bcam_attr_int(node, "axis", 1);
        status = bcam_axis(node, asked < 0 ? asked + v.rank : asked, v.rank + 1, &axis, err);
        if (status != BCAM_OK)
            return status;
        dim[0] = bcam_count(axis, v.dim);
        dim[1] = bcam_count(v.rank - axis, v.dim + axis);
    } else {
        status = bcam_ints_of(lo, node, "shape", 1, dim, BCAM_MAX_RANK, &rank, err);
        if (status == BCAM_OK)
            status = rank < 0 ? bcam_op_fail(node, err, "its shape is missing")
                              : resolve_reshape(lo, node, &v, false, dim, rank, err);
        if (status != BCAM_OK)
            return status;
    }
    bcam_tensor shape = {.rank = v.rank};
    memcpy(shape.dim, v.dim, sizeof shape.dim);
    memcpy(shape.stride, v.data_stride, sizeof shape.stride);
    bool same_everywhere = true;
    for (int a = 0; a < v.rank; a++)
        same_everywhere &= v.data_stride[a] == 0 || v.dim[a] == 1;
    if (same_everywhere) {
        memset(stride, 0, sizeof stride); /* a ConstantOfShape: one element seen everywhere */
        return bcam_const_view(lo, node, x, rank, dim, stride, err);
    }
    if (!bcam_tensor_is_dense(&shape)) {
        void *data;
        status = bcam_const_new(lo, node, node->outputs[0], v.dtype, v.rank, v.dim, &data, &x, err);
        if (status != BCAM_OK)
            return status;
        bcam_const_read(&v, v.dtype, data);
    }
    bcam_strides_dense(rank, dim, stride);
    return bcam_const_view(lo, node, x, rank, dim, stride, err);
}
