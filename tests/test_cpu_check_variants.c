/* The float table's variants (cpu/fast.h): one against plain C, the others the same bytes as that one; and functions.inc over all floats. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include <math.h>
#include <string.h>

#include "check_sides.h"
#include "cpu/fast.h"

/* A device whose verbs are all those of a variant. */
static bcam_check_side open_variant(const bcam_cpu_variant *variant)
{
    bcam_check_side side = check_open(true, BCAM_PRECISION_FP32, 2);
    memcpy(bcam_cpu_slots(side.device), variant->table, BCAM_VERB_COUNT * sizeof *variant->table);
    return side;
}

static bcam_cpu_variant base(void)
{
    int last = 0;
    while (bcam_cpu_fast(last + 1).table)
        last++;
    return bcam_cpu_fast(last);
}

#if defined __SANITIZE_ADDRESS__
enum { ONE_IN = 3 };
#else
enum { ONE_IN = 2 };
#endif

/* One case in so many, others with each seed; of convolutions, which take long, fewer. (test_cpu_check_overlay.c holds the widest variant to plain C in
 * all cases.) */
static void check_some(const char *what, bcam_verb verb, const bcam_check_side *a, const bcam_check_side *b, bool exact)
{
    size_t step = verb == BCAM_VERB_CONV || verb == BCAM_VERB_CONV_BWD ? 7 * ONE_IN : ONE_IN;
    check_tally tally = {.verb = verb, .what = what, .seed = new_seed()};
    for (size_t i = tally.seed % step; i < bcam_check_case_count(verb); i += step) {
        bcam_check_case c;
        bcam_check_result result;
        bcam_error err = {0};
        bcam_check_case_get(verb, i, &c);
        cr_assert_eq(bcam_check_run(&c, a, b, tally.seed, exact, &result, &err), BCAM_OK, "%s: %s", c.name,
                     err.message);
        check_count(&tally, &result);
    }
    check_report(&tally);
}

ParameterizedTestParameters(cpu_variants, of_a_verb)
{
    int *list = cr_malloc(BCAM_VERB_COUNT * sizeof *list);
    for (int v = 0; v < BCAM_VERB_COUNT; v++)
        list[v] = v;
    return cr_make_param_array(int, list, BCAM_VERB_COUNT, NULL);
}

ParameterizedTest(int *verb, cpu_variants, of_a_verb)
{
    bcam_cpu_variant first = base(), other;
    bcam_check_side plain = check_open(true, BCAM_PRECISION_FP32, 2), side = open_variant(&first);
    cr_expect_eq(first.table, bcam_cpu_fast_base);
    check_some("base against plain C", (bcam_verb)*verb, &plain, &side, false);
    for (int i = 0; (other = bcam_cpu_fast(i)).table != first.table; i++) {
        bcam_check_side wide = open_variant(&other);
        check_some(other.name, (bcam_verb)*verb, &side, &wide, true);
        check_close(&wide);
    }
    check_close(&plain);
    check_close(&side);
}

/* ---- the functions ---- */

enum { BLOCK = 4096 };

/* y = f(x) on one row, as a step of a plan would. */
static void run_unary(const bcam_cpu_verb *table, bcam_unary_kind kind, const float *x, float *y)
{
    bcam_step step = {.verb = BCAM_VERB_UNARY, .u.unary.kind = kind};
    bcam_tensor row = {.dtype = BCAM_F32, .rank = 1, .dim = {BLOCK}, .stride = {1}};
    bcam_cpu_call call = {.step = &step, .threads = 1, .in = {row}, .out = {row}};
    bcam_error err = {0};
    call.in[0].data = (void *)x;
    call.out[0].data = y;
    cr_assert_eq(table[BCAM_VERB_UNARY].run(&call, &err), BCAM_OK);
}

/* In units of the last place of a float near the exact value. */
static double error_in_places(float got, double exact)
{
    if (isnan(exact) || (double)got == (double)(float)exact)
        return isnan(exact) == isnan(got) ? 0 : INFINITY;
    int exponent;
    frexp(exact, &exponent);
    return fabs((double)got - exact) / ldexp(1, exponent - 24 > -149 ? exponent - 24 : -149);
}

Test(cpu_variants, functions_are_near)
{
    static const struct {
        bcam_unary_kind kind;
        double (*exact)(double);
        double most; /* units in the last place */
    } rows[] = {{BCAM_UNARY_EXP, exp, 2}, {BCAM_UNARY_TANH, tanh, 4}, {BCAM_UNARY_ERF, erf, 4}};
    uint64_t seed = new_seed();
    uint32_t first = (uint32_t)(seed % 2053);
    for (size_t r = 0; r < BCAM_COUNT(rows); r++) {
        double worst = 0;
        float at = 0;
        for (uint64_t bits = first; bits < (uint64_t)1 << 32;) {
            float x[BLOCK] = {0}, y[BLOCK], other[BLOCK];
            for (int i = 0; i < BLOCK && bits < (uint64_t)1 << 32; i++, bits += 2053)
                memcpy(&x[i], &(uint32_t){(uint32_t)bits}, sizeof x[i]);
            run_unary(bcam_cpu_fast(0).table, rows[r].kind, x, y);
            run_unary(bcam_cpu_fast_base, rows[r].kind, x, other);
            for (int i = 0; i < BLOCK; i++) {
                double error = error_in_places(y[i], rows[r].exact((double)x[i]));
                at = error > worst ? x[i] : at;
                worst = error > worst ? error : worst;
                cr_expect(memcmp(&y[i], &other[i], sizeof y[i]) == 0 || isnan(y[i]), "%s(%a): %a and %a",
                          bcam_unary_name(rows[r].kind), (double)x[i], (double)y[i], (double)other[i]);
            }
        }
        printf("%s: at most %.3f units in the last place, at %a (BCAM_SEED=%llu)\n", bcam_unary_name(rows[r].kind),
               worst, (double)at, (unsigned long long)seed);
        cr_expect_leq(worst, rows[r].most, "BCAM_SEED=%llu", (unsigned long long)seed);
    }
}
