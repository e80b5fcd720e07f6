/* pictures.c - which values are pictures: (N,C,H,W) or (N,H,W,C) with more than one pixel, on the way to the score. Maps are taken of (N,C,H,W). */
#include <string.h>

#include "net/net_private.h"

static bool is_permuted(const bcam_step *step)
{
    return step->verb == BCAM_VERB_COPY && !step->u.copy.reshape;
}

/* The order of axes that a step gives its output: that of its first photo input, moved by a transposing copy. A convolution, and a reshape,
 * which knows no axes, are taken to make (N,C,H,W). */
static uint8_t order_of(const bcam_net *net, const bcam_step *step)
{
    int x = step->in[0], y = step->out[0], like = bcam_is_like(&net->lower, step->out[0]);
    if (like >= 0)
        return net->order[like];
    if (x >= 0 && net->plan.values[x].role == BCAM_ROLE_CONST && step->in[1] >= 0)
        x = step->in[1];
    bool keeps = step->verb != BCAM_VERB_CONV && step->verb != BCAM_VERB_CONV_BWD &&
                 !(step->verb == BCAM_VERB_COPY && step->u.copy.reshape);
    if (!keeps || x < 0 || net->plan.values[x].rank != 4 || net->plan.values[y].rank != 4)
        return BCAM_IN_ORDER;
    if (!is_permuted(step))
        return net->order[x];
    unsigned order = 0;
    for (int a = 0; a < 4; a++) {
        int from = step->u.copy.axis[a] < 0 ? a : step->u.copy.axis[a];
        order |= (unsigned)(net->order[x] >> 2 * from & 3) << 2 * a;
    }
    return (uint8_t)order;
}

/* Convolutions and pools make pictures; other verbs hand them on, but for those that change what the axes mean. */
static bool makes_picture(const bcam_net *net, const bcam_step *step, const bool *picture)
{
    int like = bcam_is_like(&net->lower, step->out[0]);
    if (step->verb == BCAM_VERB_CONV || step->verb == BCAM_VERB_CONV_BWD || step->verb == BCAM_VERB_POOL)
        return true;
    if (like >= 0)
        return picture[like];
    bool hands_on = step->verb == BCAM_VERB_NORM || step->verb == BCAM_VERB_UNARY || step->verb == BCAM_VERB_BINARY ||
                    is_permuted(step);
    for (int i = 0; hands_on && i < BCAM_MAX_IN; i++)
        if (step->in[i] >= 0 && picture[step->in[i]])
            return true;
    return false;
}

/* A value of which only the shape is read has no way to the score. */
static void keep_leading(bcam_net *net, bool *leads)
{
    memset(leads, 0, net->plan.value_count * sizeof *leads);
    leads[net->info.logits_value] = true;
    for (size_t s = net->plan.step_count; s-- > 0;) {
        const bcam_step *step = &net->plan.steps[s];
        for (int i = 0; leads[step->out[0]] && i < BCAM_MAX_IN; i++)
            if (step->in[i] >= 0)
                leads[step->in[i]] = true;
    }
    for (size_t v = 0; v < net->plan.value_count; v++)
        net->spatial[v] &= leads[v];
}

void bcam_picture_dims(const bcam_net *net, int value, int64_t dim[3])
{
    const int64_t *d = net->plan.values[value].dim;
    bool last = net->order[value] == BCAM_CHANNELS_LAST;
    dim[0] = d[last ? 3 : 1];
    dim[1] = d[last ? 1 : 2];
    dim[2] = d[last ? 2 : 3];
}

/* A transposed view is the same picture under another name; as a place for maps it counts only in the usual order. */
static bool is_spatial(const bcam_net *net, const bcam_step *step)
{
    int y = step->out[0];
    int64_t dim[3];
    bcam_picture_dims(net, y, dim);
    bool ordered = net->order[y] == BCAM_IN_ORDER || (net->order[y] == BCAM_CHANNELS_LAST && !is_permuted(step));
    return ordered && dim[1] * dim[2] > 1;
}

