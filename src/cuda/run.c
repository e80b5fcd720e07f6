/* run.c - starting segments on a pair: copies in, computing and copies out on their own streams, ordered by events. */
#include <string.h>

#include "cuda/cuda.h"

/* ---- one step ---- */

static bool has_epilogue(const bcam_conv_rest *rest)
{
    return rest->bias || rest->residual || rest->act;
}

static bcam_status run_epilogue(const bcam_program *p, const bcam_kernel_call *call, const bcam_conv_rest *rest,
                                bcam_error *err)
{
    static const bcam_unary_attr none = {BCAM_UNARY_NONE, 0, 0};
    cudaError_t code =
        bcam_kernel_epilogue(&call->out[0], rest->bias ? &call->in[2] : NULL, rest->residual ? &call->in[3] : NULL,
                             rest->act ? &call->step->act : &none, p->device->compute);
    return bcam_cuda_check(code, "cudaLaunchKernel", "starting the epilogue", err);
}

static bcam_status run_conv(const bcam_program *p, const bcam_cuda_call *call, bcam_error *err)
{
    bcam_conv_rest rest = bcam_conv_left(call->conv);
    bcam_status status = bcam_conv_run(p->device->dnn, call->conv, call->pack, err);
    return status || !has_epilogue(&rest) ? status : run_epilogue(p, &call->kernel, &rest, err);
}

static bcam_status run_gemm(const bcam_program *p, const bcam_kernel_call *call, bcam_error *err)
{
    bool forward = call->step->verb == BCAM_VERB_GEMM;
    bcam_conv_rest rest = {.bias = forward && call->in[2].data,
                           .act = forward && call->step->act.kind != BCAM_UNARY_NONE};
    /* Programs of one device share its handle, and each has a workspace of its own. */
    bcam_status status = bcam_cublas_set_workspace(p->device->blas, p->workspace, p->workspace_bytes, err);
    if (!status)
        status = bcam_cublas_gemm(p->device->blas, call, err);
    return status || !has_epilogue(&rest) ? status : run_epilogue(p, call, &rest, err);
}

static bcam_status run_call(const bcam_program *p, const bcam_cuda_call *call, bcam_error *err)
{
    bcam_error why = {0};
    bcam_verb verb = call->kernel.step->verb;
    bcam_status status;
    if (call->conv)
        status = run_conv(p, call, &why);
    else if (verb == BCAM_VERB_GEMM || verb == BCAM_VERB_GEMM_BWD)
        status = run_gemm(p, &call->kernel, &why);
    else
        status = bcam_cuda_check(bcam_kernels[verb](&call->kernel, p->device->compute), "cudaLaunchKernel",
                                 "starting a kernel", &why);
    return status ? bcam_fail(err, status, "step '%s' (%s): %s", call->kernel.step->name, bcam_verb_name(verb),
                              why.message)
                  : BCAM_OK;
}

bcam_status bcam_cuda_step(bcam_program *p, int step, int pair, bcam_error *err)
{
    bool guard = p->device->options.guard;
    bcam_status status = guard ? bcam_cuda_guard_before(p, step, err) : BCAM_OK;
    for (int c = p->first_call[step]; c < p->first_call[step + 1] && !status; c++)
        status = run_call(p, &p->pair[pair].calls[c], err);
    return guard && !status ? bcam_cuda_guard_after(p, step, err) : status;
}

/* ---- all that a mask of segments computes ---- */

/* The float copy of an output that is computed in another type. */
static bcam_status convert_port(const bcam_program *p, const bcam_cuda_port *port, int pair, bcam_error *err)
{
    bcam_tensor from = bcam_cuda_tensor(p, port->value, pair), to = from;
    to.data = p->pair[pair].device + port->offset;
    to.dtype = p->place.values[port->value].dtype;
    bcam_strides_dense(to.rank, to.dim, to.stride);
    return bcam_cuda_check(bcam_kernel_convert(&from, &to, p->device->compute), "cudaLaunchKernel",
                           "converting an output", err);
}

static bcam_status compute(bcam_program *p, unsigned segments, int pair, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    for (size_t s = 0; s < p->place.step_count && !status; s++)
        if (segments & BCAM_SEGMENT_BIT(p->place.steps[s].segment) && !p->place.alias[s])
            status = bcam_cuda_step(p, (int)s, pair, err);
    for (size_t i = 0; i < p->port_count && !status; i++)
        if (p->ports[i].converted && p->ports[i].writes & segments)
            status = convert_port(p, &p->ports[i], pair, err);
    return status;
}

/* ---- graphs ---- */

