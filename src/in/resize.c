/* resize.c - Pillow's resampling of RGB bytes, equal to the byte, for a window of the result.
 *
 * A pixel of the result is a weighted sum of the pixels under a filter that is centred on it and, when shrinking, widened by the scale (so
 * that nothing is skipped). Sides are done one after the other with rounding to bytes between, a side that keeps its length is left alone.
 * Weights are worked out in double, scaled to sum to 1, and rounded to multiples of 2^-22; sums are taken in int32. */
#include <math.h>
#include <string.h>

#include "in/photo.h"

#define WEIGHT_BITS 22
#define HALF (1 << (WEIGHT_BITS - 1))
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

/** Result pixel `at + i` is the sum over t < count[i] of source pixel first[i] + t times weight[i * taps + t]. */
typedef struct axis {
    int source, result; /* lengths */
    int at, length;     /* the window */
    int taps;           /* room per pixel */
    int *first, *count; /* (length) */
    int32_t *weight;    /* (length, taps) */
    double *exact;      /* (taps) scratch */
} axis;

static double axis_scale(const axis *a)
{
    return (double)(float)a->source / a->result; /* lengths pass through float there */
}

static int axis_taps(const axis *a, bcam_filter filter)
{
    return (int)ceil(filters[filter].support * fmax(axis_scale(a), 1.0)) * 2 + 1;
}

static void fill_axis(axis *a, bcam_filter filter)
{
    const struct filter *f = &filters[filter];
    double scale = axis_scale(a), widening = fmax(scale, 1.0), support = f->support * widening,
           narrowing = 1.0 / widening;
    for (int i = 0; i < a->length; i++) {
        double centre = (a->at + i + 0.5) * scale, sum = 0.0;
        int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
        first = first < 0 ? 0 : first;
        end = end > a->source ? a->source : end;
        int count = end - first;
        for (int t = 0; t < count; t++) {
            a->exact[t] = f->weight((t + first - centre + 0.5) * narrowing);
            sum += a->exact[t];
        }
        for (int t = 0; t < count; t++) {
            double weight = (sum != 0.0 ? a->exact[t] / sum : a->exact[t]) * (1 << WEIGHT_BITS);
            a->weight[(size_t)i * (size_t)a->taps + (size_t)t] = (int32_t)(weight < 0 ? weight - 0.5 : weight + 0.5);
        }
        a->first[i] = first;
        a->count[i] = count;
    }
}

