/* op_norm.c - normalisations: with constants of the model (batch norm) and with the photo's own mean and variance (layer norm). */
#include <math.h>

#include "net/lower.h"

/* scale = gamma / sqrt(var + eps), shift = beta - mean * scale, in double. Ioffe, Szegedy, "Batch Normalization", 2015. */
bcam_status bcam_op_batch_norm(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, in[4];
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    for (int i = 0; status == BCAM_OK && i < 4; i++) {
        status = bcam_in_const(lo, node, i + 1, &in[i], err);
        if (status == BCAM_OK && (bcam_val(lo, x)->rank < 2 || bcam_val(lo, in[i])->rank != 1 ||
                                  bcam_val(lo, in[i])->dim[0] != bcam_val(lo, x)->dim[1]))
            return bcam_op_fail(node, err, "'%s' does not have one element a channel", node->inputs[i + 1]);
    }
    if (status == BCAM_OK && bcam_attr_int(node, "training_mode", 0))
        return bcam_op_fail(node, err, "it is in training mode; call model.eval() before the export");
    if (status != BCAM_OK)
        return status;
    int64_t channels = bcam_val(lo, x)->dim[1];
    int scale, shift;
    void *scales = NULL, *shifts = NULL;
    double *read = bcam_alloc(4 * (size_t)channels, sizeof *read), eps = bcam_attr_float(node, "epsilon", 1e-5);
    status = read ? bcam_const_new(lo, node, node->name, BCAM_F32, 1, &channels, &scales, &scale, err)
                  : bcam_op_memory(node, err);
    if (status == BCAM_OK)
        status = bcam_const_new(lo, node, node->name, BCAM_F32, 1, &channels, &shifts, &shift, err);
    for (int i = 0; status == BCAM_OK && i < 4; i++)
        bcam_const_read(bcam_val(lo, in[i]), BCAM_F64, read + i * channels);
    for (int64_t c = 0; status == BCAM_OK && c < channels; c++) {
        double factor = read[c] / sqrt(read[3 * channels + c] + eps);
        ((float *)scales)[c] = (float)factor;
        ((float *)shifts)[c] = (float)(read[channels + c] - read[2 * channels + c] * factor);
    }
    bcam_free(read);
    return status != BCAM_OK ? status : bcam_emit_norm(lo, node, x, scale, shift, err);
}

/* Its parts are verbs that exist: y = (x - mean) / sqrt(mean((x - mean)^2) + eps) * gamma + beta over the last axes.
 * Ba, Kiros, Hinton, "Layer Normalization", 2016. */
bcam_status bcam_op_layer_norm(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, axis, mean, centred, square, variance, shifted, deviation, y, gamma, beta = bcam_in(lo, node, 2);
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = bcam_in_const(lo, node, 1, &gamma, err);
    if (status == BCAM_OK)
        status = bcam_axis(node, bcam_attr_int(node, "axis", -1), bcam_val(lo, x)->rank, &axis, err);
    if (status != BCAM_OK)
        return status;
    unsigned axes = (1u << bcam_val(lo, x)->rank) - (1u << axis);
    const bcam_unary_attr add_eps = {BCAM_UNARY_LINEAR, 1, (float)bcam_attr_float(node, "epsilon", 1e-5)},
                          root = {.kind = BCAM_UNARY_SQRT};
    status = bcam_emit_reduce(lo, node, x, BCAM_REDUCE_MEAN, axes, &mean, err);
    if (status == BCAM_OK)
        status = bcam_emit_binary(lo, node, x, mean, BCAM_BINARY_SUB, &centred, err);
    if (status == BCAM_OK)
        status = bcam_emit_binary(lo, node, centred, centred, BCAM_BINARY_MUL, &square, err);
    if (status == BCAM_OK)
        status = bcam_emit_reduce(lo, node, square, BCAM_REDUCE_MEAN, axes, &variance, err);
    if (status == BCAM_OK)
        status = bcam_emit_unary(lo, node, variance, add_eps, &shifted, err);
    if (status == BCAM_OK)
        status = bcam_emit_unary(lo, node, shifted, root, &deviation, err);
    if (status == BCAM_OK)
        status = bcam_emit_binary(lo, node, centred, deviation, BCAM_BINARY_DIV, &y, err);
    if (status == BCAM_OK)
        status = bcam_emit_binary(lo, node, y, gamma, BCAM_BINARY_MUL, &y, err);
    if (status == BCAM_OK && beta >= 0)
        status = bcam_emit_binary(lo, node, y, beta, BCAM_BINARY_ADD, &y, err);
    return status != BCAM_OK ? status : bcam_bind(lo, node, y, err);
}
