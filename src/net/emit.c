/* emit.c - steps that operators of several families are made of. */
#include <string.h>

#include "net/lower.h"

bcam_status bcam_emit_unary(bcam_lower *lo, const bcam_node *node, int x, bcam_unary_attr attr, int *value,
                            bcam_error *err)
{
    const bcam_value v = *bcam_val(lo, x);
    bcam_step *step;
    bcam_status status = bcam_emit_value(lo, node, node->outputs[0], BCAM_VERB_UNARY, v.rank, v.dim,
                                         bcam_is_batched(lo, x), &step, value, err);
    if (status == BCAM_OK) {
        step->in[0] = x;
        step->u.unary = attr;
    }
    return status;
}

bcam_status bcam_emit_binary(bcam_lower *lo, const bcam_node *node, int a, int b, bcam_binary_kind kind, int *value,
                             bcam_error *err)
{
    const bcam_value va = *bcam_val(lo, a), vb = *bcam_val(lo, b);
    int rank;
    int64_t dim[BCAM_MAX_RANK];
    const bcam_value *both[2] = {&va, &vb};
    bcam_status status = bcam_broadcast(node, both, 2, &rank, dim, err);
    if (status != BCAM_OK)
        return status;
    /* Each operand either has the batch in front too, or is the same for every photo. One that has it elsewhere, as broadcasting from the right
     * makes of (N,C) beside (N,T,C), would mix photos. */
    bool batched = true, any = false;
    const int operand[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        const bcam_value *v = i ? &vb : &va;
        bool has_batch = bcam_is_batched(lo, operand[i]) && v->rank == rank;
        batched &= has_batch || (!bcam_is_batched(lo, operand[i]) && (v->rank < rank || v->dim[0] == 1));
        any |= has_batch;
    }
    bcam_step *step;
    status =
        bcam_emit_value(lo, node, node->outputs[0], BCAM_VERB_BINARY, rank, dim, batched && any, &step, value, err);
    if (status != BCAM_OK)
        return status;
    step->in[0] = a;
    step->in[1] = b;
    step->u.binary.kind = kind;
    return BCAM_OK;
}

bcam_status bcam_emit_reduce(bcam_lower *lo, const bcam_node *node, int x, bcam_reduce_kind kind, unsigned axes,
                             int *value, bcam_error *err)
{
    const bcam_value v = *bcam_val(lo, x);
    int64_t dim[BCAM_MAX_RANK];
    for (int a = 0; a < v.rank; a++)
        dim[a] = axes >> a & 1 ? 1 : v.dim[a];
    bool batched = bcam_is_batched(lo, x) && !(axes & 1);
    bcam_step *step;
    bcam_status status =
        bcam_emit_value(lo, node, node->outputs[0], BCAM_VERB_REDUCE, v.rank, dim, batched, &step, value, err);
    if (status != BCAM_OK)
        return status;
    step->in[0] = x;
    step->u.reduce.kind = kind;
    step->u.reduce.axes = axes;
    return BCAM_OK;
}

bcam_status bcam_emit_norm(bcam_lower *lo, const bcam_node *node, int x, int scale, int shift, int *value,
                           bcam_error *err)
{
    const bcam_value v = *bcam_val(lo, x);
    bcam_status status = BCAM_OK;
    if (scale < 0) {
        void *ones;
        status = bcam_const_new(lo, node, "1", BCAM_F32, 1, &v.dim[1], &ones, &scale, err);
        for (int64_t c = 0; status == BCAM_OK && c < v.dim[1]; c++)
            ((float *)ones)[c] = 1;
    }
    bcam_step *step;
    if (status == BCAM_OK)
        status = bcam_emit_value(lo, node, node->outputs[0], BCAM_VERB_NORM, v.rank, v.dim, bcam_is_batched(lo, x),
                                 &step, value, err);
    if (status == BCAM_OK) {
        step->in[0] = x;
        step->in[1] = scale;
        step->in[2] = shift;
    }
    return status;
}

