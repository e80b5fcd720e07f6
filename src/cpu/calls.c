/* calls.c - the steps of a program bound to memory and prepared. */
#include <string.h>

#include "cpu/program.h"

void bcam_cpu_release_call(bcam_program *p, size_t call)
{
    if (p->slot[call] && p->slot[call]->release)
        p->slot[call]->release(&p->calls[call]);
    p->slot[call] = NULL;
    p->calls[call].state = NULL;
    p->calls[call].state_bytes = p->calls[call].scratch_bytes = 0;
}

/* The k-th run of a step sees the k-th part of each gradient. */
static bcam_tensor bound_operand(const bcam_program *p, const bcam_step *step, int value, int64_t k)
{
    bcam_tensor t = {0};
    if (value < 0)
        return t;
    t = p->place.tensors[value];
    memcpy(t.dim, bcam_step_operand(p->place.values, p->place.k, step, value).dim, sizeof t.dim);
    if (step->each_k && p->place.values[value].each_k)
        t.data = (char *)t.data + (size_t)(k * t.dim[0] * t.stride[0]) * bcam_dtype_bytes(t.dtype);
    return t;
}

static void bind_call(bcam_program *p, const bcam_cpu_range *range, const bcam_step *step, int64_t k, size_t index)
{
    const bcam_device *device = p->device;
    bcam_cpu_call *call = &p->calls[index];
    *call = (bcam_cpu_call){.step = step,
                            .plain = device->plain,
                            .threads = device->options.threads,
                            .deterministic = device->options.deterministic,
                            .context = device->context};
    for (int i = 0; i < BCAM_MAX_IN; i++) {
        call->in[i] = bound_operand(p, step, step->in[i], k);
        p->moves[index][i] = bcam_cpu_pass_operand(p, range, step->in[i], &call->in[i]);
        if (step->in[i] >= 0 && p->place.values[step->in[i]].role == BCAM_ROLE_CONST)
            call->in_const |= 1u << i;
    }
    for (int i = 0; i < BCAM_MAX_OUT; i++) {
        call->out[i] = bound_operand(p, step, step->out[i], k);
        p->moves[index][BCAM_MAX_IN + i] = bcam_cpu_pass_operand(p, range, step->out[i], &call->out[i]);
    }
}

/* A box that is copied counts photos. */
static bcam_status fit_copy(bcam_program *p, const bcam_cpu_range *range, bcam_cpu_call *call, bcam_error *err)
{
    bool copy = call->step->verb == BCAM_VERB_COPY || call->step->verb == BCAM_VERB_COPY_BWD;
    if (!copy || call->step->u.copy.reshape || range->photos == p->photos)
        return BCAM_OK;
    bcam_step *step = bcam_pool_alloc(&p->place.pool, 1, sizeof *step);
    if (!step)
        return bcam_fail_memory(err, sizeof *step, "a program");
    *step = *call->step;
    step->u.copy.extent[0] = range->photos;
    call->step = step;
    return BCAM_OK;
}

/* Chooses the slot: the overlay's unless it will not have the step. */
bcam_status bcam_cpu_prepare_call(bcam_program *p, size_t call, bcam_error *err)
{
    bcam_cpu_call *c = &p->calls[call];
    const bcam_cpu_verb *fast = &p->device->slots[c->step->verb],
                        *plain = bcam_cpu_is_short(c) ? &bcam_cpu_widened : &c->plain[c->step->verb];
    bcam_status status = BCAM_E_UNSUPPORTED;
    bcam_error why = {0};
    if (fast->run)
        status = fast->prepare ? fast->prepare(c, &why) : BCAM_OK;
    if (status != BCAM_E_UNSUPPORTED) {
        if (status)
            return bcam_fail(err, status, "%s", why.message);
        p->slot[call] = fast;
        return BCAM_OK;
    }
    c->state = NULL;
    c->state_bytes = c->scratch_bytes = 0;
    if (plain->prepare && (status = plain->prepare(c, err)))
        return status;
    p->slot[call] = plain;
    return BCAM_OK;
}

/* One block for all calls, as large as the largest asks for. */
bcam_status bcam_cpu_share_scratch(bcam_program *p, bcam_error *err)
{
    size_t most = 0;
    for (size_t c = 0; c < p->call_count; c++)
        most = p->calls[c].scratch_bytes > most ? p->calls[c].scratch_bytes : most;
    if (most > p->scratch_bytes) {
        bcam_free(p->scratch);
        p->scratch_bytes = 0;
        if (!(p->scratch = bcam_alloc_aligned(most)))
            return bcam_fail_memory(err, most, "the steps' own use");
        p->scratch_bytes = most;
    }
    for (size_t c = 0; c < p->call_count; c++)
        p->calls[c].scratch = p->scratch;
    return BCAM_OK;
}

bcam_status bcam_cpu_bind_steps(bcam_program *p, bcam_error *err)
{
    size_t count = 0;
    bcam_status status = BCAM_OK;
    for (size_t s = 0; s < p->place.step_count; s++) {
        p->first_call[s] = (int)count;
        count += p->place.alias[s] ? 0 : p->place.steps[s].each_k ? (size_t)p->place.k : 1;
    }
    p->first_call[p->place.step_count] = (int)count;
    p->calls = bcam_pool_alloc(&p->place.pool, count, sizeof *p->calls);
    p->slot = bcam_pool_alloc(&p->place.pool, count, sizeof *p->slot);
    p->moves = bcam_pool_alloc(&p->place.pool, count, sizeof *p->moves);
    if (!p->calls || !p->slot || !p->moves)
        return bcam_fail_memory(err, count * sizeof *p->calls, "a program");
    p->call_count = count;
    for (size_t r = 0; r < p->range_count; r++)
        for (int s = p->ranges[r].first; s < p->ranges[r].end; s++)
            for (int c = p->first_call[s]; c < p->first_call[s + 1] && !status; c++) {
                bind_call(p, &p->ranges[r], &p->place.steps[s], c - p->first_call[s], (size_t)c);
                status = fit_copy(p, &p->ranges[r], &p->calls[c], err);
            }
    for (size_t c = 0; c < count && !status; c++)
        status = bcam_cpu_prepare_call(p, c, err);
    return status ? status : bcam_cpu_share_scratch(p, err);
}