bcam_status bcam_pictures_mark(bcam_net *net)
{
    net->spatial = bcam_alloc(net->plan.value_count, sizeof *net->spatial);
    net->order = bcam_alloc(net->plan.value_count, sizeof *net->order);
    bool *picture = bcam_alloc(net->plan.value_count, sizeof *picture);
    bool fits = net->spatial && net->order && picture;
    if (fits)
        memset(net->order, BCAM_IN_ORDER, net->plan.value_count * sizeof *net->order);
    for (size_t s = 0; fits && s < net->plan.step_count; s++) {
        const bcam_step *step = &net->plan.steps[s];
        int y = step->out[0];
        const bcam_value *v = &net->plan.values[y];
        net->order[y] = order_of(net, step);
        picture[y] = v->rank == 4 && makes_picture(net, step, picture);
        net->spatial[y] = picture[y] && is_spatial(net, step);
    }
    if (fits)
        keep_leading(net, picture);
    bcam_free(picture);
    return fits ? BCAM_OK : BCAM_E_MEMORY;
}

/* What an operator makes in between has no name that anybody could ask for. */
bcam_status bcam_pictures_keep_named(bcam_net *net)
{
    bool *named = bcam_alloc(net->plan.value_count, sizeof *named);
    if (!named)
        return BCAM_E_MEMORY;
    for (size_t e = 0; e < net->edge_count; e++)
        if (net->edges[e].value >= 0)
            named[net->edges[e].value] = true;
    for (size_t v = 0; v < net->plan.value_count; v++)
        net->spatial[v] &= named[v];
    bcam_free(named);
    return BCAM_OK;
}

/* ---- a target in the order that maps need ---- */

/* y = x with its axes in another order. */
static int turned(bcam_net *net, int x, const int axis[4])
{
    bcam_plan *plan = &net->plan;
    const bcam_value v = plan->values[x];
    int64_t dim[4];
    for (int a = 0; a < 4; a++)
        dim[a] = v.dim[axis[a]];
    int y = bcam_plan_value(plan, v.name, BCAM_ROLE_WORK, BCAM_F32, 4, dim);
    bcam_step *step = y < 0 ? NULL : bcam_plan_step(plan, BCAM_VERB_COPY, BCAM_SEGMENT_FORWARD, v.name);
    if (!step)
        return -1;
    step->in[0] = x;
    step->out[0] = y;
    for (int a = 0; a < 4; a++) {
        step->u.copy.axis[a] = axis[a];
        step->u.copy.extent[a] = dim[a];
        step->u.copy.step[a] = 1;
    }
    return y;
}

bcam_status bcam_net_turn_target(bcam_net *net, bcam_target *target, bcam_error *err)
{
    static const int to_first[4] = {0, 3, 1, 2}, to_last[4] = {0, 2, 3, 1};
    bcam_plan *plan = &net->plan;
    int x = target->value;
    size_t old = plan->step_count, made = old;
    if (net->order[x] != BCAM_CHANNELS_LAST)
        return BCAM_OK;
    int first = turned(net, x, to_first), back = first < 0 ? -1 : turned(net, first, to_last);
    if (back < 0)
        return bcam_fail(err, BCAM_E_MEMORY, "out of memory while planning layer '%s'", target->name);
    for (size_t s = 0; s < old; s++) /* behind what makes x, before what reads it */
        if (plan->steps[s].out[0] == x)
            made = s + 1;
    bcam_step two[2] = {plan->steps[old], plan->steps[old + 1]};
    memmove(plan->steps + made + 2, plan->steps + made, (old - made) * sizeof *plan->steps);
    memcpy(plan->steps + made, two, sizeof two);
    for (size_t s = made + 2; s < plan->step_count; s++)
        for (int i = 0; i < BCAM_MAX_IN; i++)
            if (plan->steps[s].in[i] == x)
                plan->steps[s].in[i] = back;
    target->value = first;
    return BCAM_OK;
}