/* ---- copies ---- */

bcam_status bcam_emit_copy(bcam_lower *lo, const bcam_node *node, int x, int rank, const int64_t *dim, bool batched,
                           bcam_copy_attr **attr, int *value, bcam_error *err)
{
    bcam_step *step;
    bcam_status status =
        bcam_emit_value(lo, node, node->outputs[0], BCAM_VERB_COPY, rank, dim, batched, &step, value, err);
    if (status != BCAM_OK)
        return status;
    step->in[0] = x;
    *attr = &step->u.copy;
    for (int a = 0; a < BCAM_MAX_RANK; a++) {
        (*attr)->extent[a] = a < rank ? dim[a] : 1;
        (*attr)->axis[a] = a;
        (*attr)->step[a] = 1;
    }
    return BCAM_OK;
}

/* How many indices from the first on are one box: a number again and again (step 0), or an even stride. */
static int64_t run_length(const int64_t *index, int64_t count, int64_t *step)
{
    *step = count > 1 ? index[1] - index[0] : 1;
    int64_t n = 1;
    while (n < count && index[n] - index[n - 1] == *step)
        n++;
    if (n == 2 && count > 2 && *step != 0 && index[2] == index[1])
        n = 1; /* 0, 1, 1: the equal ones belong together */
    return n;
}

bcam_status bcam_emit_take(bcam_lower *lo, const bcam_node *node, int x, int axis, const int64_t *index, int64_t count,
                           int *value, bcam_error *err)
{
    enum { MOST = 4096 }; /* boxes */
    const bcam_value v = *bcam_val(lo, x);
    int64_t dim[BCAM_MAX_RANK], step = 1;
    for (int64_t i = 0; i < count; i++)
        if (index[i] < 0 || index[i] >= v.dim[axis])
            return bcam_op_fail(node, err, "index %lld is outside %lld elements", (long long)index[i],
                                (long long)v.dim[axis]);
    if (count == v.dim[axis] && index[0] == 0 && run_length(index, count, &step) == count && step == 1) {
        *value = x;
        return BCAM_OK;
    }
    memcpy(dim, v.dim, sizeof dim);
    dim[axis] = count;
    bcam_copy_attr *attr;
    bcam_status status =
        bcam_emit_copy(lo, node, x, v.rank, dim, bcam_is_batched(lo, x) && axis != 0, &attr, value, err);
    if (status != BCAM_OK)
        return status;
    const bcam_step proto = lo->plan->steps[lo->plan->step_count - 1];
    int boxes = 0;
    for (int64_t at = 0, n; at < count; at += n) {
        bcam_step *box = at == 0 ? &lo->plan->steps[lo->plan->step_count - 1]
                                 : bcam_plan_step(lo->plan, BCAM_VERB_COPY, BCAM_SEGMENT_FORWARD, proto.name);
        if (!box)
            return bcam_op_memory(node, err);
        if (++boxes > MOST)
            return bcam_op_fail(node, err, "its indices jump %d times, which is too often", MOST);
        n = run_length(index + at, count - at, &step);
        *box = proto;
        box->u.copy.extent[axis] = n;
        box->u.copy.to[axis] = at;
        box->u.copy.from[axis] = index[at];
        box->u.copy.axis[axis] = step == 0 ? -1 : axis;
        box->u.copy.step[axis] = step == 0 || n == 1 ? 1 : step;
    }
    return BCAM_OK;
}

/* ---- arithmetic with broadcasting ---- */

/* Whether constant b, broadcast to x, is one number a channel: (C,1,1), (1,C,1,1), … */
static bool is_per_channel(const bcam_value *x, const bcam_value *b)
{
    int channel = b->rank - (x->rank - 1); /* b's axis that meets x's axis 1 */
    if (x->rank < 2 || b->rank > x->rank || channel < 0 || b->dim[channel] != x->dim[1])
        return false;
    return bcam_count(b->rank, b->dim) == x->dim[1];
}

