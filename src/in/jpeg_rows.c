/* jpeg_rows.c - samples become pixels: the upsampling that libjpeg calls fancy, and its colours, bit for bit. */
#include "in/jpeg_part.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

BCAM_JPEG_CPU void bcam_jpeg_widen(const uint8_t *restrict in, int count, uint8_t *restrict out)
{
    for (int i = 0; i < count; i++) {
        out[2 * i] = (uint8_t)((in[i] * 3 + in[i - 1] + 1) >> 2);
        out[2 * i + 1] = (uint8_t)((in[i] * 3 + in[i + 1] + 2) >> 2);
    }
}

BCAM_JPEG_CPU void bcam_jpeg_widen_sums(const uint16_t *restrict in, int count, uint8_t *restrict out)
{
    for (int i = 0; i < count; i++) {
        out[2 * i] = (uint8_t)((uint16_t)(in[i] * 3 + in[i - 1] + 8) >> 4);
        out[2 * i + 1] = (uint8_t)((uint16_t)(in[i] * 3 + in[i + 1] + 7) >> 4);
    }
}

BCAM_JPEG_CPU void bcam_jpeg_add_rows(const uint8_t *restrict near, const uint8_t *restrict far, int count,
                                      uint16_t *restrict out)
{
    for (int i = 0; i < count; i++)
        out[i] = (uint16_t)(near[i] * 3 + far[i]);
}

/* Factors in 16 bits of fraction, a whole number taken off so that they fit 16 bits with their sign:
 * R = Y + 1.402 Cr, G = Y - 0.34414 Cb - 0.71414 Cr, B = Y + 1.772 Cb. */
enum { R_CR = 91881 - 65536, G_CB = -22554, G_CR = 65536 - 46802, B_CB = 116130 - 131072 };

/** Half of the high 16 bits of 2 * a * factor, rounded: (a * factor + 2^15) >> 16. */
BCAM_JPEG_CPU static inline __m256i times(__m256i a, int factor)
{
    __m256i twice = _mm256_mulhi_epi16(_mm256_add_epi16(a, a), _mm256_set1_epi16((short)factor));
    return _mm256_srai_epi16(_mm256_add_epi16(twice, _mm256_set1_epi16(1)), 1);
}

BCAM_JPEG_CPU static inline __m256i green_part(__m256i cb, __m256i cr)
{
    const __m256i factors = _mm256_set1_epi32((int)((uint32_t)(G_CB & 0xFFFF) | (uint32_t)G_CR << 16)),
                  half = _mm256_set1_epi32(1 << 15);
    __m256i low = _mm256_madd_epi16(_mm256_unpacklo_epi16(cb, cr), factors),
            high = _mm256_madd_epi16(_mm256_unpackhi_epi16(cb, cr), factors);
    low = _mm256_srai_epi32(_mm256_add_epi32(low, half), 16);
    high = _mm256_srai_epi32(_mm256_add_epi32(high, half), 16);
    return _mm256_sub_epi16(_mm256_packs_epi32(low, high), cr);
}

typedef struct colours {
    __m256i r, g, b; /* 16 pixels of 16 bits */
} colours;

BCAM_JPEG_CPU static inline colours convert(__m256i y, __m256i cb, __m256i cr)
{
    const __m256i middle = _mm256_set1_epi16(128);
    cb = _mm256_sub_epi16(cb, middle);
    cr = _mm256_sub_epi16(cr, middle);
    return (colours){_mm256_add_epi16(y, _mm256_add_epi16(cr, times(cr, R_CR))),
                     _mm256_add_epi16(y, green_part(cb, cr)),
                     _mm256_add_epi16(y, _mm256_add_epi16(_mm256_add_epi16(cb, cb), times(cb, B_CB)))};
}

/** Sixteen each of R, G and B, in both halves, interleaved: 48 bytes at out, the other half's behind them. */
BCAM_JPEG_CPU static inline void put(__m256i r, __m256i g, __m256i b, uint8_t *out)
{
#define ORDER(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))
    const __m256i orders[3][3] = {{ORDER(0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5),
                                   ORDER(-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1),
                                   ORDER(-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1)},
                                  {ORDER(-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1),
                                   ORDER(5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10),
                                   ORDER(-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1)},
                                  {ORDER(-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1),
                                   ORDER(-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1),
                                   ORDER(10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15)}};
#undef ORDER
    for (int i = 0; i < 3; i++) {
        __m256i bytes =
            _mm256_or_si256(_mm256_or_si256(_mm256_shuffle_epi8(r, orders[i][0]), _mm256_shuffle_epi8(g, orders[i][1])),
                            _mm256_shuffle_epi8(b, orders[i][2]));
        _mm_storeu_si128((__m128i *)(out + 16 * i), _mm256_castsi256_si128(bytes));
        _mm_storeu_si128((__m128i *)(out + 48 + 16 * i), _mm256_extracti128_si256(bytes, 1));
    }
}

BCAM_JPEG_CPU static inline __m256i bytes_of(__m256i low, __m256i high)
{
    return _mm256_permute4x64_epi64(_mm256_packus_epi16(low, high), 0xD8);
}

BCAM_JPEG_CPU static void colour_32(const uint8_t *y, const uint8_t *cb, const uint8_t *cr, uint8_t *rgb)
{
    colours half[2];
    for (int i = 0; i < 2; i++)
        half[i] = convert(_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(y + 16 * i))),
                          _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(cb + 16 * i))),
                          _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(cr + 16 * i))));
    put(bytes_of(half[0].r, half[1].r), bytes_of(half[0].g, half[1].g), bytes_of(half[0].b, half[1].b), rgb);
}

BCAM_JPEG_CPU void bcam_jpeg_colour(const uint8_t *y, const uint8_t *cb, const uint8_t *cr, int count, uint8_t *rgb)
{
    enum { STEP = 32 };
    int i = 0;
    for (; i + STEP <= count; i += STEP)
        colour_32(y + i, cb + i, cr + i, rgb + 3 * (size_t)i);
    if (i < count) { /* less than a step: from copies, so that nothing behind the ends is touched */
        uint8_t in[3][STEP] = {0}, out[3 * STEP];
        const uint8_t *from[3] = {y + i, cb + i, cr + i};
        for (int c = 0; c < 3; c++)
            memcpy(in[c], from[c], (size_t)(count - i));
        colour_32(in[0], in[1], in[2], out);
        memcpy(rgb + 3 * (size_t)i, out, 3 * (size_t)(count - i));
    }
}

#endif
