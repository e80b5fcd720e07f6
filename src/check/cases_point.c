/* cases_point.c - norm, unary, binary, reduce, softmax. */
#include "check/cases.h"

typedef struct shape {
    int rank; /* of one photo */
    int64_t dim[5];
} shape;

/* 1, 7, 13, 127, 128 and 129 among channels, rows, columns and plain vectors; channels-last and row-major. */
static const shape shapes[] = {
    {3, {1, 1, 1}}, {3, {7, 3, 5}},   {3, {128, 2, 3}},  {3, {13, 1, 129}}, {1, {127}},
    {2, {7, 13}},   {3, {129, 1, 1}}, {4, {2, 3, 1, 7}}, {1, {1}},
};

static void shape_name(const shape *s, char *out, size_t size)
{
    size_t used = 0;
    for (int a = 0; a < s->rank && used < size; a++)
        used += (size_t)snprintf(out + used, size - used, "%s%d", a ? "x" : "", (int)s->dim[a]);
}

/* ---- norm ---- */

static const bcam_unary_attr norm_acts[] = {
    {BCAM_UNARY_NONE, 0, 0},          {BCAM_UNARY_RELU, 0, 0},       {BCAM_UNARY_CLIP, 0, 6},
    {BCAM_UNARY_LEAKY_RELU, 0.1f, 0}, {BCAM_UNARY_HARD_SWISH, 0, 0},
};

static void make_norm(size_t row, bcam_check_case *c)
{
    const shape *s = &shapes[row % BCAM_COUNT(shapes)];
    char dims[64];
    c->step.act = norm_acts[row / BCAM_COUNT(shapes)];
    c->in[0] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_N, s->rank, s->dim);
    c->in[1] = bcam_check_real(BCAM_ROLE_CONST, BCAM_LEAD_NONE, 1, s->dim);
    c->in[2] = bcam_check_real(BCAM_ROLE_CONST, BCAM_LEAD_NONE, 1, s->dim);
    c->in[2].present = row % 4 != 3;
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_N, s->rank, s->dim);
    c->fills = c->step.act.kind == BCAM_UNARY_NONE ? FILLS_ALL : FILLS_FINITE;
    shape_name(s, dims, sizeof dims);
    snprintf(c->name, sizeof c->name, "norm 3x%s%s %s", dims, c->in[2].present ? " shift" : "",
             bcam_unary_name(c->step.act.kind));
}

const bcam_check_table bcam_check_norm = {BCAM_COUNT(norm_acts) * BCAM_COUNT(shapes), BCAM_COUNT(shapes), make_norm};

/* ---- unary ---- */

static const struct {
    float alpha, beta;
    bcam_check_rule rule;
    bcam_check_domain domain;
} unary_rows[BCAM_UNARY_COUNT] = {
    [BCAM_UNARY_NONE] = {.rule = BCAM_RULE_EXACT},
    [BCAM_UNARY_RELU] = {.rule = BCAM_RULE_EXACT, .domain = BCAM_DOMAIN_AWAY},
    [BCAM_UNARY_CLIP] = {-1, 1, BCAM_RULE_EXACT, BCAM_DOMAIN_AWAY},
    [BCAM_UNARY_LEAKY_RELU] = {0.1f, 0, BCAM_RULE_VALUE, BCAM_DOMAIN_AWAY},
    [BCAM_UNARY_SIGMOID] = {.rule = BCAM_RULE_VALUE},
    [BCAM_UNARY_HARD_SIGMOID] = {0.5f, 0.5f, BCAM_RULE_LOCAL, BCAM_DOMAIN_AWAY},
    [BCAM_UNARY_HARD_SWISH] = {.rule = BCAM_RULE_LOCAL, .domain = BCAM_DOMAIN_AWAY},
    [BCAM_UNARY_SILU] = {.rule = BCAM_RULE_LOCAL},
    [BCAM_UNARY_TANH] = {.rule = BCAM_RULE_VALUE},
    [BCAM_UNARY_ELU] = {1.5f, 0, BCAM_RULE_VALUE, BCAM_DOMAIN_AWAY},
    [BCAM_UNARY_SOFTPLUS] = {.rule = BCAM_RULE_VALUE},
    [BCAM_UNARY_ERF] = {.rule = BCAM_RULE_VALUE},
    [BCAM_UNARY_EXP] = {.rule = BCAM_RULE_VALUE},
    [BCAM_UNARY_LOG] = {.rule = BCAM_RULE_LOCAL, .domain = BCAM_DOMAIN_POSITIVE},
    [BCAM_UNARY_SQRT] = {.rule = BCAM_RULE_VALUE, .domain = BCAM_DOMAIN_POSITIVE},
    [BCAM_UNARY_ABS] = {.rule = BCAM_RULE_EXACT, .domain = BCAM_DOMAIN_AWAY},
    [BCAM_UNARY_NEG] = {.rule = BCAM_RULE_EXACT},
    [BCAM_UNARY_RECIPROCAL] = {.rule = BCAM_RULE_VALUE, .domain = BCAM_DOMAIN_AWAY},
    [BCAM_UNARY_LINEAR] = {-0.75f, 0.5f, BCAM_RULE_LOCAL, BCAM_DOMAIN_ANY},
};

