/* fold.c - batch norm into the convolution before it; steps that are one function; what fuses into its neighbour. Weights are not copied: the constant gets a factor per output channel, which the
 * device multiplies in when it makes its own copy. */
#include <string.h>

#include "net/net.h"

/* How often a value is read, and the step that makes it (the last one). */
typedef struct uses {
    int *readers, *maker;
} uses;

static bool count_uses(const bcam_plan *plan, uses *u)
{
    u->readers = bcam_alloc(plan->value_count, sizeof *u->readers);
    u->maker = bcam_alloc(plan->value_count, sizeof *u->maker);
    if (!u->readers || !u->maker)
        return false;
    memset(u->maker, 0xff, plan->value_count * sizeof *u->maker);
    for (size_t s = 0; s < plan->step_count; s++) {
        const bcam_step *step = &plan->steps[s];
        for (int i = 0; i < BCAM_MAX_IN; i++)
            if (step->in[i] >= 0)
                u->readers[step->in[i]]++;
        for (int i = 0; i < BCAM_MAX_OUT; i++)
            if (step->out[i] >= 0)
                u->maker[step->out[i]] = (int)s;
    }
    return true;
}

static bool is_target(int value, const int *targets, int count)
{
    for (int i = 0; i < count; i++)
        if (targets[i] == value)
            return true;
    return false;
}

/* A copy of the weights' value with its own factors: the same weights may serve several convolutions. */
static int scaled_weights(bcam_plan *plan, int w, const float *scale)
{
    bcam_value from = plan->values[w];
    float *factors = bcam_pool_alloc(&plan->pool, (size_t)from.dim[0], sizeof *factors);
    int value = factors ? bcam_plan_value(plan, from.name, BCAM_ROLE_CONST, from.dtype, from.rank, from.dim) : -1;
    if (value < 0)
        return -1;
    for (int64_t c = 0; c < from.dim[0]; c++)
        factors[c] = scale[c] * (from.scale ? from.scale[c] : 1);
    const char *name = plan->values[value].name;
    plan->values[value] = from;
    plan->values[value].name = name;
    plan->values[value].scale = factors;
    return value;
}

/* b * scale + shift; either of b and shift may be absent. */
static int folded_bias(bcam_plan *plan, int b, int shift, const float *scale, int64_t channels)
{
    if (b < 0)
        return shift;
    float *bias, *read = bcam_alloc((size_t)channels, sizeof *read);
    int value = read ? bcam_plan_const_f32(plan, plan->values[b].name, 1, &channels, NULL, &bias) : -1;
    if (value >= 0) {
        bcam_const_read(&plan->values[b], BCAM_F32, bias);
        if (shift >= 0)
            bcam_const_read(&plan->values[shift], BCAM_F32, read);
        for (int64_t c = 0; c < channels; c++)
            bias[c] = (float)((double)bias[c] * (double)scale[c] + (double)read[c]);
    }
    bcam_free(read);
    return value;
}

static bcam_status fold_one(bcam_plan *plan, bcam_step *norm, bcam_step *conv, bcam_error *err)
{
    int64_t channels = plan->values[norm->in[1]].dim[0];
    float *scale = bcam_alloc((size_t)channels, sizeof *scale);
    if (!scale)
        return bcam_fail_memory(err, (size_t)channels * sizeof *scale, "folding a batch norm");
    bcam_const_read(&plan->values[norm->in[1]], BCAM_F32, scale);
    int had_bias = conv->in[2], w = scaled_weights(plan, conv->in[1], scale);
    int b = folded_bias(plan, had_bias, norm->in[2], scale, channels);
    bcam_free(scale);
    if (w < 0 || (b < 0 && (had_bias >= 0 || norm->in[2] >= 0)))
        return bcam_fail(err, BCAM_E_MEMORY, "out of memory while folding node '%s'", norm->name);
    conv->in[1] = w;
    conv->in[2] = b;
    conv->out[0] = norm->out[0];
    norm->verb = BCAM_VERB_COUNT; /* gone; swept out below */
    return BCAM_OK;
}

static void sweep_out(bcam_plan *plan)
{
    size_t kept = 0;
    for (size_t s = 0; s < plan->step_count; s++)
        if (plan->steps[s].verb != BCAM_VERB_COUNT)
            plan->steps[kept++] = plan->steps[s];
    plan->step_count = kept;
}

