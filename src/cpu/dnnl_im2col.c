/* dnnl_im2col.c - convolutions as products of few rows at a time: the pixels under the filter side by side make a row, a product of oneDNN makes
 * the outputs of it. K. Chellapilla, S. Puri, P. Simard, High Performance Convolutional Neural Networks for Document Processing (2006).
 *
 * Each thread takes whole blocks of rows through both parts, so that they stay in its cache, and asks for the block's residual before. Where a
 * filter is one pixel and its stride is one, the rows are there already. The size of a block changes no byte: a row of a product does not depend
 * on how many there are. */
#include <omp.h>
#include <string.h>

#include "cpu/dnnl.h"

enum {
    LEAST_CHANNELS = 16,
    BLOCK_BYTES = 2 << 20, /* of rows */
    LEAST_ROWS = 64,       /* in a block: a product of fewer is slow */
    MOST_ROWS = 256
};

/** Blocks of rows; a thread has a job for whole ones and one for the last. */
typedef struct patches {
    bcam_tensor x, y, residual;         /* y and residual as rows; residual without dtype: none */
    int64_t height, width;              /* of the filter */
    int64_t out_height, out_width, all; /* rows of all photos */
    int64_t block, last, blocks;        /* rows of a block, of the last one */
    size_t row, thread;                 /* bytes of a row, of a thread's scratch, which begins with the block */
    bool ready;                         /* rows are x's pixels */
} patches;

/* ---- runs ---- */

static char *row_at(const bcam_tensor *rows, int64_t row)
{
    return (char *)rows->data + (size_t)(row * rows->stride[0]) * bcam_dtype_bytes(rows->dtype);
}

/** One filter row's pixels of x, `column` … `column + width - 1` of row `y`, zeros outside. */
static void copy_pixels(const patches *p, const bcam_conv_attr *a, int64_t photo, int64_t y, int64_t column, char *out)
{
    const bcam_tensor *x = &p->x;
    size_t element = bcam_dtype_bytes(x->dtype), pixel = (size_t)x->dim[1] * element;
    const char *from = (const char *)x->data + (size_t)(photo * x->stride[0] + y * x->stride[2]) * element;
    bool inside = y >= 0 && y < x->dim[2], gaps = x->stride[3] != x->dim[1] || a->dilation[1] > 1;
    if (inside && !gaps && column >= 0 && column + p->width <= x->dim[3]) {
        memcpy(out, from + (size_t)column * pixel, (size_t)p->width * pixel);
        return;
    }
    for (int64_t v = 0; v < p->width; v++, column += a->dilation[1], out += pixel)
        if (inside && column >= 0 && column < x->dim[3])
            memcpy(out, from + (size_t)(column * x->stride[3]) * element, pixel);
        else
            memset(out, 0, pixel);
}

static void gather(const patches *p, const bcam_conv_attr *a, int64_t first, int64_t count, char *out)
{
    size_t filter_row = p->row / (size_t)p->height;
    for (int64_t i = first; i < first + count; i++) {
        int64_t column = i % p->out_width, row = i / p->out_width % p->out_height,
                photo = i / p->out_width / p->out_height;
        for (int64_t u = 0; u < p->height; u++, out += filter_row)
            copy_pixels(p, a, photo, row * a->stride[0] + u * a->dilation[0] - a->pad_begin[0],
                        column * a->stride[1] - a->pad_begin[1], out);
    }
}

/* The product reads it in pieces that are too far apart to be foreseen. */
static void ask_for(const bcam_tensor *rows, int64_t first, int64_t count)
{
    enum { LINE = 64 };
    size_t bytes = (size_t)rows->dim[1] * bcam_dtype_bytes(rows->dtype);
    for (int64_t i = first; i < first + count; i++)
        for (size_t at = 0; at < bytes; at += LINE)
            __builtin_prefetch(row_at(rows, i) + at, 0, 2);
}

static void move(const bcam_dnnl_job *job, int index, void *data)
{
    for (int i = 0; i < job->arg_count; i++)
        if (job->args[i].arg == index)
            dnnl_memory_set_data_handle(job->args[i].memory, data);
}

static dnnl_status_t run(const bcam_cpu_call *call)
{
    const bcam_dnnl *dnnl = call->context;
    const bcam_dnnl_state *s = call->state;
    patches p = *(const patches *)s->own;
    int failed = 0;
    p.x.data = call->in[0].data;
    p.y.data = call->out[0].data;
    p.residual.data = call->in[3].data;
#pragma omp parallel for num_threads(call->threads) schedule(static) reduction(| : failed)
    for (int64_t b = 0; b < p.blocks; b++) {
        int thread = omp_get_thread_num();
        int64_t first = b * p.block, count = b + 1 < p.blocks ? p.block : p.last;
        const bcam_dnnl_job *job = &s->jobs[2 * thread + (b + 1 == p.blocks)];
        char *rows = p.ready ? row_at(&p.x, first) : (char *)call->scratch + (size_t)thread * p.thread;
        if (!p.ready)
            gather(&p, &call->step->u.conv, first, count, rows);
        if (p.residual.data) {
            ask_for(&p.residual, first, count);
            move(job, BCAM_DNNL_ARG_RESIDUAL, row_at(&p.residual, first));
        }
        move(job, DNNL_ARG_SRC, rows);
        move(job, DNNL_ARG_DST, row_at(&p.y, first));
        omp_set_num_threads(1);
        failed |= dnnl_primitive_execute(job->primitive, dnnl->stream, job->arg_count, job->args) != dnnl_success;
    }
    return failed ? dnnl_runtime_error : dnnl_success;
}

