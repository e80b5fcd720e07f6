/* dnnl_winograd.c - 3x3 convolutions of stride 1, both ways, by winograd.h's transformations and products of oneDNN.
 *
 * Each thread takes whole blocks of tiles through all three parts, so that what lies between them stays in its cache. The size of a block changes
 * no byte: a row of a product does not depend on how many there are. */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "cpu/dnnl.h"
#include "cpu/winograd.h"

enum {
    PLACES = BCAM_WINOGRAD_PLACES,
    LANES = BCAM_WINOGRAD_LANES,
    OWN = 512 << 10,   /* bytes of a core's own cache for what lies between the parts */
    SHARED = 12 << 20, /* … of the cache that cores share */
    LEAST_TILES = 12,  /* in a block: a product of fewer rows is slow */
    MOST_DEPTH = 384   /* oneDNN copies deeper weights each time */
};

/** Blocks of tiles. A thread's jobs: the slices' products of a whole block, then those of the last one. */
typedef struct tiles {
    bcam_winograd shape; /* addresses are those of the call at each run */
    int64_t block, last, blocks, depth, slices;
    size_t in, out, patch, thread; /* offsets in a thread's scratch, and its size */
} tiles;

static bool is_whole(const bcam_tensor *t)
{
    return t->rank == 4 && t->dim[1] % LANES == 0 && t->stride[1] == 1;
}

static bool fits(const bcam_cpu_call *call)
{
    const bcam_conv_attr *a = &call->step->u.conv;
    const bcam_tensor *x = &call->in[0], *w = &call->in[1], *r = &call->in[3], *y = &call->out[0];
    bool residual = call->step->verb == BCAM_VERB_CONV && r->data;
    bool square = w->dim[2] == 3 && w->dim[3] == 3 && a->groups == 1;
    for (int i = 0; i < 2; i++)
        square &= a->stride[i] == 1 && a->dilation[i] == 1;
    return square && is_whole(x) && is_whole(y) && x->dtype == y->dtype &&
           (!residual || (is_whole(r) && r->dtype == y->dtype));
}

static int64_t tiles_of(int64_t pixels)
{
    return (pixels + BCAM_WINOGRAD_TILE - 1) / BCAM_WINOGRAD_TILE;
}

/* Weights that fit the cache that cores share come from there again for every block; bigger ones come from memory, for fewer and larger blocks. */
static void part(tiles *t, const bcam_cpu_call *call)
{
    bcam_winograd *g = &t->shape;
    int64_t from = g->x.dim[1], to = g->y.dim[1], a_tile = PLACES * (from + to) * (int64_t)sizeof(float);
    int64_t weights = PLACES * from * to * (int64_t)sizeof(float), room = weights > SHARED ? SHARED : OWN;
    int64_t block = room / a_tile < LEAST_TILES ? LEAST_TILES : room / a_tile;
    int64_t a_thread = (g->tiles + call->threads - 1) / call->threads, parts = (a_thread + block - 1) / block;
    t->block = (a_thread + parts - 1) / parts;
    t->blocks = (g->tiles + t->block - 1) / t->block;
    t->last = g->tiles - (t->blocks - 1) * t->block;
}

/* The deepest slices that divide the channels evenly. */
static void slice(tiles *t)
{
    int64_t channels = t->shape.x.dim[1], slices = (channels + MOST_DEPTH - 1) / MOST_DEPTH;
    while (channels % (slices * LANES))
        slices++;
    t->slices = slices;
    t->depth = channels / slices;
}

static void clamp_of(bcam_cpu_call *call, bcam_winograd *g)
{
    const bcam_unary_attr *act = &call->step->act;
    bcam_dnnl_state *s = call->state;
    g->low = act->kind == BCAM_UNARY_RELU ? 0 : act->kind == BCAM_UNARY_CLIP ? act->alpha : -INFINITY;
    g->high = act->kind == BCAM_UNARY_CLIP ? act->beta : INFINITY;
    if (act->kind != BCAM_UNARY_NONE && act->kind != BCAM_UNARY_RELU && act->kind != BCAM_UNARY_CLIP)
        s->pass = (bcam_step){.name = call->step->name, .verb = BCAM_VERB_UNARY, .u.unary = *act};
}

