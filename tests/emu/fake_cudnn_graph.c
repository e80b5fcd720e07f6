/* fake_cudnn_graph.c - reads an operation graph back from the real library: from the JSON that a finalized execution plan gives of itself, whether
 * the plan was built from descriptors or from such a JSON. Nothing comes from what the caller once set. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "fake_cudnn.h"

static bool refuse(const char *what, const cJSON *where)
{
    char *text = cJSON_PrintUnformatted(where);
    fprintf(stderr, "stand-ins: cuDNN graph: %s: %.300s\n", what, text ? text : "?");
    free(text);
    return false;
}

static const char *word(const cJSON *object, const char *key)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItem(object, key));
    return s ? s : "";
}

static double number(const cJSON *object, const char *key, double otherwise)
{
    const cJSON *item = cJSON_GetObjectItem(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

/* Reads `count` numbers; false where there are more or fewer. */
static bool numbers(const cJSON *object, const char *key, int64_t *out, int count)
{
    const cJSON *list = cJSON_GetObjectItem(object, key);
    if (cJSON_GetArraySize(list) != count)
        return false;
    for (int i = 0; i < count; i++)
        out[i] = (int64_t)cJSON_GetArrayItem(list, i)->valuedouble;
    return true;
}

static bool read_tensor(const cJSON *item, bcam_fake_tensor *t)
{
    const char *type = word(item, "dataType");
    t->uid = strtoll(word(item, "name"), NULL, 10);
    t->type = strcmp(type, "CUDNN_DATA_FLOAT") == 0      ? BCAM_FAKE_F32
              : strcmp(type, "CUDNN_DATA_HALF") == 0     ? BCAM_FAKE_F16
              : strcmp(type, "CUDNN_DATA_BFLOAT16") == 0 ? BCAM_FAKE_BF16
                                                         : BCAM_FAKE_OTHER;
    if (t->type == BCAM_FAKE_OTHER || !numbers(item, "dim", t->dim, 4) || !numbers(item, "stride", t->stride, 4))
        return refuse("a tensor of this type or rank is not modelled", item);
    if (cJSON_IsTrue(cJSON_GetObjectItem(item, "isByValue")) || number(item, "vectCount", 1) > 1)
        return refuse("a tensor by value or in vectors is not modelled", item);
    t->is_virtual = cJSON_IsTrue(cJSON_GetObjectItem(item, "isVirtual"));
    t->align = (int64_t)number(item, "ptrAlignment", 1);
    int64_t last = 0;
    for (int i = 0; i < 4; i++)
        last += (t->dim[i] - 1) * t->stride[i];
    t->bytes = (size_t)(last + 1) * bcam_fake_size(t->type);
    return true;
}

/* The tensor that a node names under a key; -1: none. */
static int operand(const bcam_fake_graph *graph, const cJSON *node, const char *key)
{
    const char *name = word(node, key);
    for (int i = 0; *name && i < graph->tensor_count; i++)
        if (graph->tensor[i].uid == strtoll(name, NULL, 10))
            return i;
    return -1;
}

static bool read_conv(const cJSON *item, bcam_fake_graph *graph, bcam_fake_node *node, bool backward)
{
    node->verb = backward ? BCAM_FAKE_CONV_BWD : BCAM_FAKE_CONV;
    node->a = operand(graph, item, backward ? "dY" : "X");
    node->b = operand(graph, item, "W");
    node->out = operand(graph, item, backward ? "dX" : "Y");
    node->alpha = number(item, "alpha", 1);
    node->beta = number(item, "beta", 0);
    bool padded = numbers(item, "pad", node->pad, 2) || numbers(item, "pad_lower", node->pad, 2);
    if (!padded || !numbers(item, "stride", node->stride, 2) || !numbers(item, "dilation", node->dilation, 2))
        return refuse("a convolution without padding, strides and dilation in two dimensions", item);
    if (strcmp(word(item, "mode"), "CUDNN_CROSS_CORRELATION") != 0 ||
        strcmp(word(item, "mathPrec"), "CUDNN_DATA_FLOAT") != 0)
        return refuse("a convolution that flips its filter, or does not sum in float, is not modelled", item);
    return node->a >= 0 && node->b >= 0 && node->out >= 0 ? true : refuse("a convolution lacks an operand", item);
}

