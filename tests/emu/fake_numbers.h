/* fake_numbers.h - the stored types of tensors, and how products round their factors, for the stand-ins of cuDNN and cuBLAS. */
#ifndef BCAM_TESTS_FAKE_NUMBERS_H
#define BCAM_TESTS_FAKE_NUMBERS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum bcam_fake_type { BCAM_FAKE_F32, BCAM_FAKE_F16, BCAM_FAKE_BF16, BCAM_FAKE_OTHER } bcam_fake_type;

static inline size_t bcam_fake_size(bcam_fake_type type)
{
    return type == BCAM_FAKE_F32 ? 4 : 2;
}

/* To the nearest with `drop` bits less, ties to even; NaN and infinity stay. */
static inline float bcam_fake_shorten(float value, int drop)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7f800000u) == 0x7f800000u)
        return value;
    bits += (1u << (drop - 1)) - 1 + ((bits >> drop) & 1u);
    bits &= ~((1u << drop) - 1);
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float bcam_fake_tf32(float value)
{
    return bcam_fake_shorten(value, 13);
}

static inline float bcam_fake_load(const void *data, size_t index, bcam_fake_type type)
{
    const char *p = (const char *)data + index * bcam_fake_size(type);
    float wide = 0;
    if (type == BCAM_FAKE_F32) {
        memcpy(&wide, p, sizeof wide);
    } else if (type == BCAM_FAKE_F16) {
        _Float16 narrow;
        memcpy(&narrow, p, sizeof narrow);
        wide = (float)narrow;
    } else {
        memcpy((char *)&wide + 2, p, 2);
    }
    return wide;
}

static inline void bcam_fake_store(void *data, size_t index, bcam_fake_type type, float value)
{
    char *p = (char *)data + index * bcam_fake_size(type);
    if (type == BCAM_FAKE_F32) {
        memcpy(p, &value, sizeof value);
    } else if (type == BCAM_FAKE_F16) {
        _Float16 narrow = (_Float16)value;
        memcpy(p, &narrow, sizeof narrow);
    } else {
        float shorter = bcam_fake_shorten(value, 16);
        memcpy(p, (char *)&shorter + 2, 2);
        if (value != value) /* a NaN whose payload lay in the bits that went */
            p[1] = (char)((unsigned char)p[1] | 0x7f), p[0] = (char)((unsigned char)p[0] | 0xc0);
    }
}

/* What a tensor holds after it was stored in its type. */
static inline float bcam_fake_round(float value, bcam_fake_type type)
{
    char memory[4];
    if (type == BCAM_FAKE_F32)
        return value;
    bcam_fake_store(memory, 0, type, value);
    return bcam_fake_load(memory, 0, type);
}

/* Sums in float, in sixteen parts, as wide machines do. */
static inline float bcam_fake_dot(const float *a, const float *b, size_t n)
{
    float part[16] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t l = 0; l < 16; l++)
            part[l] += a[i + l] * b[i + l];
    for (; i < n; i++)
        sum += a[i] * b[i];
    for (size_t l = 0; l < 16; l++)
        sum += part[l];
    return sum;
}

#endif
