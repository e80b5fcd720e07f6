/* The CPU device: opening, memory, aliases, runs by segment and by k, the guard, reading and writing. */
#include <sched.h>

#include "cpu_plan.h"

/* x (2,3,4,5) through `count` exponentials-like steps; returns the output. */
static int chain(bcam_plan *plan, int count)
{
    int at = INPUT(plan, "x", 2, 3, 4, 5);
    for (int i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "v%d", i);
        int next = i == count - 1 ? OUTPUT(plan, "y", 2, 3, 4, 5) : WORK(plan, name, 2, 3, 4, 5);
        plan_unary(plan, name, i % 2 ? BCAM_UNARY_NEG : BCAM_UNARY_TANH, at, next);
        at = next;
    }
    return at;
}

Test(cpu_program, options_that_will_not_do)
{
    bcam_error err = {0};
    bcam_device *device = NULL;
    cr_expect_eq(api->open(&(bcam_device_options){.index = 1}, &device, &err), BCAM_E_ARGUMENT);
    cr_expect_null(device);
    cr_expect_eq(api->open(&(bcam_device_options){.threads = -1}, &device, &err), BCAM_E_ARGUMENT);
    cr_expect_eq(api->open(&(bcam_device_options){.precision = 77}, &device, &err), BCAM_E_UNSUPPORTED);
    cr_expect_eq(api->probe(NULL), BCAM_OK);
    api->close(&device);
}

Test(cpu_program, says_what_it_is)
{
    bcam_device *plain = open_plain(BCAM_PRECISION_FP32), *twice = open_plain(BCAM_PRECISION_FP64);
    bcam_device *fast = open_with((bcam_device_options){.threads = 1});
    cr_expect_str_eq(api->describe(plain), "cpu (plain C, 2 threads)");
    cr_expect_str_eq(api->describe(twice), "cpu (plain C in double, 2 threads)");
    cr_expect(strstr(api->describe(fast), "oneDNN") && strstr(api->describe(fast), "1 thread)"), "%s",
              api->describe(fast));
    api->close(&plain);
    api->close(&twice);
    api->close(&fast);
    cr_expect_null(fast);
}

/* As many threads as this process may use processors. */
Test(cpu_program, threads_of_the_machine)
{
    cpu_set_t mine, one;
    char text[32];
    cr_assert_eq(sched_getaffinity(0, sizeof mine, &mine), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &mine))
            CPU_SET(cpu, &one);
    for (int pinned = 0; pinned < 2; pinned++) {
        int count = pinned ? 1 : CPU_COUNT(&mine);
        cr_assert_eq(sched_setaffinity(0, sizeof mine, pinned ? &one : &mine), 0);
        snprintf(text, sizeof text, ", %d thread%s)", count, count == 1 ? "" : "s");
        bcam_device *device = open_with((bcam_device_options){0});
        cr_expect(strstr(api->describe(device), text), "%s with %d", api->describe(device), count);
        api->close(&device);
    }
}

Test(cpu_program, memory_is_used_again)
{
    bcam_plan plan;
    bcam_plan_init(&plan, 2, 1);
    chain(&plan, 12);
    bcam_device *device = open_with((bcam_device_options){.reference = true, .threads = 1});
    bcam_program *program = compile(device, &plan);
    /* 13 values of 480 bytes, each rounded up to 512: input and output are kept, two more take turns. */
    cr_expect_leq(api->bytes(program), 4 * 512);
    api->destroy(&program);
    cr_expect_null(program);
    api->close(&device);
    bcam_plan_fini(&plan);
}

Test(cpu_program, runs_allocate_nothing_and_the_plan_may_go)
{
    double x[120], y[120], want[120];
    uint64_t seed = 7;
    fill_random(x, 120, &seed);
    for (int i = 0; i < 120; i++)
        want[i] = tanh(-tanh(x[i]));
    bcam_plan plan;
    bcam_plan_init(&plan, 2, 1);
    int output = chain(&plan, 3);
    bcam_device *device = open_plain(BCAM_PRECISION_FP64);
    bcam_program *program = compile(device, &plan);
    bcam_plan_fini(&plan);
    put(program, 0, BCAM_F64, x);
    int64_t calls = bcam_alloc_calls();
    run_all(program);
    run_all(program);
    cr_expect_eq(bcam_alloc_calls(), calls);
    get(program, output, BCAM_F64, y);
    expect_numbers("y", y, want, 120, 1e-15);
    api->destroy(&program);
    api->close(&device);
    cr_expect_eq(bcam_alloc_live(), 0);
}

