/* operator_check.h - an operator test run on a device and held against what ONNX expects, and its gradient against finite differences. */
#ifndef BCAM_TESTS_OPERATOR_CHECK_H
#define BCAM_TESTS_OPERATOR_CHECK_H

#include <float.h>

#include "cpu/cpu.h"
#include "operator_case.h"

/** Writes the inputs, runs everything. */
static inline bcam_status case_run(const operator_case *c, unsigned variable, const lowered_case *l,
                                   bcam_program *program, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    for (int i = 0; status == BCAM_OK && i < c->in_count; i++) {
        int64_t count;
        double *numbers = variable >> i & 1 ? case_numbers(&c->in[i], &count) : NULL;
        bcam_error unused; /* an input that no step reads has no memory */
        if (numbers)
            (void)bcam_cpu_device.write(program, l->in[i], BCAM_F64, numbers, &unused);
        bcam_free(numbers);
    }
    status = bcam_cpu_device.run(program, BCAM_SEGMENTS_ALL, 0, err);
    return status == BCAM_OK ? bcam_cpu_device.wait(program, 0, err) : status;
}

/* ---- what comes out ---- */

static inline bool case_near(double got, double want, bcam_onnx_type type)
{
    /* The expected numbers themselves are rounded to their type, some cut off: a unit of bfloat16 is 2^-7 of a number. */
    double share = type == BCAM_ONNX_BFLOAT16 ? 0x1p-7 : 1e-3;
    if (isnan(want) || isinf(want))
        return isnan(want) ? isnan(got) : got == want;
    if (fabs(want) > (double)FLT_MAX) /* of type double; here it is computed in float */
        return got == copysign(INFINITY, want);
    return fabs(got - want) <= 1e-5 + share * fabs(want);
}

static inline bcam_status case_compare(const operator_case *c, int o, const bcam_value *v, const double *got,
                                       bcam_error *err)
{
    const bcam_onnx_tensor *t = c->out[o].tensor;
    int64_t count;
    bcam_status status = BCAM_OK;
    bool same = v->rank == t->rank;
    for (int a = 0; same && a < v->rank; a++)
        same = v->dim[a] == t->dim[a];
    if (!same)
        return bcam_fail(
            err, BCAM_E_ARGUMENT,
            "output %d has another shape: rank %d, first dimensions %lld %lld, expected rank %d, %lld %lld", o, v->rank,
            (long long)v->dim[0], (long long)v->dim[1], t->rank, (long long)t->dim[0], (long long)t->dim[1]);
    double *want = case_numbers(&c->out[o], &count);
    if (!want)
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "output %d is of type %s", o, bcam_onnx_type_name(t->type));
    for (int64_t i = 0; status == BCAM_OK && i < count; i++)
        if (!case_near(got[i], want[i], t->type))
            status = bcam_fail(err, BCAM_E_ARGUMENT, "output %d, element %lld is %.9g, expected %.9g", o, (long long)i,
                               got[i], want[i]);
    bcam_free(want);
    return status;
}

/* An output that is an input, a constant, or a value of the program. */
static inline bcam_status case_output(const operator_case *c, const lowered_case *l, int o, bcam_program *program,
                                      bcam_error *err)
{
    if (l->out[o] < 0)
        return o > 0 ? BCAM_OK : bcam_fail(err, BCAM_E_ARGUMENT, "output %d is made by nothing", o);
    const bcam_value *v = &l->plan.values[l->out[o]];
    int64_t count = bcam_count(v->rank, v->dim);
    double *got = bcam_alloc((size_t)count + 1, sizeof *got);
    bcam_status status = BCAM_OK;
    for (int64_t i = 0; i < count; i++)
        got[i] = NAN;
    if (v->role == BCAM_ROLE_OUTPUT)
        status = bcam_cpu_device.read(program, l->out[o], BCAM_F64, got, err);
    else if (v->role == BCAM_ROLE_CONST)
        bcam_const_read(v, BCAM_F64, got);
    for (int i = 0; v->role == BCAM_ROLE_INPUT && i < c->in_count; i++)
        if (l->in[i] == l->out[o]) {
            bcam_free(got);
            got = case_numbers(&c->in[i], &count);
        }
    if (status == BCAM_OK)
        status = case_compare(c, o, v, got, err);
    bcam_free(got);
    return status;
}

