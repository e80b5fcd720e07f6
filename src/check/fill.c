/* fill.c - numbers for operands. Reals are always floats, so that devices of any precision see the same ones. */
#include <math.h>
#include <string.h>

#include "check/bind.h"

const char *bcam_check_fill_name(bcam_check_fill fill)
{
    static const char *const names[BCAM_FILL_COUNT] = {"random", "extreme", "constant", "special"};
    return names[fill];
}

static double uniform(uint64_t *state, double low, double high)
{
    return low + (high - low) * bcam_random_unit(state);
}

static int64_t below(uint64_t *state, int64_t limit)
{
    return (int64_t)(bcam_random_unit(state) * (double)limit);
}

/* Odd multiples of 1/128 at 5/128 or more from 0, 1 and 3: they never meet the numbers of fill_distinct either. */
static double away(uint64_t *state)
{
    for (;;) {
        double v = (double)(2 * below(state, 256) + 1) / 128;
        if (fabs(v) >= 0.05 && fabs(v - 1) >= 0.05 && fabs(v - 3) >= 0.05)
            return below(state, 2) ? v : -v;
    }
}

static double random_real(bcam_check_domain domain, uint64_t *state)
{
    switch (domain) {
    case BCAM_DOMAIN_POSITIVE:
        return uniform(state, 0.3, 2);
    case BCAM_DOMAIN_BASE:
        return uniform(state, 1.1, 3);
    case BCAM_DOMAIN_AWAY:
        return away(state);
    default:
        return uniform(state, -2, 2);
    }
}

/* Multiples of 1/64 around 0 in random order. */
static void fill_distinct(double *out, int64_t count, uint64_t *state)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (double)(i - count / 2) / 64;
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = below(state, i + 1);
        double v = out[i];
        out[i] = out[j];
        out[j] = v;
    }
}

