/* Faults planted into a verb, one of each kind that the checks promise to find. A check that cannot fail shows nothing.
 */
#include <string.h>

#include "check_sides.h"

/* Plain C, but for `run`. */
static void plant(bcam_check_side *side, const bcam_cpu_verb *plain, bcam_verb verb,
                  bcam_status (*run)(const bcam_cpu_call *, bcam_error *))
{
    bcam_cpu_slots(side->device)[verb] = plain[verb];
    bcam_cpu_slots(side->device)[verb].run = run;
}

static float *first_output(const bcam_cpu_call *call)
{
    return call->out[0].data;
}

static bcam_status plain_run(const bcam_cpu_call *call, bcam_error *err)
{
    return bcam_cpu_plain_f32[call->step->verb].run(call, err);
}

static bcam_status wrong_in_last(const bcam_cpu_call *call, bcam_error *err)
{
    bcam_status status = plain_run(call, err);
    float *last = first_output(call) + bcam_count(call->out[0].rank, call->out[0].dim) - 1;
    *last += 1e-2f * (1 + *last * *last);
    return status;
}

static bcam_status swallows_nan(const bcam_cpu_call *call, bcam_error *err)
{
    bcam_status status = plain_run(call, err);
    for (int64_t i = 0; i < bcam_count(call->out[0].rank, call->out[0].dim); i++)
        if (first_output(call)[i] != first_output(call)[i])
            first_output(call)[i] = 0;
    return status;
}

static bcam_status writes_behind(const bcam_cpu_call *call, bcam_error *err)
{
    bcam_status status = plain_run(call, err);
    first_output(call)[bcam_count(call->out[0].rank, call->out[0].dim)] = 1;
    return status;
}

static bcam_status changes_input(const bcam_cpu_call *call, bcam_error *err)
{
    bcam_status status = plain_run(call, err);
    ((float *)call->in[0].data)[0] = 5;
    return status;
}

static bcam_status leaves_one_out(const bcam_cpu_call *call, bcam_error *err)
{
    float before = first_output(call)[0];
    bcam_status status = plain_run(call, err);
    first_output(call)[0] = before;
    return status;
}

static bcam_status depends_on_batch(const bcam_cpu_call *call, bcam_error *err)
{
    bcam_status status = plain_run(call, err);
    if (call->out[0].dim[0] > 1)
        for (int64_t i = 0; i < bcam_count(call->out[0].rank, call->out[0].dim); i++)
            first_output(call)[i] *= 1 + 0x1p-23f; /* within what is allowed */
    return status;
}

static unsigned calls;

static bcam_status depends_on_the_hour(const bcam_cpu_call *call, bcam_error *err)
{
    bcam_status status = plain_run(call, err);
    for (int64_t i = 0; i < bcam_count(call->out[0].rank, call->out[0].dim); i++)
        first_output(call)[i] *= 1 + (float)(calls % 2) * 0x1p-23f;
    calls++;
    return status;
}

static bcam_status fails(const bcam_cpu_call *call, bcam_error *err)
{
    return bcam_fail(err, BCAM_E_DEVICE, "planted failure in '%s'", call->step->name);
}

static const struct {
    const char *what;
    bcam_verb verb;
    size_t row;
    bcam_status (*run)(const bcam_cpu_call *call, bcam_error *err);
    const char *says;
} plants[] = {
    {"a wrong number", BCAM_VERB_CONV, 1, wrong_in_last, "allowed is an error of"},
    {"a wrong number of a gradient", BCAM_VERB_CONV_BWD, 1, wrong_in_last, "allowed is an error of"},
    {"a wrong number among exact ones", BCAM_VERB_COPY, 0, wrong_in_last, "allowed is an error of"},
    {"a wrong class id or score", BCAM_VERB_SELECT, 1, wrong_in_last, "out"},
    {"a lost NaN", BCAM_VERB_UNARY, BCAM_UNARY_NEG, swallows_nan, "special numbers"},
    {"a write behind the output", BCAM_VERB_UNARY, BCAM_UNARY_EXP, writes_behind, "unary"},
    {"a changed input", BCAM_VERB_UNARY, BCAM_UNARY_EXP, changes_input, "in0"},
    {"an element left out", BCAM_VERB_UNARY, BCAM_UNARY_EXP, leaves_one_out, "out0[0"},
    {"bytes that depend on the batch", BCAM_VERB_UNARY, BCAM_UNARY_EXP, depends_on_batch, "alone gives"},
    {"bytes that change between runs", BCAM_VERB_UNARY, BCAM_UNARY_EXP, depends_on_the_hour, "second run"},
    {"a failure", BCAM_VERB_POOL, 0, fails, "planted failure"},
};

