/* cudnn.c - convolutions as graphs of cuDNN's back-end interface: descriptors, graphs, plans, runs. */
#include "cuda/cudnn.h"

#include <cudnn_graph.h>
#include <stdio.h>
#include <string.h>

/* ---- errors ---- */

static bcam_status fail_cudnn(cudnnStatus_t code, const char *call, bcam_error *err)
{
    char why[400] = "";
    cudnnGetLastErrorString(why, sizeof why);
    bcam_status status = CUDNN_STATUS_CATEGORY(code) == CUDNN_STATUS_NOT_SUPPORTED ||
                                 CUDNN_STATUS_CATEGORY(code) == CUDNN_STATUS_BAD_PARAM
                             ? BCAM_E_UNSUPPORTED
                         : code == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
                                 code == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
                             ? BCAM_E_MEMORY
                             : BCAM_E_DEVICE;
    return bcam_fail(err, status, "%s failed with %s%s%s", call, cudnnGetErrorString(code), why[0] ? ": " : "", why);
}

/* ---- descriptors: the first failure is kept, and what comes after it does nothing ---- */

typedef struct builder {
    bcam_conv_graph *graph; /* owns what is made */
    cudnnStatus_t code;
    const char *call;
} builder;

static void note(builder *b, cudnnStatus_t code, const char *call)
{
    if (b->code == CUDNN_STATUS_SUCCESS && code != CUDNN_STATUS_SUCCESS) {
        b->code = code;
        b->call = call;
    }
}

static bcam_desc make(builder *b, cudnnBackendDescriptorType_t type)
{
    bcam_desc made = NULL;
    if (b->code != CUDNN_STATUS_SUCCESS)
        return NULL;
    if (b->graph->made_count == (int)BCAM_COUNT(b->graph->made))
        note(b, CUDNN_STATUS_INTERNAL_ERROR, "making a descriptor");
    else
        note(b, cudnnBackendCreateDescriptor(type, &made), "cudnnBackendCreateDescriptor");
    if (made)
        b->graph->made[b->graph->made_count++] = made;
    return made;
}

static void set(builder *b, bcam_desc d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                int64_t count, const void *data)
{
    if (b->code == CUDNN_STATUS_SUCCESS)
        note(b, cudnnBackendSetAttribute(d, name, type, count, data), "cudnnBackendSetAttribute");
}

static void set_number(builder *b, bcam_desc d, cudnnBackendAttributeName_t name, int64_t number)
{
    set(b, d, name, CUDNN_TYPE_INT64, 1, &number);
}

static void set_double(builder *b, bcam_desc d, cudnnBackendAttributeName_t name, double number)
{
    set(b, d, name, CUDNN_TYPE_DOUBLE, 1, &number);
}

static void set_desc(builder *b, bcam_desc d, cudnnBackendAttributeName_t name, bcam_desc other)
{
    set(b, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &other);
}

static void finish(builder *b, bcam_desc d)
{
    if (b->code == CUDNN_STATUS_SUCCESS)
        note(b, cudnnBackendFinalize(d), "cudnnBackendFinalize");
}

/* ---- tensors ---- */

enum { UID_X = 1, UID_W, UID_BIAS, UID_RESIDUAL, UID_Y, UID_VIRTUAL };

int64_t bcam_stored_channels(const bcam_tensor *t)
{
    return t->rank == 4 && t->stride[1] == 1 && t->dim[1] < t->stride[3] && t->stride[3] == 4 ? 4 : t->dim[1];
}

int64_t bcam_address_alignment(const void *data)
{
    int64_t align = 16;
    while ((uintptr_t)data % (uintptr_t)align)
        align /= 2;
    return align;
}