static void make_unary(size_t row, bcam_check_case *c)
{
    bcam_unary_kind kind = (bcam_unary_kind)(row % BCAM_UNARY_COUNT);
    const shape *s = &shapes[(row / BCAM_UNARY_COUNT * 3 + row) % BCAM_COUNT(shapes)];
    char dims[64];
    c->step.u.unary = (bcam_unary_attr){kind, unary_rows[kind].alpha, unary_rows[kind].beta};
    c->rule = unary_rows[kind].rule;
    c->fills = FILLS_ALL;
    c->in[0] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_N, s->rank, s->dim);
    c->in[0].domain = unary_rows[kind].domain;
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_N, s->rank, s->dim);
    shape_name(s, dims, sizeof dims);
    snprintf(c->name, sizeof c->name, "unary %s 3x%s", bcam_unary_name(kind), dims);
}

const bcam_check_table bcam_check_unary = {3 * BCAM_UNARY_COUNT, 3 * BCAM_UNARY_COUNT, make_unary};

/* ---- binary ---- */

/* rank counts the batch where there is one; a shape without it is the same for all photos and aligned at the last axis,
 * as numpy does. */
typedef struct form {
    bcam_check_lead a_lead, b_lead;
    bcam_role b_role;
    shape a, b, y;
} form;

static const form forms[] = {
    {BCAM_LEAD_N, BCAM_LEAD_N, BCAM_ROLE_INPUT, {3, {7, 3, 5}}, {3, {7, 3, 5}}, {3, {7, 3, 5}}},
    {BCAM_LEAD_N, BCAM_LEAD_N, BCAM_ROLE_INPUT, {3, {129, 1, 2}}, {3, {129, 1, 2}}, {3, {129, 1, 2}}},
    {BCAM_LEAD_N, BCAM_LEAD_N, BCAM_ROLE_INPUT, {3, {13, 5, 3}}, {3, {13, 1, 1}}, {3, {13, 5, 3}}}, /* squeeze and
                                                                                                       excite */
    {BCAM_LEAD_N, BCAM_LEAD_N, BCAM_ROLE_INPUT, {3, {1, 7, 5}}, {3, {128, 1, 1}}, {3, {128, 7, 5}}},
    {BCAM_LEAD_N, BCAM_LEAD_N, BCAM_ROLE_INPUT, {3, {13, 7, 1}}, {3, {13, 1, 5}}, {3, {13, 7, 5}}},
    {BCAM_LEAD_N, BCAM_LEAD_NONE, BCAM_ROLE_CONST, {3, {7, 3, 5}}, {4, {1, 7, 1, 1}}, {3, {7, 3, 5}}},
    {BCAM_LEAD_N, BCAM_LEAD_NONE, BCAM_ROLE_CONST, {3, {7, 3, 5}}, {3, {7, 1, 1}}, {3, {7, 3, 5}}},
    {BCAM_LEAD_N, BCAM_LEAD_NONE, BCAM_ROLE_CONST, {3, {7, 3, 5}}, {1, {5}}, {3, {7, 3, 5}}},
    {BCAM_LEAD_N, BCAM_LEAD_NONE, BCAM_ROLE_CONST, {3, {13, 2, 7}}, {0, {0}}, {3, {13, 2, 7}}},
    {BCAM_LEAD_N, BCAM_LEAD_N, BCAM_ROLE_INPUT, {1, {127}}, {1, {127}}, {1, {127}}},
    {BCAM_LEAD_N, BCAM_LEAD_N, BCAM_ROLE_INPUT, {2, {7, 13}}, {2, {7, 1}}, {2, {7, 13}}},
    {BCAM_LEAD_N, BCAM_LEAD_NONE, BCAM_ROLE_CONST, {2, {7, 128}}, {1, {128}}, {2, {7, 128}}},
    {BCAM_LEAD_N, BCAM_LEAD_N, BCAM_ROLE_INPUT, {1, {1}}, {1, {1}}, {1, {1}}},
    {BCAM_LEAD_N, BCAM_LEAD_NONE, BCAM_ROLE_INPUT, {4, {2, 3, 5, 7}}, {3, {3, 1, 7}}, {4, {2, 3, 5, 7}}},
};

