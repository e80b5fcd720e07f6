/* program.c - compiling a plan: steps are bound to addresses, algorithms chosen, and the workspace made that the largest of them needs. */
#include <stdio.h>
#include <string.h>

#include "cuda/cuda.h"

static bool is_conv(bcam_verb verb)
{
    return verb == BCAM_VERB_CONV || verb == BCAM_VERB_CONV_BWD;
}

static bool is_gemm(bcam_verb verb)
{
    return verb == BCAM_VERB_GEMM || verb == BCAM_VERB_GEMM_BWD;
}

bcam_status bcam_cuda_query(bcam_device *device, const bcam_plan *plan, const bcam_step *step, bcam_error *err)
{
    (void)device;
    bcam_status status = bcam_step_check(plan, step, err);
    if (!status && !is_conv(step->verb) && !is_gemm(step->verb) && !bcam_kernels[step->verb])
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "step '%s': CUDA has no kernel for %s", step->name,
                         bcam_verb_name(step->verb));
    return status;
}

/* ---- binding ---- */

/* The k-th run of a step sees the k-th part of each gradient. */
static bcam_tensor bound_operand(const bcam_program *p, const bcam_step *step, int value, int pair, int64_t k)
{
    bcam_tensor t = {0};
    if (value < 0)
        return t;
    t = bcam_cuda_tensor(p, value, pair);
    memcpy(t.dim, bcam_step_operand(p->place.values, p->place.k, step, value).dim, sizeof t.dim);
    if (step->each_k && p->place.values[value].each_k)
        t.data = (char *)t.data + (size_t)(k * t.dim[0] * t.stride[0]) * bcam_dtype_bytes(t.dtype);
    return t;
}

static bcam_status bind_calls(bcam_program *p, bcam_error *err)
{
    size_t count = 0;
    bcam_placement *place = &p->place;
    if (!(p->first_call = bcam_pool_alloc(&place->pool, place->step_count + 1, sizeof *p->first_call)))
        return bcam_fail_memory(err, place->pool.bytes, "a program");
    for (size_t s = 0; s < place->step_count; s++) {
        p->first_call[s] = (int)count;
        count += place->alias[s] ? 0 : place->steps[s].each_k ? (size_t)place->k : 1;
    }
    p->first_call[place->step_count] = (int)count;
    p->call_count = count;
    for (int pair = 0; pair < BCAM_CUDA_PAIRS; pair++) {
        bcam_cuda_call *calls = bcam_pool_alloc(&place->pool, count, sizeof *calls);
        if (!(p->pair[pair].calls = calls))
            return bcam_fail_memory(err, count * sizeof *calls, "a program");
        for (size_t s = 0; s < place->step_count; s++)
            for (int c = p->first_call[s]; c < p->first_call[s + 1]; c++) {
                bcam_kernel_call *call = &calls[c].kernel;
                call->step = &place->steps[s];
                for (int i = 0; i < BCAM_MAX_IN; i++)
                    call->in[i] = bound_operand(p, call->step, call->step->in[i], pair, c - p->first_call[s]);
                for (int i = 0; i < BCAM_MAX_OUT; i++)
                    call->out[i] = bound_operand(p, call->step, call->step->out[i], pair, c - p->first_call[s]);
            }
    }
    return BCAM_OK;
}

/* ---- convolutions and poolings ---- */

static bcam_conv_problem problem_of(const bcam_program *p, const bcam_kernel_call *call)
{
    bcam_verb verb = call->step->verb;
    bool forward = verb == BCAM_VERB_CONV || verb == BCAM_VERB_POOL;
    bcam_conv_problem problem = {.step = call->step,
                                 .x = forward ? call->in[0] : call->out[0],
                                 .y = forward ? call->out[0] : call->in[0],
                                 .strict = p->device->options.precision == BCAM_PRECISION_FP32};
    if (is_conv(verb))
        problem.w = call->in[1];
    if (verb == BCAM_VERB_CONV) {
        problem.bias = call->in[2];
        problem.residual = call->in[3];
    }
    return problem;
}

/* The same engine for all problems that are alike, in both pairs too. */
static bcam_status choose_conv(bcam_program *p, bcam_cuda_call *call, bcam_cuda_block *trial, bcam_error *err)
{
    bcam_conv_problem problem = problem_of(p, &call->kernel);
    if (bcam_is_pool(call->kernel.step->verb) && !bcam_pool_asks(p->device->dnn, &problem))
        return BCAM_OK;
    char *key = bcam_conv_key(p->device->dnn, &problem);
    if (!key)
        return bcam_fail_memory(err, 1024, "a convolution");
    bcam_conv *conv = NULL;
    for (size_t i = 0; i < p->conv_count && !conv; i++)
        if (bcam_conv_is(p->convs[i], key))
            conv = p->convs[i];
    bcam_free(key);
    if (!conv) {
        bcam_status status = bcam_conv_open(p->device->dnn, &problem, trial, &conv, err);
        if (status)
            return status;
        p->convs[p->conv_count++] = conv;
    }
    call->conv = bcam_conv_is_own(conv) ? NULL : conv;
    return BCAM_OK;
}

static bool may_be_cudnn(bcam_verb verb)
{
    return is_conv(verb) || bcam_is_pool(verb);
}

