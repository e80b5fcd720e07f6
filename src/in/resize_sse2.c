/* resize_sse2.c - resizing with the instructions that every x86-64 has.
 *
 * Bytes are multiplied as 16-bit numbers, two neighbours at a time (pmaddwd). A weight of 23 bits is w = a * 2^11 + b, 0 <= b < 2^11: both parts
 * fit, no sum is rounded, and a * 2^11 + b is put together after the last neighbour. */
#include "in/resize_loops.h"

#ifdef __x86_64__
#include <emmintrin.h>
#include <string.h>

/** (w0 w1 w2 w3) -> a0 a1, b0 b1, a2 a3, b2 b3: pairs of 16 bits. */
void bcam_resize_pack_pairs(const int32_t weight[BCAM_LOOP_TAPS], int32_t packed[BCAM_LOOP_TAPS])
{
    for (int t = 0; t < BCAM_LOOP_TAPS; t += 2) {
        int32_t w0 = weight[t], w1 = weight[t + 1], mask = (1 << BCAM_PART_BITS) - 1;
        packed[t] = (int32_t)((uint32_t)(w0 >> BCAM_PART_BITS & 0xFFFF) | (uint32_t)(w1 >> BCAM_PART_BITS) << 16);
        packed[t + 1] = (w0 & mask) | (w1 & mask) << 16;
    }
}

static __m128i bytes_of(__m128i a, __m128i b)
{
    __m128i sum = _mm_add_epi32(_mm_add_epi32(_mm_slli_epi32(a, BCAM_PART_BITS), b), _mm_set1_epi32(BCAM_WEIGHT_HALF));
    return _mm_srai_epi32(sum, BCAM_WEIGHT_BITS);
}

static void rows(const bcam_taps *x, const uint8_t *const src[BCAM_LOOP_ROWS], uint8_t *const out[BCAM_LOOP_ROWS])
{
    const __m128i zero = _mm_setzero_si128();
    for (int i = 0; i < x->length; i++) {
        const int32_t *packed = x->packed + (size_t)i * (size_t)x->taps;
        for (int r = 0; r < BCAM_LOOP_ROWS; r++) {
            const uint8_t *pixel = src[r] + (size_t)x->first[i] * 3;
            __m128i a = zero, b = zero;
            for (int t = 0; t < x->count[i]; t += 2) {
                __m128i two = _mm_loadl_epi64((const __m128i *)(pixel + 3 * t)); /* R G B R' G' B' */
                two = _mm_unpacklo_epi8(_mm_unpacklo_epi8(two, _mm_srli_epi64(two, 24)), zero);
                a = _mm_add_epi32(a, _mm_madd_epi16(two, _mm_set1_epi32(packed[t])));
                b = _mm_add_epi32(b, _mm_madd_epi16(two, _mm_set1_epi32(packed[t + 1])));
            }
            __m128i sum = bytes_of(a, b);
            sum = _mm_packus_epi16(_mm_packs_epi32(sum, sum), zero);
            int32_t rgb = _mm_cvtsi128_si32(sum);
            memcpy(out[r] + 3 * (size_t)i, &rgb, 4);
        }
    }
}

static void step(const int32_t *packed, int count, const uint8_t *src, size_t stride, uint8_t *out)
{
    const __m128i zero = _mm_setzero_si128();
    __m128i a[4] = {zero, zero, zero, zero}, b[4] = {zero, zero, zero, zero};
    for (int t = 0; t < count; t += 2) {
        const uint8_t *row = src + (size_t)t * stride, *next = t + 1 < count ? row + stride : row;
        __m128i one = _mm_loadu_si128((const __m128i *)row), two = _mm_loadu_si128((const __m128i *)next);
        __m128i low = _mm_unpacklo_epi8(one, two), high = _mm_unpackhi_epi8(one, two);
        __m128i part[4] = {_mm_unpacklo_epi8(low, zero), _mm_unpackhi_epi8(low, zero), _mm_unpacklo_epi8(high, zero),
                           _mm_unpackhi_epi8(high, zero)};
        __m128i wa = _mm_set1_epi32(packed[t]), wb = _mm_set1_epi32(packed[t + 1]);
        for (int k = 0; k < 4; k++) {
            a[k] = _mm_add_epi32(a[k], _mm_madd_epi16(part[k], wa));
            b[k] = _mm_add_epi32(b[k], _mm_madd_epi16(part[k], wb));
        }
    }
    __m128i low = _mm_packs_epi32(bytes_of(a[0], b[0]), bytes_of(a[1], b[1])),
            high = _mm_packs_epi32(bytes_of(a[2], b[2]), bytes_of(a[3], b[3]));
    _mm_storeu_si128((__m128i *)out, _mm_packus_epi16(low, high));
}

const bcam_resize_loops bcam_resize_sse2 = {"sse2", bcam_resize_pack_pairs, rows, step, 16};
#endif
