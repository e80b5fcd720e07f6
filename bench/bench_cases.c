/* bench_cases.c - the table. In rows, 0 stands for the usual. */
#include "bench_cases.h"

#include <stdio.h>
#include <string.h>

#include "check/cases.h"

typedef struct row {
    bcam_verb verb;
    int64_t dim[3]; /* of one photo of the first operand; UPSAMPLE: height, width, and the side that it becomes */
    int64_t m;      /* CONV, GEMM: outputs; COPY: channels of the whole */
    int64_t kernel, stride, groups;
    int kind; /* of POOL (1: maximum), UNARY, BINARY, REDUCE, CAM */
    enum { AS_IT_IS, WIDE, RESIDUAL, CONSTANT, RESHAPE, TURN, COLOURS } form;
    bcam_dtype dtype; /* UPSAMPLE */
    bcam_unary_attr act;
} row;

#define ACT(KIND, alpha, beta) .act = {BCAM_UNARY_##KIND, alpha, beta}

static const row rows[] = {
    {.verb = BCAM_VERB_CONV, .dim = {3, 224, 224}, .m = 64, .kernel = 7, .stride = 2, ACT(RELU, 0, 0)},
    {.verb = BCAM_VERB_CONV, .dim = {256, 56, 56}, .m = 64, .kernel = 1, ACT(RELU, 0, 0)},
    {.verb = BCAM_VERB_CONV, .dim = {64, 56, 56}, .m = 64, .kernel = 3, ACT(RELU, 0, 0)},
    {.verb = BCAM_VERB_CONV, .dim = {64, 56, 56}, .m = 256, .kernel = 1, .form = RESIDUAL, ACT(RELU, 0, 0)},
    {.verb = BCAM_VERB_CONV, .dim = {256, 14, 14}, .m = 256, .kernel = 3, ACT(RELU, 0, 0)},
    {.verb = BCAM_VERB_CONV, .dim = {512, 7, 7}, .m = 2048, .kernel = 1, .form = RESIDUAL, ACT(RELU, 0, 0)},
    {.verb = BCAM_VERB_CONV, .dim = {96, 112, 112}, .m = 96, .kernel = 3, .stride = 2, .groups = 96, ACT(CLIP, 0, 6)},
    {.verb = BCAM_VERB_CONV, .dim = {384, 14, 14}, .m = 384, .kernel = 3, .stride = 1, .groups = 384, ACT(CLIP, 0, 6)},
    {.verb = BCAM_VERB_GEMM, .dim = {2048, 1, 1}, .m = 1000},
    {.verb = BCAM_VERB_GEMM, .dim = {25088, 1, 1}, .m = 4096, ACT(RELU, 0, 0)},
    {.verb = BCAM_VERB_POOL, .dim = {64, 112, 112}, .kernel = 3, .stride = 2, .kind = 1},
    {.verb = BCAM_VERB_POOL, .dim = {128, 112, 112}, .kernel = 2, .stride = 2, .kind = 1},
    {.verb = BCAM_VERB_POOL, .dim = {512, 14, 14}, .kernel = 2, .stride = 2, .kind = 1},
    {.verb = BCAM_VERB_POOL, .dim = {128, 56, 56}, .kernel = 2, .stride = 2},
    {.verb = BCAM_VERB_POOL, .dim = {192, 35, 35}, .kernel = 3, .stride = 1},
    {.verb = BCAM_VERB_NORM, .dim = {128, 56, 56}, ACT(RELU, 0, 0)},
    {.verb = BCAM_VERB_UNARY, .dim = {256, 56, 56}, .kind = BCAM_UNARY_RELU},
    {.verb = BCAM_VERB_UNARY, .dim = {144, 56, 56}, .kind = BCAM_UNARY_CLIP},
    {.verb = BCAM_VERB_UNARY, .dim = {144, 56, 56}, .kind = BCAM_UNARY_SILU},
    {.verb = BCAM_VERB_UNARY, .dim = {144, 56, 56}, .kind = BCAM_UNARY_SIGMOID},
    {.verb = BCAM_VERB_UNARY, .dim = {64, 56, 56}, .kind = BCAM_UNARY_HARD_SWISH},
    {.verb = BCAM_VERB_UNARY, .dim = {64, 56, 56}, .kind = BCAM_UNARY_ERF},
    {.verb = BCAM_VERB_UNARY, .dim = {64, 56, 56}, .kind = BCAM_UNARY_TANH},
    {.verb = BCAM_VERB_BINARY, .dim = {256, 56, 56}, .kind = BCAM_BINARY_ADD, ACT(RELU, 0, 0)},
    {.verb = BCAM_VERB_BINARY, .dim = {144, 56, 56}, .kind = BCAM_BINARY_MUL},
    {.verb = BCAM_VERB_BINARY, .dim = {144, 56, 56}, .kind = BCAM_BINARY_MUL, .form = WIDE},
    {.verb = BCAM_VERB_BINARY, .dim = {480, 14, 14}, .kind = BCAM_BINARY_MUL, .form = WIDE},
    {.verb = BCAM_VERB_REDUCE, .dim = {2048, 7, 7}, .kind = BCAM_REDUCE_MEAN},
    {.verb = BCAM_VERB_REDUCE, .dim = {144, 56, 56}, .kind = BCAM_REDUCE_MEAN},
    {.verb = BCAM_VERB_SOFTMAX, .dim = {1000, 1, 1}},
    {.verb = BCAM_VERB_COPY, .dim = {128, 56, 56}, .m = 256},
    {.verb = BCAM_VERB_COPY, .dim = {32, 28, 28}, .m = 512},
    {.verb = BCAM_VERB_COPY, .dim = {512, 7, 7}, .form = RESHAPE},
    {.verb = BCAM_VERB_COPY, .dim = {116, 28, 28}, .form = TURN},
    {.verb = BCAM_VERB_PREP, .dim = {3, 224, 224}},
    {.verb = BCAM_VERB_SELECT, .dim = {1000, 1, 1}},
    {.verb = BCAM_VERB_CAM, .dim = {2048, 7, 7}, .form = CONSTANT},
    {.verb = BCAM_VERB_CAM, .dim = {2048, 7, 7}},
    {.verb = BCAM_VERB_CAM, .dim = {256, 56, 56}},
    {.verb = BCAM_VERB_CAM, .dim = {1024, 14, 14}, .kind = BCAM_CAM_ELEMENTWISE},
    {.verb = BCAM_VERB_UPSAMPLE, .dim = {7, 7, 224}, .dtype = BCAM_F32},
    {.verb = BCAM_VERB_UPSAMPLE, .dim = {7, 7, 224}, .dtype = BCAM_F16},
    {.verb = BCAM_VERB_UPSAMPLE, .dim = {7, 7, 224}, .dtype = BCAM_U8},
    {.verb = BCAM_VERB_UPSAMPLE, .dim = {7, 7, 224}, .form = COLOURS, .dtype = BCAM_U8},
};

