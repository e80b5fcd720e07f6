/* net.h - the network's room: from an ONNX file to a plan with forward and backward steps. Knows ONNX, knows no device and no CAM method. */
#ifndef BCAM_NET_H
#define BCAM_NET_H

#include "dev/dev.h"
#include "net/onnx.h"

/** A classifier lowered for one batch size: the plan's forward steps, and what its names stand for. */
typedef struct bcam_net bcam_net;

typedef struct bcam_net_info {
    const char *input, *output; /* tensor names */
    const char *logits;         /* the tensor that holds them, maybe before the output's softmax */
    int64_t batch;              /* N; 1 where the batch could not be lifted */
    bool batch_lifted;          /* the file fixes the batch, and it was lifted */
    bool batch_fixed;           /* it could not be lifted */
    char batch_note[512];       /* why not */
    bool nhwc;                  /* the file's input is (N,H,W,C) */
    int channels, height, width;
    int units;                  /* numbers per photo that the file has */
    int class_count;            /* M: as many, but 2 for one unit z, whose logits are -z and z */
    bcam_activation activation; /* what stood behind the logits: SOFTMAX, SIGMOID, or NONE */
    int input_value, logits_value;
} bcam_net_info;

/** The output that is explained: the one chosen, else the first that holds scores; one that holds ids of classes (ArgMax, TopK) is taken only where
 *  no other does. */
const bcam_onnx_value *bcam_net_output(const bcam_graph *graph);
/** Chooses it by name (NULL: as above). E_ARGUMENT lists what there is. */
bcam_status bcam_net_choose_output(bcam_graph *graph, const char *name, bcam_error *err);

/** Where the graph has the height and width of its photos; false where it takes none. BCAM_ONNX_FREE may be set to what one likes. */
bool bcam_net_size(bcam_graph *graph, int64_t **height, int64_t **width);

/** Lowers a graph for `batch` photos. The graph must outlive the net. A free height or width becomes 224.
 *  Errors: E_MODEL (no photo input, no scores), E_UNSUPPORTED naming the first node that is not supported. */
bcam_status bcam_net_open(const bcam_graph *graph, int64_t batch, bcam_net **out, bcam_error *err);
void bcam_net_close(bcam_net **net);
const bcam_net_info *bcam_net_get_info(const bcam_net *net);
bcam_plan *bcam_net_plan(bcam_net *net); /* owned by the net; the following calls and cam/ add to it */

/** Whether the weights of convolutions, products and norms that the score needs are numbers; E_MODEL naming the tensor and its node. Reads them all:
 *  once for a file is enough. */
bcam_status bcam_net_check_weights(const bcam_graph *graph, bcam_error *err);

/** Calls back for every node that the score needs and that no row of ops.def takes; returns their number. */
typedef void (*bcam_unsupported_fn)(void *data, const bcam_node *node, const char *reason);
int bcam_net_unsupported(const bcam_graph *graph, bcam_unsupported_fn fn, void *data);

/* ---- names.c: target layers ---- */

typedef struct bcam_target {
    char name[256], tensor[256], note[512];
    int value;                   /* in the net's plan */
    int channels, height, width; /* C, h, w */
} bcam_target;

/** The target layer of a name, or the default one (NULL), in the order of docs/layers.md. E_LAYER names what is near, or what is ambiguous. */
bcam_status bcam_net_target(const bcam_net *net, const char *name, bcam_target *out, bcam_error *err);
/** Makes a target (N,C,h,w) where the file has it as (N,h,w,C): its value becomes a turned copy, which everything behind it reads, turned back.
 *  Before the passes below. */
bcam_status bcam_net_turn_target(bcam_net *net, bcam_target *target, bcam_error *err);
/** Every place where maps can be taken, in the network's order, each under its shortest name. `type`: the operator that makes it.
 *  *out is allocated (bcam_free). */
typedef struct bcam_candidate {
    bcam_target target;
    const char *type;
    bool is_default;
} bcam_candidate;
bcam_status bcam_net_candidates(const bcam_net *net, bcam_candidate **out, size_t *count, bcam_error *err);

/* ---- fold.c, grad.c, fuse.c: passes over the plan, in this order ---- */

/** Folds per-channel scales and shifts into the convolution or product before them, except where that one's output is a target. */
bcam_status bcam_plan_fold(bcam_plan *plan, const int *targets, int count, bcam_error *err);

/** Appends backward steps from `seed` (K*N,M), the gradient of the scores (logits or what is made of them), to every target and no further.
 *  gradients[i] receives the value of target i's gradient, constant[i] whether no step on its way reads an activation. `batched`: dimension 0 is
 *  the batch everywhere, so that steps that read no activation run once for all k. E_LAYER where a target has no way to the score. */
bcam_status bcam_plan_differentiate(bcam_plan *plan, int scores, int seed, const int *targets, int count, bool batched,
                                    int *gradients, bool *constant, bcam_error *err);

/** Merges additions and activations into the steps before them where nobody else reads what lies between. */
bcam_status bcam_plan_fuse(bcam_plan *plan, bcam_error *err);

/** Puts the steps in the order of their segments and drops those whose results reach no OUTPUT. */
bcam_status bcam_plan_tidy(bcam_plan *plan, bcam_error *err);

#endif