/** Lowers, compiles, runs, compares every output. `passes`: the plan is folded, fused and tidied before. E_UNSUPPORTED: refused. */
static inline bcam_status case_check(const operator_case *c, unsigned variable, bcam_device *device, bool passes,
                                     bcam_error *err)
{
    lowered_case l;
    bcam_program *program = NULL;
    bcam_status status = case_lower(c, variable, &l, err);
    if (status != BCAM_OK)
        return status;
    passes &= l.plan.step_count > 0;
    if (passes)
        status = bcam_plan_fold(&l.plan, NULL, 0, err);
    if (status == BCAM_OK && passes)
        status = bcam_plan_fuse(&l.plan, err);
    if (status == BCAM_OK && passes)
        status = bcam_plan_tidy(&l.plan, err);
    if (status == BCAM_OK && l.plan.step_count) {
        status = bcam_cpu_device.compile(device, &l.plan, &program, err);
        status = status == BCAM_E_UNSUPPORTED ? BCAM_E_DEVICE : status; /* what is lowered must run */
    }
    if (status == BCAM_OK && program)
        status = case_run(c, variable, &l, program, err);
    for (int o = 0; status == BCAM_OK && o < c->out_count; o++)
        status = case_output(c, &l, o, program, err);
    bcam_cpu_device.destroy(&program);
    case_unlower(&l);
    return status;
}

/* ---- gradients ---- */

typedef struct gradient_counts {
    int inputs, entries, kinks; /* inputs checked; entries of them; of these, at a corner of the function */
} gradient_counts;

typedef struct gradient_check {
    const operator_case *c;
    lowered_case l;
    bcam_program *program;
    double *cotangent, *y;
    int64_t y_count;
    int seed, output;
    bool all_finite; /* else the function is not defined at some of its elements, which then have no say */
} gradient_check;

/* <cotangent, output>, at the inputs as they are on the device. */
static inline bcam_status gradient_score(gradient_check *g, double *score, bcam_error *err)
{
    bcam_status status = bcam_cpu_device.run(g->program, BCAM_SEGMENT_BIT(BCAM_SEGMENT_FORWARD), 0, err);
    if (status == BCAM_OK)
        status = bcam_cpu_device.read(g->program, g->output, BCAM_F64, g->y, err);
    *score = 0;
    for (int64_t i = 0; status == BCAM_OK && i < g->y_count; i++)
        *score += g->cotangent[i] != 0 ? g->cotangent[i] * g->y[i] : 0;
    return status;
}

/* Whether a derivative agrees with scores at x, x - h, x + h, x - 2h, x + 2h: the central difference with its first error taken out; at a corner,
 * something between the differences of both sides; at the edge of where the function is defined, the one side there is. */
static inline bool gradient_agrees(const double score[5], double h, double analytic, double tolerance, bool *kink)
{
    double below = (score[0] - score[1]) / h, above = (score[2] - score[0]) / h;
    double wide = (score[4] - score[3]) / (4 * h), narrow = (below + above) / 2, numeric = (4 * narrow - wide) / 3;
    double low = fmin(below, above), high = fmax(below, above), size = 1 + fabs(low) + fabs(high) + fabs(analytic);
    double noise = 8e-15 * fabs(score[0]) / h, slack = 1e-3 * size;
    *kink = isnan(below) || isnan(above) || high - low > slack;
    /* A step: what it rises does not grow with h. It has no derivative, and 0 on both sides. */
    double rise = score[2] - score[0], rise2 = score[4] - score[0];
    if (analytic == 0 && fabs(rise) > 1e-4 && fabs(rise2 - rise) < 1e-2 * fabs(rise))
        return *kink = true;
    if (isnan(low))
        return true;
    if (isnan(below) || isnan(above))
        return fabs(analytic - low) <= slack;
    return fabs(analytic - numeric) <= tolerance * size + noise ||
           (*kink && analytic >= low - slack && analytic <= high + slack);
}

/* One entry; a second try with a smaller h where the first reaches over a corner. */
static inline bcam_status gradient_entry(gradient_check *g, int input, double *x, int64_t i, double analytic,
                                         gradient_counts *counts, bcam_error *err)
{
    static const double steps[5] = {0, -1, 1, -2, 2};
    double score[5] = {0}, was = x[i];
    bool kink = false;
    counts->entries++;
    for (int attempt = 0; attempt < 2; attempt++) {
        double h = (attempt ? 1e-7 : 1e-5) * (1 + fabs(was));
        bcam_status status = BCAM_OK;
        for (int k = 0; status == BCAM_OK && k < 5; k++) {
            x[i] = was + steps[k] * h;
            status = bcam_cpu_device.write(g->program, g->l.in[input], BCAM_F64, x, err);
            if (status == BCAM_OK)
                status = gradient_score(g, &score[k], err);
        }
        x[i] = was;
        if (status != BCAM_OK)
            return status;
        if (gradient_agrees(score, h, analytic, attempt ? 1e-6 : 2e-7, &kink)) {
            counts->kinks += kink;
            return BCAM_OK;
        }
    }
    return bcam_fail(err, BCAM_E_ARGUMENT,
                     "gradient of input %d, element %lld is %.9g; scores around it %.17g, %.17g, %.17g", input,
                     (long long)i, analytic, score[1], score[0], score[2]);
}

