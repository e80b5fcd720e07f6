/* fake_cudnn.h - inside the stand-in for cuDNN: a graph as read back from a finalized plan, and its execution. */
#ifndef BCAM_TESTS_FAKE_CUDNN_H
#define BCAM_TESTS_FAKE_CUDNN_H

#include <cudnn_graph.h>
#include <stdbool.h>

#include "fake.h"
#include "fake_numbers.h"

enum { BCAM_FAKE_MOST_TENSORS = 32, BCAM_FAKE_MOST_NODES = 16 };

typedef struct bcam_fake_tensor {
    int64_t uid, dim[4], stride[4], align;
    bcam_fake_type type;
    bool is_virtual;
    size_t bytes; /* from its first to its last element */
} bcam_fake_tensor;

typedef enum bcam_fake_verb {
    BCAM_FAKE_CONV,     /* x, w -> y */
    BCAM_FAKE_CONV_BWD, /* dy, w -> dx */
    BCAM_FAKE_ADD,
    BCAM_FAKE_MUL,
    BCAM_FAKE_IDENTITY,
    BCAM_FAKE_RELU,
    BCAM_FAKE_RELU_BWD, /* x, dy -> dx */
    BCAM_FAKE_SIGMOID,
    BCAM_FAKE_TANH,
    BCAM_FAKE_POOL,    /* x -> y */
    BCAM_FAKE_POOL_BWD /* dy -> dx, averages only */
} bcam_fake_verb;

typedef struct bcam_fake_node {
    bcam_fake_verb verb;
    int a, b, out; /* tensors; b may be -1 */
    int64_t pad[2], stride[2], dilation[2];
    double alpha, beta;      /* convolutions: alpha * result + beta * out */
    double scale_a, scale_b; /* pointwise */
    double lower, upper, slope;
    int64_t size[2]; /* poolings: of the window */
    bool max, whole; /* whole: an average of the window with its padding, else of what lies inside */
} bcam_fake_node;

/* How the engine treats the factors of a convolution in float, as its numerical notes say. */
typedef enum bcam_fake_factors { BCAM_FAKE_WHOLE, BCAM_FAKE_TF32, BCAM_FAKE_HALVES } bcam_fake_factors;

typedef struct bcam_fake_graph {
    int refs;
    bool gone; /* its plan was destroyed */
    bcam_fake_tensor tensor[BCAM_FAKE_MOST_TENSORS];
    bcam_fake_node node[BCAM_FAKE_MOST_NODES];
    int tensor_count, node_count;
    bcam_fake_factors factors;
    int64_t workspace;
} bcam_fake_graph;

/* fake_cudnn_graph.c: what the plan says of itself, as JSON; false with a sentence on stderr where the stand-in cannot do it. */
bool bcam_fake_graph_read(const char *json, bcam_fake_graph *graph);

/* fake_cudnn_ops.c: data[i] is tensor i's memory, NULL for virtual ones. */
cudaError_t bcam_fake_graph_run(const bcam_fake_graph *graph, void *const *data);

#endif
