/* resize.c - Pillow's resampling of RGB bytes, equal to the byte, for a window of the result.
 *
 * Sides are done one after the other with rounding to bytes between, a side that keeps its length is left alone. Weights are those of
 * resize_axis.c; sums are taken in int32 by the loops of resize_loops.h. */
#include <string.h>

#include "in/photo.h"
#include "in/resize_axis.h"

typedef struct plan {
    bcam_axis x, y;
    bool columns_first;
    const bcam_resize_loops *loops;
    uint8_t *
        between; /* after the first pass: (y.end - y.begin, x.length, 3), or (y.length, x.end - x.begin, 3) where columns are first */
    uint8_t *edge, *last; /* four rows of the source, four of the result; with room behind each */
    size_t between_stride, edge_stride, last_stride;
} plan;

/** Pillow from 13.0 on does columns first where that saves work: where the height loses more than twice the pixels that the width loses.
 *  Earlier versions always did rows first. */
static bool columns_first(const bcam_axis *x, const bcam_axis *y)
{
    return y->source > y->result && (int64_t)y->source - y->result > 2 * ((int64_t)x->source - x->result);
}

static bcam_axis axis_of(int source, double from, double extent, int result, int at, int length)
{
    return (bcam_axis){.source = source,
                       .result = result,
                       .before = from,
                       .behind = source - (from + extent),
                       .at = at,
                       .length = length};
}

static plan plan_of(const bcam_pixels *src, int dw, int dh, bcam_filter filter, bcam_part window)
{
    plan p = {.x = axis_of(src->width, src->area.x, src->area.w, dw, window.x, window.w),
              .y = axis_of(src->height, src->area.y, src->area.h, dh, window.y, window.h)};
    bcam_axis_measure(&p.x, filter);
    bcam_axis_measure(&p.y, filter);
    p.columns_first = columns_first(&p.x, &p.y);
    return p;
}

bcam_part bcam_resize_needs(const bcam_pixels *src, int dw, int dh, bcam_filter filter, bcam_part window)
{
    plan p = plan_of(src, dw, dh, filter, window);
    return (bcam_part){p.x.begin, p.y.begin, p.x.end - p.x.begin, p.y.end - p.y.begin};
}

/* ---- one block of scratch, parted ---- */

static void *carve(uint8_t *block, size_t *used, size_t bytes)
{
    void *part = block ? block + *used : NULL;
    *used += (bytes + 63) / 64 * 64;
    return part;
}

static size_t padded(int pixels)
{
    return ((size_t)pixels * 3 + BCAM_LOOP_BEYOND + 63) / 64 * 64;
}

/** Parts the block, or with NULL only counts its bytes. */
static size_t lay_out(plan *p, uint8_t *block)
{
    size_t used = 0;
    for (int side = 0; side < 2; side++) {
        bcam_axis *a = side ? &p->y : &p->x;
        size_t weights = (size_t)a->length * (size_t)a->taps * sizeof(int32_t);
        a->first = carve(block, &used, (size_t)a->length * sizeof(int));
        a->count = carve(block, &used, (size_t)a->length * sizeof(int));
        a->weight = carve(block, &used, weights);
        a->packed = carve(block, &used, weights);
        a->exact = carve(block, &used, (size_t)a->taps * sizeof(double));
    }
    if (p->x.taps) {
        p->edge_stride = padded(p->x.end - p->x.begin);
        p->last_stride = padded(p->x.length);
        p->edge = carve(block, &used, BCAM_LOOP_ROWS * p->edge_stride);
        p->last = carve(block, &used, BCAM_LOOP_ROWS * p->last_stride);
    }
    if (p->x.taps && p->y.taps) {
        p->between_stride = p->columns_first ? p->edge_stride : p->last_stride;
        p->between =
            carve(block, &used, p->between_stride * (size_t)(p->columns_first ? p->y.length : p->y.end - p->y.begin));
    }
    return used;
}

/* ---- the two passes; `src` begins with the first pixel that is needed ---- */

static bcam_taps taps_of(const bcam_axis *a)
{
    return (bcam_taps){a->length, a->taps, a->first, a->count, a->weight, a->packed};
}

/** All rows of `count`, four at a time. Where `room`, results may be written beyond their end. A row too near to the end of the source, of which
 *  `left` bytes are left, is copied to where there is something behind it. */
