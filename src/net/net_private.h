/* net_private.h - what net.c, score.c and names.c share. */
#ifndef BCAM_NET_PRIVATE_H
#define BCAM_NET_PRIVATE_H

#include "net/lower.h"
#include "net/net.h"

/** A tensor that one node makes and another reads; the score's reader is nobody (-1). */
typedef struct bcam_edge {
    int maker, reader; /* indices of nodes */
    int value;         /* what the tensor stands for */
    const char *tensor;
} bcam_edge;

/** From an output back to the logits: past what only moves them, and one softmax or sigmoid at most. */
typedef struct bcam_score_path {
    const char *logits;         /* their tensor */
    bcam_activation activation; /* SOFTMAX, SIGMOID, or NONE */
    const bcam_node *final;     /* what makes probabilities of them; NULL: nothing */
    bool ids;                   /* the output says which classes win */
    bool transposed;            /* axes change places between `final` and the output */
} bcam_score_path;

enum { BCAM_SEVERAL = -2 };
/* What axes 0 to 3 are, as `order` has it: (N,C,H,W), or (N,H,W,C). */
enum { BCAM_IN_ORDER = 0 | 1 << 2 | 2 << 4 | 3 << 6, BCAM_CHANNELS_LAST = 0 | 2 << 2 | 3 << 4 | 1 << 6 };

struct bcam_net {
    const bcam_graph *graph;
    bcam_lower lower;
    bcam_plan plan;
    bcam_net_info info;
    bool *needed;       /* by node: the score needs it */
    const char **paths; /* by node: the module it belongs to, "layer4.2.conv3"; "" where none is known */
    bcam_edge *edges;
    size_t edge_count;
    bool *spatial;  /* by value: a picture in one of these orders with more than one pixel, on the way to the score */
    uint8_t *order; /* by value of rank 4: which of N, C, H, W its axes are, two bits each */
    bcam_name_map
        modules; /* by module: the value that is made in it and read outside it, BCAM_SEVERAL where there are more */
    bcam_score_path path;
    int score_maker; /* node that makes the logits */
};

/** score.c: the logits of an output; the node that makes a tensor, -1: none; and, once the nodes are lowered, the logits as (N,M). */
bcam_score_path bcam_score_find(const bcam_graph *graph, const bcam_onnx_value *output);
int bcam_score_maker(const bcam_graph *graph, const char *tensor);
bcam_status bcam_score_shape(bcam_net *net, bcam_error *err);

/** pictures.c: fills net->spatial and net->order; keeps, once the edges are known, what has a name. A picture's C, h and w. */
bcam_status bcam_pictures_mark(bcam_net *net);
bcam_status bcam_pictures_keep_named(bcam_net *net);
void bcam_picture_dims(const bcam_net *net, int value, int64_t dim[3]);

/** paths.c: fills net->paths; and, once the edges are known, those of nodes that no exporter named. Whether a path is a module or in it. */
bcam_status bcam_paths_make(bcam_net *net);
bcam_status bcam_paths_adopt(bcam_net *net);
bool bcam_is_inside(const char *path, const char *module);

/** Fills net->paths and net->edges, once the nodes are lowered. */
bcam_status bcam_names_prepare(bcam_net *net, bcam_error *err);

#endif
