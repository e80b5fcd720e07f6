/* test_fake_streams.c - the stand-in run time: what is lazy is seen to be lazy, what CUDA refuses is refused, what is planned to fail fails. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "fake.h"

enum { BYTES = 1000 };

#if defined(__SANITIZE_ADDRESS__)
#define TOUCHED SIGABRT /* the sanitizer says so first */
#else
#define TOUCHED SIGSEGV
#endif

#define OK(call) cr_assert_eq(call, cudaSuccess, "%s", #call)
#define REFUSED(code, call) cr_expect_eq(call, code, "%s", #call)

static cudaStream_t a, b;
static cudaEvent_t event;
static unsigned char *device, *other, *pinned;

static void open_all(void)
{
    bcam_fake_set_eager(false);
    bcam_fake_reset();
    OK(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking));
    OK(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking));
    OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    OK(cudaMalloc((void **)&device, BYTES));
    OK(cudaMalloc((void **)&other, BYTES));
    OK(cudaHostAlloc((void **)&pinned, BYTES, cudaHostAllocDefault));
}

static void close_all(void)
{
    char text[256];
    bcam_fake_reset();
    OK(cudaStreamDestroy(a));
    OK(cudaStreamDestroy(b));
    OK(cudaEventDestroy(event));
    OK(cudaFree(device));
    OK(cudaFree(other));
    OK(cudaFreeHost(pinned));
    cr_assert_eq(bcam_fake_live(text, sizeof text), 0u, "%s", text);
}

TestSuite(fake, .init = open_all, .fini = close_all);

static cudaError_t fill(void *p)
{
    memset(p, 7, BYTES);
    return cudaSuccess;
}

static void nothing(void *p)
{
    (void)p;
}

Test(fake, work_runs_when_it_is_waited_for)
{
    memset(pinned, 1, BYTES);
    OK(cudaMemsetAsync(device, 5, BYTES, a));
    OK(cudaMemcpyAsync(pinned, device, BYTES, cudaMemcpyDeviceToHost, a));
    cr_assert_eq(pinned[BYTES - 1], 1);
    cr_assert_eq(bcam_fake_pending(), 2u);
    OK(cudaStreamSynchronize(b));
    cr_assert_eq(pinned[BYTES - 1], 1, "another stream's wait ran it");
    OK(cudaStreamSynchronize(a));
    cr_assert_eq(pinned[BYTES - 1], 5);
    cr_assert_eq(bcam_fake_calls("cudaMemsetAsync@"), 1u);
}

Test(fake, eager_work_runs_at_once)
{
    bcam_fake_set_eager(true);
    OK(cudaMemsetAsync(device, 5, BYTES, a));
    OK(cudaMemcpyAsync(pinned, device, BYTES, cudaMemcpyDeviceToHost, a));
    cr_assert_eq(pinned[0], 5);
    bcam_fake_set_eager(false);
}

static unsigned char across_streams(bool wait)
{
    OK(cudaMemsetAsync(device, 0, BYTES, a));
    OK(cudaStreamSynchronize(a));
    OK(bcam_fake_enqueue(a, "fill", fill, device, nothing));
    OK(cudaEventRecord(event, a));
    if (wait)
        OK(cudaStreamWaitEvent(b, event, 0));
    OK(cudaMemcpyAsync(pinned, device, BYTES, cudaMemcpyDeviceToHost, b));
    OK(cudaStreamSynchronize(b));
    return pinned[3];
}

Test(fake, forgotten_wait_between_streams_shows)
{
    cr_assert_eq(across_streams(true), 7);
    cr_assert_eq(across_streams(false), 0);
}

Test(fake, event_stands_for_what_was_recorded)
{
    OK(cudaMemsetAsync(device, 1, BYTES, a));
    OK(cudaEventRecord(event, a));
    OK(cudaMemsetAsync(device, 2, BYTES, a));
    OK(cudaEventSynchronize(event));
    OK(cudaMemcpyAsync(pinned, device, BYTES, cudaMemcpyDeviceToHost, b));
    OK(cudaStreamSynchronize(b));
    cr_assert_eq(pinned[0], 1);
}