/* ---- making ---- */

static bool is_pointwise(const bcam_cpu_call *call)
{
    const bcam_conv_attr *a = &call->step->u.conv;
    const bcam_tensor *w = &call->in[1];
    return w->dim[2] * w->dim[3] * a->stride[0] * a->stride[1] == 1 &&
           a->pad_begin[0] + a->pad_begin[1] + a->pad_end[0] + a->pad_end[1] == 0;
}

static bool describe(const bcam_cpu_call *call, patches *p)
{
    const bcam_tensor *x = &call->in[0], *w = &call->in[1], *r = &call->in[3], *y = &call->out[0];
    *p = (patches){.x = *x, .height = w->dim[2], .width = w->dim[3], .out_height = y->dim[2], .out_width = y->dim[3]};
    p->all = y->dim[0] * y->dim[2] * y->dim[3];
    p->row = (size_t)bcam_count(3, w->dim + 1) * bcam_dtype_bytes(x->dtype);
    if (is_pointwise(call))
        p->ready = bcam_dnnl_rows(x, &p->x);
    return call->step->verb == BCAM_VERB_CONV && call->step->u.conv.groups == 1 && x->stride[1] == 1 &&
           x->dim[1] >= LEAST_CHANNELS && x->dtype == y->dtype && bcam_dnnl_rows(y, &p->y) &&
           (!r->data || bcam_dnnl_rows(r, &p->residual));
}

/* A thread's blocks are alike. A last one of a single row would be another kind of product. */
static void part(patches *p, int threads)
{
    int64_t block = BLOCK_BYTES / (int64_t)p->row, a_thread = (p->all + threads - 1) / threads;
    block = block < LEAST_ROWS ? LEAST_ROWS : block > MOST_ROWS ? MOST_ROWS : block;
    int64_t parts = (a_thread + block - 1) / block;
    p->block = (a_thread + parts - 1) / parts;
    while (p->block < p->all && p->all % p->block == 1)
        p->block++;
    p->blocks = (p->all + p->block - 1) / p->block;
    p->last = p->all - (p->blocks - 1) * p->block;
}

/** Filters (M,C,h,w) as a matrix (h w C, M). */
static void turn(const bcam_tensor *w, int threads, float *out)
{
    const int64_t *n = w->dim, *step = w->stride, rows = n[2] * n[3] * n[1];
#pragma omp parallel for num_threads(threads)
    for (int64_t i = 0; i < rows; i++) {
        const float *from =
            (const float *)w->data + i % n[1] * step[1] + i / n[1] % n[3] * step[3] + i / n[1] / n[3] * step[2];
        for (int64_t m = 0; m < n[0]; m++)
            out[i * n[0] + m] = from[m * step[0]];
    }
}

static bcam_status add_product(bcam_cpu_call *call, const patches *p, int64_t rows, float *weights, bcam_error *err)
{
    int64_t filters = call->in[1].dim[0], depth = bcam_count(3, call->in[1].dim + 1);
    bcam_tensor x = {.dtype = p->x.dtype, .rank = 2, .dim = {rows, depth}, .stride = {depth, 1}},
                w = {.data = weights, .dtype = BCAM_F32, .rank = 2, .dim = {depth, filters}, .stride = {filters, 1}},
                y = p->y, residual = p->residual;
    if (p->ready)
        x.stride[0] = p->x.stride[0];
    y.dim[0] = residual.dim[0] = rows;
    return bcam_dnnl_multiply(call, &x, &w, &y, call->in[3].data ? &residual : NULL, err);
}

/** A job each for whole blocks and for the last, and rows in the scratch block. */
static bcam_status add_thread(bcam_cpu_call *call, patches *p, float *weights, bcam_error *err)
{
    size_t begin = bcam_dnnl_scratch(call, p->ready ? 0 : (size_t)p->block * p->row);
    bcam_status status = add_product(call, p, p->block, weights, err);
    if (status == BCAM_OK)
        status = add_product(call, p, p->last, weights, err);
    p->thread = call->scratch_bytes - begin;
    return status;
}

bcam_status bcam_dnnl_im2col(bcam_cpu_call *call, bcam_error *err)
{
    bcam_dnnl_state *s = call->state;
    size_t bytes = (size_t)bcam_count(4, call->in[1].dim) * sizeof(float);
    patches *p = s->own = bcam_alloc(1, sizeof *p);
    float *weights = bcam_alloc_aligned(bytes);
    bcam_status status = p && weights ? BCAM_OK : bcam_fail_memory(err, bytes, "a convolution");
    if (status == BCAM_OK && !describe(call, p))
        status = bcam_fail(err, BCAM_E_UNSUPPORTED, "'%s' is no convolution for rows", call->step->name);
    if (status == BCAM_OK) {
        part(p, call->threads);
        turn(&call->in[1], call->threads, weights);
    }
    int threads = omp_get_max_threads();
    omp_set_num_threads(1); /* each product is one thread's */
    for (int i = 0; i < call->threads && status == BCAM_OK; i++)
        status = add_thread(call, p, weights, err);
    omp_set_num_threads(threads);
    bcam_free(weights);
    if (status == BCAM_OK && (!s->packed || !strstr(s->algorithm, "brg"))) /* all else depends on the number of rows */
        status = bcam_fail(err, BCAM_E_UNSUPPORTED, "oneDNN has no fast product for '%s'", call->step->name);
    s->run = run;
    strcpy(s->algorithm, "im2col");
    return status;
}
