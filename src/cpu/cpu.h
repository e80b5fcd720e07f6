/* cpu.h - the CPU device: plain C for every verb, oneDNN laid over it. Private to the room, but for `bcam_cpu_device`.
 *
 * How it is built up
 *   plain.inc        includes the families (*.inc: gemm, conv, pool, elementwise, reduce, binary_bwd, copy, cam, resize, upsample), which are written once in
 *                    terms of the type `real`, and ends with the table of slots, one per verb. plain_f32.c (real is float) and plain_f64.c
 *                    (double) are the reference; fast_*.c compile the float one for several instruction sets (fast.h). Everything in it is
 *                    static but the table. Sums are made in double, in an order that depends neither on the number of threads nor on the
 *                    batch: output bytes depend on neither.
 *   walk.c           turns strided tensors into few long rows, so that one loop serves every layout
 *   dnnl*.c          overwrite slots of the float table; dnnl_choose.c says in which way a convolution is done, winograd.c is one of them
 *   widen.c          runs plain C on what is stored as bfloat16
 *   place.c          the memory: arena and constants; dev/place.h says how values lie
 *   passes.c         which steps are run for a few photos at a time
 *   calls.c          steps bound to memory
 *   guard.c          canaries and poison, for tests
 *   peak.c           what the machine does at most, measured
 *   program.c        the device interface; program.h says what a program is made of
 *
 * Weights of CONV and CONV_BWD are dense (M,C/groups,kh,kw), or on a reference device in the order kh, kw, C/groups, M, which plain C reads
 * along its inner loop.
 *
 * Precision BF16. Activations and gradients of rank 4 are stored as bfloat16 (see place.c) and everything else as float; sums are made in float or
 * better. The slots of the float table never see a bfloat16.
 *
 * Host memory. host() is promised for values that are dense and stored in their own dtype, and for pixels (u8, rank 4: N,H,W,3); for any
 * other value it returns NULL and read()/write() must be used (always so for F32 values at FP64, which are stored as double). Runs are
 * synchronous, so there is one pair of buffers.
 */
#ifndef BCAM_CPU_CPU_H
#define BCAM_CPU_CPU_H

#include "dev/dev.h"

extern const bcam_device_api bcam_cpu_device;

/* ---- slots ---- */

/** One step bound to memory (an each_k step is bound K times, its gradients advanced by one k each). Tensors are final from prepare on. */
typedef struct bcam_cpu_call {
    const bcam_step *step;
    const struct bcam_cpu_verb *plain;              /* the device's table of all verbs in plain C */
    bcam_tensor in[BCAM_MAX_IN], out[BCAM_MAX_OUT]; /* data is NULL where an operand is absent */
    unsigned
        in_const; /* bit i: in[i] is a CONST, filled before prepare; prepare may keep a copy in an order of its own. Where such a
                             value is written later, the device releases and prepares the call again. */
    int threads;
    bool deterministic;
    void *context;        /* of the overlay (bcam_cpu_dnnl_open); NULL on reference and double devices */
    void *state;          /* of the slot: made by prepare, freed by release */
    size_t state_bytes;   /* set by prepare: memory behind state, for bytes() */
    size_t scratch_bytes; /* set by prepare: what run needs for itself; one block is shared by all calls */
    void *scratch;        /* aligned to 64 bytes; set before the first run */
} bcam_cpu_call;

/** How a verb is done. Everything but run may be NULL. run allocates nothing. */
typedef struct bcam_cpu_verb {
    /** BCAM_E_UNSUPPORTED from an overlaid slot means "not mine": the plain slot takes the step. A failing prepare leaves no state behind. */
    bcam_status (*prepare)(bcam_cpu_call *call, bcam_error *err);
    bcam_status (*run)(const bcam_cpu_call *call, bcam_error *err);
    void (*release)(bcam_cpu_call *call);
    const char *(*algorithm)(const bcam_cpu_call *call); /* NULL: "plain" */
} bcam_cpu_verb;

/* plain_f32.c, plain_f64.c: complete tables. */
extern const bcam_cpu_verb bcam_cpu_plain_f32[BCAM_VERB_COUNT];
extern const bcam_cpu_verb bcam_cpu_plain_f64[BCAM_VERB_COUNT];

/* widen.c: plain C on float copies, for a step with operands that are stored as bfloat16. */
bool bcam_cpu_is_short(const bcam_cpu_call *call); /* whether some operand is */
/** Whether a step makes each photo of itself alone; x and y: its first input and output. */
bool bcam_cpu_parts_photos(const bcam_step *step, const bcam_tensor *x, const bcam_tensor *y);
extern const bcam_cpu_verb bcam_cpu_widened;
/** A function of one element (a UNARY) over the first output of a call, in place, however it is stored: for epilogues that a slot does not fuse. */
bcam_status bcam_cpu_apply(const bcam_cpu_call *call, const bcam_step *unary, bcam_error *err);

/* dnnl.c */

/** How a convolution can be done. */
typedef enum bcam_cpu_way {
    BCAM_CPU_DIRECT,   /* oneDNN's own, on channels-last memory */
    BCAM_CPU_BLOCKED,  /* the same on blocks of channels */
    BCAM_CPU_PRODUCT,  /* 1x1: a matrix product over pixels */
    BCAM_CPU_WINOGRAD, /* 3x3, stride 1: winograd.h */
    BCAM_CPU_IM2COL,   /* products of a few pixels, gathered before */
    BCAM_CPU_WAYS
} bcam_cpu_way;

bcam_status bcam_cpu_dnnl_open(void **context, bcam_error *err); /* an engine and a stream, one per device */
void bcam_cpu_dnnl_close(void **context);
const char *bcam_cpu_dnnl_version(void); /* "oneDNN 2.6.3" */
bool bcam_cpu_dnnl_bf16(void);           /* whether this processor multiplies bfloat16 */
/** Does every convolution in one way, or, where that is not for it, in the next of dnnl_choose.c's table; BCAM_CPU_WAYS: as is best. For tests, on a device with oneDNN. */
void bcam_cpu_dnnl_force(void *context, bcam_cpu_way way);
void *bcam_cpu_context(bcam_device *device);
const char *bcam_cpu_way_name(bcam_cpu_way way);
/** Overwrites the slots it does faster. */
void bcam_cpu_overlay_dnnl(bcam_cpu_verb table[BCAM_VERB_COUNT]);

/** For programs that measure: from now on each run adds the seconds of each step to `seconds` (one per step); NULL ends it. */
void bcam_cpu_time_steps(bcam_program *program, double *seconds);

/* peak.c: what this machine does at most, measured; a fraction of a second each. */

/** Arithmetic a second of all threads, in fp32 or bf16: oneDNN's matrix product, or a loop that stays in registers; 0 where there is none. */
double bcam_cpu_peak_product(bool bf16, int threads);
double bcam_cpu_peak_loop(bool bf16, int threads);
/** Bytes a second of memory: read, and read and written together in copying. */
bcam_status bcam_cpu_peak_memory(int threads, double *read, double *copy, bcam_error *err);

/** The first-choice slots of an open device, so that a test can plant one; a slot without `run` means plain C. */
bcam_cpu_verb *bcam_cpu_slots(bcam_device *device);

#endif
