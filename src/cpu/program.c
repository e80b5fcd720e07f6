/* program.c - the CPU device: opening, compiling, running. */
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "cpu/fast.h"
#include "cpu/program.h"

/* ---- the device ---- */

static bcam_status cpu_probe(bcam_error *err)
{
    (void)err;
    return BCAM_OK;
}

static void cpu_close(bcam_device **device)
{
    if (!*device)
        return;
    if ((*device)->context)
        bcam_cpu_dnnl_close(&(*device)->context);
    bcam_free(*device);
    *device = NULL;
}

static bcam_status resolve_options(bcam_device_options *o, bcam_error *err)
{
    enum { MOST_THREADS = 4096 };
    if (o->index != 0)
        return bcam_fail(err, BCAM_E_ARGUMENT, "there is no CPU device %d; leave the number away", o->index);
    if (o->threads < 0 || o->threads > MOST_THREADS)
        return bcam_fail(err, BCAM_E_ARGUMENT, "%d threads will not do; give 1 to %d, or 0 for all cores", o->threads,
                         MOST_THREADS);
    if (o->precision == BCAM_PRECISION_DEFAULT)
        o->precision = BCAM_PRECISION_FP32;
    if (o->precision == BCAM_PRECISION_BF16 && !o->reference && !bcam_cpu_dnnl_bf16())
        return bcam_fail(err, BCAM_E_UNSUPPORTED,
                         "this processor does not multiply bfloat16; choose --precision fp32 or auto");
    if (o->precision != BCAM_PRECISION_FP32 && o->precision != BCAM_PRECISION_FP64 &&
        o->precision != BCAM_PRECISION_BF16)
        return bcam_fail(err, BCAM_E_UNSUPPORTED,
                         "the CPU computes in fp32 and bf16; choose one of these, or --device cuda for tf32 and fp16");
    if (o->threads == 0)
        o->threads = omp_get_num_procs(); /* as many as this process may use */
    return BCAM_OK;
}

static bcam_status cpu_open(const bcam_device_options *options, bcam_device **out, bcam_error *err)
{
    bcam_status status;
    bcam_device *device = bcam_alloc(1, sizeof *device);
    *out = NULL;
    if (!device)
        return bcam_fail_memory(err, sizeof *device, "a device");
    device->options = *options;
    if ((status = resolve_options(&device->options, err)))
        goto out;
    bool twice = device->options.precision == BCAM_PRECISION_FP64;
    const char *how = twice ? "plain C in double" : "plain C";
    device->plain = twice                       ? bcam_cpu_plain_f64
                    : device->options.reference ? bcam_cpu_plain_f32
                                                : bcam_cpu_fast(0).table;
    if (!twice && !device->options.reference) {
        if ((status = bcam_cpu_dnnl_open(&device->context, err)))
            goto out;
        bcam_cpu_overlay_dnnl(device->slots);
        how = bcam_cpu_dnnl_version();
    }
    snprintf(device->text, sizeof device->text, "cpu (%s, %d thread%s)", how, device->options.threads,
             device->options.threads == 1 ? "" : "s");
out:
    if (status)
        cpu_close(&device);
    *out = device;
    return status;
}

static const char *cpu_describe(const bcam_device *device)
{
    return device->text;
}

static bcam_status cpu_query(bcam_device *device, const bcam_plan *plan, const bcam_step *step, bcam_error *err)
{
    (void)device;
    return bcam_step_check(plan, step, err);
}

void *bcam_cpu_context(bcam_device *device)
{
    return device->context;
}

bcam_cpu_verb *bcam_cpu_slots(bcam_device *device)
{
    return device->slots;
}

/* ---- compiling ---- */

static void cpu_destroy(bcam_program **program)
{
    bcam_program *p = *program;
    if (!p)
        return;
    for (size_t c = 0; c < p->call_count; c++)
        bcam_cpu_release_call(p, c);
    bcam_free(p->arena);
    bcam_free(p->constants);
    bcam_free(p->scratch);
    bcam_placement_fini(&p->place);
    bcam_free(p);
    *program = NULL;
}

static bcam_status copy_plan(bcam_program *p, const bcam_plan *plan, bcam_error *err)
{
    bcam_status status = bcam_placement_init(&p->place, plan, err);
    if (status)
        return status;
    p->born = bcam_pool_alloc(&p->place.pool, p->place.value_count, sizeof *p->born);
    p->first_call = bcam_pool_alloc(&p->place.pool, p->place.step_count + 1, sizeof *p->first_call);
    return p->born && p->first_call ? BCAM_OK : bcam_fail_memory(err, p->place.pool.bytes, "a program");
}

static bcam_status cpu_compile(bcam_device *device, const bcam_plan *plan, bcam_program **out, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    bcam_program *program = NULL;
    *out = NULL;
    for (size_t s = 0; s < plan->step_count && !status; s++)
        status = bcam_step_check(plan, &plan->steps[s], err);
    if (status)
        return status;
    if (!(program = bcam_alloc(1, sizeof *program)))
        return bcam_fail_memory(err, sizeof *program, "a program");
    program->device = device;
    program->photos = plan->batch;
    if ((status = copy_plan(program, plan, err)) || (status = bcam_cpu_place(program, plan, err)) ||
        (status = bcam_cpu_bind_steps(program, err)))
        goto out;
    if (device->options.guard)
        bcam_cpu_guard_start(program);
out:
    if (status)
        cpu_destroy(&program);
    *out = program;
    return status;
}

/* ---- running ---- */

static void *moved(void *data, int64_t bytes)
{
    return data ? (char *)data + bytes : NULL;
}