/* Whether a value is nobody's business but its one reader's. */
static bool is_inner(const bcam_plan *plan, const uses *u, int x, const int *targets, int count)
{
    return u->maker[x] >= 0 && u->readers[x] == 1 && !is_target(x, targets, count) &&
           plan->values[x].role != BCAM_ROLE_OUTPUT;
}

static bcam_status fold_norm(bcam_plan *plan, uses *u, bcam_step *norm, bcam_error *err)
{
    int made = u->maker[norm->in[0]], y = norm->out[0];
    bcam_step *conv = &plan->steps[made];
    if ((conv->verb != BCAM_VERB_CONV && conv->verb != BCAM_VERB_GEMM) || conv->act.kind != BCAM_UNARY_NONE ||
        conv->in[3] >= 0)
        return BCAM_OK;
    bcam_status status = fold_one(plan, norm, conv, err);
    u->maker[y] = made;
    return status;
}

/* x times its own sigmoid is one function, of which nothing but x need be kept. */
static void fold_silu(bcam_plan *plan, const uses *u, bcam_step *product, int gate)
{
    bcam_step *sigmoid = &plan->steps[u->maker[product->in[gate]]];
    int x = product->in[1 - gate];
    if (sigmoid->verb != BCAM_VERB_UNARY || sigmoid->u.unary.kind != BCAM_UNARY_SIGMOID || sigmoid->in[0] != x)
        return;
    product->verb = BCAM_VERB_UNARY;
    product->u.unary = (bcam_unary_attr){.kind = BCAM_UNARY_SILU};
    product->in[0] = x;
    product->in[1] = -1;
    sigmoid->verb = BCAM_VERB_COUNT;
}

bcam_status bcam_plan_fold(bcam_plan *plan, const int *targets, int count, bcam_error *err)
{
    uses u = {0};
    bcam_status status =
        count_uses(plan, &u) ? BCAM_OK : bcam_fail_memory(err, plan->value_count * sizeof(int), "folding");
    for (size_t s = 0; status == BCAM_OK && s < plan->step_count; s++) {
        bcam_step *step = &plan->steps[s];
        if (step->verb == BCAM_VERB_NORM && is_inner(plan, &u, step->in[0], targets, count))
            status = fold_norm(plan, &u, step, err);
        for (int i = 0; i < 2 && step->verb == BCAM_VERB_BINARY && step->u.binary.kind == BCAM_BINARY_MUL; i++)
            if (is_inner(plan, &u, step->in[i], targets, count))
                fold_silu(plan, &u, step, i);
    }
    sweep_out(plan);
    bcam_free(u.readers);
    bcam_free(u.maker);
    return status;
}

/* ---- fusing ---- */

static bool takes_epilogue(bcam_verb verb)
{
    return verb == BCAM_VERB_CONV || verb == BCAM_VERB_GEMM || verb == BCAM_VERB_NORM || verb == BCAM_VERB_BINARY;
}

/* Only the given step reads x, and the host does not. */
static bool is_private(const bcam_plan *plan, const uses *u, int x)
{
    return u->readers[x] == 1 && plan->values[x].role == BCAM_ROLE_WORK;
}

static bool same_values(const bcam_plan *plan, int a, int b)
{
    const bcam_value *x = &plan->values[a], *y = &plan->values[b];
    return x->rank == y->rank && memcmp(x->dim, y->dim, (size_t)x->rank * sizeof *x->dim) == 0;
}

/* An addition of equal shapes, one operand of which is a convolution's that nobody else reads: the convolution moves to the addition's place
 * and adds the other operand itself. Of two such convolutions the later one moves, so that the other is surely there. */
static void fuse_residual(bcam_plan *plan, uses *u, size_t at)
{
    bcam_step *add = &plan->steps[at];
    if (add->verb != BCAM_VERB_BINARY || add->u.binary.kind != BCAM_BINARY_ADD || add->segment != BCAM_SEGMENT_FORWARD)
        return;
    int best = -1, other = -1;
    for (int i = 0; i < 2; i++) {
        int x = add->in[i], made = u->maker[x];
        if (made < 0 || made <= best || !is_private(plan, u, x) || add->in[0] == add->in[1])
            continue;
        const bcam_step *conv = &plan->steps[made];
        if (!same_values(plan, x, add->in[1 - i]) || conv->verb != BCAM_VERB_CONV || conv->in[3] >= 0 ||
            conv->act.kind != BCAM_UNARY_NONE)
            continue;
        best = made;
        other = add->in[1 - i];
    }
    if (best < 0)
        return;
    bcam_step moved = plan->steps[best];
    moved.in[3] = other;
    moved.out[0] = add->out[0];
    plan->steps[best].verb = BCAM_VERB_COUNT;
    *add = moved;
}

