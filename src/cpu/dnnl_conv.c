/* dnnl_conv.c - convolutions by oneDNN's own, both ways: on channels-last memory, or on oneDNN's blocks of channels, which it likes better where
 * there are groups. Blocks cost a reordering of what is read and of what is written. */
#include <string.h>

#include "cpu/dnnl.h"

/** What is read and what is written: forward x and y, backward dy and dx. */
typedef struct side {
    const bcam_tensor *tensor;
    int arg;
    dnnl_query_t query;
    dnnl_memory_desc_t have, want; /* as it lies; as the primitive has it */
    size_t offset;                 /* in the scratch block, where these differ */
} side;

typedef struct conv {
    bcam_cpu_call *call;
    bcam_cpu_way way;
    bool backward;
    side from, to;
    const bcam_tensor *x, *y; /* as the forward convolution has them: shapes */
    dnnl_memory_desc_t mx, my, mb, mr, mw, mw_any;
    const bcam_tensor *bias, *residual;       /* NULL where absent */
    dnnl_dims_t stride, dilation, begin, end; /* oneDNN counts dilation from 0 */
    dnnl_primitive_desc_t desc;
} conv;

static bool is_blocked(const conv *c)
{
    return c->way == BCAM_CPU_BLOCKED;
}

/** Weights as oneDNN sees them: (M,C/groups,kh,kw), or (groups,M/groups,C/groups,kh,kw). */
static bcam_status describe_weights(const bcam_tensor *w, int64_t groups, dnnl_memory_desc_t *md, bcam_error *err)
{
    if (groups == 1)
        return bcam_dnnl_describe(w, md, err);
    bcam_tensor g = {.rank = 5};
    g.dim[0] = groups;
    g.dim[1] = w->dim[0] / groups;
    g.stride[0] = g.dim[1] * w->stride[0];
    g.stride[1] = w->stride[0];
    memcpy(g.dim + 2, w->dim + 1, 3 * sizeof *g.dim);
    memcpy(g.stride + 2, w->stride + 1, 3 * sizeof *g.stride);
    return bcam_dnnl_describe(&g, md, err);
}

/* Blocked ways leave the order of x and y to oneDNN. What is some of the channels of another tensor is wanted without gaps. */
static bcam_status describe_data(const conv *c, const bcam_tensor *t, dnnl_memory_desc_t *md, bcam_error *err)
{
    bcam_tensor want = *t;
    if (want.stride[1] == 1)
        bcam_strides_channels_last(want.rank, want.dim, want.stride);
    bcam_status status = bcam_dnnl_describe(&want, md, err);
    if (status != BCAM_OK || !is_blocked(c))
        return status;
    dnnl_memory_desc_t have = *md;
    return bcam_dnnl_any_order(&have, have.data_type, md, err);
}

