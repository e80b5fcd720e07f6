/* op_activation.c - activations that are made of several functions. */
#include <math.h>

#include "net/build.h"

/* r + slope (x - r) with r = Relu(x): exactly x where it is positive, and at 0 the derivative is the slope, as in PyTorch. He et al., "Delving
 * Deep into Rectifiers", 2015. */
bcam_status bcam_op_prelu(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = bcam_build_tensor(&b, 0), slope = bcam_build_operand(&b, 1);
    if (b.status != BCAM_OK)
        return b.status;
    const bcam_value *s = bcam_val(lo, slope);
    if (bcam_is_const(lo, slope) && bcam_count(s->rank, s->dim) == 1 && s->rank <= bcam_val(lo, x)->rank)
        return bcam_build_end(&b, bcam_build_function(&b, x, BCAM_UNARY_LEAKY_RELU, bcam_scalar(lo, slope), 0));
    if (lo->graph->opset < 7 && s->rank == 1 && bcam_val(lo, x)->rank > 2) { /* one a channel */
        const bcam_value v = *s;
        const int64_t dim[BCAM_MAX_RANK] = {v.dim[0], 1, 1, 1, 1, 1}, stride[BCAM_MAX_RANK] = {v.data_stride[0]};
        if (v.role != BCAM_ROLE_CONST)
            return bcam_op_fail(node, err, "input 1 must be a constant");
        b.status = bcam_const_view_value(lo, node, slope, bcam_val(lo, x)->rank - 1, dim, stride, &slope, err);
    }
    int positive = bcam_build_unary(&b, x, BCAM_UNARY_RELU);
    int negative = bcam_build_binary(&b, BCAM_BINARY_SUB, x, positive);
    negative = bcam_build_binary(&b, BCAM_BINARY_MUL, negative, slope);
    return bcam_build_end(&b, bcam_build_binary(&b, BCAM_BINARY_ADD, positive, negative));
}

/* gamma Elu(x). Klambauer et al., "Self-Normalizing Neural Networks", 2017. */
bcam_status bcam_op_selu(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    /* The defaults are of the operator's pages, where they stand as float32. */
    double alpha = bcam_attr_float(node, "alpha", 1.67326319217681884765625);
    double gamma = bcam_attr_float(node, "gamma", 1.05070102214813232421875);
    int y = bcam_build_function(&b, bcam_build_tensor(&b, 0), BCAM_UNARY_ELU, alpha, 0);
    return bcam_build_end(&b, bcam_build_linear(&b, y, gamma, 0));
}

/* alpha Elu(x / alpha). Barron, "Continuously Differentiable Exponential Linear Units", 2017. */
bcam_status bcam_op_celu(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    double alpha = bcam_attr_float(node, "alpha", 1);
    int y = bcam_build_linear(&b, bcam_build_tensor(&b, 0), 1 / alpha, 0);
    return bcam_build_end(&b, bcam_build_linear(&b, bcam_build_function(&b, y, BCAM_UNARY_ELU, 1, 0), alpha, 0));
}

/* x tanh(softplus(x)). Misra, "Mish", 2019. */
bcam_status bcam_op_mish(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = bcam_build_tensor(&b, 0);
    int gate = bcam_build_unary(&b, bcam_build_unary(&b, x, BCAM_UNARY_SOFTPLUS), BCAM_UNARY_TANH);
    return bcam_build_end(&b, bcam_build_binary(&b, BCAM_BINARY_MUL, x, gate));
}

/* x (1 + erf(x / sqrt 2)) / 2, or with tanh(sqrt(2 / pi) (x + 0.044715 x^3)). Hendrycks, Gimpel, "Gaussian Error Linear Units", 2016. */
bcam_status bcam_op_gelu(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    const char *approximate = bcam_attr_string(node, "approximate", "none");
    int x = bcam_build_tensor(&b, 0), bent;
    if (*approximate == 't') {
        const double slope = 0.79788456080286535588; /* sqrt(2 / pi) */
        int inner = bcam_build_linear(&b, bcam_build_binary(&b, BCAM_BINARY_MUL, x, x), 0.044715 * slope, slope);
        bent = bcam_build_unary(&b, bcam_build_binary(&b, BCAM_BINARY_MUL, x, inner), BCAM_UNARY_TANH);
    } else {
        bent = bcam_build_unary(&b, bcam_build_linear(&b, x, sqrt(0.5), 0), BCAM_UNARY_ERF);
    }
    int gate = bcam_build_linear(&b, bent, 0.5, 0.5);
    return bcam_build_end(&b, bcam_build_binary(&b, BCAM_BINARY_MUL, x, gate));
}
