/* kernel_device.c - see kernel_device.h. A program runs its steps in order; it plans and shares nothing. */
#include "kernel_device.h"

#include <stdlib.h>
#include <string.h>

#include "dev/place.h"
#include "kernels.h"

struct bcam_device {
    bcam_dtype real;
    int layout;
};

struct bcam_program {
    bcam_device *device;
    int64_t k;
    bcam_value *values;
    bcam_tensor *tensors;
    void **blocks; /* where the memory of each value begins */
    bool *fixed;   /* its type and order are given by the verb: pixels, ids, maps */
    bool *constant_is_float;
    bcam_step *steps;
    size_t value_count, step_count;
    float *scratch;
};

static bcam_status device_probe(bcam_error *err)
{
    (void)err;
    return BCAM_OK;
}

static bcam_status device_open(const bcam_device_options *options, bcam_device **out, bcam_error *err)
{
    *out = bcam_alloc(1, sizeof **out);
    if (!*out)
        return bcam_fail_memory(err, sizeof **out, "a device");
    (*out)->layout = options->index;
    (*out)->real = options->precision == BCAM_PRECISION_FP16   ? BCAM_F16
                   : options->precision == BCAM_PRECISION_BF16 ? BCAM_BF16
                                                               : BCAM_F32;
    return BCAM_OK;
}

static void device_close(bcam_device **device)
{
    bcam_free(*device);
    *device = NULL;
}

static const char *device_describe(const bcam_device *device)
{
    return device->real == BCAM_F32 ? "kernels, fp32" : device->real == BCAM_F16 ? "kernels, fp16" : "kernels, bf16";
}

static bcam_status device_query(bcam_device *device, const bcam_plan *plan, const bcam_step *step, bcam_error *err)
{
    (void)device;
    if (!bcam_kernels[step->verb])
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "%s is not done by an own kernel", bcam_verb_name(step->verb));
    return bcam_step_check(plan, step, err);
}

static void device_destroy(bcam_program **program)
{
    bcam_program *p = *program;
    if (!p)
        return;
    for (size_t v = 0; p->blocks && v < p->value_count; v++)
        free(p->blocks[v]);
    bcam_free(p->blocks);
    bcam_free(p->values);
    bcam_free(p->tensors);
    bcam_free(p->fixed);
    bcam_free(p->constant_is_float);
    bcam_free(p->steps);
    free(p->scratch);
    bcam_free(p);
    *program = NULL;
}

/* Operands that a verb wants in a type or an order of its own. */
static void note_operands(bcam_program *p)
{
    for (size_t s = 0; s < p->step_count; s++) {
        const bcam_step *step = &p->steps[s];
        bool float_out = step->verb == BCAM_VERB_CAM || step->verb == BCAM_VERB_UPSAMPLE;
        for (int i = 0; i < BCAM_MAX_OUT; i++)
            if (step->out[i] >= 0)
                p->fixed[step->out[i]] |= float_out || (step->verb == BCAM_VERB_SELECT && i < 3);
        for (int i = 0; i < BCAM_MAX_IN; i++)
            if (step->in[i] >= 0) {
                p->fixed[step->in[i]] |= step->verb == BCAM_VERB_UPSAMPLE;
                p->constant_is_float[step->in[i]] |= step->verb == BCAM_VERB_NORM || step->verb == BCAM_VERB_NORM_BWD ||
                                                     step->verb == BCAM_VERB_PREP || step->verb == BCAM_VERB_CAM;
            }
    }
}

/* Row-major or channels-last, with `gap` elements behind every row of the second axis. */
static void lay(bcam_tensor *t, bool channels_last, int64_t gap)
{
    int64_t wide[BCAM_MAX_RANK];
    memcpy(wide, t->dim, sizeof wide);
    if (t->rank > 1)
        wide[t->rank - 1] += gap;
    if (channels_last && t->rank == 4) {
        wide[1] += gap;
        bcam_strides_channels_last(t->rank, wide, t->stride);
    } else {
        bcam_strides_dense(t->rank, wide, t->stride);
    }
}

/* Elements from the first to the last. */
static int64_t extent(const bcam_tensor *t)
{
    int64_t last = 0;
    for (int a = 0; a < t->rank; a++)
        last += (t->dim[a] - 1) * t->stride[a];
    return last + 1;
}

