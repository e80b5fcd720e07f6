/* fake_cudart_graph.c - streams captured into graphs, and graphs replayed. What CUDA refuses while a stream is captured is refused here, and
 * spoils the capture as it does there.
 *
 * A replay keeps to the graph's edges and to nothing else: of the nodes that may run, the one captured last runs first (in eager mode the one
 * captured first), so that an edge that is missing shows.
 */
#include "fake_cudart.h"

struct CUgraph_st {
    bcam_ops nodes;
};

struct CUgraphExec_st {
    int refs;
    bcam_ops nodes;
    bcam_op *last; /* its launch before: one runs after the other */
};

static bcam_capture *captures;
static unsigned long next_id = 1;

static void add(bcam_ops *list, bcam_op *op)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 64;
        list->at = realloc(list->at, list->capacity * sizeof(bcam_op *));
    }
    list->at[list->count++] = bcam_op_hold(op);
}

static void clear(bcam_ops *list)
{
    for (size_t i = 0; i < list->count; i++)
        bcam_op_drop(list->at[i]);
    free(list->at);
    *list = (bcam_ops){0};
}

/* ---- capturing ---- */

cudaError_t bcam_capture_spoil(bcam_capture *capture, cudaError_t why)
{
    capture->invalid = true;
    return why;
}

cudaError_t bcam_capture_forbids(cudaError_t why)
{
    cudaError_t status = cudaSuccess;
    for (bcam_capture *c = captures; c; c = c->next) {
        bool here = pthread_equal(c->thread, pthread_self()) && c->mode != cudaStreamCaptureModeRelaxed;
        if (here || c->mode == cudaStreamCaptureModeGlobal)
            status = bcam_capture_spoil(c, why);
    }
    return status;
}

bool bcam_capture_any_blocking(void)
{
    bool any = false;
    for (cudaStream_t s = bcam_fake_streams(); s; s = s->next)
        any = any || (s->capture && s->blocking);
    return any;
}

cudaError_t bcam_capture_push(cudaStream_t stream, bcam_op *op)
{
    if (stream->capture->invalid) {
        bcam_op_drop(op);
        return cudaErrorStreamCaptureInvalidated;
    }
    bcam_op_after(op, stream->capture_tail);
    add(&stream->capture->nodes, op);
    bcam_op_drop(stream->capture_tail);
    stream->capture_tail = op;
    return cudaSuccess;
}

static bcam_capture *capture_by_id(unsigned long id)
{
    bcam_capture *c = captures;
    while (c && c->id != id)
        c = c->next;
    return c;
}

/* An event of a capture draws the stream that waits for it into that capture; a capture waits for nothing outside. */
static cudaError_t wait_captured(cudaStream_t stream, cudaEvent_t event)
{
    bcam_capture *capture = event->capture ? capture_by_id(event->capture) : NULL;
    if (event->capture && !capture)
        return cudaErrorCapturedEvent; /* of a capture that has ended */
    if (stream->capture && !capture)
        return event->at ? bcam_capture_spoil(stream->capture, cudaErrorStreamCaptureIsolation) : cudaSuccess;
    if (stream->capture && stream->capture != capture) {
        bcam_capture_spoil(stream->capture, cudaSuccess);
        return bcam_capture_spoil(capture, cudaErrorStreamCaptureMerge);
    }
    if (stream == bcam_fake_stream(NULL))
        return bcam_capture_spoil(capture, cudaErrorStreamCaptureImplicit);
    if (capture->invalid)
        return cudaErrorStreamCaptureInvalidated;
    stream->capture = capture;
    bcam_op *op = bcam_op_new("cudaStreamWaitEvent", NULL, NULL, NULL);
    bcam_op_after(op, event->at);
    return bcam_capture_push(stream, op);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    (void)flags;
    BEGIN(cudaErrorUnknown);
    cudaStream_t s = bcam_fake_stream(stream);
    if (!event || !bcam_fake_stream_known(s))
        return bcam_fake_leave(cudaErrorInvalidResourceHandle);
    if (s->capture || event->capture)
        return bcam_fake_leave(wait_captured(s, event));
    if (!event->at)
        return bcam_fake_leave(cudaSuccess);
    bcam_op *op = bcam_op_new("cudaStreamWaitEvent", NULL, NULL, NULL);
    bcam_op_after(op, event->at);
    return bcam_fake_leave(bcam_fake_push(s, op));
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    BEGIN(cudaErrorUnknown);
    if (bcam_fake_stream(stream) == bcam_fake_stream(NULL))
        return bcam_fake_leave(cudaErrorStreamCaptureUnsupported);
    if (!bcam_fake_stream_known(stream))
        return bcam_fake_leave(cudaErrorInvalidResourceHandle);
    if (stream->capture)
        return bcam_fake_leave(cudaErrorIllegalState);
    bcam_capture *c = calloc(1, sizeof *c);
    c->id = next_id++;
    c->mode = mode;
    c->thread = pthread_self();
    c->origin = stream;
    c->next = captures;
    captures = c;
    stream->capture = c;
    return bcam_fake_leave(cudaSuccess);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *out)
{
    BEGIN(cudaErrorUnknown);
    const bcam_capture *c = bcam_fake_stream(stream)->capture;
    *out = !c           ? cudaStreamCaptureStatusNone
           : c->invalid ? cudaStreamCaptureStatusInvalidated
                        : cudaStreamCaptureStatusActive;
    return bcam_fake_leave(cudaSuccess);
}

static void mark(bcam_op *op)
{
    if (!op || op->mark)
        return;
    op->mark = true;
    for (size_t i = 0; i < op->after_count; i++)
        mark(op->after[i]);
}

