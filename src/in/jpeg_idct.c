/* jpeg_idct.c - the inverse DCT of libjpeg's "slow integer" method, bit for bit: 13 bits of fraction in the factors, 2 more between the sides. */
#include "in/jpeg_part.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define FRACTION 13
#define KEPT 2 /* bits of fraction between the sides */

/* cosines times 2^13 */
enum {
    F_0_298 = 2446,
    F_0_390 = 3196,
    F_0_541 = 4433,
    F_0_765 = 6270,
    F_0_899 = 7373,
    F_1_175 = 9633,
    F_1_501 = 12299,
    F_1_847 = 15137,
    F_1_961 = 16069,
    F_2_053 = 16819,
    F_2_562 = 20995,
    F_3_072 = 25172
};

/** Eight numbers of 32 bits in each of two: products of pairs (a, b) of eight 16-bit numbers, a * p + b * q. */
typedef struct wide {
    __m128i low, high;
} wide;

#define INLINE BCAM_JPEG_CPU static inline __attribute__((always_inline))

INLINE __m256i pairs(__m128i a, __m128i b)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi16(a, b)), _mm_unpackhi_epi16(a, b), 1);
}

INLINE __m256i factors(int p, int q)
{
    return _mm256_set1_epi32((int)((uint32_t)(p & 0xFFFF) | (uint32_t)q << 16));
}

INLINE __m256i dot(__m256i ab, int p, int q)
{
    return _mm256_madd_epi16(ab, factors(p, q));
}

/** Both of a + b and a - b, rounded, `shift` bits fewer, as 16 bits. */
INLINE void ends(__m256i a, __m256i b, int shift, __m128i *sum, __m128i *difference)
{
    __m256i half = _mm256_set1_epi32(1 << (shift - 1)), plus = _mm256_add_epi32(_mm256_add_epi32(a, b), half),
            minus = _mm256_add_epi32(_mm256_sub_epi32(a, b), half);
    __m256i both = _mm256_packs_epi32(_mm256_srai_epi32(plus, shift), _mm256_srai_epi32(minus, shift));
    both = _mm256_permute4x64_epi64(both, 0xD8);
    *sum = _mm256_castsi256_si128(both);
    *difference = _mm256_extracti128_si256(both, 1);
}

/** One side of all eight lines, in place. */
INLINE void side(__m128i in[8], int shift)
{
    __m256i p26 = pairs(in[2], in[6]), p04 = pairs(in[0], in[4]), p71 = pairs(in[7], in[1]), p53 = pairs(in[5], in[3]);
    __m256i e2 = dot(p26, F_0_541, F_0_541 - F_1_847), e3 = dot(p26, F_0_541 + F_0_765, F_0_541),
            e0 = dot(p04, 1 << FRACTION, 1 << FRACTION), e1 = dot(p04, 1 << FRACTION, -(1 << FRACTION));
    __m256i z = pairs(_mm_add_epi16(in[7], in[3]), _mm_add_epi16(in[5], in[1])),
            z3 = dot(z, F_1_175 - F_1_961, F_1_175), z4 = dot(z, F_1_175, F_1_175 - F_0_390);
    __m256i o0 = _mm256_add_epi32(dot(p71, F_0_298 - F_0_899, -F_0_899), z3),
            o3 = _mm256_add_epi32(dot(p71, -F_0_899, F_1_501 - F_0_899), z4),
            o1 = _mm256_add_epi32(dot(p53, F_2_053 - F_2_562, -F_2_562), z4),
            o2 = _mm256_add_epi32(dot(p53, -F_2_562, F_3_072 - F_2_562), z3);
    ends(_mm256_add_epi32(e0, e3), o3, shift, &in[0], &in[7]);
    ends(_mm256_add_epi32(e1, e2), o2, shift, &in[1], &in[6]);
    ends(_mm256_sub_epi32(e1, e2), o1, shift, &in[2], &in[5]);
    ends(_mm256_sub_epi32(e0, e3), o0, shift, &in[3], &in[4]);
}

INLINE void transpose(__m128i r[8])
{
    __m128i a[8], b[8];
    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm_unpacklo_epi16(r[i], r[i + 4]);
        a[2 * i + 1] = _mm_unpackhi_epi16(r[i], r[i + 4]);
    }
    for (int i = 0; i < 4; i++) {
        b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
        b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
    }
    for (int i = 0; i < 4; i++) {
        r[2 * i] = _mm_unpacklo_epi16(b[i], b[i + 4]);
        r[2 * i + 1] = _mm_unpackhi_epi16(b[i], b[i + 4]);
    }
}

BCAM_JPEG_CPU void bcam_jpeg_idct(const int16_t block[64], uint8_t *out, size_t stride)
{
    __m128i r[8];
    for (int i = 0; i < 8; i++)
        r[i] = _mm_loadu_si128((const __m128i *)(block + 8 * i));
    side(r, FRACTION - KEPT);
    transpose(r);
    side(r, FRACTION + KEPT + 3);
    transpose(r);
    for (int i = 0; i < 8; i += 2) {
        __m128i bytes = _mm_add_epi8(_mm_packs_epi16(r[i], r[i + 1]), _mm_set1_epi8((char)0x80));
        _mm_storel_epi64((__m128i *)(out + (size_t)i * stride), bytes);
        _mm_storeh_pd((double *)(out + (size_t)(i + 1) * stride), _mm_castsi128_pd(bytes));
    }
}

