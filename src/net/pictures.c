/* pictures.c - which values are pictures: (N,C,H,W) with more than one pixel, on the way to the score. */
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
        net->spatial[y] = picture[y] && net->order[y] == BCAM_IN_ORDER && v->dim[2] * v->dim[3] > 1;
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
