/* fake_cudart_stream.c - streams and events. Work runs when something waits for it, and then only what that one thing depends on. */
#include "fake_cudart.h"

static struct CUstream_st default_stream = {.blocking = true};
static cudaStream_t streams = &default_stream;
static size_t pending;
static int running; /* bcam_op_run within bcam_op_run */
/* Device memory is open: from the first work that a wait comes to until the wait is over, for opening takes long. */
static bool working;
static double
    clock_ms; /* the card's own: each piece of work takes a microsecond, so that timings are the same in every run */

/* ---- work ---- */

bcam_op *bcam_op_new(const char *what, bcam_fake_work work, void *arg, void (*release)(void *))
{
    bcam_op *op = calloc(1, sizeof *op);
    op->refs = 1;
    op->what = what;
    op->work = work;
    op->arg = arg;
    op->release = release;
    return op;
}

bcam_op *bcam_op_hold(bcam_op *op)
{
    if (op)
        op->refs++;
    return op;
}

static void forget(bcam_op *op)
{
    for (size_t i = 0; i < op->after_count; i++)
        bcam_op_drop(op->after[i]);
    free(op->after);
    op->after = NULL;
    op->after_count = 0;
    if (op->release)
        op->release(op->arg);
    op->release = NULL;
}

void bcam_op_drop(bcam_op *op)
{
    if (!op || --op->refs > 0)
        return;
    forget(op);
    free(op);
}

void bcam_op_after(bcam_op *op, bcam_op *before)
{
    if (!before || before->done)
        return;
    op->after = realloc(op->after, (op->after_count + 1) * sizeof *op->after);
    op->after[op->after_count++] = bcam_op_hold(before);
}

cudaError_t bcam_op_perform(bcam_op *op)
{
    if (bcam_fake_sticky != cudaSuccess || !op->work)
        return bcam_fake_sticky;
    cudaError_t status = bcam_fake_planned_work(op->what);
    if (status == cudaSuccess) {
        if (!working)
            bcam_fake_gate(true);
        working = true;
        status = op->work(op->arg);
        clock_ms += 0.001;
    }
    if (bcam_fake_sticky == cudaSuccess)
        bcam_fake_sticky = status; /* a card that failed at work is lost */
    return bcam_fake_sticky;
}

cudaError_t bcam_op_run(bcam_op *op)
{
    if (!op || op->done)
        return bcam_fake_sticky;
    running++;
    bcam_op_hold(op);
    for (size_t i = 0; i < op->after_count; i++)
        bcam_op_run(op->after[i]);
    if (!op->done) {
        bcam_op_perform(op);
        op->time = clock_ms;
        op->done = true;
        pending--;
        forget(op);
    }
    bcam_op_drop(op);
    if (--running == 0 && working) {
        bcam_fake_gate(false);
        working = false;
    }
    return bcam_fake_sticky;
}

cudaError_t bcam_fake_run_all(void)
{
    for (cudaStream_t s = streams; s; s = s->next)
        bcam_op_run(s->tail);
    return bcam_fake_sticky;
}

size_t bcam_fake_pending(void)
{
    return pending;
}

/* ---- streams ---- */

cudaStream_t bcam_fake_stream(cudaStream_t handle)
{
    return !handle || handle == cudaStreamLegacy ? &default_stream : handle;
}

cudaStream_t bcam_fake_streams(void)
{
    return streams;
}

bool bcam_fake_stream_known(cudaStream_t handle)
{
    cudaStream_t s = streams;
    while (s && s != bcam_fake_stream(handle))
        s = s->next;
    return s != NULL;
}

/* The default stream waits for all blocking streams, and they for it. */
static cudaError_t order(cudaStream_t s, bcam_op *op)
{
    if (s == &default_stream) {
        if (bcam_capture_any_blocking())
            return bcam_capture_forbids(cudaErrorStreamCaptureImplicit);
        for (cudaStream_t other = streams; other; other = other->next)
            if (other->blocking)
                bcam_op_after(op, other->tail);
    } else {
        bcam_op_after(op, s->tail);
        if (s->blocking)
            bcam_op_after(op, default_stream.tail);
    }
    return cudaSuccess;
}

cudaError_t bcam_fake_push(cudaStream_t handle, bcam_op *op)
{
    cudaStream_t s = bcam_fake_stream(handle);
    if (!bcam_fake_stream_known(s)) {
        bcam_op_drop(op);
        return cudaErrorInvalidResourceHandle;
    }
    if (s->capture)
        return bcam_capture_push(s, op);
    cudaError_t status = order(s, op);
    if (status != cudaSuccess) {
        bcam_op_drop(op);
        return status;
    }
    pending++;
    bcam_op_drop(s->tail);
    s->tail = op;
    return bcam_fake_eager ? bcam_op_run(op) : cudaSuccess;
}

