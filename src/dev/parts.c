/* parts.c - values that are nothing but some channels of another one: what a concatenation puts together, what a slice takes out, and the same for
 * gradients. Such a value lies where the copy would move it to, or where the copy would take it from, and the copy falls away. place.h says when. */
#include <string.h>

#include "dev/place.h"

/** A value as a part: of which one, and from which channel on. */
typedef struct part {
    int whole; /* -1: it is no part */
    int64_t at;
} part;

typedef struct parts {
    bcam_placement *p;
    const int *writers;
    part *part;       /* by value, like all that follows */
    bool *fixed;      /* cannot become a part */
    int64_t *covered; /* elements that copies without overlap write */
} parts;

/* ---- which copies there are ---- */

/* Channels `from` to `from + channels` of x go to channels `to` of y, everything else as it is. */
static bool moves_channels(const bcam_copy_attr *c, const bcam_value *x, const bcam_value *y)
{
    if (c->reshape || c->fill || x->rank != 4 || y->rank != 4)
        return false;
    for (int a = 0; a < 4; a++) {
        if (c->axis[a] != a || c->step[a] != 1)
            return false;
        if (a != 1 && (c->from[a] != 0 || c->to[a] != 0 || c->extent[a] != x->dim[a] || c->extent[a] != y->dim[a]))
            return false;
    }
    return true;
}

static bool is_channels_last(const bcam_tensor *t)
{
    int64_t stride[BCAM_MAX_RANK];
    bcam_strides_channels_last(t->rank, t->dim, stride);
    for (int a = 0; a < t->rank; a++)
        if (t->stride[a] != stride[a])
            return false;
    return t->rank == 4;
}

/* ---- which values can be parts ---- */

/* A residual must lie like its convolution's output. What shares its memory already stays where it is. */
static void find_fixed(parts *s)
{
    const bcam_placement *p = s->p;
    for (size_t v = 0; v < p->value_count; v++) {
        bcam_role role = p->values[v].role;
        s->fixed[v] |= role == BCAM_ROLE_CONST || role == BCAM_ROLE_INPUT || !is_channels_last(&p->tensors[v]);
        if (p->root[v] != (int)v)
            s->fixed[v] = s->fixed[p->root[v]] = true;
    }
    for (size_t i = 0; i < p->step_count; i++)
        if (p->steps[i].verb == BCAM_VERB_CONV && p->steps[i].in[3] >= 0)
            s->fixed[p->steps[i].in[3]] = true;
}

static void find_covered(parts *s)
{
    const bcam_placement *p = s->p;
    for (size_t i = 0; i < p->step_count; i++) {
        const bcam_step *step = &p->steps[i];
        if (step->verb == BCAM_VERB_COPY && !step->u.copy.reshape)
            s->covered[step->out[0]] += bcam_count(p->values[step->out[0]].rank, step->u.copy.extent);
    }
}

/* ---- where they come to lie ---- */

/* Parts of parts become parts of what no part is; the way there is gone twice, so that long chains are short afterwards. What is no part is all
 * of itself. */
static part place_of(parts *s, int v)
{
    part top = s->part[v];
    if (top.whole < 0)
        return (part){v, 0};
    while (s->part[top.whole].whole >= 0) {
        top.at += s->part[top.whole].at;
        top.whole = s->part[top.whole].whole;
    }
    for (part left = top; s->part[v].whole != top.whole;) {
        part next = s->part[v];
        s->part[v] = left;
        left.at -= next.at;
        v = next.whole;
    }
    return top;
}

/** `small` becomes channels `at` … of `whole`, if it may. */
static bool join(parts *s, const bcam_step *step, int small, int whole, int64_t at)
{
    const bcam_placement *p = s->p;
    bcam_role role = p->values[whole].role;
    if (s->fixed[small] || s->part[small].whole >= 0 || role == BCAM_ROLE_CONST || role == BCAM_ROLE_INPUT ||
        !is_channels_last(&p->tensors[whole]) || p->tensors[small].dtype != p->tensors[whole].dtype ||
        p->values[small].dim[1] >= p->values[whole].dim[1] || /* which also means that nothing is a part of itself */
        (step->each_k && p->values[small].each_k != p->values[whole].each_k))
        return false;
    s->part[small] = (part){whole, at};
    return true;
}