static bcam_status run_call(const bcam_program *p, int index, int64_t pass, bcam_error *err)
{
    bcam_cpu_call call = p->calls[index];
    for (int i = 0; pass && i < BCAM_MAX_IN; i++)
        call.in[i].data = moved(call.in[i].data, pass * p->moves[index][i]);
    for (int i = 0; pass && i < BCAM_MAX_OUT; i++)
        call.out[i].data = moved(call.out[i].data, pass * p->moves[index][BCAM_MAX_IN + i]);
    return p->slot[index]->run(&call, err);
}

static bcam_status run_step(bcam_program *p, int step, int64_t pass, bcam_error *err)
{
    bool guard = p->device->options.guard;
    double begin = p->seconds ? omp_get_wtime() : 0;
    bcam_status status = BCAM_OK;
    if (guard)
        bcam_cpu_guard_before(p, step);
    for (int c = p->first_call[step]; c < p->first_call[step + 1] && !status; c++)
        status = run_call(p, c, pass, err);
    if (guard && !status)
        status = bcam_cpu_guard_after(p, step, err);
    if (p->seconds)
        p->seconds[step] += omp_get_wtime() - begin;
    return status;
}

static bcam_status cpu_run(bcam_program *program, unsigned segments, int pair, bcam_error *err)
{
    (void)pair;
    bcam_status status = BCAM_OK;
    for (const bcam_cpu_range *r = program->ranges; r < program->ranges + program->range_count; r++)
        for (int64_t pass = 0; pass < program->photos / r->photos && !status; pass++)
            for (int s = r->first; s < r->end && !status; s++)
                if (segments & BCAM_SEGMENT_BIT(program->place.steps[s].segment) && !program->place.alias[s])
                    status = run_step(program, s, pass, err);
    return status;
}

void bcam_cpu_time_steps(bcam_program *program, double *seconds)
{
    program->seconds = seconds;
}

static bcam_status cpu_wait(bcam_program *program, int pair, bcam_error *err)
{
    (void)program, (void)pair, (void)err;
    return BCAM_OK; /* run has waited */
}

/* ---- values ---- */

static void *cpu_host(bcam_program *program, int value, int pair)
{
    (void)pair;
    if (value < 0 || (size_t)value >= program->place.value_count)
        return NULL;
    const bcam_tensor *t = &program->place.tensors[value];
    const bcam_value *v = &program->place.values[value];
    bool pixels = v->dtype == BCAM_U8 && v->rank == 4; /* channels-last, which is N,H,W,3 */
    if ((v->role != BCAM_ROLE_INPUT && v->role != BCAM_ROLE_OUTPUT) || t->dtype != v->dtype ||
        (!pixels && !bcam_tensor_is_dense(t)))
        return NULL;
    return t->data;
}

static void cpu_used(bcam_program *program, int value, int pair, size_t bytes)
{
    (void)program, (void)value, (void)pair, (void)bytes; /* nothing is copied */
}

static bcam_status check_access(const bcam_program *p, int value, bcam_dtype as, bcam_error *err)
{
    bcam_status status = bcam_placement_access(&p->place, value, as, err);
    if (!status && !p->place.tensors[value].data)
        status =
            bcam_fail(err, BCAM_E_ARGUMENT, "'%s' is used by no step; it has no memory", p->place.values[value].name);
    return status;
}

static bcam_status cpu_read(bcam_program *program, int value, bcam_dtype as, void *out, bcam_error *err)
{
    bcam_status status = check_access(program, value, as, err);
    if (!status)
        bcam_elements_read(&program->place.tensors[value], as, out);
    return status;
}

static bcam_status cpu_write(bcam_program *program, int value, bcam_dtype as, const void *data, bcam_error *err)
{
    bcam_status status = check_access(program, value, as, err);
    if (status)
        return status;
    bcam_elements_write(&program->place.tensors[value], as, data);
    if (program->place.values[value].role != BCAM_ROLE_CONST)
        return BCAM_OK;
    /* Slots may hold the constant in an order of their own. */
    for (size_t s = 0; s < program->place.step_count; s++)
        for (int i = 0; i < BCAM_MAX_IN; i++)
            for (int c = program->first_call[s];
                 program->place.steps[s].in[i] == value && c < program->first_call[s + 1]; c++) {
                bcam_cpu_release_call(program, (size_t)c);
                if ((status = bcam_cpu_prepare_call(program, (size_t)c, err)))
                    return status;
            }
    return bcam_cpu_share_scratch(program, err);
}

static size_t cpu_bytes(const bcam_program *program)
{
    size_t bytes = program->arena_bytes + program->constant_bytes + program->scratch_bytes;
    for (size_t c = 0; c < program->call_count; c++)
        bytes += program->calls[c].state_bytes;
    return bytes;
}

static const char *cpu_algorithm(const bcam_program *program, size_t step)
{
    if (step >= program->place.step_count)
        return "";
    if (program->place.alias[step])
        return "alias";
    int call = program->first_call[step];
    const bcam_cpu_verb *slot = program->slot[call];
    return slot->algorithm ? slot->algorithm(&program->calls[call]) : "plain";
}

const bcam_device_api bcam_cpu_device = {
    .abi = BCAM_DEVICE_ABI,
    .name = "cpu",
    .precision = BCAM_PRECISION_FP32,
    .pairs = 1,
    .probe = cpu_probe,
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .query = cpu_query,
    .compile = cpu_compile,
    .destroy = cpu_destroy,
    .host = cpu_host,
    .used = cpu_used,
    .run = cpu_run,
    .wait = cpu_wait,
    .read = cpu_read,
    .write = cpu_write,
    .bytes = cpu_bytes,
    .algorithm = cpu_algorithm,
};
