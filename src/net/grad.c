/* grad.c - the backward steps from the score to the target layers. One sweep over the forward steps in reverse; every verb has one row that
 * says how its gradient is made. Only gradients of inputs exist: maps need no gradient of a weight. */
#include <string.h>

#include "net/net.h"

typedef struct sweep {
    bcam_plan *plan;
    bool batched;
    int *gradient;   /* by value: its gradient so far, -1: none */
    bool *wanted;    /* by value: a target, or made from one */
    bool *constant;  /* by value (gradients): no activation was read on the way */
    size_t capacity; /* of the three */
} sweep;

/* A new gradient value for forward value x: (K*d0, …). */
static int gradient_value(sweep *sw, int x)
{
    const bcam_value v = sw->plan->values[x];
    int64_t dim[BCAM_MAX_RANK] = {1};
    int rank = v.rank ? v.rank : 1;
    memcpy(dim, v.dim, (size_t)v.rank * sizeof *dim);
    dim[0] *= sw->plan->k;
    int value = bcam_plan_value(sw->plan, v.name, BCAM_ROLE_WORK, BCAM_F32, rank, dim);
    if (value < 0 || (size_t)value >= sw->capacity)
        return -1;
    sw->plan->values[value].each_k = true;
    return value;
}

/* A backward step from dy to the gradient of x. `act`, `act2`: activations it reads, or -1. */
static bcam_step *backward_step(sweep *sw, const bcam_step *forward, bcam_verb verb, int dy, int act, int act2, int x,
                                int *dx)
{
    *dx = gradient_value(sw, x);
    bcam_step *step = *dx < 0 ? NULL : bcam_plan_step(sw->plan, verb, BCAM_SEGMENT_BACKWARD, forward->name);
    if (!step)
        return NULL;
    const bcam_value *values = sw->plan->values;
    bool reads =
        (act >= 0 && values[act].role != BCAM_ROLE_CONST) || (act2 >= 0 && values[act2].role != BCAM_ROLE_CONST);
    step->in[0] = dy;
    step->in[1] = act;
    step->in[2] = act2;
    step->out[0] = *dx;
    step->each_k = reads || !sw->batched;
    sw->constant[*dx] = sw->constant[dy] && !reads;
    return step;
}

/* Adds a contribution to the gradient of x; a value with several readers gathers several. */
static bool contribute(sweep *sw, int x, int part)
{
    int so_far = sw->gradient[x];
    if (so_far < 0) {
        sw->gradient[x] = part;
        return true;
    }
    int sum = gradient_value(sw, x);
    bcam_step *step =
        sum < 0 ? NULL : bcam_plan_step(sw->plan, BCAM_VERB_BINARY, BCAM_SEGMENT_BACKWARD, sw->plan->values[x].name);
    if (!step)
        return false;
    step->u.binary.kind = BCAM_BINARY_ADD;
    step->in[0] = so_far;
    step->in[1] = part;
    step->out[0] = sum;
    sw->constant[sum] = sw->constant[so_far] && sw->constant[part];
    sw->gradient[x] = sum;
    return true;
}

/* ---- one function per verb: makes dx of `step`'s input `which` from dy. The step is a copy: the plan's array moves as it grows. ---- */

typedef bool (*backward_fn)(sweep *sw, const bcam_step *step, int which, int dy, int *dx);

static bool conv_backward(sweep *sw, const bcam_step *step, int which, int dy, int *dx)
{
    bcam_step *b = backward_step(sw, step, BCAM_VERB_CONV_BWD, dy, step->in[1], -1, step->in[which], dx);
    if (b)
        b->u.conv = step->u.conv;
    return b != NULL;
}

/* A transposed convolution: its gradient is the convolution. */
static bool conv_transpose_backward(sweep *sw, const bcam_step *step, int which, int dy, int *dx)
{
    bcam_step *b = backward_step(sw, step, BCAM_VERB_CONV, dy, step->in[1], -1, step->in[which], dx);
    if (b)
        b->u.conv = step->u.conv;
    return b != NULL;
}

static bool gemm_backward(sweep *sw, const bcam_step *step, int which, int dy, int *dx)
{
    return backward_step(sw, step, BCAM_VERB_GEMM_BWD, dy, step->in[1], -1, step->in[which], dx) != NULL;
}

