/* fake_cudnn_ops.c - executes a graph in plain C. Values are held as float, (N,H,W,C) dense, and rounded to their tensor's type. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fake_cudnn.h"

typedef struct values {
    const bcam_fake_graph *graph;
    void *const *data;
    float *of[BCAM_FAKE_MOST_TENSORS]; /* NULL: not yet made or read */
} values;

static size_t count(const bcam_fake_tensor *t)
{
    return (size_t)(t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3]);
}

static size_t dense(const bcam_fake_tensor *t, int64_t n, int64_t c, int64_t h, int64_t w)
{
    return (size_t)(((n * t->dim[2] + h) * t->dim[3] + w) * t->dim[1] + c);
}

static size_t stored(const bcam_fake_tensor *t, int64_t n, int64_t c, int64_t h, int64_t w)
{
    return (size_t)(n * t->stride[0] + c * t->stride[1] + h * t->stride[2] + w * t->stride[3]);
}

#define EACH(t)                                                                                                        \
    for (int64_t n = 0; n < (t)->dim[0]; n++)                                                                          \
        for (int64_t h = 0; h < (t)->dim[2]; h++)                                                                      \
            for (int64_t w = 0; w < (t)->dim[3]; w++)                                                                  \
                for (int64_t c = 0; c < (t)->dim[1]; c++)

/* Reads tensor i from its memory unless it was made already. */
static float *input(values *v, int i)
{
    const bcam_fake_tensor *t = &v->graph->tensor[i];
    if (v->of[i])
        return v->of[i];
    v->of[i] = malloc(count(t) * sizeof(float));
    EACH(t)
    {
        v->of[i][dense(t, n, c, h, w)] = v->data[i] ? bcam_fake_load(v->data[i], stored(t, n, c, h, w), t->type) : NAN;
    }
    return v->of[i];
}

/* The factor of a convolution as the engine takes it. */
static float *factor(values *v, int i)
{
    const bcam_fake_tensor *t = &v->graph->tensor[i];
    const float *from = input(v, i);
    float *to = malloc(count(t) * sizeof *to);
    for (size_t k = 0; k < count(t); k++)
        to[k] = t->type != BCAM_FAKE_F32 || v->graph->factors == BCAM_FAKE_WHOLE ? from[k]
                : v->graph->factors == BCAM_FAKE_TF32                            ? bcam_fake_tf32(from[k])
                                                      : bcam_fake_round(from[k], BCAM_FAKE_F16);
    return to;
}

/* Takes out's values: rounds them and writes them where the tensor has memory. */
static void finish(values *v, int i, float *out)
{
    const bcam_fake_tensor *t = &v->graph->tensor[i];
    free(v->of[i]);
    v->of[i] = out;
    for (size_t k = 0; k < count(t); k++)
        out[k] = bcam_fake_round(out[k], t->type);
    if (t->is_virtual)
        return;
    EACH(t)
    {
        bcam_fake_store(v->data[i], stored(t, n, c, h, w), t->type, out[dense(t, n, c, h, w)]);
    }
}

/* ---- convolutions: x (N,C,H,W), w (M,C/groups,R,S), y (N,M,P,Q) ---- */

typedef struct window {
    const bcam_fake_node *node;
    const bcam_fake_tensor *x, *w, *y;
    int64_t each; /* output channels of a group */
} window;

static void conv_at(const window *win, const float *x, const float *weights, float *y, int64_t n, int64_t p, int64_t q)
{
    const bcam_fake_node *node = win->node;
    int64_t cg = win->w->dim[1];
    for (int64_t r = 0; r < win->w->dim[2]; r++)
        for (int64_t s = 0; s < win->w->dim[3]; s++) {
            int64_t h = p * node->stride[0] - node->pad[0] + r * node->dilation[0];
            int64_t w = q * node->stride[1] - node->pad[1] + s * node->dilation[1];
            if (h < 0 || w < 0 || h >= win->x->dim[2] || w >= win->x->dim[3])
                continue;
            for (int64_t m = 0; m < win->y->dim[1]; m++)
                y[dense(win->y, n, m, p, q)] += bcam_fake_dot(x + dense(win->x, n, m / win->each * cg, h, w),
                                                              weights + dense(win->w, m, 0, r, s), (size_t)cg);
        }
}