/* Every allocation of opening and compiling fails once: an error each time, and nothing left behind. */
Test(cpu_program, failing_allocations)
{
    bcam_plan plan;
    float weights[3 * 3 * 1 * 1] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    bcam_plan_init(&plan, 2, 1);
    int at = chain(&plan, 3), y = OUTPUT(&plan, "z", 2, 3, 4, 5);
    bcam_step *conv = plan_step(&plan, BCAM_VERB_CONV, "conv", at, CONSTANT(&plan, "w", weights, 3, 3, 1, 1), -1, y);
    conv->u.conv = (bcam_conv_attr){.stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
    int64_t before = bcam_alloc_live();
    for (int reference = 0; reference < 2; reference++)
        for (int64_t nth = 1;; nth++) {
            cr_assert_lt(nth, 200);
            bcam_device_options options = {.reference = reference, .threads = 1};
            bcam_device *device = NULL;
            bcam_program *program = NULL;
            bcam_error err = {0};
            bcam_alloc_fail_at(nth, false);
            bcam_status status = api->open(&options, &device, &err);
            if (!status)
                status = api->compile(device, &plan, &program, &err);
            bcam_alloc_fail_at(0, false);
            cr_expect(status == BCAM_OK || status == BCAM_E_MEMORY, "allocation %d: %s", (int)nth, err.message);
            cr_expect_eq(program != NULL, status == BCAM_OK);
            api->destroy(&program);
            api->close(&device);
            cr_expect_eq(bcam_alloc_live(), before, "allocation %d leaves something behind", (int)nth);
            if (status == BCAM_OK)
                break;
        }
    bcam_plan_fini(&plan);
}

/* ---- aliases ---- */

static void check_alias(const char *what, bcam_plan *plan, size_t step, bool want, int input, int output,
                        const double *expected)
{
    size_t count = (size_t)bcam_count(plan->values[input].rank, plan->values[input].dim);
    double x[256], y[256];
    for (size_t i = 0; i < count; i++)
        x[i] = (double)i;
    bcam_device *device = open_plain(BCAM_PRECISION_FP32);
    bcam_program *program = compile(device, plan);
    cr_expect_eq(strcmp(api->algorithm(program, step), "alias") == 0, want, "%s: '%s'", what,
                 api->algorithm(program, step));
    put(program, input, BCAM_F64, x);
    run_all(program);
    get(program, output, BCAM_F64, y);
    expect_numbers(what, y, expected ? expected : x, count, 0);
    api->destroy(&program);
    api->close(&device);
    bcam_plan_fini(plan);
}

/* neg, reshape, neg: the numbers come back whatever the layouts are. */
static void check_reshape(const char *what, bool want, int from_rank, const int64_t *from, int to_rank,
                          const int64_t *to)
{
    bcam_plan plan;
    bcam_plan_init(&plan, 2, 1);
    int x = plan_value(&plan, "x", BCAM_ROLE_INPUT, BCAM_F32, from_rank, from);
    int a = plan_value(&plan, "a", BCAM_ROLE_WORK, BCAM_F32, from_rank, from);
    int b = plan_value(&plan, "b", BCAM_ROLE_WORK, BCAM_F32, to_rank, to);
    int y = plan_value(&plan, "y", BCAM_ROLE_OUTPUT, BCAM_F32, to_rank, to);
    plan_unary(&plan, "first", BCAM_UNARY_NEG, x, a);
    plan_reshape(&plan, "reshape", a, b);
    plan_unary(&plan, "last", BCAM_UNARY_NEG, b, y);
    check_alias(what, &plan, 1, want, x, y, NULL);
}

Test(cpu_program, reshapes_that_move_nothing)
{
    check_reshape("flatten of one pixel", true, 4, DIMS(2, 6, 1, 1), 2, DIMS(2, 6));
    check_reshape("unflatten to one pixel", true, 2, DIMS(2, 6), 4, DIMS(2, 6, 1, 1));
    check_reshape("flatten of a map", false, 4, DIMS(2, 3, 2, 2), 2, DIMS(2, 12));
    check_reshape("one channel", true, 4, DIMS(2, 1, 3, 2), 1, DIMS(12));
    check_reshape("row-major to row-major", true, 2, DIMS(2, 6), 1, DIMS(12));
    check_reshape("a map to rank 5", false, 4, DIMS(2, 3, 2, 2), 5, DIMS(2, 3, 2, 1, 2));
}

/* An alias that lives longer than what it shares memory with. */
Test(cpu_program, alias_keeps_the_memory)
{
    bcam_plan plan;
    bcam_plan_init(&plan, 2, 1);
    int x = INPUT(&plan, "x", 2, 6), a = WORK(&plan, "a", 2, 6), b = WORK(&plan, "b", 12), at = b;
    plan_unary(&plan, "first", BCAM_UNARY_NEG, x, a);
    plan_reshape(&plan, "reshape", a, b);
    for (int i = 0; i < 4; i++) { /* these must not take a's memory */
        int next = WORK(&plan, "c", 12);
        plan_unary(&plan, "busy", BCAM_UNARY_NEG, at, next);
        at = next;
    }
    int y = OUTPUT(&plan, "y", 12);
    plan_step(&plan, BCAM_VERB_BINARY, "difference", at, b, -1, y)->u.binary.kind = BCAM_BINARY_MUL;
    double want[12];
    for (int i = 0; i < 12; i++)
        want[i] = (double)i * i;
    check_alias("product", &plan, 1, true, x, y, want);
}

/* Two parts written into one tensor; the second is the last writer, not the only one. */
Test(cpu_program, a_part_is_no_alias)
{
    bcam_plan plan;
    bcam_plan_init(&plan, 1, 1);
    int x = INPUT(&plan, "x", 2, 3), y = OUTPUT(&plan, "y", 4, 3);
    for (int part = 0; part < 2; part++)
        plan_step(&plan, BCAM_VERB_COPY, "part", x, -1, -1, y)->u.copy =
            (bcam_copy_attr){.extent = {2, 3}, .to = {2 * part, 0}, .axis = {0, 1}, .step = {1, 1}};
    bcam_device *device = open_plain(BCAM_PRECISION_FP32);
    double in[6] = {1, 2, 3, 4, 5, 6}, out[12], want[12] = {1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6};
    compute(device, &plan, x, in, y, out);
    expect_numbers("y", out, want, 12, 0);
    api->close(&device);
    bcam_plan_fini(&plan);
}

/* A network in (N,H,W,C): the transposition to (N,C,H,W) moves nothing, nor does the one back, there or backwards. */
Test(cpu_program, channels_last_networks)
{
    static const bcam_copy_attr to_nchw = {.extent = {2, 5, 3, 4}, .axis = {0, 3, 1, 2}, .step = {1, 1, 1, 1}};
    static const bcam_copy_attr to_nhwc = {.extent = {2, 3, 4, 5}, .axis = {0, 2, 3, 1}, .step = {1, 1, 1, 1}};
    bcam_plan plan;
    bcam_plan_init(&plan, 2, 1);
    int x = INPUT(&plan, "x", 2, 3, 4, 5), a = WORK(&plan, "a", 2, 5, 3, 4), b = WORK(&plan, "b", 2, 5, 3, 4);
    int c = WORK(&plan, "c", 2, 3, 4, 5), d = WORK(&plan, "d", 2, 3, 4, 5), y = OUTPUT(&plan, "y", 2, 5, 3, 4);
    plan_step(&plan, BCAM_VERB_COPY, "in", x, -1, -1, a)->u.copy = to_nchw;
    plan_unary(&plan, "neg", BCAM_UNARY_NEG, a, b);
    plan_step(&plan, BCAM_VERB_COPY, "back", b, -1, -1, c)->u.copy = to_nhwc;
    plan_unary(&plan, "neg", BCAM_UNARY_NEG, c, d);
    plan_step(&plan, BCAM_VERB_COPY_BWD, "gradient", d, -1, -1, y)->u.copy = to_nhwc; /* (N,C,H,W) from (N,H,W,C) */
    bcam_device *device = open_plain(BCAM_PRECISION_FP32);
    bcam_program *program = compile(device, &plan);
    double in[120], out[120], want[120];
    for (int i = 0; i < 120; i++) {
        in[i] = i;
        int n = i / 60, ch = i / 12 % 5, pixel = i % 12;
        want[i] = n * 60 + pixel * 5 + ch;
    }
    put(program, x, BCAM_F64, in);
    run_all(program);
    get(program, y, BCAM_F64, out);
    expect_numbers("y", out, want, 120, 0);
    for (size_t s = 0; s < 5; s += 2)
        cr_expect_str_eq(api->algorithm(program, s), "alias", "step %zu", s);
    api->destroy(&program);
    api->close(&device);
    bcam_plan_fini(&plan);
}

/* ---- k and segments ---- */

/* dy (K*N,2) beside x (N,2): the step runs once for each k. */
Test(cpu_program, each_k)
{
    bcam_plan plan;
    bcam_plan_init(&plan, 2, 3);
    int dy = INPUT(&plan, "dy", 6, 2), x = INPUT(&plan, "x", 2, 2), dx = OUTPUT(&plan, "dx", 6, 2);
    plan.values[dy].each_k = plan.values[dx].each_k = true;
    bcam_step *step = plan_step(&plan, BCAM_VERB_BINARY_BWD, "mul", dy, -1, x, dx);
    step->each_k = true;
    step->u.binary.kind = BCAM_BINARY_MUL;
    bcam_device *device = open_plain(BCAM_PRECISION_FP32);
    bcam_program *program = compile(device, &plan);
    double g[12], b[4] = {1, 10, 100, 1000}, out[12], want[12];
    for (int i = 0; i < 12; i++) {
        g[i] = i + 1;
        want[i] = g[i] * b[i % 4];
    }
    put(program, dy, BCAM_F64, g);
    put(program, x, BCAM_F64, b);
    run_all(program);
    get(program, dx, BCAM_F64, out);
    expect_numbers("dx", out, want, 12, 0);
    api->destroy(&program);
    api->close(&device);
    bcam_plan_fini(&plan);
}

/* One FORWARD, then BACKWARD twice: what FORWARD left must still be there after the first. */
Test(cpu_program, segments_run_again)
{
    bcam_plan plan;
    bcam_plan_init(&plan, 1, 1);
    int x = INPUT(&plan, "x", 64), a = WORK(&plan, "a", 64), g = INPUT(&plan, "g", 64), at = -1;
    plan_unary(&plan, "forward", BCAM_UNARY_NEG, x, a);
    bcam_step *first = plan_step(&plan, BCAM_VERB_BINARY, "first", a, g, -1, at = WORK(&plan, "b", 64));
    first->u.binary.kind = BCAM_BINARY_ADD;
    first->segment = BCAM_SEGMENT_BACKWARD;
    for (int i = 0; i < 4; i++) {
        int next = i == 3 ? OUTPUT(&plan, "y", 64) : WORK(&plan, "c", 64);
        plan_unary(&plan, "busy", BCAM_UNARY_NEG, at, next);
        plan.steps[plan.step_count - 1].segment = BCAM_SEGMENT_BACKWARD;
        at = next;
    }
    bcam_device *device = open_plain(BCAM_PRECISION_FP32);
    bcam_program *program = compile(device, &plan);
    bcam_error err = {0};
    double in[64], out[64], want[64];
    for (int i = 0; i < 64; i++)
        in[i] = i;
    put(program, x, BCAM_F64, in);
    cr_assert_eq(api->run(program, BCAM_SEGMENT_BIT(BCAM_SEGMENT_FORWARD), 0, &err), BCAM_OK, "%s", err.message);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 64; i++) {
            in[i] = 1000 * round;
            want[i] = 1000 * round - i;
        }
        put(program, g, BCAM_F64, in);
        cr_assert_eq(api->run(program, BCAM_SEGMENT_BIT(BCAM_SEGMENT_BACKWARD), 1, &err), BCAM_OK, "%s", err.message);
        get(program, at, BCAM_F64, out);
        expect_numbers("y", out, want, 64, 0);
    }
    api->destroy(&program);
    api->close(&device);
    bcam_plan_fini(&plan);
}