Test(fake, pinned_memory_is_read_late_and_pageable_at_once)
{
    unsigned char host[BYTES], back[BYTES];
    memset(pinned, 1, BYTES);
    memset(host, 1, BYTES);
    OK(cudaMemcpyAsync(device, pinned, BYTES, cudaMemcpyHostToDevice, a));
    OK(cudaMemcpyAsync(other, host, BYTES, cudaMemcpyHostToDevice, a));
    memset(pinned, 9, BYTES);
    memset(host, 9, BYTES);
    OK(cudaMemcpyAsync(back, device, BYTES, cudaMemcpyDeviceToHost, a)); /* to pageable memory: waits */
    cr_assert_eq(back[0], 9);
    OK(cudaMemcpyAsync(back, other, BYTES, cudaMemcpyDeviceToHost, a));
    cr_assert_eq(back[0], 1);
}

Test(fake, default_stream_waits_for_blocking_streams_only)
{
    cudaStream_t blocking;
    unsigned char host[BYTES];
    OK(cudaStreamCreateWithFlags(&blocking, cudaStreamDefault));
    OK(cudaMemsetAsync(device, 3, BYTES, blocking));
    OK(cudaMemcpy(host, device, BYTES, cudaMemcpyDeviceToHost));
    cr_assert_eq(host[0], 3);
    OK(cudaMemsetAsync(device, 4, BYTES, a));
    OK(cudaMemcpy(host, device, BYTES, cudaMemcpyDeviceToHost));
    cr_assert_eq(host[0], 3);
    OK(cudaStreamDestroy(blocking));
}

Test(fake, new_memory_is_poison)
{
    unsigned char host[BYTES];
    OK(cudaMemcpy(host, device, BYTES, cudaMemcpyDeviceToHost));
    cr_assert_eq(host[0] & host[BYTES - 1], 0xff);
}

Test(fake, wrong_copies_are_refused)
{
    REFUSED(cudaErrorInvalidValue, cudaMemcpyAsync(device, pinned, BYTES + 1, cudaMemcpyHostToDevice, a));
    REFUSED(cudaErrorInvalidValue, cudaMemcpyAsync(device + 1, pinned, BYTES, cudaMemcpyHostToDevice, a));
    REFUSED(cudaErrorInvalidValue, cudaMemcpyAsync(device, pinned, BYTES, cudaMemcpyDeviceToHost, a));
    REFUSED(cudaErrorInvalidValue, cudaMemsetAsync(pinned, 0, BYTES, a));
    REFUSED(cudaErrorInvalidValue, cudaMemsetAsync(device, 0, BYTES + 1, a));
    REFUSED(cudaErrorInvalidValue, cudaFree(pinned));
    REFUSED(cudaErrorInvalidValue, cudaFree(device + 1));
    REFUSED(cudaErrorInvalidResourceHandle, cudaMemsetAsync(device, 0, 1, (cudaStream_t)&event));
    cr_assert_eq(bcam_fake_pending(), 0u);
}

Test(fake, times_are_of_work_that_has_run)
{
    cudaEvent_t start, stop;
    float ms = -1;
    OK(cudaEventCreateWithFlags(&start, cudaEventDefault));
    OK(cudaEventCreateWithFlags(&stop, cudaEventDefault));
    OK(cudaEventRecord(start, a));
    for (int i = 0; i < 5; i++)
        OK(cudaMemsetAsync(device, 0, BYTES, a));
    OK(cudaEventRecord(stop, a));
    REFUSED(cudaErrorNotReady, cudaEventElapsedTime(&ms, start, stop));
    OK(cudaEventSynchronize(stop));
    OK(cudaEventElapsedTime(&ms, start, stop));
    cr_assert_float_eq(ms, 0.005f, 1e-6f);
    OK(cudaEventRecord(event, a));
    REFUSED(cudaErrorInvalidResourceHandle, cudaEventElapsedTime(&ms, start, event)); /* that one keeps no time */
    OK(cudaEventDestroy(start));
    OK(cudaEventDestroy(stop));
}

