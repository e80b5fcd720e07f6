/* Values that are some of the channels of another one: random networks of concatenations and slices, which the device lays over one another and
 * plain C copies. */
#include <stdlib.h>

#include "cpu_plan.h"
#include "seed.h"

enum { PHOTOS = 3, HEIGHT = 5, WIDTH = 4, MOST = 64 };

static const double CLOSE = 2e-5; /* of numbers around 1, sums of few terms */

/** A network in the making: pictures that steps may read. */
typedef struct network {
    bcam_plan plan;
    uint64_t seed;
    int pictures[MOST], count, input;
    int begun[6], begun_count; /* what the last concatenation began with */
} network;

static int any_of(network *n, int count)
{
    return (int)(bcam_random(&n->seed) % (uint64_t)count);
}

static int64_t channels(const network *n, int value)
{
    return n->plan.values[value].dim[1];
}

static int new_picture(network *n, int64_t c)
{
    return n->pictures[n->count++] = WORK(&n->plan, "picture", PHOTOS, c, HEIGHT, WIDTH);
}

static int any_picture(network *n)
{
    return n->pictures[any_of(n, n->count)];
}

/* ---- steps ---- */

static int random_constant(network *n, double scale, int rank, const int64_t *dim)
{
    float *numbers;
    int id = bcam_plan_const_f32(&n->plan, "numbers", rank, dim, NULL, &numbers);
    for (int64_t i = 0; i < bcam_count(rank, dim); i++)
        numbers[i] = (float)(scale * (2 * bcam_random_unit(&n->seed) - 1));
    return id;
}

static void add_unary(network *n)
{
    int x = any_picture(n);
    plan_unary(&n->plan, "unary", any_of(n, 2) ? BCAM_UNARY_NEG : BCAM_UNARY_RELU, x, new_picture(n, channels(n, x)));
}

static void add_norm(network *n)
{
    int x = any_picture(n), scale = random_constant(n, 1, 1, DIMS(channels(n, x)));
    int shift = random_constant(n, 1, 1, DIMS(channels(n, x)));
    plan_step(&n->plan, BCAM_VERB_NORM, "norm", x, scale, shift, new_picture(n, channels(n, x)));
}

/* Kernels of 1 and of 3, with a residual where one fits. */
static void add_conv(network *n)
{
    int x = any_picture(n), size = any_of(n, 2) ? 1 : 3, add = any_picture(n);
    bool residual = any_of(n, 2) && channels(n, add) > 1;
    int64_t outputs = residual ? channels(n, add) : any_of(n, 2) ? 16 * (1 + any_of(n, 3)) : 1 + any_of(n, 40);
    double scale = 1 / sqrt((double)(channels(n, x) * size * size));
    int w = random_constant(n, scale, 4, DIMS(outputs, channels(n, x), size, size));
    int bias = random_constant(n, 1, 1, DIMS(outputs));
    bcam_step *step = plan_step(&n->plan, BCAM_VERB_CONV, "conv", x, w, bias, new_picture(n, outputs));
    int64_t pad = size / 2;
    step->u.conv = (bcam_conv_attr){
        .stride = {1, 1}, .dilation = {1, 1}, .pad_begin = {pad, pad}, .pad_end = {pad, pad}, .groups = 1};
    step->in[3] = residual ? add : -1;
}

static void add_pool(network *n)
{
    int x = any_picture(n);
    plan_step(&n->plan, BCAM_VERB_POOL, "pool", x, -1, -1, new_picture(n, channels(n, x)))->u.pool = (bcam_pool_attr){
        .kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1}, .pad_begin = {1, 1}, .pad_end = {1, 1}, .max = true};
}

static bcam_copy_attr channel_copy(int64_t from, int64_t to, int64_t count)
{
    return (bcam_copy_attr){.extent = {PHOTOS, count, HEIGHT, WIDTH},
                            .from = {0, from, 0, 0},
                            .to = {0, to, 0, 0},
                            .axis = {0, 1, 2, 3},
                            .step = {1, 1, 1, 1}};
}

/* Some begin with all that an earlier one had; the same picture may come twice. */
static void add_concat(network *n)
{
    int parts[BCAM_COUNT(n->begun) + 3], count = 0;
    int64_t total = 0, at = 0;
    if (any_of(n, 3))
        for (; count < n->begun_count; count++)
            parts[count] = n->begun[count];
    for (int more = 1 + any_of(n, 2) + !count; more > 0; more--)
        parts[count++] = any_picture(n);
    for (int i = 0; i < count; i++)
        total += channels(n, parts[i]);
    int y = new_picture(n, total);
    for (int i = 0; i < count; at += channels(n, parts[i++]))
        plan_step(&n->plan, BCAM_VERB_COPY, "concat", parts[i], -1, -1, y)->u.copy =
            channel_copy(0, at, channels(n, parts[i]));
    n->begun_count = count < (int)BCAM_COUNT(n->begun) ? count : 0;
    memcpy(n->begun, parts, (size_t)n->begun_count * sizeof *parts);
}

