/* dnnl.c - oneDNN laid over plain C: convolutions and products, both ways.
 *
 * A call becomes one primitive, or a few. prepare makes them, brings constant weights into the order that oneDNN likes best, once, and
 * binds all memory but the scratch block; run executes them. What oneDNN does not do, does only by its own plain
 * reference, or does not do exactly as batchcam defines it, is declined with E_UNSUPPORTED and stays with plain C.
 *
 * Output bytes must depend neither on the batch nor on the number of threads. Direct convolutions and products can have
 * that, but not every implementation does: see will_do() in dnnl_make.c.
 *
 * A residual is added by a post-op. Of the epilogues, those that oneDNN computes as exactly as plain C are
 * fused; the others are a plain C pass over the output.
 *
 * oneDNN's ReLU and clip turn a NaN into one of their bounds, where plain C (and PyTorch) carry it on. Photos are
 * finite, so NaNs come from weights that are not: from the first such weight on, these two are not fused. What
 * overflows on the way from finite weights is not seen.
 */
#include <float.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>

#include "cpu/dnnl.h"

/* ---- the device's context ---- */

bcam_status bcam_cpu_dnnl_open(void **out, bcam_error *err)
{
    bcam_dnnl *c = bcam_alloc(1, sizeof *c);
    *out = c;
    if (!c)
        return bcam_fail_memory(err, sizeof *c, "oneDNN");
    c->forced = BCAM_CPU_WAYS;
    if (dnnl_engine_create(&c->engine, dnnl_cpu, 0) == dnnl_success &&
        dnnl_stream_create(&c->stream, c->engine, dnnl_stream_default_flags) == dnnl_success)
        return BCAM_OK;
    bcam_cpu_dnnl_close(out);
    return bcam_fail(err, BCAM_E_DEVICE, "oneDNN cannot make an engine for this processor");
}

void bcam_cpu_dnnl_close(void **opened)
{
    bcam_dnnl *c = *opened;
    if (c) {
        dnnl_stream_destroy(c->stream);
        dnnl_engine_destroy(c->engine);
    }
    if (c)
        bcam_free(c->choices);
    bcam_free(c);
    *opened = NULL;
}

void bcam_cpu_dnnl_force(void *context, bcam_cpu_way way)
{
    ((bcam_dnnl *)context)->forced = way;
}

const char *bcam_cpu_dnnl_version(void)
{
#define TEXT(x) #x
#define VERSION(major, minor, patch) "oneDNN " TEXT(major) "." TEXT(minor) "." TEXT(patch)
    return VERSION(DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR, DNNL_VERSION_PATCH);
}

/* ---- slots ---- */

/* oneDNN takes its number of threads from OpenMP, when a primitive is made as well as when it runs. */
static int enter_threads(const bcam_cpu_call *call)
{
    int before = omp_get_max_threads();
    omp_set_num_threads(call->threads);
    return before;
}

static bool all_finite(const bcam_tensor *t)
{
    const float *at = t->data;
    int64_t count = bcam_count(t->rank, t->dim); /* constants are packed, in any order */
    int bad = 0;
    for (int64_t i = 0; i < count; i++) /* without a way out in between, so that it is done in vectors */
        bad |= !(fabsf(at[i]) <= FLT_MAX);
    return !bad;
}

/** What every slot asks first. */
static bcam_status accept(const bcam_cpu_call *call, bcam_error *err)
{
    if (call->in[1].data && !(call->in_const >> 1 & 1))
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "weights are not constant");
    for (int i = 1; i <= 2; i++)
        if ((call->in_const >> i & 1) && call->in[i].data && !all_finite(&call->in[i]))
            ((bcam_dnnl *)call->context)->not_finite = true;
    return BCAM_OK;
}

static void release(bcam_cpu_call *call)
{
    if (call->state)
        bcam_dnnl_state_fini(call->state);
    bcam_free(call->state);
    call->state = NULL;
    call->state_bytes = call->scratch_bytes = 0;
}