static bool is_resized(const bcam_program *p, int value)
{
    for (size_t s = 0; s < p->step_count; s++)
        if (p->steps[s].verb == BCAM_VERB_RESIZE && p->steps[s].out[0] == value)
            return true;
    return false;
}

static bcam_status place_value(bcam_program *p, size_t v, bcam_error *err)
{
    const bcam_value *value = &p->values[v];
    const bcam_device *device = p->device;
    bool constant = value->role == BCAM_ROLE_CONST;
    bool pixels = value->dtype == BCAM_U8 && (value->role == BCAM_ROLE_INPUT || is_resized(p, (int)v));
    bool as_float = p->fixed[v] || (constant && p->constant_is_float[v] && device->layout == 0);
    bool real = value->dtype == BCAM_F32 && !as_float;
    bcam_tensor *t = &p->tensors[v];
    *t = (bcam_tensor){.dtype = real ? device->real : value->dtype, .rank = value->rank};
    memcpy(t->dim, value->dim, sizeof t->dim);
    /* What is reached through host() is dense. */
    bool plain = value->dtype != BCAM_F32;
    lay(t, pixels || (!p->fixed[v] && device->layout != 1 && !constant && !plain),
        device->layout == 2 && !plain ? 5 : 0);
    size_t element = bcam_dtype_bytes(t->dtype), lead = device->layout == 2 && !plain ? element : 0;
    size_t bytes = (size_t)extent(t) * element + lead;
    if (posix_memalign(&p->blocks[v], 256, bytes))
        return bcam_fail_memory(err, bytes, "a value");
    memset(p->blocks[v], 0xff, bytes);
    t->data = (char *)p->blocks[v] + lead;
    return BCAM_OK;
}

static bcam_status fill_constant(bcam_program *p, const bcam_plan *plan, size_t v, bcam_error *err)
{
    const bcam_tensor *t = &p->tensors[v];
    bcam_dtype as = plan->values[v].dtype;
    size_t count = (size_t)bcam_count(t->rank, t->dim);
    void *dense = bcam_alloc(count, bcam_dtype_bytes(as));
    if (!dense)
        return bcam_fail_memory(err, count * bcam_dtype_bytes(as), "a constant");
    bcam_const_read(&plan->values[v], as, dense);
    bcam_elements_write(t, as, dense);
    bcam_free(dense);
    return BCAM_OK;
}

static bcam_status copy_plan(bcam_program *p, const bcam_plan *plan, bcam_error *err)
{
    size_t values = plan->value_count, steps = plan->step_count;
    p->value_count = values;
    p->step_count = steps;
    p->k = plan->k;
    p->values = bcam_alloc(values, sizeof *p->values);
    p->tensors = bcam_alloc(values, sizeof *p->tensors);
    p->blocks = bcam_alloc(values, sizeof *p->blocks);
    p->fixed = bcam_alloc(values, sizeof *p->fixed);
    p->constant_is_float = bcam_alloc(values, sizeof *p->constant_is_float);
    p->steps = bcam_alloc(steps, sizeof *p->steps);
    if (!p->values || !p->tensors || !p->blocks || !p->fixed || !p->constant_is_float || !p->steps)
        return bcam_fail_memory(err, values * sizeof *p->values, "a program");
    memcpy(p->values, plan->values, values * sizeof *p->values);
    memcpy(p->steps, plan->steps, steps * sizeof *p->steps);
    for (size_t s = 0; s < steps; s++)
        p->steps[s].name = "a step"; /* the plan's names die with it */
    return BCAM_OK;
}

static void bind(const bcam_program *p, const bcam_step *step, int64_t k, bcam_kernel_call *call)
{
    *call = (bcam_kernel_call){.step = step, .scratch = p->scratch};
    for (int i = 0; i < BCAM_MAX_IN + BCAM_MAX_OUT; i++) {
        int v = i < BCAM_MAX_IN ? step->in[i] : step->out[i - BCAM_MAX_IN];
        bcam_tensor *t = i < BCAM_MAX_IN ? &call->in[i] : &call->out[i - BCAM_MAX_IN];
        if (v < 0)
            continue;
        *t = p->tensors[v];
        memcpy(t->dim, bcam_step_operand(p->values, p->k, step, v).dim, sizeof t->dim);
        if (step->each_k && p->values[v].each_k)
            t->data = (char *)t->data + (size_t)(k * t->dim[0] * t->stride[0]) * bcam_dtype_bytes(t->dtype);
    }
}

