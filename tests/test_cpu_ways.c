/* Convolutions in every way that the CPU has, against plain C in double; and what may not change a byte: the batch, the threads, the passes in
 * which a batch is taken. */
#include <stdlib.h>

#include "cpu_plan.h"
#include "seed.h"

typedef struct shape {
    int64_t photos, channels, height, width, filters, kernel, pad, groups;
    bool residual;
    bcam_unary_kind act;
    int64_t stride, dilation;
} shape;

static const shape shapes[] = {
    {3, 16, 9, 7, 32, 3, 1, 1, false, BCAM_UNARY_RELU, 1, 1},
    {2, 32, 13, 14, 16, 3, 0, 1, true, BCAM_UNARY_NONE, 1, 1},
    {5, 48, 4, 4, 48, 3, 2, 1, true, BCAM_UNARY_CLIP, 1, 1},
    {2, 400, 6, 5, 32, 3, 1, 1, false, BCAM_UNARY_SILU, 1, 1},
    {1, 64, 1, 1, 64, 3, 1, 1, false, BCAM_UNARY_RELU, 1, 1},
    {3, 1024, 5, 5, 16, 3, 1, 1, true, BCAM_UNARY_RELU, 1, 1},
    {3, 24, 9, 5, 40, 1, 0, 1, true, BCAM_UNARY_RELU, 1, 1},
    {2, 7, 3, 3, 5, 1, 0, 1, false, BCAM_UNARY_HARD_SWISH, 1, 1},
    {4, 64, 11, 6, 64, 3, 1, 4, true, BCAM_UNARY_SIGMOID, 1, 1},
    {3, 32, 8, 8, 32, 3, 1, 32, false, BCAM_UNARY_RELU, 1, 1},
    {3, 16, 13, 9, 24, 3, 1, 1, true, BCAM_UNARY_RELU, 2, 1},
    {2, 64, 15, 14, 32, 1, 0, 1, false, BCAM_UNARY_RELU, 2, 1},
    {5, 40, 11, 7, 16, 5, 3, 1, true, BCAM_UNARY_SILU, 3, 1},
    {2, 16, 12, 13, 48, 3, 2, 1, false, BCAM_UNARY_CLIP, 1, 2},
    {7, 512, 6, 6, 24, 3, 1, 1, true, BCAM_UNARY_RELU, 2, 1},
    {3, 16, 9, 5, 16, 3, 3, 1, true, BCAM_UNARY_NONE, 4, 3},
};

/* ---- one convolution ---- */

typedef struct net {
    bcam_plan plan;
    int x, r, y;
    size_t in, out, photos;
} net;

/* Forward, or the gradient of its input. */
static net one_conv(const shape *s, int64_t photos, const float *weights, bool backward)
{
    net n = {.r = -1, .photos = (size_t)photos};
    int64_t more = 2 * s->pad - s->dilation * (s->kernel - 1) - 1, height = (s->height + more) / s->stride + 1,
            width = (s->width + more) / s->stride + 1;
    const int64_t small[4] = {photos, s->channels, s->height, s->width}, large[4] = {photos, s->filters, height, width};
    const int64_t w[4] = {s->filters, s->channels / s->groups, s->kernel, s->kernel}, *in = backward ? large : small,
                  *out = backward ? small : large;
    bcam_plan_init(&n.plan, photos, 1);
    n.x = plan_value(&n.plan, "x", BCAM_ROLE_INPUT, BCAM_F32, 4, in);
    n.y = plan_value(&n.plan, "y", BCAM_ROLE_OUTPUT, BCAM_F32, 4, out);
    int filters = plan_constant(&n.plan, "w", weights, 4, w);
    bcam_step *step = plan_step(&n.plan, backward ? BCAM_VERB_CONV_BWD : BCAM_VERB_CONV, "conv", n.x, filters, -1, n.y);
    step->u.conv = (bcam_conv_attr){.stride = {s->stride, s->stride},
                                    .dilation = {s->dilation, s->dilation},
                                    .groups = s->groups,
                                    .pad_begin = {s->pad, s->pad},
                                    .pad_end = {s->pad, s->pad}};
    n.in = (size_t)bcam_count(4, in);
    n.out = (size_t)bcam_count(4, out);
    if (backward)
        return n;
    step->act = (bcam_unary_attr){.kind = s->act, .alpha = s->act == BCAM_UNARY_CLIP ? -0.25f : 0, .beta = 0.5f};
    step->in[2] = plan_constant(&n.plan, "b", weights, 1, DIMS(s->filters));
    if (s->residual)
        step->in[3] = n.r = plan_value(&n.plan, "r", BCAM_ROLE_INPUT, BCAM_F32, 4, out);
    return n;
}

/* `x`, and behind it the residual. */
static void run_conv(bcam_device *device, const net *n, const double *x, const double *r, double *y, char *algorithm)
{
    bcam_program *program = compile(device, &n->plan);
    put(program, n->x, BCAM_F64, x);
    if (n->r >= 0)
        put(program, n->r, BCAM_F64, r);
    run_all(program);
    get(program, n->y, BCAM_F64, y);
    if (algorithm)
        snprintf(algorithm, 64, "%s", api->algorithm(program, 0));
    api->destroy(&program);
}

