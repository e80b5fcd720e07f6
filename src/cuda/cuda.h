/* cuda.h - the CUDA device: the plug-in's host code. Private to the room.
 *
 * How it is built up
 *   plugin.c    the one exported symbol: is the host ours, do the machine's libraries fit
 *   device.c    cards: probing, opening, describing
 *   place.c     where the values of a program lie: element types, padded channels, blocks of device and pinned memory
 *   program.c   compiling: binding steps to addresses, choosing algorithms, workspace
 *   run.c       starting segments: copies in and out, streams, captured graphs
 *   access.c    host(), used(), read(), write()
 *   guard.c     canaries and poison, for tests
 *   cudnn.c     cuDNN: the library, convolutions as graphs of it; pool.c pooling; plans.c engines and plans; desc.c descriptors
 *   choose.c    which of cuDNN's engines, or the own kernel: notes, timing; cache.c keeps what won on disk
 *   cublas.c    matrix products; the only file that knows cuBLAS
 *   ../../kernels everything else: one launcher per verb
 *
 * Element types. Every "real" value of a program is stored in one type: float (fp32, tf32), half (fp16) or bfloat16 (bf16). What SELECT, CAM and
 * UPSAMPLE give out, and lookup tables, are float or of their own type. Sums are made in float.
 *
 * Layout. Rank 4 is channels-last, weights too; the exceptions stand in dev/place.h. A network's input of 3 channels that only convolutions read
 * is stored with 4, the fourth zero, as are their weights: cuDNN then needs no workspace for it.
 *
 * Memory is asked for once, in compile: constants; the arena; per buffer pair one block of device memory and one of pinned host memory for what
 * host() gives out; the workspace of cuDNN, cuBLAS and the own kernels. Values that cross between host and device exist twice, all else once.
 *
 * Streams. Copies in, computing and copies out have a stream each, ordered by events. A mask of segments is run step by step the first time on a
 * pair, captured into a CUDA graph the second time, and replayed from then on.
 *
 * Calls of the CUDA run time, all that there are: cudaGetDeviceCount, cudaSetDevice, cudaGetDeviceProperties, cudaDriverGetVersion,
 * cudaRuntimeGetVersion, cudaMemGetInfo, cudaMalloc, cudaFree, cudaHostAlloc, cudaFreeHost, cudaMemcpyAsync, cudaMemsetAsync,
 * cudaStreamCreateWithFlags, cudaStreamDestroy, cudaStreamSynchronize, cudaStreamWaitEvent, cudaStreamBeginCapture, cudaStreamEndCapture,
 * cudaGraphInstantiate, cudaGraphLaunch, cudaGraphDestroy, cudaGraphExecDestroy, cudaEventCreateWithFlags, cudaEventRecord,
 * cudaEventSynchronize, cudaEventElapsedTime, cudaEventDestroy, cudaGetLastError, cudaGetErrorName, cudaGetErrorString.
 */
#ifndef BCAM_CUDA_CUDA_H
#define BCAM_CUDA_CUDA_H

#include <cuda_runtime_api.h>

#include "dev/place.h"
#include "kernels/kernels.h"

enum { BCAM_CUDA_PAIRS = 2, BCAM_CUDA_ALIGN = 256, BCAM_CUDA_MASKS = 1 << BCAM_SEGMENT_COUNT };

/* ---- errors ---- */

/** BCAM_OK, or the sentence "WHAT: CALL said NAME (text)". Too little memory is E_MEMORY, everything else E_DEVICE. */
bcam_status bcam_cuda_check(cudaError_t code, const char *call, const char *what, bcam_error *err);

/* ---- cuDNN (cudnn.c, choose.c) ---- */

typedef struct bcam_cudnn bcam_cudnn;
typedef struct bcam_conv bcam_conv;           /* a convolution or pooling with its chosen engine */
typedef struct bcam_conv_pack bcam_conv_pack; /* its addresses */

/** A CONV, CONV_BWD, POOL or POOL_BWD as it lies. Backwards x is dx and y is dy; poolings have no w. `data` is one place where it can be tried; its alignment counts. */
typedef struct bcam_conv_problem {
    const bcam_step *step;
    bcam_tensor x, w, y;        /* (N,C,H,W) (M,C/groups,kh,kw) (N,M,oh,ow) */
    bcam_tensor bias, residual; /* (M) (N,M,oh,ow); data is NULL where absent */
    bool strict;                /* fp32 without tensor cores */
} bcam_conv_problem;

