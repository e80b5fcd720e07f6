/* dnnl.c - oneDNN laid over plain C: convolutions and products, both ways. The only file that knows oneDNN (2.x).
 *
 * A call becomes one primitive. prepare makes it, brings constant weights into the order that it likes best, once, and
 * binds all memory but the scratch block; run executes it. What oneDNN does not do, does only by its own plain
 * reference, or does not do exactly as batchcam defines it, is declined with E_UNSUPPORTED and stays with plain C.
 *
 * Output bytes must depend neither on the batch nor on the number of threads. Direct convolutions and products can have
 * that, but not every implementation does: see will_do().
 *
 * A residual is added by a binary post-op. Of the epilogues, those that oneDNN computes as exactly as plain C are
 * fused; the others are a plain C pass over the output.
 *
 * oneDNN's ReLU and clip turn a NaN into one of their bounds, where plain C (and PyTorch) carry it on. Photos are
 * finite, so NaNs come from weights that are not: from the first such weight on, these two are not fused. What
 * overflows on the way from finite weights is not seen.
 */
#include <dnnl.h>
#include <float.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"

typedef struct context {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    bool not_finite; /* a NaN or an infinity has been seen among constants */
} context;

enum { MAX_ARGS = 8 };

typedef struct state {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[MAX_ARGS]; /* every memory is owned */
    int arg_count;
    dnnl_memory_t scratchpad; /* one of args, or NULL */
    void *packed;             /* weights in the primitive's order, or NULL */
    bcam_cpu_call pass;       /* an epilogue that is not fused; pass.step is NULL where there is none */
    bcam_step pass_step;
    char algorithm[64];
} state;

/* ---- the device's context ---- */

bcam_status bcam_cpu_dnnl_open(void **out, bcam_error *err)
{
    context *c = bcam_alloc(1, sizeof *c);
    *out = c;
    if (!c)
        return bcam_fail_memory(err, sizeof *c, "oneDNN");
    if (dnnl_engine_create(&c->engine, dnnl_cpu, 0) == dnnl_success &&
        dnnl_stream_create(&c->stream, c->engine, dnnl_stream_default_flags) == dnnl_success)
        return BCAM_OK;
    bcam_cpu_dnnl_close(out);
    return bcam_fail(err, BCAM_E_DEVICE, "oneDNN cannot make an engine for this processor");
}

void bcam_cpu_dnnl_close(void **opened)
{
    context *c = *opened;
    if (c) {
        dnnl_stream_destroy(c->stream);
        dnnl_engine_destroy(c->engine);
    }
    bcam_free(c);
    *opened = NULL;
}

const char *bcam_cpu_dnnl_version(void)
{
#define TEXT(x) #x
#define VERSION(major, minor, patch) "oneDNN " TEXT(major) "." TEXT(minor) "." TEXT(patch)
    return VERSION(DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR, DNNL_VERSION_PATCH);
}

/* ---- building a primitive ---- */

static bcam_status failed(dnnl_status_t status, const char *what, bcam_error *err)
{
    if (status == dnnl_out_of_memory)
        return bcam_fail(err, BCAM_E_MEMORY, "out of memory in oneDNN (%s)", what);
    return bcam_fail(err, BCAM_E_UNSUPPORTED, "oneDNN does not do this %s (status %d)", what, (int)status);
}

/* oneDNN takes its number of threads from OpenMP, when a primitive is made as well as when it runs. */
static int enter_threads(const bcam_cpu_call *call)
{
    int before = omp_get_max_threads();
    omp_set_num_threads(call->threads);
    return before;
}

static bcam_status describe(const bcam_tensor *t, dnnl_memory_desc_t *md, bcam_error *err)
{
    dnnl_dims_t dim = {0}, stride = {0};
    memcpy(dim, t->dim, sizeof t->dim);
    memcpy(stride, t->stride, sizeof t->stride);
    dnnl_status_t status = dnnl_memory_desc_init_by_strides(md, t->rank, dim, dnnl_f32, stride);
    return status == dnnl_success ? BCAM_OK : failed(status, "memory layout", err);
}

/** The same shape, in whatever order the primitive likes. */
static bcam_status any_order(const dnnl_memory_desc_t *md, dnnl_memory_desc_t *any, bcam_error *err)
{
    dnnl_status_t status = dnnl_memory_desc_init_by_tag(any, md->ndims, md->dims, dnnl_f32, dnnl_format_tag_any);
    return status == dnnl_success ? BCAM_OK : failed(status, "shape of weights", err);
}

