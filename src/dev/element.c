/* element.c - copying between a tensor and a dense row-major array, converting. Slow and simple. */
#include <string.h>

#include "dev/place.h"

static double element_get(const void *data, bcam_dtype dtype, int64_t at)
{
    switch (dtype) {
    case BCAM_F32:
        return (double)((const float *)data)[at];
    case BCAM_F64:
        return ((const double *)data)[at];
    case BCAM_F16:
        return (double)bcam_f16_to_f32(((const uint16_t *)data)[at]);
    case BCAM_BF16:
        return (double)bcam_bf16_to_f32(((const uint16_t *)data)[at]);
    case BCAM_U8:
        return ((const uint8_t *)data)[at];
    case BCAM_I32:
        return ((const int32_t *)data)[at];
    case BCAM_I64:
        return (double)((const int64_t *)data)[at];
    }
    return 0;
}

static void element_put(void *data, bcam_dtype dtype, int64_t at, double value)
{
    switch (dtype) {
    case BCAM_F32:
        ((float *)data)[at] = (float)value;
        break;
    case BCAM_F64:
        ((double *)data)[at] = value;
        break;
    case BCAM_F16:
        ((uint16_t *)data)[at] = bcam_f32_to_f16((float)value);
        break;
    case BCAM_BF16:
        ((uint16_t *)data)[at] = bcam_f32_to_bf16((float)value);
        break;
    case BCAM_U8:
        ((uint8_t *)data)[at] = (uint8_t)value;
        break;
    case BCAM_I32:
        ((int32_t *)data)[at] = (int32_t)value;
        break;
    case BCAM_I64:
        ((int64_t *)data)[at] = (int64_t)value;
        break;
    }
}

/* Visits every element in row-major logical order; `dense` is its number there. */
static void convert(const bcam_tensor *t, bcam_dtype as, void *dense, bool reading)
{
    int64_t index[BCAM_MAX_RANK] = {0}, at = 0, count = bcam_count(t->rank, t->dim);
    if (as == t->dtype && bcam_tensor_is_dense(t)) {
        size_t bytes = (size_t)count * bcam_dtype_bytes(as);
        memcpy(reading ? dense : t->data, reading ? t->data : dense, bytes);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        if (reading)
            element_put(dense, as, i, element_get(t->data, t->dtype, at));
        else
            element_put(t->data, t->dtype, at, element_get(dense, as, i));
        for (int a = t->rank - 1; a >= 0; a--) {
            at += t->stride[a];
            if (++index[a] < t->dim[a])
                break;
            at -= index[a] * t->stride[a];
            index[a] = 0;
        }
    }
}

void bcam_elements_read(const bcam_tensor *from, bcam_dtype as, void *to)
{
    convert(from, as, to, true);
}

void bcam_elements_write(const bcam_tensor *to, bcam_dtype as, const void *from)
{
    convert(to, as, (void *)from, false);
}
