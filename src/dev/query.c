/* query.c - what a step must look like: the verbs' signatures as checks. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dev/place.h"

typedef struct step_query {
    const bcam_step *step;
    bcam_tensor in[BCAM_MAX_IN], out[BCAM_MAX_OUT]; /* rank is -1 where absent */
    bcam_error *err;
} step_query;

static bcam_status refuse(const step_query *q, const char *format, ...) BCAM_PRINTF(2, 3);

static bcam_status refuse(const step_query *q, const char *format, ...)
{
    char why[512];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return bcam_fail(q->err, BCAM_E_UNSUPPORTED, "step '%s' (%s): %s", q->step->name, bcam_verb_name(q->step->verb),
                     why);
}

#define REQUIRE(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return refuse(q, __VA_ARGS__);                                                                             \
    } while (0)

static bool is_there(const bcam_tensor *t)
{
    return t->rank >= 0;
}

/* Whether a tensor has exactly this shape; -1: any. */
static bool has_shape(const bcam_tensor *t, int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    const int64_t want[4] = {a, b, c, d};
    if (t->rank != rank)
        return false;
    for (int i = 0; i < rank; i++)
        if (want[i] >= 0 && t->dim[i] != want[i])
            return false;
    return true;
}

static bool same_shape(const bcam_tensor *a, const bcam_tensor *b)
{
    return a->rank == b->rank && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]);
}

/* Whether `t` fits into `dim` under numpy's broadcasting. */
static bool broadcasts_to(const bcam_tensor *t, const bcam_tensor *to)
{
    for (int a = 0; a < t->rank; a++) {
        int other = a + to->rank - t->rank;
        if (other < 0 || (t->dim[a] != 1 && t->dim[a] != to->dim[other]))
            return false;
    }
    return true;
}

/* x is the photo side, y the window side, also backwards. */
static bcam_status check_conv(const step_query *q, const bcam_tensor *x, const bcam_tensor *w, const bcam_tensor *y)
{
    const bcam_conv_attr *a = &q->step->u.conv;
    REQUIRE(x->rank == 4 && w->rank == 4 && y->rank == 4,
            "only convolutions over rows and columns (rank 4) are supported");
    REQUIRE(a->groups > 0 && w->dim[0] % a->groups == 0 && w->dim[1] * a->groups == x->dim[1],
            "weights of (%lld,%lld) in %lld groups do not fit %lld channels", (long long)w->dim[0],
            (long long)w->dim[1], (long long)a->groups, (long long)x->dim[1]);
    REQUIRE(y->dim[0] == x->dim[0] && y->dim[1] == w->dim[0], "the output's photos or channels do not fit");
    for (int d = 0; d < 2; d++) {
        REQUIRE(a->stride[d] > 0 && a->dilation[d] > 0 && a->pad_begin[d] >= 0 && a->pad_end[d] >= 0,
                "strides and dilations must be positive, pads not negative");
        int64_t room = x->dim[2 + d] + a->pad_begin[d] + a->pad_end[d] - a->dilation[d] * (w->dim[2 + d] - 1) - 1;
        REQUIRE(room >= 0 && y->dim[2 + d] == room / a->stride[d] + 1, "the output's %s do not fit",
                d ? "columns" : "rows");
    }
    return BCAM_OK;
}

static bcam_status check_CONV(const step_query *q)
{
    REQUIRE(!is_there(&q->in[2]) || has_shape(&q->in[2], 1, q->out[0].dim[1], 0, 0, 0), "the bias does not fit");
    REQUIRE(!is_there(&q->in[3]) || same_shape(&q->in[3], &q->out[0]), "what is added is not of the output's shape");
    return check_conv(q, &q->in[0], &q->in[1], &q->out[0]);
}

static bcam_status check_CONV_BWD(const step_query *q)
{
    return check_conv(q, &q->out[0], &q->in[1], &q->in[0]);
}

static bcam_status check_GEMM(const step_query *q)
{
    const bcam_tensor *x = &q->in[0], *w = &q->in[1], *b = &q->in[2], *y = &q->out[0];
    REQUIRE(x->rank == 2 && w->rank == 2 && w->dim[1] == x->dim[1], "the matrices do not fit");
    REQUIRE(has_shape(y, 2, x->dim[0], w->dim[0], 0, 0), "the output does not fit");
    REQUIRE(!is_there(b) || has_shape(b, 1, w->dim[0], 0, 0, 0), "the bias does not fit");
    return BCAM_OK;
}

