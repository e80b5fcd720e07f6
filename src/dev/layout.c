/* layout.c - who lives when, and where: one arena for values whose lives do not overlap. */
#include <stdlib.h>

#include "dev/dev.h"

void bcam_lifetimes(const bcam_plan *plan, int *first, int *last)
{
    int end = (int)plan->step_count - 1;
    for (size_t v = 0; v < plan->value_count; v++)
        first[v] = last[v] = -1;
    for (int s = 0; s <= end; s++) {
        const bcam_step *step = &plan->steps[s];
        for (int i = 0; i < BCAM_MAX_IN; i++)
            if (step->in[i] >= 0)
                last[step->in[i]] = s;
        for (int i = 0; i < BCAM_MAX_OUT; i++) {
            int v = step->out[i];
            if (v < 0)
                continue;
            if (first[v] < 0)
                first[v] = s;
            last[v] = s; /* an output that nobody reads still needs room while it is written */
        }
    }
    for (size_t v = 0; v < plan->value_count; v++) {
        bcam_role role = plan->values[v].role;
        if (role == BCAM_ROLE_INPUT || role == BCAM_ROLE_OUTPUT) {
            first[v] = 0;
            last[v] = end;
        }
    }
}

/* The largest first: small ones then fill the gaps. Ties in order of life, so that the result does not depend on the sort. */
static int larger_first(const void *a, const void *b)
{
    const bcam_span *x = *(const bcam_span *const *)a, *y = *(const bcam_span *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x < y ? -1 : x > y;
}

static int lower_first(const void *a, const void *b)
{
    const bcam_span *x = *(const bcam_span *const *)a, *y = *(const bcam_span *const *)b;
    return x->offset != y->offset ? (x->offset < y->offset ? -1 : 1) : 0;
}

static size_t round_up(size_t n, size_t align)
{
    return (n + align - 1) / align * align;
}

/* The lowest gap that holds `span` beside the `placed` ones that live at the same time; `beside` is room for their pointers. */
static size_t lowest_gap(const bcam_span *span, bcam_span **placed, size_t count, bcam_span **beside, size_t align,
                         size_t gap)
{
    size_t neighbours = 0, offset = 0;
    for (size_t i = 0; i < count; i++)
        if (placed[i]->first <= span->last && span->first <= placed[i]->last)
            beside[neighbours++] = placed[i];
    qsort(beside, neighbours, sizeof *beside, lower_first);
    for (size_t i = 0; i < neighbours; i++) {
        if (offset + span->bytes + gap <= beside[i]->offset)
            break;
        size_t end = round_up(beside[i]->offset + beside[i]->bytes + gap, align);
        if (end > offset)
            offset = end;
    }
    return offset;
}

size_t bcam_layout(bcam_span *spans, size_t count, size_t align, size_t gap)
{
    bcam_span **order = bcam_alloc(2 * count, sizeof *order);
    if (!order)
        return SIZE_MAX;
    for (size_t i = 0; i < count; i++)
        order[i] = &spans[i];
    qsort(order, count, sizeof *order, larger_first);
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        order[i]->offset = lowest_gap(order[i], order, i, order + count, align, gap);
        size_t end = order[i]->offset + order[i]->bytes + gap;
        if (end > total)
            total = end;
    }
    bcam_free(order);
    return round_up(total, align);
}
