/* op_elementwise.c - one value in, one value out: functions, arithmetic with broadcasting. */
#include <math.h>
#include <string.h>

#include "net/build.h"

/* ---- functions of one tensor ---- */

static const struct {
    const char *op;
    bcam_unary_kind kind;
    double alpha, beta; /* defaults of attributes "alpha", "beta" */
} unaries[] = {
    {"Abs", BCAM_UNARY_ABS, 0, 0},
    {"Elu", BCAM_UNARY_ELU, 1, 0},
    {"Erf", BCAM_UNARY_ERF, 0, 0},
    {"Exp", BCAM_UNARY_EXP, 0, 0},
    {"HardSigmoid", BCAM_UNARY_HARD_SIGMOID, 0.2, 0.5},
    {"HardSwish", BCAM_UNARY_HARD_SWISH, 0, 0},
    {"LeakyRelu", BCAM_UNARY_LEAKY_RELU, 0.01, 0},
    {"Log", BCAM_UNARY_LOG, 0, 0},
    {"Neg", BCAM_UNARY_NEG, 0, 0},
    {"Reciprocal", BCAM_UNARY_RECIPROCAL, 0, 0},
    {"Relu", BCAM_UNARY_RELU, 0, 0},
    {"Sigmoid", BCAM_UNARY_SIGMOID, 0, 0},
    {"Softplus", BCAM_UNARY_SOFTPLUS, 0, 0},
    {"Sqrt", BCAM_UNARY_SQRT, 0, 0},
    {"Tanh", BCAM_UNARY_TANH, 0, 0},
};

static bcam_status emit_unary(bcam_lower *lo, const bcam_node *node, int x, bcam_unary_attr attr, bcam_error *err)
{
    int value;
    bcam_status status = bcam_emit_unary(lo, node, x, attr, &value, err);
    return status != BCAM_OK ? status : bcam_bind(lo, node, value, err);
}

bcam_status bcam_op_unary(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x;
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status != BCAM_OK)
        return status;
    size_t i = 0;
    while (i + 1 < BCAM_COUNT(unaries) && strcmp(unaries[i].op, node->op) != 0)
        i++;
    bcam_unary_attr attr = {unaries[i].kind, (float)bcam_attr_float(node, "alpha", unaries[i].alpha),
                            (float)bcam_attr_float(node, "beta", unaries[i].beta)};
    return emit_unary(lo, node, x, attr, err);
}

/* A limit of Clip: an attribute until operator set 10, an input since. */
static bcam_status clip_limit(bcam_lower *lo, const bcam_node *node, const char *name, int input, float *limit,
                              bcam_error *err)
{
    int value = bcam_in(lo, node, input);
    if (value >= 0 && !bcam_is_const(lo, value))
        return bcam_op_fail(node, err, "its limit '%s' must be a constant", name);
    if (value >= 0 && bcam_count(bcam_val(lo, value)->rank, bcam_val(lo, value)->dim) != 1)
        return bcam_op_fail(node, err, "its limit '%s' must be one number", name);
    *limit = value >= 0 ? (float)bcam_scalar(lo, value) : (float)bcam_attr_float(node, name, (double)*limit);
    return BCAM_OK;
}

bcam_status bcam_op_clip(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x;
    bcam_unary_attr attr = {BCAM_UNARY_CLIP, -INFINITY, INFINITY};
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = clip_limit(lo, node, "min", 1, &attr.alpha, err);
    if (status == BCAM_OK)
        status = clip_limit(lo, node, "max", 2, &attr.beta, err);
    if (status != BCAM_OK)
        return status;
    if (attr.alpha == 0 && attr.beta == INFINITY)
        attr = (bcam_unary_attr){.kind = BCAM_UNARY_RELU};
    return emit_unary(lo, node, x, attr, err);
}

/* ---- arithmetic with broadcasting ---- */