typedef struct bcam_cudnn_options {
    cudaStream_t stream;
    bool deterministic;   /* no timing, no cache: the first engine that fits */
    const char *identity; /* card, driver and library versions, for the cache's key */
    const char *json;     /* instead of a card: one described in JSON. Then plans are made but cannot run */
    bcam_log log;
} bcam_cudnn_options;

bcam_status bcam_cudnn_open(const bcam_cudnn_options *options, bcam_cudnn **out, bcam_error *err);
void bcam_cudnn_close(bcam_cudnn **dnn);
/** "9.19.0"; versions: as the library's own number, 91900. */
const char *bcam_cudnn_version_text(char *text, size_t size);
size_t bcam_cudnn_version(void);

/** Device memory that may be used and grown while engines are timed; freed by the owner. */
typedef struct bcam_cuda_block {
    void *data;
    size_t bytes;
} bcam_cuda_block;

bool bcam_is_pool(bcam_verb verb);
/** Whether cuDNN is asked for a pooling; where not, the own kernel does it. */
bool bcam_pool_asks(const bcam_cudnn *dnn, const bcam_conv_problem *problem);
/** Chooses an engine for a problem. What it cannot do of bias, residual and activation is left (bcam_conv_left). */
bcam_status bcam_conv_open(bcam_cudnn *dnn, const bcam_conv_problem *problem, bcam_cuda_block *trial, bcam_conv **out,
                           bcam_error *err);
void bcam_conv_close(bcam_conv **conv);
/** Everything that the choice depends on, in one line; allocated, NULL where memory is out. Problems with one key may share a bcam_conv. */
char *bcam_conv_key(const bcam_cudnn *dnn, const bcam_conv_problem *problem);
bool bcam_conv_is(const bcam_conv *conv, const char *key);
/** The own kernel was the fastest: nothing of cuDNN's is to run. Poolings only. */
bool bcam_conv_is_own(const bcam_conv *conv);
size_t bcam_conv_workspace(const bcam_conv *conv);
const char *bcam_conv_text(const bcam_conv *conv); /* "cudnn 41, timed" */
/** What bcam_kernel_epilogue has to add after it. */
typedef struct bcam_conv_rest {
    bool bias, residual, act;
} bcam_conv_rest;
bcam_conv_rest bcam_conv_left(const bcam_conv *conv);
/** Binds addresses. `workspace` holds bcam_conv_workspace() bytes. */
bcam_status bcam_conv_pack_open(const bcam_conv *conv, const bcam_conv_problem *problem, void *workspace,
                                bcam_conv_pack **out, bcam_error *err);
void bcam_conv_pack_close(bcam_conv_pack **pack);
bcam_status bcam_conv_run(bcam_cudnn *dnn, const bcam_conv *conv, const bcam_conv_pack *pack, bcam_error *err);

/* ---- cache.c: entries on disk ---- */

/** What is kept of a choice. */
typedef struct bcam_plan_entry {
    unsigned fused; /* what the graph holds beside the convolution */
    char text[64];
    char *json; /* allocated */
    size_t json_bytes;
} bcam_plan_entry;

/** Finds the entry of a key; false where there is none, or it is damaged, or of another key. */
bool bcam_plan_cache_find(const char *key, bcam_plan_entry *entry);
/** Keeps an entry; a folder that cannot be written is no error. */
void bcam_plan_cache_keep(const char *key, const bcam_plan_entry *entry);

/* ---- cuBLAS ---- */

typedef struct bcam_cublas bcam_cublas;
bcam_status bcam_cublas_open(cudaStream_t stream, bcam_precision precision, bcam_cublas **out, bcam_error *err);
void bcam_cublas_close(bcam_cublas **blas);
size_t bcam_cublas_workspace(const bcam_cublas *blas);
bcam_status bcam_cublas_set_workspace(bcam_cublas *blas, void *workspace, size_t bytes, bcam_error *err);
/** GEMM without bias and activation, or GEMM_BWD. */
bcam_status bcam_cublas_gemm(bcam_cublas *blas, const bcam_kernel_call *call, bcam_error *err);

/* ---- the device ---- */

struct bcam_device {
    bcam_device_options options; /* resolved: precision is never DEFAULT */
    bcam_dtype real;             /* how F32 is stored */
    cudaStream_t in, compute, out;
    bcam_cudnn *dnn;
    bcam_cublas *blas;
    char text[384], identity[512];
};

extern const bcam_device_api bcam_cuda_device;
/** The card is chosen per thread, so every call of the device begins with this. */
bcam_status bcam_cuda_enter(const bcam_device *device, bcam_error *err);
/** Waits until nothing of a stream is under way, before what its work uses is freed. A wait that fails is tried once more: where that fails too,
 *  the card is lost, and nothing runs there any more. */
