/* Plain C: every backward verb against finite differences in double, every verb in float against itself in double. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "check_sides.h"

static struct criterion_test_params verbs(bool backward)
{
    int *list = cr_malloc(BCAM_VERB_COUNT * sizeof *list);
    size_t count = 0;
    for (int v = 0; v < BCAM_VERB_COUNT; v++)
        if (!backward || bcam_check_is_backward((bcam_verb)v))
            list[count++] = v;
    return cr_make_param_array(int, list, count, NULL);
}

ParameterizedTestParameters(check_plain, gradient)
{
    return verbs(true);
}

ParameterizedTest(int *verb, check_plain, gradient)
{
    bcam_check_side side = check_open(true, BCAM_PRECISION_FP64, 2);
    check_tally tally = {.verb = (bcam_verb)*verb, .what = "gradient", .seed = new_seed()};
    for (size_t i = 0; i < bcam_check_case_count(tally.verb); i++) {
        bcam_check_case c;
        bcam_check_result result;
        bcam_error err = {0};
        bcam_check_case_get(tally.verb, i, &c);
        cr_assert_eq(bcam_check_gradient(&c, &side, tally.seed, &result, &err), BCAM_OK, "%s: %s", c.name, err.message);
        check_count(&tally, &result);
    }
    check_report(&tally);
    check_close(&side);
}

ParameterizedTestParameters(check_plain, float_against_double)
{
    return verbs(false);
}

ParameterizedTest(int *verb, check_plain, float_against_double)
{
    bcam_check_side exact = check_open(true, BCAM_PRECISION_FP64, 2), side = check_open(true, BCAM_PRECISION_FP32, 2);
    check_verb("float against double", (bcam_verb)*verb, &exact, &side, false);
    check_close(&exact);
    check_close(&side);
}