static inline bcam_status gradient_input(gradient_check *g, int input, int value, uint64_t *random,
                                         gradient_counts *counts, bcam_error *err)
{
    int64_t count, work = 1, most = 48;
    double *x = case_numbers(&g->c->in[input], &count), *dx = bcam_alloc((size_t)count + 1, sizeof *dx);
    bcam_status status = bcam_cpu_device.read(g->program, value, BCAM_F64, dx, err);
    counts->inputs += status == BCAM_OK;
    for (size_t v = 0; v < g->l.plan.value_count; v++)
        work += bcam_count(g->l.plan.values[v].rank, g->l.plan.values[v].dim);
    most = work > 10000 ? 6 : most; /* five runs each */
    for (int64_t k = 0, n = count < most ? count : most; status == BCAM_OK && k < n; k++) {
        int64_t i = count <= most ? k : (int64_t)(bcam_random(random) % (uint64_t)count);
        if (isfinite(x[i]) && (isfinite(dx[i]) || g->all_finite))
            status = gradient_entry(g, input, x, i, dx[i], counts, err);
    }
    if (status == BCAM_OK)
        status = bcam_cpu_device.write(g->program, g->l.in[input], BCAM_F64, x, err);
    bcam_free(x);
    bcam_free(dx);
    return status;
}

static inline bcam_status gradient_compile(gradient_check *g, unsigned variable, bcam_device *device, int *gradients,
                                           uint64_t *random, bcam_error *err)
{
    int targets[CASE_TENSORS], of[CASE_TENSORS], count = 0, made[CASE_TENSORS];
    bool constant[CASE_TENSORS];
    bcam_plan *plan = &g->l.plan;
    const bcam_value v = plan->values[g->output];
    const int64_t one[1] = {1};
    g->seed = bcam_plan_value(plan, "seed", BCAM_ROLE_INPUT, BCAM_F32, v.rank ? v.rank : 1, v.rank ? v.dim : one);
    plan->values[g->seed].each_k = true;
    for (int i = 0; i < g->c->in_count; i++)
        if (variable >> i & 1) {
            targets[count] = g->l.in[i];
            of[count++] = i;
        }
    bcam_status status = bcam_plan_differentiate(plan, g->output, g->seed, targets, count, false, made, constant, err);
    for (int k = 0; status == BCAM_OK && k < count; k++) {
        gradients[of[k]] = made[k];
        if (made[k] != g->seed)
            plan->values[made[k]].role = BCAM_ROLE_OUTPUT;
    }
    if (status == BCAM_OK)
        status = bcam_cpu_device.compile(device, plan, &g->program, err);
    status = status == BCAM_E_UNSUPPORTED ? BCAM_E_DEVICE : status;
    g->y_count = bcam_count(v.rank, v.dim);
    g->cotangent = bcam_alloc((size_t)g->y_count + 1, sizeof *g->cotangent);
    g->y = bcam_alloc((size_t)g->y_count + 1, sizeof *g->y);
    for (int64_t i = 0; i < g->y_count; i++)
        g->cotangent[i] = 2 * bcam_random_unit(random) - 1;
    if (status == BCAM_OK)
        status = bcam_cpu_device.write(g->program, g->seed, BCAM_F64, g->cotangent, err);
    if (status == BCAM_OK)
        status = case_run(g->c, variable, &g->l, g->program, err);
    if (status == BCAM_OK)
        status = bcam_cpu_device.read(g->program, g->output, BCAM_F64, g->y, err);
    g->all_finite = true;
    for (int64_t i = 0; status == BCAM_OK && i < g->y_count; i++)
        if (!isfinite(g->y[i])) {
            g->cotangent[i] = 0;
            g->all_finite = false;
        }
    if (status == BCAM_OK && !g->all_finite)
        status = bcam_cpu_device.write(g->program, g->seed, BCAM_F64, g->cotangent, err);
    return status == BCAM_OK && !g->all_finite ? case_run(g->c, variable, &g->l, g->program, err) : status;
}

/** The gradient of every variable input from output `o` back, made by the library, against finite differences. `device` computes in double. */
static inline bcam_status case_gradient(const operator_case *c, unsigned variable, int o, bcam_device *device,
                                        uint64_t *random, gradient_counts *counts, bcam_error *err)
{
    gradient_check g = {.c = c};
    int gradients[CASE_TENSORS];
    bcam_status status = case_lower(c, variable, &g.l, err);
    if (status != BCAM_OK)
        return status;
    g.output = g.l.out[o];
    memset(gradients, 0xff, sizeof gradients);
    if (g.output >= 0 && g.l.plan.values[g.output].role == BCAM_ROLE_OUTPUT && g.l.plan.step_count) {
        status = gradient_compile(&g, variable, device, gradients, random, err);
        for (int i = 0; status == BCAM_OK && i < c->in_count; i++)
            if (gradients[i] >= 0 && gradients[i] != g.seed)
                status = gradient_input(&g, i, gradients[i], random, counts, err);
    }
    bcam_cpu_device.destroy(&g.program);
    bcam_free(g.cotangent);
    bcam_free(g.y);
    case_unlower(&g.l);
    return status;
}

#endif