void bcam_cuda_settle(cudaStream_t stream);

/* ---- the program ---- */

/** A value that host() gives out, or would: it crosses between host and device. */
typedef struct bcam_cuda_port {
    int value;
    bool converted; /* the device computes it in another type; a float copy crosses */
    unsigned reads,
        writes; /* segments. What is read, and written by none of those that run, is copied in; what is written is copied out */
    size_t offset, bytes;         /* in both blocks of a pair */
    size_t used[BCAM_CUDA_PAIRS]; /* of the bytes: those that are copied in */
} bcam_cuda_port;

/** A step bound to addresses. */
typedef struct bcam_cuda_call {
    bcam_kernel_call kernel;
    bcam_conv *conv; /* what cuDNN does; owned by the program. NULL: a kernel's */
    bcam_conv_pack *pack;
} bcam_cuda_call;

typedef struct bcam_cuda_graph {
    cudaGraphExec_t exec; /* NULL: not captured */
    int runs;             /* by streams */
    bool refused;         /* capturing failed; run by streams for ever */
} bcam_cuda_graph;

typedef struct bcam_cuda_pair {
    char *device, *host; /* blocks of port_bytes */
    cudaEvent_t copied_in, computed, copied_out;
    bcam_cuda_call *calls;
    bcam_cuda_graph graphs[BCAM_CUDA_MASKS];
} bcam_cuda_pair;

struct bcam_program {
    bcam_device *device; /* outlives the program */
    bcam_placement place;
    size_t *port_offset; /* of each root: its place in the ports' blocks, or SIZE_MAX: in the arena */
    bcam_cuda_port *ports;
    size_t port_count;
    int *first_call; /* of each step, and one past the end */
    size_t call_count;
    bcam_conv **convs; /* each different one once */
    size_t conv_count;
    bcam_cuda_pair pair[BCAM_CUDA_PAIRS];
    char *constants, *arena, *workspace;
    size_t constant_bytes, arena_bytes, workspace_bytes, scratch_offset, port_bytes;
    int last_pair; /* that was run */
    bool told;     /* that capturing failed */
    bool *born;    /* guard: has been written since compile */
};

/* place.c */
/** Types and strides of all values; asks nothing of a card. */
bcam_status bcam_cuda_lay(bcam_program *program, bcam_error *err);
/** The same, and all memory. */
bcam_status bcam_cuda_place(bcam_program *program, const bcam_plan *plan, bcam_error *err);
/** Device memory of `bytes` for `what`; E_MEMORY says how much is free. NULL for 0 bytes. */
bcam_status bcam_cuda_malloc(size_t bytes, const char *what, void *out, bcam_error *err);
/** Where a value lies when a pair is run. */
bcam_tensor bcam_cuda_tensor(const bcam_program *program, int value, int pair);
/** The port of a value, or NULL. */
const bcam_cuda_port *bcam_cuda_find_port(const bcam_program *program, int value);

/* program.c */
bcam_status bcam_cuda_query(bcam_device *device, const bcam_plan *plan, const bcam_step *step, bcam_error *err);
bcam_status bcam_cuda_compile(bcam_device *device, const bcam_plan *plan, bcam_program **out, bcam_error *err);
void bcam_cuda_destroy(bcam_program **program);
size_t bcam_cuda_bytes(const bcam_program *program);
const char *bcam_cuda_algorithm(const bcam_program *program, size_t step);

/* run.c */
/** Starts one step on the compute stream. */
bcam_status bcam_cuda_step(bcam_program *program, int step, int pair, bcam_error *err);
bcam_status bcam_cuda_run(bcam_program *program, unsigned segments, int pair, bcam_error *err);
bcam_status bcam_cuda_wait(bcam_program *program, int pair, bcam_error *err);

/* access.c */
void *bcam_cuda_host(bcam_program *program, int value, int pair);
void bcam_cuda_used(bcam_program *program, int value, int pair, size_t bytes);
bcam_status bcam_cuda_read(bcam_program *program, int value, bcam_dtype as, void *out, bcam_error *err);
bcam_status bcam_cuda_write(bcam_program *program, int value, bcam_dtype as, const void *data, bcam_error *err);

/* guard.c */
enum { BCAM_CUDA_CANARY = BCAM_CUDA_ALIGN }; /* bytes before and behind each value of the arena */
bcam_status bcam_cuda_guard_start(bcam_program *program, bcam_error *err);
bcam_status bcam_cuda_guard_before(bcam_program *program, int step, bcam_error *err);
bcam_status bcam_cuda_guard_after(bcam_program *program, int step, bcam_error *err);

#endif
