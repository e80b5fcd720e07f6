/* cases.c - all tables behind one door, and backward cases made from forward ones. */
#include "check/cases.h"

static const bcam_check_table *forward_table(bcam_verb verb)
{
    switch (verb) {
    case BCAM_VERB_CONV:
        return &bcam_check_conv;
    case BCAM_VERB_GEMM:
        return &bcam_check_gemm;
    case BCAM_VERB_POOL:
        return &bcam_check_pool;
    case BCAM_VERB_NORM:
        return &bcam_check_norm;
    case BCAM_VERB_UNARY:
        return &bcam_check_unary;
    case BCAM_VERB_BINARY:
        return &bcam_check_binary;
    case BCAM_VERB_REDUCE:
        return &bcam_check_reduce;
    case BCAM_VERB_SOFTMAX:
        return &bcam_check_softmax;
    case BCAM_VERB_COPY:
        return &bcam_check_copy;
    case BCAM_VERB_RESIZE:
        return &bcam_check_resize;
    case BCAM_VERB_PREP:
        return &bcam_check_prep;
    case BCAM_VERB_SELECT:
        return &bcam_check_select;
    case BCAM_VERB_CAM:
        return &bcam_check_cam;
    case BCAM_VERB_UPSAMPLE:
        return &bcam_check_upsample;
    default:
        return NULL;
    }
}

bool bcam_check_is_backward(bcam_verb verb)
{
    return verb < BCAM_VERB_COUNT && !forward_table(verb);
}

size_t bcam_check_case_count(bcam_verb verb)
{
    const bcam_check_table *table = forward_table(bcam_check_is_backward(verb) ? verb - 1 : verb);
    return bcam_check_is_backward(verb) ? table->backward : table->count;
}

bcam_check_operand bcam_check_real(bcam_role role, bcam_check_lead lead, int rank, const int64_t *dim)
{
    bcam_check_operand o = {.present = true, .lead = lead, .role = role, .dtype = BCAM_F32, .rank = rank};
    if (rank > 0)
        memcpy(o.dim, dim, (size_t)rank * sizeof *dim);
    return o;
}

/** Operand `index` of the forward verb (-1: its result) as an input of the backward verb. */
static bcam_check_operand from_forward(const bcam_check_case *forward, int index)
{
    bcam_check_operand o = index < 0 ? forward->out[0] : forward->in[index];
    if (o.role == BCAM_ROLE_OUTPUT)
        o.role = BCAM_ROLE_INPUT;
    o.domain = BCAM_DOMAIN_FORWARD;
    o.source = index;
    return o;
}

/* What a backward step reads beside dy: places in[1] and in[2] hold indices of forward operands, RESULT or ABSENT. */
enum { RESULT = -1, ABSENT = -2 };

static void binary_reads(const bcam_check_case *forward, int place[2])
{
    bcam_binary_kind kind = forward->step.u.binary.kind;
    int which = forward->step.u.binary.which;
    bool none = kind == BCAM_BINARY_ADD || kind == BCAM_BINARY_SUB;
    bool other = kind == BCAM_BINARY_MUL || (kind == BCAM_BINARY_DIV && which == 0);
    place[0] = none || (other && which == 0) ? ABSENT : 0;
    place[1] = none || (other && which == 1) ? ABSENT : 1;
}

static void backward_reads(const bcam_check_case *forward, int place[2])
{
    place[0] = place[1] = ABSENT;
    switch (forward->verb) {
    case BCAM_VERB_CONV:
    case BCAM_VERB_GEMM:
    case BCAM_VERB_NORM:
        place[0] = 1;
        break;
    case BCAM_VERB_POOL:
        place[0] = forward->step.u.pool.max ? 0 : ABSENT;
        break;
    case BCAM_VERB_UNARY: {
        bcam_reads reads = bcam_unary_reads(forward->step.u.unary.kind);
        place[0] = reads == BCAM_READS_NOTHING ? ABSENT : reads == BCAM_READS_X ? 0 : RESULT;
        break;
    }
    case BCAM_VERB_BINARY:
        binary_reads(forward, place);
        break;
    case BCAM_VERB_REDUCE:
        if (forward->step.u.reduce.kind == BCAM_REDUCE_MAX || forward->step.u.reduce.kind == BCAM_REDUCE_L2) {
            place[0] = 0;
            place[1] = RESULT;
        }
        break;
    case BCAM_VERB_SOFTMAX:
        place[0] = RESULT;
        break;
    default:
        break;
    }
}

