/* cases_linear.c - conv, gemm, pool. In rows, 0 stands for the usual: stride, dilation and groups 1, no padding. */
#include "check/cases.h"

static int64_t or_one(int64_t value)
{
    return value ? value : 1;
}

static void act_name(const bcam_unary_attr *act, char *out, size_t size)
{
    if (act->kind != BCAM_UNARY_NONE)
        snprintf(out, size, " %s", bcam_unary_name(act->kind));
    else
        out[0] = '\0';
}

/* ---- conv ---- */

typedef struct conv_row {
    int64_t n, c, h, w, m, kh, kw;
    int64_t stride[2], dilation[2], begin[2], end[2], groups;
    bool bias, residual;
    bcam_unary_attr act;
} conv_row;

#define ACT(KIND, alpha, beta) .act = {BCAM_UNARY_##KIND, alpha, beta}
#define SAME(p) .begin = {p, p}, .end = {p, p}

static const conv_row conv_rows[] = {
    /* sizes */
    {1, 1, 1, 1, 1, 1, 1, .groups = 1},
    {3, 7, 5, 3, 13, 3, 3, SAME(1), .bias = true},
    {2, 127, 3, 5, 128, 3, 3, SAME(1), .bias = true, ACT(RELU, 0, 0)},
    {2, 128, 5, 3, 129, 1, 1, .bias = true},
    {2, 129, 4, 4, 127, 1, 1, ACT(RELU, 0, 0)},
    {1, 13, 129, 7, 7, 3, 3, SAME(1)},
    {1, 5, 7, 127, 4, 3, 1, .begin = {1, 0}, .end = {1, 0}},
    {2, 16, 13, 13, 32, 5, 5, SAME(2), .bias = true, ACT(RELU, 0, 0)},
    {3, 64, 7, 7, 64, 3, 3, SAME(1), .bias = true, .residual = true, ACT(RELU, 0, 0)},
    {2, 64, 14, 14, 16, 1, 1, .residual = true},
    {2, 32, 9, 11, 64, 3, 3, SAME(1), .bias = true, .residual = true},
    /* strides, dilation, padding */
    {2, 3, 31, 29, 64, 7, 7, .stride = {2, 2}, SAME(3), .bias = true, ACT(RELU, 0, 0)},
    {3, 64, 13, 13, 128, 1, 1, .stride = {2, 2}, .bias = true},
    {2, 16, 15, 14, 24, 3, 3, .stride = {2, 2}, SAME(1)},
    {2, 3, 32, 32, 32, 3, 3, .stride = {2, 2}, .begin = {0, 0}, .end = {1, 1}, .bias = true, ACT(CLIP, 0, 6)},
    {2, 8, 11, 9, 7, 3, 2, .stride = {3, 1}, .begin = {1, 0}, .end = {0, 2}, .bias = true},
    {2, 16, 13, 12, 16, 3, 3, .dilation = {2, 2}, SAME(2), ACT(RELU, 0, 0)},
    {1, 13, 17, 9, 5, 3, 3, .dilation = {3, 1}, .stride = {1, 2}, .begin = {2, 1}, .end = {3, 0}},
    {2, 16, 1, 1, 16, 3, 3, SAME(1), .bias = true},
    {2, 7, 2, 3, 13, 5, 7, .begin = {2, 3}, .end = {2, 3}},
    {2, 5, 3, 2, 4, 4, 4, .begin = {3, 2}, .end = {2, 3}, .stride = {2, 2}},
    {3, 16, 7, 7, 100, 7, 7, .bias = true},
    {2, 3, 8, 8, 16, 4, 4, .stride = {4, 4}, .bias = true},
    {2, 12, 9, 9, 20, 1, 1, .stride = {3, 3}},
    {2, 112, 7, 7, 40, 7, 7, .bias = true, .residual = true, ACT(RELU, 0, 0)},
    {3, 64, 1, 1, 32, 1, 1, .bias = true, .residual = true},
    {3, 48, 1, 1, 192, 1, 1, .bias = true, ACT(RELU, 0, 0)}, /* squeeze and excite */
    {5, 16, 5, 3, 1, 3, 3, SAME(1), .residual = true},
    {3, 160, 7, 7, 96, 3, 3, SAME(1)},
    /* groups and depthwise */
    {3, 32, 7, 7, 32, 3, 3, SAME(1), .groups = 32, .bias = true, ACT(CLIP, 0, 6)},
    {2, 13, 9, 7, 13, 3, 3, SAME(1), .groups = 13, .stride = {2, 2}},
    {2, 129, 5, 5, 129, 5, 5, SAME(2), .groups = 129, .bias = true, ACT(HARD_SWISH, 0, 0)},
    {2, 16, 6, 6, 32, 3, 3, SAME(1), .groups = 16, .bias = true},
    {2, 16, 7, 7, 16, 3, 3, SAME(2), .groups = 16, .dilation = {2, 2}},
    {2, 64, 7, 7, 64, 3, 3, SAME(1), .groups = 4, .bias = true, ACT(RELU, 0, 0)},
    {2, 12, 5, 7, 18, 3, 3, SAME(1), .groups = 3, .bias = true, .residual = true, ACT(RELU, 0, 0)},
    {2, 128, 7, 7, 128, 3, 3, SAME(1), .groups = 32, .stride = {2, 2}, .bias = true},
    {2, 14, 5, 5, 7, 1, 1, .groups = 7},
    /* epilogues */
    {2, 16, 5, 7, 13, 1, 1, .bias = true, ACT(RELU, 0, 0)},
    {2, 16, 5, 7, 13, 1, 1, .bias = true, ACT(CLIP, -0.5f, 1.5f)},
    {2, 16, 5, 7, 13, 1, 1, .bias = true, ACT(LEAKY_RELU, 0.1f, 0)},
    {2, 16, 5, 7, 13, 1, 1, .bias = true, ACT(SIGMOID, 0, 0)},
    {2, 16, 5, 7, 13, 1, 1, .bias = true, ACT(HARD_SIGMOID, 0.2f, 0.5f)},
    {2, 16, 5, 7, 13, 1, 1, .bias = true, ACT(HARD_SWISH, 0, 0)},
    {2, 16, 5, 7, 13, 1, 1, .bias = true, ACT(TANH, 0, 0)},
    {2, 16, 5, 7, 13, 1, 1, .bias = true, ACT(ELU, 1, 0)},
    {2, 16, 5, 7, 13, 1, 1, .bias = true, ACT(SOFTPLUS, 0, 0)},
    {2, 16, 5, 7, 13, 1, 1, .bias = true, ACT(ERF, 0, 0)},
    {2, 16, 5, 7, 13, 1, 1, .bias = true, ACT(ABS, 0, 0)},
    {2, 16, 5, 7, 13, 1, 1, .bias = true, ACT(NEG, 0, 0)},
    {2, 16, 5, 7, 13, 1, 1, .bias = true, ACT(LINEAR, 0.5f, 1)},
    {2, 16, 5, 7, 16, 3, 3, SAME(1), .residual = true, ACT(LEAKY_RELU, 0.1f, 0)},
    {2, 16, 5, 7, 16, 3, 3, SAME(1), .bias = true, .residual = true, ACT(SIGMOID, 0, 0)},
};