static bcam_status check_GEMM_BWD(const step_query *q)
{
    const bcam_tensor *dy = &q->in[0], *w = &q->in[1];
    REQUIRE(dy->rank == 2 && w->rank == 2 && w->dim[0] == dy->dim[1], "the matrices do not fit");
    REQUIRE(has_shape(&q->out[0], 2, dy->dim[0], w->dim[1], 0, 0), "the output does not fit");
    return BCAM_OK;
}

static bcam_status check_pool(const step_query *q, const bcam_tensor *x, const bcam_tensor *y)
{
    const bcam_pool_attr *a = &q->step->u.pool;
    REQUIRE(x->rank == 4 && y->rank == 4, "only pooling over rows and columns (rank 4) is supported");
    REQUIRE(y->dim[0] == x->dim[0] && y->dim[1] == x->dim[1], "the output's photos or channels do not fit");
    for (int d = 0; d < 2; d++) {
        REQUIRE(a->kernel[d] > 0 && a->stride[d] > 0 && a->dilation[d] > 0 && a->pad_begin[d] >= 0 &&
                    a->pad_end[d] >= 0,
                "kernel, strides and dilations must be positive, pads not negative");
        int64_t room = x->dim[2 + d] + a->pad_begin[d] + a->pad_end[d] - a->dilation[d] * (a->kernel[d] - 1) - 1;
        int64_t least = room >= 0 ? room / a->stride[d] + 1 : 1;
        int64_t most = room >= 0 ? (room + a->stride[d] - 1) / a->stride[d] + 1 : 1;
        REQUIRE(y->dim[2 + d] >= least && y->dim[2 + d] <= most, "the output's %s do not fit", d ? "columns" : "rows");
    }
    return BCAM_OK;
}

static bcam_status check_POOL(const step_query *q)
{
    return check_pool(q, &q->in[0], &q->out[0]);
}

static bcam_status check_POOL_BWD(const step_query *q)
{
    REQUIRE(!q->step->u.pool.max || (is_there(&q->in[1]) && same_shape(&q->in[1], &q->out[0])),
            "the gradient of a maximum needs the pooled input");
    return check_pool(q, &q->out[0], &q->in[0]);
}

static bcam_status check_NORM(const step_query *q)
{
    const bcam_tensor *x = &q->in[0], *shift = &q->in[2];
    REQUIRE(x->rank >= 2 && same_shape(x, &q->out[0]), "input and output must have one shape with channels");
    REQUIRE(has_shape(&q->in[1], 1, x->dim[1], 0, 0, 0), "the scale does not fit");
    REQUIRE(!is_there(shift) || has_shape(shift, 1, x->dim[1], 0, 0, 0), "the shift does not fit");
    return BCAM_OK;
}

static bcam_status check_NORM_BWD(const step_query *q)
{
    return check_NORM(q);
}

static bcam_status check_UNARY(const step_query *q)
{
    REQUIRE((unsigned)q->step->u.unary.kind < BCAM_UNARY_COUNT, "no such function");
    REQUIRE(same_shape(&q->in[0], &q->out[0]), "input and output must have one shape");
    return BCAM_OK;
}

static bcam_status check_UNARY_BWD(const step_query *q)
{
    REQUIRE((unsigned)q->step->u.unary.kind < BCAM_UNARY_COUNT, "no such function");
    REQUIRE(same_shape(&q->in[0], &q->out[0]), "gradients in and out must have one shape");
    if (bcam_unary_reads(q->step->u.unary.kind) != BCAM_READS_NOTHING)
        REQUIRE(is_there(&q->in[1]) && same_shape(&q->in[1], &q->out[0]),
                "the derivative of %s needs what the function %s", bcam_unary_name(q->step->u.unary.kind),
                bcam_unary_reads(q->step->u.unary.kind) == BCAM_READS_X ? "read" : "gave");
    REQUIRE(!is_there(&q->in[2]) || same_shape(&q->in[2], &q->out[0]),
            "two gradients that are added must have one shape");
    return BCAM_OK;
}

