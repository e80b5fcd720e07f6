/* The CPU device as it is used, oneDNN laid over plain C: against plain C, and against itself with another number of
 * threads. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include <math.h>

#include "check/bind.h"
#include "check_sides.h"

static struct criterion_test_params verbs(void)
{
    int *list = cr_malloc(BCAM_VERB_COUNT * sizeof *list);
    for (int v = 0; v < BCAM_VERB_COUNT; v++)
        list[v] = v;
    return cr_make_param_array(int, list, BCAM_VERB_COUNT, NULL);
}

ParameterizedTestParameters(check_overlay, against_plain)
{
    return verbs();
}

ParameterizedTest(int *verb, check_overlay, against_plain)
{
    bcam_check_side plain = check_open(true, BCAM_PRECISION_FP32, 2),
                    side = check_open(false, BCAM_PRECISION_DEFAULT, 2);
    check_verb("cpu against plain C", (bcam_verb)*verb, &plain, &side, false);
    check_close(&plain);
    check_close(&side);
}

ParameterizedTestParameters(check_overlay, any_threads)
{
    return verbs();
}

ParameterizedTest(int *verb, check_overlay, any_threads)
{
    bcam_check_side one = check_open(false, BCAM_PRECISION_DEFAULT, 1),
                    three = check_open(false, BCAM_PRECISION_DEFAULT, 3);
    check_verb("1 thread against 3", (bcam_verb)*verb, &one, &three, true);
    check_close(&one);
    check_close(&three);
}

/* oneDNN must really be doing the verbs that it is there for. */
Test(check_overlay, is_in_use)
{
    bcam_check_side side = check_open(false, BCAM_PRECISION_DEFAULT, 2);
    static const bcam_verb verbs_of_dnnl[] = {BCAM_VERB_CONV, BCAM_VERB_CONV_BWD, BCAM_VERB_GEMM, BCAM_VERB_GEMM_BWD};
    for (size_t i = 0; i < BCAM_COUNT(verbs_of_dnnl); i++)
        cr_expect(bcam_cpu_slots(side.device)[verbs_of_dnnl[i]].run != NULL, "%s is plain",
                  bcam_verb_name(verbs_of_dnnl[i]));
    check_close(&side);
}

/* Two convolutions of one channel, each with a ReLU; `first` is the weight of the first one. Returns what comes out for
 * an input of 2. */