static void conv_name(const conv_row *r, const bcam_conv_attr *a, char *out, size_t size)
{
    char act[32];
    act_name(&r->act, act, sizeof act);
    snprintf(out, size, "conv %dx%dx%dx%d m%d k%dx%d s%dx%d d%dx%d p%d,%d,%d,%d g%d%s%s%s", (int)r->n, (int)r->c,
             (int)r->h, (int)r->w, (int)r->m, (int)r->kh, (int)r->kw, (int)a->stride[0], (int)a->stride[1],
             (int)a->dilation[0], (int)a->dilation[1], (int)a->pad_begin[0], (int)a->pad_begin[1], (int)a->pad_end[0],
             (int)a->pad_end[1], (int)a->groups, r->bias ? " bias" : "", r->residual ? " residual" : "", act);
}

static int64_t window_count(int64_t in, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad, bool ceil_mode)
{
    int64_t free_steps = in + pad - dilation * (kernel - 1) - 1;
    return (ceil_mode ? (free_steps + stride - 1) / stride : free_steps / stride) + 1;
}

static void make_conv(size_t row, bcam_check_case *c)
{
    const conv_row *r = &conv_rows[row];
    bcam_conv_attr *a = &c->step.u.conv;
    int64_t out[2];
    for (int i = 0; i < 2; i++) {
        a->stride[i] = or_one(r->stride[i]);
        a->dilation[i] = or_one(r->dilation[i]);
        a->pad_begin[i] = r->begin[i];
        a->pad_end[i] = r->end[i];
        out[i] = window_count(i ? r->w : r->h, i ? r->kw : r->kh, a->stride[i], a->dilation[i], r->begin[i] + r->end[i],
                              false);
    }
    a->groups = or_one(r->groups);
    c->batch = r->n;
    c->step.act = r->act;
    c->depth = (double)(r->c / a->groups * r->kh * r->kw);
    /* A NaN among the photos may leave a fused ReLU or clip as one of its bounds. */
    c->fills = r->act.kind == BCAM_UNARY_NONE ? FILLS_ALL : FILLS_FINITE;
    c->in[0] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_N, 3, DIMS(r->c, r->h, r->w));
    c->in[1] = bcam_check_real(BCAM_ROLE_CONST, BCAM_LEAD_NONE, 4, DIMS(r->m, r->c / a->groups, r->kh, r->kw));
    if (r->bias)
        c->in[2] = bcam_check_real(BCAM_ROLE_CONST, BCAM_LEAD_NONE, 1, DIMS(r->m));
    if (r->residual)
        c->in[3] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_N, 3, DIMS(r->m, out[0], out[1]));
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_N, 3, DIMS(r->m, out[0], out[1]));
    conv_name(r, a, c->name, sizeof c->name);
}

