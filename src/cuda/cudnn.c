/* cudnn.c - the library itself, and convolutions as graphs of its back-end interface. */
#include <stdio.h>
#include <string.h>

#include "cuda/desc.h"

/* ---- the library ---- */

size_t bcam_cudnn_version(void)
{
    return cudnnGetVersion();
}

const char *bcam_cudnn_version_text(char *text, size_t size)
{
    size_t version = cudnnGetVersion();
    snprintf(text, size, "%zu.%zu.%zu", version / 10000, version / 100 % 100, version % 100);
    return text;
}

static bcam_status describe_card(bcam_cudnn *dnn, const char *json, bcam_error *err)
{
    bcam_builder b = {0};
    bcam_desc_note(&b, cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &dnn->card),
                   "cudnnBackendCreateDescriptor");
    bcam_desc_set(&b, dnn->card, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json),
                  json);
    bcam_desc_finish(&b, dnn->card);
    return b.code == CUDNN_STATUS_SUCCESS ? BCAM_OK : bcam_cudnn_fail(b.code, b.call, err);
}

static bcam_status open_handle(bcam_cudnn *dnn, bcam_error *err)
{
    cudnnStatus_t code = cudnnCreate(&dnn->handle);
    if (code != CUDNN_STATUS_SUCCESS)
        return bcam_fail(err, BCAM_E_DEVICE,
                         "cudnnCreate failed with %s; its libraries must be of one version and fit the driver",
                         cudnnGetErrorString(code));
    code = cudnnSetStream(dnn->handle, dnn->stream);
    return code == CUDNN_STATUS_SUCCESS ? BCAM_OK : bcam_cudnn_fail(code, "cudnnSetStream", err);
}

bcam_status bcam_cudnn_open(const bcam_cudnn_options *options, bcam_cudnn **out, bcam_error *err)
{
    *out = NULL;
    bcam_cudnn *dnn = bcam_alloc(1, sizeof *dnn);
    if (!dnn)
        return bcam_fail_memory(err, sizeof *dnn, "cuDNN");
    dnn->stream = options->stream;
    dnn->deterministic = options->deterministic;
    dnn->log = options->log;
    snprintf(dnn->identity, sizeof dnn->identity, "%s", options->identity);
    bcam_status status = options->json ? describe_card(dnn, options->json, err) : open_handle(dnn, err);
    if (status)
        bcam_cudnn_close(&dnn);
    *out = dnn;
    return status;
}

void bcam_cudnn_close(bcam_cudnn **dnn)
{
    if (!*dnn)
        return;
    bcam_desc_drop(&(*dnn)->card);
    if ((*dnn)->handle)
        cudnnDestroy((*dnn)->handle);
    bcam_free(*dnn);
    *dnn = NULL;
}

/* ---- operations ---- */

