/* fake_cudart.h - inside the stand-in run time: what its files share. Everything here is used under one lock. */
#ifndef BCAM_TESTS_FAKE_CUDART_H
#define BCAM_TESTS_FAKE_CUDART_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

/* One piece of work, on a stream or as the node of a graph. Shared by those that point to it. */
typedef struct bcam_op {
    int refs;
    bool done, mark;
    const char *what;
    bcam_fake_work work; /* NULL: it only orders */
    void *arg;
    void (*release)(void *);
    struct bcam_op **after; /* what must have run before */
    size_t after_count;
    double time; /* the card's clock when it ran, ms */
} bcam_op;

typedef struct bcam_ops {
    bcam_op **at;
    size_t count, capacity;
} bcam_ops;

typedef struct bcam_capture {
    unsigned long id;
    enum cudaStreamCaptureMode mode;
    pthread_t thread;
    cudaStream_t origin;
    bool invalid;
    bcam_ops nodes;
    struct bcam_capture *next;
} bcam_capture;

struct CUstream_st {
    bool blocking; /* waits for the default stream and is waited for by it */
    bcam_op *tail;
    bcam_capture *capture;
    bcam_op *capture_tail;
    struct CUstream_st *next;
};

struct CUevent_st {
    bool timing;
    bcam_op *at;           /* NULL: never recorded */
    unsigned long capture; /* id of the capture it was last recorded in, else 0 */
};

typedef struct bcam_block {
    char *data;
    size_t bytes;
    char *map; /* device: with its guard page */
    size_t map_bytes;
    bool pinned;
    struct bcam_block *next;
} bcam_block;

/* fake_cudart.c */
void bcam_fake_lock(void);
cudaError_t bcam_fake_leave(cudaError_t status); /* unlocks; an error becomes the thread's last one */
cudaError_t bcam_fake_begin(const char *call,
                            cudaError_t usual); /* locks; counts; planned failure or the error that sticks */
cudaError_t bcam_fake_planned_work(const char *what);
extern cudaError_t bcam_fake_sticky;
extern bool bcam_fake_eager;
extern int bcam_fake_devices;
extern size_t bcam_fake_memory; /* 0: as described */

/* A call that cannot be made leaves here; calls that give something back do so even then. */
#define BEGIN(usual)                                                                                                   \
    do {                                                                                                               \
        cudaError_t begin_ = bcam_fake_begin(__func__, usual);                                                         \
        if (begin_ != cudaSuccess)                                                                                     \
            return bcam_fake_leave(begin_);                                                                            \
    } while (0)

/* fake_cudart_memory.c */
bcam_block *bcam_fake_block(const void *p); /* that p points into */
void bcam_fake_gate(bool open);             /* device memory can be touched; counted */

/* fake_cudart_stream.c */
bcam_op *bcam_op_new(const char *what, bcam_fake_work work, void *arg, void (*release)(void *));
bcam_op *bcam_op_hold(bcam_op *op);
void bcam_op_drop(bcam_op *op);
void bcam_op_after(bcam_op *op, bcam_op *before); /* NULL: nothing */
cudaError_t bcam_op_run(bcam_op *op);
cudaError_t bcam_op_perform(bcam_op *op); /* its own work alone */
cudaStream_t bcam_fake_stream(cudaStream_t handle);
cudaStream_t bcam_fake_streams(void);
bool bcam_fake_stream_known(cudaStream_t handle);
/* Takes op; puts it on a stream, or into the graph that the stream is captured into. */
cudaError_t bcam_fake_push(cudaStream_t stream, bcam_op *op);
cudaError_t bcam_fake_run_all(void);

/* fake_cudart_graph.c */
cudaError_t bcam_capture_push(cudaStream_t stream, bcam_op *op);
cudaError_t bcam_capture_spoil(bcam_capture *capture, cudaError_t why); /* the capture is lost; returns why */
/* What a call that waits, allocates or frees meets while a stream is captured: an error, or success. */
cudaError_t bcam_capture_forbids(cudaError_t why);
bool bcam_capture_any_blocking(void);

#endif
