/* bench_cuda.h - what the programs that measure a card share. They end with a sentence where a call fails. */
#ifndef BCAM_BENCH_CUDA_H
#define BCAM_BENCH_CUDA_H

#include <cuda_runtime_api.h>

#include "bench.h"

typedef struct bench_card {
    cudaStream_t stream;
    cudaEvent_t begin, end;
    char name[256];
    size_t l2_bytes, free_bytes;
} bench_card;

/** Prints {"error": "WHAT: why"} and ends the program where `code` is no success. */
void bench_cuda_check(cudaError_t code, const char *what);
void bench_card_open(bench_card *card);
void *bench_device_memory(size_t bytes, const char *what);
/** Fills device memory with random numbers in [-1, 1) of a type (BCAM_U8: random bytes; BCAM_I32: zeros). */
void bench_device_random(bench_card *card, void *data, size_t count, bcam_dtype dtype);

/** Starts one piece of work on the card's stream; `turn` counts up, for buffers that are used in turn. */
typedef cudaError_t (*bench_work)(void *data, bench_card *card, int turn);
/** Seconds of one piece: `repeat` of them between two events, the median of `rounds`, after some that do not count. */
double bench_card_time(bench_card *card, bench_work work, void *data, int repeat, int rounds);

/** Bytes a second, read and written, of copies within the card: each block of `bytes`, over buffers of at least four times the L2. */
double bench_copy_rate(bench_card *card, size_t bytes);

#endif