static void fill_real(const bcam_check_operand *o, bcam_check_fill fill, double *out, int64_t count, uint64_t *state)
{
    static const double extreme[] = {1e-30, 1e30, -0.0, 0, -1e30, -1e-30, -3e4, -88, 89};
    static const double special[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    double constant = (double)(1 + below(state, 12)) / 4;
    if (below(state, 2) && o->domain != BCAM_DOMAIN_POSITIVE && o->domain != BCAM_DOMAIN_BASE)
        constant = -constant;
    if (o->domain == BCAM_DOMAIN_DISTINCT)
        fill_distinct(out, count, state);
    for (int64_t i = 0; i < count; i++) {
        double v = o->domain == BCAM_DOMAIN_DISTINCT ? out[i] : random_real(o->domain, state);
        if (fill == BCAM_FILL_CONSTANT)
            v = constant;
        else if (fill == BCAM_FILL_EXTREME && below(state, 3) == 0)
            v = extreme[below(state, BCAM_COUNT(extreme))];
        else if (fill == BCAM_FILL_SPECIAL && below(state, 8) == 0)
            v = special[below(state, BCAM_COUNT(special))];
        out[i] = (double)(float)v;
    }
}

static double request(int64_t limit, const double *before, int64_t index, uint64_t *state)
{
    switch (below(state, 6)) {
    case 0:
        return BCAM_CLASS_NONE;
    case 1:
        return BCAM_CLASS_RANK((double)below(state, limit < 4 ? limit : 4));
    case 2:
        return index > 0 ? before[-1] : 0; /* a duplicate, most of the time */
    case 3:
        return below(state, 2) ? (double)(limit + below(state, 3)) : BCAM_CLASS_RANK((double)limit);
    default:
        return (double)below(state, limit);
    }
}

static void fill_whole(const bcam_check_operand *o, bcam_check_fill fill, double *out, int64_t count, uint64_t *state)
{
    double constant = o->domain == BCAM_DOMAIN_BYTE ? (double)below(state, 256) : 0;
    for (int64_t i = 0; i < count; i++) {
        if (o->domain == BCAM_DOMAIN_FIRST)
            out[i] = (double)o->limit;
        else if (o->domain == BCAM_DOMAIN_REQUEST)
            out[i] = fill == BCAM_FILL_CONSTANT ? BCAM_CLASS_RANK((double)(i % o->dim[0]))
                                                : request(o->limit, out + i, i, state);
        else if (o->domain == BCAM_DOMAIN_COLOURS)
            out[i] = i % 3 == 0 ? (double)(i / 3) : i % 3 == 1 ? (double)(255 - i / 3) : (double)(64 + i / 6);
        else if (fill == BCAM_FILL_CONSTANT)
            out[i] = constant;
        else if (o->domain == BCAM_DOMAIN_BYTE)
            out[i] = (double)below(state, 256);
        else
            out[i] = (double)(below(state, o->limit + 1) - 1);
    }
}

/* The range of each map, then ReLU over the maps. */
static void fill_range(const bcam_check_case *c, int index, bcam_check_data *data)
{
    const bcam_check_operand *map = &c->in[index - 1];
    int64_t pixels = map->dim[0] * map->dim[1];
    for (int64_t m = 0; m < c->k * c->batch; m++) {
        double *at = data->in[index - 1] + m * pixels, low = at[0], high = at[0];
        for (int64_t i = 0; i < pixels; i++) {
            low = fmin(low, at[i]);
            high = fmax(high, at[i]);
            if (map->domain == BCAM_DOMAIN_RELU)
                at[i] = fmax(at[i], 0);
        }
        data->in[index][2 * m] = low;
        data->in[index][2 * m + 1] = high;
    }
}

/* A side of a photo of at most `most` pixels that becomes `length`; returns the pixels. */
static int64_t fill_side(double *row, int64_t length, int64_t most, int64_t taps, uint64_t *state)
{
    int64_t source = taps ? 1 + below(state, most) : length;
    bool in_order = below(state, 3) > 0;
    for (int64_t i = 0; i < length && taps; i++, row += BCAM_RESIZE_ROW + taps) {
        int64_t count = below(state, 16) ? 1 + below(state, taps < source ? taps : source) : 0, room = source - count;
        row[0] = (double)(in_order ? i * room / length : below(state, room + 1));
        row[1] = (double)count;
        for (int64_t t = 0; t < taps; t++)
            row[BCAM_RESIZE_ROW + t] = /* about 1 in all, or anything */
                (double)(below(state, 8)
                             ? below(state, (3 << BCAM_RESIZE_BITS) / taps) - (1 << BCAM_RESIZE_BITS) / taps / 2
                             : below(state, 14 << 20) - (7 << 20));
    }
    return source;
}

/* Frames, and the tables before them. The window of some photos is smaller than the result. */
static void fill_frames(const bcam_check_case *c, int index, bcam_check_data *data, uint64_t *state)
{
    const int64_t *out = c->out[0].dim, row = BCAM_RESIZE_ROW + c->in[index].limit;
    int64_t photo = c->in[index - 2].dim[0] / c->batch, table = c->in[index - 1].dim[0] / c->batch, most = 1;
    while (3 * (most + 1) * (most + 1) <= photo)
        most++;
    for (int64_t i = 0; i < c->in[index - 1].dim[0]; i++)
        data->in[index - 1][i] = 0;
    for (int64_t n = 0; n < c->batch; n++) {
        double *frame = data->in[index] + n * BCAM_FRAME_COUNT;
        int64_t window[2], taps[2], at[2] = {n * table, n * table + out[2] * row};
        for (int side = 0; side < 2; side++) {
            int64_t whole = out[2 - side];
            window[side] = below(state, 2) ? whole : 1 + below(state, whole);
            taps[side] = below(state, 4) ? c->in[index].limit : 0;
            frame[BCAM_FRAME_X + side] = (double)below(state, whole - window[side] + 1);
            frame[BCAM_FRAME_W + side] = (double)window[side];
            frame[BCAM_FRAME_X_TAPS + side] = (double)taps[side];
            frame[BCAM_FRAME_X_TABLE + side] = (double)at[side];
        }
        frame[BCAM_FRAME_PHOTO] = (double)(n * photo);
        frame[BCAM_FRAME_STRIDE] = (double)fill_side(data->in[index - 1] + at[0], window[0], most, taps[0], state);
        fill_side(data->in[index - 1] + at[1], window[1], most, taps[1], state);
        frame[BCAM_FRAME_COLUMNS_FIRST] = (double)below(state, 2);
    }
}

/* Multiplied, two extreme numbers leave the range of a float, so in most verbs only the first operand has any. */
static bcam_check_fill fill_of_operand(const bcam_check_case *c, bcam_check_fill fill, int index)
{
    bool all = c->verb == BCAM_VERB_BINARY && fill == BCAM_FILL_EXTREME;
    bool first_random = bcam_check_is_backward(c->verb) && fill == BCAM_FILL_CONSTANT && index == 0;
    if (first_random || (index > 0 && !all && fill != BCAM_FILL_CONSTANT))
        return BCAM_FILL_RANDOM;
    return fill;
}

/* What a backward step reads of the forward step: its operands, and its result as the reference has it. */
static bcam_status fill_from_forward(const bcam_check_case *c, bcam_check_fill fill, const bcam_check_side *reference,
                                     uint64_t seed, bcam_check_data *data, bcam_error *err)
{
    bcam_check_case forward;
    bcam_check_data numbers = {0};
    bcam_check_bound bound = {0};
    bool result = false;
    int which;
    bcam_check_forward(c, &forward, &which);
    for (int i = 0; i < BCAM_MAX_IN; i++)
        result |= c->in[i].present && c->in[i].domain == BCAM_DOMAIN_FORWARD && c->in[i].source < 0;
    bcam_status status = bcam_check_data_init(&forward, &numbers, err);
    if (status == BCAM_OK)
        status = bcam_check_fill_data(&forward, fill == BCAM_FILL_CONSTANT ? fill : BCAM_FILL_RANDOM, reference,
                                      seed + 1, &numbers, err);
    if (status == BCAM_OK && result)
        status = bcam_check_bind(&forward, reference, &numbers, &bound, err);
    if (status == BCAM_OK && result)
        status = bcam_check_compute(&bound, &numbers, err);
    for (int i = 0; i < BCAM_MAX_IN && status == BCAM_OK; i++) {
        const bcam_check_operand *o = &c->in[i];
        if (!o->present || o->domain != BCAM_DOMAIN_FORWARD)
            continue;
        const double *from = o->source < 0 ? numbers.out[0] : numbers.in[o->source];
        int64_t count = bcam_check_count(o, c->batch, c->k);
        for (int64_t e = 0; e < count; e++)
            data->in[i][e] = (double)(float)from[e];
    }
    bcam_check_unbind(&bound);
    bcam_check_data_fini(&numbers);
    return status;
}

bcam_status bcam_check_fill_data(const bcam_check_case *c, bcam_check_fill fill, const bcam_check_side *reference,
                                 uint64_t seed, bcam_check_data *data, bcam_error *err)
{
    uint64_t state = seed ^ (uint64_t)c->verb * 0x9e3779b97f4a7c15u ^ (uint64_t)c->row << 32 ^ (uint64_t)fill << 56;
    bool forward = false;
    for (int i = 0; i < BCAM_MAX_IN; i++) {
        const bcam_check_operand *o = &c->in[i];
        if (!o->present)
            continue;
        int64_t count = bcam_check_count(o, c->batch, c->k);
        if (o->domain == BCAM_DOMAIN_FORWARD)
            forward = true;
        else if (o->domain == BCAM_DOMAIN_RANGE)
            fill_range(c, i, data);
        else if (o->domain == BCAM_DOMAIN_FRAMES)
            fill_frames(c, i, data, &state);
        else if (o->domain == BCAM_DOMAIN_TABLES)
            continue;
        else if (o->dtype == BCAM_F32)
            fill_real(o, fill_of_operand(c, fill, i), data->in[i], count, &state);
        else
            fill_whole(o, fill, data->in[i], count, &state);
    }
    return forward ? fill_from_forward(c, fill, reference, seed, data, err) : BCAM_OK;
}