static bcam_status bind_memory(bcam_cpu_call *call, int index, const dnnl_memory_desc_t *md, void *data,
                               bcam_error *err)
{
    state *s = call->state;
    dnnl_memory_t memory = NULL;
    dnnl_status_t status =
        dnnl_memory_create(&memory, md, ((context *)call->context)->engine, data ? data : DNNL_MEMORY_NONE);
    if (status != dnnl_success)
        return failed(status, "memory", err);
    s->args[s->arg_count++] = (dnnl_exec_arg_t){index, memory};
    return BCAM_OK;
}

/** Binds weights, reordered into memory of the state where the primitive wants another order and they never change. */
static bcam_status bind_weights(bcam_cpu_call *call, const bcam_tensor *w, const dnnl_memory_desc_t *have,
                                const dnnl_memory_desc_t *want, bcam_error *err)
{
    state *s = call->state;
    context *c = call->context;
    if (dnnl_memory_desc_equal(have, want))
        return bind_memory(call, DNNL_ARG_WEIGHTS, have, w->data, err);
    size_t bytes = dnnl_memory_desc_get_size(want);
    s->packed = bcam_alloc_aligned(bytes);
    if (!s->packed)
        return bcam_fail_memory(err, bytes, "reordered weights");
    call->state_bytes += bytes;
    dnnl_memory_t from = NULL;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t reorder = NULL;
    bcam_status status = bind_memory(call, DNNL_ARG_WEIGHTS, want, s->packed, err);
    if (status != BCAM_OK)
        return status;
    dnnl_status_t done = dnnl_memory_create(&from, have, c->engine, w->data);
    if (done == dnnl_success)
        done = dnnl_reorder_primitive_desc_create(&desc, have, c->engine, want, c->engine, NULL);
    if (done == dnnl_success)
        done = dnnl_primitive_create(&reorder, desc);
    if (done == dnnl_success) {
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, s->args[s->arg_count - 1].memory}};
        done = dnnl_primitive_execute(reorder, c->stream, 2, args);
    }
    if (done == dnnl_success)
        done = dnnl_stream_wait(c->stream);
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(desc);
    dnnl_memory_destroy(from);
    return done == dnnl_success ? BCAM_OK : failed(done, "reordering of weights", err);
}