static double backward_depth(const bcam_check_case *c)
{
    const bcam_check_operand *w = &c->in[1];
    double dy = (double)bcam_count(c->in[0].rank, c->in[0].dim), dx = (double)bcam_count(c->out[0].rank, c->out[0].dim);
    switch (c->verb) {
    case BCAM_VERB_CONV_BWD:
        return (double)(w->dim[0] / c->step.u.conv.groups * w->dim[2] * w->dim[3]);
    case BCAM_VERB_GEMM_BWD:
        return (double)w->dim[0];
    case BCAM_VERB_POOL_BWD:
        return (double)(c->step.u.pool.kernel[0] * c->step.u.pool.kernel[1]);
    case BCAM_VERB_SOFTMAX_BWD:
        return (double)c->in[0].dim[c->step.u.softmax.axis - 1];
    default:
        return dy > dx ? dy / dx : 1;
    }
}

static bcam_check_rule backward_rule(const bcam_check_case *c)
{
    switch (c->verb) {
    case BCAM_VERB_UNARY_BWD:
        return BCAM_RULE_LOCAL;
    case BCAM_VERB_SOFTMAX_BWD:
        return BCAM_RULE_FIRST;
    case BCAM_VERB_REDUCE_BWD:
        return BCAM_RULE_VALUE;
    case BCAM_VERB_BINARY_BWD:
        return c->step.u.binary.kind == BCAM_BINARY_MAX || c->step.u.binary.kind == BCAM_BINARY_MIN ? BCAM_RULE_FIRST
                                                                                                    : BCAM_RULE_SUM;
    default:
        return BCAM_RULE_SUM;
    }
}

void bcam_check_backward(const bcam_check_case *forward, bcam_check_case *c)
{
    int which = forward->verb == BCAM_VERB_BINARY ? forward->step.u.binary.which : 0;
    int place[2];
    *c = *forward;
    c->verb = c->step.verb = forward->verb + 1;
    c->step.segment = BCAM_SEGMENT_BACKWARD;
    c->step.act = (bcam_unary_attr){0};
    memset(c->in, 0, sizeof c->in);
    memset(c->out, 0, sizeof c->out);
    snprintf(c->name, sizeof c->name, "backward of %.130s K%d", forward->name, (int)forward->k);
    c->in[0] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_KN, forward->out[0].rank, forward->out[0].dim);
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_KN, forward->in[which].rank, forward->in[which].dim);
    backward_reads(forward, place);
    for (int i = 0; i < 2; i++)
        if (place[i] != ABSENT) {
            c->in[i + 1] = from_forward(forward, place[i]);
            c->step.each_k |= c->in[i + 1].lead == BCAM_LEAD_N;
        }
    if (c->verb == BCAM_VERB_UNARY_BWD && forward->row % 2) /* two gradients that are added */
        c->in[2] = c->in[0];
    c->depth = backward_depth(c);
    c->rule = backward_rule(c);
    c->fills = FILLS_FINITE;
}

void bcam_check_case_get(bcam_verb verb, size_t index, bcam_check_case *out)
{
    bcam_check_case forward = {
        .batch = 3, .k = 2, .depth = 1, .rule = BCAM_RULE_SUM, .fills = FILLS_FINITE, .row = index};
    bool backward = bcam_check_is_backward(verb);
    forward.verb = forward.step.verb = backward ? verb - 1 : verb;
    forward.step.segment = BCAM_SEGMENT_FORWARD;
    forward_table(forward.verb)->make(index, &forward);
    if (backward)
        bcam_check_backward(&forward, out);
    else
        *out = forward;
    out->step.name = bcam_verb_name(verb); /* lives as long as the program */
}

void bcam_check_forward(const bcam_check_case *backward, bcam_check_case *forward, int *which)
{
    bcam_check_case_get(backward->verb - 1, backward->row, forward);
    forward->step.act = (bcam_unary_attr){0};
    forward->batch = backward->batch;
    if (forward->verb != BCAM_VERB_BINARY) /* bias, residual and shift have no part in it */
        for (int i = forward->verb == BCAM_VERB_CONV || forward->verb == BCAM_VERB_GEMM ||
                             forward->verb == BCAM_VERB_NORM
                         ? 2
                         : 1;
             i < BCAM_MAX_IN; i++)
            forward->in[i].present = false;
    *which = forward->verb == BCAM_VERB_BINARY ? forward->step.u.binary.which : 0;
}
