/* precision.c - coarse precisions in a check. */
#include "check/precision.h"

#include <math.h>
#include <string.h>

bool bcam_check_is_product(bcam_verb verb)
{
    return verb == BCAM_VERB_CONV || verb == BCAM_VERB_CONV_BWD || verb == BCAM_VERB_GEMM || verb == BCAM_VERB_GEMM_BWD;
}

static bool is_half(bcam_precision precision)
{
    return precision == BCAM_PRECISION_FP16 || precision == BCAM_PRECISION_BF16;
}

/* Whether an operand is stored in the device's own type: maps, scores and what UPSAMPLE reads are float in any precision. */
static bool is_stored_short(const bcam_check_case *c, bool out, int i)
{
    bcam_verb v = c->verb;
    if ((out ? c->out : c->in)[i].dtype != BCAM_F32 || v == BCAM_VERB_UPSAMPLE)
        return false;
    return !out || !(v == BCAM_VERB_CAM || (v == BCAM_VERB_SELECT && i < 3));
}

/* 10 bits of mantissa, the nearest. */
static double to_tf32(double value)
{
    float f = (float)value;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (!isfinite(f))
        return value;
    bits = (bits + 0xfffu + (bits >> 13 & 1u)) & ~0x1fffu;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static double rounded(bcam_precision precision, double value)
{
    return precision == BCAM_PRECISION_FP16   ? (double)bcam_f16_to_f32(bcam_f32_to_f16((float)value))
           : precision == BCAM_PRECISION_BF16 ? (double)bcam_bf16_to_f32(bcam_f32_to_bf16((float)value))
                                              : to_tf32(value);
}

void bcam_check_round(const bcam_check_case *c, bcam_precision precision, bcam_check_data *data)
{
    bool tf32 = precision == BCAM_PRECISION_TF32 && bcam_check_is_product(c->verb);
    for (int i = 0; i < BCAM_MAX_IN && (tf32 || is_half(precision)); i++)
        for (int64_t e = 0;
             c->in[i].present && is_stored_short(c, false, i) && e < bcam_check_count(&c->in[i], c->batch, c->k); e++)
            data->in[i][e] = rounded(precision, data->in[i][e]);
}

double bcam_check_held(const bcam_check_case *c, int out, bcam_precision precision, double value)
{
    return is_half(precision) && is_stored_short(c, true, out) ? rounded(precision, value) : value;
}

double bcam_check_coarse(const bcam_check_case *c, int out, bcam_precision precision, double a, double scale)
{
    bool product = bcam_check_is_product(c->verb);
    double sum = product ? fabs(scale) : 0;
    if (precision == BCAM_PRECISION_TF32) /* tensor cores cut what they sum instead of rounding it */
        return product ? 0x1p-21 * (sum + fabs(a)) : 0;
    if (!is_half(precision))
        return 0;
    double unit = precision == BCAM_PRECISION_FP16 ? 0x1p-11 : 0x1p-8,
           least = precision == BCAM_PRECISION_FP16 ? 0x1p-24 : 0x1p-126;
    double cut = product ? 0x1p-21 * sum : 0;
    return is_stored_short(c, true, out) ? unit * 1.0625 * (fabs(a) + sum) + cut + least : cut;
}

unsigned bcam_check_fills(const bcam_check_case *c, const bcam_check_side *candidate)
{
    unsigned extreme = 1u << BCAM_FILL_EXTREME, special = 1u << BCAM_FILL_SPECIAL;
    unsigned left_out = is_half(candidate->precision) ? extreme : 0;
    if (candidate->libraries && bcam_check_is_product(c->verb))
        left_out |= extreme | special;
    return c->fills & ~left_out;
}
