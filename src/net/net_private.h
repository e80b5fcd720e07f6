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

struct bcam_net {
    const bcam_graph *graph;
    bcam_lower lower;
    bcam_plan plan;
    bcam_net_info info;
    bool *needed;       /* by node: the score needs it */
    const char **paths; /* by node: the module it belongs to, "layer4.2.conv3"; "" where none is known */
    bcam_edge *edges;
    size_t edge_count;
    bool *spatial;      /* by value: (N,C,H,W) with more than one pixel */
    int score_maker; /* node that makes the logits */
    const char *score; /* their tensor */
};

/** Fills net->paths and net->edges, once the nodes are lowered. */
bcam_status bcam_names_prepare(bcam_net *net, bcam_error *err);

#endif