/* Whether the copies from a step on bring all of `whole`, which may lie in pieces, to y in one piece. */
static bool bring_all(parts *s, size_t index, int whole, int y)
{
    const bcam_placement *p = s->p;
    int64_t at = 0, begin = p->steps[index].u.copy.to[1], channels = p->values[whole].dim[1];
    for (; index < p->step_count && at < channels; index++) {
        const bcam_step *step = &p->steps[index];
        const bcam_copy_attr *c = &step->u.copy;
        int x = step->in[0];
        if (step->verb != BCAM_VERB_COPY || step->out[0] != y || !moves_channels(c, &p->values[x], &p->values[y]) ||
            c->from[1] != 0 || c->extent[1] != p->values[x].dim[1] || c->to[1] != begin + at)
            return false;
        part place = place_of(s, x);
        if (place.whole != whole || place.at != at)
            return false;
        at += c->extent[1];
    }
    return at == channels;
}

/* A concatenation's input. If it lies in an earlier concatenation with which this one begins, that one becomes a part of this one. */
static bool join_input(parts *s, size_t index)
{
    const bcam_step *step = &s->p->steps[index];
    int x = step->in[0], y = step->out[0];
    int64_t to = step->u.copy.to[1];
    part place = place_of(s, x);
    if (place.whole == y)
        return place.at == to;
    return place.at == 0 && bring_all(s, index, place.whole, y) && join(s, step, place.whole, y, to);
}

/* Inputs of a concatenation, if all of them together are the output; slices; gradients of a concatenation. */
static bool look_at(parts *s, size_t index)
{
    const bcam_step *step = &s->p->steps[index];
    const bcam_copy_attr *c = &step->u.copy;
    bool back = step->verb == BCAM_VERB_COPY_BWD;
    if (step->verb != BCAM_VERB_COPY && !back)
        return false;
    int in = step->in[0], out = step->out[0], x = back ? out : in, y = back ? in : out;
    const bcam_value *from = &s->p->values[x], *to = &s->p->values[y];
    if (!moves_channels(c, from, to))
        return false;
    bool all_x = c->from[1] == 0 && c->extent[1] == from->dim[1], all_y = c->to[1] == 0 && c->extent[1] == to->dim[1];
    if (back)
        return all_x && s->writers[x] == 1 && join(s, step, x, y, c->to[1]);
    if (all_x && s->covered[y] == bcam_count(to->rank, to->dim))
        return join_input(s, index);
    return all_y && s->writers[y] == 1 && join(s, step, y, x, c->from[1]);
}

static void settle(parts *s)
{
    bcam_placement *p = s->p;
    for (size_t v = 0; v < p->value_count; v++) {
        if (s->part[v].whole < 0)
            continue;
        part top = place_of(s, (int)v);
        memcpy(p->tensors[v].stride, p->tensors[top.whole].stride, sizeof p->tensors[v].stride);
        p->root[v] = p->root[top.whole];
        p->shift[v] = (size_t)top.at * bcam_dtype_bytes(p->tensors[v].dtype);
    }
}

bcam_status bcam_placement_join(bcam_placement *p, const int *writers, bcam_error *err)
{
    size_t count = p->value_count;
    parts s = {.p = p,
               .writers = writers,
               .part = bcam_alloc(count, sizeof *s.part),
               .fixed = bcam_alloc(count, sizeof *s.fixed),
               .covered = bcam_alloc(count, sizeof *s.covered)};
    bool fits = s.part && s.fixed && s.covered;
    if (fits) {
        for (size_t v = 0; v < count; v++)
            s.part[v].whole = -1;
        find_fixed(&s);
        find_covered(&s);
        for (size_t i = 0; i < p->step_count; i++)
            p->alias[i] |= !p->alias[i] && look_at(&s, i);
        settle(&s);
    }
    bcam_free(s.part);
    bcam_free(s.fixed);
    bcam_free(s.covered);
    return fits ? BCAM_OK : bcam_fail_memory(err, count * sizeof *s.part, "a program");
}