static bool pool_backward(sweep *sw, const bcam_step *step, int which, int dy, int *dx)
{
    int x = step->in[which];
    bcam_step *b = backward_step(sw, step, BCAM_VERB_POOL_BWD, dy, step->u.pool.max ? x : -1, -1, x, dx);
    if (b)
        b->u.pool = step->u.pool;
    return b != NULL;
}

static bool norm_backward(sweep *sw, const bcam_step *step, int which, int dy, int *dx)
{
    return backward_step(sw, step, BCAM_VERB_NORM_BWD, dy, step->in[1], -1, step->in[which], dx) != NULL;
}

static bool unary_backward(sweep *sw, const bcam_step *step, int which, int dy, int *dx)
{
    static const int none = -1;
    bcam_reads reads = bcam_unary_reads(step->u.unary.kind);
    int act = reads == BCAM_READS_X ? step->in[which] : reads == BCAM_READS_Y ? step->out[0] : none;
    bcam_step *b = backward_step(sw, step, BCAM_VERB_UNARY_BWD, dy, act, -1, step->in[which], dx);
    if (b)
        b->u.unary = step->u.unary;
    return b != NULL;
}

static bool same_shape(const bcam_plan *plan, int a, int b)
{
    const bcam_value *x = &plan->values[a], *y = &plan->values[b];
    return x->rank == y->rank && memcmp(x->dim, y->dim, (size_t)x->rank * sizeof *x->dim) == 0;
}

static bool binary_backward(sweep *sw, const bcam_step *step, int which, int dy, int *dx)
{
    int a = step->in[0], b = step->in[1];
    bcam_binary_kind kind = step->u.binary.kind;
    bool add = kind == BCAM_BINARY_ADD || (kind == BCAM_BINARY_SUB && which == 0);
    if (add && same_shape(sw->plan, step->in[which], step->out[0])) {
        *dx = dy; /* the gradient passes through */
        return true;
    }
    bool linear = kind == BCAM_BINARY_ADD || kind == BCAM_BINARY_SUB;
    bool product =
        kind == BCAM_BINARY_MUL || (kind == BCAM_BINARY_DIV && which == 0); /* reads the other operand only */
    int read_a = linear || (product && which == 0) ? -1 : a, read_b = linear || (product && which == 1) ? -1 : b;
    bcam_step *s = backward_step(sw, step, BCAM_VERB_BINARY_BWD, dy, read_a, read_b, step->in[which], dx);
    if (!s)
        return false;
    s->u.binary.kind = kind;
    s->u.binary.which = which;
    /* Summing over what was broadcast mixes k where the operand has one row for all photos. */
    s->each_k |= !same_shape(sw->plan, step->in[which], step->out[0]);
    return true;
}

static bool reduce_backward(sweep *sw, const bcam_step *step, int which, int dy, int *dx)
{
    int x = step->in[which];
    bool reads = step->u.reduce.kind == BCAM_REDUCE_MAX || step->u.reduce.kind == BCAM_REDUCE_L2;
    bcam_step *b = backward_step(sw, step, BCAM_VERB_REDUCE_BWD, dy, reads ? x : -1, reads ? step->out[0] : -1, x, dx);
    if (b)
        b->u.reduce = step->u.reduce;
    return b != NULL;
}

static bool softmax_backward(sweep *sw, const bcam_step *step, int which, int dy, int *dx)
{
    bcam_step *b = backward_step(sw, step, BCAM_VERB_SOFTMAX_BWD, dy, step->out[0], -1, step->in[which], dx);
    if (b)
        b->u.softmax = step->u.softmax;
    return b != NULL;
}

static bool copy_backward(sweep *sw, const bcam_step *step, int which, int dy, int *dx)
{
    bcam_step *b = backward_step(sw, step, BCAM_VERB_COPY_BWD, dy, -1, -1, step->in[which], dx);
    if (!b)
        return false;
    b->u.copy = step->u.copy;
    b->each_k |= !step->u.copy.reshape; /* the box is given for one k */
    return true;
}