static const char *const binary_names[] = {"add", "sub", "mul", "div", "max", "min", "pow"};

static void binary_rule(bcam_check_case *c, bcam_binary_kind kind)
{
    c->rule = kind == BCAM_BINARY_MAX || kind == BCAM_BINARY_MIN ? BCAM_RULE_EXACT
              : kind == BCAM_BINARY_POW                          ? BCAM_RULE_VALUE
                                                                 : BCAM_RULE_SUM;
    if (kind == BCAM_BINARY_POW) {
        /* Both derivatives keep their sign, so that magnitudes are the reference's own; negative exponents come with
           the extreme numbers. */
        c->in[0].domain = BCAM_DOMAIN_BASE;
        c->in[1].domain = BCAM_DOMAIN_POSITIVE;
    } else if (kind == BCAM_BINARY_DIV) {
        c->in[1].domain = BCAM_DOMAIN_AWAY;
    } else if (kind == BCAM_BINARY_MAX || kind == BCAM_BINARY_MIN) {
        /* Halves of one and sixty-fourths of the other never meet. */
        c->in[0].domain = BCAM_DOMAIN_DISTINCT;
        c->in[1].domain = BCAM_DOMAIN_AWAY;
    }
}

/* Odd rows differentiate the other operand; one that is the same for all photos has no gradient, so there the operands
 * change places. */
static void make_binary(size_t row, bcam_check_case *c)
{
    bcam_binary_kind kind = (bcam_binary_kind)(row / 2 % BCAM_COUNT(binary_names));
    const form *f = &forms[row / 2 / BCAM_COUNT(binary_names)];
    bool second = row % 2 != 0, swap = second && f->b_lead != BCAM_LEAD_N;
    char a[40] = "", b[40] = "";
    c->step.u.binary = (bcam_binary_attr){.kind = kind, .which = second};
    c->in[swap] = bcam_check_real(BCAM_ROLE_INPUT, f->a_lead, f->a.rank, f->a.dim);
    c->in[!swap] = bcam_check_real(f->b_role, f->b_lead, f->b.rank, f->b.dim);
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_N, f->y.rank, f->y.dim);
    binary_rule(c, kind);
    if (second && (kind == BCAM_BINARY_ADD || kind == BCAM_BINARY_SUB || kind == BCAM_BINARY_MUL))
        c->step.act = norm_acts[1 + row / 2 % (BCAM_COUNT(norm_acts) - 1)];
    c->fills = c->step.act.kind == BCAM_UNARY_NONE ? FILLS_ALL : (1u << BCAM_FILL_RANDOM) | (1u << BCAM_FILL_CONSTANT);
    shape_name(&f->a, a, sizeof a);
    shape_name(&f->b, b, sizeof b);
    snprintf(c->name, sizeof c->name, "binary %s a %s%s b %s%s%s%s%s", binary_names[kind], swap ? "" : "N,",
             swap ? b : a, swap || f->b_lead == BCAM_LEAD_N ? "N," : "", swap ? a : b,
             f->b_role == BCAM_ROLE_CONST ? " constant" : "", c->step.act.kind ? " act" : "",
             second ? " to b" : " to a");
}

#define BINARY_ROWS (2 * BCAM_COUNT(binary_names) * BCAM_COUNT(forms))
const bcam_check_table bcam_check_binary = {BINARY_ROWS, BINARY_ROWS, make_binary};