/** Which epilogues oneDNN computes as exactly as plain C. */
static bool fused_activation(const bcam_cpu_call *call, dnnl_alg_kind_t *alg)
{
    bool finite = !((context *)call->context)->not_finite;
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

/** Post-ops: residual (its memory is bound later, as post-op 0), then the activation; where that is not fused, a pass
 *  over y. */
static bcam_status make_attr(bcam_cpu_call *call, const bcam_tensor *residual, dnnl_primitive_attr_t *attr,
                             bcam_error *err)
{
    const bcam_unary_attr *act = &call->step->act;
    state *s = call->state;
    dnnl_post_ops_t ops = NULL;
    dnnl_alg_kind_t alg;
    dnnl_memory_desc_t md;
    dnnl_status_t done = dnnl_primitive_attr_create(attr);
    if (done == dnnl_success)
        done = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    if (done == dnnl_success)
        done = dnnl_post_ops_create(&ops);
    if (done == dnnl_success && residual && residual->data)
        done = describe(residual, &md, err) == BCAM_OK ? dnnl_post_ops_append_binary(ops, dnnl_binary_add, &md)
                                                       : dnnl_unimplemented;
    if (done == dnnl_success && fused_activation(call, &alg)) {
        done = dnnl_post_ops_append_eltwise(ops, 1, alg, act->kind == BCAM_UNARY_RELU ? 0 : act->alpha, act->beta);
    } else if (act->kind != BCAM_UNARY_NONE) {
        s->pass_step = (bcam_step){.name = call->step->name, .verb = BCAM_VERB_UNARY, .u.unary = *act};
        s->pass = (bcam_cpu_call){
            .step = &s->pass_step, .in = {call->out[0]}, .out = {call->out[0]}, .threads = call->threads};
    }
    if (done == dnnl_success)
        done = dnnl_primitive_attr_set_post_ops(*attr, ops);
    dnnl_post_ops_destroy(ops);
    return done == dnnl_success ? BCAM_OK : failed(done, "epilogue", err);
}

/* oneDNN's plain reference is slower than ours. What goes through its sgemm splits sums by threads and batch; so does
 * "brgconv" on small pictures, though it is a tenth faster than "jit" on 3x3, a quarter where strided. ("brgconv_1x1"
 * and "brg" do not.) */
static bool will_do(const char *implementation)
{
    return !strstr(implementation, "ref") && !strstr(implementation, "gemm:") && !strstr(implementation, "brgconv:");
}

/** The first of oneDNN's implementations that will do. */
static dnnl_status_t choose(const void *operation, dnnl_primitive_attr_t attr, dnnl_engine_t engine,
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

/** Makes the primitive of an operation. *desc is the caller's to destroy. */
static bcam_status make_primitive(bcam_cpu_call *call, const void *operation, dnnl_primitive_attr_t attr,
                                  dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *desc, bcam_error *err)
{
    state *s = call->state;
    const char *implementation = "";
    dnnl_status_t done = choose(operation, attr, ((context *)call->context)->engine, hint, desc, &implementation);
    if (done == dnnl_success)
        done = dnnl_primitive_create(&s->primitive, *desc);
    if (done != dnnl_success)
        return failed(done, bcam_verb_name(call->step->verb), err);
    snprintf(s->algorithm, sizeof s->algorithm, "oneDNN %s", implementation);
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(*desc, dnnl_query_scratchpad_md, 0);
    call->scratch_bytes = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
    if (call->scratch_bytes == 0)
        return BCAM_OK;
    bcam_status status = bind_memory(call, DNNL_ARG_SCRATCHPAD, scratch, NULL, err);
    if (status == BCAM_OK)
        s->scratchpad = s->args[s->arg_count - 1].memory;
    return status;
}

static bcam_status bind_tensor(bcam_cpu_call *call, int index, const bcam_tensor *t, bcam_error *err)
{
    dnnl_memory_desc_t md;
    bcam_status status = describe(t, &md, err);
    return status == BCAM_OK ? bind_memory(call, index, &md, t->data, err) : status;
}

/* ---- conv ---- */

/** Weights as oneDNN sees them: (M,C/groups,kh,kw), or (groups,M/groups,C/groups,kh,kw). */
static bcam_status describe_conv_weights(const bcam_tensor *w, int64_t groups, dnnl_memory_desc_t *md, bcam_error *err)
{
    if (groups == 1)
        return describe(w, md, err);
    bcam_tensor g = {.rank = 5};
    g.dim[0] = groups;
    g.dim[1] = w->dim[0] / groups;
    g.stride[0] = g.dim[1] * w->stride[0];
    g.stride[1] = w->stride[0];
    memcpy(g.dim + 2, w->dim + 1, 3 * sizeof *g.dim);
    memcpy(g.stride + 2, w->stride + 1, 3 * sizeof *g.stride);
    return describe(&g, md, err);
}

typedef struct conv_shapes {
    dnnl_memory_desc_t x, y, b, w, w_any;
    bool bias;
    dnnl_dims_t stride, dilation, begin, end; /* oneDNN counts dilation from 0 */
} conv_shapes;

static bcam_status describe_conv(const bcam_cpu_call *call, const bcam_tensor *x, const bcam_tensor *y, conv_shapes *c,
                                 bcam_error *err)
{
    const bcam_conv_attr *a = &call->step->u.conv;
    bcam_status status = describe(x, &c->x, err);
    if (status == BCAM_OK)
        status = describe(y, &c->y, err);
    if (status == BCAM_OK)
        status = describe_conv_weights(&call->in[1], a->groups, &c->w, err);
    if (status == BCAM_OK)
        status = any_order(&c->w, &c->w_any, err);
    for (int i = 0; i < 2; i++) {
        c->stride[i] = a->stride[i];
        c->dilation[i] = a->dilation[i] - 1;
        c->begin[i] = a->pad_begin[i];
        c->end[i] = a->pad_end[i];
    }
    return status;
}

static dnnl_status_t forward_desc(const conv_shapes *c, dnnl_convolution_desc_t *d)
{
    return dnnl_dilated_convolution_forward_desc_init(d, dnnl_forward_inference, dnnl_convolution_direct, &c->x,
                                                      &c->w_any, c->bias ? &c->b : NULL, &c->y, c->stride, c->dilation,
                                                      c->begin, c->end);
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
    for (int i = 0; i < BCAM_MAX_IN; i++)
        if (call->in[i].data && call->in[i].dtype != BCAM_F32)
            return bcam_fail(err, BCAM_E_UNSUPPORTED, "operands are not float32");
    if (!(call->in_const >> 1 & 1))
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "weights are not constant");
    for (int i = 1; i <= 2; i++)
        if ((call->in_const >> i & 1) && call->in[i].data && !all_finite(&call->in[i]))
            ((context *)call->context)->not_finite = true;
    return BCAM_OK;
}

static bcam_status conv_forward(bcam_cpu_call *call, bcam_error *err)
{
    const bcam_tensor *x = &call->in[0], *b = &call->in[2], *r = &call->in[3], *y = &call->out[0];
    conv_shapes c = {.bias = b->data != NULL};
    dnnl_convolution_desc_t operation;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t desc = NULL;
    /* Where one photo's residual is a mere vector, oneDNN adds it in another order for one photo than for several. */
    if (r->data && (y->dim[1] == 1 || y->dim[2] * y->dim[3] == 1))
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "the residual of '%s' is a vector", call->step->name);
    bcam_status status = describe_conv(call, x, y, &c, err);
    if (status == BCAM_OK && c.bias)
        status = describe(b, &c.b, err);
    if (status == BCAM_OK)
        status = make_attr(call, r, &attr, err);
    if (status == BCAM_OK && forward_desc(&c, &operation) != dnnl_success)
        status = failed(dnnl_unimplemented, "convolution", err);
    if (status == BCAM_OK)
        status = make_primitive(call, &operation, attr, NULL, &desc, err);
    if (status == BCAM_OK)
        status =
            bind_weights(call, &call->in[1], &c.w, dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0), err);
    if (status == BCAM_OK)
        status = bind_memory(call, DNNL_ARG_SRC, &c.x, x->data, err);
    if (status == BCAM_OK && c.bias)
        status = bind_memory(call, DNNL_ARG_BIAS, &c.b, b->data, err);
    if (status == BCAM_OK && r->data)
        status = bind_tensor(call, DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, r, err);
    if (status == BCAM_OK)
        status = bind_memory(call, DNNL_ARG_DST, &c.y, y->data, err);
    dnnl_primitive_desc_destroy(desc);
    dnnl_primitive_attr_destroy(attr);
    return status;
}

