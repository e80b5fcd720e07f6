/* guard.c - finding steps that write outside their values, for tests: every value of the arena has a canary before and behind it, and is NaN until
 * its first writer has run. Steps are waited for one by one, and nothing is captured. */
#include <string.h>

#include "cuda/cuda.h"

enum { CANARY = 0xA5, POISON = 0xFF /* NaN in every type */ };

static bcam_status fill(const bcam_program *p, char *data, int byte, size_t bytes, bcam_error *err)
{
    return bcam_cuda_check(cudaMemsetAsync(data, byte, bytes, p->device->compute), "cudaMemsetAsync", "guarding memory",
                           err);
}

static bcam_status set_canaries(bcam_program *p, size_t value, bcam_error *err)
{
    const bcam_span *span = &p->place.spans[value];
    bcam_status status = fill(p, p->arena + span->offset - BCAM_CUDA_CANARY, CANARY, BCAM_CUDA_CANARY, err);
    p->born[value] = true;
    return status ? status : fill(p, p->arena + span->offset + span->bytes, CANARY, BCAM_CUDA_CANARY, err);
}

bcam_status bcam_cuda_guard_start(bcam_program *p, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    if (!(p->born = bcam_pool_alloc(&p->place.pool, p->place.value_count, sizeof *p->born)))
        return bcam_fail_memory(err, p->place.value_count, "the guard");
    for (size_t v = 0; v < p->place.value_count && !status; v++)
        if (p->place.spans[v].bytes > 0 && p->place.birth[v] < 0)
            status = set_canaries(p, v, err);
    return status;
}

bcam_status bcam_cuda_guard_before(bcam_program *p, int step, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    for (size_t v = 0; v < p->place.value_count && !status; v++)
        if (p->place.spans[v].bytes > 0 && p->place.birth[v] == step) {
            status = fill(p, p->arena + p->place.spans[v].offset, POISON, p->place.spans[v].bytes, err);
            if (!status)
                status = set_canaries(p, v, err);
        }
    return status;
}

/* Whether the canary at `device` is as it was set. */
static bcam_status look(const bcam_program *p, const char *device, bool *whole, bcam_error *err)
{
    unsigned char canary[BCAM_CUDA_CANARY];
    cudaStream_t stream = p->device->compute;
    bcam_status status = bcam_cuda_check(cudaMemcpyAsync(canary, device, sizeof canary, cudaMemcpyDeviceToHost, stream),
                                         "cudaMemcpyAsync", "looking at the guard", err);
    if (!status)
        status = bcam_cuda_check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", "looking at the guard", err);
    *whole = true;
    for (size_t i = 0; i < sizeof canary && !status; i++)
        *whole &= canary[i] == CANARY;
    return status;
}

bcam_status bcam_cuda_guard_after(bcam_program *p, int step, bcam_error *err)
{
    for (size_t v = 0; v < p->place.value_count; v++) {
        const bcam_span *span = &p->place.spans[v];
        bool before = true, behind = true;
        if (!span->bytes || step < span->first || step > span->last || !p->born[v])
            continue;
        bcam_status status = look(p, p->arena + span->offset - BCAM_CUDA_CANARY, &before, err);
        if (!status)
            status = look(p, p->arena + span->offset + span->bytes, &behind, err);
        if (status)
            return status;
        if (!before || !behind)
            return bcam_fail(err, BCAM_E_INTERNAL, "step '%s' (%s) wrote outside its outputs: %s '%s'",
                             p->place.steps[step].name, bcam_verb_name(p->place.steps[step].verb),
                             before ? "behind" : "before", p->place.values[v].name);
    }
    return BCAM_OK;
}