static bcam_status make_scratch(bcam_program *p, bcam_error *err)
{
    size_t most = 0;
    for (size_t s = 0; s < p->step_count; s++) {
        bcam_kernel_call call;
        bind(p, &p->steps[s], 0, &call);
        size_t bytes = bcam_kernel_scratch(&call);
        most = bytes > most ? bytes : most;
    }
    void *scratch = NULL;
    if (most > 0 && posix_memalign(&scratch, 256, most))
        return bcam_fail_memory(err, most, "scratch");
    p->scratch = scratch;
    return BCAM_OK;
}

static bcam_status device_compile(bcam_device *device, const bcam_plan *plan, bcam_program **out, bcam_error *err)
{
    bcam_program *p = bcam_alloc(1, sizeof *p);
    bcam_status status;
    *out = NULL;
    if (!p)
        return bcam_fail_memory(err, sizeof *p, "a program");
    p->device = device;
    if ((status = copy_plan(p, plan, err)))
        goto out;
    note_operands(p);
    for (size_t v = 0; v < p->value_count && !status; v++) {
        status = place_value(p, v, err);
        if (!status && p->values[v].role == BCAM_ROLE_CONST)
            status = fill_constant(p, plan, v, err);
    }
    if (!status)
        status = make_scratch(p, err);
out:
    if (status)
        device_destroy(&p);
    *out = p;
    return status;
}

static void *device_host(bcam_program *p, int value, int pair)
{
    (void)pair;
    return p->values[value].dtype != BCAM_F32 ? p->tensors[value].data : NULL;
}

static void device_used(bcam_program *p, int value, int pair, size_t bytes)
{
    (void)p, (void)value, (void)pair, (void)bytes;
}

static bcam_status device_run(bcam_program *p, unsigned segments, int pair, bcam_error *err)
{
    (void)pair;
    for (size_t s = 0; s < p->step_count; s++) {
        const bcam_step *step = &p->steps[s];
        for (int64_t k = 0; k < (step->each_k ? p->k : 1) && segments & BCAM_SEGMENT_BIT(step->segment); k++) {
            bcam_kernel_call call;
            bind(p, step, k, &call);
            cudaError_t code = bcam_kernels[step->verb](&call, NULL);
            if (code != cudaSuccess)
                return bcam_fail(err, BCAM_E_DEVICE, "%s: launching failed with %d", bcam_verb_name(step->verb),
                                 (int)code);
        }
    }
    return BCAM_OK;
}

static bcam_status device_wait(bcam_program *p, int pair, bcam_error *err)
{
    (void)p, (void)pair, (void)err;
    return BCAM_OK;
}

static bcam_status device_read(bcam_program *p, int value, bcam_dtype as, void *out, bcam_error *err)
{
    (void)err;
    bcam_elements_read(&p->tensors[value], as, out);
    return BCAM_OK;
}

static bcam_status device_write(bcam_program *p, int value, bcam_dtype as, const void *data, bcam_error *err)
{
    (void)err;
    bcam_elements_write(&p->tensors[value], as, data);
    return BCAM_OK;
}

static size_t device_bytes(const bcam_program *p)
{
    (void)p;
    return 0;
}

static const char *device_algorithm(const bcam_program *p, size_t step)
{
    (void)p, (void)step;
    return "own kernel";
}

const bcam_device_api kernel_device = {
    .abi = BCAM_DEVICE_ABI,
    .name = "kernels",
    .pairs = 1,
    .probe = device_probe,
    .open = device_open,
    .close = device_close,
    .describe = device_describe,
    .query = device_query,
    .compile = device_compile,
    .destroy = device_destroy,
    .host = device_host,
    .used = device_used,
    .run = device_run,
    .wait = device_wait,
    .read = device_read,
    .write = device_write,
    .bytes = device_bytes,
    .algorithm = device_algorithm,
};
