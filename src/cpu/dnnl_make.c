/* dnnl_make.c - building primitives. */
#include "cpu/dnnl.h"

#include <stdio.h>
#include <string.h>

static bcam_dnnl *dnnl_of(const bcam_cpu_call *call)
{
    return call->context;
}

bcam_status bcam_dnnl_failed(dnnl_status_t status, const char *what, bcam_error *err)
{
    if (status == dnnl_out_of_memory)
        return bcam_fail(err, BCAM_E_MEMORY, "out of memory in oneDNN (%s)", what);
    return bcam_fail(err, BCAM_E_UNSUPPORTED, "oneDNN does not do this %s (status %d)", what, (int)status);
}

bcam_status bcam_dnnl_describe(const bcam_tensor *t, dnnl_memory_desc_t *md, bcam_error *err)
{
    dnnl_dims_t dim = {0}, stride = {0};
    memcpy(dim, t->dim, sizeof t->dim);
    memcpy(stride, t->stride, sizeof t->stride);
    dnnl_data_type_t type = t->dtype == BCAM_BF16 ? dnnl_bf16 : dnnl_f32;
    dnnl_status_t status = dnnl_memory_desc_init_by_strides(md, t->rank, dim, type, stride);
    return status == dnnl_success ? BCAM_OK : bcam_dnnl_failed(status, "memory layout", err);
}

bcam_status bcam_dnnl_any_order(const dnnl_memory_desc_t *md, dnnl_data_type_t type, dnnl_memory_desc_t *any,
                                bcam_error *err)
{
    dnnl_status_t status = dnnl_memory_desc_init_by_tag(any, md->ndims, md->dims, type, dnnl_format_tag_any);
    return status == dnnl_success ? BCAM_OK : bcam_dnnl_failed(status, "shape", err);
}

/* ---- jobs and their arguments ---- */

static bcam_dnnl_job *last_job(bcam_cpu_call *call)
{
    bcam_dnnl_state *s = call->state;
    return &s->jobs[s->job_count - 1];
}

/** Adds a job for a primitive. */
static bcam_status add_job(bcam_cpu_call *call, dnnl_primitive_desc_t desc, bcam_error *err)
{
    bcam_dnnl_state *s = call->state;
    if (!bcam_grow(&s->jobs, &s->job_capacity, s->job_count, sizeof *s->jobs))
        return bcam_fail_memory(err, sizeof *s->jobs, "a step of oneDNN");
    s->jobs[s->job_count] = (bcam_dnnl_job){0};
    dnnl_status_t done = dnnl_primitive_create(&s->jobs[s->job_count].primitive, desc);
    if (done != dnnl_success)
        return bcam_dnnl_failed(done, bcam_verb_name(call->step->verb), err);
    s->job_count++;
    return BCAM_OK;
}

bcam_status bcam_dnnl_bind(bcam_cpu_call *call, int index, const dnnl_memory_desc_t *md, void *data, bcam_error *err)
{
    bcam_dnnl_job *job = last_job(call);
    dnnl_memory_t memory = NULL;
    dnnl_status_t status = dnnl_memory_create(&memory, md, dnnl_of(call)->engine, data ? data : DNNL_MEMORY_NONE);
    if (status != dnnl_success)
        return bcam_dnnl_failed(status, "memory", err);
    job->args[job->arg_count++] = (dnnl_exec_arg_t){index, memory};
    return BCAM_OK;
}

/* … whose address is set before each run. */
static bcam_status bind_place(bcam_cpu_call *call, int index, const dnnl_memory_desc_t *md, bcam_dnnl_place place,
                              bcam_error *err)
{
    bcam_dnnl_state *s = call->state;
    if (!bcam_grow(&s->places, &s->place_capacity, s->place_count, sizeof *s->places))
        return bcam_fail_memory(err, sizeof *s->places, "a step of oneDNN");
    bcam_status status = bcam_dnnl_bind(call, index, md, NULL, err);
    if (status != BCAM_OK)
        return status;
    place.memory = last_job(call)->args[last_job(call)->arg_count - 1].memory;
    s->places[s->place_count++] = place;
    return BCAM_OK;
}

bcam_status bcam_dnnl_bind_operand(bcam_cpu_call *call, int index, const dnnl_memory_desc_t *md, const bcam_tensor *t,
                                   bcam_error *err)
{
    bool in = t >= call->in && t < call->in + BCAM_MAX_IN;
    int operand = (int)(in ? t - call->in : BCAM_MAX_IN + (t - call->out));
    return bind_place(call, index, md, (bcam_dnnl_place){.operand = operand}, err);
}

size_t bcam_dnnl_scratch(bcam_cpu_call *call, size_t bytes)
{
    enum { ALIGN = 4096 };
    size_t offset = call->scratch_bytes;
    call->scratch_bytes += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    return offset;
}

bcam_status bcam_dnnl_bind_scratch(bcam_cpu_call *call, int index, const dnnl_memory_desc_t *md, size_t offset,
                                   bcam_error *err)
{
    return bind_place(call, index, md, (bcam_dnnl_place){.operand = BCAM_DNNL_SCRATCH, .offset = offset}, err);
}