static bool has_backward(const row *r)
{
    return r->verb + 1 < BCAM_VERB_COUNT && bcam_check_is_backward(r->verb + 1);
}

size_t bench_case_count(void)
{
    size_t count = BCAM_COUNT(rows);
    for (size_t i = 0; i < BCAM_COUNT(rows); i++)
        count += has_backward(&rows[i]);
    return count;
}

static bcam_check_operand in_photo(int rank, const int64_t *dim)
{
    return bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_N, rank, dim);
}

static bcam_check_operand constant(int rank, const int64_t *dim)
{
    return bcam_check_real(BCAM_ROLE_CONST, BCAM_LEAD_NONE, rank, dim);
}

static bcam_check_operand whole(bcam_role role, bcam_check_lead lead, int rank, const int64_t *dim,
                                bcam_check_domain domain, int64_t limit)
{
    bcam_check_operand o = bcam_check_real(role, lead, rank, dim);
    o.dtype = BCAM_I32;
    o.domain = domain;
    o.limit = limit;
    return o;
}

/* Windows with padding that keeps the size, or divides it by the stride. */
static void make_windows(const row *r, bcam_check_case *c)
{
    int64_t stride = r->stride ? r->stride : 1, pad = r->kernel == 2 ? 0 : r->kernel / 2;
    int64_t groups = r->groups ? r->groups : 1, m = r->verb == BCAM_VERB_POOL ? r->dim[0] : r->m;
    c->out[0].dim[0] = m;
    for (int i = 0; i < 2; i++) {
        c->out[0].dim[1 + i] = (r->dim[1 + i] + 2 * pad - r->kernel) / stride + 1;
        if (r->verb == BCAM_VERB_POOL) {
            bcam_pool_attr *a = &c->step.u.pool;
            a->max = r->kind != 0;
            a->kernel[i] = r->kernel, a->stride[i] = stride, a->dilation[i] = 1, a->pad_begin[i] = a->pad_end[i] = pad;
        } else {
            bcam_conv_attr *a = &c->step.u.conv;
            a->groups = groups;
            a->stride[i] = stride, a->dilation[i] = 1, a->pad_begin[i] = a->pad_end[i] = pad;
        }
    }
    if (r->verb == BCAM_VERB_POOL)
        return;
    c->in[1] = constant(4, DIMS(m, r->dim[0] / groups, r->kernel, r->kernel));
    c->in[2] = constant(1, DIMS(m));
    if (r->form == RESIDUAL)
        c->in[3] = in_photo(3, c->out[0].dim);
}

