/* test_fake_cudnn.c - the stand-in for cuDNN: graphs that the real library finalized, executed from what it says of them, against sums in double. */
#include <criterion/criterion.h>
#include <cudnn_graph.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "fake_numbers.h"

#define OK(call) cr_assert_eq((int)(call), 0, "%s", #call)

typedef cudnnBackendDescriptor_t descriptor;

typedef enum pooling { NO_POOLING, MAX, AVERAGE_WHOLE, AVERAGE_INSIDE } pooling;

/* A convolution, or its backward-data pass, with what follows it; or a pooling with windows of r x s. */
typedef struct problem {
    pooling pool;
    int n, c, h, w, m, r, s, groups;
    int stride, dilation, before, after; /* padding */
    bool backward, residual, bias, relu;
    double upper;
    bcam_fake_type type;
    bool strict; /* no tensor cores */
} problem;

typedef struct tensors {
    int dim[4];
    float *value; /* (N,H,W,C) */
    void *device;
    size_t count;
} tensors;

enum { X, W, Y, RESIDUAL, BIAS, TENSORS };

static unsigned seed;
static descriptor made[128];
static int made_count;

static descriptor make(cudnnBackendDescriptorType_t type)
{
    OK(cudnnBackendCreateDescriptor(type, &made[made_count]));
    return made[made_count++];
}

static void set(descriptor d, int name, int type, int64_t count, const void *data)
{
    OK(cudnnBackendSetAttribute(d, (cudnnBackendAttributeName_t)name, (cudnnBackendAttributeType_t)type, count, data));
}

static void set_part(descriptor d, int name, descriptor part)
{
    set(d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part);
}