static uint8_t to_byte(int32_t sum)
{
    int32_t value = sum >> WEIGHT_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* ---- the two passes ---- */

/** One row; `src` begins with source column `column0`. */
static void resize_row(const axis *a, const uint8_t *src, int column0, uint8_t *out)
{
    for (int i = 0; i < a->length; i++) {
        const int32_t *weight = a->weight + (size_t)i * (size_t)a->taps;
        const uint8_t *pixel = src + (size_t)(a->first[i] - column0) * 3;
        int32_t red = HALF, green = HALF, blue = HALF;
        for (int t = 0; t < a->count[i]; t++) {
            red += pixel[3 * t] * weight[t];
            green += pixel[3 * t + 1] * weight[t];
            blue += pixel[3 * t + 2] * weight[t];
        }
        *out++ = to_byte(red);
        *out++ = to_byte(green);
        *out++ = to_byte(blue);
    }
}

/** All columns of `bytes` bytes; `src` begins with source row `row0`, its rows are `stride` bytes apart. */
static void resize_columns(const axis *a, const uint8_t *src, int row0, size_t stride, size_t bytes,
                           int32_t *restrict sums, uint8_t *restrict out)
{
    for (int i = 0; i < a->length; i++, out += bytes) {
        for (size_t j = 0; j < bytes; j++) {
            sums[j] = HALF;
        }
        for (int t = 0; t < a->count[i]; t++) {
            const uint8_t *restrict row = src + (size_t)(a->first[i] + t - row0) * stride;
            int32_t weight = a->weight[(size_t)i * (size_t)a->taps + (size_t)t];
            for (size_t j = 0; j < bytes; j++) {
                sums[j] += row[j] * weight;
            }
        }
        for (size_t j = 0; j < bytes; j++) {
            out[j] = to_byte(sums[j]);
        }
    }
}

/** Pillow from 13.0 on does columns first where that saves work: where the height loses more than twice the pixels that the width loses.
 *  Earlier versions always did rows first. */
static bool columns_first(const axis *x, const axis *y)
{
    return y->source > y->result && (int64_t)y->source - y->result > 2 * ((int64_t)x->source - x->result);
}

/** Source pixels that the window needs, told without the weights: one more at either end does no harm. */
typedef struct span {
    int first, end;
} span;

static span span_needed(const axis *a, bcam_filter filter)
{
    double scale = axis_scale(a), support = filters[filter].support * fmax(scale, 1.0);
    double low = (a->at + 0.5) * scale - support - 1, high = (a->at + a->length - 0.5) * scale + support + 2;
    return (span){low < 0 ? 0 : (int)low, high > a->source ? a->source : (int)high};
}

/* ---- one block of scratch, parted ---- */

typedef struct plan {
    axis x, y;
    span columns, rows;
    bool columns_first;
    int32_t *sums;
    uint8_t *between; /* after the first pass: (rows, x.length, 3), or (y.length, columns, 3) where columns are first */
} plan;

static void *carve(uint8_t *block, size_t *used, size_t bytes)
{
    void *part = block ? block + *used : NULL;
    *used += (bytes + 63) / 64 * 64;
    return part;
}

/** Parts the block, or with NULL only counts its bytes. */
static size_t lay_out(plan *p, uint8_t *block)
{
    size_t used = 0, columns = (size_t)(p->columns.end - p->columns.first),
           rows = (size_t)(p->rows.end - p->rows.first);
    for (int side = 0; side < 2; side++) {
        axis *a = side ? &p->y : &p->x;
        a->first = carve(block, &used, (size_t)a->length * sizeof(int));
        a->count = carve(block, &used, (size_t)a->length * sizeof(int));
        a->weight = carve(block, &used, (size_t)a->length * (size_t)a->taps * sizeof(int32_t));
        a->exact = carve(block, &used, (size_t)a->taps * sizeof(double));
    }
    p->sums = carve(block, &used, (p->columns_first ? columns : (size_t)p->x.length) * 3 * sizeof(int32_t));
    p->between =
        carve(block, &used, p->columns_first ? (size_t)p->y.length * columns * 3 : rows * (size_t)p->x.length * 3);
    return used;
}

/* ---- nearest: positions are summed up step by step, and their rounding with them ---- */

static void nearest_axis(axis *a)
{
    double step = axis_scale(a), position = step * 0.5;
    for (int i = 0; i < a->at + a->length; i++, position += step) {
        if (i >= a->at) {
            a->first[i - a->at] = position < a->source ? (int)position : -1;
        }
    }
}

static void resize_nearest(axis *x, axis *y, const uint8_t *src, uint8_t *out)
{
    nearest_axis(x);
    nearest_axis(y);
    for (int i = 0; i < y->length; i++) {
        const uint8_t *row = src + (size_t)(y->first[i] < 0 ? 0 : y->first[i]) * (size_t)x->source * 3;
        for (int j = 0; j < x->length; j++, out += 3) {
            if (y->first[i] < 0 || x->first[j] < 0) {
                memset(out, 0, 3); /* rounding led past the edge */
            } else {
                memcpy(out, row + (size_t)x->first[j] * 3, 3);
            }
        }
    }
}

/* ---- the whole ---- */

static void resize_filtered(plan *p, bcam_filter filter, const uint8_t *src, uint8_t *out)
{
    size_t src_stride = (size_t)p->x.source * 3, out_stride = (size_t)p->x.length * 3,
           columns = (size_t)(p->columns.end - p->columns.first) * 3;
    fill_axis(&p->x, filter);
    fill_axis(&p->y, filter);
    if (p->y.source == p->y.result) { /* rows only */
        for (int i = 0; i < p->y.length; i++) {
            resize_row(&p->x, src + (size_t)(p->y.at + i) * src_stride, 0, out + (size_t)i * out_stride);
        }
    } else if (p->x.source == p->x.result) { /* columns only */
        resize_columns(&p->y, src + (size_t)p->x.at * 3, 0, src_stride, out_stride, p->sums, out);
    } else if (p->columns_first) {
        resize_columns(&p->y, src + (size_t)p->columns.first * 3, 0, src_stride, columns, p->sums, p->between);
        for (int i = 0; i < p->y.length; i++) {
            resize_row(&p->x, p->between + (size_t)i * columns, p->columns.first, out + (size_t)i * out_stride);
        }
    } else {
        for (int i = p->rows.first; i < p->rows.end; i++) {
            resize_row(&p->x, src + (size_t)i * src_stride, 0, p->between + (size_t)(i - p->rows.first) * out_stride);
        }
        resize_columns(&p->y, p->between, p->rows.first, out_stride, out_stride, p->sums, out);
    }
}

static void copy_window(const axis *x, const axis *y, const uint8_t *src, uint8_t *out)
{
    for (int i = 0; i < y->length; i++) {
        size_t from = ((size_t)(y->at + i) * (size_t)x->source + (size_t)x->at) * 3;
        memcpy(out + (size_t)i * (size_t)x->length * 3, src + from, (size_t)x->length * 3);
    }
}

bcam_status bcam_resize_rgb(const uint8_t *src, int sw, int sh, int dw, int dh, bcam_filter filter, int x0, int y0,
                            int w, int h, uint8_t *out, uint8_t **scratch, size_t *scratch_capacity, bcam_error *err)
{
    plan p = {.x = {.source = sw, .result = dw, .at = x0, .length = w},
              .y = {.source = sh, .result = dh, .at = y0, .length = h}};
    if (sw == dw && sh == dh) {
        copy_window(&p.x, &p.y, src, out);
        return BCAM_OK;
    }
    if (filter != BCAM_FILTER_NEAREST) {
        p.x.taps = axis_taps(&p.x, filter);
        p.y.taps = axis_taps(&p.y, filter);
        p.columns_first = columns_first(&p.x, &p.y);
        p.columns = span_needed(&p.x, filter);
        p.rows = span_needed(&p.y, filter);
    }
    size_t bytes = lay_out(&p, NULL);
    if (!bcam_buffer_reserve(scratch, scratch_capacity, bytes)) {
        return bcam_fail_memory(err, bytes, "resizing a photo");
    }
    lay_out(&p, *scratch);
    if (filter == BCAM_FILTER_NEAREST) {
        resize_nearest(&p.x, &p.y, src, out);
    } else {
        resize_filtered(&p, filter, src, out);
    }
    return BCAM_OK;
}
