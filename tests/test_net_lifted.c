/* Operators that are made of several steps, for many photos and classes at once: what comes out, forwards and backwards, is what each photo and class
 * gives alone. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "cpu/cpu.h"
#include "graph_build.h"
#include "net/net.h"
#include "net_sweep.h"

enum { PHOTOS = 3, CLASSES = 2 };

static const struct row {
    int opset;
    const char *nodes[4]; /* "Type|inputs|outputs|attributes"; the last one makes r from v (N,4,6,6) */
} rows[] = {
    {17, {"ConvTranspose|v wt b3|r|strides=2,2 output_padding=1,1 pads=1,0,0,1"}},
    {17, {"ConvTranspose|v wg|r|group=2 strides=3,3 output_shape=20,20"}},
    {17, {"PRelu|v slope|r|"}},
    {17, {"Celu|v|r|alpha=0.5"}},
    {17, {"Selu|v|r|"}},
    {18, {"Mish|v|r|"}},
    {20, {"Gelu|v|r|"}},
    {20, {"Gelu|v|r|approximate=tanh"}},
    {17, {"InstanceNormalization|v g4 b4|r|epsilon=0.01"}},
    {18, {"GroupNormalization|v g2 b2|r|num_groups=2"}},
    {21, {"GroupNormalization|v g4 b4|r|num_groups=2"}},
    {17, {"LayerNormalization|v g6|r|"}},
    {17, {"LRN|v|r|size=3 alpha=0.5 bias=1.5"}},
    {17, {"Pad|v pads|r|mode=reflect"}},
    {17, {"Pad|v pads|r|mode=edge"}},
    {19, {"Pad|v pads|r|mode=wrap"}},
    {17, {"Resize|v - twice|r|mode=nearest"}},
    {17, {"Resize|v - odd|r|mode=nearest"}},
    {17, {"Resize|v - twice|r|mode=linear"}},
    {17, {"Resize|v - odd|r|mode=cubic coordinate_transformation_mode=align_corners"}},
    {17, {"Shape|v|s|", "Gather|s zero|n|", "Concat|n sizes|to|axis=0", "Resize|v - - to|r|mode=linear"}},
    {9, {"Upsample|v twice|r|mode=nearest"}},
    {17, {"DepthToSpace|v|r|blocksize=2"}},
    {17, {"DepthToSpace|v|r|blocksize=2 mode=CRD"}},
    {17, {"SpaceToDepth|v|r|blocksize=3"}},
    {17, {"Tile|v reps|r|"}},
    {17, {"Gather|v ids|r|axis=1"}},
    {17, {"Gather|v two|r|axis=3"}},
    {17, {"Split|v|p q|axis=1", "Mul|p q|r|"}},
    {18, {"Split|v|p q t|axis=2 num_outputs=3", "Concat|t p|r|axis=1"}},
    {17, {"MatMul|v w65|r|"}},
    {17, {"MatMul|w56 v|r|"}},
    {17, {"Transpose|v|t|perm=0,1,3,2", "MatMul|v t|r|"}},
    {17, {"Where|mask v half|r|"}},
    {17, {"Where|mask half v|r|"}},
    {17, {"Greater|v half|c|", "Exp|v|e|", "Where|c v e|r|"}},
    {17, {"LessOrEqual|v slope|c|", "Not|c|n|", "Where|n half v|r|"}},
    {17,
     {"Unsqueeze|v one|u|", "AveragePool|u|p|kernel_shape=3,1,1 pads=1,0,0,1,0,0 strides=1,1,1", "Squeeze|p one|r|"}},
    {17, {"Unsqueeze|v two|u|", "MaxPool|u|r|kernel_shape=1,2,3 strides=1,2,1"}},
    {11, {"Softmax|v|a|axis=1", "Neg|a|r|"}},
    {11, {"LogSoftmax|v|a|axis=2", "Neg|a|r|"}},
    {17, {"ReduceL2|v|r|axes=2,3"}},
    {17, {"ReduceMax|v|r|axes=1, keepdims=0"}},
    {17, {"Max|v slope half|r|"}},
    {17, {"Min|v half|r|"}},
    {17, {"Mean|v slope v|r|"}},
    {17, {"Abs|v|a|", "Pow|a expo|r|"}},
    {17, {"Pow|v two|r|"}},
    {17, {"Unsqueeze|v two|u|", "Expand|u wide|e|", "ReduceMean|e|r|axes=2,"}},
    {17, {"GlobalMaxPool|v|r|"}},
    {17, {"Reshape|v rows|s|", "Conv|s w1|c|pads=1,1", "MaxPool|c|r|kernel_shape=3, strides=2, ceil_mode=1"}},
    {17, {"AveragePool|v|r|kernel_shape=3,3 strides=2,2 auto_pad=SAME_UPPER count_include_pad=1"}},
};