static descriptor tensor(int64_t uid, const int *dim, cudnnDataType_t type, bool is_virtual)
{
    descriptor d = make(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    int64_t dims[4] = {dim[0], dim[1], dim[2], dim[3]}, align = 16;
    int64_t strides[4] = {dims[1] * dims[2] * dims[3], 1, dims[1] * dims[3], dims[1]};
    set(d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    set(d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    set(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    set(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    set(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    OK(cudnnBackendFinalize(d));
    return d;
}

static descriptor convolution(const problem *p, descriptor x, descriptor w, descriptor y)
{
    descriptor conv = make(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    int64_t two = 2, before[2] = {p->before, p->before}, after[2] = {p->after, p->after},
            stride[2] = {p->stride, p->stride};
    int64_t dilation[2] = {p->dilation, p->dilation};
    cudnnDataType_t in_float = CUDNN_DATA_FLOAT;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    set(conv, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &in_float);
    set(conv, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set(conv, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &two);
    set(conv, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, before);
    set(conv, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, after);
    set(conv, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
    set(conv, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation);
    OK(cudnnBackendFinalize(conv));
    static const int names[2][6] = {
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA}};
    const int *name = names[p->backward];
    double one = 1, zero = 0;
    descriptor op = make(p->backward ? CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR
                                     : CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    set_part(op, name[0], conv);
    set_part(op, name[1], x);
    set_part(op, name[2], w);
    set_part(op, name[3], y);
    set(op, name[4], CUDNN_TYPE_DOUBLE, 1, &one);
    set(op, name[5], CUDNN_TYPE_DOUBLE, 1, &zero);
    OK(cudnnBackendFinalize(op));
    return op;
}

static descriptor pointwise(cudnnPointwiseMode_t mode, double upper, descriptor x, descriptor b, descriptor y)
{
    descriptor kind = make(CUDNN_BACKEND_POINTWISE_DESCRIPTOR), op = make(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    cudnnDataType_t in_float = CUDNN_DATA_FLOAT;
    set(kind, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(kind, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &in_float);
    if (upper > 0)
        set(kind, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, CUDNN_TYPE_DOUBLE, 1, &upper);
    OK(cudnnBackendFinalize(kind));
    set_part(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kind);
    set_part(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b)
        set_part(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    set_part(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    OK(cudnnBackendFinalize(op));
    return op;
}

static void set_pair(descriptor d, int name, int first, int second)
{
    cudnnFraction_t pair[2] = {{first, 1}, {second, 1}};
    set(d, name, CUDNN_TYPE_FRACTION, 2, pair);
}

static descriptor pooling_of(const problem *p, descriptor x, descriptor y)
{
    static const cudnnResampleMode_t modes[] = {0, CUDNN_RESAMPLE_MAXPOOL, CUDNN_RESAMPLE_AVGPOOL_INCLUDE_PADDING,
                                                CUDNN_RESAMPLE_AVGPOOL_EXCLUDE_PADDING};
    descriptor what = make(CUDNN_BACKEND_RESAMPLE_DESCRIPTOR);
    descriptor op = make(p->backward ? CUDNN_BACKEND_OPERATION_RESAMPLE_BWD_DESCRIPTOR
                                     : CUDNN_BACKEND_OPERATION_RESAMPLE_FWD_DESCRIPTOR);
    cudnnDataType_t in_float = CUDNN_DATA_FLOAT;
    cudnnPaddingMode_t padding = p->pool == MAX ? CUDNN_NEG_INF_PAD : CUDNN_ZERO_PAD;
    cudnnNanPropagation_t nan = CUDNN_PROPAGATE_NAN;
    int64_t two = 2;
    set(what, CUDNN_ATTR_RESAMPLE_MODE, CUDNN_TYPE_RESAMPLE_MODE, 1, &modes[p->pool]);
    set(what, CUDNN_ATTR_RESAMPLE_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &in_float);
    set(what, CUDNN_ATTR_RESAMPLE_PADDING_MODE, CUDNN_TYPE_PADDING_MODE, 1, &padding);
    set(what, CUDNN_ATTR_RESAMPLE_NAN_PROPAGATION, CUDNN_TYPE_NAN_PROPOGATION, 1, &nan);
    set(what, CUDNN_ATTR_RESAMPLE_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &two);
    set_pair(what, CUDNN_ATTR_RESAMPLE_WINDOW_DIMS, p->r, p->s);
    set_pair(what, CUDNN_ATTR_RESAMPLE_STRIDES, p->stride, p->stride);
    set_pair(what, CUDNN_ATTR_RESAMPLE_PRE_PADDINGS, p->before, p->before);
    set_pair(what, CUDNN_ATTR_RESAMPLE_POST_PADDINGS, p->after, p->after);
    OK(cudnnBackendFinalize(what));
    set_part(op, p->backward ? CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DESC : CUDNN_ATTR_OPERATION_RESAMPLE_FWD_DESC, what);
    set_part(op, p->backward ? CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DXDESC : CUDNN_ATTR_OPERATION_RESAMPLE_FWD_XDESC, x);
    set_part(op, p->backward ? CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DYDESC : CUDNN_ATTR_OPERATION_RESAMPLE_FWD_YDESC, y);
    OK(cudnnBackendFinalize(op));
    return op;
}

static cudnnDataType_t code(bcam_fake_type type)
{
    return type == BCAM_FAKE_F32 ? CUDNN_DATA_FLOAT : type == BCAM_FAKE_F16 ? CUDNN_DATA_HALF : CUDNN_DATA_BFLOAT16;
}

static descriptor graph_of(const problem *p, const tensors *t)
{
    descriptor real[TENSORS], ops[4], now;
    int count = 0, out = p->backward ? X : Y, steps = p->residual + p->bias + p->relu;
    for (int i = 0; i < TENSORS; i++)
        real[i] = tensor(i + 1, t[i].dim, code(p->type), false);
    descriptor first = steps ? tensor(20, t[out].dim, CUDNN_DATA_FLOAT, true) : real[out];
    ops[count++] = p->pool ? pooling_of(p, real[X], real[Y])
                           : convolution(p, p->backward ? first : real[X], real[W], p->backward ? real[Y] : first);
    now = first;
    for (int i = 0; i < 3; i++) {
        bool wanted = i == 0 ? p->residual : i == 1 ? p->bias : p->relu;
        if (!wanted)
            continue;
        descriptor next = --steps ? tensor(21 + i, t[out].dim, CUDNN_DATA_FLOAT, true) : real[out];
        ops[count++] = pointwise(i == 2 ? CUDNN_POINTWISE_RELU_FWD : CUDNN_POINTWISE_ADD, i == 2 ? p->upper : 0, now,
                                 i == 2 ? NULL : real[i == 0 ? RESIDUAL : BIAS], next);
        now = next;
    }
    descriptor graph = make(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, ops);
    OK(cudnnBackendFinalize(graph));
    return graph;
}

static bool uses_tensor_cores(descriptor config)
{
    descriptor engine = make(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t count = 0;
    bool uses = false;
    OK(cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                                &engine));
    OK(cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes));
    for (int64_t i = 0; i < count; i++)
        uses = uses || notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
    return uses;
}

/* The first engine with, or without, tensor cores that a mode of the heuristics proposes; NULL: none. */
static descriptor config_of(const problem *p, descriptor graph, cudnnBackendHeurMode_t mode)
{
    enum { MOST = 16 };
    descriptor heuristics = make(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR), configs[MOST];
    int64_t count = 0;
    set_part(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    set(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    OK(cudnnBackendFinalize(heuristics));
    for (int i = 0; i < MOST; i++)
        configs[i] = make(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    OK(cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST, &count,
                                configs));
    int i = 0;
    while (i < count && p->type == BCAM_FAKE_F32 && uses_tensor_cores(configs[i]) == p->strict)
        i++;
    return i < count ? configs[i] : NULL;
}

static descriptor plan_of(const problem *p, descriptor graph)
{
    descriptor plan = make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR), config = config_of(p, graph, CUDNN_HEUR_MODE_A);
    if (!config)
        config = config_of(p, graph, CUDNN_HEUR_MODE_FALLBACK);
    cr_assert(config, "cuDNN offers no engine: %d channels to %d, stride %d, padding %d", p->c, p->m, p->stride,
              p->before);
    set_part(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    OK(cudnnBackendFinalize(plan));
    return plan;
}

/* ---- the same in double ---- */

static size_t at(const tensors *t, int n, int c, int h, int w)
{
    return (size_t)(((n * t->dim[2] + h) * t->dim[3] + w) * t->dim[1] + c);
}

/* One window of a pooling, maxima and sums over all that lies inside. */
static void pool_reference(const problem *p, const tensors *t, double *out, int n, int c, int oy, int ox)
{
    double most = -INFINITY, sum = 0;
    int inside = 0, y = oy * p->stride - p->before, x = ox * p->stride - p->before;
    for (int pass = 0; pass < 1 + p->backward; pass++) /* backwards the places inside are counted first */
        for (int h = 0; h < p->h; h++)
            for (int w = 0; w < p->w; w++) {
                if (h < y || h >= y + p->r || w < x || w >= x + p->s)
                    continue;
                size_t ix = at(&t[X], n, c, h, w);
                if (pass)
                    out[ix] +=
                        (double)t[Y].value[at(&t[Y], n, c, oy, ox)] / (p->pool == AVERAGE_WHOLE ? p->r * p->s : inside);
                inside += !pass;
                sum += (double)t[X].value[ix];
                most = fmax(most, (double)t[X].value[ix]);
            }
    if (!p->backward)
        out[at(&t[Y], n, c, oy, ox)] = p->pool == MAX ? most : sum / (p->pool == AVERAGE_WHOLE ? p->r * p->s : inside);
}

static double *reference(const problem *p, const tensors *t)
{
    const tensors *out = &t[p->backward ? X : Y];
    double *sum = calloc(out->count, sizeof *sum);
    for (int i = 0; i < p->n * p->m * t[Y].dim[2] * t[Y].dim[3] && p->pool; i++)
        pool_reference(p, t, sum, i / p->m / t[Y].dim[3] / t[Y].dim[2], i % p->m, i / p->m / t[Y].dim[3] % t[Y].dim[2],
                       i / p->m % t[Y].dim[3]);
    if (p->pool)
        return sum;
    int cg = p->c / p->groups, each = p->m / p->groups;
    for (int n = 0; n < p->n; n++)
        for (int m = 0; m < p->m; m++)
            for (int i = 0; i < t[Y].dim[2] * t[Y].dim[3]; i++)
                for (int j = 0; j < p->r * p->s * cg; j++) {
                    int oy = i / t[Y].dim[3], ox = i % t[Y].dim[3], c = j % cg, r = j / cg / p->s, s = j / cg % p->s;
                    int h = oy * p->stride - p->before + r * p->dilation,
                        w = ox * p->stride - p->before + s * p->dilation;
                    if (h < 0 || w < 0 || h >= p->h || w >= p->w)
                        continue;
                    size_t ix = at(&t[X], n, m / each * cg + c, h, w), iy = at(&t[Y], n, m, oy, ox),
                           iw = at(&t[W], m, c, r, s);
                    sum[p->backward ? ix : iy] +=
                        (double)t[W].value[iw] * (double)(p->backward ? t[Y].value[iy] : t[X].value[ix]);
                }
    for (size_t i = 0; i < out->count && !p->backward; i++) {
        sum[i] +=
            (p->residual ? (double)t[RESIDUAL].value[i] : 0) + (p->bias ? (double)t[BIAS].value[i % (size_t)p->m] : 0);
        if (p->relu)
            sum[i] = fmin(fmax(sum[i], 0), p->upper > 0 ? p->upper : INFINITY);
    }
    return sum;
}

/* ---- running ---- */

static void fill(const problem *p, tensors *t)
{
    int oh = (p->h + p->before + p->after - p->dilation * (p->r - 1) - 1) / p->stride + 1;
    int ow = (p->w + p->before + p->after - p->dilation * (p->s - 1) - 1) / p->stride + 1;
    const int dims[TENSORS][4] = {{p->n, p->c, p->h, p->w},
                                  {p->m, p->c / p->groups, p->r, p->s},
                                  {p->n, p->m, oh, ow},
                                  {p->n, p->m, oh, ow},
                                  {1, p->m, 1, 1}};
    for (int i = 0; i < TENSORS; i++) {
        memcpy(t[i].dim, dims[i], sizeof t[i].dim);
        t[i].count = (size_t)dims[i][0] * (size_t)dims[i][1] * (size_t)dims[i][2] * (size_t)dims[i][3];
        t[i].value = malloc(t[i].count * sizeof(float));
        char *host = malloc(t[i].count * 4);
        for (size_t k = 0; k < t[i].count; k++) {
            seed = seed * 1664525u + 1013904223u;
            bcam_fake_store(host, k, p->type, (float)(seed >> 8) / 8388608.0f - 1.0f);
            t[i].value[k] = bcam_fake_load(host, k, p->type);
        }
        OK(cudaMalloc(&t[i].device, t[i].count * bcam_fake_size(p->type)));
        OK(cudaMemcpy(t[i].device, host, t[i].count * bcam_fake_size(p->type), cudaMemcpyHostToDevice));
        free(host);
    }
}

static descriptor pack_of(const tensors *t, void *workspace)
{
    descriptor pack = make(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    int64_t uids[TENSORS];
    void *pointers[TENSORS];
    for (int i = 0; i < TENSORS; i++) {
        uids[i] = i + 1;
        pointers[i] = t[i].device;
    }
    set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, TENSORS, uids);
    set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, TENSORS, pointers);
    set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    OK(cudnnBackendFinalize(pack));
    return pack;
}

/* Runs a plan on a stream of its own, there or from a captured graph. */
static void execute(descriptor plan, const tensors *t, bool captured)
{
    cudnnHandle_t handle;
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    int64_t workspace = 0, one;
    void *memory = NULL;
    OK(cudnnCreate(&handle));
    OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    OK(cudnnSetStream(handle, stream));
    OK(cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &one, &workspace));
    OK(cudaMalloc(&memory, (size_t)workspace));
    if (workspace)
        cr_assert_neq((int)cudnnBackendExecute(handle, plan, pack_of(t, NULL)), 0, "no workspace");
    descriptor pack = pack_of(t, memory);
    if (captured)
        OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    OK(cudnnBackendExecute(handle, plan, pack));
    cr_assert_eq(bcam_fake_calls("cudnnBackendExecute@"), 0u, "lazy");
    if (captured) {
        OK(cudaStreamEndCapture(stream, &graph));
        OK(cudaGraphInstantiate(&exec, graph, 0));
        OK(cudaGraphLaunch(exec, stream));
        OK(cudaGraphDestroy(graph));
    }
    OK(cudaStreamSynchronize(stream));
    cr_assert_eq(bcam_fake_calls("cudnnBackendExecute@"), 1u);
    if (captured)
        OK(cudaGraphExecDestroy(exec));
    OK(cudaFree(memory));
    OK(cudnnDestroy(handle));
    OK(cudaStreamDestroy(stream));
}

/* Relative error in the 2-norm. */
static double compare(const problem *p, const tensors *t)
{
    const tensors *out = &t[p->backward ? X : Y];
    double *want = reference(p, t), difference = 0, norm = 0;
    char *host = malloc(out->count * 4);
    OK(cudaMemcpy(host, out->device, out->count * bcam_fake_size(p->type), cudaMemcpyDeviceToHost));
    for (size_t i = 0; i < out->count; i++) {
        double got = (double)bcam_fake_load(host, i, p->type);
        difference += (got - want[i]) * (got - want[i]);
        norm += want[i] * want[i];
    }
    free(host);
    free(want);
    return sqrt(difference / norm);
}

typedef enum how { PLAIN, CAPTURED, FROM_JSON } how;

static double error_of(const problem *p, how how_)
{
    tensors t[TENSORS];
    bcam_fake_reset();
    fill(p, t);
    descriptor plan = plan_of(p, graph_of(p, t));
    if (how_ == FROM_JSON) { /* a plan that was kept: nobody hands the stand-in a graph */
        int64_t size = 0, got;
        OK(cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 0, &size,
                                    NULL));
        char *json = calloc(1, (size_t)size + 1);
        OK(cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, size, &got,
                                    json));
        while (made_count)
            OK(cudnnBackendDestroyDescriptor(made[--made_count]));
        plan = make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
        set(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, size, json);
        OK(cudnnBackendFinalize(plan));
        free(json);
    }
    execute(plan, t, how_ == CAPTURED);
    double error = compare(p, t);
    for (int i = 0; i < TENSORS; i++) {
        OK(cudaFree(t[i].device));
        free(t[i].value);
    }
    while (made_count)
        OK(cudnnBackendDestroyDescriptor(made[--made_count]));
    char text[256];
    cr_assert_eq(bcam_fake_live(text, sizeof text), 0u, "%s", text);
    return error;
}

#define SMALL                                                                                                          \
    .n = 2, .c = 16, .h = 9, .w = 11, .m = 32, .r = 3, .s = 3, .groups = 1, .stride = 1, .dilation = 1, .before = 1,   \
    .after = 1

static void expect_all(const problem *problems, size_t count, how how_)
{
    static const double bounds[] = {2e-6, 1e-3, 8e-3};
    for (size_t i = 0; i < count; i++) {
        seed = 77 + (unsigned)i;
        double error = error_of(&problems[i], how_);
        cr_expect(error < bounds[problems[i].type], "problem %zu (seed %zu): relative error %g", i, 77 + i, error);
    }
}

Test(cudnn, convolutions)
{
    static const problem problems[] = {
        {SMALL, .strict = true},
        {SMALL, .type = BCAM_FAKE_F16},
        {SMALL, .type = BCAM_FAKE_BF16, .bias = true, .relu = true},
        {.n = 2,
         .c = 32,
         .h = 9,
         .w = 12,
         .m = 16,
         .r = 3,
         .s = 3,
         .groups = 2,
         .stride = 2,
         .dilation = 1,
         .before = 1,
         .after = 1,
         .type = BCAM_FAKE_F16},
        {.n = 3,
         .c = 8,
         .h = 12,
         .w = 12,
         .m = 8,
         .r = 3,
         .s = 3,
         .groups = 1,
         .stride = 2,
         .dilation = 1,
         .before = 0,
         .after = 1,
         .type = BCAM_FAKE_F16},
        {.n = 1,
         .c = 8,
         .h = 13,
         .w = 13,
         .m = 8,
         .r = 3,
         .s = 3,
         .groups = 1,
         .stride = 1,
         .dilation = 2,
         .before = 2,
         .after = 2,
         .strict = true},
        {SMALL, .type = BCAM_FAKE_F16, .residual = true, .bias = true, .relu = true, .upper = 1.5},
        {SMALL, .strict = true, .bias = true, .relu = true},
    };
    expect_all(problems, sizeof problems / sizeof *problems, PLAIN);
}

Test(cudnn, backward_data)
{
    static const problem problems[] = {
        {SMALL, .backward = true, .strict = true},
        {SMALL, .backward = true, .type = BCAM_FAKE_F16},
        {.n = 2,
         .c = 16,
         .h = 9,
         .w = 12,
         .m = 32,
         .r = 3,
         .s = 3,
         .groups = 2,
         .stride = 2,
         .dilation = 1,
         .before = 1,
         .after = 1,
         .backward = true,
         .type = BCAM_FAKE_F16},
        {.n = 2,
         .c = 16,
         .h = 11,
         .w = 12,
         .m = 16,
         .r = 1,
         .s = 1,
         .groups = 1,
         .stride = 2,
         .dilation = 1,
         .backward = true,
         .strict = true},
    };
    expect_all(problems, sizeof problems / sizeof *problems, PLAIN);
}

#define POOL .n = 2, .c = 16, .h = 9, .w = 11, .m = 16, .groups = 1, .dilation = 1

Test(cudnn, poolings)
{
    static const problem problems[] = {
        {POOL, .pool = MAX, .r = 3, .s = 3, .stride = 2, .before = 1, .after = 1, .strict = true},
        {POOL, .pool = MAX, .r = 3, .s = 2, .stride = 2, .after = 1, .type = BCAM_FAKE_F16},
        {POOL, .pool = AVERAGE_WHOLE, .r = 3, .s = 3, .stride = 1, .before = 1, .after = 1, .strict = true},
        {POOL, .pool = AVERAGE_INSIDE, .r = 3, .s = 3, .stride = 2, .before = 1, .after = 1, .type = BCAM_FAKE_F16},
        {POOL, .pool = AVERAGE_INSIDE, .r = 2, .s = 3, .stride = 2, .after = 1, .type = BCAM_FAKE_BF16},
        {POOL, .pool = AVERAGE_WHOLE, .r = 2, .s = 2, .stride = 2, .type = BCAM_FAKE_F16, .backward = true},
        {POOL, .pool = AVERAGE_INSIDE, .r = 3, .s = 3, .stride = 2, .before = 1, .after = 1, .type = BCAM_FAKE_F16,
         .backward = true},
        {POOL, .pool = AVERAGE_WHOLE, .r = 3, .s = 3, .stride = 1, .before = 1, .after = 1, .type = BCAM_FAKE_BF16,
         .backward = true},
    };
    expect_all(problems, sizeof problems / sizeof *problems, PLAIN);
    expect_all(problems, 4, FROM_JSON);
    expect_all(&problems[5], 1, CAPTURED);
}

Test(cudnn, captured)
{
    static const problem p = {SMALL, .type = BCAM_FAKE_F16, .residual = true, .bias = true, .relu = true};
    expect_all(&p, 1, CAPTURED);
}

Test(cudnn, plan_read_back_from_json)
{
    static const problem problems[] = {{SMALL, .strict = true},
                                       {SMALL, .type = BCAM_FAKE_F16, .bias = true, .relu = true}};
    expect_all(problems, 2, FROM_JSON);
}

/* An engine that takes tensor cores for float rounds its factors, so that a strict mode that lets one in is found out. */
Test(cudnn, tf32_shows)
{
    static const problem p = {SMALL};
    seed = 5;
    double plain = error_of(&p, PLAIN);
    seed = 5;
    double kept = error_of(&p, FROM_JSON);
    cr_assert(plain > 5e-5 && plain < 2e-3, "relative error %g", plain);
    cr_assert_eq(kept, plain, "a plan from JSON knows its engine's notes too: %g", kept);
}