static void add_slice(network *n)
{
    int x = any_picture(n);
    int64_t all = channels(n, x), from = any_of(n, (int)all), count = 1 + any_of(n, (int)(all - from));
    plan_step(&n->plan, BCAM_VERB_COPY, "slice", x, -1, -1, new_picture(n, count))->u.copy =
        channel_copy(from, 0, count);
}

/* The gradient of a concatenation's input, seen from that of its output; sometimes of a slice's, the rest of which is zero. */
static void add_gradient(network *n)
{
    int dy = any_picture(n);
    bool slice = any_of(n, 4) == 0;
    int64_t all = channels(n, dy), at = any_of(n, (int)all), count = 1 + any_of(n, (int)(all - at));
    int dx = new_picture(n, slice ? all + 3 : count);
    plan_step(&n->plan, BCAM_VERB_COPY_BWD, "gradient", dy, -1, -1, dx)->u.copy =
        slice ? channel_copy(2, 0, all) : channel_copy(0, at, count);
}

/* ---- networks ---- */

static void make_network(network *n, uint64_t seed, int steps, bool exact)
{
    static void (*const kinds[])(network *) = {add_concat, add_slice, add_gradient, add_concat, add_slice,
                                               add_unary,  add_norm,  add_pool,     add_conv,   add_conv};
    *n = (network){.seed = seed};
    bcam_plan_init(&n->plan, PHOTOS, 1);
    n->input = INPUT(&n->plan, "input", PHOTOS, 6, HEIGHT, WIDTH);
    n->pictures[n->count++] = n->input;
    add_unary(n);
    for (int i = 0; i < steps; i++)
        if (channels(n, n->pictures[n->count - 1]) < 400)
            kinds[any_of(n, (int)BCAM_COUNT(kinds) - 2 * exact)](n);
        else
            add_slice(n);
    for (int i = 1; i < n->count; i++) /* what nobody reads is an output, and some of the others are */
        if (any_of(n, 4) == 0 || i == n->count - 1)
            n->plan.values[n->pictures[i]].role = BCAM_ROLE_OUTPUT;
}

static size_t count_of(const bcam_value *v)
{
    return (size_t)bcam_count(v->rank, v->dim);
}

/** Every output of the network. */
static double *compute_all(bcam_device *device, const network *n, size_t *total, int *aliases)
{
    uint64_t seed = n->seed;
    size_t size = count_of(&n->plan.values[n->input]), at = 0;
    double *in = malloc(size * sizeof *in), *out = NULL;
    bcam_program *program = compile(device, &n->plan);
    fill_random(in, size, &seed);
    put(program, n->input, BCAM_F64, in);
    run_all(program);
    run_all(program); /* again, on memory that is no longer fresh */
    for (int i = 0; i < n->count; i++) {
        const bcam_value *v = &n->plan.values[n->pictures[i]];
        if (v->role != BCAM_ROLE_OUTPUT)
            continue;
        out = realloc(out, (at + count_of(v)) * sizeof *out);
        cr_assert_not_null(out);
        get(program, n->pictures[i], BCAM_F64, out + at);
        at += count_of(v);
    }
    *aliases = 0;
    for (size_t s = 0; s < n->plan.step_count; s++)
        *aliases += strcmp(api->algorithm(program, s), "alias") == 0;
    *total = at;
    api->destroy(&program);
    free(in);
    return out;
}

static void compare(bool exact, bool guard, int rounds)
{
    int all_aliases = 0;
    uint64_t first = test_seed();
    for (int i = 0; i < rounds; i++) {
        network n;
        size_t count, other;
        int aliases, none;
        make_network(&n, first + (uint64_t)i, 4 + i % 40, exact);
        bcam_device *plain = open_with((bcam_device_options){.reference = true, .threads = 1});
        bcam_device *fast =
            open_with((bcam_device_options){.threads = 1 + i % 3, .deterministic = true, .guard = guard});
        if (!exact)
            bcam_cpu_dnnl_force(bcam_cpu_context(fast), (bcam_cpu_way)(i % BCAM_CPU_WAYS));
        double *want = compute_all(plain, &n, &count, &none), *got = compute_all(fast, &n, &other, &aliases);
        cr_assert_eq(count, other);
        for (size_t e = 0; e < count; e++)
            cr_assert(same_number(got[e], want[e], exact ? 0 : CLOSE * (1 + fabs(want[e]))),
                      "network %llu: element %zu is %.9g instead of %.9g", (unsigned long long)(first + (uint64_t)i), e,
                      got[e], want[e]);
        all_aliases += aliases - none;
        free(want);
        free(got);
        api->close(&plain);
        api->close(&fast);
        bcam_plan_fini(&n.plan);
    }
    cr_expect_gt(all_aliases, rounds, "only %d copies fell away", all_aliases);
}