static void fuse_activation(bcam_plan *plan, uses *u, size_t at)
{
    bcam_step *unary = &plan->steps[at];
    if (unary->verb != BCAM_VERB_UNARY || unary->segment != BCAM_SEGMENT_FORWARD)
        return;
    int x = unary->in[0], made = u->maker[x];
    if (made < 0 || !is_private(plan, u, x))
        return;
    bcam_step *before = &plan->steps[made];
    if (!takes_epilogue(before->verb) || before->act.kind != BCAM_UNARY_NONE || before->segment != BCAM_SEGMENT_FORWARD)
        return;
    before->act = unary->u.unary;
    before->out[0] = unary->out[0];
    u->maker[unary->out[0]] = made;
    unary->verb = BCAM_VERB_COUNT;
}

/* Two gradients meet and go on through an activation: its derivative adds them itself. */
static void fuse_gradient_sum(bcam_plan *plan, uses *u, size_t at)
{
    bcam_step *unary = &plan->steps[at];
    if (unary->verb != BCAM_VERB_UNARY_BWD || unary->in[2] >= 0)
        return;
    int dy = unary->in[0], made = u->maker[dy];
    if (made < 0 || !is_private(plan, u, dy))
        return;
    bcam_step *add = &plan->steps[made];
    if (add->verb != BCAM_VERB_BINARY || add->u.binary.kind != BCAM_BINARY_ADD ||
        add->segment != BCAM_SEGMENT_BACKWARD || add->act.kind != BCAM_UNARY_NONE ||
        !same_values(plan, add->in[0], dy) || !same_values(plan, add->in[1], dy))
        return;
    unary->in[0] = add->in[0];
    unary->in[2] = add->in[1];
    add->verb = BCAM_VERB_COUNT;
}

bcam_status bcam_plan_fuse(bcam_plan *plan, bcam_error *err)
{
    uses u = {0};
    bcam_status status =
        count_uses(plan, &u) ? BCAM_OK : bcam_fail_memory(err, plan->value_count * sizeof(int), "fusing");
    for (size_t s = 0; status == BCAM_OK && s < plan->step_count; s++) {
        fuse_residual(plan, &u, s);
        fuse_activation(plan, &u, s);
        fuse_gradient_sum(plan, &u, s);
    }
    sweep_out(plan);
    bcam_free(u.readers);
    bcam_free(u.maker);
    return status;
}

/* ---- tidying ---- */

bcam_status bcam_plan_tidy(bcam_plan *plan, bcam_error *err)
{
    bool *needed = bcam_alloc(plan->value_count, sizeof *needed);
    bcam_step *sorted = bcam_alloc(plan->step_count, sizeof *sorted);
    bcam_status status =
        needed && sorted ? BCAM_OK : bcam_fail_memory(err, plan->step_count * sizeof *sorted, "the plan");
    size_t count = 0;
    for (int segment = 0; status == BCAM_OK && segment < BCAM_SEGMENT_COUNT; segment++)
        for (size_t s = 0; s < plan->step_count; s++)
            if (plan->steps[s].segment == (bcam_segment)segment)
                sorted[count++] = plan->steps[s];
    for (size_t v = 0; status == BCAM_OK && v < plan->value_count; v++)
        needed[v] = plan->values[v].role == BCAM_ROLE_OUTPUT || plan->values[v].role == BCAM_ROLE_INPUT;
    for (size_t s = count; s-- > 0;) {
        bool alive = false;
        for (int i = 0; i < BCAM_MAX_OUT; i++)
            alive |= sorted[s].out[i] >= 0 && needed[sorted[s].out[i]];
        for (int i = 0; alive && i < BCAM_MAX_IN; i++)
            if (sorted[s].in[i] >= 0)
                needed[sorted[s].in[i]] = true;
        if (!alive)
            sorted[s].verb = BCAM_VERB_COUNT;
    }
    if (status == BCAM_OK) {
        memcpy(plan->steps, sorted, count * sizeof *sorted);
        sweep_out(plan);
    }
    bcam_free(needed);
    bcam_free(sorted);
    return status;
}