static const backward_fn backward_of[BCAM_VERB_COUNT] = {
    [BCAM_VERB_CONV] = conv_backward,       [BCAM_VERB_CONV_BWD] = conv_transpose_backward,
    [BCAM_VERB_GEMM] = gemm_backward,       [BCAM_VERB_POOL] = pool_backward,
    [BCAM_VERB_NORM] = norm_backward,       [BCAM_VERB_UNARY] = unary_backward,
    [BCAM_VERB_BINARY] = binary_backward,   [BCAM_VERB_REDUCE] = reduce_backward,
    [BCAM_VERB_SOFTMAX] = softmax_backward, [BCAM_VERB_COPY] = copy_backward,
};

/* ---- the sweep ---- */

/* Forward, once: what is a target or is made from one. */
static void mark_wanted(sweep *sw, const int *targets, int count, size_t steps)
{
    for (int i = 0; i < count; i++)
        sw->wanted[targets[i]] = true;
    for (size_t s = 0; s < steps; s++) {
        const bcam_step *step = &sw->plan->steps[s];
        for (int i = 0; i < BCAM_MAX_IN; i++)
            if (step->in[i] >= 0 && sw->wanted[step->in[i]])
                sw->wanted[step->out[0]] = true;
    }
}

static bcam_status sweep_step(sweep *sw, size_t at, bcam_error *err)
{
    const bcam_step step = sw->plan->steps[at];
    int dy = step.out[0] < 0 ? -1 : sw->gradient[step.out[0]];
    for (int i = 0; dy >= 0 && i < BCAM_MAX_IN; i++) {
        int x = step.in[i], dx;
        if (x < 0 || !sw->wanted[x])
            continue;
        if (!backward_of[step.verb])
            return bcam_fail(err, BCAM_E_UNSUPPORTED, "node '%s': the verb %s cannot be differentiated", step.name,
                             bcam_verb_name(step.verb));
        if (!backward_of[step.verb](sw, &step, i, dy, &dx) || !contribute(sw, x, dx))
            return bcam_fail(err, BCAM_E_MEMORY, "out of memory while differentiating node '%s'", step.name);
    }
    return BCAM_OK;
}

static bcam_status sweep_all(sweep *sw, const int *targets, int count, size_t steps, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    mark_wanted(sw, targets, count, steps);
    for (size_t s = steps; status == BCAM_OK && s-- > 0;)
        status = sweep_step(sw, s, err);
    for (int i = 0; status == BCAM_OK && i < count; i++)
        if (sw->gradient[targets[i]] < 0)
            status =
                bcam_fail(err, BCAM_E_LAYER, "layer '%s' has no way to the score; choose one that stands before it",
                          sw->plan->values[targets[i]].name);
    return status;
}

bcam_status bcam_plan_differentiate(bcam_plan *plan, int scores, int seed, const int *targets, int count, bool batched,
                                    int *gradients, bool *constant, bcam_error *err)
{
    /* A step has at most BCAM_MAX_IN inputs, and each makes at most a gradient and a sum. */
    sweep sw = {.plan = plan, .batched = batched, .capacity = plan->value_count + 2 * BCAM_MAX_IN * plan->step_count};
    sw.gradient = bcam_alloc(sw.capacity, sizeof *sw.gradient);
    sw.wanted = bcam_alloc(sw.capacity, sizeof *sw.wanted);
    sw.constant = bcam_alloc(sw.capacity, sizeof *sw.constant);
    bcam_status status = BCAM_OK;
    if (!sw.gradient || !sw.wanted || !sw.constant)
        status = bcam_fail_memory(err, sw.capacity * sizeof *sw.gradient, "the backward pass");
    if (status == BCAM_OK) {
        memset(sw.gradient, 0xff, sw.capacity * sizeof *sw.gradient); /* -1 */
        sw.gradient[scores] = seed;
        sw.constant[seed] = true;
        size_t steps = plan->step_count;
        status = sweep_all(&sw, targets, count, steps, err);
    }
    for (int i = 0; status == BCAM_OK && i < count; i++) {
        gradients[i] = sw.gradient[targets[i]];
        constant[i] = sw.constant[gradients[i]];
    }
    bcam_free(sw.gradient);
    bcam_free(sw.wanted);
    bcam_free(sw.constant);
    return status;
}
