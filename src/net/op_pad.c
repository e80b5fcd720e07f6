/* op_pad.c - Pad in all its modes: a box in a field of one number, or every axis taken by a list of indices. */
#include <string.h>

#include "net/build.h"

typedef struct padding {
    int64_t begin[BCAM_MAX_RANK], end[BCAM_MAX_RANK];
} padding;

/* `axes`, an input since operator set 18, names those that the pads are of. */
static bcam_status read_padding(bcam_lower *lo, const bcam_node *node, const bcam_value *v, padding *p, bcam_error *err)
{
    int64_t pads[2 * BCAM_MAX_RANK], axes[BCAM_MAX_RANK];
    int count, n = -1, named = bcam_in(lo, node, 3);
    bcam_status status = bcam_ints_of(lo, node, "pads", 1, pads, 2 * BCAM_MAX_RANK, &count, err);
    if (status == BCAM_OK && named >= 0)
        status = bcam_ints(lo, node, named, axes, BCAM_MAX_RANK, &n, err);
    if (status != BCAM_OK)
        return status;
    int of = n < 0 ? v->rank : n;
    if (count != 2 * of)
        return bcam_op_fail(node, err, "its pads must be two numbers for each of %d dimensions", of);
    *p = (padding){0};
    for (int i = 0; i < of; i++) {
        int a = i;
        status = n < 0 ? BCAM_OK : bcam_axis(node, axes[i], v->rank, &a, err);
        if (status != BCAM_OK)
            return status;
        p->begin[a] = pads[i];
        p->end[a] = pads[i + of];
    }
    for (int a = 0; a < v->rank; a++) {
        int64_t b = p->begin[a], e = p->end[a];
        if (b < -v->dim[a] || e < -v->dim[a] || b > 65536 || e > 65536)
            return bcam_op_fail(node, err, "a padding of %lld and %lld is not supported", (long long)b, (long long)e);
        if (v->dim[a] + (b < 0 ? b : 0) + (e < 0 ? e : 0) < 1)
            return bcam_op_fail(node, err, "its negative padding leaves nothing of dimension %d", a);
    }
    return BCAM_OK;
}

static int pad_constant(bcam_build *b, int x, const padding *p, double number)
{
    if (b->status != BCAM_OK)
        return -1;
    const bcam_value v = *bcam_val(b->lo, x);
    int64_t dim[BCAM_MAX_RANK];
    bool nothing = true;
    for (int a = 0; a < v.rank; a++) {
        dim[a] = v.dim[a] + p->begin[a] + p->end[a];
        nothing &= p->begin[a] == 0 && p->end[a] == 0;
    }
    if (nothing)
        return x;
    bcam_copy_attr *attr;
    bool batched = bcam_is_batched(b->lo, x) && v.rank > 0 && p->begin[0] == 0 && p->end[0] == 0;
    int y = bcam_build_copy(b, x, v.rank, dim, batched, &attr);
    if (y < 0)
        return -1;
    attr->fill = true;
    attr->fill_value = (float)number;
    for (int a = 0; a < v.rank; a++) { /* negative padding cuts */
        attr->extent[a] = v.dim[a] + (p->begin[a] < 0 ? p->begin[a] : 0) + (p->end[a] < 0 ? p->end[a] : 0);
        attr->to[a] = p->begin[a] > 0 ? p->begin[a] : 0;
        attr->from[a] = p->begin[a] < 0 ? -p->begin[a] : 0;
    }
    return y;
}

/* Where position `at` of n elements, maybe before or behind them, is read. */
static int64_t source_of(char mode, int64_t at, int64_t n)
{
    if (mode == 'e')
        return at < 0 ? 0 : at >= n ? n - 1 : at;
    int64_t period = mode == 'w' ? n : n > 1 ? 2 * (n - 1) : 1, inside = (at % period + period) % period;
    return inside < n ? inside : period - inside;
}

static int pad_axis(bcam_build *b, int x, int axis, char mode, int64_t begin, int64_t end)
{
    if (b->status != BCAM_OK || (begin == 0 && end == 0))
        return x;
    int64_t n = bcam_val(b->lo, x)->dim[axis], count = n + begin + end;
    int64_t *index = bcam_alloc((size_t)count, sizeof *index);
    if (!index) {
        b->status = bcam_op_memory(b->node, b->err);
        return -1;
    }
    for (int64_t i = 0; i < count; i++)
        index[i] = source_of(mode, i - begin, n);
    int y = bcam_build_take(b, x, axis, index, count);
    bcam_free(index);
    return y;
}

bcam_status bcam_op_pad(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    const char *mode = bcam_attr_string(node, "mode", "constant");
    int x = bcam_build_tensor(&b, 0), constant = bcam_in(lo, node, 2);
    padding p;
    if (b.status == BCAM_OK)
        b.status = read_padding(lo, node, bcam_val(lo, x), &p, err);
    if (b.status != BCAM_OK)
        return b.status;
    if (strcmp(mode, "constant") == 0) {
        if (constant >= 0 && (!bcam_is_const(lo, constant) ||
                              bcam_count(bcam_val(lo, constant)->rank, bcam_val(lo, constant)->dim) != 1))
            return bcam_op_fail(node, err, "its value must be one constant number");
        double number = constant >= 0 ? bcam_scalar(lo, constant) : bcam_attr_float(node, "value", 0);
        return bcam_build_end(&b, pad_constant(&b, x, &p, number));
    }
    if (strcmp(mode, "edge") != 0 && strcmp(mode, "reflect") != 0 && strcmp(mode, "wrap") != 0)
        return bcam_op_fail(node, err, "mode '%s' is not supported", mode);
    for (int a = 0, rank = bcam_val(lo, x)->rank; a < rank; a++)
        x = pad_axis(&b, x, a, *mode, p.begin[a], p.end[a]);
    return bcam_build_end(&b, x);
}
