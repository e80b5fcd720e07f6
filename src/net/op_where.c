/* op_where.c - choices: comparisons, their logic, and Where, with a condition that is constant or computed from the photo. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "net/build.h"

/* ---- comparisons of photos' data: 1 where they hold, else 0, with no derivative ---- */

/* Steep enough that only differences below 1e-38 fall in between. */
static int is_greater(bcam_build *b, int x, int y)
{
    int slope = bcam_build_linear(b, bcam_build_binary(b, BCAM_BINARY_SUB, x, y), 1e38, 0);
    return bcam_build_function(b, slope, BCAM_UNARY_CLIP, 0, 1);
}

static int opposite(bcam_build *b, int x)
{
    return bcam_build_linear(b, x, -1, 1);
}

bcam_status bcam_op_compare(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = bcam_build_operand(&b, 0), y = bcam_build_operand(&b, 1);
    if (strcmp(node->op, "Greater") == 0)
        return bcam_build_end(&b, is_greater(&b, x, y));
    if (strcmp(node->op, "Less") == 0)
        return bcam_build_end(&b, is_greater(&b, y, x));
    bool at_least = strcmp(node->op, "GreaterOrEqual") == 0;
    return bcam_build_end(&b, opposite(&b, at_least ? is_greater(&b, y, x) : is_greater(&b, x, y)));
}

/* -1, 0 or 1, as a difference of two, so that the derivative is 0 at 0, too. */
bcam_status bcam_op_sign(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = bcam_build_tensor(&b, 0);
    int above = bcam_build_function(&b, bcam_build_linear(&b, x, 1e38, 0), BCAM_UNARY_CLIP, 0, 1);
    int below = bcam_build_function(&b, bcam_build_linear(&b, x, -1e38, 0), BCAM_UNARY_CLIP, 0, 1);
    return bcam_build_end(&b, bcam_build_binary(&b, BCAM_BINARY_SUB, above, below));
}

/* A cast to bool: whatever is not 0. */
bcam_status bcam_op_truth(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int size = bcam_build_unary(&b, bcam_build_tensor(&b, 0), BCAM_UNARY_ABS);
    return bcam_build_end(&b, bcam_build_function(&b, bcam_build_linear(&b, size, 1e38, 0), BCAM_UNARY_CLIP, 0, 1));
}

/* And, Or, Not of such numbers. */
bcam_status bcam_op_logic(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = bcam_build_operand(&b, 0);
    if (strcmp(node->op, "Not") == 0)
        return bcam_build_end(&b, opposite(&b, x));
    int y = bcam_build_operand(&b, 1);
    return bcam_build_end(&b, bcam_build_binary(&b, *node->op == 'A' ? BCAM_BINARY_MIN : BCAM_BINARY_MAX, x, y));
}

/* ---- Where ---- */

/* The condition as numbers 1 and 0, or their opposite. *all: 1 or 0 where it is the same everywhere, else -1. */
static int mask_of(bcam_build *b, int condition, bool opposite, int *all)
{
    if (b->status != BCAM_OK)
        return -1;
    const bcam_value v = *bcam_val(b->lo, condition);
    int64_t count = bcam_count(v.rank, v.dim), set = 0;
    float *data;
    int value = bcam_build_new(b, v.rank, v.dim, &data);
    if (value < 0)
        return -1;
    bcam_const_read(&v, BCAM_F32, data);
    for (int64_t i = 0; i < count; i++) {
        set += data[i] != 0;
        data[i] = (data[i] != 0) != opposite ? 1 : 0;
    }
    *all = set == count ? 1 : set == 0 ? 0 : -1;
    return value;
}

/* A branch where the mask is 1, and 0 elsewhere. What a constant branch holds elsewhere, often minus infinity, must not be multiplied. */
static int masked(bcam_build *b, int branch, int mask)
{
    if (b->status != BCAM_OK || !bcam_is_const(b->lo, branch))
        return bcam_build_binary(b, BCAM_BINARY_MUL, branch, mask);
    bcam_value v = *bcam_val(b->lo, branch), m = *bcam_val(b->lo, mask);
    const bcam_value *both[2] = {&v, &m};
    int rank;
    int64_t dim[BCAM_MAX_RANK];
    b->status = bcam_broadcast(b->node, both, 2, &rank, dim, b->err);
    if (b->status != BCAM_OK)
        return -1;
    v = bcam_broadcast_view(&v, rank, dim);
    m = bcam_broadcast_view(&m, rank, dim);
    float *data, *keep;
    int value = bcam_build_new(b, rank, dim, &data), other = bcam_build_new(b, rank, dim, &keep);
    if (b->status != BCAM_OK)
        return -1;
    (void)other;
    bcam_const_read(&v, BCAM_F32, data);
    bcam_const_read(&m, BCAM_F32, keep);
    for (int64_t i = 0, n = bcam_count(rank, dim); i < n; i++)
        data[i] = keep[i] != 0 ? data[i] : 0;
    return value;
}

/* What is chosen nowhere must not be infinite: it is multiplied by 0. */
static int bounded(bcam_build *b, int x)
{
    if (b->status != BCAM_OK || !bcam_is_const(b->lo, x))
        return bcam_build_function(b, x, BCAM_UNARY_CLIP, (double)-FLT_MAX, (double)FLT_MAX);
    const bcam_value v = *bcam_val(b->lo, x);
    float *data;
    int value = bcam_build_new(b, v.rank, v.dim, &data);
    if (value < 0)
        return -1;
    bcam_const_read(&v, BCAM_F32, data);
    for (int64_t i = 0, n = bcam_count(v.rank, v.dim); i < n; i++)
        data[i] = fminf(fmaxf(data[i], -FLT_MAX), FLT_MAX);
    return value;
}

/* A condition of the photo's own: c x + (1 - c) y. */
static bcam_status where_of_photo(bcam_build *b, int condition, int x, int y)
{
    int chosen = bcam_build_binary(b, BCAM_BINARY_MUL, condition, bounded(b, x));
    int other = bcam_build_binary(b, BCAM_BINARY_MUL, opposite(b, condition), bounded(b, y));
    return bcam_build_end(b, bcam_build_binary(b, BCAM_BINARY_ADD, chosen, other));
}

/* A constant condition: a times the mask plus b times its opposite. */
bcam_status bcam_op_where(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int condition = bcam_build_operand(&b, 0), x = bcam_build_operand(&b, 1), y = bcam_build_operand(&b, 2), all = -1;
    if (b.status == BCAM_OK && !bcam_is_const(lo, condition))
        return where_of_photo(&b, condition, x, y);
    int mask = mask_of(&b, condition, false, &all), rest = mask_of(&b, condition, true, &all);
    if (b.status != BCAM_OK)
        return b.status;
    int chosen = all == 1 ? x : y, rank;
    int64_t dim[BCAM_MAX_RANK];
    const bcam_value *v = bcam_val(lo, chosen), *every[3] = {bcam_val(lo, condition), bcam_val(lo, x), bcam_val(lo, y)};
    b.status = bcam_broadcast(node, every, 3, &rank, dim, err);
    if (b.status != BCAM_OK)
        return b.status;
    bool as_large = rank == v->rank && memcmp(dim, v->dim, (size_t)rank * sizeof *dim) == 0;
    if (all >= 0 && as_large && !bcam_is_const(lo, chosen))
        return bcam_build_end(&b, chosen);
    x = masked(&b, x, mask);
    y = masked(&b, y, rest);
    return bcam_build_end(&b, bcam_build_binary(&b, BCAM_BINARY_ADD, x, y));
}
