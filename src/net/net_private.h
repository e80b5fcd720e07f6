/* net_private.h - what net.c and names.c share. */
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

enum { BCAM_SEVERAL = -2 };
enum { BCAM_IN_ORDER = 0 | 1 << 2 | 2 << 4 | 3 << 6 }; /* axes N, C, H, W, as `order` has them */

struct bcam_net {
    const bcam_graph *graph;
    bcam_lower lower;
    bcam_plan plan;
    bcam_net_info info;
    bool *needed;       /* by node: the score needs it */
    const char **paths; /* by node: the module it belongs to, "layer4.2.conv3"; "" where none is known */
    bcam_edge *edges;
    size_t edge_count;
    bool *spatial;  /* by value: (N,C,H,W) with more than one pixel, on the way to the score */
    uint8_t *order; /* by value of rank 4: which of N, C, H, W its axes are, two bits each */
    bcam_name_map
        modules; /* by module: the value that is made in it and read outside it, BCAM_SEVERAL where there are more */
    int score_maker;   /* node that makes the logits */
    const char *score; /* their tensor */
};

/** pictures.c: fills net->spatial and net->order; keeps, once the edges are known, what has a name. */
bcam_status bcam_pictures_mark(bcam_net *net);
bcam_status bcam_pictures_keep_named(bcam_net *net);

/** Fills net->paths and net->edges, once the nodes are lowered. */
bcam_status bcam_names_prepare(bcam_net *net, bcam_error *err);

#endif
