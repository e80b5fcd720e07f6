/* resize_avx2.c - resizing with AVX2: the arithmetic of resize_sse2.c, two rows or 32 bytes at a time. */
#include "in/resize_loops.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i bytes_of(__m256i a, __m256i b)
{
    __m256i sum = _mm256_add_epi32(_mm256_add_epi32(_mm256_slli_epi32(a, BCAM_PART_BITS), b),
                                   _mm256_set1_epi32(BCAM_WEIGHT_HALF));
    return _mm256_srai_epi32(sum, BCAM_WEIGHT_BITS);
}

AVX2 static inline __m256i two_rows(const uint8_t *low, const uint8_t *high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)low)),
                                   _mm_loadu_si128((const __m128i *)high), 1);
}

AVX2 static inline void put_two(__m256i a, __m256i b, uint8_t *low, uint8_t *high)
{
    __m256i sum = bytes_of(a, b);
    sum = _mm256_packs_epi32(sum, sum);
    sum = _mm256_packus_epi16(sum, sum);
    int32_t first = _mm256_cvtsi256_si32(sum), second = _mm_cvtsi128_si32(_mm256_extracti128_si256(sum, 1));
    memcpy(low, &first, 4);
    memcpy(high, &second, 4);
}

AVX2 static void rows(const bcam_taps *x, const uint8_t *const src[BCAM_LOOP_ROWS], uint8_t *const out[BCAM_LOOP_ROWS])
{
    /* pixels 0 and 1 of four as pairs R R' G G' B B' of 16 bits, pixels 2 and 3 */
    const __m256i near = _mm256_broadcastsi128_si256(
                      _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1)),
                  far = _mm256_broadcastsi128_si256(
                      _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
    for (int i = 0; i < x->length; i++) {
        const int32_t *packed = x->packed + (size_t)i * (size_t)x->taps;
        size_t at = (size_t)x->first[i] * 3;
        __m256i a[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()}, b[2] = {a[0], a[0]};
        for (int t = 0; t < x->count[i]; t += 4, at += 12) {
            for (int r = 0; r < 2; r++) {
                __m256i four = two_rows(src[2 * r] + at, src[2 * r + 1] + at), two = _mm256_shuffle_epi8(four, near);
                a[r] = _mm256_add_epi32(a[r], _mm256_madd_epi16(two, _mm256_set1_epi32(packed[t])));
                b[r] = _mm256_add_epi32(b[r], _mm256_madd_epi16(two, _mm256_set1_epi32(packed[t + 1])));
                two = _mm256_shuffle_epi8(four, far);
                a[r] = _mm256_add_epi32(a[r], _mm256_madd_epi16(two, _mm256_set1_epi32(packed[t + 2])));
                b[r] = _mm256_add_epi32(b[r], _mm256_madd_epi16(two, _mm256_set1_epi32(packed[t + 3])));
            }
        }
        put_two(a[0], b[0], out[0] + 3 * (size_t)i, out[1] + 3 * (size_t)i);
        put_two(a[1], b[1], out[2] + 3 * (size_t)i, out[3] + 3 * (size_t)i);
    }
}

AVX2 static void step(const int32_t *packed, int count, const uint8_t *src, size_t stride, uint8_t *out)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i a[4] = {zero, zero, zero, zero}, b[4] = {zero, zero, zero, zero};
    for (int t = 0; t < count; t += 2) {
        const uint8_t *row = src + (size_t)t * stride, *next = t + 1 < count ? row + stride : row;
        __m256i one = _mm256_loadu_si256((const __m256i *)row), two = _mm256_loadu_si256((const __m256i *)next);
        __m256i low = _mm256_unpacklo_epi8(one, two), high = _mm256_unpackhi_epi8(one, two);
        __m256i part[4] = {_mm256_unpacklo_epi8(low, zero), _mm256_unpackhi_epi8(low, zero),
                           _mm256_unpacklo_epi8(high, zero), _mm256_unpackhi_epi8(high, zero)};
        __m256i wa = _mm256_set1_epi32(packed[t]), wb = _mm256_set1_epi32(packed[t + 1]);
        for (int k = 0; k < 4; k++) {
            a[k] = _mm256_add_epi32(a[k], _mm256_madd_epi16(part[k], wa));
            b[k] = _mm256_add_epi32(b[k], _mm256_madd_epi16(part[k], wb));
        }
    }
    __m256i low = _mm256_packs_epi32(bytes_of(a[0], b[0]), bytes_of(a[1], b[1])),
            high = _mm256_packs_epi32(bytes_of(a[2], b[2]), bytes_of(a[3], b[3]));
    _mm256_storeu_si256((__m256i *)out, _mm256_packus_epi16(low, high));
}

const bcam_resize_loops bcam_resize_avx2 = {"avx2", bcam_resize_pack_pairs, rows, step, 32};
#endif