static bcam_desc convolution(bcam_builder *b, const bcam_conv_attr *a)
{
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    bcam_desc d = bcam_desc_make(b, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    bcam_desc_set(b, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    bcam_desc_set(b, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    bcam_desc_set_number(b, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2);
    bcam_desc_set(b, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, a->pad_begin);
    bcam_desc_set(b, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, a->pad_end);
    bcam_desc_set(b, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, a->dilation);
    bcam_desc_set(b, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, a->stride);
    bcam_desc_finish(b, d);
    return d;
}

static bcam_desc forward(bcam_builder *b, bcam_desc conv, bcam_desc x, bcam_desc w, bcam_desc y)
{
    bcam_desc d = bcam_desc_make(b, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    bcam_desc_set_part(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, conv);
    bcam_desc_set_part(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
    bcam_desc_set_part(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
    bcam_desc_set_part(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
    bcam_desc_set_double(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1);
    bcam_desc_set_double(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0);
    bcam_desc_finish(b, d);
    return d;
}

static bcam_desc backward(bcam_builder *b, bcam_desc conv, bcam_desc dx, bcam_desc w, bcam_desc dy)
{
    bcam_desc d = bcam_desc_make(b, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
    bcam_desc_set_part(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, conv);
    bcam_desc_set_part(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, dx);
    bcam_desc_set_part(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, w);
    bcam_desc_set_part(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, dy);
    bcam_desc_set_double(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, 1);
    bcam_desc_set_double(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, 0);
    bcam_desc_finish(b, d);
    return d;
}

/* y = x + other, or, with an activation, y = min(max(x, 0), upper). */
static bcam_desc pointwise(bcam_builder *b, bcam_desc x, bcam_desc other, const bcam_unary_attr *act, bcam_desc y)
{
    cudnnPointwiseMode_t mode = act ? CUDNN_POINTWISE_RELU_FWD : CUDNN_POINTWISE_ADD;
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    bcam_desc what = bcam_desc_make(b, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    bcam_desc_set(b, what, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    bcam_desc_set(b, what, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
    if (act && act->kind == BCAM_UNARY_CLIP)
        bcam_desc_set_double(b, what, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, (double)act->beta);
    bcam_desc_finish(b, what);
    bcam_desc d = bcam_desc_make(b, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    bcam_desc_set_part(b, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, what);
    bcam_desc_set_part(b, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (other)
        bcam_desc_set_part(b, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, other);
    bcam_desc_set_part(b, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    bcam_desc_finish(b, d);
    return d;
}

/* ---- graphs ---- */

unsigned bcam_problem_extras(const bcam_conv_problem *p)
{
    return (p->residual.data ? BCAM_FUSE_RESIDUAL : 0u) | (p->bias.data ? BCAM_FUSE_BIAS : 0u) |
           (p->step->verb == BCAM_VERB_CONV && p->step->act.kind != BCAM_UNARY_NONE ? BCAM_FUSE_ACT : 0u);
}

/* The bias (M) as cuDNN wants it: (1,M,1,1). */
static bcam_tensor bias_tensor(const bcam_conv_problem *p)
{
    bcam_tensor t = {.data = p->bias.data, .dtype = p->bias.dtype, .rank = 4, .dim = {1, p->y.dim[1], 1, 1}};
    bcam_strides_channels_last(4, t.dim, t.stride);
    return t;
}

/* The convolution, then + residual, then + bias, then the activation: the order that has ready-made engines. */
static int operations(bcam_builder *b, const bcam_conv_problem *p, unsigned fused, bcam_desc *operation)
{
    int count = 0, parts = __builtin_popcount(fused);
    if (bcam_is_pool(p->step->verb)) {
        operation[count++] = bcam_pool_operation(b, p);
        return count;
    }
    bcam_desc x = bcam_desc_tensor(b, &p->x, BCAM_UID_X), w = bcam_desc_tensor(b, &p->w, BCAM_UID_W),
              y = bcam_desc_tensor(b, &p->y, BCAM_UID_Y), at = NULL;
    bcam_desc conv = convolution(b, &p->step->u.conv);
    if (p->step->verb == BCAM_VERB_CONV_BWD) {
        operation[count++] = backward(b, conv, x, w, y);
        return count;
    }
    for (unsigned part = 0; part <= BCAM_FUSE_ACT; part = part ? part << 1 : 1) {
        if (part && !(fused & part))
            continue;
        bcam_tensor bias = bias_tensor(p);
        bcam_desc to = count == parts ? y : bcam_desc_tensor(b, &p->y, BCAM_UID_VIRTUAL + count);
        if (part == 0)
            operation[count++] = forward(b, conv, x, w, to);
        else if (part == BCAM_FUSE_ACT)
            operation[count++] = pointwise(b, at, NULL, &p->step->act, to);
        else
            operation[count++] =
                pointwise(b, at,
                          part == BCAM_FUSE_BIAS ? bcam_desc_tensor(b, &bias, BCAM_UID_BIAS)
                                                 : bcam_desc_tensor(b, &p->residual, BCAM_UID_RESIDUAL),
                          NULL, to);
        at = to;
    }
    return count;
}

bcam_status bcam_conv_graph_open(bcam_cudnn *dnn, const bcam_conv_problem *problem, unsigned fused,
                                 bcam_conv_graph *graph, bcam_error *err)
{
    bcam_desc operation[4] = {NULL};
    bcam_builder b = {.graph = graph};
    *graph = (bcam_conv_graph){0};
    int count = operations(&b, problem, fused, operation);
    graph->graph = bcam_desc_make(&b, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (dnn->handle)
        bcam_desc_set(&b, graph->graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &dnn->handle);
    bcam_desc_set(&b, graph->graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, operation);
    bcam_desc_finish(&b, graph->graph);
    if (b.code == CUDNN_STATUS_SUCCESS)
        return BCAM_OK;
    bcam_status status = bcam_cudnn_fail(b.code, b.call, err);
    bcam_conv_graph_close(graph);
    return status;
}

void bcam_conv_graph_close(bcam_conv_graph *graph)
{
    for (int i = 0; i < graph->config_count; i++)
        bcam_desc_drop(&graph->config[i]);
    while (graph->made_count > 0)
        bcam_desc_drop(&graph->made[--graph->made_count]);
    *graph = (bcam_conv_graph){0};
}