static void make_product(const row *r, bcam_check_case *c)
{
    c->in[0].rank = c->out[0].rank = 1;
    c->out[0].dim[0] = r->m;
    c->in[1] = constant(2, DIMS(r->m, r->dim[0]));
    c->in[2] = constant(1, DIMS(r->m));
}

/* A part of a concat, a reshape to a vector, or channels shuffled in two groups. */
static void make_copy(const row *r, bcam_check_case *c)
{
    int64_t channels = r->dim[0], h = r->dim[1], w = r->dim[2];
    bcam_copy_attr *a = &c->step.u.copy;
    *a = (bcam_copy_attr){.extent = {16, channels, h, w}, .axis = {0, 1, 2, 3}, .step = {1, 1, 1, 1}};
    c->out[0].dim[0] = r->m;
    if (r->form == RESHAPE) {
        a->reshape = true;
        c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_N, 1, DIMS(channels * h * w));
    } else if (r->form == TURN) {
        *a = (bcam_copy_attr){.extent = {16, channels / 2, 2, h, w}, .axis = {0, 2, 1, 3, 4}, .step = {1, 1, 1, 1, 1}};
        c->in[0] = in_photo(4, DIMS(2, channels / 2, h, w));
        c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_N, 4, DIMS(channels / 2, 2, h, w));
    }
}

static void make_cam(const row *r, bcam_check_case *c)
{
    enum { CLASSES = 1000 };
    c->step.u.cam = (bcam_cam_attr){.kind = (bcam_cam_kind)r->kind, .constant = r->form == CONSTANT};
    c->in[1] = r->form == CONSTANT ? constant(2, DIMS(CLASSES, r->dim[0]))
                                   : bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_KN, 3, r->dim);
    c->in[2] = whole(BCAM_ROLE_INPUT, BCAM_LEAD_K_N, 0, NULL, BCAM_DOMAIN_CLASS, CLASSES);
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_K_N, 2, r->dim + 1);
    c->out[1] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_K_N, 1, DIMS(2));
    c->out[2] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_K_N, 1, r->dim);
}

static void make_select(const row *r, bcam_check_case *c)
{
    c->step.u.select.activation = BCAM_ACTIVATION_SOFTMAX;
    c->in[0].rank = 1;
    c->in[1] = whole(BCAM_ROLE_INPUT, BCAM_LEAD_N, 1, DIMS(1), BCAM_DOMAIN_REQUEST, r->dim[0]);
    c->in[2] = whole(BCAM_ROLE_INPUT, BCAM_LEAD_NONE, 1, DIMS(1), BCAM_DOMAIN_FIRST, 0);
    c->out[0] = whole(BCAM_ROLE_OUTPUT, BCAM_LEAD_K_N, 0, NULL, BCAM_DOMAIN_CLASS, r->dim[0]);
    c->out[1] = c->out[2] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_K_N, 0, NULL);
    c->out[3] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_KN, 1, DIMS(r->dim[0]));
}

static void make_upsample(const row *r, bcam_check_case *c)
{
    c->in[0] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_K_N, 2, r->dim);
    c->in[0].domain = BCAM_DOMAIN_RELU;
    c->in[1] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_K_N, 1, DIMS(2));
    c->in[1].domain = BCAM_DOMAIN_RANGE;
    c->out[0] =
        bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_K_N, r->form == COLOURS ? 3 : 2, DIMS(r->dim[2], r->dim[2], 3));
    c->out[0].dtype = r->dtype;
    if (r->form == COLOURS) {
        c->in[2] = constant(2, DIMS(256, 3));
        c->in[2].dtype = BCAM_U8;
        c->in[2].domain = BCAM_DOMAIN_COLOURS;
    }
}

