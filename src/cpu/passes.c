/* passes.c - a few photos at a time, where a whole batch would not stay in the cache from one step to the next.
 *
 * Steps of one resolution that follow each other and make each photo of itself form a range. A range is run in passes of as many photos as have
 * room in the cache with what its greediest step reads and writes. Values that live in a range alone have memory for these photos only, which
 * stays in the cache; values that come in or go out are whole.
 *
 * No byte of a result changes: a step's result for one photo does not depend on the others. */
#include "cpu/program.h"

enum {
    ROOM = 8 << 20,    /* bytes that a step may read and write in a pass */
    ENOUGH = 48 << 20, /* … for all photos, where passes are not worth it */
    SMALL = 64 << 10   /* bytes a photo below which a step goes with its neighbours */
};

enum { OPERANDS = BCAM_MAX_IN + BCAM_MAX_OUT };

/* Inputs, then outputs; negative: absent. */
static int operand_of(const bcam_step *step, int i)
{
    return i < BCAM_MAX_IN ? step->in[i] : step->out[i - BCAM_MAX_IN];
}

/* ---- which steps make each photo of itself ---- */

/* Dimension 0 counts the photos. */
static bool is_parted(const bcam_program *p, int value)
{
    const bcam_value *v = &p->place.values[value];
    return v->role != BCAM_ROLE_CONST && v->rank >= 2 && v->dim[0] == p->photos && (!v->each_k || p->place.k == 1);
}

/** Whether a step can be run for some of the photos alone; *bytes: what it reads and writes for one. */
static bool is_divisible(const bcam_program *p, const bcam_step *step, double *bytes)
{
    *bytes = 0;
    for (int i = 0; i < OPERANDS; i++) {
        int value = operand_of(step, i);
        if (value < 0 || p->place.values[value].role == BCAM_ROLE_CONST)
            continue;
        if (!is_parted(p, value) || p->place.values[value].rank != p->place.values[step->out[0]].rank)
            return false;
        const bcam_tensor *t = &p->place.tensors[value];
        *bytes += (double)bcam_count(t->rank, t->dim) * (double)bcam_dtype_bytes(t->dtype) / (double)p->photos;
    }
    return step->verb != BCAM_VERB_CAM && /* (K,N,…) */
           bcam_cpu_parts_photos(step, &p->place.tensors[step->in[0]], &p->place.tensors[step->out[0]]);
}

/* ---- ranges ---- */

static int64_t pixels(const bcam_program *p, const bcam_step *step)
{
    const bcam_value *y = &p->place.values[step->out[0]];
    return y->rank == 4 ? y->dim[2] * y->dim[3] : 0;
}

static int64_t divisor(int64_t photos, double most)
{
    int64_t n = photos;
    while (n > 1 && (photos % n || (double)n > most))
        n--;
    return n;
}

static double weights_of(const bcam_program *p, const bcam_step *step)
{
    double bytes = 0;
    for (int i = 0; i < BCAM_MAX_IN; i++)
        if (step->in[i] >= 0 && p->place.values[step->in[i]].role == BCAM_ROLE_CONST)
            bytes += 4 * (double)bcam_count(p->place.values[step->in[i]].rank, p->place.values[step->in[i]].dim);
    return bytes;
}

/* Every pass reads the weights again, which must not take back what it spares. */
static int64_t photos_of_pass(const bcam_program *p, double most, double all, double weights)
{
    int64_t photos = most * (double)p->photos > ENOUGH ? divisor(p->photos, ROOM / most) : p->photos;
    return weights / (double)photos < all / 10 ? photos : p->photos;
}

