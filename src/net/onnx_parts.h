/* onnx_parts.h - one reader for each part of a model, from the whole graph down to a tensor's bytes; each calls only those below it. Only the ONNX
 * reader includes it. Field numbers are onnx.proto's. */
#ifndef BCAM_NET_ONNX_PARTS_H
#define BCAM_NET_ONNX_PARTS_H

#include "net/onnx_read.h"

/* ---- onnx_order.c ---- */

/** Drops inputs that are initializers, checks that every name is made once and that what is read is made, and sorts the
 *  nodes where a reader stands before its maker. */
bcam_status bcam_read_order(bcam_reader *reader);

/* ---- onnx_graph.c ---- */

bcam_status bcam_read_graph(bcam_reader *reader, bcam_wire wire);

/* ---- onnx_node.c ---- */

/** `node` is a zeroed element of graph->nodes. */
bcam_status bcam_read_node(bcam_reader *reader, const bcam_field *message, bcam_node *node);

/* ---- onnx_tensor.c ---- */

/** `owner` is the node whose attribute the tensor is, NULL for an initializer: for messages only. */
bcam_status bcam_read_tensor(bcam_reader *reader, const bcam_field *field, const bcam_node *owner,
                             bcam_onnx_tensor *out);

/* ---- onnx_external.c ---- */

struct bcam_held_file {
    struct bcam_held_file *next;
    const char *name; /* the location an external data file was first asked for by; NULL: the model itself */
    uint8_t *data;
    size_t bytes;
    uint64_t device, inode;
};

/** Finds the bytes of a tensor (whose `bytes` are set) in another file of the model's folder. */
bcam_status bcam_read_external(bcam_reader *reader, bcam_wire tensor_wire, const char *label, bcam_onnx_tensor *tensor);
/** Reads a whole regular file and holds it for the graph's life. A mapping would be less work, but a file that another program cuts short or
 *  writes to would then end the process, or change under a reader that has already checked it. Takes the descriptor: closes it in every case. */
bcam_status bcam_read_file(bcam_reader *reader, int file, const char *name, struct bcam_held_file **out);
void bcam_read_release(bcam_graph *graph);

#endif