const bcam_check_table bcam_check_conv = {BCAM_COUNT(conv_rows), BCAM_COUNT(conv_rows), make_conv};

/* ---- gemm ---- */

typedef struct gemm_row {
    int64_t n, k, m;
    bool bias;
    bcam_unary_attr act;
} gemm_row;

static const gemm_row gemm_rows[] = {
    {1, 1, 1, .bias = false},
    {3, 7, 13, .bias = false},
    {1, 127, 129, .bias = true},
    {3, 128, 127, .bias = true},
    {2, 129, 128, ACT(RELU, 0, 0)},
    {5, 512, 10, .bias = true},
    {7, 1000, 37, .bias = true},
    {1, 2048, 5, .bias = false},
    {13, 64, 1, .bias = true},
    {2, 1, 128, .bias = false},
    {3, 257, 1000, .bias = true},
    {3, 33, 21, .bias = true, ACT(RELU, 0, 0)},
    {3, 33, 21, .bias = true, ACT(CLIP, 0, 6)},
    {3, 33, 21, .bias = true, ACT(LEAKY_RELU, 0.01f, 0)},
    {3, 33, 21, .bias = true, ACT(SIGMOID, 0, 0)},
    {3, 33, 21, .bias = true, ACT(HARD_SIGMOID, 0.2f, 0.5f)},
    {3, 33, 21, .bias = true, ACT(HARD_SWISH, 0, 0)},
    {3, 33, 21, .bias = true, ACT(TANH, 0, 0)},
    {3, 33, 21, ACT(ELU, 1, 0)},
    {3, 33, 21, ACT(SOFTPLUS, 0, 0)},
};

static void make_gemm(size_t row, bcam_check_case *c)
{
    const gemm_row *r = &gemm_rows[row];
    char act[32];
    c->batch = r->n;
    c->depth = (double)r->k;
    c->step.act = r->act;
    c->fills = r->act.kind == BCAM_UNARY_NONE ? FILLS_ALL : FILLS_FINITE;
    c->in[0] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_N, 1, DIMS(r->k));
    c->in[1] = bcam_check_real(BCAM_ROLE_CONST, BCAM_LEAD_NONE, 2, DIMS(r->m, r->k));
    if (r->bias)
        c->in[2] = bcam_check_real(BCAM_ROLE_CONST, BCAM_LEAD_NONE, 1, DIMS(r->m));
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_N, 1, DIMS(r->m));
    act_name(&r->act, act, sizeof act);
    snprintf(c->name, sizeof c->name, "gemm %dx%d m%d%s%s", (int)r->n, (int)r->k, (int)r->m, r->bias ? " bias" : "",
             act);
}