static bcam_status check_BINARY(const step_query *q)
{
    const bcam_tensor *a = &q->in[0], *b = &q->in[1], *y = &q->out[0];
    REQUIRE((unsigned)q->step->u.binary.kind <= BCAM_BINARY_POW, "no such function");
    REQUIRE(broadcasts_to(a, y) && broadcasts_to(b, y) && y->rank == (a->rank > b->rank ? a->rank : b->rank),
            "the operands do not fit the output");
    for (int i = 0; i < y->rank; i++) {
        int own_a = i - (y->rank - a->rank), own_b = i - (y->rank - b->rank);
        REQUIRE((own_a >= 0 && a->dim[own_a] == y->dim[i]) || (own_b >= 0 && b->dim[own_b] == y->dim[i]),
                "the output is larger than its operands");
    }
    return BCAM_OK;
}

/* Which operands the derivative reads (1: a, 2: b), by kind and by which operand it is for. */
static const unsigned char binary_needs[][2] = {
    [BCAM_BINARY_ADD] = {0, 0}, [BCAM_BINARY_SUB] = {0, 0}, [BCAM_BINARY_MUL] = {2, 1}, [BCAM_BINARY_DIV] = {2, 3},
    [BCAM_BINARY_MAX] = {3, 3}, [BCAM_BINARY_MIN] = {3, 3}, [BCAM_BINARY_POW] = {3, 3},
};

static bcam_status check_BINARY_BWD(const step_query *q)
{
    const bcam_binary_attr *a = &q->step->u.binary;
    REQUIRE((unsigned)a->kind <= BCAM_BINARY_POW && (a->which == 0 || a->which == 1), "no such function or operand");
    REQUIRE(broadcasts_to(&q->out[0], &q->in[0]), "the operand's shape does not fit the gradient");
    for (int i = 0; i < 2; i++) {
        REQUIRE(!(binary_needs[a->kind][a->which] >> i & 1) || is_there(&q->in[1 + i]), "operand %s is missing",
                i ? "b" : "a");
        REQUIRE(!is_there(&q->in[1 + i]) || broadcasts_to(&q->in[1 + i], &q->in[0]), "operand %s does not fit",
                i ? "b" : "a");
    }
    return BCAM_OK;
}

static bcam_status check_reduce(const step_query *q, const bcam_tensor *x, const bcam_tensor *y)
{
    const bcam_reduce_attr *a = &q->step->u.reduce;
    REQUIRE((unsigned)a->kind <= BCAM_REDUCE_L2, "no such reduction");
    REQUIRE(x->rank == y->rank && a->axes >> x->rank == 0, "ranks or axes do not fit");
    for (int i = 0; i < x->rank; i++)
        REQUIRE(y->dim[i] == (a->axes >> i & 1 ? 1 : x->dim[i]), "axis %d does not fit", i);
    return BCAM_OK;
}

static bcam_status check_REDUCE(const step_query *q)
{
    return check_reduce(q, &q->in[0], &q->out[0]);
}

static bcam_status check_REDUCE_BWD(const step_query *q)
{
    if (q->step->u.reduce.kind == BCAM_REDUCE_MAX || q->step->u.reduce.kind == BCAM_REDUCE_L2)
        REQUIRE(is_there(&q->in[1]) && same_shape(&q->in[1], &q->out[0]) && is_there(&q->in[2]) &&
                    same_shape(&q->in[2], &q->in[0]),
                "this gradient needs what was reduced and what came out");
    return check_reduce(q, &q->out[0], &q->in[0]);
}

static bcam_status check_SOFTMAX(const step_query *q)
{
    REQUIRE(same_shape(&q->in[0], &q->out[0]), "input and output must have one shape");
    REQUIRE(q->step->u.softmax.axis >= 0 && q->step->u.softmax.axis < q->in[0].rank, "there is no axis %d",
            q->step->u.softmax.axis);
    return BCAM_OK;
}

static bcam_status check_SOFTMAX_BWD(const step_query *q)
{
    REQUIRE(same_shape(&q->in[0], &q->in[1]), "the gradient must have the output's shape");
    return check_SOFTMAX(q);
}