cudaError_t bcam_fake_enqueue(cudaStream_t stream, const char *what, bcam_fake_work work, void *arg,
                              void (*release)(void *))
{
    bcam_fake_lock();
    bcam_op *op = bcam_op_new(what, work, arg, release);
    if (bcam_fake_sticky != cudaSuccess) {
        bcam_op_drop(op);
        return bcam_fake_leave(bcam_fake_sticky);
    }
    return bcam_fake_leave(bcam_fake_push(stream, op));
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    BEGIN(cudaErrorMemoryAllocation);
    cudaStream_t s = calloc(1, sizeof *s);
    s->blocking = !(flags & cudaStreamNonBlocking);
    s->next = default_stream.next;
    default_stream.next = s;
    bcam_fake_count(BCAM_FAKE_STREAM, 1);
    *out = s;
    return bcam_fake_leave(cudaSuccess);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    cudaError_t status = bcam_fake_begin(__func__, cudaErrorUnknown);
    cudaStream_t *link = &default_stream.next;
    while (*link && *link != stream)
        link = &(*link)->next;
    if (!*link)
        return bcam_fake_leave(cudaErrorInvalidResourceHandle);
    if (stream->capture) {
        bcam_capture_spoil(stream->capture, cudaSuccess);
        if (stream->capture->origin == stream)
            stream->capture->origin = NULL;
    }
    cudaError_t ran = bcam_op_run(stream->tail);
    *link = stream->next;
    bcam_op_drop(stream->tail);
    bcam_op_drop(stream->capture_tail);
    free(stream);
    bcam_fake_count(BCAM_FAKE_STREAM, -1);
    return bcam_fake_leave(status != cudaSuccess ? status : ran);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    BEGIN(cudaErrorUnknown);
    cudaStream_t s = bcam_fake_stream(stream);
    if (!bcam_fake_stream_known(s))
        return bcam_fake_leave(cudaErrorInvalidResourceHandle);
    if (s->capture)
        return bcam_fake_leave(bcam_capture_spoil(s->capture, cudaErrorStreamCaptureUnsupported));
    cudaError_t status = bcam_capture_forbids(cudaErrorStreamCaptureUnsupported);
    return bcam_fake_leave(status != cudaSuccess ? status : bcam_op_run(s->tail));
}

cudaError_t cudaDeviceSynchronize(void)
{
    BEGIN(cudaErrorUnknown);
    cudaError_t status = bcam_capture_forbids(cudaErrorStreamCaptureUnsupported);
    return bcam_fake_leave(status != cudaSuccess ? status : bcam_fake_run_all());
}

/* ---- events ---- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    BEGIN(cudaErrorMemoryAllocation);
    *out = calloc(1, sizeof **out);
    (*out)->timing = !(flags & cudaEventDisableTiming);
    bcam_fake_count(BCAM_FAKE_EVENT, 1);
    return bcam_fake_leave(cudaSuccess);
}

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    return cudaEventCreateWithFlags(out, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    cudaError_t status = bcam_fake_begin(__func__, cudaErrorUnknown);
    if (!event)
        return bcam_fake_leave(cudaErrorInvalidResourceHandle);
    bcam_op_drop(event->at);
    free(event);
    bcam_fake_count(BCAM_FAKE_EVENT, -1);
    return bcam_fake_leave(status);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    BEGIN(cudaErrorUnknown);
    cudaStream_t s = bcam_fake_stream(stream);
    if (!event || !bcam_fake_stream_known(s))
        return bcam_fake_leave(cudaErrorInvalidResourceHandle);
    bcam_op *op = bcam_op_hold(bcam_op_new("cudaEventRecord", NULL, NULL, NULL));
    unsigned long capture = s->capture ? s->capture->id : 0;
    cudaError_t status = bcam_fake_push(s, op);
    if (status != cudaSuccess) {
        bcam_op_drop(op);
        return bcam_fake_leave(status);
    }
    bcam_op_drop(event->at);
    event->at = op;
    event->capture = capture;
    return bcam_fake_leave(cudaSuccess);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    BEGIN(cudaErrorUnknown);
    if (!event)
        return bcam_fake_leave(cudaErrorInvalidResourceHandle);
    if (event->capture)
        return bcam_fake_leave(cudaErrorCapturedEvent);
    cudaError_t status = bcam_capture_forbids(cudaErrorStreamCaptureUnsupported);
    return bcam_fake_leave(status != cudaSuccess ? status : bcam_op_run(event->at));
}

/* Every question is answered after one more piece of work, or a program that only asks would ask for ever. */
cudaError_t cudaEventQuery(cudaEvent_t event)
{
    BEGIN(cudaErrorUnknown);
    bcam_op *op = event ? event->at : NULL;
    if (event && event->capture)
        return bcam_fake_leave(cudaErrorCapturedEvent);
    if (!op || op->done)
        return bcam_fake_leave(cudaSuccess);
    while (op->after_count && !op->after[0]->done)
        op = op->after[0];
    cudaError_t status = bcam_op_run(op);
    if (status != cudaSuccess)
        return bcam_fake_leave(status);
    bcam_fake_leave(cudaSuccess);
    return cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t stop)
{
    BEGIN(cudaErrorUnknown);
    if (!start || !stop || !start->timing || !stop->timing || !start->at || !stop->at || start->capture ||
        stop->capture)
        return bcam_fake_leave(cudaErrorInvalidResourceHandle);
    if (!start->at->done || !stop->at->done)
        return bcam_fake_leave(cudaErrorNotReady);
    *ms = (float)(stop->at->time - start->at->time);
    return bcam_fake_leave(cudaSuccess);
}