/* ---- the guard ---- */

static bcam_status writes_behind(const bcam_cpu_call *call, bcam_error *err)
{
    (void)err;
    ((float *)call->out[0].data)[bcam_count(call->out[0].rank, call->out[0].dim)] = 1;
    return BCAM_OK;
}

static bcam_status writes_before(const bcam_cpu_call *call, bcam_error *err)
{
    (void)err;
    ((float *)call->out[0].data)[-1] = 1;
    return BCAM_OK;
}

static bcam_status writes_nothing(const bcam_cpu_call *call, bcam_error *err)
{
    (void)call, (void)err;
    return BCAM_OK;
}

static bcam_status run_planted(bcam_status (*planted)(const bcam_cpu_call *, bcam_error *), double *out,
                               bcam_error *err)
{
    bcam_plan plan;
    bcam_plan_init(&plan, 2, 1);
    int y = chain(&plan, 4);
    plan_step(&plan, BCAM_VERB_SOFTMAX, "the culprit", plan.steps[2].out[0], -1, -1, OUTPUT(&plan, "z", 2, 3, 4, 5));
    (void)y;
    bcam_device *device = open_plain(BCAM_PRECISION_FP32);
    bcam_cpu_slots(device)[BCAM_VERB_SOFTMAX] = (bcam_cpu_verb){.run = planted};
    bcam_program *program = compile(device, &plan);
    bcam_status status = api->run(program, BCAM_SEGMENTS_ALL, 0, err);
    get(program, (int)plan.value_count - 1, BCAM_F64, out);
    api->destroy(&program);
    api->close(&device);
    bcam_plan_fini(&plan);
    return status;
}

