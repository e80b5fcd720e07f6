/* thumb.c - small pictures for the report. */
#include <string.h>

#include "out/report.h"

#define SIDE 176 /* the longer side, at most */
#define QUALITY 82

/* Pixel `x` of `to` covers [x, x + 1) * from / to of a line of `from` pixels: `first` … `last` whole or in
 * part, by `share`. */
typedef struct span {
    int first, last;
    float head, tail; /* shares of the first and the last pixel */
} span;

static span cover(int x, int from, int to)
{
    double begin = (double)x * from / to, end = (double)(x + 1) * from / to;
    span s = {(int)begin, (int)end, 0, 0};
    if (s.last >= from || (double)s.last >= end)
        s.last--;
    s.head = (float)(s.first == s.last ? end - begin : s.first + 1 - begin);
    s.tail = (float)(end - s.last);
    return s;
}

static float weight(const span *s, int i)
{
    return i == s->first ? s->head : i == s->last ? s->tail : 1;
}

/* in (height, width, 3) becomes (h, w, 3) by area, written into lines of `stride` bytes. */
static void shrink(const uint8_t *in, int height, int width, uint8_t *out, int h, int w, size_t stride)
{
    for (int y = 0; y < h; y++) {
        span rows = cover(y, height, h);
        for (int x = 0; x < w; x++) {
            span columns = cover(x, width, w);
            float sum[3] = {0}, area = 0;
            for (int i = rows.first; i <= rows.last; i++)
                for (int j = columns.first; j <= columns.last; j++) {
                    const uint8_t *pixel = in + ((size_t)i * (size_t)width + (size_t)j) * 3;
                    float share = weight(&rows, i) * weight(&columns, j);
                    for (int c = 0; c < 3; c++)
                        sum[c] += share * pixel[c];
                    area += share;
                }
            for (int c = 0; c < 3; c++)
                out[(size_t)y * stride + (size_t)x * 3 + (size_t)c] = (uint8_t)(sum[c] / area + 0.5f);
        }
    }
}

/* Many of them are kept until the end, so each in its own number of bytes and not in the encoder's room. */
static bcam_status keep(const uint8_t *jpeg, size_t bytes, report_card *card, bcam_error *err)
{
    card->jpeg = bcam_alloc(bytes, 1);
    if (!card->jpeg)
        return bcam_fail_memory(err, bytes, "a picture of the report");
    memcpy(card->jpeg, jpeg, bytes);
    card->bytes = bytes;
    return BCAM_OK;
}

bcam_status bcam_report_thumb(const uint8_t *pixels, const uint8_t *colours, int height, int width, report_card *card,
                              bcam_error *err)
{
    int longer = height > width ? height : width;
    int h = longer <= SIDE ? height : (int)((int64_t)height * SIDE / longer);
    int w = longer <= SIDE ? width : (int)((int64_t)width * SIDE / longer);
    h = h < 1 ? 1 : h;
    w = w < 1 ? 1 : w;
    int both = colours ? 2 * w : w;
    size_t full_bytes = (size_t)height * (size_t)width * 3, bytes = (size_t)h * (size_t)both * 3,
           stride = (size_t)both * 3;
    uint8_t *small = bcam_alloc(bytes, 1), *blend = colours ? bcam_alloc(full_bytes, 1) : NULL, *jpeg = NULL;
    bcam_status status = BCAM_OK;
    if (!small || (colours && !blend)) {
        status = bcam_fail_memory(err, full_bytes, "a picture of the report");
        goto out;
    }
    shrink(pixels, height, width, small, h, w, stride);
    if (colours) {
        bcam_overlay_blend(pixels, colours, height, width, blend);
        shrink(blend, height, width, small + (size_t)w * 3, h, w, stride);
    }
    card->height = h;
    card->width = both;
    status = bcam_jpeg_encode(small, h, both, QUALITY, &jpeg, &bytes, err);
    if (status == BCAM_OK)
        status = keep(jpeg, bytes, card, err);
out:
    bcam_free(jpeg);
    bcam_free(blend);
    bcam_free(small);
    return status;
}