static void resize_rows(const plan *p, const uint8_t *src, size_t stride, size_t left, int count, uint8_t *out,
                        size_t out_stride, bool room)
{
    bcam_taps taps = taps_of(&p->x);
    size_t bytes = (size_t)(p->x.end - p->x.begin) * 3, out_bytes = (size_t)p->x.length * 3;
    for (int i = 0; i < count; i += BCAM_LOOP_ROWS) {
        const uint8_t *from[BCAM_LOOP_ROWS];
        uint8_t *to[BCAM_LOOP_ROWS];
        for (int r = 0; r < BCAM_LOOP_ROWS; r++) {
            size_t row = (size_t)(i + r < count ? i + r : count - 1);
            from[r] = src + row * stride;
            if (left - row * stride < bytes + BCAM_LOOP_BEYOND) {
                from[r] = memcpy(p->edge + (size_t)r * p->edge_stride, from[r], bytes);
            }
            to[r] = room ? out + row * out_stride : p->last + (size_t)r * p->last_stride;
        }
        p->loops->rows(&taps, from, to);
        for (int r = 0; !room && r < BCAM_LOOP_ROWS && i + r < count; r++) {
            memcpy(out + (size_t)(i + r) * out_stride, to[r], out_bytes);
        }
    }
}

static void resize_columns(const plan *p, const uint8_t *src, size_t stride, size_t bytes, uint8_t *out,
                           size_t out_stride)
{
    bcam_taps taps = taps_of(&p->y);
    for (int i = 0; i < p->y.length; i++) {
        bcam_resize_column(p->loops, &taps, i, src + (size_t)p->y.first[i] * stride, stride, bytes,
                           out + (size_t)i * out_stride);
    }
}

static void resize_filtered(plan *p, bcam_filter filter, const uint8_t *src, uint8_t *out)
{
    size_t stride = (size_t)p->x.source * 3, skipped = (size_t)p->y.begin * stride + (size_t)p->x.begin * 3,
           left = (size_t)p->y.source * stride - skipped, out_stride = (size_t)p->x.length * 3;
    p->loops = bcam_resize_loops_at(0);
    bool x_fits = bcam_axis_fill(&p->x, filter, p->loops), y_fits = bcam_axis_fill(&p->y, filter, p->loops);
    if (!x_fits || !y_fits) {
        p->loops = bcam_resize_plain();
    }
    src += skipped;
    if (!p->y.taps) {
        resize_rows(p, src, stride, left, p->y.length, out, out_stride, false);
    } else if (!p->x.taps) {
        resize_columns(p, src, stride, out_stride, out, out_stride);
    } else if (p->columns_first) {
        resize_columns(p, src, stride, (size_t)(p->x.end - p->x.begin) * 3, p->between, p->between_stride);
        resize_rows(p, p->between, p->between_stride, SIZE_MAX, p->y.length, out, out_stride, false);
    } else {
        resize_rows(p, src, stride, left, p->y.end - p->y.begin, p->between, p->between_stride, true);
        resize_columns(p, p->between, p->between_stride, out_stride, out, out_stride);
    }
}

/* ---- the whole ---- */

static void resize_nearest(plan *p, const uint8_t *src, uint8_t *out)
{
    bcam_axis_fill_nearest(&p->x);
    bcam_axis_fill_nearest(&p->y);
    for (int i = 0; i < p->y.length; i++) {
        int from = p->y.first[i];
        const uint8_t *row = src + (size_t)(from < 0 ? 0 : from) * (size_t)p->x.source * 3;
        for (int j = 0; j < p->x.length; j++, out += 3) {
            if (from < 0 || p->x.first[j] < 0) {
                memset(out, 0, 3); /* rounding led past the edge */
            } else {
                memcpy(out, row + (size_t)p->x.first[j] * 3, 3);
            }
        }
    }
}

static void copy_window(const bcam_axis *x, const bcam_axis *y, const uint8_t *src, uint8_t *out)
{
    for (int i = 0; i < y->length; i++) {
        size_t from = ((size_t)(y->at + i) * (size_t)x->source + (size_t)x->at) * 3;
        memcpy(out + (size_t)i * (size_t)x->length * 3, src + from, (size_t)x->length * 3);
    }
}