Test(cpu_program, guard_names_the_step)
{
    double out[120];
    bcam_error err = {0};
    cr_expect_eq(run_planted(writes_behind, out, &err), BCAM_E_INTERNAL);
    cr_expect(strstr(err.message, "'the culprit'") && strstr(err.message, "behind 'z'"), "%s", err.message);
    cr_expect_eq(run_planted(writes_before, out, &err), BCAM_E_INTERNAL);
    cr_expect(strstr(err.message, "'the culprit'") && strstr(err.message, "before 'z'"), "%s", err.message);
    cr_expect_eq(run_planted(writes_nothing, out, &err), BCAM_OK);
    for (int i = 0; i < 120; i++)
        cr_expect(isnan(out[i]), "what no step wrote is not NaN");
}

/* ---- slots ---- */

static bcam_status declines(bcam_cpu_call *call, bcam_error *err)
{
    return bcam_fail(err, BCAM_E_UNSUPPORTED, "not '%s'", call->step->name);
}

static bcam_status breaks(bcam_cpu_call *call, bcam_error *err)
{
    return bcam_fail(err, BCAM_E_DEVICE, "'%s' broke", call->step->name);
}

Test(cpu_program, a_slot_may_decline)
{
    bcam_plan plan;
    bcam_plan_init(&plan, 2, 1);
    int y = chain(&plan, 1);
    bcam_device *device = open_plain(BCAM_PRECISION_FP32);
    double x[120] = {0.5}, out[120];
    bcam_cpu_slots(device)[BCAM_VERB_UNARY] = (bcam_cpu_verb){.prepare = declines, .run = writes_nothing};
    compute(device, &plan, 0, x, y, out);
    cr_expect_float_eq(out[0], tanh(0.5), 1e-7);
    bcam_cpu_slots(device)[BCAM_VERB_UNARY].prepare = breaks;
    bcam_program *program = NULL;
    bcam_error err = {0};
    cr_expect_eq(api->compile(device, &plan, &program, &err), BCAM_E_DEVICE);
    cr_expect_str_eq(err.message, "'v0' broke");
    cr_expect_null(program);
    api->close(&device);
    bcam_plan_fini(&plan);
}

