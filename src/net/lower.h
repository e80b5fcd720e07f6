/* lower.h - from ONNX nodes to steps of a plan. Shapes are known as steps are made, so shape inference, constant folding and lowering
 * are one walk over the nodes. Private to net/: what an op_*.c file needs to turn a node into verbs. */
#ifndef BCAM_NET_LOWER_H
#define BCAM_NET_LOWER_H

#include "dev/dev.h"
#include "net/onnx.h"

/** Names of tensors and the plan's values they stand for; several names may stand for one value (Identity, Dropout). */
typedef struct bcam_name_map {
    const char **names;
    int *values;
    size_t capacity, count; /* capacity is a power of two */
} bcam_name_map;

bool bcam_map_put(bcam_name_map *map, const char *name,
                  int value);                                 /* false: memory is out; an earlier entry is replaced */
int bcam_map_get(const bcam_name_map *map, const char *name); /* -1: not there */
void bcam_map_fini(bcam_name_map *map);

typedef struct bcam_lower {
    const bcam_graph *graph;
    bcam_plan *plan;
    bcam_name_map map;
    bcam_name_map narrow; /* constants that the file holds in a type that no bcam_dtype is: that type (CastLike asks) */
    int64_t declared_batch; /* dimension 0 of the input in the file; BCAM_ONNX_FREE where it is open */
    bool lift;       /* dimension 0 must provably be the batch everywhere; else the model runs at its declared batch */
    int64_t charged; /* elements of constants that the file does not hold but asks for, see bcam_charge */
    bool *batched;   /* by value: dimension 0 is the batch */
    int *like;       /* by value: one more than the value whose axes mean the same, 0: what its step says */
    size_t batched_capacity;
    const char *input_name; /* of a (N,H,W,C) input, until somebody reads it as it is; else NULL */
    int input;              /* the value of the network's input, logically (N,C,H,W) */
} bcam_lower;

typedef bcam_status (*bcam_op_fn)(bcam_lower *lo, const bcam_node *node, bcam_error *err);

/** One row of ops.def. `lower` makes steps; `fold` computes the node where every input is constant (or only its shape matters). */
typedef struct bcam_op {
    const char *name;
    int since, until; /* operator sets */
    bcam_op_fn lower, fold;
} bcam_op;

const bcam_op *bcam_op_find(const bcam_node *node, int opset); /* NULL: not supported */

/* ---- node.c: operands ---- */
int bcam_in(bcam_lower *lo, const bcam_node *node, int index); /* value of an input; -1 where left out */
bcam_value *bcam_val(const bcam_lower *lo, int value);
bool bcam_is_const(const bcam_lower *lo, int value);
bool bcam_is_batched(const bcam_lower *lo, int value);
bool bcam_mark_batched(bcam_lower *lo, int value, bool batched); /* false: memory is out */
/** Says that a value's axes mean what those of `of` do, where the steps between them (a reshape, which knows no axes) cannot tell. */
void bcam_mark_like(bcam_lower *lo, int value, int of);
int bcam_is_like(const bcam_lower *lo, int value); /* -1: its step tells */
/** An input that must be there and must (not) be constant; E_UNSUPPORTED naming the node otherwise. */
bcam_status bcam_in_tensor(bcam_lower *lo, const bcam_node *node, int index, int *value, bcam_error *err);
bcam_status bcam_in_const(bcam_lower *lo, const bcam_node *node, int index, int *value, bcam_error *err);
/** All elements of a constant as integers (at most `most`). */
bcam_status bcam_ints(bcam_lower *lo, const bcam_node *node, int value, int64_t *out, int most, int *count,
                      bcam_error *err);
/** The first element of a constant as a number. */
double bcam_scalar(const bcam_lower *lo, int value);