/** Adds a job that reorders; its memory is bound next, to DNNL_ARG_FROM and DNNL_ARG_TO. */
static bcam_status add_reorder(bcam_cpu_call *call, const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to,
                               bcam_error *err)
{
    dnnl_engine_t engine = dnnl_of(call)->engine;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t done = dnnl_reorder_primitive_desc_create(&desc, from, engine, to, engine, NULL);
    bcam_status status = done == dnnl_success ? add_job(call, desc, err) : bcam_dnnl_failed(done, "reordering", err);
    dnnl_primitive_desc_destroy(desc);
    return status;
}

bcam_status bcam_dnnl_move(bcam_cpu_call *call, const bcam_tensor *t, const dnnl_memory_desc_t *other, size_t offset,
                           bool in, bcam_error *err)
{
    dnnl_memory_desc_t md;
    bcam_status status = bcam_dnnl_describe(t, &md, err);
    if (status == BCAM_OK)
        status = add_reorder(call, in ? &md : other, in ? other : &md, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_bind_operand(call, in ? DNNL_ARG_FROM : DNNL_ARG_TO, &md, t, err);
    return status == BCAM_OK ? bcam_dnnl_bind_scratch(call, in ? DNNL_ARG_TO : DNNL_ARG_FROM, other, offset, err)
                             : status;
}

/* Weights are put in order once: a job that is run here and taken away again. */
static bcam_status pack(bcam_cpu_call *call, const bcam_tensor *w, const dnnl_memory_desc_t *have,
                        const dnnl_memory_desc_t *want, bcam_error *err)
{
    bcam_dnnl *dnnl = dnnl_of(call);
    bcam_dnnl_state *s = call->state, once = {0};
    call->state = &once;
    bcam_status status = add_reorder(call, have, want, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_bind(call, DNNL_ARG_FROM, have, w->data, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_bind(call, DNNL_ARG_TO, want, s->packed, err);
    if (status == BCAM_OK) {
        bcam_dnnl_job *job = &once.jobs[0];
        dnnl_status_t done = dnnl_primitive_execute(job->primitive, dnnl->stream, job->arg_count, job->args);
        if (done == dnnl_success)
            done = dnnl_stream_wait(dnnl->stream);
        status = done == dnnl_success ? BCAM_OK : bcam_dnnl_failed(done, "reordering of weights", err);
    }
    bcam_dnnl_state_fini(&once);
    call->state = s;
    return status;
}

/* The first job's weights are packed; those of further jobs are the same. */
static bcam_status pack_once(bcam_cpu_call *call, const bcam_tensor *w, const dnnl_memory_desc_t *have,
                             const dnnl_memory_desc_t *want, bcam_error *err)
{
    bcam_dnnl_state *s = call->state;
    if (s->packed)
        return dnnl_memory_desc_equal(&s->packed_as, want)
                   ? BCAM_OK
                   : bcam_fail(err, BCAM_E_UNSUPPORTED, "two orders of weights in '%s'", call->step->name);
    size_t bytes = dnnl_memory_desc_get_size(want);
    if (!(s->packed = bcam_alloc_aligned(bytes)))
        return bcam_fail_memory(err, bytes, "reordered weights");
    s->packed_as = *want;
    call->state_bytes += bytes;
    return pack(call, w, have, want, err);
}

bcam_status bcam_dnnl_bind_weights(bcam_cpu_call *call, const bcam_tensor *w, const dnnl_memory_desc_t *have,
                                   dnnl_primitive_desc_t desc, bcam_error *err)
{
    const dnnl_memory_desc_t *want = dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
    if (dnnl_memory_desc_equal(have, want))
        return bcam_dnnl_bind(call, DNNL_ARG_WEIGHTS, have, w->data, err);
    bcam_status status = pack_once(call, w, have, want, err);
    bcam_dnnl_state *s = call->state;
    return status == BCAM_OK ? bcam_dnnl_bind(call, DNNL_ARG_WEIGHTS, want, s->packed, err) : status;
}

/* ---- epilogues ---- */

/** Which epilogues oneDNN computes as exactly as plain C. */
static bool fused_activation(const bcam_cpu_call *call, dnnl_alg_kind_t *alg)
{
    bool finite = !dnnl_of(call)->not_finite;
    switch (call->step->act.kind) {
    case BCAM_UNARY_RELU:
        *alg = dnnl_eltwise_relu;
        return finite;
    case BCAM_UNARY_CLIP:
        *alg = dnnl_eltwise_clip;
        return finite;
    case BCAM_UNARY_LEAKY_RELU:
        *alg = dnnl_eltwise_relu;
        return true;
    case BCAM_UNARY_HARD_SWISH:
        *alg = dnnl_eltwise_hardswish;
        return true;
    default:
        return false;
    }
}

static dnnl_status_t append_residual(dnnl_post_ops_t ops, bcam_dnnl_residual how, const dnnl_memory_desc_t *residual)
{
    return how == BCAM_DNNL_NONE  ? dnnl_success
           : how == BCAM_DNNL_SUM ? dnnl_post_ops_append_sum(ops, 1)
                                  : dnnl_post_ops_append_binary(ops, dnnl_binary_add, residual);
}

bcam_status bcam_dnnl_bind_residual(bcam_cpu_call *call, const dnnl_memory_desc_t *md, const bcam_tensor *t,
                                    bcam_error *err)
{
    return bcam_dnnl_bind_operand(call, BCAM_DNNL_ARG_RESIDUAL, md, t, err);
}

bcam_status bcam_dnnl_attr(bcam_cpu_call *call, bcam_dnnl_residual how, const dnnl_memory_desc_t *residual,
                           dnnl_primitive_attr_t *attr, bcam_error *err)
{
    const bcam_unary_attr *act = &call->step->act;
    bcam_dnnl_state *s = call->state;
    dnnl_post_ops_t ops = NULL;
    dnnl_alg_kind_t alg;
    dnnl_status_t done = dnnl_primitive_attr_create(attr);
    if (done == dnnl_success)
        done = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    if (done == dnnl_success)
        done = dnnl_post_ops_create(&ops);
    if (done == dnnl_success)
        done = append_residual(ops, how, residual);
    if (done == dnnl_success && fused_activation(call, &alg)) {
        done = dnnl_post_ops_append_eltwise(ops, 1, alg, act->kind == BCAM_UNARY_RELU ? 0 : act->alpha, act->beta);
    } else if (act->kind != BCAM_UNARY_NONE) {
        s->pass = (bcam_step){.name = call->step->name, .verb = BCAM_VERB_UNARY, .u.unary = *act};
    }
    if (done == dnnl_success)
        done = dnnl_primitive_attr_set_post_ops(*attr, ops);
    dnnl_post_ops_destroy(ops);
    return done == dnnl_success ? BCAM_OK : bcam_dnnl_failed(done, "epilogue", err);
}

/* ---- an operation ---- */

/* oneDNN's plain reference is slower than ours. What goes through its sgemm splits sums by threads and batch; so does
 * "brgconv" on small pictures, though it is a tenth faster than "jit" on 3x3, a quarter where strided. ("brgconv_1x1"
 * and "brg" do not.) */
static bool will_do(const char *implementation)
{
    return !strstr(implementation, "ref") && !strstr(implementation, "gemm:") && !strstr(implementation, "brgconv:");
}

/** The first of oneDNN's implementations that will do. */
static dnnl_status_t choose(const void *operation, const_dnnl_primitive_attr_t attr, dnnl_engine_t engine,
                            dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *desc, const char **implementation)
{
    dnnl_primitive_desc_iterator_t each = NULL;
    dnnl_status_t done = dnnl_primitive_desc_iterator_create(&each, operation, attr, engine, hint);
    while (done == dnnl_success) {
        *desc = dnnl_primitive_desc_iterator_fetch(each);
        done =
            *desc ? dnnl_primitive_desc_query(*desc, dnnl_query_impl_info_str, 0, implementation) : dnnl_out_of_memory;
        if (done == dnnl_success && will_do(*implementation))
            break;
        dnnl_primitive_desc_destroy(*desc);
        *desc = NULL;
        if (done == dnnl_success)
            done = dnnl_primitive_desc_iterator_next(each);
    }
    dnnl_primitive_desc_iterator_destroy(each);
    return done == dnnl_iterator_ends ? dnnl_unimplemented : done;
}

bcam_status bcam_dnnl_choose(bcam_cpu_call *call, const void *operation, const_dnnl_primitive_attr_t attr,
                             dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *desc, bcam_error *err)
{
    bcam_dnnl_state *s = call->state;
    const char *implementation = "";
    dnnl_status_t done = choose(operation, attr, dnnl_of(call)->engine, hint, desc, &implementation);
    if (done != dnnl_success)
        return bcam_dnnl_failed(done, bcam_verb_name(call->step->verb), err);
    snprintf(s->algorithm, sizeof s->algorithm, "oneDNN %s", implementation);
    return BCAM_OK;
}

bcam_status bcam_dnnl_add(bcam_cpu_call *call, dnnl_primitive_desc_t desc, bcam_error *err)
{
    bcam_status status = add_job(call, desc, err);
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    size_t bytes = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
    if (status != BCAM_OK || bytes == 0)
        return status;
    return bcam_dnnl_bind_scratch(call, DNNL_ARG_SCRATCHPAD, scratch, bcam_dnnl_scratch(call, bytes), err);
}

void bcam_dnnl_state_fini(bcam_dnnl_state *s)
{
    for (size_t j = 0; j < s->job_count; j++) {
        for (int i = 0; i < s->jobs[j].arg_count; i++)
            dnnl_memory_destroy(s->jobs[j].args[i].memory);
        dnnl_primitive_destroy(s->jobs[j].primitive);
    }
    bcam_free(s->jobs);
    bcam_free(s->places);
    bcam_free(s->packed);
    bcam_free(s->own);
    *s = (bcam_dnnl_state){0};
}