/* Records the work instead of starting it. Whatever goes wrong here, the streams still can. */
static bool capture(bcam_program *p, unsigned segments, int pair, bcam_error *why)
{
    cudaStream_t stream = p->device->compute;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    bcam_status status = bcam_cuda_check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal),
                                         "cudaStreamBeginCapture", "capturing", why);
    if (status)
        return false;
    status = compute(p, segments, pair, why);
    cudaError_t code = cudaStreamEndCapture(stream, &graph);
    if (!status)
        status = bcam_cuda_check(code, "cudaStreamEndCapture", "capturing", why);
    if (!status)
        status = bcam_cuda_check(cudaGraphInstantiate(&exec, graph, 0), "cudaGraphInstantiate", "capturing", why);
    if (graph)
        cudaGraphDestroy(graph);
    cudaGetLastError();
    if (!status)
        p->pair[pair].graphs[segments].exec = exec;
    return !status;
}

static void try_capture(bcam_program *p, unsigned segments, int pair)
{
    bcam_error why = {0};
    if (capture(p, segments, pair, &why))
        return;
    p->pair[pair].graphs[segments].refused = true;
    if (!p->told)
        bcam_log_line(&p->device->options.log, BCAM_LOG_WARNING,
                      "steps are started one by one, without a CUDA graph (%s)", why.message);
    p->told = true;
}

/* The first run is by streams: libraries load what they need then. The second captures, and all others replay. */
static bcam_status compute_or_replay(bcam_program *p, unsigned segments, int pair, bcam_error *err)
{
    bcam_cuda_graph *graph = &p->pair[pair].graphs[segments];
    if (!graph->exec && !graph->refused && graph->runs > 0 && !p->device->options.guard)
        try_capture(p, segments, pair);
    if (graph->exec)
        return bcam_cuda_check(cudaGraphLaunch(graph->exec, p->device->compute), "cudaGraphLaunch",
                               "replaying a batch's steps", err);
    graph->runs++;
    return compute(p, segments, pair, err);
}

/* ---- copies ---- */

static bcam_status copy_ports(bcam_program *p, unsigned segments, int pair, bool input, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    char *device = p->pair[pair].device, *host = p->pair[pair].host;
    for (size_t i = 0; i < p->port_count && !status; i++) {
        const bcam_cuda_port *port = &p->ports[i];
        bool written = port->writes & segments;
        if (input ? written || !(port->reads & segments) : !written)
            continue;
        size_t bytes = input ? port->used[pair] : port->bytes;
        void *to = (input ? device : host) + port->offset, *from = (input ? host : device) + port->offset;
        cudaError_t code = cudaMemcpyAsync(to, from, bytes, input ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToHost,
                                           input ? p->device->in : p->device->out);
        status = bcam_cuda_check(code, "cudaMemcpyAsync",
                                 input ? "copying a batch to the card" : "copying results from the card", err);
    }
    return status;
}

static bcam_status mark(cudaEvent_t event, cudaStream_t stream, bcam_error *err)
{
    return bcam_cuda_check(cudaEventRecord(event, stream), "cudaEventRecord", "ordering copies and computing", err);
}

static bcam_status wait_for(cudaStream_t stream, cudaEvent_t event, bcam_error *err)
{
    return bcam_cuda_check(cudaStreamWaitEvent(stream, event, 0), "cudaStreamWaitEvent",
                           "ordering copies and computing", err);
}

/* ---- the interface ---- */

bcam_status bcam_cuda_run(bcam_program *p, unsigned segments, int pair, bcam_error *err)
{
    bcam_device *device = p->device;
    bcam_cuda_pair *on = &p->pair[pair];
    bcam_status status;
    segments &= BCAM_SEGMENTS_ALL;
    p->last_pair = pair;
    if ((status = bcam_cuda_enter(device, err)) ||
        (status = wait_for(device->in, on->computed,
                           err)) || /* the pair's last computing has read what is overwritten now */
        (status = wait_for(device->in, on->copied_out, err)) || /* and what it wrote there is out */
        (status = copy_ports(p, segments, pair, true, err)) ||
        (status = mark(on->copied_in, device->in, err)) || (status = wait_for(device->compute, on->copied_in, err)) ||
        (status = wait_for(device->compute, on->copied_out, err)) || /* and its last results are out */
        (status = compute_or_replay(p, segments, pair, err)) || (status = mark(on->computed, device->compute, err)) ||
        (status = wait_for(device->out, on->computed, err)) || (status = copy_ports(p, segments, pair, false, err)))
        return status;
    return mark(on->copied_out, device->out, err);
}

bcam_status bcam_cuda_wait(bcam_program *p, int pair, bcam_error *err)
{
    bcam_status status = bcam_cuda_enter(p->device, err);
    return status ? status
                  : bcam_cuda_check(cudaEventSynchronize(p->pair[pair].copied_out), "cudaEventSynchronize",
                                    "waiting for a batch", err);
}
