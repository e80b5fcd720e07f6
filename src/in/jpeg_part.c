/* jpeg_part.c - decodes a JPEG where it is needed. All of the data are walked through; blocks outside of the part are not transformed.
 *
 * Samples are kept of two rows of MCUs, in which sample row r of a component has the place r modulo their number: the last row of pixels of one needs
 * the first of the next. */
#include <string.h>

#include "in/jpeg_part.h"
#include "in/photo.h"

#ifdef __x86_64__

enum { MARGIN = 64 }; /* bytes before and behind a row of samples that may be read, and mean nothing */

typedef struct span {
    int first, last; /* MCUs */
} span;

typedef struct job {
    const bcam_jpeg_frame *frame;
    bcam_part part;
    uint8_t *rgb;
    int width, height; /* of the picture that is made */
    int side[3];       /* samples a side that a block becomes */
    int up_h, up_v;    /* pixels a sample of chroma */
    int mcu_w, mcu_h;  /* pixels */
    int across, down;  /* MCUs of the photo */
    span x, y;         /* MCUs that the part needs */
    int row;           /* of the picture, next to be written */
    bcam_jpeg_scan scan;
    bcam_jpeg_codes *codes[3][2]; /* direct and alternating */
    uint32_t places[3][BCAM_JPEG_PLACES];
    uint8_t *samples[3]; /* behind the margin of the first row */
    size_t stride[3];
    uint16_t *sums;   /* a row of chroma, rows added up */
    uint8_t *wide[2]; /* rows of chroma as wide as the part */
} job;

/* ---- what is taken ---- */