/* ---- graphs ---- */

static void reals(bytes *g, const char *name, const char *dims, uint64_t seed)
{
    bytes tensor = {0}, raw = {0};
    int64_t count = 1;
    for (char *at = (char *)dims; *at; at += *at == ',') {
        int64_t dim = strtoll(at, &at, 10);
        put_int(&tensor, 1, dim);
        count *= dim;
    }
    for (int64_t i = 0; i < count; i++) {
        float f = (float)(2 * bcam_random_unit(&seed) - 1);
        put(&raw, &f, sizeof f);
    }
    put_int(&tensor, 2, 1);
    put_text(&tensor, 8, name);
    put_message(&tensor, 9, raw);
    put_message(g, 5, tensor);
}

static void list(bytes *g, const char *name, const char *values)
{
    bytes tensor = {0}, raw = {0};
    int64_t count = 0;
    for (char *at = (char *)values; *at; at += *at == ',', count++) {
        float f = strtof(at, &at);
        put(&raw, &f, sizeof f);
    }
    put_int(&tensor, 1, count);
    put_int(&tensor, 2, 1);
    put_text(&tensor, 8, name);
    put_message(&tensor, 9, raw);
    put_message(g, 5, tensor);
}

static void put_row_node(bytes *g, const char *text)
{
    char part[4][128] = {""};
    for (int k = 0; k < 4; k++) {
        size_t size = strcspn(text, "|");
        snprintf(part[k], sizeof part[k], "%.*s", (int)size, text);
        text += size + (text[size] == '|');
    }
    op(g, "", part[0], part[1], part[2], part[3]);
}

static bytes model_of_row(const struct row *row)
{
    bytes g = begin(0, 1, 6, 6); /* one channel; four are made of it, so that the photo is one */
    reals(&g, "first", "4,1,3,3", 1);
    op(&g, "", "Conv", "x first", "v", "pads=1,1,1,1");
    reals(&g, "wt", "4,3,3,3", 2);
    reals(&g, "wg", "4,1,2,2", 3);
    reals(&g, "w1", "2,4,3", 13);
    reals(&g, "b4", "4", 4), reals(&g, "g4", "4", 5), reals(&g, "b3", "3", 6), reals(&g, "g2", "2", 7),
        reals(&g, "b2", "2", 8);
    reals(&g, "g6", "6", 9), reals(&g, "slope", "4,1,1", 10), reals(&g, "w65", "6,5", 11), reals(&g, "w56", "5,6", 12);
    reals(&g, "half", "1", 14);
    ints(&g, "pads", "0,0,2,1,0,0,1,3"), ints(&g, "sizes", "4,9,4"), ints(&g, "reps", "1,2,1,3"),
        ints(&g, "ids", "3,1,1,1,0,2,-1");
    ints(&g, "one", "1"), ints(&g, "zero", "0"), ints(&g, "two", "2"), ints(&g, "mask", "1,0,0,1,1,0"),
        ints(&g, "wide", "1,4,3,6,6"), ints(&g, "rows", "0,4,36");
    list(&g, "twice", "1,1,2,2"), list(&g, "odd", "1,1,1.5,0.7"), list(&g, "expo", "1.7");
    for (int k = 0; k < 4 && row->nodes[k]; k++)
        put_row_node(&g, row->nodes[k]);
    op(&g, "", "Flatten", "r", "y", "");
    bytes model = model_head(row->opset);
    put_message(&model, 7, g);
    return model;
}

/* ---- running one ---- */

typedef struct run {
    double *y, *dx; /* (N,M), (K*N,1,6,6) */
    int64_t scores;
} run;

static const int64_t pixels = 36;

static void fail(const char *what, const bcam_error *err)
{
    cr_assert(err == NULL, "%s: %s", what, err->message);
}

