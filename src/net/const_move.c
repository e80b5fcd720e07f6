/* const_move.c - constants put together and taken apart: Gather, Concat, Pad and the like, where shapes are computed. */
#include <string.h>

#include "net/lower.h"

/* Gather's indices, allocated and counted from the front; what they point at has `length` elements. */
static bcam_status read_indices(bcam_lower *lo, const bcam_node *node, int value, int64_t length, int64_t **out,
                                int64_t *count, bcam_error *err)
{
    const bcam_value v = *bcam_val(lo, value);
    *count = bcam_count(v.rank, v.dim);
    bcam_status status = bcam_charge(lo, node, *count, err);
    if (status != BCAM_OK)
        return status;
    int64_t *index = *out = bcam_alloc((size_t)*count + 1, sizeof *index);
    if (!index)
        return bcam_op_memory(node, err);
    bcam_const_read(&v, BCAM_I64, index);
    for (int64_t i = 0; i < *count; i++) {
        int64_t at = index[i] < 0 ? index[i] + length : index[i];
        if (at < 0 || at >= length)
            return bcam_op_fail(node, err, "index %lld is outside %lld elements", (long long)index[i],
                                (long long)length);
        index[i] = at;
    }
    return BCAM_OK;
}

/* Slices of `v` along an axis, in the order of the indices. */
static bcam_status take_slices(const bcam_node *node, const bcam_value *v, int axis, const int64_t *index,
                               int64_t count, char *to, bcam_error *err)
{
    size_t size = bcam_dtype_bytes(v->dtype);
    char *dense = bcam_alloc((size_t)bcam_count(v->rank, v->dim) + 1, size);
    if (!dense)
        return bcam_op_memory(node, err);
    bcam_const_read(v, v->dtype, dense);
    size_t inner = size * (size_t)bcam_count(v->rank - axis - 1, v->dim + axis + 1);
    for (size_t o = 0, outer = (size_t)bcam_count(axis, v->dim); o < outer; o++)
        for (int64_t i = 0; i < count; i++, to += inner)
            memcpy(to, dense + (o * (size_t)v->dim[axis] + (size_t)index[i]) * inner, inner);
    bcam_free(dense);
    return BCAM_OK;
}

bcam_status bcam_fold_gather(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, indices, axis, value;
    int64_t *index = NULL, count = 0, dim[2 * BCAM_MAX_RANK];
    void *data;
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = bcam_in_const(lo, node, 1, &indices, err);
    if (status == BCAM_OK)
        status = bcam_axis(node, bcam_attr_int(node, "axis", 0), bcam_val(lo, x)->rank, &axis, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value v = *bcam_val(lo, x), vi = *bcam_val(lo, indices);
    memcpy(dim, v.dim, sizeof(int64_t) * (size_t)axis);
    memcpy(dim + axis, vi.dim, sizeof(int64_t) * (size_t)vi.rank);
    memcpy(dim + axis + vi.rank, v.dim + axis + 1, sizeof(int64_t) * (size_t)(v.rank - axis - 1));
    status = bcam_charge(lo, node, 8 * bcam_count(v.rank, v.dim), err);
    if (status == BCAM_OK)
        status = read_indices(lo, node, indices, v.dim[axis], &index, &count, err);
    if (status == BCAM_OK)
        status = bcam_const_new(lo, node, node->outputs[0], v.dtype, v.rank - 1 + vi.rank, dim, &data, &value, err);
    if (status == BCAM_OK)
        status = take_slices(node, &v, axis, index, count, data, err);
    bcam_free(index);
    return status != BCAM_OK ? status : bcam_bind(lo, node, value, err);
}

/* Where part i of the result begins, in elements of the whole, and the strides of the whole. */
static void put_part(const bcam_value *part, int axis, int64_t at, int rank, const int64_t *dim, size_t size,
                     const char *from, char *to)
{
    size_t inner = size * (size_t)bcam_count(rank - axis - 1, dim + axis + 1), piece = inner * (size_t)part->dim[axis];
    for (size_t o = 0, outer = (size_t)bcam_count(axis, dim); o < outer; o++)
        memcpy(to + (o * (size_t)dim[axis] + (size_t)at) * inner, from + o * piece, piece);
}

/* Whether part i can be joined to those before it; adds its length. */
static bcam_status join_dims(bcam_lower *lo, const bcam_node *node, int i, int *axis, bcam_value *whole,
                             bcam_error *err)
{
    int x;
    bcam_status status = bcam_in_const(lo, node, i, &x, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value v = *bcam_val(lo, x);
    if (i == 0) {
        *whole = v;
        return bcam_axis(node, bcam_attr_int(node, "axis", 1), v.rank, axis, err);
    }
    if (whole->dtype != v.dtype)
        return bcam_op_fail(node, err, "integers and other numbers cannot be joined");
    bool fits = v.rank == whole->rank;
    for (int a = 0; fits && a < v.rank; a++)
        fits = a == *axis || v.dim[a] == whole->dim[a];
    if (!fits || __builtin_add_overflow(whole->dim[*axis], v.dim[*axis], &whole->dim[*axis]))
        return bcam_op_fail(node, err, "input %d does not fit the others", i);
    return BCAM_OK;
}

bcam_status bcam_fold_concat(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int axis = 0, value;
    bcam_value whole = {0};
    bcam_status status = node->input_count ? BCAM_OK : bcam_op_fail(node, err, "it has no input");
    for (int i = 0; status == BCAM_OK && i < node->input_count; i++)
        status = join_dims(lo, node, i, &axis, &whole, err);
    void *data;
    if (status == BCAM_OK)
        status = bcam_const_new(lo, node, node->outputs[0], whole.dtype, whole.rank, whole.dim, &data, &value, err);
    if (status != BCAM_OK)
        return status;
    size_t size = bcam_dtype_bytes(whole.dtype), total = (size_t)bcam_count(whole.rank, whole.dim);
    char *part = bcam_alloc(total + 1, size);
    if (!part)
        return bcam_op_memory(node, err);
    int64_t at = 0;
    for (int i = 0; i < node->input_count; i++) {
        const bcam_value *v = bcam_val(lo, bcam_in(lo, node, i));
        bcam_const_read(v, whole.dtype, part);
        put_part(v, axis, at, whole.rank, whole.dim, size, part, data);
        at += v->dim[axis];
    }
    bcam_free(part);
    return bcam_bind(lo, node, value, err);
}
