/* onnx_read.h - what the files of the ONNX reader share; nobody else includes it. Field numbers are onnx.proto's. */
#ifndef BCAM_NET_ONNX_READ_H
#define BCAM_NET_ONNX_READ_H

#include "net/onnx.h"
#include "net/wire.h"

struct bcam_mapping {
    struct bcam_mapping *next;
    const char *name; /* the location an external data file was first asked for by; NULL: the model itself */
    const uint8_t *data;
    size_t bytes;
    uint64_t device, inode;
};

typedef struct bcam_reader {
    bcam_graph *graph;
    int folder; /* of the model, opened when the first external data file is; else -1 */
    bcam_error *err;
} bcam_reader;

/* More than so many is taken for damage, so that a file of empty messages stays small in memory. */
enum {
    BCAM_ONNX_MANY = 1 << 20, /* nodes, initializers, inputs, outputs, … */
    BCAM_ONNX_MANY_ATTRS = 1 << 10,
    BCAM_LABEL = 320
};

/* ---- onnx.c ---- */

/** bcam_fail with the model's file name in front. */
bcam_status bcam_read_fail(const bcam_reader *reader, bcam_status code, const char *format, ...) BCAM_PRINTF(3, 4);
/** OK where the message was read to its end, else what is wrong with it and at which byte of the file. */
bcam_status bcam_read_end(const bcam_reader *reader, const bcam_wire *wire, const char *what);
/** A zeroed array in the graph's pool, never NULL for a count of 0; NULL (and the error set) when memory is out. */
void *bcam_read_alloc(bcam_reader *reader, size_t count, size_t size);
/** A zero-terminated copy of a name; a zero byte inside it is an error. */
bcam_status bcam_read_text(bcam_reader *reader, const bcam_field *field, const char *what, const char **out);
/** A key and its value. One with a zero byte inside is read as the pair "", "". */
bcam_status bcam_read_pair(bcam_reader *reader, const bcam_field *field, bcam_pair *out);
/** Counts one more, or says that there are too many. */
bcam_status bcam_read_count(const bcam_reader *reader, size_t *count, size_t limit, const char *what);

/* ---- onnx_graph.c ---- */

bcam_status bcam_read_graph(bcam_reader *reader, bcam_wire wire);

/* ---- onnx_node.c ---- */

/** `node` is a zeroed element of graph->nodes. */
bcam_status bcam_read_node(bcam_reader *reader, const bcam_field *message, bcam_node *node);
/** "node 'name' (Conv)", or with its place in the file where it has no name. */
void bcam_node_label(const bcam_graph *graph, const bcam_node *node, char out[BCAM_LABEL]);

/* ---- onnx_tensor.c ---- */

/** `owner` is the node whose attribute the tensor is, NULL for an initializer: for messages only. */
bcam_status bcam_read_tensor(bcam_reader *reader, const bcam_field *field, const bcam_node *owner,
                             bcam_onnx_tensor *out);

/* ---- onnx_external.c ---- */

/** Finds the bytes of a tensor (whose `bytes` are set) in another file of the model's folder. */
bcam_status bcam_read_external(bcam_reader *reader, bcam_wire tensor_wire, const char *label, bcam_onnx_tensor *tensor);
/** Maps a regular file read-only and keeps it for the graph's life. Takes the descriptor: closes it in every case. */
bcam_status bcam_read_map(bcam_reader *reader, int file, const char *name, bool single_link, struct bcam_mapping **out);
void bcam_read_unmap(bcam_graph *graph);

/* ---- onnx_order.c ---- */

/** Drops inputs that are initializers, checks that every name is made once and that what is read is made, and sorts the
 *  nodes where a reader stands before its maker. */
bcam_status bcam_read_order(bcam_reader *reader);

#endif