/* ---- attrs.c: attributes ---- */
int64_t bcam_attr_int(const bcam_node *node, const char *name, int64_t otherwise);
double bcam_attr_float(const bcam_node *node, const char *name, double otherwise);
const char *bcam_attr_string(const bcam_node *node, const char *name, const char *otherwise);
bcam_status bcam_attr_ints(const bcam_node *node, const char *name, int64_t *out, int most, int *count,
                           bcam_error *err); /* *count -1: absent */
/** Integers that older operator sets keep in an attribute and newer ones in an input; *count is -1 where neither is there. */
bcam_status bcam_ints_of(bcam_lower *lo, const bcam_node *node, const char *attr, int input, int64_t *out, int most,
                         int *count, bcam_error *err);
/** An axis in -rank … rank-1 made 0 … rank-1. */
bcam_status bcam_axis(const bcam_node *node, int64_t axis, int rank, int *out, bcam_error *err);

/* ---- results ---- */
/** Makes the value of output 0 and a step that writes it. `batched`: dimension 0 is the batch, or in between, where an operator is made of
 *  several steps, the batch times what was joined to it; while lifting it must be. */
bcam_status bcam_emit(bcam_lower *lo, const bcam_node *node, bcam_verb verb, int rank, const int64_t *dim, bool batched,
                      bcam_step **step, bcam_error *err);
/** The same into a value that is no output of the node. */
bcam_status bcam_emit_value(bcam_lower *lo, const bcam_node *node, const char *name, bcam_verb verb, int rank,
                            const int64_t *dim, bool batched, bcam_step **step, int *value, bcam_error *err);
/** Output 0 is another name of an existing value; bcam_bind_output: any output, none where it is left out. */
bcam_status bcam_bind(bcam_lower *lo, const bcam_node *node, int value, bcam_error *err);
bcam_status bcam_bind_output(bcam_lower *lo, const bcam_node *node, int output, int value, bcam_error *err);
/** A constant of the plan with its own copy of dense data (float: BCAM_F32, int64_t: BCAM_I64); *data is to be filled. */
bcam_status bcam_const_new(bcam_lower *lo, const bcam_node *node, const char *name, bcam_dtype dtype, int rank,
                           const int64_t *dim, void **data, int *value, bcam_error *err);
/** A tensor of the file as a constant of the plan, pointing at the file's bytes. */
bcam_status bcam_const_from_onnx(bcam_lower *lo, const bcam_onnx_tensor *tensor, const char *name, int *value,
                                 bcam_error *err);
/** A constant that looks at another one's data with other dimensions and strides. Its dimensions are checked here. It becomes output 0. */
bcam_status bcam_const_view(bcam_lower *lo, const bcam_node *node, int of, int rank, const int64_t *dim,
                            const int64_t *stride, bcam_error *err);
/** The same, bound to no name. */
bcam_status bcam_const_view_value(bcam_lower *lo, const bcam_node *node, int of, int rank, const int64_t *dim,
                                  const int64_t *stride, int *value, bcam_error *err);
/** A few bytes can ask for gigabytes (a ConstantOfShape, an Expand). Counts what is asked for and refuses what no classifier needs. */
bcam_status bcam_charge(bcam_lower *lo, const bcam_node *node, int64_t elements, bcam_error *err);
/** A reshape step, or nothing where the shape is the same. */
bcam_status bcam_emit_reshape(bcam_lower *lo, const bcam_node *node, int x, int rank, const int64_t *dim,
                              bcam_error *err);

/** Steps that several operators are made of; the result is *value, bound to no name. */
bcam_status bcam_emit_unary(bcam_lower *lo, const bcam_node *node, int x, bcam_unary_attr attr, int *value,
                            bcam_error *err);
bcam_status bcam_emit_binary(bcam_lower *lo, const bcam_node *node, int a, int b, bcam_binary_kind kind, int *value,
                             bcam_error *err);
bcam_status bcam_emit_reduce(bcam_lower *lo, const bcam_node *node, int x, bcam_reduce_kind kind, unsigned axes,
                             int *value, bcam_error *err);