static bcam_status describe(conv *c, bcam_error *err)
{
    const bcam_conv_attr *a = &c->call->step->u.conv;
    bcam_status status = describe_data(c, c->x, &c->mx, err);
    if (status == BCAM_OK)
        status = describe_data(c, c->y, &c->my, err);
    if (status == BCAM_OK)
        status = describe_weights(&c->call->in[1], a->groups, &c->mw, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_any_order(&c->mw, c->mx.data_type, &c->mw_any, err);
    if (status == BCAM_OK && c->bias)
        status = bcam_dnnl_describe(c->bias, &c->mb, err);
    if (status == BCAM_OK && c->residual)
        status = bcam_dnnl_describe(c->residual, &c->mr, err);
    for (int i = 0; i < 2; i++) {
        c->stride[i] = a->stride[i];
        c->dilation[i] = a->dilation[i] - 1;
        c->begin[i] = a->pad_begin[i];
        c->end[i] = a->pad_end[i];
    }
    return status;
}

static dnnl_status_t forward_operation(const conv *c, dnnl_convolution_desc_t *d)
{
    return dnnl_dilated_convolution_forward_desc_init(d, dnnl_forward_inference, dnnl_convolution_direct, &c->mx,
                                                      &c->mw_any, c->bias ? &c->mb : NULL, &c->my, c->stride,
                                                      c->dilation, c->begin, c->end);
}

static bcam_status choose_forward(conv *c, bcam_error *err)
{
    dnnl_convolution_desc_t operation;
    dnnl_primitive_attr_t attr = NULL;
    bcam_dnnl_residual how = !c->residual ? BCAM_DNNL_NONE : is_blocked(c) ? BCAM_DNNL_SUM : BCAM_DNNL_BINARY;
    bcam_status status = bcam_dnnl_attr(c->call, how, &c->mr, &attr, err);
    if (status == BCAM_OK && forward_operation(c, &operation) != dnnl_success)
        status = bcam_dnnl_failed(dnnl_unimplemented, "convolution", err);
    if (status == BCAM_OK)
        status = bcam_dnnl_choose(c->call, &operation, attr, NULL, &c->desc, err);
    dnnl_primitive_attr_destroy(attr);
    return status;
}

static bcam_status choose_backward(conv *c, bcam_error *err)
{
    dnnl_convolution_desc_t forward, operation;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t hint = NULL;
    dnnl_engine_t engine = ((bcam_dnnl *)c->call->context)->engine;
    bcam_status status = bcam_dnnl_attr(c->call, BCAM_DNNL_NONE, NULL, &attr, err);
    dnnl_status_t done = forward_operation(c, &forward);
    if (done == dnnl_success)
        done = dnnl_primitive_desc_create(&hint, &forward, NULL, engine, NULL);
    if (done == dnnl_success)
        done = dnnl_dilated_convolution_backward_data_desc_init(&operation, dnnl_convolution_direct, &c->mx, &c->mw_any,
                                                                &c->my, c->stride, c->dilation, c->begin, c->end);
    if (status == BCAM_OK && done != dnnl_success)
        status = bcam_dnnl_failed(done, "backward convolution", err);
    if (status == BCAM_OK)
        status = bcam_dnnl_choose(c->call, &operation, attr, hint, &c->desc, err);
    dnnl_primitive_desc_destroy(hint);
    dnnl_primitive_attr_destroy(attr);
    return status;
}

/* ---- the jobs: reorder what is read, compute, reorder what was written ---- */

static bool moves(const side *s)
{
    return !dnnl_memory_desc_equal(&s->have, &s->want);
}

static bcam_status settle_side(conv *c, side *s, bcam_error *err)
{
    s->want = *dnnl_primitive_desc_query_md(c->desc, s->query, 0);
    bcam_status status = bcam_dnnl_describe(s->tensor, &s->have, err);
    if (status == BCAM_OK && moves(s))
        s->offset = bcam_dnnl_scratch(c->call, dnnl_memory_desc_get_size(&s->want));
    return status;
}

static bcam_status bind_side(conv *c, const side *s, bcam_error *err)
{
    return moves(s) ? bcam_dnnl_bind_scratch(c->call, s->arg, &s->want, s->offset, err)
                    : bcam_dnnl_bind_operand(c->call, s->arg, &s->have, s->tensor, err);
}

/* What a sum post-op adds to must lie in y first. */
static bcam_status move_residual(conv *c, bcam_error *err)
{
    return moves(&c->to) ? bcam_dnnl_move(c->call, c->residual, &c->to.want, c->to.offset, true, err)
                         : bcam_fail(err, BCAM_E_UNSUPPORTED, "a sum in place is not wanted");
}

static bcam_status add_jobs(conv *c, bcam_error *err)
{
    const bcam_tensor *w = &c->call->in[1];
    bcam_status status = settle_side(c, &c->from, err);
    if (status == BCAM_OK)
        status = settle_side(c, &c->to, err);
    if (status == BCAM_OK && moves(&c->from))
        status = bcam_dnnl_move(c->call, c->from.tensor, &c->from.want, c->from.offset, true, err);
    if (status == BCAM_OK && c->residual && is_blocked(c))
        status = move_residual(c, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_add(c->call, c->desc, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_bind_weights(c->call, w, &c->mw, c->desc, err);
    if (status == BCAM_OK)
        status = bind_side(c, &c->from, err);
    if (status == BCAM_OK)
        status = bind_side(c, &c->to, err);
    if (status == BCAM_OK && c->bias)
        status = bcam_dnnl_bind(c->call, DNNL_ARG_BIAS, &c->mb, c->bias->data, err);
    if (status == BCAM_OK && c->residual && !is_blocked(c))
        status = bcam_dnnl_bind_residual(c->call, &c->mr, c->residual, err);
    if (status == BCAM_OK && moves(&c->to))
        status = bcam_dnnl_move(c->call, c->to.tensor, &c->to.want, c->to.offset, false, err);
    return status;
}

static conv forward_conv(bcam_cpu_call *call, bcam_cpu_way way)
{
    return (conv){.call = call,
                  .way = way,
                  .x = &call->in[0],
                  .y = &call->out[0],
                  .from = {.tensor = &call->in[0], .arg = DNNL_ARG_SRC, .query = dnnl_query_src_md},
                  .to = {.tensor = &call->out[0], .arg = DNNL_ARG_DST, .query = dnnl_query_dst_md},
                  .bias = call->in[2].data ? &call->in[2] : NULL,
                  .residual = call->in[3].data ? &call->in[3] : NULL};
}

static conv backward_conv(bcam_cpu_call *call, bcam_cpu_way way)
{
    return (conv){.call = call,
                  .way = way,
                  .backward = true,
                  .x = &call->out[0],
                  .y = &call->in[0],
                  .from = {.tensor = &call->in[0], .arg = DNNL_ARG_DIFF_DST, .query = dnnl_query_diff_dst_md},
                  .to = {.tensor = &call->out[0], .arg = DNNL_ARG_DIFF_SRC, .query = dnnl_query_diff_src_md}};
}

bcam_status bcam_dnnl_conv(bcam_cpu_call *call, bcam_cpu_way way, bcam_error *err)
{
    bool backward = call->step->verb == BCAM_VERB_CONV_BWD;
    conv c = backward ? backward_conv(call, way) : forward_conv(call, way);
    /* Where one photo's residual is a mere vector, oneDNN adds it in another order for one photo than for several. */
    if (c.residual && (c.y->dim[1] == 1 || c.y->dim[2] * c.y->dim[3] == 1))
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "the residual of '%s' is a vector", call->step->name);
    bcam_status status = describe(&c, err);
    if (status == BCAM_OK)
        status = backward ? choose_backward(&c, err) : choose_forward(&c, err);
    if (status == BCAM_OK)
        status = add_jobs(&c, err);
    dnnl_primitive_desc_destroy(c.desc);
    return status;
}
