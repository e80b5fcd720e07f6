/* op_norm.c - normalisations: with constants of the model (batch norm), with the photo's own mean and variance (layer, instance and group
 * norm), with the sum over neighbouring channels (LRN). Their parts are verbs that exist. */
#include <math.h>

#include "net/build.h"

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
    bool training = lo->graph->opset < 7 ? !bcam_attr_int(node, "is_test", 0) : bcam_attr_int(node, "training_mode", 0);
    if (status == BCAM_OK && training)
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
    int y;
    status = status != BCAM_OK ? status : bcam_emit_norm(lo, node, x, scale, shift, &y, err);
    return status != BCAM_OK ? status : bcam_bind(lo, node, y, err);
}

/* ---- with the photo's own mean and variance ---- */

typedef struct moments {
    int mean, centred, deviation; /* deviation: sqrt(mean of centred^2 + eps) */
} moments;

static moments moments_of(bcam_build *b, int x, unsigned axes)
{
    moments m;
    m.mean = bcam_build_reduce(b, BCAM_REDUCE_MEAN, x, axes);
    m.centred = bcam_build_binary(b, BCAM_BINARY_SUB, x, m.mean);
    int square = bcam_build_binary(b, BCAM_BINARY_MUL, m.centred, m.centred);
    int variance = bcam_build_reduce(b, BCAM_REDUCE_MEAN, square, axes);
    int shifted = bcam_build_linear(b, variance, 1, bcam_attr_float(b->node, "epsilon", 1e-5));
    m.deviation = bcam_build_unary(b, shifted, BCAM_UNARY_SQRT);
    return m;
}

/* y = (x - mean) / deviation * gamma + beta over the last axes. Ba, Kiros, Hinton, "Layer Normalization", 2016. */
bcam_status bcam_op_layer_norm(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = bcam_build_tensor(&b, 0), gamma = bcam_build_operand(&b, 1), beta = bcam_in(lo, node, 2), axis = 0;
    if (b.status == BCAM_OK)
        b.status = bcam_axis(node, bcam_attr_int(node, "axis", -1), bcam_val(lo, x)->rank, &axis, err);
    if (b.status != BCAM_OK)
        return b.status;
    moments m = moments_of(&b, x, (1u << bcam_val(lo, x)->rank) - (1u << axis));
    int y = bcam_build_binary(&b, BCAM_BINARY_DIV, m.centred, m.deviation);
    y = bcam_build_binary(&b, BCAM_BINARY_MUL, y, gamma);
    if (beta >= 0)
        y = bcam_build_binary(&b, BCAM_BINARY_ADD, y, beta);
    bcam_status status = bcam_build_end(&b, y);
    if (status == BCAM_OK && node->output_count > 1)
        status = bcam_bind_output(lo, node, 1, m.mean, err);
    if (status == BCAM_OK && node->output_count > 2) {
        int inverse = bcam_build_unary(&b, m.deviation, BCAM_UNARY_RECIPROCAL);
        status = b.status == BCAM_OK ? bcam_bind_output(lo, node, 2, inverse, err) : b.status;
    }
    return status;
}

/* A vector of `count` numbers that is one of the model's constants. */
static int vector_of(bcam_build *b, int input, int64_t count)
{
    int value = bcam_build_const(b, input);
    if (b->status == BCAM_OK && (bcam_val(b->lo, value)->rank != 1 || bcam_val(b->lo, value)->dim[0] != count))
        b->status =
            bcam_op_fail(b->node, b->err, "'%s' does not have %lld elements", b->node->inputs[input], (long long)count);
    return value;
}

/* The same a channel, over its rows and columns. Ulyanov, Vedaldi, Lempitsky, "Instance Normalization", 2016. */
bcam_status bcam_op_instance_norm(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = bcam_build_tensor(&b, 0);
    if (b.status == BCAM_OK && bcam_val(lo, x)->rank < 3)
        return bcam_op_fail(node, err, "its input has no rows and columns");
    if (b.status != BCAM_OK)
        return b.status;
    const bcam_value v = *bcam_val(lo, x);
    int scale = vector_of(&b, 1, v.dim[1]), shift = vector_of(&b, 2, v.dim[1]);
    moments m = moments_of(&b, x, (1u << v.rank) - 4);
    int y = bcam_build_binary(&b, BCAM_BINARY_DIV, m.centred, m.deviation);
    return bcam_build_end(&b, bcam_build_norm(&b, y, scale, shift));
}

