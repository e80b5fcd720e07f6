/* grad.c - backward verbs against central differences of their forward verbs, in double.
 *
 * Each verb is dx = J^T dy. For a direction v, <dy, f(x + h v) - f(x - h v)> / 2h must be <dx, v>; the K gradients of
 * one photo share the two forward runs. Numbers stand far enough from corners and ties (see the domains) that no step
 * of h crosses one.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check/bind.h"

#define STEP 1e-5
#define TOLERANCE 1e-6
#define SMALL 160 /* operands up to this size are also checked entry by entry */
#define DIRECTIONS 3

typedef struct gradient {
    const bcam_check_case *backward;
    bcam_check_case forward;
    int which; /* operand of the forward verb */
    bcam_check_bound f;
    bcam_check_data fn, bn; /* numbers of both */
    double *x, *v, *high;   /* the operand; a direction; f(x + h v) */
    int64_t x_count, y_count;
    bcam_check_result *result;
} gradient;

/* f(x + h v) for both signs: the high one in g->high, the low one in g->fn.out[0]. */
static bcam_status forward_pair(gradient *g, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    for (int sign = 1; sign >= -1 && status == BCAM_OK; sign -= 2) {
        for (int64_t i = 0; i < g->x_count; i++)
            g->fn.in[g->which][i] = g->x[i] + sign * STEP * g->v[i];
        status = bcam_check_compute(&g->f, &g->fn, err);
        if (sign > 0)
            memcpy(g->high, g->fn.out[0], (size_t)g->y_count * sizeof *g->high);
    }
    return status;
}

/* An unwritten part of y (a concat's other parts) has no say. */
static double difference(const gradient *g, int64_t i)
{
    double d = g->high[i] - g->fn.out[0][i];
    return isfinite(d) && fabs(d) < 1e6 ? d / (2 * STEP) : 0;
}

/* dy, and what some verbs add to it. */
static double cotangent(const gradient *g, int64_t i)
{
    bool two = g->backward->verb == BCAM_VERB_UNARY_BWD && g->backward->in[2].present;
    return g->bn.in[0][i] + (two ? g->bn.in[2][i] : 0);
}

static bcam_status check_direction(gradient *g, const char *what, bcam_error *err)
{
    bcam_status status = forward_pair(g, err);
    for (int64_t k = 0; k < g->backward->k && status == BCAM_OK; k++) {
        const double *dx = g->bn.out[0] + k * g->x_count;
        double numeric = 0, analytic = 0, size = 1e-4;
        for (int64_t i = 0; i < g->y_count; i++) {
            double term = cotangent(g, k * g->y_count + i) * difference(g, i);
            numeric += term;
            size += fabs(term);
        }
        for (int64_t i = 0; i < g->x_count; i++) {
            analytic += dx[i] * g->v[i];
            size += fabs(dx[i] * g->v[i]);
        }
        double share = fabs(numeric - analytic) / size / TOLERANCE;
        if (!(share <= g->result->worst))
            g->result->worst = share;
        if (!(share <= 1) && g->result->outcome == BCAM_CHECK_PASSED) {
            g->result->outcome = BCAM_CHECK_FAILED;
            snprintf(g->result->message, sizeof g->result->message,
                     "%s, %s, k %d: gradient %.12g, finite differences %.12g", g->backward->name, what, (int)k,
                     analytic, numeric);
        }
    }
    return status;
}

static bcam_status check_directions(gradient *g, uint64_t seed, bcam_error *err)
{
    char what[48];
    bcam_status status = BCAM_OK;
    for (int d = 0; d < DIRECTIONS && status == BCAM_OK; d++) {
        for (int64_t i = 0; i < g->x_count; i++)
            g->v[i] = 2 * bcam_random_unit(&seed) - 1;
        snprintf(what, sizeof what, "direction %d", d);
        status = check_direction(g, what, err);
    }
    memset(g->v, 0, (size_t)g->x_count * sizeof *g->v);
    for (int64_t i = 0; i < g->x_count && g->x_count <= SMALL && status == BCAM_OK; i++) {
        g->v[i] = 1;
        snprintf(what, sizeof what, "entry %d", (int)i);
        status = check_direction(g, what, err);
        g->v[i] = 0;
    }
    return status;
}