/** y = x * scale[c] + shift[c]; either may be -1 (1 and 0). */
bcam_status bcam_emit_norm(bcam_lower *lo, const bcam_node *node, int x, int scale, int shift, int *value,
                           bcam_error *err);
/** A copy that keeps axes as they are; the caller changes in *attr, which holds until the next step, what differs. */
bcam_status bcam_emit_copy(bcam_lower *lo, const bcam_node *node, int x, int rank, const int64_t *dim, bool batched,
                           bcam_copy_attr **attr, int *value, bcam_error *err);
/** y[…, i, …] = x[…, index[i], …] along an axis, by as few copies as the list allows. */
bcam_status bcam_emit_take(bcam_lower *lo, const bcam_node *node, int x, int axis, const int64_t *index, int64_t count,
                           int *value, bcam_error *err);
/** a op b with broadcasting, as a scale or shift of whole channels or of everything where one of them is such a constant. */
bcam_status bcam_emit_arithmetic(bcam_lower *lo, const bcam_node *node, int a, int b, bcam_binary_kind kind, int *value,
                                 bcam_error *err);

/** The axes that a reduction is over, as a bit mask; 0 where it is asked to do nothing. */
bcam_status bcam_reduce_axes(bcam_lower *lo, const bcam_node *node, int rank, unsigned *axes, bcam_error *err);
/** The shape that constants or values have together under numpy's broadcasting; and one of them, a constant, seen in that shape. */
bcam_status bcam_broadcast(const bcam_node *node, const bcam_value *const *v, int count, int *rank, int64_t *dim,
                           bcam_error *err);
/** A new constant of these numbers, as output 0; as integers where they are to be. */
bcam_status bcam_const_store(bcam_lower *lo, const bcam_node *node, bool integer, int rank, const int64_t *dim,
                             const double *numbers, bcam_error *err);
bcam_value bcam_broadcast_view(const bcam_value *v, int rank, const int64_t *dim);

bcam_status bcam_op_fail(const bcam_node *node, bcam_error *err, const char *format, ...)
    BCAM_PRINTF(3, 4); /* E_UNSUPPORTED naming the node */
/** E_MODEL: what the node says is against ONNX's own rules. */
bcam_status bcam_op_damaged(const bcam_node *node, bcam_error *err, const char *format, ...) BCAM_PRINTF(3, 4);
bcam_status bcam_op_memory(const bcam_node *node, bcam_error *err);

/* ---- attrs.c ---- */
/** Whether every attribute that somebody may ask for is of the kind that ONNX says, and there once; E_MODEL naming node and attribute. */
bcam_status bcam_attrs_check(const bcam_node *node, bcam_error *err);

/* ---- weights.c ---- */
/** Whether the weights of convolutions, products and norms are numbers; E_MODEL naming the tensor, its node and how many are not. */
bcam_status bcam_weights_check(const bcam_graph *graph, const bool *needed, bcam_error *err);

/* ---- lower.c ---- */
/** Makes the constants of all initializers, the input, and the steps of every node that `needed` marks. */
bcam_status bcam_lower_graph(bcam_lower *lo, const bool *needed, int height, int width, bcam_error *err);
/** The same for a graph that is no classifier: its i-th input is values[i] of the plan, which the caller has made, and nothing is a batch. */
bcam_status bcam_lower_values(bcam_lower *lo, const bool *needed, const int *values, bcam_error *err);
void bcam_lower_fini(bcam_lower *lo);

/** op_where.c: what Cast to bool makes of photos' data. */
bcam_status bcam_op_truth(bcam_lower *lo, const bcam_node *node, bcam_error *err);

/* ops.def names these */
#define OP(name, since, until, lower, fold)                                                                            \
    bcam_status lower(bcam_lower *lo, const bcam_node *node, bcam_error *err);                                         \
    bcam_status fold(bcam_lower *lo, const bcam_node *node, bcam_error *err);
#include "net/ops.def"
#undef OP

#endif