Test(cpu_parts, nothing_changes_a_number)
{
    compare(true, false, 300);
}

Test(cpu_parts, steps_write_nothing_outside)
{
    compare(true, true, 100);
}

Test(cpu_parts, convolutions_read_and_write_parts)
{
    compare(false, false, 300);
}

/* Each concatenation has all that the one before it had, and one more: one memory for all of them. */
Test(cpu_parts, dense_chain)
{
    enum { LAYERS = 30, WIDTH_OF_ONE = 4 };
    bcam_plan plan;
    int parts[LAYERS + 1], whole = -1, copies = 0;
    bcam_plan_init(&plan, PHOTOS, 1);
    int x = INPUT(&plan, "x", PHOTOS, WIDTH_OF_ONE, HEIGHT, WIDTH);
    plan_unary(&plan, "first", BCAM_UNARY_NEG, x, parts[0] = WORK(&plan, "part", PHOTOS, WIDTH_OF_ONE, HEIGHT, WIDTH));
    for (int layer = 0; layer < LAYERS; layer++) {
        int64_t have = WIDTH_OF_ONE * (layer + 1);
        int slice = layer ? WORK(&plan, "slice", PHOTOS, WIDTH_OF_ONE, HEIGHT, WIDTH) : parts[0];
        parts[layer + 1] = WORK(&plan, "part", PHOTOS, WIDTH_OF_ONE, HEIGHT, WIDTH);
        if (layer)
            plan_step(&plan, BCAM_VERB_COPY, "slice", whole, -1, -1, slice)->u.copy =
                channel_copy(have - WIDTH_OF_ONE, 0, WIDTH_OF_ONE);
        plan_unary(&plan, "layer", BCAM_UNARY_NEG, slice, parts[layer + 1]);
        whole = WORK(&plan, "whole", PHOTOS, have + WIDTH_OF_ONE, HEIGHT, WIDTH);
        for (int i = 0; i <= layer + 1; i++, copies++)
            plan_step(&plan, BCAM_VERB_COPY, "concat", parts[i], -1, -1, whole)->u.copy =
                channel_copy(0, WIDTH_OF_ONE * i, WIDTH_OF_ONE);
    }
    plan.values[whole].role = BCAM_ROLE_OUTPUT;
    bcam_device *device = open_with((bcam_device_options){.threads = 1});
    bcam_program *program = compile(device, &plan);
    int aliases = 0;
    for (size_t s = 0; s < plan.step_count; s++)
        aliases += strcmp(api->algorithm(program, s), "alias") == 0;
    cr_expect_eq(aliases, copies + LAYERS - 1, "%d of %d copies fell away", aliases, copies + LAYERS - 1);
    size_t picture = PHOTOS * HEIGHT * WIDTH * WIDTH_OF_ONE * sizeof(float);
    cr_expect_leq(api->bytes(program), (LAYERS + 4) * (picture + 64), "%zu bytes", api->bytes(program));
    size_t size = PHOTOS * HEIGHT * WIDTH * WIDTH_OF_ONE;
    double in[PHOTOS * HEIGHT * WIDTH * WIDTH_OF_ONE], *out = malloc((LAYERS + 1) * size * sizeof *out);
    for (size_t i = 0; i < size; i++)
        in[i] = (double)i + 1;
    put(program, x, BCAM_F64, in);
    run_all(program);
    get(program, whole, BCAM_F64, out);
    size_t photo = size / PHOTOS;
    for (size_t i = 0; i < (LAYERS + 1) * size; i++) {
        size_t n = i / ((LAYERS + 1) * photo), part = i / photo % (LAYERS + 1), at = i % photo;
        double want = (part % 2 ? 1 : -1) * in[n * photo + at];
        cr_assert(same_number(out[i], want, 0), "[%zu] is %g instead of %g", i, out[i], want);
    }
    free(out);
    api->destroy(&program);
    api->close(&device);
    bcam_plan_fini(&plan);
}
