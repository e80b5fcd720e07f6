/* onnx.h - an ONNX file as a graph of nodes, straight from the bytes of its file: weights are pointed at, never copied. */
#ifndef BCAM_NET_ONNX_H
#define BCAM_NET_ONNX_H

#include "base/base.h"

/** ONNX's own numbers (TensorProto.DataType). */
typedef enum bcam_onnx_type {
    BCAM_ONNX_UNDEFINED = 0,
    BCAM_ONNX_FLOAT = 1,
    BCAM_ONNX_UINT8 = 2,
    BCAM_ONNX_INT8 = 3,
    BCAM_ONNX_UINT16 = 4,
    BCAM_ONNX_INT16 = 5,
    BCAM_ONNX_INT32 = 6,
    BCAM_ONNX_INT64 = 7,
    BCAM_ONNX_STRING = 8,
    BCAM_ONNX_BOOL = 9,
    BCAM_ONNX_FLOAT16 = 10,
    BCAM_ONNX_DOUBLE = 11,
    BCAM_ONNX_UINT32 = 12,
    BCAM_ONNX_UINT64 = 13,
    BCAM_ONNX_BFLOAT16 = 16,
    BCAM_ONNX_FLOAT8E4M3FN = 17,
    BCAM_ONNX_FLOAT8E4M3FNUZ = 18,
    BCAM_ONNX_FLOAT8E5M2 = 19,
    BCAM_ONNX_FLOAT8E5M2FNUZ = 20,
    BCAM_ONNX_UINT4 = 21, /* these and those below: several in a byte, the first in its low bits */
    BCAM_ONNX_INT4 = 22,
    BCAM_ONNX_FLOAT4E2M1 = 23,
    BCAM_ONNX_FLOAT8E8M0 = 24, /* one in a byte */
    BCAM_ONNX_UINT2 = 25,
    BCAM_ONNX_INT2 = 26
} bcam_onnx_type;

#define BCAM_ONNX_MAX_RANK 8
#define BCAM_ONNX_FREE (-1) /* a dimension that the file leaves open (or names) */

/** A constant tensor: `data` holds `bytes` = elements x size, little-endian, maybe unaligned; it points into the file, into an external data
 *  file, or, where the file packs it otherwise (typed integer fields), into the graph's own memory. */
typedef struct bcam_onnx_tensor {
    const char *name;
    bcam_onnx_type type;
    int rank;
    int64_t dim[BCAM_ONNX_MAX_RANK];
    const uint8_t *data;
    size_t bytes;
} bcam_onnx_tensor;

typedef enum bcam_attr_kind {
    BCAM_ATTR_OTHER = 0,
    BCAM_ATTR_FLOAT,
    BCAM_ATTR_INT,
    BCAM_ATTR_STRING,
    BCAM_ATTR_TENSOR,
    BCAM_ATTR_FLOATS,
    BCAM_ATTR_INTS,
    BCAM_ATTR_STRINGS,
    BCAM_ATTR_GRAPH
} bcam_attr_kind;

typedef struct bcam_attr {
    const char *name;
    bcam_attr_kind kind;
    float f;
    int64_t i;
    const char *s; /* zero-terminated copy */
    const float *floats;
    const int64_t *ints;
    size_t count; /* of floats, ints */
    const bcam_onnx_tensor *tensor;
} bcam_attr;

typedef struct bcam_pair {
    const char *key, *value;
} bcam_pair;

typedef struct bcam_node {
    const char *name, *op, *domain; /* "" where absent; domain "" also for "ai.onnx" */
    const char **inputs, **outputs; /* "" where an optional one is left out */
    int input_count, output_count;
    bcam_attr *attrs;
    int attr_count;
    bcam_pair *metadata; /* metadata_props: "pkg.torch.onnx.name_scopes", … */
    int metadata_count;
} bcam_node;

typedef struct bcam_onnx_value { /* a graph input or output, or a value_info */
    const char *name;
    bcam_onnx_type type;
    int rank; /* -1: not given */
    int64_t dim[BCAM_ONNX_MAX_RANK];
} bcam_onnx_value;

typedef struct bcam_graph {
    bcam_node *nodes; /* in an order in which every input stands before its reader, whatever the file's order */
    int node_count;
    bcam_onnx_tensor *initializers;
    int initializer_count;
    bcam_onnx_value *inputs; /* without those that are initializers too (IR < 4) */
    int input_count;
    bcam_onnx_value *outputs;
    int output_count;
    const bcam_onnx_value *explained; /* the output that was asked for (bcam_net_choose_output), else NULL */
    bcam_pair *metadata;              /* the model's metadata_props */
    int metadata_count;
    int opset, ir_version;
    const char *producer; /* "pytorch 2.15.0" */
    const char *path;
    int64_t file_bytes;
    int64_t parameters;  /* elements of floating-point initializers */
    const uint8_t *file; /* the whole of it, for its hash */
    bcam_pool pool;
    struct bcam_held_file *files; /* the model and its external data files, read into memory */
} bcam_graph;

/* ---- onnx_open.c: a file becomes a graph ---- */

/** Reads a model. Errors: E_IO (missing, not a file), E_MODEL (damaged, or not ONNX: with what and where), E_UNSUPPORTED (operator set outside
 *  1 … 28, other domain sets are noted per node), E_MEMORY. Memory beside the file's own bytes is bounded by a small multiple of the number of bytes that
 *  describe nodes; nested graphs are skipped, not followed; at most 100 levels of messages are looked into. Checked: every node's inputs are made
 *  before it or are inputs or initializers (a dangling one is named), no name is made twice, no cycle, initializers' sizes fit their dimensions. */
bcam_status bcam_onnx_open(const char *path, bcam_graph **out, bcam_error *err);
/** The same from memory that the caller keeps until close; `path` is used in messages and to find external data. */
bcam_status bcam_onnx_parse(const char *path, const uint8_t *data, size_t bytes, bcam_graph **out, bcam_error *err);
void bcam_onnx_close(bcam_graph **graph);

/* ---- onnx.c: what one asks of a graph ---- */

const bcam_attr *bcam_node_attr(const bcam_node *node, const char *name);       /* NULL where absent */
const char *bcam_pair_find(const bcam_pair *pairs, int count, const char *key); /* NULL where absent */
size_t bcam_onnx_type_bytes(bcam_onnx_type type);                               /* 0 for STRING and unknown */
size_t bcam_onnx_type_bits(bcam_onnx_type type); /* of those of one byte and less that are no C type; else 0 */
const char *bcam_onnx_type_name(bcam_onnx_type type);

/* ---- onnx_small.c: float8, float4, int4, int2 ---- */

bool bcam_onnx_is_small(bcam_onnx_type type);
bool bcam_onnx_is_integer(bcam_onnx_type type); /* of any size, without BOOL */
double bcam_onnx_small_at(const bcam_onnx_tensor *tensor, int64_t i);

#endif
