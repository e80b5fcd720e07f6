/* op_elementwise.c - one value in, one value out: functions, arithmetic with broadcasting. */
#include <math.h>
#include <string.h>

#include "net/lower.h"

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
} binaries[] = {{"Add", BCAM_BINARY_ADD}, {"Sub", BCAM_BINARY_SUB}, {"Mul", BCAM_BINARY_MUL}, {"Div", BCAM_BINARY_DIV}};

/* Whether constant b, broadcast to x, is one number a channel: (C,1,1), (1,C,1,1), … */
static bool is_per_channel(const bcam_value *x, const bcam_value *b)
{
    int channel = b->rank - (x->rank - 1); /* b's axis that meets x's axis 1 */
    if (x->rank < 2 || b->rank > x->rank || channel < 0 || b->dim[channel] != x->dim[1])
        return false;
    return bcam_count(b->rank, b->dim) == x->dim[1];
}

/* x op constant, where it is a scale or a shift of whole channels: such a step folds into the convolution before it. */
static bcam_status emit_channel_arithmetic(bcam_lower *lo, const bcam_node *node, int x, int b, bcam_binary_kind kind,
                                           bcam_error *err)
{
    const bcam_value from = *bcam_val(lo, b);
    int64_t channels = bcam_val(lo, x)->dim[1];
    int vector;
    void *data;
    bcam_status status = bcam_const_new(lo, node, from.name, BCAM_F32, 1, &channels, &data, &vector, err);
    if (status != BCAM_OK)
        return status;
    bcam_const_read(&from, BCAM_F32, data);
    for (int64_t c = 0; c < channels; c++) {
        float *f = (float *)data + c;
        *f = kind == BCAM_BINARY_SUB ? -*f : kind == BCAM_BINARY_DIV ? 1 / *f : *f;
    }
    bool scales = kind == BCAM_BINARY_MUL || kind == BCAM_BINARY_DIV;
    return bcam_emit_norm(lo, node, x, scales ? vector : -1, scales ? -1 : vector, err);
}

static bcam_status emit_scalar_arithmetic(bcam_lower *lo, const bcam_node *node, int x, int b, bcam_binary_kind kind,
                                          bcam_error *err)
{
    double s = bcam_scalar(lo, b);
    bcam_unary_attr attr = {BCAM_UNARY_LINEAR, 1, 0};
    switch (kind) {
    case BCAM_BINARY_ADD:
        attr.beta = (float)s;
        break;
    case BCAM_BINARY_SUB:
        attr.beta = (float)-s;
        break;
    case BCAM_BINARY_DIV:
        attr.alpha = (float)(1 / s);
        break;
    default:
        attr.alpha = (float)s;
        break;
    }
    return emit_unary(lo, node, x, attr, err);
}

bcam_status bcam_op_binary(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int a = bcam_in(lo, node, 0), b = bcam_in(lo, node, 1), value;
    if (a < 0 || b < 0)
        return bcam_op_fail(node, err, "it needs two inputs");
    size_t i = 0;
    while (i + 1 < BCAM_COUNT(binaries) && strcmp(binaries[i].op, node->op) != 0)
        i++;
    bcam_binary_kind kind = binaries[i].kind;
    bool commutes = kind == BCAM_BINARY_ADD || kind == BCAM_BINARY_MUL;
    int x = bcam_is_const(lo, b) ? a : b, constant = x == a ? b : a;
    if (bcam_is_const(lo, constant) && (x == a || commutes)) {
        const bcam_value *vx = bcam_val(lo, x), *vc = bcam_val(lo, constant);
        if (bcam_count(vc->rank, vc->dim) == 1 && vc->rank <= vx->rank)
            return emit_scalar_arithmetic(lo, node, x, constant, kind, err);
        if (is_per_channel(vx, vc))
            return emit_channel_arithmetic(lo, node, x, constant, kind, err);
    }
    bcam_status status = bcam_emit_binary(lo, node, a, b, kind, &value, err);
    return status != BCAM_OK ? status : bcam_bind(lo, node, value, err);
}

/* Sum of any number of tensors: additions, one after the other. */
bcam_status bcam_op_sum(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int total = bcam_in(lo, node, 0);
    if (total < 0)
        return bcam_op_fail(node, err, "it has no input");
    for (int i = 1; i < node->input_count; i++) {
        int next = bcam_in(lo, node, i);
        bcam_status status = next < 0 ? bcam_op_fail(node, err, "input %d is missing", i)
                                      : bcam_emit_binary(lo, node, total, next, BCAM_BINARY_ADD, &total, err);
        if (status != BCAM_OK)
            return status;
    }
    return bcam_bind(lo, node, total, err);
}