static bool read_pointwise(const cJSON *item, const bcam_fake_graph *graph, bcam_fake_node *node)
{
    static const struct {
        const char *mode;
        bcam_fake_verb verb;
        bool two;
    } modes[] = {
        {"CUDNN_POINTWISE_ADD", BCAM_FAKE_ADD, true},
        {"CUDNN_POINTWISE_MUL", BCAM_FAKE_MUL, true},
        {"CUDNN_POINTWISE_IDENTITY", BCAM_FAKE_IDENTITY, false},
        {"CUDNN_POINTWISE_RELU_FWD", BCAM_FAKE_RELU, false},
        {"CUDNN_POINTWISE_RELU_BWD", BCAM_FAKE_RELU_BWD, true},
        {"CUDNN_POINTWISE_SIGMOID_FWD", BCAM_FAKE_SIGMOID, false},
        {"CUDNN_POINTWISE_TANH_FWD", BCAM_FAKE_TANH, false},
    };
    size_t i = 0, count = sizeof modes / sizeof *modes;
    while (i < count && strcmp(modes[i].mode, word(item, "pointwiseMode")) != 0)
        i++;
    if (i == count || strcmp(word(item, "mathPrec"), "CUDNN_DATA_FLOAT") != 0)
        return refuse("this pointwise operation is not modelled", item);
    bool backward = modes[i].verb == BCAM_FAKE_RELU_BWD;
    node->verb = modes[i].verb;
    node->a = operand(graph, item, "X");
    node->b = operand(graph, item, backward ? "dY" : "B");
    node->out = operand(graph, item, backward ? "dX" : "Y");
    node->scale_a = number(item, "alpha1", 1);
    node->scale_b = number(item, "alpha2", 1);
    node->lower = number(item, "lowerClip", 0);
    node->upper = number(item, "upperClip", 1e300);
    node->slope = number(item, "lowerClipSlope", 0);
    return node->a >= 0 && node->out >= 0 && (node->b >= 0) == modes[i].two
               ? true
               : refuse("a pointwise operation lacks an operand", item);
}

/* Two numbers, each a fraction [number, 1]. */
static bool fractions(const cJSON *object, const char *key, int64_t out[2])
{
    const cJSON *list = cJSON_GetObjectItem(object, key);
    bool read = cJSON_GetArraySize(list) == 2;
    for (int i = 0; i < 2 && read; i++) {
        const cJSON *item = cJSON_GetArrayItem(list, i);
        read = cJSON_GetArraySize(item) == 2 && cJSON_GetArrayItem(item, 1)->valuedouble == 1;
        out[i] = read ? (int64_t)cJSON_GetArrayItem(item, 0)->valuedouble : 0;
    }
    return read;
}

static bool read_pool(const cJSON *item, const bcam_fake_graph *graph, bcam_fake_node *node, bool backward)
{
    const char *mode = word(item, "mode");
    node->verb = backward ? BCAM_FAKE_POOL_BWD : BCAM_FAKE_POOL;
    node->a = operand(graph, item, backward ? "dY" : "X");
    node->b = -1;
    node->out = operand(graph, item, backward ? "dX" : "Y");
    node->max = strcmp(mode, "CUDNN_RESAMPLE_MAXPOOL") == 0;
    node->whole = strcmp(mode, "CUDNN_RESAMPLE_AVGPOOL_INCLUDE_PADDING") == 0;
    bool known = node->max || node->whole || strcmp(mode, "CUDNN_RESAMPLE_AVGPOOL_EXCLUDE_PADDING") == 0;
    if (!known || (node->max && backward) || *word(item, "IDX"))
        return refuse("this resampling is not modelled", item);
    if (!fractions(item, "windowDim", node->size) || !fractions(item, "prePad", node->pad) ||
        !fractions(item, "stride", node->stride))
        return refuse("a resampling without window, padding and strides in two dimensions", item);
    if (strcmp(word(item, "compType"), "CUDNN_DATA_FLOAT") != 0 || number(item, "alpha", 1) != 1 ||
        number(item, "beta", 0) != 0 || strcmp(word(item, "nanOpt"), "CUDNN_PROPAGATE_NAN") != 0 ||
        strcmp(word(item, "paddingMode"), node->max ? "CUDNN_NEG_INF_PAD" : "CUDNN_ZERO_PAD") != 0)
        return refuse(
            "a resampling that does not sum in float, scales, hides a NaN or pads with something else is not modelled",
            item);
    return node->a >= 0 && node->out >= 0 ? true : refuse("a resampling lacks an operand", item);
}

static bool read_node(const cJSON *item, bcam_fake_graph *graph, bcam_fake_node *node)
{
    const char *operation = word(item, "operation");
    if (strcmp(operation, "CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR") == 0)
        return read_conv(item, graph, node, false);
    if (strcmp(operation, "CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR") == 0)
        return read_conv(item, graph, node, true);
    if (strcmp(operation, "CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR") == 0)
        return read_pointwise(item, graph, node);
    if (strcmp(operation, "CUDNN_BACKEND_OPERATION_RESAMPLE_FWD_DESCRIPTOR") == 0)
        return read_pool(item, graph, node, false);
    if (strcmp(operation, "CUDNN_BACKEND_OPERATION_RESAMPLE_BWD_DESCRIPTOR") == 0)
        return read_pool(item, graph, node, true);
    return refuse("this operation is not modelled", item);
}

static bool read_all(const cJSON *plan, bcam_fake_graph *graph)
{
    const cJSON *operations = cJSON_GetObjectItem(plan, "operationGraph"), *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(operations, "tensors"))
    {
        if (graph->tensor_count == BCAM_FAKE_MOST_TENSORS || !read_tensor(item, &graph->tensor[graph->tensor_count++]))
            return false;
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(operations, "nodes"))
    {
        if (graph->node_count == BCAM_FAKE_MOST_NODES || !read_node(item, graph, &graph->node[graph->node_count++]))
            return false;
    }
    return graph->node_count > 0 ? true : refuse("no operations", operations);
}

bool bcam_fake_graph_read(const char *json, bcam_fake_graph *graph)
{
    cJSON *plan = cJSON_Parse(json);
    bool read = read_all(plan, graph);
    cJSON_Delete(plan);
    return read;
}