/* dx into bn.out[0], and the operands of the forward step as the backward step read them. */
static bcam_status run_backward(gradient *g, const bcam_check_side *side, uint64_t seed, bcam_error *err)
{
    bcam_check_bound bound = {0};
    bcam_status status = bcam_check_bind(&g->forward, side, &g->fn, &g->f, err);
    if (status == BCAM_OK)
        status = bcam_check_compute(&g->f, &g->fn, err);
    if (status == BCAM_OK)
        status = bcam_check_fill_data(g->backward, BCAM_FILL_RANDOM, side, seed, &g->bn, err);
    for (int i = 1; i < BCAM_MAX_IN && status == BCAM_OK; i++) { /* in double, not rounded to floats */
        const bcam_check_operand *o = &g->backward->in[i];
        if (o->present && o->domain == BCAM_DOMAIN_FORWARD)
            memcpy(g->bn.in[i], o->source < 0 ? g->fn.out[0] : g->fn.in[o->source],
                   (size_t)bcam_check_count(o, g->backward->batch, g->backward->k) * sizeof(double));
    }
    if (status == BCAM_OK)
        status = bcam_check_bind(g->backward, side, &g->bn, &bound, err);
    if (status == BCAM_OK)
        status = bcam_check_compute(&bound, &g->bn, err);
    bcam_check_unbind(&bound);
    return status;
}

bcam_status bcam_check_gradient(const bcam_check_case *backward, const bcam_check_side *side, uint64_t seed,
                                bcam_check_result *result, bcam_error *err)
{
    gradient g = {.backward = backward, .result = result};
    *result = (bcam_check_result){.outcome = BCAM_CHECK_PASSED};
    bcam_check_forward(backward, &g.forward, &g.which);
    g.forward.in[g.which].role = BCAM_ROLE_INPUT;
    g.x_count = bcam_check_count(&g.forward.in[g.which], g.forward.batch, g.forward.k);
    g.y_count = bcam_check_count(&g.forward.out[0], g.forward.batch, g.forward.k);
    g.x = bcam_alloc((size_t)g.x_count, sizeof *g.x);
    g.v = bcam_alloc((size_t)g.x_count, sizeof *g.v);
    g.high = bcam_alloc((size_t)g.y_count, sizeof *g.high);
    bcam_status status =
        g.x && g.v && g.high ? BCAM_OK : bcam_fail_memory(err, (size_t)g.x_count * sizeof *g.x, "a gradient check");
    if (status == BCAM_OK)
        status = bcam_check_data_init(&g.forward, &g.fn, err);
    if (status == BCAM_OK)
        status = bcam_check_data_init(backward, &g.bn, err);
    if (status == BCAM_OK)
        status = bcam_check_fill_data(&g.forward, BCAM_FILL_RANDOM, side, seed + 1, &g.fn, err);
    if (status == BCAM_OK)
        status = run_backward(&g, side, seed, err);
    if (status == BCAM_OK) {
        memcpy(g.x, g.fn.in[g.which], (size_t)g.x_count * sizeof *g.x);
        status = check_directions(&g, seed, err);
    }
    if (status == BCAM_E_UNSUPPORTED) {
        result->outcome = BCAM_CHECK_REFUSED;
        snprintf(result->message, sizeof result->message, "%s: %.300s", backward->name, err ? err->message : "");
        status = BCAM_OK;
    }
    bcam_check_unbind(&g.f);
    bcam_check_data_fini(&g.fn);
    bcam_check_data_fini(&g.bn);
    bcam_free(g.x);
    bcam_free(g.v);
    bcam_free(g.high);
    return status;
}
