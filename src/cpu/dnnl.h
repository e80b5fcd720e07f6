/* dnnl.h - what the dnnl*.c files share. They are the only ones that know oneDNN (2.x). Private to the room. */
#ifndef BCAM_CPU_DNNL_H
#define BCAM_CPU_DNNL_H

#include <oneapi/dnnl/dnnl.h>

#include "cpu/cpu.h"

typedef struct bcam_dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    bool not_finite;     /* a NaN or an infinity has been seen among constants */
    bcam_cpu_way forced; /* or BCAM_CPU_WAYS */
    char *choices;       /* dnnl_choose.c's file, read and added to; NULL: not read yet */
} bcam_dnnl;

enum {
    BCAM_DNNL_ARGS = 8,
    BCAM_DNNL_SCRATCH = -1,
    BCAM_DNNL_ARG_RESIDUAL = DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1
};

/** One primitive and its memory, which it owns. */
typedef struct bcam_dnnl_job {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[BCAM_DNNL_ARGS];
    int arg_count;
} bcam_dnnl_job;

/** A memory whose address is set before each run: that of an operand, or a place in the call's scratch block. */
typedef struct bcam_dnnl_place {
    dnnl_memory_t memory;
    int operand; /* of in, then of out; or BCAM_DNNL_SCRATCH */
    size_t offset;
} bcam_dnnl_place;

/** What a call became: primitives run one after another, or as `run` has it. */
typedef struct bcam_dnnl_state {
    bcam_dnnl_job *jobs;
    size_t job_count, job_capacity;
    bcam_dnnl_place *places; /* of the jobs' args */
    size_t place_count, place_capacity;
    void *packed; /* weights in the primitive's order, or NULL */
    dnnl_memory_desc_t packed_as;
    dnnl_status_t (*run)(const bcam_cpu_call *call);
    void *own;      /* of `run`: one block */
    bcam_step pass; /* an epilogue that is not fused; a UNARY, or all zero */
    char algorithm[64];
} bcam_dnnl_state;

/* ---- dnnl_make.c: building primitives. All set `err` on failure; E_UNSUPPORTED where oneDNN does not do it. ---- */

bcam_status bcam_dnnl_failed(dnnl_status_t status, const char *what, bcam_error *err);
/** A tensor as it lies. */
bcam_status bcam_dnnl_describe(const bcam_tensor *t, dnnl_memory_desc_t *md, bcam_error *err);
/** The same shape in another type, in whatever order the primitive likes. */
bcam_status bcam_dnnl_any_order(const dnnl_memory_desc_t *md, dnnl_data_type_t type, dnnl_memory_desc_t *any,
                                bcam_error *err);
/** Post-ops: residual (a binary addition whose memory is bound later, or a sum onto what y holds; NULL: none), then the activation; where that
 *  is not fused, a pass over y. */
typedef enum bcam_dnnl_residual { BCAM_DNNL_NONE, BCAM_DNNL_BINARY, BCAM_DNNL_SUM } bcam_dnnl_residual;
bcam_status bcam_dnnl_attr(bcam_cpu_call *call, bcam_dnnl_residual how, const dnnl_memory_desc_t *residual,
                           dnnl_primitive_attr_t *attr, bcam_error *err);
/** The first of oneDNN's implementations of an operation that will do. *desc is the caller's to destroy. */
bcam_status bcam_dnnl_choose(bcam_cpu_call *call, const void *operation, const_dnnl_primitive_attr_t attr,
                             dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *desc, bcam_error *err);
/** Adds its job, with its scratchpad. */
bcam_status bcam_dnnl_add(bcam_cpu_call *call, dnnl_primitive_desc_t desc, bcam_error *err);
/** Gives the last job an argument: memory at `data`, which stays there, */
bcam_status bcam_dnnl_bind(bcam_cpu_call *call, int index, const dnnl_memory_desc_t *md, void *data, bcam_error *err);
/** … or an operand of the call, seen as `md`, */
bcam_status bcam_dnnl_bind_operand(bcam_cpu_call *call, int index, const dnnl_memory_desc_t *md, const bcam_tensor *t,
                                   bcam_error *err);
