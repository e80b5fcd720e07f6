/* check.c - one case on two sides: the candidate held against the reference, against itself, and photo by photo. */
#include "check/check.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "check/bind.h"
#include "check/precision.h"

#define EPSILON 0x1p-24 /* half a unit in the last place of a float near 1 */
#define FLOOR 1e-36     /* what underflow may cost */

typedef struct check {
    const bcam_check_case *c;
    const bcam_check_side *reference, *candidate;
    bcam_check_fill fill;
    uint64_t seed;
    bool exact;
    bcam_check_data a, b;        /* the reference's numbers; the candidate's (inputs: as found after the run) */
    double *scale[BCAM_MAX_OUT]; /* RULE_SUM: sums of magnitudes */
    double first;                /* RULE_FIRST */
    bcam_check_result *result;
} check;

static void BCAM_PRINTF(2, 3) failed(check *k, const char *format, ...)
{
    char what[320];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    k->result->outcome = BCAM_CHECK_FAILED;
    snprintf(k->result->message, sizeof k->result->message, "%s, %s numbers, seed %llu: %s", k->c->name,
             bcam_check_fill_name(k->fill), (unsigned long long)k->seed, what);
}

/** "out0[1,0,3]" */
static const char *element_name(const bcam_check_case *c, int out, int64_t index, char *text, size_t size)
{
    int64_t dim[BCAM_MAX_RANK], at[BCAM_MAX_RANK];
    int rank = bcam_check_dims(&c->out[out], c->batch, c->k, dim);
    for (int a = rank - 1; a >= 0; a--) {
        at[a] = index % dim[a];
        index /= dim[a];
    }
    size_t used = (size_t)snprintf(text, size, "out%d[", out);
    for (int a = 0; a < rank && used < size; a++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", a ? "," : "", (long long)at[a]);
    if (used < size)
        snprintf(text + used, size - used, "]");
    return text;
}

/* A part of a concat writes its box only; the rest of y is not its business. */
static bool is_written(const bcam_check_case *c, int64_t index)
{
    const bcam_copy_attr *copy = &c->step.u.copy;
    if (c->verb != BCAM_VERB_COPY || copy->reshape || copy->fill)
        return true;
    int64_t dim[BCAM_MAX_RANK];
    int rank = bcam_check_dims(&c->out[0], c->batch, c->k, dim);
    for (int a = rank - 1; a > 0; a--) { /* the box always spans axis 0 */
        int64_t at = index % dim[a] - copy->to[a];
        if (at < 0 || at >= copy->extent[a])
            return false;
        index /= dim[a];
    }
    return true;
}

/* ---- comparing with the reference ---- */

/* What UNARY_BWD adds to its first operand. */
static double second_gradient(const check *k, int64_t i)
{
    return k->c->verb == BCAM_VERB_UNARY_BWD && k->c->in[2].present ? k->a.in[2][i] : 0;
}

/* For float32. */
static double allowed_fine(const check *k, int out, int64_t i, double a)
{
    const bcam_check_operand *o = &k->c->out[out];
    if (k->exact || o->dtype == BCAM_I32)
        return 0;
    if (o->dtype == BCAM_U8)
        return 1; /* rounded from numbers that may differ in their last bit */
    double half = o->dtype == BCAM_F16 ? fabs(a) * 0x1p-10 + 0x1p-24 : 0;
    switch (k->c->rule) {
    case BCAM_RULE_EXACT:
        return 0;
    case BCAM_RULE_VALUE:
        return 16 * EPSILON * fabs(a) + FLOOR;
    case BCAM_RULE_LOCAL:
        return 16 * EPSILON * (fabs(a) + fabs(k->a.in[0][i]) + fabs(second_gradient(k, i))) + FLOOR;
    case BCAM_RULE_SUM:
        return EPSILON * (8 * fabs(a) + (8 + 2 * sqrt(k->c->depth)) * fabs(k->scale[out][i])) + FLOOR;
    case BCAM_RULE_FIRST:
        return half + EPSILON * (8 * fabs(a) + (8 + k->c->depth) * k->first) + FLOOR;
    }
    return 0;
}

static double allowed(const check *k, int out, int64_t i, double a)
{
    double fine = allowed_fine(k, out, i, a);
    if (k->exact || k->c->rule == BCAM_RULE_EXACT || k->c->out[out].dtype != BCAM_F32)
        return fine;
    return fine + bcam_check_coarse(k->c, out, k->candidate->precision, a, k->scale[out] ? k->scale[out][i] : 0);
}

/* As a float has it: a double beyond its range counts as infinite. */
static double in_range(double v)
{
    return fabs(v) > (double)FLT_MAX ? (v > 0 ? (double)INFINITY : -(double)INFINITY) : v;
}

static void compare_output(check *k, int out)
{
    int64_t count = bcam_check_count(&k->c->out[out], k->c->batch, k->c->k);
    char name[80];
    for (int64_t i = 0; i < count && k->result->outcome == BCAM_CHECK_PASSED; i++) {
        double a = in_range(k->a.out[out][i]), b = in_range(k->b.out[out][i]);
        if (!is_written(k->c, i) || (isnan(a) && isnan(b)) || a == b ||
            bcam_check_held(k->c, out, k->candidate->precision, a) == b)
            continue;
        double limit = allowed(k, out, i, a), error = fabs(a - b);
        if (isnan(a) || isnan(b) || isinf(a) || isinf(b) || !(error <= limit))
            failed(k, "%s is %.9g instead of %.9g, allowed is an error of %.3g",
                   element_name(k->c, out, i, name, sizeof name), b, a, limit);
        else
            k->result->worst = fmax(k->result->worst, error / limit);
    }
}

/* Whether a step multiplies by what it reads beside its first operand. Other backward steps read it to choose. */
static bool multiplies(const bcam_check_case *c)
{
    bcam_binary_kind kind = c->step.u.binary.kind;
    if (c->verb == BCAM_VERB_BINARY_BWD)
        return kind != BCAM_BINARY_MAX && kind != BCAM_BINARY_MIN;
    return !bcam_check_is_backward(c->verb) || c->verb == BCAM_VERB_CONV_BWD || c->verb == BCAM_VERB_GEMM_BWD ||
           c->verb == BCAM_VERB_NORM_BWD;
}

/* RULE_SUM: the reference run on magnitudes, without the epilogue. What a backward step reads to choose stays. */
static bcam_status sum_magnitudes(check *k, bcam_error *err)
{
    bcam_check_case c = *k->c;
    bcam_check_data numbers = {0};
    bcam_check_bound bound = {0};
    c.step.act = (bcam_unary_attr){0};
    if (c.verb == BCAM_VERB_BINARY && c.step.u.binary.kind == BCAM_BINARY_SUB)
        c.step.u.binary.kind = BCAM_BINARY_ADD;
    bcam_status status = bcam_check_data_init(&c, &numbers, err);
    for (int i = 0; i < BCAM_MAX_IN && status == BCAM_OK; i++)
        for (int64_t e = 0; c.in[i].present && e < bcam_check_count(&c.in[i], c.batch, c.k); e++) {
            double v = k->a.in[i][e];
            bool real = c.in[i].dtype == BCAM_F32 && (i == 0 || multiplies(&c));
            numbers.in[i][e] = !real         ? v
                               : isfinite(v) ? fabs(v)
                                             : 0; /* where a NaN goes, there is nothing to compare */
        }
    if (status == BCAM_OK)
        status = bcam_check_bind(&c, k->reference, &numbers, &bound, err);
    if (status == BCAM_OK)
        status = bcam_check_compute(&bound, &numbers, err);
    for (int o = 0; o < BCAM_MAX_OUT && status == BCAM_OK; o++) {
        k->scale[o] = numbers.out[o];
        numbers.out[o] = NULL;
        /* The minimum of a range may come from any pixel of its map, so it may err as much as the largest. */
        if (c.verb == BCAM_VERB_CAM && o == 1)
            for (int64_t m = 0; m < c.k * c.batch; m++)
                k->scale[o][2 * m] = k->scale[o][2 * m + 1];
    }
    bcam_check_unbind(&bound);
    bcam_check_data_fini(&numbers);
    return status;
}

static bcam_status run_reference(check *k, bcam_error *err)
{
    bcam_check_bound bound = {0};
    bcam_status status = bcam_check_fill_data(k->c, k->fill, k->reference, k->seed, &k->a, err);
    bcam_check_round(k->c, k->candidate->precision, &k->a);
    if (status == BCAM_OK)
        status = bcam_check_bind(k->c, k->reference, &k->a, &bound, err);
    if (status == BCAM_OK)
        status = bcam_check_compute(&bound, &k->a, err);
    bcam_check_unbind(&bound);
    if (status == BCAM_OK && k->c->rule == BCAM_RULE_SUM)
        status = sum_magnitudes(k, err);
    k->first = 0;
    if (k->c->rule == BCAM_RULE_FIRST)
        for (int64_t i = 0; i < bcam_check_count(&k->c->in[0], k->c->batch, k->c->k); i++)
            k->first = fmax(k->first, fabs(k->a.in[0][i]));
    return status;
}

/* ---- the candidate ---- */

static void compare_inputs(check *k, const bcam_check_bound *bound)
{
    bcam_error inner = {0};
    for (int i = 0; i < BCAM_MAX_IN && k->result->outcome == BCAM_CHECK_PASSED; i++) {
        if (!k->c->in[i].present)
            continue;
        size_t bytes = (size_t)bcam_check_count(&k->c->in[i], k->c->batch, k->c->k) * sizeof(double);
        if (bcam_check_read_input(bound, i, k->b.in[i], &inner))
            failed(k, "reading in%d: %.250s", i, inner.message);
        else if (k->fill != BCAM_FILL_SPECIAL && memcmp(k->a.in[i], k->b.in[i], bytes) != 0)
            failed(k, "in%d has changed during the run", i);
    }
}

static bool same_bits(const double *a, const double *b)
{
    return memcmp(a, b, sizeof *a) == 0 || (isnan(*a) && isnan(*b));
}

/* Copies the part of photo n between an operand of the whole batch and one of a batch of 1. */
static void item_copy(const bcam_check_case *c, const bcam_check_operand *o, int64_t n, double *whole, double *item,
                      bool to_item)
{
    int64_t part = bcam_count(o->rank, o->dim), rounds = o->lead == BCAM_LEAD_KN || o->lead == BCAM_LEAD_K_N ? c->k : 1;
    for (int64_t r = 0; r < rounds; r++) {
        double *at = o->lead == BCAM_LEAD_NONE ? whole : whole + (r * c->batch + n) * part;
        memcpy(to_item ? item + r * part : at, to_item ? at : item + r * part, (size_t)part * sizeof *at);
    }
}

static void compare_item(check *k, const bcam_check_case *alone, int64_t n, const bcam_check_data *item,
                         double *expected)
{
    for (int o = 0; o < BCAM_MAX_OUT && k->result->outcome == BCAM_CHECK_PASSED; o++) {
        if (!alone->out[o].present)
            continue;
        item_copy(k->c, &alone->out[o], n, k->b.out[o], expected, true);
        for (int64_t i = 0; i < bcam_check_count(&alone->out[o], 1, alone->k); i++)
            if (is_written(alone, i) && !same_bits(&expected[i], &item->out[o][i])) {
                failed(k, "photo %d alone gives %.9g in place %d of out%d, in the batch %.9g", (int)n, item->out[o][i],
                       (int)i, o, expected[i]);
                break;
            }
    }
}

static void check_items(check *k)
{
    bcam_check_case alone = *k->c;
    bcam_check_data item = {0};
    bcam_check_bound bound = {0};
    bcam_error inner = {0};
    size_t largest = 1;
    alone.batch = 1;
    for (int o = 0; o < BCAM_MAX_OUT; o++)
        if (alone.out[o].present && (size_t)bcam_check_count(&alone.out[o], 1, alone.k) > largest)
            largest = (size_t)bcam_check_count(&alone.out[o], 1, alone.k);
    double *expected = bcam_alloc(largest, sizeof *expected);
    bcam_status status =
        expected ? bcam_check_data_init(&alone, &item, &inner) : bcam_fail_memory(&inner, largest, "a check");
    for (int64_t n = 0; n < k->c->batch && status == BCAM_OK && k->result->outcome == BCAM_CHECK_PASSED; n++) {
        for (int i = 0; i < BCAM_MAX_IN; i++)
            if (alone.in[i].present)
                item_copy(k->c, &alone.in[i], n, k->a.in[i], item.in[i], true);
        if (n == 0)
            status = bcam_check_bind(&alone, k->candidate, &item, &bound, &inner);
        if (status == BCAM_OK)
            status = bcam_check_compute(&bound, &item, &inner);
        if (status == BCAM_OK)
            compare_item(k, &alone, n, &item, expected);
    }
    if (status != BCAM_OK)
        failed(k, "a batch of one: %.250s", inner.message);
    bcam_check_unbind(&bound);
    bcam_check_data_fini(&item);
    bcam_free(expected);
}

/* Runs again into other numbers and compares bits. */
static void check_again(check *k, const bcam_check_bound *bound)
{
    bcam_check_data again = {0};
    bcam_error inner = {0};
    char name[80];
    bcam_status status = bcam_check_data_init(k->c, &again, &inner);
    for (int i = 0; i < BCAM_MAX_IN && status == BCAM_OK; i++)
        if (k->c->in[i].present)
            memcpy(again.in[i], k->a.in[i],
                   (size_t)bcam_check_count(&k->c->in[i], k->c->batch, k->c->k) * sizeof(double));
    if (status == BCAM_OK)
        status = bcam_check_compute(bound, &again, &inner);
    if (status != BCAM_OK)
        failed(k, "run again: %.250s", inner.message);
    for (int o = 0; o < BCAM_MAX_OUT && k->result->outcome == BCAM_CHECK_PASSED; o++)
        for (int64_t i = 0; k->c->out[o].present && i < bcam_check_count(&k->c->out[o], k->c->batch, k->c->k); i++)
            if (is_written(k->c, i) && !same_bits(&k->b.out[o][i], &again.out[o][i])) {
                failed(k, "%s is %.9g, in a second run %.9g", element_name(k->c, o, i, name, sizeof name),
                       k->b.out[o][i], again.out[o][i]);
                break;
            }
    bcam_check_data_fini(&again);
}

static void check_candidate(check *k)
{
    bcam_check_bound bound = {0};
    bcam_error inner = {0};
    bcam_status status = bcam_check_bind(k->c, k->candidate, &k->a, &bound, &inner);
    if (status == BCAM_E_UNSUPPORTED) {
        k->result->outcome = BCAM_CHECK_REFUSED;
        snprintf(k->result->message, sizeof k->result->message, "%s: %.300s", k->c->name, inner.message);
    } else if (status == BCAM_OK) {
        bcam_check_data numbers = k->b; /* outputs into b, inputs from a */
        memcpy(numbers.in, k->a.in, sizeof numbers.in);
        status = bcam_check_compute(&bound, &numbers, &inner);
    }
    if (status != BCAM_OK && k->result->outcome == BCAM_CHECK_PASSED)
        failed(k, "%.250s", inner.message);
    for (int o = 0; o < BCAM_MAX_OUT && k->result->outcome == BCAM_CHECK_PASSED; o++)
        if (k->c->out[o].present)
            compare_output(k, o);
    if (k->result->outcome == BCAM_CHECK_PASSED)
        compare_inputs(k, &bound);
    if (k->result->outcome == BCAM_CHECK_PASSED)
        check_again(k, &bound);
    if (k->result->outcome == BCAM_CHECK_PASSED && !(k->candidate->libraries && bcam_check_is_product(k->c->verb)))
        check_items(k);
    bcam_check_unbind(&bound);
}

bcam_status bcam_check_run(const bcam_check_case *c, const bcam_check_side *reference, const bcam_check_side *candidate,
                           uint64_t seed, bool exact, bcam_check_result *result, bcam_error *err)
{
    check k = {.c = c, .reference = reference, .candidate = candidate, .seed = seed, .exact = exact, .result = result};
    *result = (bcam_check_result){.outcome = BCAM_CHECK_PASSED};
    bcam_status status = bcam_check_data_init(c, &k.a, err);
    if (status == BCAM_OK)
        status = bcam_check_data_init(c, &k.b, err);
    for (k.fill = 0; k.fill < BCAM_FILL_COUNT && status == BCAM_OK && result->outcome == BCAM_CHECK_PASSED; k.fill++) {
        if (!(bcam_check_fills(c, candidate) >> k.fill & 1))
            continue;
        status = run_reference(&k, err);
        if (status == BCAM_OK)
            check_candidate(&k);
        for (int o = 0; o < BCAM_MAX_OUT; o++) {
            bcam_free(k.scale[o]);
            k.scale[o] = NULL;
        }
    }
    bcam_check_data_fini(&k.a);
    bcam_check_data_fini(&k.b);
    return status;
}
