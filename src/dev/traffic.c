/* traffic.c - the bytes that a step moves at least: each operand read once and each result written once, in the type that it is stored in. */
#include "dev/dev.h"

bcam_status bcam_plan_own_types(const bcam_plan *plan, bool **own, bcam_error *err)
{
    *own = bcam_alloc(plan->value_count + 1, sizeof **own);
    if (!*own)
        return bcam_fail_memory(err, plan->value_count, "a list of values");
    for (size_t s = 0; s < plan->step_count; s++) {
        const bcam_step *step = &plan->steps[s];
        bool map = step->verb == BCAM_VERB_CAM || step->verb == BCAM_VERB_UPSAMPLE;
        for (int i = 0; i < BCAM_MAX_OUT; i++)
            if (step->out[i] >= 0 && (map || (step->verb == BCAM_VERB_SELECT && i < 3)))
                (*own)[step->out[i]] = true;
        if (step->verb == BCAM_VERB_PREP && step->in[1] >= 0)
            (*own)[step->in[1]] = true;
    }
    return BCAM_OK;
}

static double bytes_of(const bcam_plan *plan, const bool *own, double real_bytes, int value)
{
    const bcam_value *v = &plan->values[value];
    double size = v->dtype == BCAM_F32 && !own[value] ? real_bytes : (double)bcam_dtype_bytes(v->dtype);
    return size * (double)bcam_count(v->rank, v->dim);
}

/* Of a convolution's input: one of 1x1 with a stride passes over whole pixels. */
static double share_read(const bcam_plan *plan, const bcam_step *step)
{
    if (step->verb != BCAM_VERB_CONV)
        return 1;
    const bcam_value *w = &plan->values[step->in[1]];
    double strides = (double)(step->u.conv.stride[0] * step->u.conv.stride[1]);
    return w->rank == 4 && w->dim[2] == 1 && w->dim[3] == 1 ? 1 / strides : 1;
}

double bcam_step_bytes(const bcam_plan *plan, const bool *own, double real_bytes, const bcam_step *step)
{
    double bytes = 0;
    const bcam_copy_attr *copy = &step->u.copy;
    if (step->verb == BCAM_VERB_COPY && !copy->reshape && !copy->fill) { /* a part of y */
        const bcam_value *y = &plan->values[step->out[0]];
        return 2 * real_bytes * (double)bcam_count(y->rank, copy->extent);
    }
    for (int i = 0; i < BCAM_MAX_IN; i++)
        if (step->in[i] >= 0)
            bytes += bytes_of(plan, own, real_bytes, step->in[i]) * (i == 0 ? share_read(plan, step) : 1);
    for (int i = 0; i < BCAM_MAX_OUT; i++)
        bytes += step->out[i] >= 0 ? bytes_of(plan, own, real_bytes, step->out[i]) : 0;
    return bytes;
}