static cudnnDataType_t data_type(bcam_dtype dtype)
{
    return dtype == BCAM_F16 ? CUDNN_DATA_HALF : dtype == BCAM_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

/* A virtual tensor stands between two operations and is never in memory; it is float. */
static bcam_desc tensor(builder *b, const bcam_tensor *t, int64_t uid)
{
    bool is_virtual = uid >= UID_VIRTUAL;
    cudnnDataType_t type = is_virtual ? CUDNN_DATA_FLOAT : data_type(t->dtype);
    int64_t dim[4] = {t->dim[0], bcam_stored_channels(t), t->dim[2], t->dim[3]};
    bcam_desc d = make(b, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set(b, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(b, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dim);
    set(b, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, t->stride);
    set_number(b, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, uid);
    set_number(b, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, is_virtual ? 16 : bcam_address_alignment(t->data));
    set(b, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    finish(b, d);
    return d;
}

/* ---- operations ---- */

static bcam_desc convolution(builder *b, const bcam_conv_attr *a)
{
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    bcam_desc d = make(b, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    set(b, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(b, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set_number(b, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2);
    set(b, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, a->pad_begin);
    set(b, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, a->pad_end);
    set(b, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, a->dilation);
    set(b, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, a->stride);
    finish(b, d);
    return d;
}

static bcam_desc forward(builder *b, bcam_desc conv, bcam_desc x, bcam_desc w, bcam_desc y)
{
    bcam_desc d = make(b, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    set_desc(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, conv);
    set_desc(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
    set_desc(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
    set_desc(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
    set_double(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1);
    set_double(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0);
    finish(b, d);
    return d;
}

static bcam_desc backward(builder *b, bcam_desc conv, bcam_desc dx, bcam_desc w, bcam_desc dy)
{
    bcam_desc d = make(b, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
    set_desc(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, conv);
    set_desc(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, dx);
    set_desc(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, w);
    set_desc(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, dy);
    set_double(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, 1);
    set_double(b, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, 0);
    finish(b, d);
    return d;
}

/* y = x + other, or, with an activation, y = min(max(x, 0), upper). */
static bcam_desc pointwise(builder *b, bcam_desc x, bcam_desc other, const bcam_unary_attr *act, bcam_desc y)
{
    cudnnPointwiseMode_t mode = act ? CUDNN_POINTWISE_RELU_FWD : CUDNN_POINTWISE_ADD;
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    bcam_desc what = make(b, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    set(b, what, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(b, what, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
    if (act && act->kind == BCAM_UNARY_CLIP)
        set_double(b, what, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, (double)act->beta);
    finish(b, what);
    bcam_desc d = make(b, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_desc(b, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, what);
    set_desc(b, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (other)
        set_desc(b, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, other);
    set_desc(b, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    finish(b, d);
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
static int operations(builder *b, const bcam_conv_problem *p, unsigned fused, bcam_desc *operation)
{
    int count = 0, parts = __builtin_popcount(fused);
    bcam_desc x = tensor(b, &p->x, UID_X), w = tensor(b, &p->w, UID_W), y = tensor(b, &p->y, UID_Y), at = NULL;
    bcam_desc conv = convolution(b, &p->step->u.conv);
    if (p->step->verb == BCAM_VERB_CONV_BWD) {
        operation[count++] = backward(b, conv, x, w, y);
        return count;
    }
    for (unsigned part = 0; part <= BCAM_FUSE_ACT; part = part ? part << 1 : 1) {
        if (part && !(fused & part))
            continue;
        bcam_tensor bias = bias_tensor(p);
        bcam_desc to = count == parts ? y : tensor(b, &p->y, UID_VIRTUAL + count);
        if (part == 0)
            operation[count++] = forward(b, conv, x, w, to);
        else if (part == BCAM_FUSE_ACT)
            operation[count++] = pointwise(b, at, NULL, &p->step->act, to);
        else
            operation[count++] = pointwise(
                b, at, part == BCAM_FUSE_BIAS ? tensor(b, &bias, UID_BIAS) : tensor(b, &p->residual, UID_RESIDUAL),
                NULL, to);
        at = to;
    }
    return count;
}

bcam_status bcam_conv_graph_open(bcam_cudnn *dnn, const bcam_conv_problem *problem, unsigned fused,
                                 bcam_conv_graph *graph, bcam_error *err)
{
    bcam_desc operation[4] = {NULL};
    builder b = {.graph = graph};
    *graph = (bcam_conv_graph){0};
    int count = operations(&b, problem, fused, operation);
    graph->graph = make(&b, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (dnn->handle)
        set(&b, graph->graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &dnn->handle);
    set(&b, graph->graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, operation);
    finish(&b, graph->graph);
    if (b.code == CUDNN_STATUS_SUCCESS)
        return BCAM_OK;
    bcam_status status = fail_cudnn(b.code, b.call, err);
    bcam_conv_graph_close(graph);
    return status;
}

static void drop(bcam_desc *d)
{
    if (*d)
        cudnnBackendDestroyDescriptor(*d);
    *d = NULL;
}

void bcam_conv_graph_close(bcam_conv_graph *graph)
{
    for (int i = 0; i < graph->config_count; i++)
        drop(&graph->config[i]);
    while (graph->made_count > 0)
        drop(&graph->made[--graph->made_count]);
    *graph = (bcam_conv_graph){0};
}

/* ---- engines ---- */

void bcam_conv_graph_ask(bcam_cudnn *dnn, bcam_conv_graph *graph, bool fallback)
{
    cudnnBackendHeurMode_t mode = fallback ? CUDNN_HEUR_MODE_FALLBACK : CUDNN_HEUR_MODE_A;
    builder b = {.graph = graph};
    int64_t count = 0;
    for (int i = 0; i < graph->config_count; i++)
        drop(&graph->config[i]);
    graph->config_count = 0;
    bcam_desc heuristics = make(&b, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    set_desc(&b, heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph->graph);
    set(&b, heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (dnn->card)
        set_desc(&b, heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, dnn->card);
    finish(&b, heuristics);
    while (b.code == CUDNN_STATUS_SUCCESS && graph->config_count < BCAM_MOST_CONFIGS) {
        note(&b, cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &graph->config[graph->config_count]),
             "cudnnBackendCreateDescriptor");
        graph->config_count += b.code == CUDNN_STATUS_SUCCESS;
    }
    if (b.code == CUDNN_STATUS_SUCCESS)
        note(&b,
             cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                      graph->config_count, &count, graph->config),
             "cudnnBackendGetAttribute");
    if (b.code != CUDNN_STATUS_SUCCESS)
        count = 0;
    while (graph->config_count > 0 && graph->config_count > count)
        drop(&graph->config[--graph->config_count]);
}

bcam_engine_notes bcam_conv_graph_notes(const bcam_conv_graph *graph, int config)
{
    bcam_engine_notes notes = {.index = -1};
    bcam_desc engine = NULL;
    cudnnBackendNumericalNote_t numerical[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    cudnnBackendBehaviorNote_t behavior[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
    int64_t count = 0;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS)
        return notes;
    cudnnStatus_t code = cudnnBackendGetAttribute(graph->config[config], CUDNN_ATTR_ENGINECFG_ENGINE,
                                                  CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &engine);
    if (code == CUDNN_STATUS_SUCCESS)
        code =
            cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count, &notes.index);
    count = 0;
    if (code == CUDNN_STATUS_SUCCESS)
        code = cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                        CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, numerical);
    for (int64_t i = 0; code == CUDNN_STATUS_SUCCESS && i < count && i < CUDNN_NUMERICAL_NOTE_TYPE_COUNT; i++) {
        notes.tensor_core |= numerical[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        notes.down_convert |= numerical[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
        notes.reduced_sum |= numerical[i] == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION;
        notes.nondeterministic |= numerical[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
        notes.coarse |= numerical[i] == CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6 ||
                        numerical[i] == CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13;
    }
    count = 0;
    if (code == CUDNN_STATUS_SUCCESS)
        code = cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
                                        CUDNN_BEHAVIOR_NOTE_TYPE_COUNT, &count, behavior);
    for (int64_t i = 0; code == CUDNN_STATUS_SUCCESS && i < count && i < CUDNN_BEHAVIOR_NOTE_TYPE_COUNT; i++)
        notes.compiled |= behavior[i] == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
    if (code != CUDNN_STATUS_SUCCESS)
        notes.index = -1;
    drop(&engine);
    return notes;
}

/* ---- plans ---- */

/* Ends a plan's making: finalizes it and asks for its workspace. */
static bcam_status finish_plan(builder *b, bcam_desc plan, bcam_conv_plan *out, bcam_error *err)
{
    int64_t count = 0;
    finish(b, plan);
    if (b->code == CUDNN_STATUS_SUCCESS)
        note(b,
             cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count,
                                      &out->workspace),
             "cudnnBackendGetAttribute");
    if (b->code == CUDNN_STATUS_SUCCESS && out->workspace >= 0) {
        out->plan = plan;
        return BCAM_OK;
    }
    drop(&plan);
    return b->code == CUDNN_STATUS_SUCCESS ? bcam_fail(err, BCAM_E_UNSUPPORTED, "cuDNN gives no workspace size")
                                           : fail_cudnn(b->code, b->call, err);
}

/* A plan bound to the card that is there, or to the described one. */
static bcam_desc begin_plan(bcam_cudnn *dnn, builder *b)
{
    bcam_desc plan = NULL;
    note(b, cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan),
         "cudnnBackendCreateDescriptor");
    if (dnn->card)
        set_desc(b, plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, dnn->card);
    else
        set(b, plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &dnn->handle);
    return plan;
}

bcam_status bcam_conv_plan_make(bcam_cudnn *dnn, const bcam_conv_graph *graph, int config, bcam_conv_plan *out,
                                bcam_error *err)
{
    builder b = {0};
    *out = (bcam_conv_plan){0};
    bcam_desc plan = begin_plan(dnn, &b);
    set_desc(&b, plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, graph->config[config]);
    return finish_plan(&b, plan, out, err);
}

bcam_status bcam_conv_plan_load(bcam_cudnn *dnn, const char *json, size_t bytes, bcam_conv_plan *out, bcam_error *err)
{
    builder b = {0};
    *out = (bcam_conv_plan){0};
    bcam_desc plan = begin_plan(dnn, &b);
    set(&b, plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)bytes, json);
    return finish_plan(&b, plan, out, err);
}

char *bcam_conv_plan_json(const bcam_conv_plan *plan, size_t *bytes)
{
    int64_t count = 0, got = 0;
    if (cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 0, &count,
                                 NULL) != CUDNN_STATUS_SUCCESS ||
        count <= 0)
        return NULL;
    char *json = bcam_alloc((size_t)count + 1, 1);
    if (json && cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                         count, &got, json) != CUDNN_STATUS_SUCCESS) {
        bcam_free(json);
        json = NULL;
    }
    *bytes = (size_t)count;
    return json;
}

void bcam_conv_plan_close(bcam_conv_plan *plan)
{
    drop(&plan->plan);
}

/* ---- running ---- */

bcam_status bcam_conv_pack_open(const bcam_conv *conv, const bcam_conv_problem *p, void *workspace,
                                bcam_conv_pack **out, bcam_error *err)
{
    int64_t uid[5] = {UID_X, UID_W, UID_Y};
    void *data[5] = {p->x.data, p->w.data, p->y.data};
    int64_t count = 3;
    builder b = {0};
    bcam_desc pack = NULL;
    *out = NULL;
    if (conv->fused & BCAM_FUSE_BIAS) {
        uid[count] = UID_BIAS;
        data[count++] = p->bias.data;
    }
    if (conv->fused & BCAM_FUSE_RESIDUAL) {
        uid[count] = UID_RESIDUAL;
        data[count++] = p->residual.data;
    }
    note(&b, cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack),
         "cudnnBackendCreateDescriptor");
    set(&b, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, uid);
    set(&b, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, data);
    set(&b, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    finish(&b, pack);
    if (b.code != CUDNN_STATUS_SUCCESS) {
        drop(&pack);
        return fail_cudnn(b.code, b.call, err);
    }
    *out = pack;
    return BCAM_OK;
}

void bcam_conv_pack_close(bcam_conv_pack **pack)
{
    bcam_desc d = *pack;
    drop(&d);
    *pack = NULL;
}

bcam_status bcam_conv_run(bcam_cudnn *dnn, const bcam_conv *conv, const bcam_conv_pack *pack, bcam_error *err)
{
    cudnnStatus_t code = cudnnBackendExecute(dnn->handle, conv->plan.plan, (bcam_desc)(uintptr_t)pack);
    if (code == CUDNN_STATUS_SUCCESS)
        return BCAM_OK;
    bcam_status status = fail_cudnn(code, "cudnnBackendExecute", err);
    if (status == BCAM_E_UNSUPPORTED && err) /* it was found supported before */
        err->code = BCAM_E_DEVICE;
    return status == BCAM_E_UNSUPPORTED ? BCAM_E_DEVICE : status;
}

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
    builder b = {0};
    note(&b, cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &dnn->card),
         "cudnnBackendCreateDescriptor");
    set(&b, dnn->card, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json), json);
    finish(&b, dnn->card);
    return b.code == CUDNN_STATUS_SUCCESS ? BCAM_OK : fail_cudnn(b.code, b.call, err);
}

static bcam_status open_handle(bcam_cudnn *dnn, bcam_error *err)
{
    cudnnStatus_t code = cudnnCreate(&dnn->handle);
    if (code != CUDNN_STATUS_SUCCESS)
        return bcam_fail(err, BCAM_E_DEVICE,
                         "cudnnCreate failed with %s; its libraries must be of one version and fit the driver",
                         cudnnGetErrorString(code));
    code = cudnnSetStream(dnn->handle, dnn->stream);
    return code == CUDNN_STATUS_SUCCESS ? BCAM_OK : fail_cudnn(code, "cudnnSetStream", err);
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
    drop(&(*dnn)->card);
    if ((*dnn)->handle)
        cudnnDestroy((*dnn)->handle);
    bcam_free(*dnn);
    *dnn = NULL;
}