Test(check_planted, is_caught)
{
    bcam_check_side plain = check_open(true, BCAM_PRECISION_FP32, 2);
    uint64_t seed = new_seed();
    for (size_t i = 0; i < BCAM_COUNT(plants); i++) {
        bcam_check_side side = check_open(false, BCAM_PRECISION_DEFAULT, 2);
        bcam_check_case c;
        bcam_check_result result;
        bcam_error err = {0};
        bcam_check_case_get(plants[i].verb, plants[i].row, &c);
        bcam_check_run(&c, &plain, &side, seed, false, &result, &err);
        cr_expect_eq(result.outcome, BCAM_CHECK_PASSED, "unplanted: %s", result.message);
        plant(&side, bcam_cpu_plain_f32, plants[i].verb, plants[i].run);
        cr_assert_eq(bcam_check_run(&c, &plain, &side, seed, false, &result, &err), BCAM_OK, "%s", err.message);
        cr_expect_eq(result.outcome, BCAM_CHECK_FAILED, "%s was not caught (BCAM_SEED=%llu)", plants[i].what,
                     (unsigned long long)seed);
        cr_expect(strstr(result.message, plants[i].says) != NULL, "%s: %s", plants[i].what, result.message);
        printf("%s: %s\n", plants[i].what, result.message);
        check_close(&side);
    }
    check_close(&plain);
}

/* A gradient that is a thousandth too long is caught by finite differences, on the double device. */
static bcam_status gradient_too_long(const bcam_cpu_call *call, bcam_error *err)
{
    bcam_status status = bcam_cpu_plain_f64[call->step->verb].run(call, err);
    for (int64_t i = 0; i < bcam_count(call->out[0].rank, call->out[0].dim); i++)
        ((double *)call->out[0].data)[i] *= 1.001;
    return status;
}

Test(check_planted, gradient)
{
    uint64_t seed = new_seed();
    for (bcam_verb verb = 0; verb < BCAM_VERB_COUNT; verb++) {
        if (!bcam_check_is_backward(verb))
            continue;
        bcam_check_side side = check_open(true, BCAM_PRECISION_FP64, 2);
        bcam_check_case c;
        bcam_check_result result;
        bcam_error err = {0};
        /* The first copies move nothing and are no step; log-softmax over one element has no gradient. */
        size_t row = verb == BCAM_VERB_COPY_BWD ? 10 : verb == BCAM_VERB_SOFTMAX_BWD ? 2 : 1;
        bcam_check_case_get(verb, row, &c);
        plant(&side, bcam_cpu_plain_f64, verb, gradient_too_long);
        cr_assert_eq(bcam_check_gradient(&c, &side, seed, &result, &err), BCAM_OK, "%s", err.message);
        cr_expect_eq(result.outcome, BCAM_CHECK_FAILED, "%s: a wrong gradient was not caught", c.name);
        check_close(&side);
    }
}

/* Nothing may be counted as passed that was not run. */
static bcam_status refuses(bcam_device *device, const bcam_plan *plan, const bcam_step *step, bcam_error *err)
{
    (void)device;
    (void)plan;
    return bcam_fail(err, BCAM_E_UNSUPPORTED, "'%s' will not do", step->name);
}

Test(check_planted, refusal_is_counted)
{
    bcam_device_api shy = bcam_cpu_device;
    bcam_check_side plain = check_open(true, BCAM_PRECISION_FP32, 1), side = plain;
    bcam_check_case c;
    bcam_check_result result;
    bcam_error err = {0};
    shy.query = refuses;
    side.api = &shy;
    bcam_check_case_get(BCAM_VERB_GEMM, 0, &c);
    cr_assert_eq(bcam_check_run(&c, &plain, &side, 1, false, &result, &err), BCAM_OK);
    cr_expect_eq(result.outcome, BCAM_CHECK_REFUSED);
    cr_expect(strstr(result.message, "will not do") != NULL, "%s", result.message);
    check_close(&plain);
}
