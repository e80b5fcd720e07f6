/* onnx_read.h - what every file of the ONNX reader uses; nobody else includes it. */
#ifndef BCAM_NET_ONNX_READ_H
#define BCAM_NET_ONNX_READ_H

#include "net/onnx.h"
#include "net/wire.h"

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

/** bcam_fail with the model's file name in front and, where a damaged file's sentence gives no advice of its own behind a semicolon, the usual. */
bcam_status bcam_read_fail(const bcam_reader *reader, bcam_status code, const char *format, ...) BCAM_PRINTF(3, 4);
/** OK where the message was read to its end, else what is wrong with it and at which byte of the file. */
bcam_status bcam_read_end(const bcam_reader *reader, const bcam_wire *wire, const char *what);
/** Counts one more, or says that there are too many. */
bcam_status bcam_read_count(const bcam_reader *reader, size_t *count, size_t limit, const char *what);
/** "node 'name' (Conv)", or with its place in the file where it has no name. */
void bcam_node_label(const bcam_graph *graph, const bcam_node *node, char out[BCAM_LABEL]);

/** A zeroed array in the graph's pool, never NULL for a count of 0; NULL (and the error set) when memory is out. */
void *bcam_read_alloc(bcam_reader *reader, size_t count, size_t size);
/** A zero-terminated copy of a name; a zero byte inside it is an error. */
bcam_status bcam_read_text(bcam_reader *reader, const bcam_field *field, const char *what, const char **out);
/** A key and its value. One with a zero byte inside is read as the pair "", "". */
bcam_status bcam_read_pair(bcam_reader *reader, const bcam_field *field, bcam_pair *out);

#endif