static bcam_status conv_backward(bcam_cpu_call *call, bcam_error *err)
{
    const bcam_tensor *dy = &call->in[0], *dx = &call->out[0];
    conv_shapes c = {.bias = false};
    dnnl_convolution_desc_t forward, operation;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t hint = NULL, desc = NULL;
    dnnl_status_t done = dnnl_success;
    bcam_status status = describe_conv(call, dx, dy, &c, err);
    if (status == BCAM_OK)
        status = make_attr(call, NULL, &attr, err);
    if (status == BCAM_OK) {
        done = forward_desc(&c, &forward);
        if (done == dnnl_success)
            done = dnnl_primitive_desc_create(&hint, &forward, NULL, ((context *)call->context)->engine, NULL);
        if (done == dnnl_success)
            done = dnnl_dilated_convolution_backward_data_desc_init(&operation, dnnl_convolution_direct, &c.x, &c.w_any,
                                                                    &c.y, c.stride, c.dilation, c.begin, c.end);
        if (done != dnnl_success)
            status = failed(done, "backward convolution", err);
    }
    if (status == BCAM_OK)
        status = make_primitive(call, &operation, attr, hint, &desc, err);
    if (status == BCAM_OK)
        status =
            bind_weights(call, &call->in[1], &c.w, dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0), err);
    if (status == BCAM_OK)
        status = bind_memory(call, DNNL_ARG_DIFF_DST, &c.y, dy->data, err);
    if (status == BCAM_OK)
        status = bind_memory(call, DNNL_ARG_DIFF_SRC, &c.x, dx->data, err);
    dnnl_primitive_desc_destroy(desc);
    dnnl_primitive_desc_destroy(hint);
    dnnl_primitive_attr_destroy(attr);
    return status;
}

/* ---- gemm ---- */

/** y = x w, with w (inner, outer) in any strides; bias (outer) or absent. */
static bcam_status product(bcam_cpu_call *call, const bcam_tensor *w, const bcam_tensor *bias, bcam_error *err)
{
    const bcam_tensor *x = &call->in[0], *y = &call->out[0];
    bool biased = bias && bias->data;
    dnnl_memory_desc_t mx, my, mw, mw_any, mb;
    dnnl_matmul_desc_t operation;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t desc = NULL;
    bcam_tensor row = {.rank = 2, .dim = {1, y->dim[1]}, .stride = {y->dim[1], 1}};
    bcam_status status = describe(x, &mx, err);
    if (status == BCAM_OK)
        status = describe(y, &my, err);
    if (status == BCAM_OK)
        status = describe(w, &mw, err);
    if (status == BCAM_OK)
        status = any_order(&mw, &mw_any, err);
    if (status == BCAM_OK && biased)
        status = describe(&row, &mb, err);
    if (status == BCAM_OK)
        status = make_attr(call, NULL, &attr, err);
    if (status == BCAM_OK && dnnl_matmul_desc_init(&operation, &mx, &mw_any, biased ? &mb : NULL, &my) != dnnl_success)
        status = failed(dnnl_unimplemented, "product", err);
    if (status == BCAM_OK)
        status = make_primitive(call, &operation, attr, NULL, &desc, err);
    if (status == BCAM_OK)
        status = bind_weights(call, w, &mw, dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0), err);
    if (status == BCAM_OK)
        status = bind_memory(call, DNNL_ARG_SRC, &mx, x->data, err);
    if (status == BCAM_OK && biased)
        status = bind_memory(call, DNNL_ARG_BIAS, &mb, bias->data, err);
    if (status == BCAM_OK)
        status = bind_memory(call, DNNL_ARG_DST, &my, y->data, err);
    dnnl_primitive_desc_destroy(desc);
    dnnl_primitive_attr_destroy(attr);
    return status;
}