const bcam_check_table bcam_check_gemm = {BCAM_COUNT(gemm_rows), BCAM_COUNT(gemm_rows), make_gemm};

/* ---- pool ---- */

typedef struct pool_row {
    int64_t n, c, h, w, kh, kw;
    int64_t stride[2], dilation[2], begin[2], end[2];
    bool ceil_mode, count_pad;
} pool_row;

/* Each row is a maximum and an average. */
static const pool_row pool_rows[] = {
    {1, 1, 1, 1, 1, 1, .count_pad = false},
    {3, 7, 13, 7, 2, 2, .stride = {2, 2}},
    {2, 64, 15, 13, 3, 3, .stride = {2, 2}, SAME(1)},
    {2, 64, 15, 13, 3, 3, .stride = {2, 2}, SAME(1), .count_pad = true},
    {2, 16, 14, 13, 3, 3, .stride = {2, 2}, .ceil_mode = true},
    {2, 16, 14, 13, 3, 3, .stride = {2, 2}, SAME(1), .ceil_mode = true, .count_pad = true},
    {2, 128, 7, 7, 7, 7, .count_pad = true},
    {2, 129, 5, 7, 3, 3, SAME(1)},
    {1, 127, 9, 4, 2, 3, .begin = {0, 1}, .end = {1, 0}, .stride = {1, 2}, .count_pad = true},
    {2, 13, 11, 11, 3, 3, .dilation = {2, 2}, SAME(2)},
    {2, 5, 6, 7, 2, 3, .dilation = {3, 1}, .count_pad = true},
    {2, 3, 129, 7, 5, 1, .stride = {3, 2}},
    {2, 8, 2, 2, 3, 3, SAME(1)},
    {2, 5, 5, 5, 1, 1, .stride = {2, 2}},
};

static void make_pool(size_t row, bcam_check_case *c)
{
    const pool_row *r = &pool_rows[row / 2];
    bcam_pool_attr *a = &c->step.u.pool;
    int64_t out[2];
    for (int i = 0; i < 2; i++) {
        int64_t in = i ? r->w : r->h;
        a->kernel[i] = i ? r->kw : r->kh;
        a->stride[i] = or_one(r->stride[i]);
        a->dilation[i] = or_one(r->dilation[i]);
        a->pad_begin[i] = r->begin[i];
        a->pad_end[i] = r->end[i];
        out[i] = window_count(in, a->kernel[i], a->stride[i], a->dilation[i], r->begin[i] + r->end[i], r->ceil_mode);
        if ((out[i] - 1) * a->stride[i] >=
            in + r->begin[i]) /* a window that would begin behind the photo is dropped, as PyTorch does */
            out[i]--;
    }
    a->max = row % 2 == 0;
    a->count_pad = r->count_pad;
    c->batch = r->n;
    c->depth = (double)(r->kh * r->kw);
    c->rule = a->max ? BCAM_RULE_EXACT : BCAM_RULE_SUM;
    c->fills = FILLS_ALL;
    c->in[0] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_N, 3, DIMS(r->c, r->h, r->w));
    if (a->max)
        c->in[0].domain = BCAM_DOMAIN_DISTINCT;
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_N, 3, DIMS(r->c, out[0], out[1]));
    snprintf(c->name, sizeof c->name, "%s pool %dx%dx%dx%d k%dx%d s%dx%d d%dx%d p%d,%d,%d,%d%s%s",
             a->max ? "max" : "average", (int)r->n, (int)r->c, (int)r->h, (int)r->w, (int)r->kh, (int)r->kw,
             (int)a->stride[0], (int)a->stride[1], (int)a->dilation[0], (int)a->dilation[1], (int)r->begin[0],
             (int)r->begin[1], (int)r->end[0], (int)r->end[1], r->ceil_mode ? " ceil" : "",
             r->count_pad ? " count_pad" : "");
}

const bcam_check_table bcam_check_pool = {2 * BCAM_COUNT(pool_rows), 2 * BCAM_COUNT(pool_rows), make_pool};