/* A number a group (N,G,1) as a number a channel (N,C,1,…). */
static int group_to_channels(bcam_build *b, int x, const bcam_value *of, int64_t groups)
{
    int64_t wide[3] = {of->dim[0], groups, of->dim[1] / groups}, dim[BCAM_MAX_RANK] = {of->dim[0], of->dim[1]};
    for (int a = 2; a < of->rank; a++)
        dim[a] = 1;
    bool batched = b->status == BCAM_OK && bcam_is_batched(b->lo, x);
    bcam_copy_attr *attr;
    int y = bcam_build_copy(b, x, 3, wide, batched, &attr);
    if (y >= 0)
        attr->axis[2] = -1;
    return bcam_build_reshape(b, y, of->rank, dim, batched);
}

/* A constant a group, as until operator set 20, becomes one a channel. */
static int widened(bcam_build *b, int vector, int64_t groups, int64_t channels)
{
    if (b->status != BCAM_OK)
        return -1;
    const bcam_value v = *bcam_val(b->lo, vector);
    if (b->lo->graph->opset >= 21)
        return vector;
    float *data;
    int value = bcam_build_new(b, 1, &channels, &data);
    if (value < 0)
        return -1;
    bcam_const_read(&v, BCAM_F32, data);
    for (int64_t c = channels; c-- > 0;)
        data[c] = data[c / (channels / groups)];
    return value;
}

/* The same over groups of channels; the statistics are of the groups, the rest happens where the channels are. Wu, He, "Group
 * Normalization", 2018. */
bcam_status bcam_op_group_norm(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = bcam_build_tensor(&b, 0);
    if (b.status != BCAM_OK)
        return b.status;
    const bcam_value v = *bcam_val(lo, x);
    int64_t groups = bcam_attr_int(node, "num_groups", 0);
    if (v.rank < 3 || groups < 1 || v.dim[1] % groups)
        return bcam_op_fail(node, err, "%lld groups do not fit its input", (long long)groups);
    int64_t given = lo->graph->opset >= 21 ? v.dim[1] : groups;
    int scale = widened(&b, vector_of(&b, 1, given), groups, v.dim[1]),
        shift = widened(&b, vector_of(&b, 2, given), groups, v.dim[1]);
    const int64_t dim[3] = {v.dim[0], groups, bcam_count(v.rank - 1, v.dim + 1) / groups};
    moments m = moments_of(&b, bcam_build_reshape(&b, x, 3, dim, bcam_is_batched(lo, x)), 4);
    int y = bcam_build_binary(&b, BCAM_BINARY_SUB, x, group_to_channels(&b, m.mean, &v, groups));
    y = bcam_build_binary(&b, BCAM_BINARY_DIV, y, group_to_channels(&b, m.deviation, &v, groups));
    return bcam_build_end(&b, bcam_build_norm(&b, y, scale, shift));
}

/* ---- LRN ---- */

/* y = x / (bias + alpha / size * sum of x^2 over `size` neighbouring channels)^beta. The mean over the neighbours is a pooling of one column,
 * in which the channels are the rows. Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
 * 2012. */
bcam_status bcam_op_lrn(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int x = bcam_build_tensor(&b, 0), mean = -1;
    if (b.status != BCAM_OK)
        return b.status;
    const bcam_value v = *bcam_val(lo, x);
    int64_t size = bcam_attr_int(node, "size", 0);
    if (v.rank < 2 || size < 1 || size > 65536)
        return bcam_op_fail(node, err, "its size of %lld does not fit", (long long)size);
    bool batched = bcam_is_batched(lo, x);
    const int64_t dim[4] = {v.dim[0], 1, v.dim[1], bcam_count(v.rank - 2, v.dim + 2)};
    int square = bcam_build_reshape(&b, bcam_build_binary(&b, BCAM_BINARY_MUL, x, x), 4, dim, batched);
    bcam_step *step;
    if (b.status == BCAM_OK)
        b.status = bcam_emit_value(lo, node, node->outputs[0], BCAM_VERB_POOL, 4, dim, batched, &step, &mean, err);
    if (b.status != BCAM_OK)
        return b.status;
    step->in[0] = square;
    step->u.pool = (bcam_pool_attr){.kernel = {size, 1},
                                    .stride = {1, 1},
                                    .dilation = {1, 1},
                                    .pad_begin = {(size - 1) / 2, 0},
                                    .pad_end = {size - 1 - (size - 1) / 2, 0},
                                    .count_pad = true};
    int base = bcam_build_linear(&b, bcam_build_reshape(&b, mean, v.rank, v.dim, batched),
                                 bcam_attr_float(node, "alpha", 1e-4), bcam_attr_float(node, "bias", 1));
    double beta = bcam_attr_float(node, "beta", 0.75);
    int factor = bcam_build_binary(&b, BCAM_BINARY_POW, base, bcam_build_number(&b, -beta));
    return bcam_build_end(&b, bcam_build_binary(&b, BCAM_BINARY_MUL, x, factor));
}
