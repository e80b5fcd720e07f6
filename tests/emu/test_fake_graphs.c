/* test_fake_graphs.c - the stand-in run time's stream capture and graphs. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

enum { BYTES = 64 };

#define OK(call) cr_assert_eq(call, cudaSuccess, "%s", #call)
#define REFUSED(code, call) cr_expect_eq(call, code, "%s", #call)

static cudaStream_t a, b;
static cudaEvent_t fork_event, join_event;
static unsigned char *device, *other, *in, *out;

static void open_all(void)
{
    bcam_fake_set_eager(false);
    bcam_fake_reset();
    OK(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking));
    OK(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking));
    OK(cudaEventCreateWithFlags(&fork_event, cudaEventDisableTiming));
    OK(cudaEventCreateWithFlags(&join_event, cudaEventDisableTiming));
    OK(cudaMalloc((void **)&device, BYTES));
    OK(cudaMalloc((void **)&other, BYTES));
    OK(cudaHostAlloc((void **)&in, BYTES, 0));
    OK(cudaHostAlloc((void **)&out, BYTES, 0));
    memset(out, 0, BYTES);
}

static void close_all(void)
{
    char text[256];
    bcam_fake_reset();
    OK(cudaStreamDestroy(a));
    OK(cudaStreamDestroy(b));
    OK(cudaEventDestroy(fork_event));
    OK(cudaEventDestroy(join_event));
    OK(cudaFree(device));
    OK(cudaFree(other));
    OK(cudaFreeHost(in));
    OK(cudaFreeHost(out));
    cr_assert_eq(bcam_fake_live(text, sizeof text), 0u, "%s", text);
}

TestSuite(graph, .init = open_all, .fini = close_all);

static void begin(void)
{
    OK(cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal));
}

static cudaGraphExec_t end(void)
{
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    OK(cudaStreamEndCapture(a, &graph));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    OK(cudaGraphDestroy(graph));
    return exec;
}

static int dropped;

static cudaError_t add_one(void *p)
{
    for (int i = 0; i < BYTES; i++)
        ((unsigned char *)p)[i]++;
    return cudaSuccess;
}

static void drop(void *p)
{
    (void)p;
    dropped++;
}

Test(graph, replays_with_what_memory_holds_then)
{
    begin();
    OK(cudaMemcpyAsync(device, in, BYTES, cudaMemcpyHostToDevice, a));
    OK(bcam_fake_enqueue(a, "add_one", add_one, device, drop));
    OK(cudaMemcpyAsync(out, device, BYTES, cudaMemcpyDeviceToHost, a));
    cudaGraphExec_t exec = end();
    OK(cudaStreamSynchronize(a));
    cr_assert_eq(out[0], 0, "capturing runs nothing");
    for (int i = 10; i < 13; i++) {
        memset(in, i, BYTES);
        OK(cudaGraphLaunch(exec, a));
        cr_assert_neq(out[0], i + 1);
        OK(cudaStreamSynchronize(a));
        cr_assert_eq(out[0], i + 1);
    }
    cr_assert_eq(dropped, 0);
    OK(cudaGraphLaunch(exec, a));
    OK(cudaGraphExecDestroy(exec)); /* a launch that is under way keeps what it needs */
    OK(cudaStreamSynchronize(a));
    cr_assert_eq(dropped, 1);
    cr_assert_eq(bcam_fake_calls("add_one@"), 4u);
}

/* The fill of stream b is captured first and, without an edge to it, runs after the copy that reads it. */
static unsigned char forked(bool joined)
{
    begin();
    OK(cudaEventRecord(fork_event, a));
    OK(cudaStreamWaitEvent(b, fork_event, 0));
    OK(cudaMemsetAsync(device, 5, BYTES, b));
    OK(cudaEventRecord(join_event, b));
    if (joined)
        OK(cudaStreamWaitEvent(a, join_event, 0));
    OK(cudaMemcpyAsync(out, device, BYTES, cudaMemcpyDeviceToHost, a));
    if (!joined)
        OK(cudaStreamWaitEvent(a, join_event, 0));
    cudaGraphExec_t exec = end();
    memset(out, 1, BYTES);
    OK(cudaMemsetAsync(device, 0, BYTES, a));
    OK(cudaGraphLaunch(exec, a));
    OK(cudaStreamSynchronize(a));
    OK(cudaGraphExecDestroy(exec));
    return out[0];
}

Test(graph, keeps_to_its_edges_and_nothing_else)
{
    cr_assert_eq(forked(true), 5);
    cr_assert_eq(forked(false), 0, "a missing edge shows");
}