static const struct {
    const char *op;
    bcam_binary_kind kind;
} binaries[] = {{"Add", BCAM_BINARY_ADD}, {"Sub", BCAM_BINARY_SUB}, {"Mul", BCAM_BINARY_MUL},
                {"Div", BCAM_BINARY_DIV}, {"Pow", BCAM_BINARY_POW}, {"Max", BCAM_BINARY_MAX},
                {"Min", BCAM_BINARY_MIN}, {"Sum", BCAM_BINARY_ADD}, {"Mean", BCAM_BINARY_ADD}};

static bcam_binary_kind binary_kind(const bcam_node *node)
{
    size_t i = 0;
    while (i + 1 < BCAM_COUNT(binaries) && strcmp(binaries[i].op, node->op) != 0)
        i++;
    return binaries[i].kind;
}

/* Until operator set 6, the second operand's first axis met axis `axis` of the first; since, the last axes meet. */
static int aligned(bcam_build *b, int x, int y)
{
    int64_t asked = bcam_attr_int(b->node, "axis", INT64_MIN), dim[BCAM_MAX_RANK], stride[BCAM_MAX_RANK] = {0};
    if (b->status != BCAM_OK || b->lo->graph->opset > 6 || asked == INT64_MIN)
        return y;
    const bcam_value v = *bcam_val(b->lo, y);
    int axis, rank = bcam_val(b->lo, x)->rank, value = -1;
    b->status = bcam_axis(b->node, asked, rank, &axis, b->err);
    if (b->status == BCAM_OK && axis + v.rank > rank)
        b->status = bcam_op_fail(b->node, b->err, "axis %d and %d dimensions do not fit %d", axis, v.rank, rank);
    if (b->status != BCAM_OK)
        return -1;
    for (int a = 0; a < rank - axis; a++) {
        dim[a] = a < v.rank ? v.dim[a] : 1;
        stride[a] = a < v.rank ? v.data_stride[a] : 0;
    }
    if (v.role != BCAM_ROLE_CONST)
        return bcam_build_reshape(b, y, rank - axis, dim, bcam_is_batched(b->lo, y) && v.rank > 0);
    b->status = bcam_const_view_value(b->lo, b->node, y, rank - axis, dim, stride, &value, b->err);
    return value;
}

bcam_status bcam_op_binary(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = bcam_build_operand(&b, 0), y = aligned(&b, x, bcam_build_operand(&b, 1));
    return bcam_build_end(&b, bcam_build_binary(&b, binary_kind(node), x, y));
}

/* Sum, Mean, Max and Min of any number of tensors: two at a time, one after the other. */
bcam_status bcam_op_several(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int total = bcam_build_operand(&b, 0);
    for (int i = 1; i < node->input_count; i++)
        total = bcam_build_binary(&b, binary_kind(node), total, bcam_build_operand(&b, i));
    if (strcmp(node->op, "Mean") == 0 && node->input_count > 1)
        total = bcam_build_linear(&b, total, 1.0 / node->input_count, 0);
    return bcam_build_end(&b, total);
}

/* The usual exponents have functions of their own, which are faster and defined for negative numbers in all their derivatives. */
bcam_status bcam_op_pow(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = bcam_build_operand(&b, 0), y = aligned(&b, x, bcam_build_operand(&b, 1));
    if (b.status != BCAM_OK)
        return b.status;
    const bcam_value *v = bcam_val(lo, y);
    bool one = bcam_is_const(lo, y) && bcam_count(v->rank, v->dim) == 1 && v->rank <= bcam_val(lo, x)->rank;
    double exponent = one ? bcam_scalar(lo, y) : 0;
    if (exponent == 1)
        return bcam_build_end(&b, x);
    if (exponent == 2 || exponent == 3) {
        int square = bcam_build_binary(&b, BCAM_BINARY_MUL, x, x);
        return bcam_build_end(&b, exponent == 2 ? square : bcam_build_binary(&b, BCAM_BINARY_MUL, square, x));
    }
    if (exponent == 0.5 || exponent == -1)
        return bcam_build_end(&b, bcam_build_unary(&b, x, exponent < 0 ? BCAM_UNARY_RECIPROCAL : BCAM_UNARY_SQRT));
    return bcam_build_end(&b, bcam_build_binary(&b, BCAM_BINARY_POW, x, y));
}