static float two_relus(const bcam_check_side *side, float first)
{
    static const int64_t pixel[4] = {1, 1, 1, 1};
    const float second = 3, x = 2;
    bcam_plan plan;
    bcam_program *program = NULL;
    bcam_error err = {0};
    float y = -1;
    bcam_plan_init(&plan, 1, 1);
    int at = bcam_plan_value(&plan, "x", BCAM_ROLE_INPUT, BCAM_F32, 4, pixel), input = at;
    for (int i = 0; i < 2; i++) {
        int w = bcam_plan_const_f32(&plan, "w", 4, pixel, i ? &second : &first, NULL);
        int out = bcam_plan_value(&plan, "y", i ? BCAM_ROLE_OUTPUT : BCAM_ROLE_WORK, BCAM_F32, 4, pixel);
        bcam_step *step = bcam_plan_step(&plan, BCAM_VERB_CONV, BCAM_SEGMENT_FORWARD, "conv");
        step->u.conv = (bcam_conv_attr){.stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
        step->act.kind = BCAM_UNARY_RELU;
        step->in[0] = at;
        step->in[1] = w;
        step->out[0] = at = out;
    }
    cr_assert_eq(side->api->compile(side->device, &plan, &program, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(side->api->write(program, input, BCAM_F32, &x, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(side->api->run(program, BCAM_SEGMENTS_ALL, 0, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(side->api->read(program, at, BCAM_F32, &y, &err), BCAM_OK, "%s", err.message);
    side->api->destroy(&program);
    bcam_plan_fini(&plan);
    return y;
}

/* A broken weight must show in the maps, not end as zero in the next ReLU. */
Test(check_overlay, nan_weights_show)
{
    bcam_check_side plain = check_open(true, BCAM_PRECISION_FP32, 1),
                    side = check_open(false, BCAM_PRECISION_DEFAULT, 1);
    cr_expect_eq(two_relus(&side, 0.5f), 3);
    cr_expect(isnan(two_relus(&plain, NAN)));
    cr_expect(isnan(two_relus(&side, NAN)));
    check_close(&plain);
    check_close(&side);
}

/* A constant that is written later must reach the weights that oneDNN keeps in an order of its own. */
Test(check_overlay, constants_can_change)
{
    static const bcam_verb products[] = {BCAM_VERB_CONV, BCAM_VERB_GEMM};
    bcam_check_side side = check_open(false, BCAM_PRECISION_DEFAULT, 2);
    for (size_t v = 0; v < BCAM_COUNT(products); v++) {
        bcam_check_case c;
        bcam_check_data data;
        bcam_check_bound bound;
        bcam_error err = {0};
        bcam_check_case_get(products[v], 3, &c); /* 128 channels and a bias */
        cr_assert_eq(bcam_check_data_init(&c, &data, &err), BCAM_OK);
        cr_assert_eq(bcam_check_fill_data(&c, BCAM_FILL_RANDOM, &side, new_seed(), &data, &err), BCAM_OK);
        cr_assert_eq(bcam_check_bind(&c, &side, &data, &bound, &err), BCAM_OK, "%s", err.message);
        double *zeros = calloc((size_t)bcam_check_count(&c.in[1], c.batch, c.k), sizeof *zeros);
        cr_assert_eq(side.api->write(bound.program, bound.in[1], BCAM_F64, zeros, &err), BCAM_OK, "%s", err.message);
        cr_assert_eq(bcam_check_compute(&bound, &data, &err), BCAM_OK, "%s", err.message);
        for (int64_t i = 0; i < bcam_check_count(&c.out[0], c.batch, c.k); i++) {
            int64_t plane = bcam_count(c.out[0].rank - 1, c.out[0].dim + 1);
            cr_assert_eq(data.out[0][i], data.in[2][i / plane % c.out[0].dim[0]], "%s: only the bias is left", c.name);
        }
        free(zeros);
        bcam_check_unbind(&bound);
        bcam_check_data_fini(&data);
    }
    check_close(&side);
}

/* Every allocation of a compile fails once: a clean error, nothing left behind. */
Test(check_overlay, memory_runs_out)
{
    static const bcam_verb products[] = {BCAM_VERB_CONV, BCAM_VERB_CONV_BWD, BCAM_VERB_GEMM, BCAM_VERB_GEMM_BWD};
    bcam_check_side side = check_open(false, BCAM_PRECISION_DEFAULT, 2);
    for (size_t v = 0; v < BCAM_COUNT(products); v++) {
        bcam_check_case c;
        bcam_check_data data;
        bcam_check_bound bound;
        bcam_error err = {0};
        bcam_check_case_get(products[v], 3, &c);
        cr_assert_eq(bcam_check_data_init(&c, &data, &err), BCAM_OK);
        cr_assert_eq(bcam_check_fill_data(&c, BCAM_FILL_RANDOM, &side, 1, &data, &err), BCAM_OK);
        int64_t live = bcam_alloc_live(), nth = 0;
        bcam_status status = BCAM_E_MEMORY;
        while (status == BCAM_E_MEMORY) {
            bcam_alloc_fail_at(++nth, false);
            status = bcam_check_bind(&c, &side, &data, &bound, &err);
            bcam_alloc_fail_at(0, false);
            bcam_check_unbind(&bound);
            cr_assert_eq(bcam_alloc_live(), live, "%s, allocation %d", c.name, (int)nth);
        }
        cr_expect_eq(status, BCAM_OK, "%s: %s", c.name, err.message);
        cr_expect(nth > 5, "%s: %d", c.name, (int)nth);
        bcam_check_data_fini(&data);
    }
    check_close(&side);
}

static void count_rows(void *data, const bcam_selftest_row *row)
{
    int *counts = data;
    counts[0]++;
    counts[1] += row->cases;
    counts[2] += row->failed + row->refused;
    cr_expect(row->worst <= 1, "%s: %g", row->verb, row->worst);
}

Test(check_overlay, selftest)
{
    bcam_check_side plain = check_open(true, BCAM_PRECISION_FP32, 2),
                    side = check_open(false, BCAM_PRECISION_DEFAULT, 2);
    bcam_error err = {0};
    int counts[3] = {0};
    uint64_t seed = new_seed();
    cr_expect_eq(bcam_check_selftest(&plain, &side, seed, count_rows, counts, &err), BCAM_OK, "BCAM_SEED=%llu: %s",
                 (unsigned long long)seed, err.message);
    cr_expect_eq(counts[0], BCAM_VERB_COUNT);
    cr_expect_eq(counts[2], 0);
    printf("selftest: %d cases of %d verbs\n", counts[1], counts[0]);
    check_close(&plain);
    check_close(&side);
}