static bcam_status prepare(bcam_cpu_call *call, bcam_status (*make)(bcam_cpu_call *, bcam_error *), bcam_error *err)
{
    bcam_status status = accept(call, err);
    if (status != BCAM_OK)
        return status;
    call->state = bcam_alloc(1, sizeof(bcam_dnnl_state));
    call->state_bytes = sizeof(bcam_dnnl_state);
    if (!call->state)
        return bcam_fail_memory(err, sizeof(bcam_dnnl_state), "a step of oneDNN");
    int before = enter_threads(call);
    status = make(call, err);
    omp_set_num_threads(before);
    if (status != BCAM_OK)
        release(call);
    return status;
}

static bcam_status prepare_conv(bcam_cpu_call *call, bcam_error *err)
{
    return prepare(call, bcam_dnnl_choose_way, err);
}

static bcam_status prepare_gemm(bcam_cpu_call *call, bcam_error *err)
{
    return prepare(call, bcam_dnnl_gemm, err);
}

static bcam_status prepare_gemm_bwd(bcam_cpu_call *call, bcam_error *err)
{
    return prepare(call, bcam_dnnl_gemm_bwd, err);
}

static bcam_status prepare_pool(bcam_cpu_call *call, bcam_error *err)
{
    return prepare(call, bcam_dnnl_pool, err);
}

/* Operands may have moved since they were described. */
static dnnl_status_t place(const bcam_cpu_call *call, const bcam_dnnl_place *p)
{
    void *at = p->operand == BCAM_DNNL_SCRATCH ? (char *)call->scratch + p->offset
               : p->operand < BCAM_MAX_IN      ? call->in[p->operand].data
                                               : call->out[p->operand - BCAM_MAX_IN].data;
    return dnnl_memory_set_data_handle(p->memory, at);
}

static dnnl_status_t run_jobs(const bcam_cpu_call *call)
{
    const bcam_dnnl_state *s = call->state;
    bcam_dnnl *dnnl = call->context;
    dnnl_status_t done = dnnl_success;
    int before = enter_threads(call);
    for (size_t j = 0; j < s->job_count && done == dnnl_success; j++)
        done = dnnl_primitive_execute(s->jobs[j].primitive, dnnl->stream, s->jobs[j].arg_count, s->jobs[j].args);
    if (done == dnnl_success)
        done = dnnl_stream_wait(dnnl->stream);
    omp_set_num_threads(before);
    return done;
}

bcam_status bcam_dnnl_run(const bcam_cpu_call *call, bcam_error *err)
{
    const bcam_dnnl_state *s = call->state;
    dnnl_status_t done = dnnl_success;
    for (size_t i = 0; i < s->place_count && done == dnnl_success; i++)
        done = place(call, &s->places[i]);
    if (done == dnnl_success)
        done = s->run ? s->run(call) : run_jobs(call);
    if (done != dnnl_success)
        return bcam_fail(err, BCAM_E_DEVICE, "oneDNN failed in '%s' (status %d)", call->step->name, (int)done);
    return s->pass.name ? bcam_cpu_apply(call, &s->pass, err) : BCAM_OK;
}

static const char *algorithm(const bcam_cpu_call *call)
{
    return ((bcam_dnnl_state *)call->state)->algorithm;
}

void bcam_cpu_overlay_dnnl(bcam_cpu_verb table[BCAM_VERB_COUNT])
{
    table[BCAM_VERB_CONV] = (bcam_cpu_verb){prepare_conv, bcam_dnnl_run, release, algorithm};
    table[BCAM_VERB_CONV_BWD] = (bcam_cpu_verb){prepare_conv, bcam_dnnl_run, release, algorithm};
    table[BCAM_VERB_GEMM] = (bcam_cpu_verb){prepare_gemm, bcam_dnnl_run, release, algorithm};
    table[BCAM_VERB_GEMM_BWD] = (bcam_cpu_verb){prepare_gemm_bwd, bcam_dnnl_run, release, algorithm};
    table[BCAM_VERB_POOL] = (bcam_cpu_verb){prepare_pool, bcam_dnnl_run, release, algorithm};
}

bool bcam_cpu_dnnl_bf16(void)
{
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}