/* ---- reduce ---- */

static const struct {
    shape x;
    unsigned axes; /* of the whole value: bit 0 is the batch */
} reduce_rows[] = {
    {{3, {7, 3, 5}}, 0xc},  {{3, {128, 7, 7}}, 0xc}, {{3, {129, 2, 13}}, 0xc}, {{3, {13, 3, 5}}, 0x2},
    {{3, {13, 5, 7}}, 0x4}, {{3, {7, 5, 3}}, 0x8},   {{3, {7, 5, 3}}, 0xe},    {{1, {127}}, 0x2},
    {{2, {13, 129}}, 0x4},  {{2, {13, 7}}, 0x2},     {{3, {1, 1, 1}}, 0xc},    {{4, {2, 7, 3, 5}}, 0x14},
    {{3, {7, 3, 5}}, 0x6},  {{2, {5, 7}}, 0x6},
};
static const char *const reduce_names[] = {"mean", "sum", "max", "l2"};

static void make_reduce(size_t row, bcam_check_case *c)
{
    bcam_reduce_kind kind = (bcam_reduce_kind)(row % 4);
    const shape *x = &reduce_rows[row / 4].x;
    shape y = *x;
    char dims[64];
    c->step.u.reduce = (bcam_reduce_attr){kind, reduce_rows[row / 4].axes};
    for (int a = 0; a < x->rank; a++)
        if (c->step.u.reduce.axes >> (a + 1) & 1) {
            c->depth *= (double)x->dim[a];
            y.dim[a] = 1;
        }
    c->rule = kind == BCAM_REDUCE_MAX ? BCAM_RULE_EXACT : BCAM_RULE_SUM;
    /* Squares of extreme numbers leave the range of a float. */
    c->fills = kind == BCAM_REDUCE_L2 ? FILLS_ALL & ~(1u << BCAM_FILL_EXTREME) : FILLS_ALL;
    c->in[0] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_N, x->rank, x->dim);
    c->in[0].domain = kind == BCAM_REDUCE_MAX ? BCAM_DOMAIN_DISTINCT : BCAM_DOMAIN_ANY;
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_N, y.rank, y.dim);
    shape_name(x, dims, sizeof dims);
    snprintf(c->name, sizeof c->name, "reduce %s 3x%s axes 0x%x", reduce_names[kind], dims, c->step.u.reduce.axes);
}

const bcam_check_table bcam_check_reduce = {4 * BCAM_COUNT(reduce_rows), 4 * BCAM_COUNT(reduce_rows), make_reduce};

/* ---- softmax ---- */

static const struct {
    shape x;
    int axis;
} softmax_rows[] = {
    {{1, {1}}, 1},         {{1, {7}}, 1},         {{1, {127}}, 1},   {{1, {1000}}, 1},  {{3, {13, 3, 5}}, 1},
    {{3, {128, 1, 1}}, 1}, {{3, {7, 5, 129}}, 3}, {{2, {7, 13}}, 2}, {{2, {7, 13}}, 1}, {{3, {2, 7, 5}}, 2},
};

static void make_softmax(size_t row, bcam_check_case *c)
{
    const shape *x = &softmax_rows[row / 2].x;
    char dims[64];
    c->step.u.softmax = (bcam_softmax_attr){softmax_rows[row / 2].axis, row % 2 != 0};
    c->depth = (double)x->dim[c->step.u.softmax.axis - 1];
    /* exp makes an absolute error of its argument a relative one, so the distance from the maximum counts. */
    c->rule = c->step.u.softmax.log ? BCAM_RULE_FIRST : BCAM_RULE_VALUE;
    c->fills = FILLS_FINITE;
    c->in[0] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_N, x->rank, x->dim);
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_N, x->rank, x->dim);
    shape_name(x, dims, sizeof dims);
    snprintf(c->name, sizeof c->name, "%ssoftmax 3x%s axis %d", c->step.u.softmax.log ? "log-" : "", dims,
             c->step.u.softmax.axis);
}

const bcam_check_table bcam_check_softmax = {2 * BCAM_COUNT(softmax_rows), 2 * BCAM_COUNT(softmax_rows), make_softmax};
