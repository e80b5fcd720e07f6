/* fake_cudart_copy.c - copies and fills. Pinned memory is read when the copy runs; pageable memory is staged at once on its way in, and waited
 * for on its way out, as CUDA does. */
#include "fake_cudart.h"

typedef struct transfer {
    void *to;
    const void *from; /* NULL: fill with value */
    void *staged;
    size_t bytes;
    int value;
} transfer;

static cudaError_t run_transfer(void *arg)
{
    const transfer *t = arg;
    if (!t->from)
        memset(t->to, t->value, t->bytes);
    else
        memmove(t->to, t->staged ? t->staged : t->from, t->bytes);
    return cudaSuccess;
}

static void drop_transfer(void *arg)
{
    transfer *t = arg;
    free(t->staged);
    free(t);
}

/* Both ends must lie within one block each, and be what the kind says. */
static cudaError_t check(const void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, const bcam_block *a,
                         const bcam_block *b)
{
    bool to_device = a && !a->pinned, from_device = b && !b->pinned;
    if ((a && bytes > (size_t)(a->data + a->bytes - (const char *)to)) ||
        (b && bytes > (size_t)(b->data + b->bytes - (const char *)from)))
        return cudaErrorInvalidValue;
    if (kind == cudaMemcpyDefault)
        return cudaSuccess;
    if (to_device != (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice))
        return cudaErrorInvalidValue;
    return from_device != (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice) ? cudaErrorInvalidValue
                                                                                               : cudaSuccess;
}

static cudaError_t copy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream,
                        bool wait)
{
    const bcam_block *a = bcam_fake_block(to), *b = bcam_fake_block(from);
    if (!to || !from || bytes == 0)
        return bytes == 0 ? cudaSuccess : cudaErrorInvalidValue;
    cudaError_t status = check(to, from, bytes, kind, a, b);
    if (status != cudaSuccess)
        return status;
    cudaStream_t s = bcam_fake_stream(stream);
    if (!bcam_fake_stream_known(s))
        return cudaErrorInvalidResourceHandle;
    if (s->capture && (!a || !b)) /* pageable memory in a graph */
        return bcam_capture_spoil(s->capture, cudaErrorStreamCaptureUnsupported);
    transfer *t = calloc(1, sizeof *t);
    *t = (transfer){.to = to, .from = from, .bytes = bytes};
    if (!b && !wait) {
        t->staged = malloc(bytes);
        memcpy(t->staged, from, bytes);
    }
    status = bcam_fake_push(s, bcam_op_new("cudaMemcpyAsync", run_transfer, t, drop_transfer));
    if (status == cudaSuccess && (wait || !a))
        status = bcam_op_run(s->tail);
    return status;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    BEGIN(cudaErrorUnknown);
    return bcam_fake_leave(copy(to, from, bytes, kind, stream, false));
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    BEGIN(cudaErrorUnknown);
    cudaError_t status = bcam_capture_forbids(cudaErrorStreamCaptureImplicit);
    return bcam_fake_leave(status != cudaSuccess ? status : copy(to, from, bytes, kind, NULL, true));
}

static cudaError_t fill(void *to, int value, size_t bytes, cudaStream_t stream)
{
    if (bytes == 0)
        return cudaSuccess;
    if (!bcam_fake_is_device(to, bytes))
        return cudaErrorInvalidValue;
    transfer *t = calloc(1, sizeof *t);
    *t = (transfer){.to = to, .value = value, .bytes = bytes};
    return bcam_fake_push(stream, bcam_op_new("cudaMemsetAsync", run_transfer, t, drop_transfer));
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    BEGIN(cudaErrorUnknown);
    return bcam_fake_leave(fill(to, value, bytes, stream));
}

cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    BEGIN(cudaErrorUnknown);
    cudaError_t status = bcam_capture_forbids(cudaErrorStreamCaptureImplicit);
    return bcam_fake_leave(status != cudaSuccess ? status : fill(to, value, bytes, NULL));
}