/* Samples i and length - 1 - i of a short side are even + odd and even - odd of these factors of the eight coefficients. The fifth has none; so have, of
 * two samples, the third and the seventh. Those of the first are halved, to fit 16 bits. */
typedef struct small_factors {
    int first, even[2], odd[4]; /* of coefficients 0; 2, 6; 1, 3, 5, 7 */
} small_factors;

static const small_factors of_four[2] = {{1 << FRACTION, {F_1_847, -F_0_765}, {F_2_562, F_0_899, -4926, -4176}},
                                         {1 << FRACTION, {-F_1_847, F_0_765}, {8697, -17799, 11893, -1730}}},
                           of_two[1] = {{2 << FRACTION, {0, 0}, {29692, -10426, 6967, -5906}}};

/** Down all eight columns: `length` rows. */
INLINE void small_down(const __m128i in[8], int length, int shift, __m128i out[4])
{
    __m256i p00 = pairs(in[0], in[0]), p26 = pairs(in[2], in[6]), p13 = pairs(in[1], in[3]), p57 = pairs(in[5], in[7]);
    for (int i = 0; i < length / 2; i++) {
        const small_factors *f = length == 4 ? &of_four[i] : &of_two[i];
        __m256i even = _mm256_add_epi32(dot(p00, f->first, f->first), dot(p26, f->even[0], f->even[1])),
                odd = _mm256_add_epi32(dot(p13, f->odd[0], f->odd[1]), dot(p57, f->odd[2], f->odd[3]));
        ends(even, odd, shift, &out[i], &out[length - 1 - i]);
    }
}

INLINE __m128i dot_128(__m128i ab, int p, int q)
{
    return _mm_madd_epi16(ab, _mm256_castsi256_si128(factors(p, q)));
}

/** Along four rows: `length` columns of four numbers of 32 bits. */
INLINE void small_along(const __m128i in[4], int length, int shift, __m128i out[4])
{
    __m128i a = _mm_unpacklo_epi16(in[0], in[1]), b = _mm_unpackhi_epi16(in[0], in[1]),
            c = _mm_unpacklo_epi16(in[2], in[3]), d = _mm_unpackhi_epi16(in[2], in[3]);
    __m128i c01 = _mm_unpacklo_epi32(a, c), c23 = _mm_unpackhi_epi32(a, c), c45 = _mm_unpacklo_epi32(b, d),
            c67 = _mm_unpackhi_epi32(b, d); /* two columns each */
    __m128i p00 = _mm_unpacklo_epi16(c01, c01), p26 = _mm_unpacklo_epi16(c23, c67), p13 = _mm_unpackhi_epi16(c01, c23),
            p57 = _mm_unpackhi_epi16(c45, c67), half = _mm_set1_epi32(1 << (shift - 1));
    for (int i = 0; i < length / 2; i++) {
        const small_factors *f = length == 4 ? &of_four[i] : &of_two[i];
        __m128i even = _mm_add_epi32(dot_128(p00, f->first, f->first), dot_128(p26, f->even[0], f->even[1])),
                odd = _mm_add_epi32(dot_128(p13, f->odd[0], f->odd[1]), dot_128(p57, f->odd[2], f->odd[3]));
        even = _mm_add_epi32(even, half);
        out[i] = _mm_srai_epi32(_mm_add_epi32(even, odd), shift);
        out[length - 1 - i] = _mm_srai_epi32(_mm_sub_epi32(even, odd), shift);
    }
}

INLINE void small(const int16_t block[64], int length, uint8_t *out, size_t stride)
{
    const __m128i turned = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    int more = length == 4 ? 1 : 2; /* bits of fraction in the factors */
    __m128i in[8], rows[4], columns[4];
    for (int i = 0; i < 8; i++)
        in[i] = _mm_loadu_si128((const __m128i *)(block + 8 * i));
    rows[2] = rows[3] = columns[2] = columns[3] = _mm_setzero_si128();
    small_down(in, length, FRACTION - KEPT + more, rows);
    small_along(rows, length, FRACTION + KEPT + 3 + more, columns);
    __m128i bytes = _mm_packs_epi16(_mm_packs_epi32(columns[0], columns[1]), _mm_packs_epi32(columns[2], columns[3]));
    uint8_t square[16];
    _mm_storeu_si128((__m128i *)square, _mm_shuffle_epi8(_mm_add_epi8(bytes, _mm_set1_epi8((char)0x80)), turned));
    for (int i = 0; i < length; i++)
        memcpy(out + (size_t)i * stride, square + 4 * i, (size_t)length);
}

BCAM_JPEG_CPU void bcam_jpeg_idct_small(const int16_t block[64], int length, uint8_t *out, size_t stride)
{
    if (length == 4)
        small(block, 4, out, stride);
    else
        small(block, 2, out, stride);
}

void bcam_jpeg_idct_flat(int mean, int length, uint8_t *out, size_t stride)
{
    int value = ((mean + 4) >> 3) + 128;
    for (int i = 0; i < length; i++)
        memset(out + (size_t)i * stride, value < 0 ? 0 : value > 255 ? 255 : value, (size_t)length);
}

#endif