/* x op constant, where it is a scale or a shift of whole channels: such a step folds into the convolution before it. */
static bcam_status emit_channel_arithmetic(bcam_lower *lo, const bcam_node *node, int x, int b, bcam_binary_kind kind,
                                           int *value, bcam_error *err)
{
    const bcam_value from = *bcam_val(lo, b);
    int64_t channels = bcam_val(lo, x)->dim[1];
    int vector;
    void *data;
    bcam_status status = bcam_const_new(lo, node, from.name, BCAM_F32, 1, &channels, &data, &vector, err);
    if (status != BCAM_OK)
        return status;
    bcam_const_read(&from, BCAM_F32, data);
    for (int64_t c = 0; c < channels; c++) {
        float *f = (float *)data + c;
        *f = kind == BCAM_BINARY_SUB ? -*f : kind == BCAM_BINARY_DIV ? 1 / *f : *f;
    }
    bool scales = kind == BCAM_BINARY_MUL || kind == BCAM_BINARY_DIV;
    return bcam_emit_norm(lo, node, x, scales ? vector : -1, scales ? -1 : vector, value, err);
}

static bcam_status emit_scalar_arithmetic(bcam_lower *lo, const bcam_node *node, int x, int b, bcam_binary_kind kind,
                                          int *value, bcam_error *err)
{
    double s = bcam_scalar(lo, b);
    bcam_unary_attr attr = {BCAM_UNARY_LINEAR, 1, 0};
    switch (kind) {
    case BCAM_BINARY_ADD:
        attr.beta = (float)s;
        break;
    case BCAM_BINARY_SUB:
        attr.beta = (float)-s;
        break;
    case BCAM_BINARY_DIV:
        attr.alpha = (float)(1 / s);
        break;
    default:
        attr.alpha = (float)s;
        break;
    }
    return bcam_emit_unary(lo, node, x, attr, value, err);
}

/* A constant of integers among real numbers: the exponent of a Pow may be one. */
static bcam_status as_real(bcam_lower *lo, const bcam_node *node, int *x, bcam_error *err)
{
    const bcam_value v = *bcam_val(lo, *x);
    if (v.role != BCAM_ROLE_CONST || v.dtype == BCAM_F32)
        return BCAM_OK;
    void *data;
    bcam_status status = bcam_const_new(lo, node, v.name, BCAM_F32, v.rank, v.dim, &data, x, err);
    if (status == BCAM_OK)
        bcam_const_read(&v, BCAM_F32, data);
    return status;
}

bcam_status bcam_emit_arithmetic(bcam_lower *lo, const bcam_node *node, int a, int b, bcam_binary_kind kind, int *value,
                                 bcam_error *err)
{
    bool commutes = kind == BCAM_BINARY_ADD || kind == BCAM_BINARY_MUL;
    bool linear = commutes || kind == BCAM_BINARY_SUB || kind == BCAM_BINARY_DIV;
    int x = bcam_is_const(lo, b) ? a : b, constant = x == a ? b : a;
    if (linear && bcam_is_const(lo, constant) && (x == a || commutes)) {
        const bcam_value *vx = bcam_val(lo, x), *vc = bcam_val(lo, constant);
        if (bcam_count(vc->rank, vc->dim) == 1 && vc->rank <= vx->rank)
            return emit_scalar_arithmetic(lo, node, x, constant, kind, value, err);
        if (is_per_channel(vx, vc))
            return emit_channel_arithmetic(lo, node, x, constant, kind, value, err);
    }
    bcam_status status = as_real(lo, node, &a, err);
    if (status == BCAM_OK)
        status = as_real(lo, node, &b, err);
    return status != BCAM_OK ? status : bcam_emit_binary(lo, node, a, b, kind, value, err);
}