static bcam_status packs(bcam_cpu_call *call, bcam_error *err)
{
    (void)err;
    call->state = bcam_alloc(1, sizeof(float));
    *(float *)call->state = *(const float *)call->in[1].data;
    call->state_bytes = sizeof(float);
    return BCAM_OK;
}

static bcam_status shows_packed(const bcam_cpu_call *call, bcam_error *err)
{
    (void)err;
    *(float *)call->out[0].data = *(const float *)call->state;
    return BCAM_OK;
}

static void frees(bcam_cpu_call *call)
{
    bcam_free(call->state);
}

/* A constant that is written later reaches a slot that keeps a copy. */
Test(cpu_program, constants_may_be_written)
{
    float w = 3, x = 0, y = 0;
    bcam_plan plan;
    bcam_plan_init(&plan, 1, 1);
    int in = INPUT(&plan, "x", 1, 1), weights = CONSTANT(&plan, "w", &w, 1, 1), out = OUTPUT(&plan, "y", 1, 1);
    plan_step(&plan, BCAM_VERB_GEMM, "gemm", in, weights, -1, out);
    bcam_device *device = open_plain(BCAM_PRECISION_FP32);
    bcam_cpu_slots(device)[BCAM_VERB_GEMM] = (bcam_cpu_verb){.prepare = packs, .run = shows_packed, .release = frees};
    bcam_program *program = compile(device, &plan);
    put(program, in, BCAM_F32, &x);
    run_all(program);
    get(program, out, BCAM_F32, &y);
    cr_expect_eq(y, 3);
    w = 5;
    put(program, weights, BCAM_F32, &w);
    run_all(program);
    get(program, out, BCAM_F32, &y);
    cr_expect_eq(y, 5);
    api->destroy(&program);
    api->close(&device);
    bcam_plan_fini(&plan);
    cr_expect_eq(bcam_alloc_live(), 0);
}

