/* num.c - number formats and a small generator. */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint16_t bcam_f32_to_f16(float value)
{
    uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return (uint16_t)(sign | 0x7e00); /* NaN, quiet */
    if (magnitude >= 0x477ff000)
        return (uint16_t)(sign | 0x7c00); /* 65520 and more round to infinity */
    if (magnitude < 0x38800000) {
        /* Subnormal: adding 0.5 puts the bits to keep at the end of the mantissa, rounded by the addition itself. */
        return (uint16_t)(sign | (bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f)));
    }
    uint32_t odd = magnitude >> 13 & 1;
    return (uint16_t)(sign | ((magnitude + 0xfff + odd - 0x38000000) >> 13));
}

float bcam_f16_to_f32(uint16_t value)
{
    uint32_t sign = (uint32_t)(value & 0x8000) << 16, magnitude = value & 0x7fff;
    if (magnitude >= 0x7c00)
        return float_of(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
    if (magnitude < 0x400)
        return sign ? -(float)magnitude * 0x1p-24f : (float)magnitude * 0x1p-24f;
    return float_of(sign | ((magnitude << 13) + 0x38000000));
}

uint16_t bcam_f32_to_bf16(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float bcam_bf16_to_f32(uint16_t value)
{
    return float_of((uint32_t)value << 16);
}

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {
    [BCAM_F32] = {"float32", 4},   [BCAM_F16] = {"float16", 2}, [BCAM_U8] = {"uint8", 1},
    [BCAM_F64] = {"float64", 8},   [BCAM_I32] = {"int32", 4},   [BCAM_I64] = {"int64", 8},
    [BCAM_BF16] = {"bfloat16", 2},
};

size_t bcam_dtype_bytes(bcam_dtype dtype)
{
    return (size_t)dtype < BCAM_COUNT(dtypes) ? dtypes[dtype].bytes : 0;
}

const char *bcam_dtype_name(bcam_dtype dtype)
{
    return (size_t)dtype < BCAM_COUNT(dtypes) ? dtypes[dtype].name : "?";
}

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
uint64_t bcam_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double bcam_random_unit(uint64_t *state)
{
    return (double)(bcam_random(state) >> 11) * 0x1p-53;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bcam_median(double *numbers, size_t count)
{
    qsort(numbers, count, sizeof *numbers, by_size);
    return count ? (numbers[(count - 1) / 2] + numbers[count / 2]) / 2 : 0;
}
