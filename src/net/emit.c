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

static bcam_status broadcast_dims(const bcam_node *node, const bcam_value *a, const bcam_value *b, int *rank,
                                  int64_t *dim, bcam_error *err)
{
    *rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 0; i < *rank; i++) {
        int64_t da = i < a->rank ? a->dim[a->rank - 1 - i] : 1, db = i < b->rank ? b->dim[b->rank - 1 - i] : 1;
        if (da != db && da != 1 && db != 1)
            return bcam_op_fail(node, err, "its inputs' dimensions %lld and %lld do not fit", (long long)da,
                                (long long)db);
        dim[*rank - 1 - i] = da == 1 ? db : da;
    }
    return BCAM_OK;
}

bcam_status bcam_emit_binary(bcam_lower *lo, const bcam_node *node, int a, int b, bcam_binary_kind kind, int *value,
                             bcam_error *err)
{
    const bcam_value va = *bcam_val(lo, a), vb = *bcam_val(lo, b);
    int rank;
    int64_t dim[BCAM_MAX_RANK];
    bcam_status status = broadcast_dims(node, &va, &vb, &rank, dim, err);
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

bcam_status bcam_emit_norm(bcam_lower *lo, const bcam_node *node, int x, int scale, int shift, bcam_error *err)
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
        status = bcam_emit(lo, node, BCAM_VERB_NORM, v.rank, v.dim, bcam_is_batched(lo, x), &step, err);
    if (status == BCAM_OK) {
        step->in[0] = x;
        step->in[1] = scale;
        step->in[2] = shift;
    }
    return status;
}
