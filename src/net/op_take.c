/* op_take.c - parts of a tensor, parts repeated, and parts put elsewhere: Split, Gather, Tile, DepthToSpace and its inverse. */
#include <string.h>

#include "net/build.h"

/* ---- Split ---- */

/* How long every part is: an attribute until operator set 12, an input since; else equal ones, the last maybe shorter. */
static bcam_status read_parts(bcam_lower *lo, const bcam_node *node, int64_t length, int64_t *parts, int most,
                              bcam_error *err)
{
    int count, n = node->output_count;
    bcam_status status = bcam_ints_of(lo, node, "split", 1, parts, most, &count, err);
    if (status != BCAM_OK)
        return status;
    int64_t declared = bcam_attr_int(node, "num_outputs", n), total = 0;
    if (count >= 0 ? count != n : declared != n || n < 1)
        return bcam_op_fail(node, err, "it has %d outputs and %lld parts", n,
                            (long long)(count >= 0 ? count : declared));
    if (count < 0 && length % n && !bcam_node_attr(node, "num_outputs"))
        return bcam_op_fail(node, err, "%lld elements cannot be split into %d equal parts", (long long)length, n);
    int64_t equal = (length + n - 1) / n;
    for (int i = 0; i < n; i++) {
        if (count < 0)
            parts[i] = i < n - 1 ? equal : length - (n - 1) * equal;
        if (parts[i] < 0 || parts[i] > length || (total += parts[i]) > length)
            return bcam_op_fail(node, err, "a part of %lld of %lld elements will not do", (long long)parts[i],
                                (long long)length);
    }
    return total == length
               ? BCAM_OK
               : bcam_op_fail(node, err, "its parts are %lld of %lld elements", (long long)total, (long long)length);
}

bcam_status bcam_op_split(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    enum { MOST = 1024 };
    int64_t parts[MOST], at = 0;
    int axis = 0;
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = bcam_build_tensor(&b, 0);
    if (b.status == BCAM_OK && node->output_count > MOST)
        return bcam_op_fail(node, err, "%d outputs are too many", node->output_count);
    if (b.status == BCAM_OK)
        b.status = bcam_axis(node, bcam_attr_int(node, "axis", 0), bcam_val(lo, x)->rank, &axis, err);
    if (b.status == BCAM_OK)
        b.status = read_parts(lo, node, bcam_val(lo, x)->dim[axis], parts, MOST, err);
    for (int i = 0; b.status == BCAM_OK && i < node->output_count; at += parts[i++]) {
        bcam_value v = *bcam_val(lo, x);
        bool whole = v.dim[axis] == parts[i];
        v.dim[axis] = parts[i];
        bcam_copy_attr *attr = NULL;
        float *nothing; /* a part without elements is a constant: Concat knows what to do with it */
        int y = whole           ? x
                : parts[i] == 0 ? bcam_build_new(&b, v.rank, v.dim, &nothing)
                                : bcam_build_copy(&b, x, v.rank, v.dim, bcam_is_batched(lo, x) && axis != 0, &attr);
        if (b.status == BCAM_OK && attr)
            attr->from[axis] = at;
        if (b.status == BCAM_OK)
            b.status = bcam_bind_output(lo, node, i, y, err);
    }
    return b.status;
}

/* ---- Gather ---- */

/* All elements of a row in which the batch is joined to the rest, in order: the photos are apart again. A list for the file's batch of one stands for
 * every photo's. Whether that is what is asked for; then dim[0] is the batch. */
static bool parts_batch(const bcam_lower *lo, int x, const bcam_value *of, const int64_t *index, int64_t count,
                        int64_t *dim)
{
    const bcam_value *v = bcam_val(lo, x);
    int64_t batch = lo->plan->batch;
    bool whole = of->rank > 0 && of->dim[0] == batch && count == v->dim[0];
    bool one = of->rank > 0 && of->dim[0] == 1 && lo->declared_batch == 1 && count * batch == v->dim[0];
    bool ordered = lo->lift && v->rank == 1 && bcam_is_batched(lo, x) && (whole || one);
    for (int64_t i = 0; ordered && i < count; i++)
        ordered = index[i] == i;
    memcpy(dim, of->dim, sizeof of->dim);
    dim[0] = batch;
    return ordered;
}