static void conv_bwd_at(const window *win, const float *dy, const float *weights, float *dx, int64_t n, int64_t p,
                        int64_t q)
{
    const bcam_fake_node *node = win->node;
    int64_t cg = win->w->dim[1];
    for (int64_t r = 0; r < win->w->dim[2]; r++)
        for (int64_t s = 0; s < win->w->dim[3]; s++) {
            int64_t h = p * node->stride[0] - node->pad[0] + r * node->dilation[0];
            int64_t w = q * node->stride[1] - node->pad[1] + s * node->dilation[1];
            if (h < 0 || w < 0 || h >= win->x->dim[2] || w >= win->x->dim[3])
                continue;
            for (int64_t m = 0; m < win->y->dim[1]; m++) {
                float *to = dx + dense(win->x, n, m / win->each * cg, h, w), g = dy[dense(win->y, n, m, p, q)];
                const float *from = weights + dense(win->w, m, 0, r, s);
                for (int64_t c = 0; c < cg; c++)
                    to[c] += g * from[c];
            }
        }
}

static cudaError_t run_conv(values *v, const bcam_fake_node *node)
{
    bool backward = node->verb == BCAM_FAKE_CONV_BWD;
    const bcam_fake_tensor *x = &v->graph->tensor[backward ? node->out : node->a], *w = &v->graph->tensor[node->b];
    const bcam_fake_tensor *y = &v->graph->tensor[backward ? node->a : node->out], *out = &v->graph->tensor[node->out];
    int64_t groups = w->dim[1] ? x->dim[1] / w->dim[1] : 0;
    if (groups < 1 || x->dim[1] % w->dim[1] || y->dim[1] % groups || w->dim[0] != y->dim[1] || x->dim[0] != y->dim[0])
        return cudaErrorInvalidValue;
    window win = {node, x, w, y, y->dim[1] / groups};
    float *a = factor(v, node->a), *b = factor(v, node->b), *result = calloc(count(out), sizeof *result);
    const float *old = node->beta != 0 ? input(v, node->out) : NULL;
    for (int64_t n = 0; n < y->dim[0]; n++)
        for (int64_t p = 0; p < y->dim[2]; p++)
            for (int64_t q = 0; q < y->dim[3]; q++)
                (backward ? conv_bwd_at : conv_at)(&win, a, b, result, n, p, q);
    for (size_t k = 0; k < count(out); k++)
        result[k] = (float)node->alpha * result[k] + (old ? (float)node->beta * old[k] : 0);
    free(a);
    free(b);
    finish(v, node->out, result);
    return cudaSuccess;
}

/* ---- poolings ---- */

/* The part of a window's axis that lies in the photo. */
typedef struct part {
    int64_t first, end;
} part;

static part part_of(const bcam_fake_node *node, int axis, int64_t at, int64_t size)
{
    int64_t first = at * node->stride[axis] - node->pad[axis], end = first + node->size[axis];
    return (part){first > 0 ? first : 0, end < size ? end : size};
}

/* A channel of one window: its maximum or average into *y, or, backwards, *y's share to each of its places. */
static void pool_window(const bcam_fake_node *node, const bcam_fake_tensor *photo, float *x, float *y,
                        const int64_t at[4])
{
    part rows = part_of(node, 0, at[2], photo->dim[2]), columns = part_of(node, 1, at[3], photo->dim[3]);
    int64_t inside = (rows.end - rows.first) * (columns.end - columns.first);
    float result = node->max ? -INFINITY : 0, divisor = (float)(node->whole ? node->size[0] * node->size[1] : inside);
    for (int64_t h = rows.first; h < rows.end; h++)
        for (int64_t w = columns.first; w < columns.end; w++) {
            float *place = &x[dense(photo, at[0], at[1], h, w)];
            if (node->verb == BCAM_FAKE_POOL_BWD)
                *place += *y / divisor;
            else if (!node->max)
                result += *place;
            else if (*place > result || isnan(*place))
                result = *place;
        }
    if (node->verb == BCAM_FAKE_POOL)
        *y = node->max ? result : result / divisor;
}

static cudaError_t run_pool(values *v, const bcam_fake_node *node)
{
    bool backward = node->verb == BCAM_FAKE_POOL_BWD;
    const bcam_fake_tensor *x = &v->graph->tensor[backward ? node->out : node->a];
    const bcam_fake_tensor *y = &v->graph->tensor[backward ? node->a : node->out];
    if (x->dim[0] != y->dim[0] || x->dim[1] != y->dim[1])
        return cudaErrorInvalidValue;
    float *result = calloc(count(&v->graph->tensor[node->out]), sizeof *result), *given = input(v, node->a);
    EACH(y)
    {
        const int64_t at[4] = {n, c, h, w};
        pool_window(node, x, backward ? result : given, &(backward ? given : result)[dense(y, n, c, h, w)], at);
    }
    finish(v, node->out, result);
    return cudaSuccess;
}