static bcam_status check_copy(const step_query *q, const bcam_tensor *x, const bcam_tensor *y)
{
    const bcam_copy_attr *c = &q->step->u.copy;
    if (c->reshape) {
        REQUIRE(bcam_count(x->rank, x->dim) == bcam_count(y->rank, y->dim),
                "a reshape must keep the number of elements");
        return BCAM_OK;
    }
    unsigned moved = 0;
    for (int i = 0; i < y->rank; i++) {
        int from = c->axis[i];
        REQUIRE(c->extent[i] > 0 && c->to[i] >= 0 && c->extent[i] <= y->dim[i] - c->to[i],
                "axis %d reaches past the output", i);
        REQUIRE(from >= -1 && from < x->rank && (from < 0 || !(moved >> from & 1)), "axis %d moves with none or two",
                i);
        if (from < 0)
            continue;
        moved |= 1u << from;
        int64_t end = c->from[from] + (c->extent[i] - 1) * c->step[from];
        REQUIRE((c->step[from] != 0 || c->extent[i] == 1) && end >= 0 && end < x->dim[from],
                "axis %d reaches past the input", i);
    }
    for (int i = 0; i < x->rank; i++)
        REQUIRE(c->from[i] >= 0 && c->from[i] < x->dim[i], "axis %d of the input begins outside", i);
    return BCAM_OK;
}

static bcam_status check_COPY(const step_query *q)
{
    return check_copy(q, &q->in[0], &q->out[0]);
}

static bcam_status check_COPY_BWD(const step_query *q)
{
    return check_copy(q, &q->out[0], &q->in[0]);
}

static bcam_status check_RESIZE(const step_query *q)
{
    REQUIRE(q->in[0].rank == 1 && q->in[1].rank == 1 && q->in[0].dim[0] <= INT32_MAX && q->in[1].dim[0] <= INT32_MAX,
            "photos and tables must be (B) and (T), at most 2^31 - 1");
    REQUIRE(has_shape(&q->in[2], 2, -1, BCAM_FRAME_COUNT, 0, 0), "the frames must be (N,%d)", BCAM_FRAME_COUNT);
    REQUIRE(has_shape(&q->out[0], 4, q->in[2].dim[0], 3, -1, -1), "the output must be (N,3,H,W)");
    return BCAM_OK;
}

static bcam_status check_PREP(const step_query *q)
{
    const bcam_tensor *pixels = &q->in[0], *lut = &q->in[1];
    const bcam_prep_attr *a = &q->step->u.prep;
    REQUIRE(pixels->rank == 4 && lut->rank == 2 && lut->dim[1] == 256 && lut->dim[0] <= (int64_t)BCAM_COUNT(a->channel),
            "pixels must be (N,channels,H,W), the table (C,256) with at most 4 channels");
    const int64_t *d = pixels->dim;
    REQUIRE(has_shape(&q->out[0], 4, d[0], lut->dim[0], d[2], d[3]), "the output does not fit");
    for (int64_t c = 0; c < lut->dim[0]; c++)
        REQUIRE(a->channel[c] >= 0 && a->channel[c] < d[1], "there is no byte channel %d", a->channel[c]);
    return BCAM_OK;
}

static bcam_status check_SELECT(const step_query *q)
{
    const bcam_tensor *logits = &q->in[0], *ids = &q->out[0];
    REQUIRE(logits->rank == 2 && logits->dim[1] <= INT32_MAX && has_shape(&q->in[1], 2, logits->dim[0], -1, 0, 0) &&
                has_shape(&q->in[2], 1, 1, 0, 0, 0),
            "inputs must be (N,M), (N,K) and (1)");
    REQUIRE(has_shape(ids, 2, -1, logits->dim[0], 0, 0), "the ids must be (K,N)");
    for (int i = 1; i < 3; i++)
        REQUIRE(!is_there(&q->out[i]) || same_shape(&q->out[i], ids), "the scores must be (K,N)");
    REQUIRE(!is_there(&q->out[3]) || has_shape(&q->out[3], 2, ids->dim[0] * ids->dim[1], logits->dim[1], 0, 0),
            "the seed must be (K*N,M)");
    bcam_activation activation = q->step->u.select.activation;
    REQUIRE(activation > BCAM_ACTIVATION_AUTO && activation <= BCAM_ACTIVATION_NONE, "the activation is not resolved");
    return BCAM_OK;
}