bcam_status bcam_op_gather(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    enum { MOST = 65536, MOST_IN_ORDER = 1 << 24 };
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = bcam_build_tensor(&b, 0), indices = bcam_build_const(&b, 1), axis = 0, count;
    if (b.status == BCAM_OK)
        b.status = bcam_axis(node, bcam_attr_int(node, "axis", 0), bcam_val(lo, x)->rank, &axis, err);
    if (b.status != BCAM_OK)
        return b.status;
    const bcam_value v = *bcam_val(lo, x), of = *bcam_val(lo, indices);
    int64_t elements = bcam_count(of.rank, of.dim), dim[2 * BCAM_MAX_RANK];
    if (elements > MOST_IN_ORDER)
        return bcam_op_fail(node, err, "it takes %lld elements", (long long)elements);
    int64_t *index = bcam_alloc((size_t)elements + 1, sizeof *index);
    b.status = index ? bcam_ints(lo, node, indices, index, (int)elements, &count, err) : bcam_op_memory(node, err);
    for (int i = 0; b.status == BCAM_OK && i < count; i++)
        index[i] += index[i] < 0 ? v.dim[axis] : 0;
    if (b.status == BCAM_OK && count < 1)
        b.status = bcam_op_fail(node, err, "it takes nothing");
    if (b.status == BCAM_OK && parts_batch(lo, x, &of, index, count, dim)) {
        bcam_free(index);
        return bcam_build_end(&b, bcam_build_reshape(&b, x, of.rank, dim, true));
    }
    if (b.status == BCAM_OK && count > MOST)
        b.status = bcam_op_fail(node, err, "it takes %d elements, at most %d make sense here", count, MOST);
    int y = b.status == BCAM_OK ? bcam_build_take(&b, x, axis, index, count) : -1;
    bcam_free(index);
    memcpy(dim, v.dim, sizeof(int64_t) * (size_t)axis);
    memcpy(dim + axis, of.dim, sizeof(int64_t) * (size_t)of.rank);
    memcpy(dim + axis + of.rank, v.dim + axis + 1, sizeof(int64_t) * (size_t)(v.rank - axis - 1));
    return bcam_build_end(&b,
                          bcam_build_reshape(&b, y, v.rank - 1 + of.rank, dim, bcam_is_batched(lo, x) && axis != 0));
}

/* ---- Tile ---- */

static int tiled(bcam_build *b, int x, int axis, int64_t repeats)
{
    if (b->status != BCAM_OK || repeats == 1)
        return x;
    int64_t n = bcam_val(b->lo, x)->dim[axis], count;
    if (repeats < 1 || repeats > 65536 || __builtin_mul_overflow(n, repeats, &count) || count > 1 << 24) {
        b->status =
            bcam_op_fail(b->node, b->err, "it repeats %lld elements %lld times", (long long)n, (long long)repeats);
        return -1;
    }
    int64_t *index = bcam_alloc((size_t)count, sizeof *index);
    if (!index) {
        b->status = bcam_op_memory(b->node, b->err);
        return -1;
    }
    for (int64_t i = 0; i < count; i++)
        index[i] = i % n;
    int y = bcam_build_take(b, x, axis, index, count);
    bcam_free(index);
    return y;
}

bcam_status bcam_op_tile(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int64_t repeats[BCAM_MAX_RANK];
    int x = bcam_build_tensor(&b, 0), list = bcam_build_const(&b, 1), count = 0;
    if (b.status == BCAM_OK)
        b.status = bcam_ints(lo, node, list, repeats, BCAM_MAX_RANK, &count, err);
    if (b.status == BCAM_OK && count != bcam_val(lo, x)->rank)
        return bcam_op_fail(node, err, "it has %d repeats for %d dimensions", count, bcam_val(lo, x)->rank);
    for (int a = 0; b.status == BCAM_OK && a < count; a++)
        x = tiled(&b, x, a, repeats[a]);
    return bcam_build_end(&b, x);
}

/* ---- DepthToSpace, SpaceToDepth ---- */

/* Channels, rows and columns apart, put in another order, and together again: (N, …) of six axes both times. */
bcam_status bcam_op_depth_space(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    static const int to_space[2][6] = {{0, 3, 4, 1, 5, 2}, {0, 1, 4, 2, 5, 3}}, /* DCR, CRD */
        to_depth[2][6] = {{0, 3, 5, 1, 2, 4}, {0, 1, 3, 5, 2, 4}};
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = bcam_build_tensor(&b, 0);
    if (b.status != BCAM_OK)
        return b.status;
    const bcam_value v = *bcam_val(lo, x);
    bool depth = strcmp(node->op, "SpaceToDepth") == 0, batched = bcam_is_batched(lo, x);
    int crd = strcmp(bcam_attr_string(node, "mode", "DCR"), "CRD") == 0;
    int64_t s = bcam_attr_int(node, "blocksize", 0);
    if (v.rank != 4 || s < 1 || s > 4096 || (depth ? v.dim[2] % s || v.dim[3] % s : v.dim[1] % (s * s)))
        return bcam_op_fail(node, err, "blocks of %lld do not fit its input", (long long)s);
    const int64_t n = v.dim[0], c = v.dim[1], h = v.dim[2], w = v.dim[3];
    const int64_t apart[3][6] = {
        {n, s, s, c / (s * s), h, w}, {n, c / (s * s), s, s, h, w}, {n, c, h / s, s, w / s, s}};
    const int64_t together[2][4] = {{n, c / (s * s), h * s, w * s}, {n, c * s * s, h / s, w / s}};
    int y = bcam_build_reshape(&b, x, 6, apart[depth ? 2 : crd], batched);
    y = bcam_build_transpose(&b, y, depth ? to_depth[crd] : to_space[crd]);
    y = bcam_build_reshape(&b, y, 4, together[depth], batched);
    if (b.status == BCAM_OK && y != x)
        bcam_mark_like(lo, y, x);
    return bcam_build_end(&b, y);
}