bcam_status bcam_resize_area(const bcam_pixels *src, int dw, int dh, bcam_filter filter, bcam_part window, uint8_t *out,
                             uint8_t **scratch, size_t *scratch_capacity, bcam_error *err)
{
    plan p = plan_of(src, dw, dh, filter, window);
    if (bcam_axis_kept(&p.x) && bcam_axis_kept(&p.y)) {
        copy_window(&p.x, &p.y, src->rgb, out);
        return BCAM_OK;
    }
    size_t bytes = lay_out(&p, NULL);
    if (!bcam_buffer_reserve(scratch, scratch_capacity, bytes)) {
        return bcam_fail_memory(err, bytes, "resizing a photo");
    }
    lay_out(&p, *scratch);
    if (filter == BCAM_FILTER_NEAREST) {
        resize_nearest(&p, src->rgb, out);
    } else {
        resize_filtered(&p, filter, src->rgb, out);
    }
    return BCAM_OK;
}

bcam_status bcam_resize_rgb(const uint8_t *src, int sw, int sh, int dw, int dh, bcam_filter filter, int x0, int y0,
                            int w, int h, uint8_t *out, uint8_t **scratch, size_t *scratch_capacity, bcam_error *err)
{
    bcam_pixels picture = {src, sw, sh, {0, 0, sw, sh}};
    return bcam_resize_area(&picture, dw, dh, filter, (bcam_part){x0, y0, w, h}, out, scratch, scratch_capacity, err);
}

/* ---- for whoever does it elsewhere ---- */

/** Room for the weights of a pixel: nearest has one, and the plan none for it. */
static int taps_elsewhere(const bcam_axis *a, bcam_filter filter)
{
    return bcam_axis_kept(a) ? 0 : filter == BCAM_FILTER_NEAREST ? 1 : a->taps;
}

void bcam_resize_measure(const bcam_pixels *src, int dw, int dh, bcam_filter filter, bcam_part window, bcam_pack *pack)
{
    plan p = plan_of(src, dw, dh, filter, window);
    const bcam_axis *axis[2] = {&p.x, &p.y};
    pack->part = (bcam_part){p.x.begin, p.y.begin, p.x.end - p.x.begin, p.y.end - p.y.begin};
    pack->bytes = (size_t)pack->part.w * (size_t)pack->part.h * 3;
    pack->columns_first = p.columns_first;
    for (int side = 0; side < 2; side++) {
        pack->taps[side] = taps_elsewhere(axis[side], filter);
        pack->numbers[side] = pack->taps[side] ? (size_t)axis[side]->length * (size_t)(2 + pack->taps[side]) : 0;
    }
}

static void write_table(bcam_axis *a, bcam_filter filter, int32_t *row)
{
    int taps = taps_elsewhere(a, filter);
    bool nearest = filter == BCAM_FILTER_NEAREST;
    if (nearest) {
        bcam_axis_fill_nearest(a);
    } else {
        bcam_axis_fill(a, filter, bcam_resize_plain());
    }
    for (int i = 0; i < a->length; i++, row += 2 + taps) {
        bool none = nearest && a->first[i] < 0; /* rounding led past the edge */
        row[0] = none ? 0 : nearest ? a->first[i] - a->begin : a->first[i];
        row[1] = none ? 0 : nearest ? 1 : a->count[i];
        row[2] = 1 << BCAM_WEIGHT_BITS;
        if (!nearest) {
            memcpy(row + 2, a->weight + (size_t)i * (size_t)taps, (size_t)taps * sizeof *row);
        }
    }
}

bcam_status bcam_resize_tables(const bcam_pixels *src, int dw, int dh, bcam_filter filter, bcam_part window,
                               int32_t *const table[2], uint8_t **scratch, size_t *scratch_capacity, bcam_error *err)
{
    plan p = plan_of(src, dw, dh, filter, window);
    bcam_axis *axis[2] = {&p.x, &p.y};
    size_t bytes = lay_out(&p, NULL);
    if (!bcam_buffer_reserve(scratch, scratch_capacity, bytes)) {
        return bcam_fail_memory(err, bytes, "resizing a photo");
    }
    lay_out(&p, *scratch);
    for (int side = 0; side < 2; side++) {
        if (taps_elsewhere(axis[side], filter)) {
            write_table(axis[side], filter, table[side]);
        }
    }
    return BCAM_OK;
}