/* ---- host memory, reading, writing ---- */

Test(cpu_program, host_memory)
{
    bcam_plan plan;
    bcam_plan_init(&plan, 2, 1);
    int pixels = plan_value(&plan, "pixels", BCAM_ROLE_INPUT, BCAM_U8, 4, DIMS(2, 3, 4, 5));
    float lut[3 * 256];
    for (int i = 0; i < 3 * 256; i++)
        lut[i] = (float)i;
    int table = CONSTANT(&plan, "lut", lut, 3, 256), x = OUTPUT(&plan, "x", 2, 3, 4, 5),
        flat = OUTPUT(&plan, "flat", 2, 60);
    plan_step(&plan, BCAM_VERB_PREP, "prep", pixels, table, -1, x)->u.prep = (bcam_prep_attr){.channel = {2, 1, 0}};
    plan_reshape(&plan, "flatten", x, flat);
    bcam_device *device = open_plain(BCAM_PRECISION_FP32), *twice = open_plain(BCAM_PRECISION_FP64);
    bcam_program *program = compile(device, &plan), *exact = compile(twice, &plan);
    uint8_t *bytes = api->host(program, pixels, 0);
    cr_assert_not_null(bytes);
    cr_expect_eq(api->host(program, pixels, 1), bytes);
    cr_expect_null(api->host(program, x, 0), "channels-last is not for the host");
    cr_expect_null(api->host(program, table, 0));
    cr_expect_null(api->host(program, 99, 0));
    cr_expect_null(api->host(exact, flat, 0), "double is not for the host");
    for (int i = 0; i < 120; i++)
        bytes[i] = (uint8_t)(2 * i);
    run_all(program);
    const float *y = api->host(program, flat, 0);
    cr_assert_not_null(y);
    for (int i = 0; i < 120; i++) {
        int n = i / 60, c = i / 20 % 3, pixel = i % 20;
        cr_expect_eq(y[i], (float)(c * 256 + 2 * (n * 60 + pixel * 3 + 2 - c)));
    }
    api->destroy(&program);
    api->destroy(&exact);
    api->close(&device);
    api->close(&twice);
    bcam_plan_fini(&plan);
}