typedef struct data {
    double *x, *r, *y, *want, *most;
    float *w;
} data;

static double *numbers(size_t count, uint64_t *seed)
{
    double *block = calloc(count + 1, sizeof *block);
    cr_assert_not_null(block);
    if (seed)
        fill_random(block, count, seed);
    return block;
}

static double largest(const double *x, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fabs(x[i]) > most ? fabs(x[i]) : most;
    return most;
}

static void absolute(double *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = fabs(x[i]);
}

/* Rounding errors of tiles are of the size of their largest sum: the same with all numbers positive says how large sums may become. */
static double allowed(bcam_device *exact, const shape *s, const net *n, const data *d, bool backward, size_t weights)
{
    shape plain = *s;
    plain.act = BCAM_UNARY_NONE;
    float *w = calloc(weights, sizeof *w);
    double *x = numbers(n->in, NULL), *r = numbers(n->out, NULL);
    for (size_t i = 0; i < weights; i++)
        w[i] = fabsf(d->w[i]);
    memcpy(x, d->x, n->in * sizeof *x);
    memcpy(r, d->r, n->out * sizeof *r);
    absolute(x, n->in);
    absolute(r, n->out);
    net positive = one_conv(&plain, s->photos, w, backward);
    run_conv(exact, &positive, x, r, d->most, NULL);
    bcam_plan_fini(&positive.plan);
    free(w), free(x), free(r);
    return 64 * 0x1p-24 * largest(d->most, n->out);
}

static int check_way(bcam_cpu_way way, const shape *s, bool backward, uint64_t seed)
{
    size_t weights = (size_t)(s->filters * s->channels / s->groups * s->kernel * s->kernel);
    double *w = numbers(weights, &seed);
    data d = {.w = calloc(weights, sizeof *d.w)};
    for (size_t i = 0; i < weights; i++)
        d.w[i] = (float)w[i];
    net n = one_conv(s, s->photos, d.w, backward), alone = one_conv(s, 1, d.w, backward);
    d.x = numbers(n.in, &seed), d.r = numbers(n.out, &seed);
    d.y = numbers(n.out, &seed), d.want = numbers(n.out, NULL), d.most = numbers(n.out, NULL);
    bcam_device *exact = open_plain(BCAM_PRECISION_FP64),
                *one = open_with((bcam_device_options){.threads = 1, .deterministic = true, .guard = true}),
                *three = open_with((bcam_device_options){.threads = 3, .deterministic = true, .guard = true});
    char algorithm[64];
    bcam_cpu_dnnl_force(bcam_cpu_context(one), way);
    bcam_cpu_dnnl_force(bcam_cpu_context(three), way);
    run_conv(exact, &n, d.x, d.r, d.want, NULL);
    run_conv(three, &n, d.x, d.r, d.y, algorithm);
    double tolerance = allowed(exact, s, &n, &d, backward, weights), worst = 0;
    for (size_t i = 0; i < n.out; i++)
        worst = fmax(worst, fabs(d.y[i] - d.want[i]));
    cr_expect(worst <= tolerance, "%s of shape %d%s (%s): an error of %g, allowed is %g", bcam_cpu_way_name(way),
              (int)(s - shapes), backward ? ", backward" : "", algorithm, worst, tolerance);
    run_conv(one, &n, d.x, d.r, d.want, NULL);
    cr_expect(memcmp(d.y, d.want, n.out * sizeof *d.y) == 0, "%s of shape %d%s: 1 thread and 3 differ", algorithm,
              (int)(s - shapes), backward ? ", backward" : "");
    size_t last = n.photos - 1;
    run_conv(three, &alone, d.x + last * alone.in, d.r + last * alone.out, d.want, NULL);
    cr_expect(memcmp(d.y + last * alone.out, d.want, alone.out * sizeof *d.y) == 0,
              "%s of shape %d%s: the last photo alone differs", algorithm, (int)(s - shapes),
              backward ? ", backward" : "");
    api->close(&exact), api->close(&one), api->close(&three);
    bcam_plan_fini(&n.plan), bcam_plan_fini(&alone.plan);
    free(w), free(d.w), free(d.x), free(d.r), free(d.y), free(d.want), free(d.most);
    return strstr(algorithm, way == BCAM_CPU_IM2COL ? "im2col" : "Winograd") != NULL;
}

enum { ROWS = 12 }; /* shapes that are for rows */

static void check_all(bool backward)
{
    uint64_t seed = test_seed();
    int taken[BCAM_CPU_WAYS] = {0};
    for (int way = 0; way < BCAM_CPU_WAYS; way++)
        for (size_t i = 0; i < BCAM_COUNT(shapes); i++)
            taken[way] += check_way((bcam_cpu_way)way, &shapes[i], backward, seed + i);
    printf("%d of %zu shapes by Winograd's tiles, %d by rows\n", taken[BCAM_CPU_WINOGRAD], BCAM_COUNT(shapes),
           taken[BCAM_CPU_IM2COL]);
    /* none: a processor for which oneDNN has no fast products */
    cr_expect(taken[BCAM_CPU_WINOGRAD] == 0 || taken[BCAM_CPU_WINOGRAD] == 6);
    cr_expect(backward || taken[BCAM_CPU_IM2COL] == 0 || taken[BCAM_CPU_IM2COL] == ROWS);
}

