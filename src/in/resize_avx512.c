/* resize_avx512.c - resizing with AVX-512 VNNI: four neighbours at a time as they are, bytes (vpdpbusd), four rows or 64 bytes together.
 *
 * A weight is w = d0 + 2^8 d1 + 2^16 d2 with signed bytes d: three sums that nothing is lost of, put together after the last neighbour. */
#include "in/resize_loops.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vnni")))

/** (w0 w1 w2 w3) -> their four d0, their four d1, their four d2, nothing. */
static void pack(const int32_t weight[BCAM_LOOP_TAPS], int32_t packed[BCAM_LOOP_TAPS])
{
    int8_t digit[4][BCAM_LOOP_TAPS] = {0};
    for (int t = 0; t < BCAM_LOOP_TAPS; t++) {
        int32_t w = weight[t];
        for (int d = 0; d < 3; d++) {
            digit[d][t] = (int8_t)((w & 255) - (w & 128) * 2);
            w = (w - digit[d][t]) >> 8;
        }
    }
    memcpy(packed, digit, sizeof digit);
}

AVX512 static inline __m512i bytes_of(__m512i d0, __m512i d1, __m512i d2)
{
    __m512i sum = _mm512_add_epi32(_mm512_add_epi32(d0, _mm512_slli_epi32(d1, 8)),
                                   _mm512_add_epi32(_mm512_slli_epi32(d2, 16), _mm512_set1_epi32(BCAM_WEIGHT_HALF)));
    return _mm512_srai_epi32(sum, BCAM_WEIGHT_BITS);
}

AVX512 static inline __m512i four_rows(const uint8_t *const src[BCAM_LOOP_ROWS], size_t at)
{
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(src[0] + at)));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(src[1] + at)), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(src[2] + at)), 2);
    return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(src[3] + at)), 3);
}

AVX512 static inline void put_four(__m512i sum, uint8_t *const out[BCAM_LOOP_ROWS], size_t at)
{
    __m128i rgb = _mm512_cvtusepi32_epi8(_mm512_max_epi32(sum, _mm512_setzero_si512()));
    int32_t pixel[4] = {_mm_cvtsi128_si32(rgb), _mm_cvtsi128_si32(_mm_bsrli_si128(rgb, 4)),
                        _mm_cvtsi128_si32(_mm_bsrli_si128(rgb, 8)), _mm_cvtsi128_si32(_mm_bsrli_si128(rgb, 12))};
    for (int r = 0; r < BCAM_LOOP_ROWS; r++)
        memcpy(out[r] + at, &pixel[r], 4);
}

AVX512 static void rows(const bcam_taps *x, const uint8_t *const src[BCAM_LOOP_ROWS],
                        uint8_t *const out[BCAM_LOOP_ROWS])
{
    /* four pixels as R R R R, G G G G, B B B B */
    const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1));
    for (int i = 0; i < x->length; i++) {
        const int32_t *packed = x->packed + (size_t)i * (size_t)x->taps;
        size_t at = (size_t)x->first[i] * 3;
        __m512i d0 = _mm512_setzero_si512(), d1 = d0, d2 = d0;
        for (int t = 0; t < x->count[i]; t += 4, at += 12) {
            __m512i four = _mm512_shuffle_epi8(four_rows(src, at), order);
            d0 = _mm512_dpbusd_epi32(d0, four, _mm512_set1_epi32(packed[t]));
            d1 = _mm512_dpbusd_epi32(d1, four, _mm512_set1_epi32(packed[t + 1]));
            d2 = _mm512_dpbusd_epi32(d2, four, _mm512_set1_epi32(packed[t + 2]));
        }
        put_four(bytes_of(d0, d1, d2), out, 3 * (size_t)i);
    }
}

AVX512 static inline __m512i load(const uint8_t *src, size_t stride, int t, int count)
{
    return _mm512_loadu_si512(src + (size_t)(t < count ? t : count - 1) * stride); /* behind the last, weights are 0 */
}

AVX512 static void step(const int32_t *packed, int count, const uint8_t *src, size_t stride, uint8_t *out)
{
    const __m512i zero = _mm512_setzero_si512();
    __m512i d0[4] = {zero, zero, zero, zero}, d1[4] = {zero, zero, zero, zero}, d2[4] = {zero, zero, zero, zero};
    for (int t = 0; t < count; t += 4) {
        __m512i r0 = load(src, stride, t, count), r1 = load(src, stride, t + 1, count),
                r2 = load(src, stride, t + 2, count), r3 = load(src, stride, t + 3, count);
        __m512i low = _mm512_unpacklo_epi8(r0, r1), high = _mm512_unpackhi_epi8(r0, r1),
                low2 = _mm512_unpacklo_epi8(r2, r3), high2 = _mm512_unpackhi_epi8(r2, r3);
        __m512i part[4] = {_mm512_unpacklo_epi16(low, low2), _mm512_unpackhi_epi16(low, low2),
                           _mm512_unpacklo_epi16(high, high2), _mm512_unpackhi_epi16(high, high2)};
        for (int k = 0; k < 4; k++) {
            d0[k] = _mm512_dpbusd_epi32(d0[k], part[k], _mm512_set1_epi32(packed[t]));
            d1[k] = _mm512_dpbusd_epi32(d1[k], part[k], _mm512_set1_epi32(packed[t + 1]));
            d2[k] = _mm512_dpbusd_epi32(d2[k], part[k], _mm512_set1_epi32(packed[t + 2]));
        }
    }
    __m512i low = _mm512_packs_epi32(bytes_of(d0[0], d1[0], d2[0]), bytes_of(d0[1], d1[1], d2[1])),
            high = _mm512_packs_epi32(bytes_of(d0[2], d1[2], d2[2]), bytes_of(d0[3], d1[3], d2[3]));
    _mm512_storeu_si512(out, _mm512_packus_epi16(low, high));
}

const bcam_resize_loops bcam_resize_avx512 = {"avx512", pack, rows, step, 64};
#endif
