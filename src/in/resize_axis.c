/* resize_axis.c - Pillow's filters and weights.
 *
 * A pixel of the result is a weighted sum of the pixels under a filter that is centred on it and, when shrinking, widened by the scale (so
 * that nothing is skipped). Weights are worked out in double, scaled to sum to 1, and rounded to multiples of 2^-22. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "in/resize_axis.h"

#define PI 3.14159265358979323846

/* ---- filters: weight at distance x from the centre ---- */

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double hamming(double x)
{
    x = fabs(x);
    if (x == 0.0 || x >= 1.0) {
        return x == 0.0 ? 1.0 : 0.0;
    }
    x *= PI;
    return sin(x) / x * ((double)0.54f + (double)0.46f * cos(x)); /* the window's constants are floats there */
}

static double bicubic(double x) /* a = -1/2 */
{
    x = fabs(x);
    if (x < 1.0) {
        return (1.5 * x - 2.5) * x * x + 1.0;
    }
    return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5 : 0.0;
}

static double sinc(double x)
{
    x *= PI;
    return x == 0.0 ? 1.0 : sin(x) / x;
}

static double lanczos(double x)
{
    return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
}

static const struct filter {
    double (*weight)(double x);
    double support; /* weights are 0 farther out */
} filters[] = {
    [BCAM_FILTER_BOX] = {box, 0.5},         [BCAM_FILTER_BILINEAR] = {bilinear, 1.0},
    [BCAM_FILTER_HAMMING] = {hamming, 1.0}, [BCAM_FILTER_BICUBIC] = {bicubic, 2.0},
    [BCAM_FILTER_LANCZOS] = {lanczos, 3.0},
};

/* ---- weights of one side ---- */

/** Source pixels for a pixel of the result. */
static double scale_of(const bcam_axis *a)
{
    return (double)(float)(a->source - a->before - a->behind) / a->result; /* lengths pass through float there */
}

static double support_of(const bcam_axis *a, bcam_filter filter)
{
    return filters[filter].support * fmax(scale_of(a), 1.0);
}

bool bcam_axis_kept(const bcam_axis *a)
{
    return a->source == a->result && a->before == 0 && a->behind == 0;
}

void bcam_axis_measure(bcam_axis *a, bcam_filter filter)
{
    if (bcam_axis_kept(a)) {
        a->begin = a->at;
        a->end = a->at + a->length;
        a->taps = 0;
        return;
    }
    bool nearest = filter == BCAM_FILTER_NEAREST;
    double scale = scale_of(a), support = nearest ? 0 : support_of(a, filter);
    /* positions of nearest are summed up, and may be off by some rounding */
    double low = a->before + (a->at + 0.5) * scale - support - 1,
           high = a->before + (a->at + a->length - 0.5) * scale + support + 2;
    a->begin = low < 0 ? 0 : low < a->source ? (int)low : a->source - 1;
    a->end = high > a->source ? a->source : (int)high;
    int taps = nearest ? 0 : (int)ceil(support) * 2 + 1;
    a->taps = (taps + BCAM_LOOP_TAPS - 1) / BCAM_LOOP_TAPS * BCAM_LOOP_TAPS;
}

/** The weights of one pixel, centred at `centre` of the source; behind `count` they are 0. */
static void fill_pixel(bcam_axis *a, const struct filter *f, double centre, double narrowing, int i)
{
    int32_t *weight = a->weight + (size_t)i * (size_t)a->taps;
    int first = a->first[i], count = a->count[i];
    double sum = 0.0;
    for (int t = 0; t < count; t++) {
        a->exact[t] = f->weight((t + first - centre + 0.5) * narrowing);
        sum += a->exact[t];
    }
    for (int t = 0; t < count; t++) {
        double w = (sum != 0.0 ? a->exact[t] / sum : a->exact[t]) * (1 << BCAM_WEIGHT_BITS);
        weight[t] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
    }
    memset(weight + count, 0, (size_t)(a->taps - count) * sizeof(*weight));
}

bool bcam_axis_fill(bcam_axis *a, bcam_filter filter, const bcam_resize_loops *loops)
{
    const struct filter *f = &filters[filter];
    double scale = scale_of(a), support = support_of(a, filter), narrowing = 1.0 / fmax(scale, 1.0);
    for (int i = 0; a->taps > 0 && i < a->length; i++) {
        double centre = a->before + (a->at + i + 0.5) * scale;
        int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
        a->first[i] = first < 0 ? 0 : first;
        a->count[i] = (end > a->source ? a->source : end) - a->first[i];
        fill_pixel(a, f, centre, narrowing, i);
        a->first[i] -= a->begin;
    }
    size_t weights = (size_t)a->length * (size_t)a->taps;
    bool fit = true;
    for (size_t i = 0; i < weights; i++) {
        fit &= abs(a->weight[i]) <= BCAM_WEIGHT_MOST;
    }
    for (size_t i = 0; fit && loops->pack && i < weights; i += BCAM_LOOP_TAPS) {
        loops->pack(a->weight + i, a->packed + i);
    }
    return fit;
}

/* Positions are summed up step by step, and their rounding with them. */
void bcam_axis_fill_nearest(bcam_axis *a)
{
    double step = scale_of(a), position = a->before + step * 0.5;
    for (int i = 0; i < a->at + a->length; i++, position += step) {
        if (i >= a->at) {
            a->first[i - a->at] = position < a->source ? (int)position : -1;
        }
    }
}