/* Every stream that was drawn in must have been waited for. */
static bool joined(const bcam_capture *capture)
{
    bool all = true;
    mark(capture->origin->capture_tail);
    for (cudaStream_t s = bcam_fake_streams(); s; s = s->next)
        all = all && (s->capture != capture || !s->capture_tail || s->capture_tail->mark);
    for (size_t i = 0; i < capture->nodes.count; i++)
        capture->nodes.at[i]->mark = false;
    return all;
}

static void close_capture(bcam_capture *capture)
{
    bcam_capture **link = &captures;
    while (*link != capture)
        link = &(*link)->next;
    *link = capture->next;
    for (cudaStream_t s = bcam_fake_streams(); s; s = s->next) {
        if (s->capture != capture)
            continue;
        s->capture = NULL;
        bcam_op_drop(s->capture_tail);
        s->capture_tail = NULL;
    }
    clear(&capture->nodes);
    free(capture);
}

/* A planned failure ends the capture all the same: what began one has to be able to leave it. */
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    cudaError_t status = bcam_fake_begin(__func__, cudaErrorUnknown);
    *out = NULL;
    bcam_capture *c = bcam_fake_stream_known(stream) ? bcam_fake_stream(stream)->capture : NULL;
    if (!c)
        return bcam_fake_leave(cudaErrorIllegalState);
    if (c->origin != stream)
        return bcam_fake_leave(bcam_capture_spoil(c, cudaErrorStreamCaptureUnmatched));
    if (c->mode != cudaStreamCaptureModeRelaxed && !pthread_equal(c->thread, pthread_self()))
        return bcam_fake_leave(cudaErrorStreamCaptureWrongThread);
    if (status == cudaSuccess && c->invalid)
        status = cudaErrorStreamCaptureInvalidated;
    if (status == cudaSuccess && !joined(c))
        status = cudaErrorStreamCaptureUnjoined;
    if (status == cudaSuccess) {
        *out = calloc(1, sizeof **out);
        (*out)->nodes = c->nodes;
        c->nodes = (bcam_ops){0};
        bcam_fake_count(BCAM_FAKE_GRAPH, 1);
    }
    close_capture(c);
    return bcam_fake_leave(status);
}

/* ---- replaying ---- */

static void drop_exec(void *arg)
{
    cudaGraphExec_t exec = arg;
    if (--exec->refs > 0)
        return;
    clear(&exec->nodes);
    bcam_op_drop(exec->last);
    free(exec);
}

static bool ready(const bcam_op *node)
{
    for (size_t i = 0; i < node->after_count; i++)
        if (!node->after[i]->mark)
            return false;
    return !node->mark;
}

static cudaError_t replay(void *arg)
{
    bcam_ops *nodes = &((cudaGraphExec_t)arg)->nodes;
    cudaError_t status = cudaSuccess;
    for (size_t i = 0; i < nodes->count; i++)
        nodes->at[i]->mark = false;
    for (size_t left = nodes->count; left > 0 && status == cudaSuccess; left--) {
        size_t i = 0;
        for (size_t step = 0; step < nodes->count; step++) {
            i = bcam_fake_eager ? step : nodes->count - 1 - step;
            if (ready(nodes->at[i]))
                break;
        }
        status = bcam_op_perform(nodes->at[i]);
        nodes->at[i]->mark = true;
    }
    for (size_t i = 0; i < nodes->count; i++)
        nodes->at[i]->mark = false;
    return status;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)
{
    (void)flags;
    BEGIN(cudaErrorMemoryAllocation);
    if (!graph)
        return bcam_fake_leave(cudaErrorInvalidValue);
    cudaGraphExec_t exec = calloc(1, sizeof *exec);
    exec->refs = 1;
    for (size_t i = 0; i < graph->nodes.count; i++)
        add(&exec->nodes, graph->nodes.at[i]);
    bcam_fake_count(BCAM_FAKE_GRAPH_EXEC, 1);
    *out = exec;
    return bcam_fake_leave(cudaSuccess);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    BEGIN(cudaErrorLaunchFailure);
    cudaStream_t s = bcam_fake_stream(stream);
    if (!exec || !bcam_fake_stream_known(s))
        return bcam_fake_leave(cudaErrorInvalidResourceHandle);
    if (s->capture) /* a graph within a graph: not modelled */
        return bcam_fake_leave(bcam_capture_spoil(s->capture, cudaErrorNotSupported));
    exec->refs++;
    bcam_op *op = bcam_op_hold(bcam_op_new("cudaGraphLaunch", replay, exec, drop_exec));
    bcam_op_after(op, exec->last);
    cudaError_t status = bcam_fake_push(s, op);
    if (status != cudaSuccess) {
        bcam_op_drop(op);
        return bcam_fake_leave(status);
    }
    bcam_op_drop(exec->last);
    exec->last = op;
    return bcam_fake_leave(cudaSuccess);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    cudaError_t status = bcam_fake_begin(__func__, cudaErrorUnknown);
    if (!graph)
        return bcam_fake_leave(cudaErrorInvalidValue);
    clear(&graph->nodes);
    free(graph);
    bcam_fake_count(BCAM_FAKE_GRAPH, -1);
    return bcam_fake_leave(status);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    cudaError_t status = bcam_fake_begin(__func__, cudaErrorUnknown);
    if (!exec)
        return bcam_fake_leave(cudaErrorInvalidValue);
    bcam_op_drop(exec->last);
    exec->last = NULL;
    drop_exec(exec);
    bcam_fake_count(BCAM_FAKE_GRAPH_EXEC, -1);
    return bcam_fake_leave(status);
}