Test(cpu_program, access_that_will_not_do)
{
    bcam_plan plan;
    bcam_plan_init(&plan, 2, 1);
    chain(&plan, 2);
    int unused = CONSTANT(&plan, "unused", NULL, 3);
    bcam_device *device = open_plain(BCAM_PRECISION_FP32);
    bcam_program *program = compile(device, &plan);
    bcam_error err = {0};
    double out[120];
    cr_expect_eq(api->read(program, 1, BCAM_F64, out, &err), BCAM_E_ARGUMENT);
    cr_expect(strstr(err.message, "'v0'") != NULL, "%s", err.message);
    cr_expect_eq(api->read(program, 99, BCAM_F64, out, &err), BCAM_E_ARGUMENT);
    cr_expect_eq(api->read(program, -1, BCAM_F64, out, &err), BCAM_E_ARGUMENT);
    cr_expect_eq(api->read(program, 0, BCAM_I32, out, &err), BCAM_E_ARGUMENT);
    cr_expect_eq(api->write(program, unused, BCAM_F32, out, &err), BCAM_E_ARGUMENT);
    cr_expect(strstr(err.message, "'unused'") != NULL, "%s", err.message);
    api->destroy(&program);
    api->close(&device);
    bcam_plan_fini(&plan);
}

/* ---- steps and plans that will not do ---- */

static void expect_refused(bcam_plan *plan, bcam_status status, const char *says)
{
    bcam_device *device = open_plain(BCAM_PRECISION_FP32);
    bcam_program *program = NULL;
    bcam_error err = {0};
    cr_expect_eq(api->compile(device, plan, &program, &err), status, "%s: %s", says, err.message);
    cr_expect(strstr(err.message, says) != NULL, "'%s' does not say '%s'", err.message, says);
    cr_expect_null(program);
    api->close(&device);
    bcam_plan_fini(plan);
}

Test(cpu_program, refusals_name_the_step)
{
    bcam_plan plan;
    bcam_plan_init(&plan, 2, 1);
    plan_unary(&plan, "act1", BCAM_UNARY_RELU, INPUT(&plan, "x", 2, 3), OUTPUT(&plan, "y", 2, 4));
    expect_refused(&plan, BCAM_E_UNSUPPORTED, "step 'act1' (");

    bcam_plan_init(&plan, 2, 1);
    int x = INPUT(&plan, "x", 2, 3, 9, 9), w = CONSTANT(&plan, "w", NULL, 4, 2, 3, 3),
        y = OUTPUT(&plan, "y", 2, 4, 7, 7);
    plan_step(&plan, BCAM_VERB_CONV, "conv1", x, w, -1, y)->u.conv =
        (bcam_conv_attr){.stride = {1, 1}, .dilation = {1, 1}, .groups = 2};
    expect_refused(&plan, BCAM_E_UNSUPPORTED, "do not fit 3 channels");

    bcam_plan_init(&plan, 2, 1);
    plan_step(&plan, BCAM_VERB_GEMM, "fc", INPUT(&plan, "x", 2, 3), -1, -1, OUTPUT(&plan, "y", 2, 4));
    expect_refused(&plan, BCAM_E_UNSUPPORTED, "input 1 is missing");

    bcam_plan_init(&plan, 2, 1);
    plan_unary(&plan, "early", BCAM_UNARY_NEG, WORK(&plan, "nowhere", 2, 3), OUTPUT(&plan, "y", 2, 3));
    expect_refused(&plan, BCAM_E_INTERNAL, "'nowhere' is read by step 'early' before");

    bcam_plan_init(&plan, 2, 1);
    plan_unary(&plan, "huge", BCAM_UNARY_NEG, INPUT(&plan, "x", INT64_MAX / 2), OUTPUT(&plan, "y", INT64_MAX / 2));
    expect_refused(&plan, BCAM_E_MEMORY, "too large");
}