static bcam_status check_CAM(const step_query *q)
{
    const bcam_tensor *a = &q->in[0], *g = &q->in[1], *map = &q->out[0];
    REQUIRE((unsigned)q->step->u.cam.kind <= BCAM_CAM_ELEMENTWISE, "no such combination");
    REQUIRE(a->rank == 4 && has_shape(map, 4, -1, a->dim[0], a->dim[2], a->dim[3]),
            "activations must be (N,C,h,w) and maps (K,N,h,w)");
    REQUIRE(q->step->u.cam.constant ? has_shape(g, 2, -1, a->dim[1], 0, 0)
                                    : has_shape(g, 4, map->dim[0] * a->dim[0], a->dim[1], a->dim[2], a->dim[3]),
            "the gradients do not fit the activations");
    REQUIRE(has_shape(&q->in[2], 2, map->dim[0], map->dim[1], 0, 0), "the ids must be (K,N)");
    REQUIRE(has_shape(&q->out[1], 3, map->dim[0], map->dim[1], 2, 0), "the range must be (K,N,2)");
    REQUIRE(!is_there(&q->out[2]) || has_shape(&q->out[2], 3, map->dim[0], map->dim[1], a->dim[1], 0),
            "the weights must be (K,N,C)");
    return BCAM_OK;
}

static bcam_status check_UPSAMPLE(const step_query *q)
{
    const bcam_tensor *map = &q->in[0], *range = &q->in[1], *colours = &q->in[2], *out = &q->out[0];
    bool coloured = is_there(colours);
    REQUIRE(!coloured || has_shape(colours, 2, 256, 3, 0, 0), "the colours must be (256,3)");
    REQUIRE(!coloured || (out->dtype == BCAM_U8 && out->rank == 5 && out->dim[4] == 3),
            "colours make bytes (K,N,H,W,3)");
    bcam_tensor pixels = *out; /* what is coloured */
    pixels.rank -= coloured;
    REQUIRE(map->rank == 4 && has_shape(&pixels, 4, map->dim[0], map->dim[1], -1, -1), "the output does not fit");
    REQUIRE(is_there(range) || coloured || out->dtype != BCAM_U8, "bytes need the range");
    REQUIRE(!is_there(range) || has_shape(range, 3, map->dim[0], map->dim[1], 2, 0), "the range must be (K,N,2)");
    return BCAM_OK;
}

/* ---- what all steps have in common ---- */

static const struct {
    bcam_status (*check)(const step_query *q);
    unsigned need_in, need_out; /* bit i: operand i must be there */
} rules[BCAM_VERB_COUNT] = {
    [BCAM_VERB_CONV] = {check_CONV, 3, 1},         [BCAM_VERB_CONV_BWD] = {check_CONV_BWD, 3, 1},
    [BCAM_VERB_GEMM] = {check_GEMM, 3, 1},         [BCAM_VERB_GEMM_BWD] = {check_GEMM_BWD, 3, 1},
    [BCAM_VERB_POOL] = {check_POOL, 1, 1},         [BCAM_VERB_POOL_BWD] = {check_POOL_BWD, 1, 1},
    [BCAM_VERB_NORM] = {check_NORM, 3, 1},         [BCAM_VERB_NORM_BWD] = {check_NORM_BWD, 3, 1},
    [BCAM_VERB_UNARY] = {check_UNARY, 1, 1},       [BCAM_VERB_UNARY_BWD] = {check_UNARY_BWD, 1, 1},
    [BCAM_VERB_BINARY] = {check_BINARY, 3, 1},     [BCAM_VERB_BINARY_BWD] = {check_BINARY_BWD, 1, 1},
    [BCAM_VERB_REDUCE] = {check_REDUCE, 1, 1},     [BCAM_VERB_REDUCE_BWD] = {check_REDUCE_BWD, 1, 1},
    [BCAM_VERB_SOFTMAX] = {check_SOFTMAX, 1, 1},   [BCAM_VERB_SOFTMAX_BWD] = {check_SOFTMAX_BWD, 3, 1},
    [BCAM_VERB_COPY] = {check_COPY, 1, 1},         [BCAM_VERB_COPY_BWD] = {check_COPY_BWD, 1, 1},
    [BCAM_VERB_RESIZE] = {check_RESIZE, 7, 1},     [BCAM_VERB_PREP] = {check_PREP, 3, 1},
    [BCAM_VERB_SELECT] = {check_SELECT, 7, 1},     [BCAM_VERB_CAM] = {check_CAM, 7, 3},
    [BCAM_VERB_UPSAMPLE] = {check_UPSAMPLE, 1, 1},
};

static const struct {
    int in, out;
} most[BCAM_VERB_COUNT] = {
#define VERB(NAME, member, inputs, outputs) [BCAM_VERB_##NAME] = {inputs, outputs},
#include "dev/verbs.def"
#undef VERB
};