Test(fake, memory_is_as_large_as_asked_for)
{
    size_t available, total;
    void *p;
    OK(cudaMemGetInfo(&available, &total));
    cr_assert_eq(total, 85017755648u, "as the card is described");
    bcam_fake_set_memory(1 << 20);
    OK(cudaMemGetInfo(&available, &total));
    cr_assert_eq(available, (1u << 20) - 2 * BYTES);
    REFUSED(cudaErrorMemoryAllocation, cudaMalloc(&p, 1 << 20));
    REFUSED(cudaErrorMemoryAllocation, cudaGetLastError()); /* stays until it is read, and harms nothing else */
    OK(cudaGetLastError());
    OK(cudaMalloc(&p, available));
    OK(cudaFree(p));
}

Test(fake, planned_failures)
{
    bcam_fake_fail("cudaMemsetAsync", 2, cudaErrorInvalidValue, false);
    OK(cudaMemsetAsync(device, 0, 1, a));
    REFUSED(cudaErrorInvalidValue, cudaMemsetAsync(device, 0, 1, a));
    cr_assert_str_eq(bcam_fake_failed(), "cudaMemsetAsync");
    OK(cudaMemsetAsync(device, 0, 1, a));
    bcam_fake_fail("*", 3, 0, false);
    OK(cudaMemsetAsync(device, 0, 1, a));
    OK(cudaStreamSynchronize(a));
    REFUSED(cudaErrorUnknown, cudaEventRecord(event, a));
    OK(cudaEventRecord(event, a));
}

Test(fake, work_that_fails_loses_the_card)
{
    memset(pinned, 1, BYTES);
    bcam_fake_fail("cudaMemsetAsync", 1, 0, true);
    OK(cudaMemsetAsync(device, 5, BYTES, a));
    OK(cudaMemcpyAsync(pinned, device, BYTES, cudaMemcpyDeviceToHost, a));
    REFUSED(cudaErrorIllegalAddress, cudaStreamSynchronize(a));
    cr_assert_eq(pinned[0], 1, "work after it did not run");
    void *p;
    REFUSED(cudaErrorIllegalAddress, cudaMalloc(&p, 16));
    REFUSED(cudaErrorIllegalAddress, cudaGetLastError());
    REFUSED(cudaErrorIllegalAddress, cudaGetLastError());
}

Test(fake, what_is_given_back_is_gone_even_when_that_fails)
{
    void *p;
    OK(cudaMalloc(&p, 16));
    bcam_fake_fail("cudaFree", 1, 0, false);
    REFUSED(cudaErrorUnknown, cudaFree(p));
    REFUSED(cudaErrorInvalidValue, cudaFree(p));
}

Test(fake, card_is_as_described)
{
    struct cudaDeviceProp card;
    int count, value;
    OK(cudaGetDeviceCount(&count));
    cr_assert_eq(count, 1);
    OK(cudaGetDeviceProperties(&card, 0));
    cr_assert(strstr(card.name, "H100") && card.major == 9 && card.minor == 0 && card.multiProcessorCount == 132);
    OK(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
    cr_assert_eq(value, 232448);
    REFUSED(cudaErrorInvalidDevice, cudaSetDevice(1));
    bcam_fake_set_devices(0);
    REFUSED(cudaErrorNoDevice, cudaGetDeviceCount(&count));
    bcam_fake_set_devices(1);
}

/* What a sanitizer says of a fault that is meant would fail the test. */
static void hush(void)
{
    int nowhere = open("/dev/null", O_WRONLY);
    cr_assert(nowhere >= 0 && dup2(nowhere, STDERR_FILENO) == STDERR_FILENO);
}

Test(fake_host, cannot_touch_device_memory, .signal = TOUCHED)
{
    void *p;
    hush();
    OK(cudaMalloc(&p, BYTES));
    *(volatile char *)p = 1;
}

static cudaError_t overrun(void *p)
{
    memset(p, 7, BYTES + 1);
    return cudaSuccess;
}

Test(fake_host, write_past_a_device_block_is_found, .signal = SIGABRT)
{
    void *p;
    hush();
    OK(cudaMalloc(&p, BYTES));
    OK(bcam_fake_enqueue(NULL, "overrun", overrun, p, nothing));
    OK(cudaFree(p));
}