/** … or a place in the call's scratch block, */
bcam_status bcam_dnnl_bind_scratch(bcam_cpu_call *call, int index, const dnnl_memory_desc_t *md, size_t offset,
                                   bcam_error *err);
/** Room for `bytes` in the call's scratch block. */
size_t bcam_dnnl_scratch(bcam_cpu_call *call, size_t bytes);
/** … or weights that lie as `have`, reordered into memory of the state where the primitive of `desc` wants another order. */
bcam_status bcam_dnnl_bind_weights(bcam_cpu_call *call, const bcam_tensor *w, const dnnl_memory_desc_t *have,
                                   dnnl_primitive_desc_t desc, bcam_error *err);
/** Adds the job of a matrix product: rows `x` by weights `w`, which lie as `mw`, and binds w; x and y are the caller's to bind. */
bcam_status bcam_dnnl_product(bcam_cpu_call *call, const dnnl_memory_desc_t *mx, const dnnl_memory_desc_t *mw,
                              const dnnl_memory_desc_t *bias, const dnnl_memory_desc_t *my,
                              const_dnnl_primitive_attr_t attr, const bcam_tensor *w, bcam_error *err);
/** Adds a job that moves a tensor into the scratch block in another order, or out of it. */
bcam_status bcam_dnnl_move(bcam_cpu_call *call, const bcam_tensor *t, const dnnl_memory_desc_t *other, size_t offset,
                           bool in, bcam_error *err);

/** Binds the residual of bcam_dnnl_attr's binary addition. */
bcam_status bcam_dnnl_bind_residual(bcam_cpu_call *call, const dnnl_memory_desc_t *md, const bcam_tensor *t,
                                    bcam_error *err);

/** Frees what a state holds, and zeroes it. */
void bcam_dnnl_state_fini(bcam_dnnl_state *s);

/* ---- dnnl_conv.c, dnnl_gemm.c, dnnl_pool.c: what a call becomes; called by dnnl.c with a zeroed state ---- */

/** CONV or CONV_BWD, in the way that is best for it. */
bcam_status bcam_dnnl_choose_way(bcam_cpu_call *call, bcam_error *err);
/** One step's way, as a slot; prepared and released by bcam_dnnl_choose_way to be timed. */
bcam_status bcam_dnnl_run(const bcam_cpu_call *call, bcam_error *err);

/** … in a given way; E_UNSUPPORTED where that is not for it. */
bcam_status bcam_dnnl_conv(bcam_cpu_call *call, bcam_cpu_way way, bcam_error *err);
bcam_status bcam_dnnl_winograd(bcam_cpu_call *call, bcam_error *err);
bcam_status bcam_dnnl_im2col(bcam_cpu_call *call, bcam_error *err);
/** A 1x1 convolution of stride 1 as a product. */
bcam_status bcam_dnnl_conv_product(bcam_cpu_call *call, bcam_error *err);
/** (N,C,h,w), channels-last, as (N h w, C). False: it is not, or so small that oneDNN would take it for a vector. */
bool bcam_dnnl_rows(const bcam_tensor *t, bcam_tensor *rows);
/** Adds the job of y = x w + bias + residual with the step's activation, all seen as matrices; w is (inner, outer) in any strides, residual may be
 *  NULL. Operands are those of the call. */
bcam_status bcam_dnnl_multiply(bcam_cpu_call *call, const bcam_tensor *x, const bcam_tensor *w, const bcam_tensor *y,
                               const bcam_tensor *residual, bcam_error *err);
bcam_status bcam_dnnl_gemm(bcam_cpu_call *call, bcam_error *err);
bcam_status bcam_dnnl_gemm_bwd(bcam_cpu_call *call, bcam_error *err);
bcam_status bcam_dnnl_pool(bcam_cpu_call *call, bcam_error *err);

#endif
