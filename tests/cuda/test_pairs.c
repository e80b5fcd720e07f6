/* The CUDA device through its interface: both buffer pairs under way at once, replays, reading and writing, poison and
 * canaries. Needs a card, or stand-ins for CUDA's libraries (cmake/standins.cmake), which tell besides what is left
 * alive and what was replayed. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <string.h>

#include "cuda/cuda.h"

enum { N = 2, H = 5, W = 7, ROUNDS = 4 };
static const bcam_device_api *api = &bcam_cuda_device;

/* pixels → prep (twice the byte) → mean over rows and columns → logits (N,3) as an output of the program's own type. */
static void make_plan(bcam_plan *plan, int *pixels, int *x, int *y)
{
    const int64_t photo[4] = {N, 3, H, W}, table[2] = {3, 256}, mean[4] = {N, 3, 1, 1}, flat[2] = {N, 3};
    float *lut;
    bcam_plan_init(plan, N, 1);
    *pixels = bcam_plan_value(plan, "pixels", BCAM_ROLE_INPUT, BCAM_U8, 4, photo);
    int lut_value = bcam_plan_const_f32(plan, "lut", 2, table, NULL, &lut);
    *x = bcam_plan_value(plan, "x", BCAM_ROLE_OUTPUT, BCAM_F32, 4, photo);
    int m = bcam_plan_value(plan, "m", BCAM_ROLE_WORK, BCAM_F32, 4, mean);
    *y = bcam_plan_value(plan, "y", BCAM_ROLE_OUTPUT, BCAM_F32, 2, flat);
    for (int i = 0; i < 3 * 256; i++)
        lut[i] = 2 * (float)(i % 256);
    bcam_step *s = bcam_plan_step(plan, BCAM_VERB_PREP, BCAM_SEGMENT_PREP, "prep");
    s->in[0] = *pixels, s->in[1] = lut_value, s->out[0] = *x;
    for (int c = 0; c < 3; c++)
        s->u.prep.channel[c] = c;
    s = bcam_plan_step(plan, BCAM_VERB_REDUCE, BCAM_SEGMENT_FORWARD, "mean");
    s->in[0] = *x, s->out[0] = m;
    s->u.reduce = (bcam_reduce_attr){BCAM_REDUCE_MEAN, 12};
    s = bcam_plan_step(plan, BCAM_VERB_COPY, BCAM_SEGMENT_FORWARD, "flat");
    s->in[0] = m, s->out[0] = *y;
    s->u.copy.reshape = true;
}

static bcam_device *open_or_skip(bcam_precision precision, bool guard)
{
    bcam_error err = {0};
    bcam_device *device = NULL;
    if (api->probe(&err))
        cr_skip_test("%s", err.message);
    cr_assert_eq(api->open(&(bcam_device_options){.precision = precision, .guard = guard}, &device, &err), BCAM_OK,
                 "%s", err.message);
    return device;
}

/* Functions of the stand-ins; NULL on a card. */
static void expect_replays(bool guard)
{
    unsigned long (*calls)(const char *) = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "bcam_fake_calls");
    memcpy(&calls, &symbol, sizeof calls);
    if (calls) /* a graph a pair; each is launched as soon as it is there */
        cr_expect_eq(calls("cudaGraphLaunch@"), guard ? 0u : 2u * (ROUNDS - 1));
}

static void expect_nothing_alive(void)
{
    char text[256] = "";
    size_t (*live)(char *, size_t) = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "bcam_fake_live");
    memcpy(&live, &symbol, sizeof live);
    if (live)
        cr_expect_eq(live(text, sizeof text), 0u, "%s", text);
    cr_expect_eq(bcam_alloc_live(), 0);
}

static void expect_mean(bcam_program *program, int y, int pair, int byte)
{
    const float *out = api->host(program, y, pair);
    for (int i = 0; i < N * 3; i++)
        cr_expect_eq(out[i], 2 * (float)byte, "pair %d, place %d: %g instead of %d", pair, i, (double)out[i], 2 * byte);
}

