/* cpu_plan.h - small plans for the tests of the CPU device. Every call asserts. */
#ifndef BCAM_TEST_CPU_PLAN_H
#define BCAM_TEST_CPU_PLAN_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})
#define RANK(...) ((int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))
#define INPUT(plan, name, ...) plan_value(plan, name, BCAM_ROLE_INPUT, BCAM_F32, RANK(__VA_ARGS__), DIMS(__VA_ARGS__))
#define WORK(plan, name, ...) plan_value(plan, name, BCAM_ROLE_WORK, BCAM_F32, RANK(__VA_ARGS__), DIMS(__VA_ARGS__))
#define OUTPUT(plan, name, ...) plan_value(plan, name, BCAM_ROLE_OUTPUT, BCAM_F32, RANK(__VA_ARGS__), DIMS(__VA_ARGS__))
#define CONSTANT(plan, name, data, ...) plan_constant(plan, name, data, RANK(__VA_ARGS__), DIMS(__VA_ARGS__))

static const bcam_device_api *const api = &bcam_cpu_device;

static inline int plan_value(bcam_plan *plan, const char *name, bcam_role role, bcam_dtype dtype, int rank,
                             const int64_t *dim)
{
    int id = bcam_plan_value(plan, name, role, dtype, rank, dim);
    cr_assert_geq(id, 0);
    return id;
}

static inline int plan_constant(bcam_plan *plan, const char *name, const float *data, int rank, const int64_t *dim)
{
    int id = bcam_plan_const_f32(plan, name, rank, dim, data, NULL);
    cr_assert_geq(id, 0);
    return id;
}

/** Appends a FORWARD step; absent operands are -1. */
static inline bcam_step *plan_step(bcam_plan *plan, bcam_verb verb, const char *name, int in0, int in1, int in2,
                                   int out0)
{
    bcam_step *step = bcam_plan_step(plan, verb, BCAM_SEGMENT_FORWARD, name);
    cr_assert_not_null(step);
    step->in[0] = in0;
    step->in[1] = in1;
    step->in[2] = in2;
    step->out[0] = out0;
    return step;
}

static inline void plan_unary(bcam_plan *plan, const char *name, bcam_unary_kind kind, int x, int y)
{
    plan_step(plan, BCAM_VERB_UNARY, name, x, -1, -1, y)->u.unary.kind = kind;
}

static inline void plan_reshape(bcam_plan *plan, const char *name, int x, int y)
{
    plan_step(plan, BCAM_VERB_COPY, name, x, -1, -1, y)->u.copy.reshape = true;
}

static inline bcam_device *open_with(bcam_device_options options)
{
    bcam_error err = {0};
    bcam_device *device = NULL;
    cr_assert_eq(api->open(&options, &device, &err), BCAM_OK, "%s", err.message);
    return device;
}

static inline bcam_device *open_plain(bcam_precision precision)
{
    return open_with((bcam_device_options){.reference = true, .precision = precision, .threads = 2, .guard = true});
}

static inline bcam_program *compile(bcam_device *device, const bcam_plan *plan)
{
    bcam_error err = {0};
    bcam_program *program = NULL;
    cr_assert_eq(api->compile(device, plan, &program, &err), BCAM_OK, "%s", err.message);
    return program;
}

static inline void put(bcam_program *program, int value, bcam_dtype as, const void *data)
{
    bcam_error err = {0};
    cr_assert_eq(api->write(program, value, as, data, &err), BCAM_OK, "%s", err.message);
}

static inline void get(bcam_program *program, int value, bcam_dtype as, void *data)
{
    bcam_error err = {0};
    cr_assert_eq(api->read(program, value, as, data, &err), BCAM_OK, "%s", err.message);
}

static inline void run_all(bcam_program *program)
{
    bcam_error err = {0};
    cr_assert_eq(api->run(program, BCAM_SEGMENTS_ALL, 0, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(api->wait(program, 0, &err), BCAM_OK, "%s", err.message);
}

/** Compiles the plan on `device`, writes one input of doubles, runs, reads one output as doubles. */
static inline void compute(bcam_device *device, const bcam_plan *plan, int input, const double *in, int output,
                           double *out)
{
    bcam_program *program = compile(device, plan);
    put(program, input, BCAM_F64, in);
    run_all(program);
    get(program, output, BCAM_F64, out);
    api->destroy(&program);
}

static inline bool same_number(double a, double b, double tolerance)
{
    return (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= tolerance;
}

static inline void expect_numbers(const char *what, const double *got, const double *want, size_t count,
                                  double tolerance)
{
    for (size_t i = 0; i < count; i++)
        cr_expect(same_number(got[i], want[i], tolerance), "%s[%zu] is %.17g instead of %.17g", what, i, got[i],
                  want[i]);
}

static inline void fill_random(double *data, size_t count, uint64_t *seed)
{
    for (size_t i = 0; i < count; i++)
        data[i] = (double)(float)(2 * bcam_random_unit(seed) - 1);
}

#endif