/* ---- pointwise, with broadcasting ---- */

static float relu(const bcam_fake_node *node, float u)
{
    float lower = (float)node->lower, upper = node->upper > 3.4e38 ? INFINITY : (float)node->upper;
    if (u < lower)
        return lower + (float)node->slope * (u - lower);
    return u > upper ? upper : u;
}

static float relu_bwd(const bcam_fake_node *node, float u, float dy)
{
    return u > (float)node->lower ? (u < node->upper ? dy : 0) : (float)node->slope * dy;
}

static float apply(const bcam_fake_node *node, float a, float b)
{
    float u = (float)node->scale_a * a, w = (float)node->scale_b * b;
    switch (node->verb) {
    case BCAM_FAKE_ADD:
        return u + w;
    case BCAM_FAKE_MUL:
        return u * w;
    case BCAM_FAKE_RELU:
        return relu(node, u);
    case BCAM_FAKE_RELU_BWD:
        return relu_bwd(node, a, b);
    case BCAM_FAKE_SIGMOID:
        return 1 / (1 + expf(-u));
    case BCAM_FAKE_TANH:
        return tanhf(u);
    default:
        return u;
    }
}

static float at(const bcam_fake_tensor *t, const float *v, int64_t n, int64_t c, int64_t h, int64_t w)
{
    return v[dense(t, t->dim[0] > 1 ? n : 0, t->dim[1] > 1 ? c : 0, t->dim[2] > 1 ? h : 0, t->dim[3] > 1 ? w : 0)];
}

static bool broadcasts(const bcam_fake_tensor *from, const bcam_fake_tensor *to)
{
    bool fits = true;
    for (int i = 0; i < 4; i++)
        fits = fits && (from->dim[i] == 1 || from->dim[i] == to->dim[i]);
    return fits;
}

static cudaError_t run_pointwise(values *v, const bcam_fake_node *node)
{
    const bcam_fake_tensor *a = &v->graph->tensor[node->a], *b = node->b >= 0 ? &v->graph->tensor[node->b] : NULL;
    const bcam_fake_tensor *out = &v->graph->tensor[node->out];
    if (!broadcasts(a, out) || (b && !broadcasts(b, out)))
        return cudaErrorInvalidValue;
    const float *av = input(v, node->a), *bv = b ? input(v, node->b) : NULL;
    float *result = malloc(count(out) * sizeof *result);
    EACH(out)
    {
        result[dense(out, n, c, h, w)] = apply(node, at(a, av, n, c, h, w), b ? at(b, bv, n, c, h, w) : 0);
    }
    finish(v, node->out, result);
    return cudaSuccess;
}

/* ---- the graph: a node runs when no other has still to make what it reads ---- */

static bool ready(const bcam_fake_graph *graph, const bool *done, int node)
{
    for (int i = 0; i < graph->node_count; i++)
        if (!done[i] && i != node &&
            (graph->node[i].out == graph->node[node].a || graph->node[i].out == graph->node[node].b))
            return false;
    return !done[node];
}

cudaError_t bcam_fake_graph_run(const bcam_fake_graph *graph, void *const *data)
{
    values v = {.graph = graph, .data = data};
    bool done[BCAM_FAKE_MOST_NODES] = {false};
    cudaError_t status = cudaSuccess;
    for (int left = graph->node_count; left > 0 && status == cudaSuccess; left--) {
        int i = 0;
        while (i < graph->node_count && !ready(graph, done, i))
            i++;
        if (i == graph->node_count)
            status = cudaErrorInvalidValue;
        else if (graph->node[i].verb == BCAM_FAKE_CONV || graph->node[i].verb == BCAM_FAKE_CONV_BWD)
            status = run_conv(&v, &graph->node[i]);
        else if (graph->node[i].verb == BCAM_FAKE_POOL || graph->node[i].verb == BCAM_FAKE_POOL_BWD)
            status = run_pool(&v, &graph->node[i]);
        else
            status = run_pointwise(&v, &graph->node[i]);
        if (i < graph->node_count)
            done[i] = true;
    }
    for (int i = 0; i < graph->tensor_count; i++)
        free(v.of[i]);
    return status;
}