static bcam_status gemm_forward(bcam_cpu_call *call, bcam_error *err)
{
    const bcam_tensor *w = &call->in[1]; /* (M,K), multiplied transposed */
    bcam_tensor turned = *w;
    turned.dim[0] = w->dim[1];
    turned.dim[1] = w->dim[0];
    turned.stride[0] = w->stride[1];
    turned.stride[1] = w->stride[0];
    return product(call, &turned, &call->in[2], err);
}

static bcam_status gemm_backward(bcam_cpu_call *call, bcam_error *err)
{
    return product(call, &call->in[1], NULL, err);
}

/* ---- slots ---- */

static void release(bcam_cpu_call *call)
{
    state *s = call->state;
    if (!s)
        return;
    for (int i = 0; i < s->arg_count; i++)
        dnnl_memory_destroy(s->args[i].memory);
    dnnl_primitive_destroy(s->primitive);
    bcam_free(s->packed);
    bcam_free(s);
    call->state = NULL;
    call->state_bytes = call->scratch_bytes = 0;
}

static bcam_status prepare(bcam_cpu_call *call, bcam_status (*make)(bcam_cpu_call *, bcam_error *), bcam_error *err)
{
    bcam_status status = accept(call, err);
    if (status != BCAM_OK)
        return status;
    call->state = bcam_alloc(1, sizeof(state));
    call->state_bytes = sizeof(state);
    if (!call->state)
        return bcam_fail_memory(err, sizeof(state), "a step of oneDNN");
    int before = enter_threads(call);
    status = make(call, err);
    omp_set_num_threads(before);
    if (status != BCAM_OK)
        release(call);
    return status;
}

static bcam_status prepare_conv(bcam_cpu_call *call, bcam_error *err)
{
    return prepare(call, conv_forward, err);
}

static bcam_status prepare_conv_bwd(bcam_cpu_call *call, bcam_error *err)
{
    return prepare(call, conv_backward, err);
}

static bcam_status prepare_gemm(bcam_cpu_call *call, bcam_error *err)
{
    return prepare(call, gemm_forward, err);
}

static bcam_status prepare_gemm_bwd(bcam_cpu_call *call, bcam_error *err)
{
    return prepare(call, gemm_backward, err);
}

static bcam_status run(const bcam_cpu_call *call, bcam_error *err)
{
    state *s = call->state;
    context *c = call->context;
    int before = enter_threads(call);
    dnnl_status_t done = s->scratchpad ? dnnl_memory_set_data_handle(s->scratchpad, call->scratch) : dnnl_success;
    if (done == dnnl_success)
        done = dnnl_primitive_execute(s->primitive, c->stream, s->arg_count, s->args);
    if (done == dnnl_success)
        done = dnnl_stream_wait(c->stream);
    omp_set_num_threads(before);
    if (done != dnnl_success)
        return bcam_fail(err, BCAM_E_DEVICE, "oneDNN failed in '%s' (status %d)", call->step->name, (int)done);
    return s->pass.step ? bcam_cpu_plain_f32[BCAM_VERB_UNARY].run(&s->pass, err) : BCAM_OK;
}

static const char *algorithm(const bcam_cpu_call *call)
{
    return ((state *)call->state)->algorithm;
}

void bcam_cpu_overlay_dnnl(bcam_cpu_verb table[BCAM_VERB_COUNT])
{
    table[BCAM_VERB_CONV] = (bcam_cpu_verb){prepare_conv, run, release, algorithm};
    table[BCAM_VERB_CONV_BWD] = (bcam_cpu_verb){prepare_conv_bwd, run, release, algorithm};
    table[BCAM_VERB_GEMM] = (bcam_cpu_verb){prepare_gemm, run, release, algorithm};
    table[BCAM_VERB_GEMM_BWD] = (bcam_cpu_verb){prepare_gemm_bwd, run, release, algorithm};
}
