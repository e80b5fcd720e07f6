/* onnx_small.c - numbers of eight bits and fewer: what they stand for. They are storage; nothing is computed in them. */
#include <math.h>

#include "net/onnx.h"

static const struct small_float { /* by ONNX's type number */
    uint8_t exponent, mantissa, bias;
    bool infinity;  /* the largest exponent is infinity and NaN, as in IEEE 754 */
    bool top_nan;   /* all ones is NaN */
    bool minus_nan; /* what would be -0 is NaN */
} small_floats[] = {
    [BCAM_ONNX_FLOAT8E4M3FN] = {4, 3, 7, .top_nan = true},
    [BCAM_ONNX_FLOAT8E4M3FNUZ] = {4, 3, 8, .minus_nan = true},
    [BCAM_ONNX_FLOAT8E5M2] = {5, 2, 15, .infinity = true},
    [BCAM_ONNX_FLOAT8E5M2FNUZ] = {5, 2, 16, .minus_nan = true},
    [BCAM_ONNX_FLOAT4E2M1] = {.exponent = 2, .mantissa = 1, .bias = 1},
};

static double small_float_of(const struct small_float *f, unsigned code)
{
    int bits = f->exponent + f->mantissa;
    unsigned top = (1u << bits) - 1, rest = code & top, mantissa = rest & ((1u << f->mantissa) - 1);
    unsigned exponent = rest >> f->mantissa, largest = (1u << f->exponent) - 1;
    double sign = code >> bits ? -1 : 1, share = (double)mantissa / (double)(1u << f->mantissa);
    if ((f->top_nan && rest == top) || (f->minus_nan && rest == 0 && sign < 0) ||
        (f->infinity && exponent == largest && mantissa))
        return NAN;
    if (f->infinity && exponent == largest)
        return sign * INFINITY;
    return sign * (exponent ? ldexp(1 + share, (int)exponent - f->bias) : ldexp(share, 1 - f->bias));
}

bool bcam_onnx_is_small(bcam_onnx_type type)
{
    return type >= BCAM_ONNX_FLOAT8E4M3FN && type <= BCAM_ONNX_INT2;
}

bool bcam_onnx_is_integer(bcam_onnx_type type)
{
    switch (type) {
    case BCAM_ONNX_UINT8:
    case BCAM_ONNX_INT8:
    case BCAM_ONNX_UINT16:
    case BCAM_ONNX_INT16:
    case BCAM_ONNX_INT32:
    case BCAM_ONNX_INT64:
    case BCAM_ONNX_UINT32:
    case BCAM_ONNX_UINT64:
    case BCAM_ONNX_UINT4:
    case BCAM_ONNX_INT4:
    case BCAM_ONNX_UINT2:
    case BCAM_ONNX_INT2:
        return true;
    default:
        return false;
    }
}

double bcam_onnx_small_at(const bcam_onnx_tensor *tensor, int64_t i)
{
    unsigned bits = (unsigned)bcam_onnx_type_bits(tensor->type), at = (unsigned)((uint64_t)i * bits % 8);
    unsigned code = (unsigned)(tensor->data[(uint64_t)i * bits / 8] >> at) & ((1u << bits) - 1);
    switch (tensor->type) {
    case BCAM_ONNX_UINT4:
    case BCAM_ONNX_UINT2:
        return code;
    case BCAM_ONNX_INT4:
    case BCAM_ONNX_INT2:
        return (double)code - (code >> (bits - 1) ? (double)(1u << bits) : 0);
    case BCAM_ONNX_FLOAT8E8M0:
        return code == 255 ? NAN : ldexp(1, (int)code - 127);
    default:
        return small_float_of(&small_floats[tensor->type], code);
    }
}
