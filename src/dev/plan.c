/* plan.c - building plans, and reading what they hold. */
#include <string.h>

#include "dev/dev.h"

void bcam_plan_init(bcam_plan *plan, int64_t batch, int64_t k)
{
    *plan = (bcam_plan){.batch = batch, .k = k};
}

void bcam_plan_fini(bcam_plan *plan)
{
    bcam_free(plan->values);
    bcam_free(plan->steps);
    bcam_pool_fini(&plan->pool);
    *plan = (bcam_plan){0};
}

int bcam_plan_value(bcam_plan *plan, const char *name, bcam_role role, bcam_dtype dtype, int rank, const int64_t *dim)
{
    char *copy = bcam_pool_strdup(&plan->pool, name);
    if (!copy || !bcam_grow(&plan->values, &plan->value_capacity, plan->value_count, sizeof *plan->values))
        return -1;
    bcam_value *value = &plan->values[plan->value_count];
    *value = (bcam_value){.name = copy, .role = role, .dtype = dtype, .rank = rank};
    memcpy(value->dim, dim, (size_t)rank * sizeof *dim);
    return (int)plan->value_count++;
}

/* *slot: the plan's own copy. */
static int add_const(bcam_plan *plan, const char *name, bcam_dtype dtype, int rank, const int64_t *dim,
                     const void *data, void **slot)
{
    size_t count = (size_t)bcam_count(rank, dim), size = bcam_dtype_bytes(dtype);
    void *copy = bcam_pool_alloc(&plan->pool, count, size);
    int id = copy ? bcam_plan_value(plan, name, BCAM_ROLE_CONST, dtype, rank, dim) : -1;
    if (id < 0)
        return -1;
    if (data)
        memcpy(copy, data, count * size);
    plan->values[id].data = copy;
    plan->values[id].data_dtype = dtype;
    bcam_strides_dense(rank, dim, plan->values[id].data_stride);
    *slot = copy;
    return id;
}

int bcam_plan_const_f32(bcam_plan *plan, const char *name, int rank, const int64_t *dim, const float *data,
                        float **slot)
{
    void *copy = NULL;
    int id = add_const(plan, name, BCAM_F32, rank, dim, data, &copy);
    if (slot && id >= 0)
        *slot = copy;
    return id;
}

int bcam_plan_const_u8(bcam_plan *plan, const char *name, int rank, const int64_t *dim, const uint8_t *data,
                       uint8_t **slot)
{
    void *copy = NULL;
    int id = add_const(plan, name, BCAM_U8, rank, dim, data, &copy);
    if (slot && id >= 0)
        *slot = copy;
    return id;
}

bcam_step *bcam_plan_step(bcam_plan *plan, bcam_verb verb, bcam_segment segment, const char *name)
{
    char *copy = bcam_pool_strdup(&plan->pool, name);
    if (!copy || !bcam_grow(&plan->steps, &plan->step_capacity, plan->step_count, sizeof *plan->steps))
        return NULL;
    bcam_step *step = &plan->steps[plan->step_count++];
    *step = (bcam_step){.name = copy, .verb = verb, .segment = segment};
    for (int i = 0; i < BCAM_MAX_IN; i++)
        step->in[i] = -1;
    for (int i = 0; i < BCAM_MAX_OUT; i++)
        step->out[i] = -1;
    return step;
}

double bcam_step_flop(const bcam_plan *plan, const bcam_step *step)
{
    bool conv = step->verb == BCAM_VERB_CONV || step->verb == BCAM_VERB_CONV_BWD;
    bool gemm = step->verb == BCAM_VERB_GEMM || step->verb == BCAM_VERB_GEMM_BWD;
    if (!conv && !gemm)
        return 0;
    /* Every element of the convolution's output (dy, backwards) meets C/groups * kh * kw weights; gemm: K of them. */
    bool backward = step->verb == BCAM_VERB_CONV_BWD || step->verb == BCAM_VERB_GEMM_BWD;
    const bcam_value *y = &plan->values[backward ? step->in[0] : step->out[0]];
    const bcam_value *w = &plan->values[step->in[1]];
    return 2.0 * (double)bcam_count(y->rank, y->dim) * (double)bcam_count(w->rank - 1, w->dim + 1);
}

/* One element at an address that may be unaligned, as double (exact for all types but 64-bit integers beyond 2^53). */
static double element(const unsigned char *at, bcam_dtype dtype)
{
    union {
        float f32;
        double f64;
        int32_t i32;
        int64_t i64;
        uint16_t u16;
    } u = {0};
    memcpy(&u, at, bcam_dtype_bytes(dtype));
    switch (dtype) {
    case BCAM_F32:
        return (double)u.f32;
    case BCAM_F64:
        return u.f64;
    case BCAM_I32:
        return u.i32;
    case BCAM_I64:
        return (double)u.i64;
    case BCAM_F16:
        return (double)bcam_f16_to_f32(u.u16);
    case BCAM_BF16:
        return (double)bcam_bf16_to_f32(u.u16);
    case BCAM_U8:
        return *at;
    }
    return 0;
}

/* Integers are read as integers: INT64_MAX, "to the end" in a Slice, is no double. */
static int64_t integer_element(const unsigned char *at, bcam_dtype dtype)
{
    int64_t i64;
    int32_t i32;
    if (dtype == BCAM_I64)
        return memcpy(&i64, at, sizeof i64), i64;
    if (dtype == BCAM_I32)
        return memcpy(&i32, at, sizeof i32), i32;
    double x = element(at, dtype);
    return x >= -0x1p62 && x <= 0x1p62 ? (int64_t)x : 0;
}

static void store(void *out, size_t index, bcam_dtype as, const bcam_value *value, const unsigned char *at,
                  const float *scale)
{
    if (as == BCAM_I64)
        ((int64_t *)out)[index] = integer_element(at, value->data_dtype);
    else if (as == BCAM_I32)
        ((int32_t *)out)[index] = (int32_t)integer_element(at, value->data_dtype);
    else if (as == BCAM_U8)
        ((uint8_t *)out)[index] = (uint8_t)integer_element(at, value->data_dtype);
    else if (as == BCAM_F64)
        ((double *)out)[index] = element(at, value->data_dtype) * (scale ? (double)*scale : 1.0);
    else /* the factor is multiplied in float, so that a folded weight is the same number on every device */
        ((float *)out)[index] = (float)element(at, value->data_dtype) * (scale ? *scale : 1.0f);
}

void bcam_const_read(const bcam_value *value, bcam_dtype as, void *out)
{
    size_t count = (size_t)bcam_count(value->rank, value->dim), size = bcam_dtype_bytes(value->data_dtype);
    bcam_tensor shape = {.rank = value->rank};
    memcpy(shape.dim, value->dim, sizeof shape.dim);
    memcpy(shape.stride, value->data_stride, sizeof shape.stride);
    if (!value->scale && as == value->data_dtype && bcam_tensor_is_dense(&shape)) {
        memcpy(out, value->data, count * size);
        return;
    }
    int64_t index[BCAM_MAX_RANK] = {0}, at = 0;
    for (size_t i = 0; i < count; i++) {
        store(out, i, as, value, (const unsigned char *)value->data + at * (int64_t)size,
              value->scale ? &value->scale[index[0]] : NULL);
        for (int a = value->rank - 1; a >= 0; a--) {
            at += value->data_stride[a];
            if (++index[a] < value->dim[a])
                break;
            at -= index[a] * value->data_stride[a];
            index[a] = 0;
        }
    }
}