Test(cpu_ways, forward)
{
    check_all(false);
}

Test(cpu_ways, backward)
{
    check_all(true);
}

/* ---- passes ---- */

enum { SIDE = 80, CHANNELS = 64, PHOTOS = 16 };

/* Convolution, addition, two parts of a concatenation, a pool, a mean; most of it too large for one pass. */
static net large_net(int64_t photos, const float *weights)
{
    net n = {.photos = (size_t)photos, .in = (size_t)photos * 3 * SIDE * SIDE, .out = (size_t)photos * 2 * CHANNELS};
    bcam_plan *p = &n.plan;
    bcam_plan_init(p, photos, 1);
    n.x = INPUT(p, "x", photos, 3, SIDE, SIDE);
    n.y = OUTPUT(p, "y", photos, 2 * CHANNELS, 1, 1);
    int w = CONSTANT(p, "w", weights, CHANNELS, 3, 3, 3), a = WORK(p, "a", photos, CHANNELS, SIDE, SIDE),
        b = WORK(p, "b", photos, CHANNELS, SIDE, SIDE), c = WORK(p, "c", photos, 2 * CHANNELS, SIDE, SIDE),
        e = WORK(p, "e", photos, 2 * CHANNELS, SIDE, SIDE), d = WORK(p, "d", photos, 2 * CHANNELS, SIDE / 2, SIDE / 2);
    bcam_step *step = plan_step(p, BCAM_VERB_CONV, "conv", n.x, w, -1, a);
    step->u.conv =
        (bcam_conv_attr){.stride = {1, 1}, .dilation = {1, 1}, .groups = 1, .pad_begin = {1, 1}, .pad_end = {1, 1}};
    plan_unary(p, "tanh", BCAM_UNARY_TANH, a, b);
    plan_step(p, BCAM_VERB_BINARY, "product", a, b, -1, b)->u.binary.kind = BCAM_BINARY_MUL;
    for (int part = 0; part < 2; part++) {
        step = plan_step(p, BCAM_VERB_COPY, "concat", part ? b : a, -1, -1, c);
        step->u.copy = (bcam_copy_attr){.extent = {photos, CHANNELS, SIDE, SIDE},
                                        .to = {0, part * CHANNELS, 0, 0},
                                        .axis = {0, 1, 2, 3},
                                        .step = {1, 1, 1, 1}};
    }
    plan_unary(p, "negative", BCAM_UNARY_NEG, c, e);
    step = plan_step(p, BCAM_VERB_POOL, "pool", e, -1, -1, d);
    step->u.pool = (bcam_pool_attr){.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}, .max = true};
    plan_step(p, BCAM_VERB_REDUCE, "mean", d, -1, -1, n.y)->u.reduce = (bcam_reduce_attr){BCAM_REDUCE_MEAN, 12};
    return n;
}

static void check_passes(bcam_precision precision, bool reference)
{
    uint64_t seed = test_seed();
    float weights[CHANNELS * 27];
    for (size_t i = 0; i < BCAM_COUNT(weights); i++)
        weights[i] = (float)(2 * bcam_random_unit(&seed) - 1) / 5;
    net all = large_net(PHOTOS, weights), one = large_net(1, weights);
    double *x = numbers(all.in, &seed), *y = numbers(all.out, NULL), alone[2 * CHANNELS];
    bcam_device *device = open_with(
        (bcam_device_options){.threads = 2, .deterministic = true, .precision = precision, .reference = reference});
    bcam_program *program = compile(device, &all.plan), *single = compile(device, &one.plan);
    cr_expect_lt(api->bytes(program), 14 * api->bytes(single)); /* not all values are there for all photos */
    for (int round = 0; round < 2; round++) {                   /* the second finds the memory as the first left it */
        put(program, all.x, BCAM_F64, x);
        run_all(program);
        get(program, all.y, BCAM_F64, y);
        for (size_t i = 0; i < PHOTOS; i++) {
            put(single, one.x, BCAM_F64, x + i * one.in);
            run_all(single);
            get(single, one.y, BCAM_F64, alone);
            cr_expect(memcmp(alone, y + i * one.out, sizeof alone) == 0, "photo %zu differs in its batch", i);
        }
    }
    api->destroy(&program), api->destroy(&single);
    api->close(&device);
    bcam_plan_fini(&all.plan), bcam_plan_fini(&one.plan);
    free(x), free(y);
}

Test(cpu_ways, passes)
{
    check_passes(BCAM_PRECISION_FP32, true);
}

/* The parts of the concatenation lie in it. */
Test(cpu_ways, passes_over_parts)
{
    check_passes(BCAM_PRECISION_FP32, false);
}

Test(cpu_ways, passes_bf16)
{
    check_passes(BCAM_PRECISION_BF16, true);
}
