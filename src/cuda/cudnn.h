/* cudnn.h - what cudnn.c, pool.c and plans.c make for choose.c: graphs and execution plans. Private to these, and free of cuDNN's own header.
 *
 * A *graph* here is cuDNN's: a convolution with what is fused into it, or a pooling. An *engine config* is one way to run it, a *plan* that way made ready.
 */
#ifndef BCAM_CUDA_CUDNN_H
#define BCAM_CUDA_CUDNN_H

#include "cuda/cuda.h"

/* What a graph holds beside the convolution. */
enum { BCAM_FUSE_RESIDUAL = 1, BCAM_FUSE_BIAS = 2, BCAM_FUSE_ACT = 4 };

/** A descriptor of cuDNN's; NULL: none. */
typedef void *bcam_desc;

/** A graph and the engine configs that heuristics propose for it. */
enum { BCAM_MOST_CONFIGS = 48 };
typedef struct bcam_conv_graph {
    bcam_desc made[32]; /* everything that must live as long as the graph */
    int made_count;
    bcam_desc graph;
    bcam_desc config[BCAM_MOST_CONFIGS];
    int config_count;
} bcam_conv_graph;

/** What cuDNN says of an engine config. */
typedef struct bcam_engine_notes {
    int64_t index; /* the engine's number */
    bool tensor_core, down_convert, reduced_sum, nondeterministic,
        coarse;    /* coarse: Winograd on tiles too large for its precision */
    bool compiled; /* at run time: takes seconds */
} bcam_engine_notes;

typedef struct bcam_conv_plan {
    bcam_desc plan; /* NULL: the own kernel */
    int64_t workspace;
} bcam_conv_plan;

struct bcam_cudnn {
    struct cudnnContext *handle; /* NULL with a described card */
    bcam_desc card;              /* the described card, or NULL */
    cudaStream_t stream;
    bool deterministic;
    char identity[512];
    bcam_log log;
};

struct bcam_conv {
    bcam_conv_graph graph; /* empty where the plan came from the cache */
    bcam_conv_plan plan;
    unsigned wanted, fused; /* of what the problem has, and what the graph does */
    char text[64];
    char *key; /* says everything about the problem; allocated */
};

/* cudnn.c: graphs */

/** Builds the graph; E_UNSUPPORTED where cuDNN refuses it. On failure the graph is empty. */
bcam_status bcam_conv_graph_open(bcam_cudnn *dnn, const bcam_conv_problem *problem, unsigned fused,
                                 bcam_conv_graph *graph, bcam_error *err);
void bcam_conv_graph_close(bcam_conv_graph *graph);
/** Channels as they are stored, padding included. */
int64_t bcam_stored_channels(const bcam_tensor *t);
/** The alignment of an address as cuDNN is told of it, at most 16. */
int64_t bcam_address_alignment(const void *data);
unsigned bcam_problem_extras(const bcam_conv_problem *problem);

/* pool.c */
/** Starts the own kernel for a pooling. */
cudaError_t bcam_pool_kernel(const bcam_conv_problem *problem, cudaStream_t stream);

/* plans.c: engines and plans */

/** Asks for engine configs; `fallback`: those that work, however slowly. None is no error. */
void bcam_conv_graph_ask(bcam_cudnn *dnn, bcam_conv_graph *graph, bool fallback);
bcam_engine_notes bcam_conv_graph_notes(const bcam_conv_graph *graph, int config);
bcam_status bcam_conv_plan_make(bcam_cudnn *dnn, const bcam_conv_graph *graph, int config, bcam_conv_plan *out,
                                bcam_error *err);
/** From what bcam_conv_plan_json gave; E_UNSUPPORTED where it will not do here. */
bcam_status bcam_conv_plan_load(bcam_cudnn *dnn, const char *json, size_t bytes, bcam_conv_plan *out, bcam_error *err);
/** Allocated; NULL where cuDNN gives none. */
char *bcam_conv_plan_json(const bcam_conv_plan *plan, size_t *bytes);
void bcam_conv_plan_close(bcam_conv_plan *plan);

#endif