Test(graph, stream_that_was_not_joined_is_refused)
{
    cudaGraph_t graph;
    begin();
    OK(cudaEventRecord(fork_event, a));
    OK(cudaStreamWaitEvent(b, fork_event, 0));
    OK(cudaMemsetAsync(device, 5, BYTES, b));
    REFUSED(cudaErrorStreamCaptureUnjoined, cudaStreamEndCapture(a, &graph));
    cr_assert_null(graph);
    OK(cudaMemsetAsync(device, 5, BYTES, b)); /* both are free again */
    OK(cudaStreamSynchronize(b));
}

static cudaError_t malloc_(void)
{
    void *p;
    return cudaMalloc(&p, 1);
}
static cudaError_t host_alloc(void)
{
    void *p;
    return cudaHostAlloc(&p, 1, 0);
}
static cudaError_t free_(void)
{
    return cudaFree(other);
}
static cudaError_t sync_stream(void)
{
    return cudaStreamSynchronize(a);
}
static cudaError_t sync_other(void)
{
    return cudaStreamSynchronize(b);
}
static cudaError_t sync_device(void)
{
    return cudaDeviceSynchronize();
}
static cudaError_t copy_now(void)
{
    return cudaMemcpy(device, in, BYTES, cudaMemcpyHostToDevice);
}
static cudaError_t wait_outside(void)
{
    return cudaStreamWaitEvent(a, fork_event, 0);
}
static cudaError_t sync_event(void)
{
    return cudaEventSynchronize(fork_event);
}
static cudaError_t pageable(void)
{
    char host[BYTES] = {0};
    return cudaMemcpyAsync(device, host, BYTES, cudaMemcpyHostToDevice, a);
}

Test(graph, what_cuda_forbids_spoils_the_capture)
{
    static const struct {
        const char *name;
        cudaError_t (*call)(void), code;
    } rows[] = {
        {"cudaMalloc", malloc_, cudaErrorStreamCaptureUnsupported},
        {"cudaHostAlloc", host_alloc, cudaErrorStreamCaptureUnsupported},
        {"cudaFree", free_, cudaErrorStreamCaptureUnsupported},
        {"cudaStreamSynchronize", sync_stream, cudaErrorStreamCaptureUnsupported},
        {"cudaStreamSynchronize of another", sync_other, cudaErrorStreamCaptureUnsupported},
        {"cudaDeviceSynchronize", sync_device, cudaErrorStreamCaptureUnsupported},
        {"cudaMemcpy", copy_now, cudaErrorStreamCaptureImplicit},
        {"waiting for what is outside", wait_outside, cudaErrorStreamCaptureIsolation},
        {"cudaEventSynchronize", sync_event, cudaErrorStreamCaptureUnsupported},
        {"pageable memory", pageable, cudaErrorStreamCaptureUnsupported},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum cudaStreamCaptureStatus now;
        cudaGraph_t graph;
        OK(cudaEventRecord(fork_event, b));
        begin();
        OK(cudaMemsetAsync(device, 0, BYTES, a));
        cr_expect_eq(rows[i].call(), rows[i].code, "%s", rows[i].name);
        OK(cudaStreamIsCapturing(a, &now));
        cr_expect_eq(now, cudaStreamCaptureStatusInvalidated, "%s", rows[i].name);
        REFUSED(cudaErrorStreamCaptureInvalidated, cudaMemsetAsync(device, 0, BYTES, a));
        REFUSED(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(a, &graph));
        cudaGetLastError();
        OK(cudaMemsetAsync(device, 0, BYTES, a));
        OK(cudaStreamSynchronize(a));
    }
}

Test(graph, wrong_beginnings_and_ends)
{
    cudaGraph_t graph;
    REFUSED(cudaErrorStreamCaptureUnsupported, cudaStreamBeginCapture(NULL, cudaStreamCaptureModeGlobal));
    REFUSED(cudaErrorIllegalState, cudaStreamEndCapture(a, &graph));
    begin();
    REFUSED(cudaErrorIllegalState, cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal));
    OK(cudaEventRecord(fork_event, a));
    REFUSED(cudaErrorCapturedEvent, cudaEventSynchronize(fork_event));
    OK(cudaStreamWaitEvent(b, fork_event, 0));
    REFUSED(cudaErrorStreamCaptureUnmatched, cudaStreamEndCapture(b, &graph));
    REFUSED(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(a, &graph));
    REFUSED(cudaErrorCapturedEvent, cudaStreamWaitEvent(b, fork_event, 0));
}

static void *end_elsewhere(void *unused)
{
    cudaGraph_t graph;
    (void)unused;
    REFUSED(cudaErrorStreamCaptureWrongThread, cudaStreamEndCapture(a, &graph));
    return NULL;
}