static void make_point(const row *r, bcam_check_case *c)
{
    switch (r->verb) {
    case BCAM_VERB_NORM:
        c->in[1] = c->in[2] = constant(1, r->dim);
        break;
    case BCAM_VERB_UNARY:
        c->step.u.unary = (bcam_unary_attr){(bcam_unary_kind)r->kind, 0, 6};
        break;
    case BCAM_VERB_BINARY:
        c->step.u.binary.kind = (bcam_binary_kind)r->kind;
        c->in[1] = in_photo(3, r->form == WIDE ? DIMS(r->dim[0], 1, 1) : r->dim);
        break;
    case BCAM_VERB_REDUCE:
        c->step.u.reduce = (bcam_reduce_attr){(bcam_reduce_kind)r->kind, 1u << 2 | 1u << 3};
        c->out[0].dim[1] = c->out[0].dim[2] = 1;
        break;
    case BCAM_VERB_SOFTMAX:
        c->step.u.softmax.axis = 1;
        break;
    default: /* PREP */
        c->step.u.prep = (bcam_prep_attr){{0, 1, 2, 0}};
        c->in[0].dtype = BCAM_U8;
        c->in[0].domain = BCAM_DOMAIN_BYTE;
        c->in[1] = constant(2, DIMS(3, 256));
    }
}

static void make_forward(const row *r, bcam_check_case *c)
{
    *c = (bcam_check_case){.verb = r->verb, .batch = 16, .k = 1, .depth = 1};
    c->step = (bcam_step){.name = bcam_verb_name(r->verb), .verb = r->verb, .segment = BCAM_SEGMENT_FORWARD};
    c->step.act = r->act;
    c->in[0] = in_photo(3, r->dim);
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_N, 3, r->dim);
    snprintf(c->name, sizeof c->name, "%dx%dx%d", (int)r->dim[0], (int)r->dim[1], (int)r->dim[2]);
    static void (*const makers[BCAM_VERB_COUNT])(const row *r, bcam_check_case *c) = {
        [BCAM_VERB_CONV] = make_windows,     [BCAM_VERB_POOL] = make_windows, [BCAM_VERB_GEMM] = make_product,
        [BCAM_VERB_COPY] = make_copy,        [BCAM_VERB_CAM] = make_cam,      [BCAM_VERB_SELECT] = make_select,
        [BCAM_VERB_UPSAMPLE] = make_upsample};
    (makers[r->verb] ? makers[r->verb] : make_point)(r, c);
}

/* "64x112x112 k3 s2 max": what tells the row from others. */
static void add_words(const row *r, bcam_check_case *c)
{
    static const char *const forms[] = {"",         " of one a channel", " residual", " constant",
                                        " reshape", " shuffle",          " colours"};
    static const char *const binaries[] = {" add", " sub", " mul"};
    char *to = c->name + strlen(c->name), *end = c->name + sizeof c->name;
    if (r->m)
        to += snprintf(to, (size_t)(end - to), " m%d", (int)r->m);
    if (r->kernel)
        to += snprintf(to, (size_t)(end - to), " k%d s%d%s", (int)r->kernel, r->stride ? (int)r->stride : 1,
                       r->groups ? " depthwise" : "");
    const char *kind = r->verb == BCAM_VERB_POOL     ? r->kind ? " max" : " average"
                       : r->verb == BCAM_VERB_BINARY ? binaries[r->kind]
                       : r->verb == BCAM_VERB_CAM    ? r->kind ? " elementwise" : " pooled"
                                                     : "";
    to += snprintf(to, (size_t)(end - to), "%s%s", kind, forms[r->form]);
    if (r->verb == BCAM_VERB_UNARY)
        snprintf(to, (size_t)(end - to), " %s", bcam_unary_name((bcam_unary_kind)r->kind));
    else if (r->verb == BCAM_VERB_UPSAMPLE)
        snprintf(to, (size_t)(end - to), " %s", bcam_dtype_name(r->dtype));
}

void bench_case_get(size_t index, bcam_check_case *out)
{
    size_t at = 0;
    while (index > (size_t)has_backward(&rows[at])) /* a row has one case or two */
        index -= 1 + (size_t)has_backward(&rows[at++]);
    bcam_check_case forward;
    make_forward(&rows[at], &forward);
    add_words(&rows[at], &forward);
    if (index == 0)
        *out = forward;
    else
        bcam_check_backward(&forward, out);
    if (index == 1)
        strcpy(out->name, forward.name);
    for (int i = 0; i < BCAM_MAX_IN; i++)
        if (out->in[i].domain == BCAM_DOMAIN_FORWARD)
            out->in[i].domain = BCAM_DOMAIN_ANY;
    out->step.name = bcam_verb_name(out->verb);
}
