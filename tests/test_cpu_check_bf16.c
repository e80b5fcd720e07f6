/* The CPU device with activations and gradients stored as bfloat16: plain C and what is laid over it against plain C in float. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "check/bind.h"
#include "check_sides.h"

static bcam_check_side open_bf16(bool reference, int threads)
{
    if (!reference && !bcam_cpu_dnnl_bf16())
        cr_skip_test("this processor does not multiply bfloat16");
    bcam_check_side side = check_open(reference, BCAM_PRECISION_BF16, threads);
    side.precision = BCAM_PRECISION_BF16;
    return side;
}

static struct criterion_test_params all_verbs(void)
{
    int *list = cr_malloc(BCAM_VERB_COUNT * sizeof *list);
    for (int v = 0; v < BCAM_VERB_COUNT; v++)
        list[v] = v;
    return cr_make_param_array(int, list, BCAM_VERB_COUNT, NULL);
}

/* Verbs that something else than plain C may do. */
static struct criterion_test_params laid_over(void)
{
    bcam_cpu_verb slots[BCAM_VERB_COUNT] = {0};
    bcam_cpu_overlay_dnnl(slots);
    int *list = cr_malloc(BCAM_VERB_COUNT * sizeof *list);
    size_t count = 0;
    for (int v = 0; v < BCAM_VERB_COUNT; v++)
        if (slots[v].run)
            list[count++] = v;
    return cr_make_param_array(int, list, count, NULL);
}

/* Plain C computes in float and rounds what it stores: nothing else may differ, whatever the number of threads. */
ParameterizedTestParameters(check_bf16, plain_is_float_rounded)
{
    return all_verbs();
}

ParameterizedTest(int *verb, check_bf16, plain_is_float_rounded)
{
    bcam_check_side plain = check_open(true, BCAM_PRECISION_FP32, 1), side = open_bf16(true, 3);
    double worst = check_verb("plain C in bf16", (bcam_verb)*verb, &plain, &side, false);
    cr_expect_eq(worst, 0);
    check_close(&plain);
    check_close(&side);
}

ParameterizedTestParameters(check_bf16, overlay_against_float)
{
    return laid_over();
}

ParameterizedTest(int *verb, check_bf16, overlay_against_float)
{
    bcam_check_side plain = check_open(true, BCAM_PRECISION_FP32, 2), side = open_bf16(false, 2);
    check_verb("cpu in bf16", (bcam_verb)*verb, &plain, &side, false);
    check_close(&plain);
    check_close(&side);
}

ParameterizedTestParameters(check_bf16, overlay_any_threads)
{
    return laid_over();
}

ParameterizedTest(int *verb, check_bf16, overlay_any_threads)
{
    bcam_check_side one = open_bf16(false, 1), three = open_bf16(false, 3);
    check_verb("1 thread against 3", (bcam_verb)*verb, &one, &three, true);
    check_close(&one);
    check_close(&three);
}

/* Pictures are stored in two bytes, and everything else in four: that is what the checks above are about. */
Test(check_bf16, what_is_short)
{
    static const int64_t picture[4] = {3, 4, 5, 8}, list[3] = {3, 4, 40};
    bcam_check_side wide = check_open(true, BCAM_PRECISION_FP32, 1), side = open_bf16(true, 1);
    for (int rank = 3; rank <= 4; rank++) {
        const float x[480] = {1.00390625f, -3.0234375f}; /* ties, which go to even: the first down, the second up */
        float y[480];
        size_t bytes[2];
        for (int s = 0; s < 2; s++) {
            const bcam_check_side *on = s ? &side : &wide;
            bcam_plan plan;
            bcam_program *program = NULL;
            bcam_error err = {0};
            bcam_plan_init(&plan, 3, 1);
            int in = bcam_plan_value(&plan, "x", BCAM_ROLE_INPUT, BCAM_F32, rank, rank == 4 ? picture : list);
            int out = bcam_plan_value(&plan, "y", BCAM_ROLE_OUTPUT, BCAM_F32, rank, rank == 4 ? picture : list);
            bcam_step *step = bcam_plan_step(&plan, BCAM_VERB_UNARY, BCAM_SEGMENT_FORWARD, "neg");
            step->u.unary.kind = BCAM_UNARY_NEG;
            step->in[0] = in;
            step->out[0] = out;
            cr_assert_eq(on->api->compile(on->device, &plan, &program, &err), BCAM_OK, "%s", err.message);
            bytes[s] = on->api->bytes(program);
            cr_assert_eq(on->api->write(program, in, BCAM_F32, x, &err), BCAM_OK, "%s", err.message);
            cr_assert_eq(on->api->run(program, BCAM_SEGMENTS_ALL, 0, &err), BCAM_OK, "%s", err.message);
            cr_assert_eq(on->api->read(program, out, BCAM_F32, y, &err), BCAM_OK, "%s", err.message);
            cr_expect_str_eq(on->api->algorithm(program, 0), s && rank == 4 ? "plain, widened" : "plain");
            cr_expect_eq(on->api->host(program, in, 0) != NULL, rank == 3);
            on->api->destroy(&program);
            bcam_plan_fini(&plan);
        }
        cr_expect_eq(y[0], rank == 4 ? -1.0f : -x[0]);
        cr_expect_eq(y[1], rank == 4 ? 3.03125f : -x[1]);
        if (rank == 3)
            cr_expect_eq(bytes[1], bytes[0]);
    }
    check_close(&wide);
    check_close(&side);
}

/* An epilogue over bfloat16 in place: each element as if it were alone. */
Test(check_bf16, epilogue_in_place)
{
    enum { COUNT = 3 * 4567 };
    uint16_t y[COUNT], before[COUNT];
    uint64_t state = new_seed();
    printf("BCAM_SEED=%llu\n", (unsigned long long)state);
    for (int i = 0; i < COUNT; i++)
        before[i] = y[i] = bcam_f32_to_bf16((float)(bcam_random_unit(&state) * 12 - 6));
    bcam_step step = {.name = "relu6", .verb = BCAM_VERB_UNARY, .u.unary = {BCAM_UNARY_CLIP, 0, 2.71f}};
    bcam_cpu_call call = {.step = &step, .plain = bcam_cpu_plain_f32, .threads = 3};
    call.out[0] =
        (bcam_tensor){.data = y, .dtype = BCAM_BF16, .rank = 2, .dim = {3, COUNT / 3}, .stride = {COUNT / 3, 1}};
    cr_assert_eq(bcam_cpu_apply(&call, &step, NULL), BCAM_OK);
    for (int i = 0; i < COUNT; i++) {
        float x = bcam_bf16_to_f32(before[i]), want = x < 0 ? 0 : x > 2.71f ? 2.71f : x;
        cr_assert_eq(y[i], bcam_f32_to_bf16(want), "%d: %g", i, (double)x);
    }
}