static void check_pairs(bcam_precision precision, bool guard)
{
    bcam_plan plan;
    bcam_error err = {0};
    int pixels, x, y;
    bcam_device *device = open_or_skip(precision, guard);
    bcam_program *program = NULL;
    make_plan(&plan, &pixels, &x, &y);
    cr_assert_eq(api->compile(device, &plan, &program, &err), BCAM_OK, "%s", err.message);
    bcam_plan_fini(&plan);
    for (int round = 0; round < ROUNDS;
         round++) { /* streams, then capture, then replay; both pairs under way before either is waited for */
        for (int pair = 0; pair < 2; pair++) {
            memset(api->host(program, pixels, pair), 10 * round + pair, N * 3 * H * W);
            cr_assert_eq(api->run(program, BCAM_SEGMENTS_ALL, pair, &err), BCAM_OK, "%s", err.message);
        }
        for (int pair = 0; pair < 2; pair++) {
            cr_assert_eq(api->wait(program, pair, &err), BCAM_OK, "%s", err.message);
            expect_mean(program, y, pair, 10 * round + pair);
        }
    }
    expect_replays(guard);
    double numbers[N * 3 * H * W], back[N * 3 * H * W], mean[N * 3];
    for (int i = 0; i < N * 3 * H * W; i++)
        numbers[i] = i % 5;
    cr_assert_eq(api->write(program, x, BCAM_F64, numbers, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(api->read(program, x, BCAM_F64, back, &err), BCAM_OK, "%s", err.message);
    cr_expect_arr_eq(back, numbers, sizeof numbers);
    cr_assert_eq(api->run(program, BCAM_SEGMENT_BIT(BCAM_SEGMENT_FORWARD), 1, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(api->wait(program, 1, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(api->read(program, y, BCAM_F64, mean, &err), BCAM_OK, "%s", err.message);
    for (int i = 0; i < N * 3; i++)
        cr_expect_float_eq(mean[i], 2, 0.02, "mean %d is %g", i, mean[i]); /* 35 numbers 0..4 in turn */
    cr_expect_null(api->host(program, x, 0));
    cr_expect_str_eq(api->algorithm(program, 2), "alias");
    api->destroy(&program);
    api->close(&device);
    expect_nothing_alive();
}

/* ---- pixels that a step makes, or the host gives in its place ---- */

/* Room for twice the photos that there are. */
static void plan_resize(bcam_plan *plan, int pixels, int *photos, int *frames)
{
    const int64_t bytes = 2 * N * 3 * H * W, numbers = 8, frame[2] = {N, BCAM_FRAME_COUNT};
    *photos = bcam_plan_value(plan, "photos", BCAM_ROLE_INPUT, BCAM_U8, 1, &bytes);
    int tables = bcam_plan_value(plan, "tables", BCAM_ROLE_INPUT, BCAM_I32, 1, &numbers);
    *frames = bcam_plan_value(plan, "frames", BCAM_ROLE_INPUT, BCAM_I32, 2, frame);
    bcam_step *s = bcam_plan_step(plan, BCAM_VERB_RESIZE, BCAM_SEGMENT_RESIZE, "resize");
    s->in[0] = *photos, s->in[1] = tables, s->in[2] = *frames, s->out[0] = pixels;
    plan->values[pixels].role = BCAM_ROLE_OUTPUT;
    bcam_step last = *s; /* segments come in order */
    memmove(plan->steps + 1, plan->steps, (plan->step_count - 1) * sizeof last);
    plan->steps[0] = last;
}

/* Photos that keep their size, the second one lying first; behind them what must not count. */
static void pack(bcam_program *program, int photos, int frames, int pair, int byte)
{
    uint8_t *to = api->host(program, photos, pair);
    int32_t *frame = api->host(program, frames, pair);
    memset(to, byte, N * 3 * H * W);
    memset(to + N * 3 * H * W, 255, N * 3 * H * W);
    api->used(program, photos, pair, N * 3 * H * W);
    for (int n = 0; n < N; n++, frame += BCAM_FRAME_COUNT) {
        memset(frame, 0, BCAM_FRAME_COUNT * sizeof *frame);
        frame[BCAM_FRAME_PHOTO] = (N - 1 - n) * 3 * H * W;
        frame[BCAM_FRAME_STRIDE] = frame[BCAM_FRAME_W] = W;
        frame[BCAM_FRAME_H] = H;
    }
}

static void check_pixels(bool guard)
{
    const unsigned given = BCAM_SEGMENTS_ALL & ~BCAM_SEGMENT_BIT(BCAM_SEGMENT_RESIZE);
    bcam_plan plan;
    bcam_error err = {0};
    int pixels, photos, frames, x, y;
    bcam_device *device = open_or_skip(BCAM_PRECISION_FP32, guard);
    bcam_program *program = NULL;
    make_plan(&plan, &pixels, &x, &y);
    plan_resize(&plan, pixels, &photos, &frames);
    cr_assert_eq(api->compile(device, &plan, &program, &err), BCAM_OK, "%s", err.message);
    bcam_plan_fini(&plan);
    for (int round = 0; round < 3 * ROUNDS; round++) {
        for (int pair = 0; pair < 2; pair++) {
            bool packed = (round + pair) % 3 != 0;
            if (packed)
                pack(program, photos, frames, pair, 10 * round + pair);
            memset(api->host(program, pixels, pair), packed ? 255 : 10 * round + pair, N * 3 * H * W);
            cr_assert_eq(api->run(program, packed ? BCAM_SEGMENTS_ALL : given, pair, &err), BCAM_OK, "%s", err.message);
        }
        for (int pair = 0; pair < 2; pair++) {
            cr_assert_eq(api->wait(program, pair, &err), BCAM_OK, "%s", err.message);
            expect_mean(program, y, pair, 10 * round + pair);
            const uint8_t *seen = api->host(program, pixels, pair); /* given out where it was made */
            for (int i = 0; i < N * 3 * H * W; i++)
                cr_assert_eq(seen[i], 10 * round + pair, "round %d, pair %d, byte %d: %d", round, pair, i, seen[i]);
        }
    }
    api->destroy(&program);
    api->close(&device);
    expect_nothing_alive();
}

Test(cuda_pairs, pixels_made_or_given)
{
    check_pixels(false);
}

Test(cuda_pairs, pixels_made_or_given_guarded)
{
    check_pixels(true);
}

/* ---- */

Test(cuda_pairs, fp32)
{
    check_pairs(BCAM_PRECISION_FP32, false);
}

Test(cuda_pairs, fp16)
{
    check_pairs(BCAM_PRECISION_FP16, false);
}

Test(cuda_pairs, bf16)
{
    check_pairs(BCAM_PRECISION_BF16, false);
}

Test(cuda_pairs, guarded)
{
    check_pairs(BCAM_PRECISION_DEFAULT, true);
}
