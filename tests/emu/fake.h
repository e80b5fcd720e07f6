/* fake.h - what tests may ask of the stand-ins for CUDA, and what the stand-ins ask of one another.
 *
 * Test-only libraries under CUDA's own names let the plug-in's objects run, as they are shipped, on a machine without a GPU:
 *
 *   libcudart.so.13   fake_cudart*.c   streams, events, memory, capture, graphs, launches
 *   libcudnn.so.9     fake_cudnn*.c    the real cuDNN builds every graph and plan for a described card; plans are executed here, in plain C
 *   libcublas.so.13   fake_cublas.c    matrix products in plain C
 *   libcuda.so.1      fake_cuda.c      a driver that finds no device, which the real cuDNN needs to compile for a card that is not there
 *   libbcam_bodies.so bodies.c         the kernels, compiled for the CPU, looked up by name when the run time launches them
 *
 * Work put on a stream runs when something waits for it and not before (lazy), in an order that keeps to streams, events and graph edges and
 * to nothing else: a wait that was forgotten reads poison. The host cannot touch device memory. What is modelled beyond this stands in
 * tests/emu/README.md.
 *
 * Settings come from these calls or, for programs that know nothing of this file, from the environment as they are loaded:
 *   BCAM_FAKE_MODE=eager             work runs at once
 *   BCAM_FAKE_MEMORY=BYTES           size of the card's memory (else the description's)
 *   BCAM_FAKE_DEVICES=N              how many cards there are (1)
 *   BCAM_FAKE_CARD=FILE.json         description of the card (h100.json)
 *   BCAM_FAKE_FAIL=CALL:N[:CODE]     the Nth call of that name fails; CALL@ : its work fails while running; * : any call
 *   BCAM_FAKE_CUDNN=FILE             the real libcudnn
 *   BCAM_FAKE_REPORT=1               say on stderr at exit what is still alive
 */
#ifndef BCAM_TESTS_FAKE_H
#define BCAM_TESTS_FAKE_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- for tests ---- */

/** The nth call from now of that name fails with `code` (0: what that call usually fails with); `async`: the call succeeds and its work fails
 *  when it runs, which the next wait reports and which nothing recovers from. "*": any call, any work. Several may be planned. */
void bcam_fake_fail(const char *call, long nth, int code, bool async);
/** The call that failed last by plan, or NULL. */
const char *bcam_fake_failed(void);
/** Forgets planned failures, errors that stick, counts; lets the card have its described memory again. */
void bcam_fake_reset(void);
/** Calls so far of a name; NULL: of all. Work that ran is counted under the name with an @, "cudaLaunchKernel@". */
unsigned long bcam_fake_calls(const char *call);
/** The names that were counted since the last reset, in the order they came in; NULL: so many there are not. Stays until the next reset. */
const char *bcam_fake_name(int i);
/** Objects that nobody gave back; text (may be NULL) says which, "2 device blocks, 1 event". */
size_t bcam_fake_live(char *text, size_t size);
/** What a card would not have survived, or not told: also said on stderr. */
int bcam_fake_misuses(void);
/** Work queued that has not run. */
size_t bcam_fake_pending(void);
void bcam_fake_set_eager(bool eager);
void bcam_fake_set_memory(size_t bytes);
void bcam_fake_set_devices(int count);

/* ---- for the other stand-ins ---- */

typedef enum bcam_fake_kind {
    BCAM_FAKE_DEVICE_BLOCK,
    BCAM_FAKE_PINNED_BLOCK,
    BCAM_FAKE_STREAM,
    BCAM_FAKE_EVENT,
    BCAM_FAKE_GRAPH,
    BCAM_FAKE_GRAPH_EXEC,
    BCAM_FAKE_CUDNN_HANDLE,
    BCAM_FAKE_CUDNN_DESCRIPTOR,
    BCAM_FAKE_CUBLAS_HANDLE,
    BCAM_FAKE_KINDS
} bcam_fake_kind;

void bcam_fake_count(bcam_fake_kind kind, int change);
/** Counts a call; the planned failure's code (`usual` where the plan names none), or 0. */
int bcam_fake_enter(const char *call, int usual);
void bcam_fake_misuse(const char *what);
/** Whether [p, p+bytes) lies in one block of device memory. */
bool bcam_fake_is_device(const void *p, size_t bytes);
/** The card's description as JSON text; section "cuda" or "cudnn". To be freed. */
char *bcam_fake_card(const char *section);

/** Work for a stream. It may run many times (a captured graph is replayed), always with device memory open to it. */
typedef cudaError_t (*bcam_fake_work)(void *arg);
/** Queues or captures work; `release` is called once, also where this fails. `what` names it: a string that stays. */
cudaError_t bcam_fake_enqueue(cudaStream_t stream, const char *what, bcam_fake_work work, void *arg,
                              void (*release)(void *));

/** Where kernels' bodies for the CPU are found: libbcam_bodies.so, which the run time loads from its own folder, gives its functions here. */
typedef struct bcam_fake_bodies {
    const void *(*find)(const char *name);        /* as nvcc registers it, mangled; NULL: there is none */
    void *(*keep)(const void *body, void **args); /* copies a launch's arguments */
    cudaError_t (*run)(const void *body, void *kept, dim3 grid, dim3 block, size_t shared);
    void (*drop)(const void *body, void *kept);
} bcam_fake_bodies;
void bcam_fake_set_bodies(const bcam_fake_bodies *bodies);

#ifdef __cplusplus
}
#endif
#endif