/** Extends a range that begins at step `first` as far as it goes. */
static bcam_cpu_range find_range(const bcam_program *p, int first, bool divide)
{
    bcam_cpu_range r = {.first = first, .end = first, .photos = p->photos};
    int64_t resolution = -1;
    double most = 0, all = 0, weights = 0, bytes; /* for a photo: of the greediest step, of all steps */
    for (; r.end < (int)p->place.step_count; r.end++) {
        const bcam_step *step = &p->place.steps[r.end];
        if (p->place.alias[r.end])
            continue;
        if (!divide || step->segment != p->place.steps[first].segment || !is_divisible(p, step, &bytes) ||
            (bytes >= SMALL && resolution >= 0 && pixels(p, step) != resolution))
            break;
        if (bytes >= SMALL)
            resolution = pixels(p, step);
        most = bytes > most ? bytes : most;
        all += bytes;
        weights += weights_of(p, step);
    }
    if (r.end == first)
        r.end++;
    else
        r.photos = photos_of_pass(p, most, all, weights);
    return r;
}

/* A value whose memory is touched by one range alone needs room for a pass. */
static void shrink_values(bcam_program *p)
{
    enum { NONE = -1, SEVERAL = -2 };
    bcam_placement *place = &p->place;
    for (size_t v = 0; v < place->value_count; v++)
        p->home[v] = NONE;
    for (size_t r = 0; r < p->range_count; r++)
        for (int s = p->ranges[r].first; s < p->ranges[r].end; s++)
            for (int i = 0; i < OPERANDS; i++) {
                int value = operand_of(&place->steps[s], i);
                if (value < 0)
                    continue;
                int *home = &p->home[place->root[value]];
                bool fits = place->values[value].role == BCAM_ROLE_WORK && is_parted(p, value) &&
                            (*home == NONE || *home == (int)r);
                *home = fits ? (int)r : SEVERAL;
            }
    for (size_t v = 0; v < place->value_count; v++) {
        int home = p->home[place->root[v]];
        if (place->root[v] == (int)v && home >= 0 && place->spans[v].bytes % (size_t)p->photos == 0)
            place->spans[v].bytes = place->spans[v].bytes / (size_t)p->photos * (size_t)p->ranges[home].photos;
        else if (place->root[v] == (int)v)
            p->home[v] = SEVERAL;
    }
}

/* What is whole must not share memory with anything else of its range: every pass comes back to it. */
static void keep_values(bcam_program *p)
{
    for (size_t r = 0; r < p->range_count; r++) {
        const bcam_cpu_range *range = &p->ranges[r];
        for (int s = range->first; s < range->end && range->photos < p->photos; s++)
            for (int i = 0; i < OPERANDS; i++) {
                int value = operand_of(&p->place.steps[s], i);
                if (value < 0 || p->home[p->place.root[value]] >= 0)
                    continue;
                bcam_span *span = &p->place.spans[p->place.root[value]];
                span->first = span->first > range->first ? range->first : span->first;
                span->last = span->last < range->end - 1 ? range->end - 1 : span->last;
            }
    }
}

bcam_status bcam_cpu_passes(bcam_program *p, bcam_error *err)
{
    size_t steps = p->place.step_count;
    p->ranges = bcam_pool_alloc(&p->place.pool, steps + 1, sizeof *p->ranges);
    p->home = bcam_pool_alloc(&p->place.pool, p->place.value_count, sizeof *p->home);
    if (!p->ranges || !p->home)
        return bcam_fail_memory(err, (steps + 1) * sizeof *p->ranges, "a program");
    for (int s = 0; s < (int)steps; s = p->ranges[p->range_count - 1].end)
        p->ranges[p->range_count++] = find_range(p, s, p->photos > 1 && !p->device->options.guard);
    shrink_values(p);
    keep_values(p);
    return BCAM_OK;
}

/* ---- calls ---- */

int64_t bcam_cpu_pass_operand(const bcam_program *p, const bcam_cpu_range *range, int value, bcam_tensor *t)
{
    if (value < 0 || range->photos == p->photos || !is_parted(p, value))
        return 0;
    t->dim[0] = range->photos;
    bool stays = p->home[p->place.root[value]] >= 0;
    return stays ? 0 : range->photos * t->stride[0] * (int64_t)bcam_dtype_bytes(t->dtype);
}