static bcam_status choose_convs(bcam_program *p, bcam_error *err)
{
    bcam_cuda_block trial = {0};
    bcam_status status = BCAM_OK;
    size_t count = 0;
    for (size_t c = 0; c < p->call_count; c++)
        count += may_be_cudnn(p->pair[0].calls[c].kernel.step->verb);
    if (!(p->convs = bcam_pool_alloc(&p->place.pool, BCAM_CUDA_PAIRS * count, sizeof(bcam_conv *))))
        return bcam_fail_memory(err, count * sizeof(bcam_conv *), "a program");
    for (size_t c = 0; c < p->call_count && !status; c++)
        for (int pair = 0; pair < BCAM_CUDA_PAIRS && !status; pair++)
            if (may_be_cudnn(p->pair[pair].calls[c].kernel.step->verb))
                status = choose_conv(p, &p->pair[pair].calls[c], &trial, err);
    cudaFree(trial.data);
    return status;
}

static bcam_status pack_convs(bcam_program *p, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    for (int pair = 0; pair < BCAM_CUDA_PAIRS; pair++)
        for (size_t c = 0; c < p->call_count && !status; c++) {
            bcam_cuda_call *call = &p->pair[pair].calls[c];
            if (!call->conv)
                continue;
            bcam_conv_problem problem = problem_of(p, &call->kernel);
            status = bcam_conv_pack_open(call->conv, &problem, p->workspace, &call->pack, err);
        }
    return status;
}

/* ---- workspace: one block. Steps run one after the other, so cuDNN's part, cuBLAS's and the kernels' may be the same. ---- */

static bcam_status make_workspace(bcam_program *p, bcam_error *err)
{
    size_t most = 0, library = bcam_cublas_workspace(p->device->blas);
    for (int pair = 0; pair < BCAM_CUDA_PAIRS; pair++)
        for (size_t c = 0; c < p->call_count; c++) {
            const bcam_cuda_call *call = &p->pair[pair].calls[c];
            bcam_verb verb = call->kernel.step->verb;
            size_t needed = call->conv      ? bcam_conv_workspace(call->conv)
                            : is_gemm(verb) ? library
                                            : bcam_kernel_scratch(&call->kernel);
            most = needed > most ? needed : most;
        }
    bcam_status status = bcam_cuda_malloc(most, "the workspace", &p->workspace, err);
    if (status)
        return status;
    p->workspace_bytes = most;
    for (int pair = 0; pair < BCAM_CUDA_PAIRS; pair++)
        for (size_t c = 0; c < p->call_count; c++)
            p->pair[pair].calls[c].kernel.scratch = (float *)p->workspace;
    return BCAM_OK;
}

/* ---- compiling ---- */

static void destroy_pair(bcam_program *p, bcam_cuda_pair *pair)
{
    cudaEvent_t const events[] = {pair->copied_in, pair->computed, pair->copied_out};
    for (int m = 0; m < BCAM_CUDA_MASKS; m++)
        if (pair->graphs[m].exec)
            cudaGraphExecDestroy(pair->graphs[m].exec);
    for (size_t c = 0; pair->calls && c < p->call_count; c++)
        bcam_conv_pack_close(&pair->calls[c].pack);
    for (size_t e = 0; e < BCAM_COUNT(events); e++)
        if (events[e])
            cudaEventDestroy(events[e]);
    cudaFree(pair->device);
    if (pair->host)
        cudaFreeHost(pair->host);
}

void bcam_cuda_destroy(bcam_program **program)
{
    bcam_program *p = *program;
    if (!p)
        return;
    cudaSetDevice(p->device->options.index);
    bcam_cuda_settle(p->device->in); /* nothing may be under way when memory goes */
    bcam_cuda_settle(p->device->compute);
    bcam_cuda_settle(p->device->out);
    for (int pair = 0; pair < BCAM_CUDA_PAIRS; pair++)
        destroy_pair(p, &p->pair[pair]);
    for (size_t i = 0; i < p->conv_count; i++)
        bcam_conv_close(&p->convs[i]);
    cudaFree(p->constants);
    cudaFree(p->arena);
    cudaFree(p->workspace);
    cudaGetLastError();
    bcam_placement_fini(&p->place);
    bcam_free(p);
    *program = NULL;
}

bcam_status bcam_cuda_compile(bcam_device *device, const bcam_plan *plan, bcam_program **out, bcam_error *err)
{
    *out = NULL;
    bcam_status status = bcam_cuda_enter(device, err);
    for (size_t s = 0; s < plan->step_count && !status; s++)
        status = bcam_cuda_query(device, plan, &plan->steps[s], err);
    if (status)
        return status;
    bcam_program *p = bcam_alloc(1, sizeof *p);
    if (!p)
        return bcam_fail_memory(err, sizeof *p, "a program");
    p->device = device;
    if ((status = bcam_placement_init(&p->place, plan, err)) || (status = bcam_cuda_place(p, plan, err)) ||
        (status = bind_calls(p, err)) || (status = choose_convs(p, err)) || (status = make_workspace(p, err)) ||
        (status = pack_convs(p, err)))
        goto out;
    if (device->options.guard && (status = bcam_cuda_guard_start(p, err)))
        goto out;
    status = bcam_cuda_check(cudaStreamSynchronize(device->compute), "cudaStreamSynchronize", "making a program", err);
out:
    if (status)
        bcam_cuda_destroy(&p);
    *out = p;
    return status;
}

size_t bcam_cuda_bytes(const bcam_program *p)
{
    return p->constant_bytes + p->arena_bytes + p->workspace_bytes + BCAM_CUDA_PAIRS * p->port_bytes;
}

const char *bcam_cuda_algorithm(const bcam_program *p, size_t step)
{
    if (step >= p->place.step_count)
        return "";
    if (p->place.alias[step])
        return "alias";
    const bcam_cuda_call *call = &p->pair[0].calls[p->first_call[step]];
    return call->conv ? bcam_conv_text(call->conv) : is_gemm(call->kernel.step->verb) ? "cublas" : "kernel";
}
