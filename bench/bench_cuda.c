/* bench_cuda.c - a card for the programs that measure one: memory, random numbers, timing by events. */
#include "bench_cuda.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "dev/dev.h"

void bench_cuda_check(cudaError_t code, const char *what)
{
    if (code == cudaSuccess)
        return;
    char text[512];
    snprintf(text, sizeof text, "%s: %s (%s)", what, cudaGetErrorName(code), cudaGetErrorString(code));
    bench_json json;
    bench_json_begin(&json, stdout);
    bench_json_text(&json, "error", text);
    bench_json_end(&json);
    fprintf(stderr, "%s\n", text);
    exit(1);
}

void bench_card_open(bench_card *card)
{
    struct cudaDeviceProp properties;
    size_t total = 0;
    *card = (bench_card){0};
    bench_cuda_check(cudaSetDevice(0), "choosing the card");
    bench_cuda_check(cudaGetDeviceProperties(&properties, 0), "looking at the card");
    bench_cuda_check(cudaMemGetInfo(&card->free_bytes, &total), "looking at the card's memory");
    bench_cuda_check(cudaStreamCreateWithFlags(&card->stream, cudaStreamNonBlocking), "making a stream");
    bench_cuda_check(cudaEventCreateWithFlags(&card->begin, cudaEventDefault), "making an event");
    bench_cuda_check(cudaEventCreateWithFlags(&card->end, cudaEventDefault), "making an event");
    snprintf(card->name, sizeof card->name, "%s", properties.name);
    card->l2_bytes = (size_t)properties.l2CacheSize;
}

void *bench_device_memory(size_t bytes, const char *what)
{
    void *data = NULL;
    bench_cuda_check(cudaMalloc(&data, bytes), what);
    return data;
}

static void set_number(void *block, size_t i, bcam_dtype dtype, uint64_t *state)
{
    float value = bench_random(state);
    if (dtype == BCAM_F16)
        ((uint16_t *)block)[i] = bcam_f32_to_f16(value);
    else if (dtype == BCAM_BF16)
        ((uint16_t *)block)[i] = bcam_f32_to_bf16(value);
    else if (dtype == BCAM_F32)
        ((float *)block)[i] = value;
}

/* One random block of 4 MB, from another place in it each time. */
void bench_device_random(bench_card *card, void *data, size_t count, bcam_dtype dtype)
{
    static uint64_t state = 0x853c49e6748fea9bu;
    enum { BLOCK = 1 << 22 };
    size_t size = bcam_dtype_bytes(dtype), bytes = count * size;
    char *block = NULL;
    bench_cuda_check(cudaHostAlloc((void **)&block, BLOCK, 0), "pinned memory");
    memset(block, 0, BLOCK);
    if (dtype == BCAM_U8)
        bench_random_bytes(block, BLOCK, &state);
    else if (dtype != BCAM_I32)
        for (size_t i = 0; i < BLOCK / size; i++)
            set_number(block, i, dtype, &state);
    for (size_t at = 0, skip = 0; at < bytes; skip = (skip + 4096) % (BLOCK / 2)) {
        size_t now = bytes - at < BLOCK - skip ? bytes - at : BLOCK - skip;
        bench_cuda_check(cudaMemcpyAsync((char *)data + at, block + skip, now, cudaMemcpyHostToDevice, card->stream),
                         "filling memory");
        at += now;
    }
    bench_cuda_check(cudaStreamSynchronize(card->stream), "filling memory");
    cudaFreeHost(block);
}

double bench_card_time(bench_card *card, bench_work work, void *data, int repeat, int rounds)
{
    enum { MOST = 64 };
    double took[MOST];
    int turn = 0;
    for (int i = 0; i < 3; i++)
        bench_cuda_check(work(data, card, turn++), "starting work");
    for (int r = 0; r < rounds && r < MOST; r++) {
        float ms = 0;
        bench_cuda_check(cudaEventRecord(card->begin, card->stream), "an event");
        for (int i = 0; i < repeat; i++)
            bench_cuda_check(work(data, card, turn++), "starting work");
        bench_cuda_check(cudaEventRecord(card->end, card->stream), "an event");
        bench_cuda_check(cudaEventSynchronize(card->end), "waiting for work");
        bench_cuda_check(cudaEventElapsedTime(&ms, card->begin, card->end), "an event's time");
        took[r] = (double)ms * 1e-3 / repeat;
    }
    return bench_median(took, (size_t)(rounds < MOST ? rounds : MOST));
}

/* ---- copying ---- */

typedef struct copy_case {
    char *block;
    size_t bytes;
    int count;
} copy_case;

/* From one half of the buffers to the other. */
static cudaError_t copy_work(void *data, bench_card *card, int turn)
{
    copy_case *c = data;
    int half = c->count / 2, from = turn % half;
    return cudaMemcpyAsync(c->block + c->bytes * (size_t)(half + from), c->block + c->bytes * (size_t)from, c->bytes,
                           cudaMemcpyDeviceToDevice, card->stream);
}

double bench_copy_rate(bench_card *card, size_t bytes)
{
    copy_case c = {.bytes = bytes};
    c.count = 2 * (int)((4 * card->l2_bytes + bytes - 1) / bytes);
    if (c.count < 4)
        c.count = 4;
    c.block = bench_device_memory(bytes * (size_t)c.count, "memory for copying");
    bench_device_random(card, c.block, bytes * (size_t)c.count, BCAM_U8);
    double seconds = bench_card_time(card, copy_work, &c, 10, 15);
    cudaFree(c.block);
    return 2 * (double)bytes / seconds;
}