Test(graph, capture_ends_on_the_thread_that_began_it)
{
    pthread_t thread;
    begin();
    pthread_create(&thread, NULL, end_elsewhere, NULL);
    pthread_join(thread, NULL);
    OK(cudaGraphExecDestroy(end()));
}

Test(graph, relaxed_capture_lets_others_allocate)
{
    void *p;
    OK(cudaStreamBeginCapture(a, cudaStreamCaptureModeRelaxed));
    OK(cudaMalloc(&p, 16));
    OK(cudaGraphExecDestroy(end()));
    OK(cudaFree(p));
}

Test(graph, failure_within_a_replay_is_reported_by_the_wait)
{
    begin();
    OK(cudaMemsetAsync(device, 0, BYTES, a));
    OK(cudaMemsetAsync(other, 0, BYTES, a));
    cudaGraphExec_t exec = end();
    bcam_fake_fail("cudaMemsetAsync", 2, 0, true);
    OK(cudaGraphLaunch(exec, a));
    REFUSED(cudaErrorIllegalAddress, cudaStreamSynchronize(a));
    REFUSED(cudaErrorIllegalAddress, cudaGraphLaunch(exec, a));
    bcam_fake_reset();
    OK(cudaGraphExecDestroy(exec));
}

/* ---- launches: registered as nvcc's objects register themselves ---- */

void **__cudaRegisterFatBinary(void *binary);
void __cudaUnregisterFatBinary(void **handle);
void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name, int limit, uint3 *tid,
                            uint3 *bid, dim3 *block, dim3 *grid, int *warp);

static const char known_stub, unknown_stub;

static dim3 dim3_of(unsigned x)
{
    dim3 d = {x, 1, 1};
    return d;
}

static const void *find_body(const char *name)
{
    return strcmp(name, "_Z5addupPhi") == 0 ? &known_stub : NULL;
}

typedef struct call {
    unsigned char *p;
    int by;
} call;

static void *keep_call(const void *body, void **args)
{
    call *c = malloc(sizeof *c);
    (void)body;
    memcpy(&c->p, args[0], sizeof c->p);
    memcpy(&c->by, args[1], sizeof c->by);
    return c;
}

static cudaError_t run_call(const void *body, void *kept, dim3 grid, dim3 block, size_t shared)
{
    const call *c = kept;
    (void)body, (void)shared;
    for (unsigned i = 0; i < grid.x * block.x; i++)
        c->p[i] = (unsigned char)(c->p[i] + c->by);
    return cudaSuccess;
}

static void drop_call(const void *body, void *kept)
{
    (void)body;
    free(kept);
}

Test(graph, kernels_are_launched_by_name)
{
    static const bcam_fake_bodies bodies = {find_body, keep_call, run_call, drop_call};
    bcam_fake_set_bodies(&bodies);
    void **binary = __cudaRegisterFatBinary(NULL);
    __cudaRegisterFunction(binary, &known_stub, NULL, "_Z5addupPhi", -1, NULL, NULL, NULL, NULL, NULL);
    __cudaRegisterFunction(binary, &unknown_stub, NULL, "_Z7unknownv", -1, NULL, NULL, NULL, NULL, NULL);
    int by = 3;
    void *args[] = {&device, &by};
    OK(cudaMemsetAsync(device, 1, BYTES, a));
    OK(cudaLaunchKernel(&known_stub, dim3_of(2), dim3_of(BYTES / 2), args, 0, a));
    by = 100; /* arguments are taken when it is launched */
    OK(cudaMemcpyAsync(out, device, BYTES, cudaMemcpyDeviceToHost, a));
    OK(cudaStreamSynchronize(a));
    cr_assert_eq(out[BYTES - 1], 4);
    REFUSED(cudaErrorInvalidDeviceFunction,
            cudaLaunchKernel(&unknown_stub, dim3_of(1), dim3_of(1), args, 0, a)); /* says its name on stderr */
    REFUSED(cudaErrorInvalidConfiguration, cudaLaunchKernel(&known_stub, dim3_of(0), dim3_of(1), args, 0, a));
    REFUSED(cudaErrorInvalidConfiguration, cudaLaunchKernel(&known_stub, dim3_of(1), dim3_of(1025), args, 0, a));
    REFUSED(cudaErrorInvalidValue, cudaLaunchKernel(&known_stub, dim3_of(1), dim3_of(1), args, 49153, a));
    OK(cudaFuncSetAttribute(&known_stub, cudaFuncAttributeMaxDynamicSharedMemorySize, 100000));
    OK(cudaLaunchKernel(&known_stub, dim3_of(1), dim3_of(1), args, 49153, a));
    __cudaUnregisterFatBinary(binary);
    REFUSED(cudaErrorInvalidDeviceFunction, cudaLaunchKernel(&known_stub, dim3_of(1), dim3_of(1), args, 0, a));
}