static bool cpu_can(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

static bool taken(const bcam_jpeg_frame *f)
{
    enum { MOST_STEP = 255, LEAST_WIDE = 2 }; /* narrower chroma is not upsampled in the fancy way */
    const bcam_jpeg_component *c = f->component;
    bool full = c[0].h == 1 && c[0].v == 1, half = c[0].h == 2 && (c[0].v == 1 || c[0].v == 2);
    if (f->components == 1 ? !full : !full && (!half || (f->width + 1) / 2 <= LEAST_WIDE * f->reduction)) {
        return false;
    }
    for (int i = 0; i < f->components; i++) {
        if (i > 0 && (c[i].h != 1 || c[i].v != 1)) {
            return false;
        }
        for (int k = 0; k < 64; k++) {
            if (c[i].quant[k] > MOST_STEP) {
                return false;
            }
        }
    }
    return true;
}

/* ---- getting ready ---- */

/** The MCUs, of `size` pixels each, that hold pixels at … at + count - 1 and, where chroma has half the pixels, its neighbours. */
static span span_of(int at, int count, int up, int size, int most)
{
    int reach = 2 * (up - 1), first = at - reach, last = at + count - 1 + reach;
    return (span){first < 0 ? 0 : first / size, last >= most ? (most - 1) / size : last / size};
}

static void *carve(uint8_t *block, size_t *used, size_t bytes)
{
    void *part = block ? block + *used : NULL;
    *used += (bytes + 63) / 64 * 64;
    return part;
}

/** Parts the block, or with NULL only counts its bytes. */
static size_t lay_out(job *j, uint8_t *block)
{
    const bcam_jpeg_frame *f = j->frame;
    size_t used = 0, mcus = (size_t)(j->x.last - j->x.first + 1);
    j->scan.plain = carve(block, &used, f->bytes + BCAM_JPEG_BEHIND);
    for (int c = 0; c < f->components; c++) {
        size_t side = (size_t)j->side[c], rows = 2 * side * (size_t)f->component[c].v;
        j->codes[c][0] = carve(block, &used, sizeof(bcam_jpeg_codes));
        j->codes[c][1] = carve(block, &used, sizeof(bcam_jpeg_codes));
        j->stride[c] = mcus * side * (size_t)f->component[c].h + 2 * MARGIN;
        uint8_t *samples = carve(block, &used, rows * j->stride[c]);
        j->samples[c] = samples ? samples + MARGIN : NULL;
    }
    size_t chroma = mcus * 8 + 2 * MARGIN;
    j->sums = carve(block, &used, chroma * sizeof(*j->sums));
    for (int c = 0; c < 2; c++) {
        j->wide[c] = carve(block, &used, 2 * chroma);
    }
    return used;
}

/** Codes of component c; those that an earlier one has are not made again. */
static bool make_codes(job *j, int c)
{
    const bcam_jpeg_component *mine = &j->frame->component[c];
    for (int i = 0; i < c; i++) {
        const bcam_jpeg_component *other = &j->frame->component[i];
        if (other->dc_counts == mine->dc_counts && other->ac_counts == mine->ac_counts) {
            j->codes[c][0] = j->codes[i][0];
            j->codes[c][1] = j->codes[i][1];
            return true;
        }
    }
    return bcam_jpeg_codes_make(j->codes[c][0], mine->dc_counts, mine->dc_symbols, false) &&
           bcam_jpeg_codes_make(j->codes[c][1], mine->ac_counts, mine->ac_symbols, true);
}

static bool make_tables(job *j)
{
    for (int c = 0; c < j->frame->components; c++) {
        bcam_jpeg_places(j->frame->component[c].quant, j->places[c]);
        if (!make_codes(j, c)) {
            return false;
        }
    }
    return true;
}

/* ---- samples become pixels ---- */

static const uint8_t *samples_at(const job *j, int c, int row, int column)
{
    const bcam_jpeg_component *component = &j->frame->component[c];
    int mask = 2 * j->side[c] * component->v - 1, first = j->x.first * j->side[c] * component->h;
    return j->samples[c] + (size_t)(row & mask) * j->stride[c] + (column - first);
}

/** The row of chroma of component c for row y of the picture, as wide as the part. */
static const uint8_t *chroma_row(const job *j, int c, int y)
{
    int across = (j->width + 1) / 2, down = (j->height + j->up_v - 1) / j->up_v, first = j->part.x / 2,
        last = (j->part.x + j->part.w - 1) / 2, count = last - first + 1;
    uint8_t *out = j->wide[c - 1];
    if (j->up_h == 1) {
        return samples_at(j, c, y, j->part.x);
    }
    int near = y / j->up_v, far = y % j->up_v ? near + 1 : near - 1;
    far = far < 0 ? 0 : far >= down ? down - 1 : far;
    if (j->side[0] == 1) { /* libjpeg is not fancy here */
        const uint8_t *row = samples_at(j, c, near, first);
        for (int i = 0; i < 2 * count; i++) {
            out[i] = row[i / 2];
        }
    } else if (j->up_v == 2) { /* sums[0] is of the sample before the first */
        bcam_jpeg_add_rows(samples_at(j, c, near, first - 1), samples_at(j, c, far, first - 1), count + 2, j->sums);
        j->sums[0] = first == 0 ? j->sums[1] : j->sums[0];
        j->sums[count + 1] = last == across - 1 ? j->sums[count] : j->sums[count + 1];
        bcam_jpeg_widen_sums(j->sums + 1, count, out);
    } else {
        uint8_t *row = memcpy(j->sums, samples_at(j, c, near, first - 1), (size_t)count + 2);
        row[0] = first == 0 ? row[1] : row[0];
        row[count + 1] = last == across - 1 ? row[count] : row[count + 1];
        bcam_jpeg_widen(row + 1, count, out);
    }
    return out + j->part.x % 2;
}

static void write_row(const job *j, int y)
{
    const uint8_t *luma = samples_at(j, 0, y, j->part.x);
    uint8_t *rgb = j->rgb + ((size_t)y * (size_t)j->width + (size_t)j->part.x) * 3;
    if (j->frame->components == 3) {
        bcam_jpeg_colour(luma, chroma_row(j, 1, y), chroma_row(j, 2, y), j->part.w, rgb);
        return;
    }
    for (int x = 0; x < j->part.w; x++, rgb += 3) {
        rgb[0] = rgb[1] = rgb[2] = luma[x];
    }
}

/** The rows of the part that are complete when row `mcu` of MCUs is. */
static void write_rows(job *j, int mcu)
{
    int end = (mcu + 1) * j->mcu_h - (j->up_v == 2 && mcu + 1 < j->down), part_end = j->part.y + j->part.h;
    for (; j->row < end && j->row < part_end; j->row++) {
        write_row(j, j->row);
    }
}

/* ---- data become samples ---- */

/** A block that becomes one sample, its mean. */
static bool decode_mean(job *j, int c, uint8_t *out)
{
    enum { MOST = 4000 }; /* from 4096 on libjpeg finds other bytes than 0 and 255 */
    if (!bcam_jpeg_skip_block(&j->scan, j->codes[c][0], j->codes[c][1], c)) {
        return false;
    }
    int mean = j->scan.dc[c] * j->frame->component[c].quant[0];
    bcam_jpeg_idct_flat(mean, 1, out, 0);
    return mean <= MOST && mean >= -MOST;
}

static bool decode_block(job *j, int c, uint8_t *out)
{
    int side = j->side[c];
    if (side == 1) {
        return decode_mean(j, c, out);
    }
    int16_t block[BCAM_JPEG_BLOCK] __attribute__((aligned(32))) = {0};
    bool flat;
    if (!bcam_jpeg_scan_block(&j->scan, j->codes[c][0], j->codes[c][1], c, j->places[c], block, &flat)) {
        return false;
    }
    if (flat) {
        bcam_jpeg_idct_flat(block[0], side, out, j->stride[c]);
    } else if (side == 8) {
        bcam_jpeg_idct(block, out, j->stride[c]);
    } else {
        bcam_jpeg_idct_small(block, side, out, j->stride[c]);
    }
    return true;
}

static bool decode_mcu(job *j, int x, int y)
{
    bool needed = x >= j->x.first && x <= j->x.last && y >= j->y.first && y <= j->y.last;
    for (int c = 0; c < j->frame->components; c++) {
        int h = j->frame->component[c].h, v = j->frame->component[c].v, side = j->side[c];
        for (int block = 0; block < h * v; block++) {
            int row = ((y & 1) * v + block / h) * side, column = ((x - j->x.first) * h + block % h) * side;
            uint8_t *out = needed ? j->samples[c] + (size_t)row * j->stride[c] + column : NULL;
            if (needed ? !decode_block(j, c, out)
                       : !bcam_jpeg_skip_block(&j->scan, j->codes[c][0], j->codes[c][1], c)) {
                return false;
            }
        }
    }
    return true;
}

static bool decode_all(job *j)
{
    enum { RESTART = 0xD0, END = 0xD9 };
    int mark = bcam_jpeg_scan_begin(&j->scan), restarts = 0, left = j->frame->restart;
    for (int y = 0; y < j->down; y++) {
        for (int x = 0; x < j->across; x++, left--) {
            if (j->frame->restart && left == 0) {
                if (!bcam_jpeg_scan_used_up(&j->scan) || mark != RESTART + restarts++ % 8) {
                    return false;
                }
                mark = bcam_jpeg_scan_begin(&j->scan);
                left = j->frame->restart;
            }
            if (!decode_mcu(j, x, y)) {
                return false;
            }
        }
        if (y >= j->y.first && y <= j->y.last) {
            write_rows(j, y);
        }
    }
    return bcam_jpeg_scan_used_up(&j->scan) && mark == END;
}

/** How large blocks, MCUs and the picture become. Chroma with half the samples both ways is not upsampled where it can be reduced less instead. */
static void set_sizes(job *j)
{
    const bcam_jpeg_frame *f = j->frame;
    int h = f->component[0].h, v = f->component[0].v, side = 8 / f->reduction,
        chroma = side < 8 && h == 2 && v == 2 ? 2 * side : side;
    j->width = (f->width + f->reduction - 1) / f->reduction;
    j->height = (f->height + f->reduction - 1) / f->reduction;
    j->side[0] = side;
    j->side[1] = j->side[2] = chroma;
    j->mcu_w = h * side;
    j->mcu_h = v * side;
    j->up_h = j->mcu_w / chroma;
    j->up_v = j->mcu_h / chroma;
    j->across = (j->width + j->mcu_w - 1) / j->mcu_w;
    j->down = (j->height + j->mcu_h - 1) / j->mcu_h;
    j->x = span_of(j->part.x, j->part.w, j->up_h, j->mcu_w, j->width);
    j->y = span_of(j->part.y, j->part.h, j->up_v, j->mcu_h, j->height);
}

bcam_jpeg_verdict bcam_jpeg_decode_part(const bcam_jpeg_frame *frame, bcam_part part, uint8_t *rgb, uint8_t **scratch,
                                        size_t *scratch_capacity)
{
    if (!cpu_can() || !taken(frame)) {
        return BCAM_JPEG_LEFT;
    }
    job j = {.frame = frame,
             .part = part,
             .rgb = rgb,
             .row = part.y,
             .scan = {.next = frame->data, .stop = frame->data + frame->bytes}};
    set_sizes(&j);
    if (!bcam_buffer_reserve(scratch, scratch_capacity, lay_out(&j, NULL))) {
        return BCAM_JPEG_MEMORY;
    }
    lay_out(&j, *scratch);
    return make_tables(&j) && decode_all(&j) ? BCAM_JPEG_DECODED : BCAM_JPEG_LEFT;
}

#else

bcam_jpeg_verdict bcam_jpeg_decode_part(const bcam_jpeg_frame *frame, bcam_part part, uint8_t *rgb, uint8_t **scratch,
                                        size_t *scratch_capacity)
{
    (void)frame, (void)part, (void)rgb, (void)scratch, (void)scratch_capacity;
    return BCAM_JPEG_LEFT;
}

#endif
