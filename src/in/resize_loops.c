/* resize_loops.c - the plain loops of resizing, for any processor, and the choice among all. */
#include "in/resize_loops.h"

static void rows(const bcam_taps *x, const uint8_t *const src[BCAM_LOOP_ROWS], uint8_t *const out[BCAM_LOOP_ROWS])
{
    for (int r = 0; r < BCAM_LOOP_ROWS; r++) {
        uint8_t *to = out[r];
        for (int i = 0; i < x->length; i++) {
            const int32_t *weights = x->weight + (size_t)i * (size_t)x->taps;
            const uint8_t *pixel = src[r] + (size_t)x->first[i] * 3;
            uint32_t red = BCAM_WEIGHT_HALF, green = BCAM_WEIGHT_HALF, blue = BCAM_WEIGHT_HALF;
            for (int t = 0; t < x->count[i]; t++) {
                uint32_t weight = (uint32_t)weights[t]; /* negative ones too: sums come out right */
                red += pixel[3 * t] * weight;
                green += pixel[3 * t + 1] * weight;
                blue += pixel[3 * t + 2] * weight;
            }
            *to++ = bcam_resized_byte((int32_t)red);
            *to++ = bcam_resized_byte((int32_t)green);
            *to++ = bcam_resized_byte((int32_t)blue);
        }
    }
}

static void plain_column(const bcam_taps *y, int i, const uint8_t *src, size_t stride, size_t bytes, uint8_t *out)
{
    enum { PIECE = 256 };
    uint32_t sums[PIECE];
    for (size_t at = 0; at < bytes; at += PIECE) {
        size_t count = bytes - at < PIECE ? bytes - at : PIECE;
        for (size_t j = 0; j < count; j++) {
            sums[j] = BCAM_WEIGHT_HALF;
        }
        for (int t = 0; t < y->count[i]; t++) {
            const uint8_t *row = src + (size_t)t * stride + at;
            uint32_t weight = (uint32_t)y->weight[(size_t)i * (size_t)y->taps + (size_t)t];
            for (size_t j = 0; j < count; j++) {
                sums[j] += row[j] * weight;
            }
        }
        for (size_t j = 0; j < count; j++) {
            out[at + j] = bcam_resized_byte((int32_t)sums[j]);
        }
    }
}

void bcam_resize_column(const bcam_resize_loops *loops, const bcam_taps *y, int i, const uint8_t *src, size_t stride,
                        size_t bytes, uint8_t *out)
{
    if (!loops->step || bytes < loops->step_bytes) {
        plain_column(y, i, src, stride, bytes, out);
        return;
    }
    const int32_t *packed = y->packed + (size_t)i * (size_t)y->taps;
    size_t at = 0;
    for (; at + loops->step_bytes <= bytes; at += loops->step_bytes) {
        loops->step(packed, y->count[i], src + at, stride, out + at);
    }
    if (at < bytes) { /* the last step ends with the row, and does some bytes again */
        at = bytes - loops->step_bytes;
        loops->step(packed, y->count[i], src + at, stride, out + at);
    }
}

static const bcam_resize_loops plain = {.name = "plain", .rows = rows};

const bcam_resize_loops *bcam_resize_plain(void)
{
    return &plain;
}

const bcam_resize_loops *bcam_resize_loops_at(int i)
{
    const bcam_resize_loops *found[5] = {0};
    int count = 0;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw")) {
        found[count++] = &bcam_resize_avx512;
    }
    if (__builtin_cpu_supports("avx2")) {
        found[count++] = &bcam_resize_avx2;
    }
    found[count++] = &bcam_resize_sse2;
#endif
    found[count] = &plain;
    return i >= 0 && i <= count ? found[i] : NULL;
}
