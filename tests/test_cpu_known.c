/* The CPU device against known answers and against loops written out here: another way of computing each verb. */
#include "cpu_plan.h"

/* ---- maps ---- */

/* Captum's layer test: conv 3x3 of ones, relu, fc, relu; the input counts from 0 to 15. Raw maps before any ReLU of the map. */
Test(cpu_known, two_targets_of_a_small_network)
{
    static const float ones[18] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, bias[2] = {-50, -75};
    float fc[32];
    for (int i = 0; i < 32; i++)
        fc[i] = i % 8 < 5 ? 1 : -1;
    bcam_plan plan;
    bcam_plan_init(&plan, 1, 1);
    int x = INPUT(&plan, "x", 1, 1, 4, 4), conv1 = WORK(&plan, "conv1", 1, 2, 2, 2),
        relu1 = WORK(&plan, "relu1", 1, 2, 2, 2);
    int flat = WORK(&plan, "flat", 1, 8), lin = WORK(&plan, "lin", 1, 4), logits = OUTPUT(&plan, "logits", 1, 4);
    int request = plan_value(&plan, "request", BCAM_ROLE_INPUT, BCAM_I32, 2, DIMS(1, 1));
    int first = plan_value(&plan, "first", BCAM_ROLE_INPUT, BCAM_I32, 1, DIMS(1));
    int ids = plan_value(&plan, "ids", BCAM_ROLE_OUTPUT, BCAM_I32, 2, DIMS(1, 1));
    int seed = WORK(&plan, "seed", 1, 4), d_lin = WORK(&plan, "d_lin", 1, 4), d_flat = WORK(&plan, "d_flat", 1, 8);
    int d_relu1 = OUTPUT(&plan, "d_relu1", 1, 2, 2, 2), d_conv1 = OUTPUT(&plan, "d_conv1", 1, 2, 2, 2);
    bcam_step *conv = plan_step(&plan, BCAM_VERB_CONV, "conv1", x, CONSTANT(&plan, "w", ones, 2, 1, 3, 3),
                                CONSTANT(&plan, "b", bias, 2), conv1);
    conv->u.conv = (bcam_conv_attr){.stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
    plan_unary(&plan, "relu1", BCAM_UNARY_RELU, conv1, relu1);
    plan_reshape(&plan, "flatten", relu1, flat);
    int weights = CONSTANT(&plan, "fc", fc, 4, 8);
    plan_step(&plan, BCAM_VERB_GEMM, "fc", flat, weights, -1, lin);
    plan_unary(&plan, "relu2", BCAM_UNARY_RELU, lin, logits);
    bcam_step *select = plan_step(&plan, BCAM_VERB_SELECT, "select", logits, request, first, ids);
    select->out[3] = seed;
    select->u.select.activation = BCAM_ACTIVATION_NONE;
    plan_step(&plan, BCAM_VERB_UNARY_BWD, "relu2", seed, logits, -1, d_lin)->u.unary.kind = BCAM_UNARY_RELU;
    plan_step(&plan, BCAM_VERB_GEMM_BWD, "fc", d_lin, weights, -1, d_flat);
    plan_step(&plan, BCAM_VERB_COPY_BWD, "flatten", d_flat, -1, -1, d_relu1)->u.copy.reshape = true;
    plan_step(&plan, BCAM_VERB_UNARY_BWD, "relu1", d_relu1, relu1, -1, d_conv1)->u.unary.kind = BCAM_UNARY_RELU;
    int maps[2];
    for (int i = 0; i < 2; i++) {
        maps[i] = OUTPUT(&plan, "map", 1, 1, 2, 2);
        bcam_step *cam = plan_step(&plan, BCAM_VERB_CAM, "cam", i ? relu1 : conv1, i ? d_relu1 : d_conv1, ids, maps[i]);
        cam->out[1] = OUTPUT(&plan, "range", 1, 1, 2);
        cam->u.cam.signed_map = true;
    }
    double in[16], map[4];
    for (int i = 0; i < 16; i++)
        in[i] = i;
    for (int fast = 0; fast < 2; fast++) {
        bcam_device *device = open_with((bcam_device_options){.reference = !fast, .guard = true});
        bcam_program *program = compile(device, &plan);
        put(program, x, BCAM_F64, in);
        run_all(program);
        get(program, maps[0], BCAM_F64, map);
        expect_numbers("conv1", map, (double[]){11.25, 13.5, 20.25, 22.5}, 4, 1e-5);
        get(program, maps[1], BCAM_F64, map);
        expect_numbers("relu1", map, (double[]){0, 4, 28, 32.5}, 4, 1e-5);
        api->destroy(&program);
        api->close(&device);
    }
    bcam_plan_fini(&plan);
}

typedef struct cam_result {
    double map[8], range[4], weights[4];
} cam_result;

/* One photo of two channels 2x2, two places: class 0 and none (or, constant, past the table). */
static cam_result run_cam(bcam_cam_attr attr, const double *a, const double *g, int32_t second)
{
    cam_result r;
    bcam_plan plan;
    bcam_plan_init(&plan, 1, 2);
    int in = INPUT(&plan, "a", 1, 2, 2, 2), map = OUTPUT(&plan, "map", 2, 1, 2, 2),
        range = OUTPUT(&plan, "range", 2, 1, 2);
    int gradient = attr.constant ? INPUT(&plan, "g", 3, 2) : INPUT(&plan, "g", 2, 2, 2, 2),
        weights = OUTPUT(&plan, "weights", 2, 1, 2);
    int ids = plan_value(&plan, "ids", BCAM_ROLE_INPUT, BCAM_I32, 2, DIMS(2, 1));
    bcam_step *cam = plan_step(&plan, BCAM_VERB_CAM, "cam", in, gradient, ids, map);
    cam->u.cam = attr;
    cam->out[1] = range;
    cam->out[2] = weights;
    bcam_device *device = open_plain(BCAM_PRECISION_FP32);
    bcam_program *program = compile(device, &plan);
    put(program, in, BCAM_F64, a);
    put(program, gradient, BCAM_F64, g);
    put(program, ids, BCAM_I32, (int32_t[]){0, second});
    run_all(program);
    get(program, map, BCAM_F64, r.map);
    get(program, range, BCAM_F64, r.range);
    get(program, weights, BCAM_F64, r.weights);
    api->destroy(&program);
    api->close(&device);
    bcam_plan_fini(&plan);
    return r;
}

Test(cpu_known, cam)
{
    static const double a[8] = {1, 2, 3, 4, 10, 0, 0, -10}, g[16] = {1, 2, 3, 2, -1, 0, -1, 0, 9, 9, 9, 9, 9, 9, 9, 9};
    static const double none[8] = {0};
    cam_result r = run_cam((bcam_cam_attr){.kind = BCAM_CAM_POOLED}, a, g, -1); /* weights 2 and -1/2 */
    expect_numbers("pooled", r.map, (double[]){0, 4, 6, 13, 0, 0, 0, 0}, 8, 0);
    expect_numbers("range", r.range, (double[]){-3, 13, 0, 0}, 4, 0);
    expect_numbers("weights", r.weights, (double[]){2, -0.5, 0, 0}, 4, 0);
    r = run_cam((bcam_cam_attr){.kind = BCAM_CAM_ELEMENTWISE, .signed_map = true}, a, g, -1);
    expect_numbers("elementwise", r.map, (double[]){-9, 4, 9, 8, 0, 0, 0, 0}, 8, 0);
    expect_numbers("range", r.range, (double[]){-9, 9, 0, 0}, 4, 0);
    r = run_cam((bcam_cam_attr){.constant = true}, a, (double[]){1, 1, 5, 5, 0, 2}, 2); /* classes 0 and 2 */
    expect_numbers("constant", r.map, (double[]){11, 2, 3, 0, 20, 0, 0, 0}, 8, 0);
    expect_numbers("range", r.range, (double[]){-6, 11, -20, 20}, 4, 0);
    r = run_cam((bcam_cam_attr){.constant = true}, a, (double[]){1, 1, 5, 5, 0, 2}, 3);
    expect_numbers("no such class", r.map + 4, none, 4, 0);
    double bad[8] = {1, 2, NAN, 4, 10, 0, 0, -10};
    r = run_cam((bcam_cam_attr){.kind = BCAM_CAM_POOLED}, bad, g, -1);
    expect_numbers("with NaN", r.map, (double[]){0, 4, NAN, 13, 0, 0, 0, 0}, 8, 0);
    expect_numbers("range", r.range, (double[]){NAN, NAN, 0, 0}, 4, 0);
}

/* ---- select ---- */

Test(cpu_known, select)
{
    enum { K = 3, N = 2, M = 4, ALL = 5 };
    bcam_plan plan;
    bcam_plan_init(&plan, N, K);
    int logits = INPUT(&plan, "logits", N, M),
        request = plan_value(&plan, "request", BCAM_ROLE_INPUT, BCAM_I32, 2, DIMS(N, ALL));
    int first = plan_value(&plan, "first", BCAM_ROLE_INPUT, BCAM_I32, 1, DIMS(1));
    int ids = plan_value(&plan, "ids", BCAM_ROLE_OUTPUT, BCAM_I32, 2, DIMS(K, N));
    bcam_step *select = plan_step(&plan, BCAM_VERB_SELECT, "select", logits, request, first, ids);
    int logit = OUTPUT(&plan, "logit", K, N), probability = OUTPUT(&plan, "probability", K, N),
        seed = OUTPUT(&plan, "seed", K * N, M);
    select = &plan.steps[0];
    select->out[1] = logit, select->out[2] = probability, select->out[3] = seed;
    select->u.select.activation = BCAM_ACTIVATION_SOFTMAX;
    bcam_device *device = open_plain(BCAM_PRECISION_FP64);
    bcam_program *program = compile(device, &plan);
    static const double z[N * M] = {1, 3, 3, 2, NAN, -5, 7, -5};
    static const int32_t wanted[N * ALL] = {
        -2, 2, -3, -4, 9, 3, -1, -5, -3, -6}; /* ranks 0, -, 1, 2, no such | 3, -, rank 3, rank 1, no such */
    /* photo 0: order 1 2 3 0, photo 1: order 2 1 3 0 (NaN last) */
    static const int32_t answers[N][ALL] = {{1, 2, -1, 3, -1}, {3, -1, 0, 1, -1}};
    put(program, logits, BCAM_F64, z);
    put(program, request, BCAM_I32, wanted);
    for (int32_t at = 0; at < 7; at += 2) {
        int32_t id[K * N];
        double value[K * N], p[K * N], one_hot[K * N * M];
        put(program, first, BCAM_I32, &at);
        run_all(program);
        get(program, ids, BCAM_I32, id);
        get(program, logit, BCAM_F64, value);
        get(program, probability, BCAM_F64, p);
        get(program, seed, BCAM_F64, one_hot);
        for (int i = 0; i < K * N; i++) {
            int k = i / N, n = i % N, want = at + k < ALL ? answers[n][at + k] : -1;
            double sum = exp(1) + 2 * exp(3) + exp(2);
            cr_expect_eq(id[i], want, "first %d, place %d of photo %d: class %d instead of %d", at, k, n, id[i], want);
            cr_expect(same_number(value[i], want < 0 ? 0 : z[n * M + want], 0));
            cr_expect(same_number(p[i], want < 0 ? 0 : n == 0 ? exp(z[want]) / sum : NAN, 1e-15));
            for (int c = 0; c < M; c++)
                cr_expect_eq(one_hot[i * M + c], c == want);
        }
    }
    bcam_error err = {0};
    put(program, first, BCAM_I32, (int32_t[]){-1});
    cr_expect_eq(api->run(program, BCAM_SEGMENTS_ALL, 0, &err), BCAM_E_ARGUMENT);
    api->destroy(&program);
    api->close(&device);
    bcam_plan_fini(&plan);
}

/* ---- upsample ---- */

static void run_upsample(bcam_dtype dtype, const double *map, int h, int w, const double range[2], int out_h, int out_w,
                         void *out)
{
    bcam_plan plan;
    bcam_plan_init(&plan, 1, 1);
    int in = INPUT(&plan, "map", 1, 1, h, w), ends = INPUT(&plan, "range", 1, 1, 2);
    int y = plan_value(&plan, "out", BCAM_ROLE_OUTPUT, dtype, 4, DIMS(1, 1, out_h, out_w));
    plan_step(&plan, BCAM_VERB_UPSAMPLE, "upsample", in, ends, -1, y);
    bcam_device *device = open_plain(BCAM_PRECISION_FP32);
    bcam_program *program = compile(device, &plan);
    put(program, in, BCAM_F64, map);
    put(program, ends, BCAM_F64, range);
    run_all(program);
    const void *host = api->host(program, y, 0);
    cr_assert_not_null(host);
    memcpy(out, host, (size_t)(out_h * out_w) * bcam_dtype_bytes(dtype));
    api->destroy(&program);
    api->close(&device);
    bcam_plan_fini(&plan);
}

Test(cpu_known, upsample)
{
    static const double map[4] = {0, 4, 8, 12}, range[2] = {0, 12};
    float f[16];
    double got[16];
    run_upsample(BCAM_F32, map, 2, 2, range, 4, 4, f);
    for (int i = 0; i < 16; i++)
        got[i] = (double)f[i];
    expect_numbers("2 to 4", got, (double[]){0, 1, 3, 4, 2, 3, 5, 6, 6, 7, 9, 10, 8, 9, 11, 12}, 16, 0);
    run_upsample(BCAM_F32, map, 1, 4, range, 2, 2, f); /* no antialias: halving takes the middle */
    expect_numbers("4 to 2", (double[]){(double)f[0], (double)f[1], (double)f[2], (double)f[3]},
                   (double[]){2, 10, 2, 10}, 4, 0);
    uint16_t half[4];
    run_upsample(BCAM_F16, map, 2, 2, range, 2, 2, half);
    for (int i = 0; i < 4; i++)
        cr_expect_eq(half[i], bcam_f32_to_f16((float)map[i]));
}

Test(cpu_known, upsample_to_bytes)
{
    uint8_t b[6];
    static const double odd[6] = {0, 0.5, 1.49, 1.51, 255, NAN};
    static const uint8_t want[6] = {0, 1, 1, 2, 255, 0};
    run_upsample(BCAM_U8, odd, 2, 3, (double[]){0, 255}, 2, 3, b);
    for (int i = 0; i < 6; i++)
        cr_expect_eq(b[i], want[i], "%g becomes %d", odd[i], b[i]);
    run_upsample(BCAM_U8, (double[]){0, 3, -3, INFINITY, 6, 1.5}, 2, 3, (double[]){-3, 3}, 2, 3, b);
    for (int i = 0; i < 6; i++)
        cr_expect_eq(b[i], ((uint8_t[]){0, 255, 0, 255, 255, 128})[i], "place %d becomes %d", i, b[i]);
    static const double ends[] = {0, -1, NAN};
    for (size_t e = 0; e < BCAM_COUNT(ends); e++) {
        run_upsample(BCAM_U8, odd, 2, 3, (double[]){-1, ends[e]}, 2, 3, b);
        for (int i = 0; i < 6; i++)
            cr_expect_eq(b[i], 0);
    }
}

/* Maps (K = 2, N = 1) of h x w become colours of out_h x out_w by a table whose entries are all different. */
static void run_colours(const double *maps, int h, int w, int out_h, int out_w, uint8_t *out)
{
    bcam_plan plan;
    bcam_plan_init(&plan, 1, 2);
    uint8_t *table;
    int in = INPUT(&plan, "map", 2, 1, h, w),
        colours = bcam_plan_const_u8(&plan, "table", 2, DIMS(256, 3), NULL, &table);
    cr_assert_geq(colours, 0);
    for (int i = 0; i < 256; i++) {
        table[3 * i] = (uint8_t)i;
        table[3 * i + 1] = (uint8_t)(i ^ 0x55);
        table[3 * i + 2] = 7;
    }
    int y = plan_value(&plan, "out", BCAM_ROLE_OUTPUT, BCAM_U8, 5, DIMS(2, 1, out_h, out_w, 3));
    plan_step(&plan, BCAM_VERB_UPSAMPLE, "upsample", in, -1, colours, y);
    bcam_device *device = open_plain(BCAM_PRECISION_FP32);
    bcam_program *program = compile(device, &plan);
    put(program, in, BCAM_F64, maps);
    run_all(program);
    memcpy(out, api->host(program, y, 0), (size_t)(2 * out_h * out_w * 3));
    api->destroy(&program);
    api->close(&device);
    bcam_plan_fini(&plan);
}

static void expect_colours(const char *what, const uint8_t *got, const int *rows, int count) /* -1: black */
{
    for (int i = 0; i < count; i++) {
        uint8_t want[3] = {(uint8_t)rows[i], (uint8_t)(rows[i] ^ 0x55), 7}, black[3] = {0};
        cr_expect(memcmp(got + 3 * i, rows[i] < 0 ? black : want, 3) == 0, "%s[%d] is %d %d %d, row %d was wanted",
                  what, i, got[3 * i], got[3 * i + 1], got[3 * i + 2], rows[i]);
    }
}

Test(cpu_known, upsample_to_colours)
{
    uint8_t out[2 * 16 * 3];
    /* 255 v / max, cut; the largest is the map's own, and what is not finite does not count. */
    static const double maps[8] = {-1, 0, 1, 2, INFINITY, NAN, 4, -INFINITY};
    run_colours(maps, 2, 2, 2, 2, out);
    expect_colours("as it is", out, (int[]){0, 0, 127, 255, 255, -1, 255, 0}, 8);
    /* The largest of the upsampled map: 3, though the map has a 4. */
    static const double wide[8] = {0, 4, 0, 0, -3, -2, -1, 0};
    run_colours(wide, 1, 4, 1, 8, out);
    expect_colours("twice as wide", out, (int[]){0, 85, 255, 255, 85, 0, 0, 0}, 8);
    expect_colours("nothing above 0", out + 8 * 3, (int[]){-1, -1, -1, -1, -1, -1, -1, -1}, 8);
    static const double none[2] = {NAN, INFINITY};
    run_colours(none, 1, 1, 1, 3, out);
    expect_colours("nothing finite", out, (int[]){-1, -1, -1, -1, -1, -1}, 6);
}

/* ---- convolution against its definition ---- */

typedef struct conv_case {
    int64_t n, c, h, w, m, kh, kw;
    bcam_conv_attr attr;
} conv_case;

static const conv_case conv_cases[] = {
    {2, 3, 7, 5, 4, 3, 3, {{1, 1}, {1, 1}, {1, 1}, {1, 1}, 1}},
    {1, 4, 9, 8, 6, 3, 2, {{2, 3}, {2, 1}, {0, 1}, {2, 1}, 2}},
    {3, 5, 6, 6, 5, 3, 3, {{2, 2}, {1, 1}, {1, 1}, {0, 0}, 5}},
    {2, 3, 5, 5, 6, 2, 2, {{1, 1}, {3, 3}, {2, 2}, {1, 1}, 3}},
    {1, 67, 3, 3, 130, 1, 1, {{1, 1}, {1, 1}, {0, 0}, {0, 0}, 1}},
};

static int64_t conv_out(const conv_case *t, int d)
{
    int64_t in = d ? t->w : t->h, k = d ? t->kw : t->kh;
    return (in + t->attr.pad_begin[d] + t->attr.pad_end[d] - t->attr.dilation[d] * (k - 1) - 1) / t->attr.stride[d] + 1;
}

/* Visits every product of a convolution: forwards y += x w, backwards x += y w. */
static void conv_naive(const conv_case *t, double *x, const double *w, double *y, bool backward)
{
    int64_t oh = conv_out(t, 0), ow = conv_out(t, 1), cg = t->c / t->attr.groups, mg = t->m / t->attr.groups;
    for (int64_t n = 0; n < t->n; n++)
        for (int64_t m = 0; m < t->m; m++)
            for (int64_t i = 0; i < oh * ow; i++)
                for (int64_t j = 0; j < cg * t->kh * t->kw; j++) {
                    int64_t c = m / mg * cg + j / (t->kh * t->kw), r = j / t->kw % t->kh, s = j % t->kw;
                    int64_t ih = i / ow * t->attr.stride[0] - t->attr.pad_begin[0] + r * t->attr.dilation[0];
                    int64_t iw = i % ow * t->attr.stride[1] - t->attr.pad_begin[1] + s * t->attr.dilation[1];
                    if (ih < 0 || ih >= t->h || iw < 0 || iw >= t->w)
                        continue;
                    double *px = &x[((n * t->c + c) * t->h + ih) * t->w + iw], *py = &y[(n * t->m + m) * oh * ow + i];
                    double factor = w[m * cg * t->kh * t->kw + j];
                    *(backward ? px : py) += *(backward ? py : px) * factor;
                }
}

static void check_conv(const conv_case *t, bool backward, bcam_precision precision, bool reference)
{
    enum { MOST = 20000 };
    static double x[MOST], y[MOST], w[MOST], want[MOST], got[MOST];
    static float weights[MOST];
    uint64_t seed = 11;
    int64_t cg = t->c / t->attr.groups, oh = conv_out(t, 0), ow = conv_out(t, 1);
    int64_t xs = t->n * t->c * t->h * t->w, ys = t->n * t->m * oh * ow, ws = t->m * cg * t->kh * t->kw;
    fill_random(backward ? y : x, (size_t)(backward ? ys : xs), &seed);
    fill_random(w, (size_t)ws, &seed);
    for (int64_t i = 0; i < ws; i++)
        weights[i] = (float)w[i];
    memset(want, 0, sizeof want);
    conv_naive(t, backward ? want : x, w, backward ? y : want, backward);
    bcam_plan plan;
    bcam_plan_init(&plan, t->n, 1);
    int px = backward ? OUTPUT(&plan, "dx", t->n, t->c, t->h, t->w) : INPUT(&plan, "x", t->n, t->c, t->h, t->w);
    int py = backward ? INPUT(&plan, "dy", t->n, t->m, oh, ow) : OUTPUT(&plan, "y", t->n, t->m, oh, ow);
    int pw = CONSTANT(&plan, "w", weights, t->m, cg, t->kh, t->kw);
    bcam_step *step = plan_step(&plan, backward ? BCAM_VERB_CONV_BWD : BCAM_VERB_CONV, "conv", backward ? py : px, pw,
                                -1, backward ? px : py);
    step->u.conv = t->attr;
    bcam_device *device =
        open_with((bcam_device_options){.reference = reference, .precision = precision, .guard = true, .threads = 2});
    compute(device, &plan, step->in[0], backward ? y : x, step->out[0], got);
    expect_numbers(backward ? "dx" : "y", got, want, (size_t)(backward ? xs : ys),
                   precision == BCAM_PRECISION_FP64 ? 1e-13 : 2e-5);
    api->close(&device);
    bcam_plan_fini(&plan);
}

Test(cpu_known, convolution)
{
    for (size_t i = 0; i < BCAM_COUNT(conv_cases); i++)
        for (int backward = 0; backward < 2; backward++) {
            check_conv(&conv_cases[i], backward, BCAM_PRECISION_FP64, true);
            check_conv(&conv_cases[i], backward, BCAM_PRECISION_FP32, true);
            check_conv(&conv_cases[i], backward, BCAM_PRECISION_FP32, false);
        }
}

/* Bias, residual and activation come in this order. */
Test(cpu_known, epilogue)
{
    float w = 2, b = -3;
    bcam_plan plan;
    bcam_plan_init(&plan, 1, 1);
    int x = INPUT(&plan, "x", 1, 1, 1, 4), y = OUTPUT(&plan, "y", 1, 1, 1, 4);
    bcam_step *step = plan_step(&plan, BCAM_VERB_CONV, "conv", x, CONSTANT(&plan, "w", &w, 1, 1, 1, 1),
                                CONSTANT(&plan, "b", &b, 1), y);
    step->u.conv = (bcam_conv_attr){.stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
    step->in[3] = x;
    step->act = (bcam_unary_attr){.kind = BCAM_UNARY_CLIP, .alpha = -1, .beta = 4};
    bcam_device *device = open_plain(BCAM_PRECISION_FP32);
    double out[4];
    compute(device, &plan, x, (double[]){0, 1, 2, 100}, y, out);
    expect_numbers("y", out, (double[]){-1, 0, 3, 4}, 4, 0);
    api->close(&device);
    bcam_plan_fini(&plan);
}

/* ---- pooling ---- */

/* One row of pixels. Backwards, dy counts 1, 10, 100, … */
static void check_pool(const char *what, bcam_pool_attr attr, int w, const double *x, int ow, const double *y,
                       const double *dx)
{
    double got[16], dy[16];
    bcam_device *device = open_plain(BCAM_PRECISION_FP64);
    bcam_plan plan;
    bcam_plan_init(&plan, 1, 1);
    int in = INPUT(&plan, "x", 1, 1, 1, w), out = OUTPUT(&plan, "y", 1, 1, 1, ow), g = INPUT(&plan, "dy", 1, 1, 1, ow);
    int back = OUTPUT(&plan, "dx", 1, 1, 1, w);
    attr.kernel[0] = attr.stride[0] = attr.dilation[0] = attr.dilation[1] = 1;
    plan_step(&plan, BCAM_VERB_POOL, "pool", in, -1, -1, out)->u.pool = attr;
    plan_step(&plan, BCAM_VERB_POOL_BWD, "pool", g, attr.max ? in : -1, -1, back)->u.pool = attr;
    bcam_program *program = compile(device, &plan);
    for (int i = 0; i < ow; i++)
        dy[i] = pow(10, i);
    put(program, in, BCAM_F64, x);
    put(program, g, BCAM_F64, dy);
    run_all(program);
    get(program, out, BCAM_F64, got);
    expect_numbers(what, got, y, (size_t)ow, 1e-15);
    get(program, back, BCAM_F64, got);
    expect_numbers(what, got, dx, (size_t)w, 1e-12);
    api->destroy(&program);
    api->close(&device);
    bcam_plan_fini(&plan);
}

#define ROW(...) ((const double[]){__VA_ARGS__})

Test(cpu_known, pool)
{
    bcam_pool_attr max = {.kernel = {1, 3}, .stride = {1, 2}, .pad_begin = {0, 1}, .pad_end = {0, 1}, .max = true},
                   mean = max, padded;
    mean.max = false;
    padded = mean;
    padded.count_pad = true;
    check_pool("ties: the first", max, 5, ROW(4, 4, 1, 1, 1), 3, ROW(4, 4, 1), ROW(1, 10, 0, 100, 0));
    check_pool("a NaN wins, the last", max, 5, ROW(1, NAN, NAN, 0, 9), 3, ROW(NAN, NAN, 9), ROW(0, 1, 10, 0, 100));
    check_pool("minus infinity", max, 5, ROW(-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY), 3,
               ROW(-INFINITY, -INFINITY, -INFINITY), ROW(1, 10, 0, 100, 0));
    check_pool("mean of what is inside", mean, 5, ROW(2, 4, 6, 8, 10), 3, ROW(3, 6, 9),
               ROW(0.5, 0.5 + 10 / 3., 10 / 3., 10 / 3. + 50, 50));
    check_pool("mean with pads", padded, 5, ROW(2, 4, 6, 8, 10), 3, ROW(2, 6, 6),
               ROW(1 / 3., 11 / 3., 10 / 3., 110 / 3., 100 / 3.));
    /* Ceil mode: the last window reaches past the pad and is cut there. */
    check_pool("mean with pads, cut", padded, 4, ROW(3, 6, 9, 12), 3, ROW(3, 9, 6),
               ROW(1 / 3., 11 / 3., 10 / 3., 10 / 3. + 50));
}

/* ---- functions ---- */

static void check_function(bcam_unary_attr attr, size_t count, const double *x, const double *y, const double *dx)
{
    double got[16], ones[16];
    bcam_plan plan;
    bcam_plan_init(&plan, 1, 1);
    int64_t n = (int64_t)count;
    int in = INPUT(&plan, "x", n), out = OUTPUT(&plan, "y", n), g = INPUT(&plan, "dy", n),
        back = OUTPUT(&plan, "dx", n);
    bcam_reads reads = bcam_unary_reads(attr.kind);
    plan_step(&plan, BCAM_VERB_UNARY, "f", in, -1, -1, out)->u.unary = attr;
    plan_step(&plan, BCAM_VERB_UNARY_BWD, "df", g,
              reads == BCAM_READS_X   ? in
              : reads == BCAM_READS_Y ? out
                                      : -1,
              -1, back)
        ->u.unary = attr;
    bcam_device *device = open_plain(BCAM_PRECISION_FP64);
    bcam_program *program = compile(device, &plan);
    for (size_t i = 0; i < count; i++)
        ones[i] = 1;
    put(program, in, BCAM_F64, x);
    put(program, g, BCAM_F64, ones);
    run_all(program);
    get(program, out, BCAM_F64, got);
    expect_numbers(bcam_unary_name(attr.kind), got, y, count, 1e-12);
    get(program, back, BCAM_F64, got);
    expect_numbers(bcam_unary_name(attr.kind), got, dx, count, 1e-12);
    api->destroy(&program);
    api->close(&device);
    bcam_plan_fini(&plan);
}

/* Corners as PyTorch has them. */
Test(cpu_known, functions)
{
    static const double x[] = {-4, -3, 0, 2, 3, NAN};
    check_function((bcam_unary_attr){BCAM_UNARY_RELU, 0, 0}, 6, x, ROW(0, 0, 0, 2, 3, NAN), ROW(0, 0, 0, 1, 1, 1));
    check_function((bcam_unary_attr){BCAM_UNARY_CLIP, -3, 2}, 6, x, ROW(-3, -3, 0, 2, 2, NAN), ROW(0, 0, 1, 0, 0, 1));
    check_function((bcam_unary_attr){BCAM_UNARY_LEAKY_RELU, 0.5, 0}, 6, x, ROW(-2, -1.5, 0, 2, 3, NAN),
                   ROW(0.5, 0.5, 0.5, 1, 1, 0.5));
    check_function((bcam_unary_attr){BCAM_UNARY_HARD_SIGMOID, 0.25, 0.5}, 6, x, ROW(0, 0, 0.5, 1, 1, NAN),
                   ROW(0, 0, 0.25, 0, 0, 0));
    check_function((bcam_unary_attr){BCAM_UNARY_HARD_SWISH, 0, 0}, 6, x, ROW(0, 0, 0, 5 / 3., 3, NAN),
                   ROW(0, 0, 0.5, 7 / 6., 1, 1));
    check_function((bcam_unary_attr){BCAM_UNARY_SILU, 0, 0}, 3, ROW(-800, 0, 800), ROW(0, 0, 800), ROW(0, 0.5, 1));
    check_function((bcam_unary_attr){BCAM_UNARY_ELU, 2, 0}, 5, x, ROW(2 * expm1(-4), 2 * expm1(-3), 0, 2, 3),
                   ROW(2 * exp(-4), 2 * exp(-3), 2, 1, 1));
    check_function((bcam_unary_attr){BCAM_UNARY_ABS, 0, 0}, 6, x, ROW(4, 3, 0, 2, 3, NAN), ROW(-1, -1, 0, 1, 1, 0));
    check_function((bcam_unary_attr){BCAM_UNARY_SOFTPLUS, 0, 0}, 3, ROW(-800, 0, 800), ROW(0, log(2), 800),
                   ROW(0, 0.5, 1));
    check_function((bcam_unary_attr){BCAM_UNARY_SIGMOID, 0, 0}, 3, ROW(-800, 0, 800), ROW(0, 0.5, 1), ROW(0, 0.25, 0));
    check_function((bcam_unary_attr){BCAM_UNARY_LINEAR, 3, 1}, 2, ROW(-1, 2), ROW(-2, 7), ROW(3, 3));
    check_function((bcam_unary_attr){BCAM_UNARY_RECIPROCAL, 0, 0}, 2, ROW(-2, 4), ROW(-0.5, 0.25), ROW(-0.25, -0.0625));
}

/* ---- copies ---- */

/* A reversed row, repeated below itself, in a frame of sevens; backwards the repeats are summed and the untouched is 0. */
Test(cpu_known, copy)
{
    static const bcam_copy_attr attr = {
        .fill = true, .fill_value = 7, .extent = {2, 3}, .to = {1, 1}, .axis = {-1, 0}, .from = {3}, .step = {-1}};
    bcam_plan plan;
    bcam_plan_init(&plan, 1, 1);
    int x = INPUT(&plan, "x", 5), y = OUTPUT(&plan, "y", 4, 5), dx = OUTPUT(&plan, "dx", 5);
    plan_step(&plan, BCAM_VERB_COPY, "copy", x, -1, -1, y)->u.copy = attr;
    plan_step(&plan, BCAM_VERB_COPY_BWD, "copy", y, -1, -1, dx)->u.copy = attr;
    bcam_device *device = open_plain(BCAM_PRECISION_FP32);
    bcam_program *program = compile(device, &plan);
    double got[20];
    put(program, x, BCAM_F64, ROW(10, 11, 12, 13, 14));
    run_all(program);
    get(program, y, BCAM_F64, got);
    expect_numbers("y", got, ROW(7, 7, 7, 7, 7, 7, 13, 12, 11, 7, 7, 13, 12, 11, 7, 7, 7, 7, 7, 7), 20, 0);
    get(program, dx, BCAM_F64, got);
    expect_numbers("dx", got, ROW(0, 22, 24, 26, 0), 5, 0);
    api->destroy(&program);
    api->close(&device);
    bcam_plan_fini(&plan);
}