/* Photos and gradients of the scores are numbered from `photo` and `class` on, so that one alone is the same as one of many. */
static run run_row(const struct row *row, bcam_device *device, int64_t n, int64_t k, int64_t photo, int64_t class)
{
    bcam_error err = {0};
    bcam_graph *graph;
    bcam_net *net;
    bcam_program *program;
    bytes model = model_of_row(row);
    if (bcam_onnx_parse("m.onnx", model.data, model.size, &graph, &err) || bcam_net_open(graph, n, &net, &err))
        fail(row->nodes[0], &err);
    const bcam_net_info *info = bcam_net_get_info(net);
    cr_assert(!info->batch_fixed, "%s: %s", row->nodes[0], info->batch_note);
    bcam_plan *plan = bcam_net_plan(net);
    run r = {.scores = info->class_count};
    int target = info->input_value, gradient;
    bool constant;
    const int64_t dim[2] = {k * n, r.scores};
    plan->k = k;
    plan->values[info->logits_value].role = BCAM_ROLE_OUTPUT;
    int seed = bcam_plan_value(plan, "seed", BCAM_ROLE_INPUT, BCAM_F32, 2, dim);
    plan->values[seed].each_k = true;
    if (bcam_plan_differentiate(plan, info->logits_value, seed, &target, 1, true, &gradient, &constant, &err))
        fail(row->nodes[0], &err);
    plan->values[gradient].role = BCAM_ROLE_OUTPUT;
    if (bcam_plan_fold(plan, &target, 1, &err) || bcam_plan_fuse(plan, &err) || bcam_plan_tidy(plan, &err) ||
        bcam_cpu_device.compile(device, plan, &program, &err))
        fail(row->nodes[0], &err);
    double *x = calloc((size_t)(n * pixels), sizeof *x), *g = calloc((size_t)(dim[0] * dim[1]), sizeof *g);
    r.y = calloc((size_t)(n * r.scores), sizeof *r.y);
    r.dx = calloc((size_t)(k * n * pixels), sizeof *r.dx);
    for (int64_t i = 0; i < n; i++) {
        uint64_t random = 100 + (uint64_t)(photo + i);
        for (int64_t p = 0; p < pixels; p++)
            x[i * pixels + p] = (double)(float)(2 * bcam_random_unit(&random) - 1);
        for (int64_t c = 0; c < k; c++) {
            random = 1000 + (uint64_t)(10 * (class + c) + photo + i);
            for (int64_t m = 0; m < r.scores; m++)
                g[(c * n + i) * r.scores + m] = (double)(float)(2 * bcam_random_unit(&random) - 1);
        }
    }
    if (bcam_cpu_device.write(program, info->input_value, BCAM_F64, x, &err) ||
        bcam_cpu_device.write(program, seed, BCAM_F64, g, &err) ||
        bcam_cpu_device.run(program, BCAM_SEGMENTS_ALL, 0, &err) || bcam_cpu_device.wait(program, 0, &err) ||
        bcam_cpu_device.read(program, info->logits_value, BCAM_F64, r.y, &err) ||
        bcam_cpu_device.read(program, gradient, BCAM_F64, r.dx, &err))
        fail(row->nodes[0], &err);
    free(x);
    free(g);
    bcam_cpu_device.destroy(&program);
    bcam_net_close(&net);
    bcam_onnx_close(&graph);
    free(model.data);
    return r;
}

static double difference(const double *a, const double *b, int64_t count)
{
    double most = 0, size = 1e-6;
    for (int64_t i = 0; i < count; i++) {
        most = fmax(most, fabs(a[i] - b[i]));
        size = fmax(size, fabs(b[i]));
    }
    return most / size;
}

Test(net_lifted, many_photos_and_classes_are_each_alone)
{
    bcam_error err = {0};
    bcam_device *device = NULL;
    const bcam_device_options options = {.reference = true, .threads = 1, .guard = true};
    cr_assert_eq(bcam_cpu_device.open(&options, &device, &err), BCAM_OK, "%s", err.message);
    for (size_t i = 0; i < BCAM_COUNT(rows); i++) {
        run all = run_row(&rows[i], device, PHOTOS, CLASSES, 0, 0);
        for (int64_t n = 0; n < PHOTOS; n++)
            for (int64_t k = 0; k < CLASSES; k++) {
                run one = run_row(&rows[i], device, 1, 1, n, k);
                cr_assert_eq(one.scores, all.scores, "%s", rows[i].nodes[0]);
                double y = difference(all.y + n * all.scores, one.y, one.scores);
                double dx = difference(all.dx + (k * PHOTOS + n) * pixels, one.dx, pixels);
                cr_expect(y <= 1e-6, "%s: photo %d: scores differ by %g", rows[i].nodes[0], (int)n, y);
                cr_expect(dx <= 1e-6, "%s: photo %d, class %d: gradients differ by %g", rows[i].nodes[0], (int)n,
                          (int)k, dx);
                free(one.y), free(one.dx);
            }
        free(all.y), free(all.dx);
    }
    bcam_cpu_device.close(&device);
    cr_expect_eq(bcam_alloc_live(), 0);
    printf("%zu operators, %d photos, %d classes\n", BCAM_COUNT(rows), PHOTOS, CLASSES);
}

Test(net_lifted, every_failed_allocation_is_an_error_and_leaves_nothing)
{
    for (size_t i = 0; i < BCAM_COUNT(rows); i++) {
        bcam_error err = {0};
        bcam_graph *graph;
        bcam_net *net = NULL;
        bytes model = model_of_row(&rows[i]);
        cr_assert_eq(bcam_onnx_parse("m.onnx", model.data, model.size, &graph, &err), BCAM_OK);
        open_short_of_memory(graph, rows[i].nodes[0], &net);
        bcam_net_close(&net);
        bcam_onnx_close(&graph);
        free(model.data);
    }
}