static void describe(bcam_cpu_call *call, tiles *t)
{
    const bcam_conv_attr *a = &call->step->u.conv;
    bcam_winograd *g = &t->shape;
    bool backward = call->step->verb == BCAM_VERB_CONV_BWD;
    *g = (bcam_winograd){.x = call->in[0], .y = call->out[0]};
    for (int i = 0; i < 2; i++)
        g->pad[i] = backward ? 2 - a->pad_begin[i] : a->pad_begin[i];
    if (!backward) {
        g->bias = call->in[2].data;
        g->residual = call->in[3];
    }
    g->rows = tiles_of(g->y.dim[2]);
    g->columns = tiles_of(g->y.dim[3]);
    g->tiles = g->y.dim[0] * g->rows * g->columns;
    clamp_of(call, g);
    slice(t);
    part(t, call);
}

/** One slice's product of `rows` tiles; slices after the first are added to what is there. */
static bcam_status add_product(bcam_cpu_call *call, const bcam_tensor *w, int64_t rows, size_t in, size_t out,
                               const_dnnl_primitive_attr_t attr, bcam_error *err)
{
    dnnl_memory_desc_t mx, mw, my;
    bcam_tensor x = {.dtype = BCAM_F32, .rank = 3, .dim = {PLACES, rows, w->dim[1]}}, y = x;
    y.dim[2] = w->dim[2];
    bcam_strides_dense(3, x.dim, x.stride);
    bcam_strides_dense(3, y.dim, y.stride);
    bcam_status status = bcam_dnnl_describe(&x, &mx, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_describe(&y, &my, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_describe(w, &mw, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_product(call, &mx, &mw, NULL, &my, attr, w, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_bind_scratch(call, DNNL_ARG_SRC, &mx, in, err);
    return status == BCAM_OK ? bcam_dnnl_bind_scratch(call, DNNL_ARG_DST, &my, out, err) : status;
}

static bcam_status make_attr(bool sum, dnnl_primitive_attr_t *attr, bcam_error *err)
{
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t done = dnnl_primitive_attr_create(attr);
    if (done == dnnl_success)
        done = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    if (done == dnnl_success && sum)
        done = dnnl_post_ops_create(&ops);
    if (done == dnnl_success && sum)
        done = dnnl_post_ops_append_sum(ops, 1);
    if (done == dnnl_success && sum)
        done = dnnl_primitive_attr_set_post_ops(*attr, ops);
    dnnl_post_ops_destroy(ops);
    return done == dnnl_success ? BCAM_OK : bcam_dnnl_failed(done, "sum of products", err);
}

/** The jobs of one thread, with its part of the scratch block. */
static bcam_status add_thread(bcam_cpu_call *call, tiles *t, const bcam_tensor *weights,
                              const_dnnl_primitive_attr_t *attr, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    size_t base = call->scratch_bytes, slice = (size_t)(PLACES * t->depth) * sizeof(float);
    t->in = bcam_dnnl_scratch(call, slice * (size_t)(t->block * t->slices)) - base;
    t->out = bcam_dnnl_scratch(call, (size_t)(PLACES * t->block * weights->dim[2]) * sizeof(float)) - base;
    t->patch = bcam_dnnl_scratch(call, slice * (size_t)t->slices) - base;
    for (int last = 0; last < 2; last++)
        for (int64_t i = 0; i < t->slices && !status; i++) {
            int64_t rows = last ? t->last : t->block;
            bcam_tensor w = *weights;
            w.data = (float *)w.data + i * w.dim[0] * w.stride[0];
            status =
                add_product(call, &w, rows, base + t->in + (size_t)(i * rows) * slice, base + t->out, attr[i > 0], err);
        }
    t->thread = call->scratch_bytes - base;
    return status;
}

static bcam_status add_threads(bcam_cpu_call *call, tiles *t, const bcam_tensor *w, bcam_error *err)
{
    dnnl_primitive_attr_t attr[2] = {NULL, NULL};
    bcam_dnnl_state *s = call->state;
    int threads = omp_get_max_threads();
    omp_set_num_threads(1); /* each product is one thread's */
    bcam_status status = make_attr(false, &attr[0], err);
    if (status == BCAM_OK)
        status = make_attr(true, &attr[1], err);
    for (int i = 0; i < call->threads && !status; i++)
        status = add_thread(call, t, w, (const_dnnl_primitive_attr_t *)attr, err);
    omp_set_num_threads(threads);
    for (int i = 0; i < 2; i++)
        dnnl_primitive_attr_destroy(attr[i]);
    if (status == BCAM_OK && !strstr(s->algorithm, "brg")) /* all else depends on the number of rows */
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "oneDNN has no fast product for '%s'", call->step->name);
    return status;
}

/** Transforms the weights, in the one order that products may want. */
static bcam_status make_weights(bcam_cpu_call *call, const tiles *t, bcam_tensor *w, bcam_error *err)
{
    bcam_dnnl_state *s = call->state;
    bool backward = call->step->verb == BCAM_VERB_CONV_BWD;
    bcam_tensor filters = call->in[1]; /* (out,in,3,3) as this direction has it */
    size_t bytes = (size_t)(t->slices * bcam_count(3, w->dim)) * sizeof(float);
    if (!(w->data = s->packed = bcam_alloc_aligned(bytes)))
        return bcam_fail_memory(err, bytes, "the weights of a convolution");
    call->state_bytes += bytes;
    for (int a = 0; backward && a < 2; a++) {
        filters.dim[a] = call->in[1].dim[1 - a];
        filters.stride[a] = call->in[1].stride[1 - a];
    }
    bcam_winograd_weights(&filters, backward, t->depth, call->threads, s->packed);
    return BCAM_OK;
}

static dnnl_status_t run(const bcam_cpu_call *call)
{
    const bcam_dnnl *dnnl = call->context;
    const bcam_dnnl_state *s = call->state;
    const tiles *t = s->own;
    bcam_winograd g = t->shape;
    int failed = 0;
    g.x.data = call->in[0].data;
    g.y.data = call->out[0].data;
    if (g.residual.data)
        g.residual.data = call->in[3].data;
#pragma omp parallel for num_threads(call->threads) schedule(static) reduction(| : failed)
    for (int64_t b = 0; b < t->blocks; b++) {
        int thread = omp_get_thread_num();
        char *scratch = (char *)call->scratch + (size_t)thread * t->thread;
        int64_t first = b * t->block, count = b + 1 < t->blocks ? t->block : t->last;
        const bcam_dnnl_job *job = &s->jobs[(2 * thread + (b + 1 == t->blocks)) * t->slices];
        bcam_winograd_in(&g, first, count, t->depth, (float *)(scratch + t->patch), (float *)(scratch + t->in));
        omp_set_num_threads(1);
        for (int64_t i = 0; i < t->slices; i++, job++)
            failed |= dnnl_primitive_execute(job->primitive, dnnl->stream, job->arg_count, job->args) != dnnl_success;
        bcam_winograd_out(&g, first, count, (const float *)(scratch + t->out));
    }
    return failed ? dnnl_runtime_error : dnnl_success;
}

bcam_status bcam_dnnl_winograd(bcam_cpu_call *call, bcam_error *err)
{
    bcam_dnnl_state *s = call->state;
    if (!fits(call))
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "'%s' is no convolution for tiles", call->step->name);
    tiles *t = s->own = bcam_alloc(1, sizeof *t);
    if (!t)
        return bcam_fail_memory(err, sizeof *t, "a convolution");
    s->run = run;
    describe(call, t);
    bcam_tensor w = {.dtype = BCAM_F32, .rank = 3, .dim = {PLACES, t->depth, t->shape.y.dim[1]}};
    bcam_strides_dense(3, w.dim, w.stride);
    bcam_status status = make_weights(call, t, &w, err);
    if (status == BCAM_OK)
        status = add_threads(call, t, &w, err);
    if (status == BCAM_OK)
        strcpy(s->algorithm, "Winograd F(4x4,3x3)");
    return status;
}