bcam_tensor bcam_step_operand(const bcam_value *values, int64_t k, const bcam_step *step, int value)
{
    if (value < 0)
        return (bcam_tensor){.rank = -1};
    const bcam_value *v = &values[value];
    bcam_tensor t = {.dtype = v->dtype, .rank = v->rank};
    memcpy(t.dim, v->dim, sizeof t.dim);
    if (t.rank == 0)
        t.dim[t.rank++] = 1;
    if (step->each_k && v->each_k && v->rank > 0)
        t.dim[0] /= k;
    return t;
}

/* The element type that an operand must have; UPSAMPLE's output has a choice. */
static bool dtype_fits(bcam_verb verb, bool out, int i, bcam_dtype dtype)
{
    if (verb == BCAM_VERB_UPSAMPLE && out)
        return dtype == BCAM_F32 || dtype == BCAM_F16 || dtype == BCAM_U8;
    if (verb == BCAM_VERB_RESIZE)
        return dtype == (out || i == 0 ? BCAM_U8 : BCAM_I32);
    if ((verb == BCAM_VERB_PREP && !out && i == 0) || (verb == BCAM_VERB_UPSAMPLE && i == 2))
        return dtype == BCAM_U8;
    bool ids = (verb == BCAM_VERB_SELECT && (out ? i == 0 : i > 0)) || (verb == BCAM_VERB_CAM && !out && i == 2);
    return dtype == (ids ? BCAM_I32 : BCAM_F32);
}

static bcam_status check_operand(const step_query *q, const bcam_plan *plan, bool out, int i, int value)
{
    const char *side = out ? "output" : "input";
    bcam_verb verb = q->step->verb;
    if (value < 0) {
        REQUIRE(!((out ? rules[verb].need_out : rules[verb].need_in) >> i & 1), "%s %d is missing", side, i);
        return BCAM_OK;
    }
    REQUIRE(i < (out ? most[verb].out : most[verb].in), "%s %d is one too many", side, i);
    REQUIRE((size_t)value < plan->value_count, "%s %d names value %d of %zu", side, i, value, plan->value_count);
    const bcam_value *v = &plan->values[value];
    REQUIRE(v->rank >= 0 && v->rank <= BCAM_MAX_RANK, "'%s' has rank %d; at most %d is supported", v->name, v->rank,
            BCAM_MAX_RANK);
    for (int a = 0; a < v->rank; a++)
        REQUIRE(v->dim[a] > 0, "'%s' is empty", v->name);
    REQUIRE(dtype_fits(verb, out, i, v->dtype), "'%s' is of type %s", v->name, bcam_dtype_name(v->dtype));
    REQUIRE(!v->each_k || (v->rank > 0 && plan->k > 0 && v->dim[0] % plan->k == 0),
            "'%s' has %lld rows, not a multiple of K = %lld", v->name, (long long)v->dim[0], (long long)plan->k);
    REQUIRE(!out || !q->step->each_k || v->each_k, "'%s' would be overwritten for every k", v->name);
    REQUIRE(!out || (v->role != BCAM_ROLE_CONST && v->role != BCAM_ROLE_INPUT), "'%s' must not be written", v->name);
    return BCAM_OK;
}

bcam_status bcam_step_check(const bcam_plan *plan, const bcam_step *step, bcam_error *err)
{
    step_query query = {.step = step, .err = err}, *q = &query;
    bcam_status status = BCAM_OK;
    REQUIRE((unsigned)step->verb < BCAM_VERB_COUNT, "no such verb");
    REQUIRE((unsigned)step->act.kind < BCAM_UNARY_COUNT, "no such activation");
    for (int i = 0; i < BCAM_MAX_IN && !status; i++)
        status = check_operand(q, plan, false, i, step->in[i]);
    for (int i = 0; i < BCAM_MAX_OUT && !status; i++)
        status = check_operand(q, plan, true, i, step->out[i]);
    if (status)
        return status;
    for (int i = 0; i < BCAM_MAX_IN; i++)
        query.in[i] = bcam_step_operand(plan->values, plan->k, step, step->in[i]);
    for (int i = 0; i < BCAM_MAX_OUT; i++)
        query.out[i] = bcam_step_operand(plan->values, plan->k, step, step->out[i]);
    return rules[step->verb].check(q);
}
