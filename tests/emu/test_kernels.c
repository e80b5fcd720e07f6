/* The own CUDA kernels, run on the CPU, against plain C: every verb, the case tables, three layouts, few and many blocks, several schedules.
 *
 *   fp32          as every device is checked (check.h)
 *   fp16, bf16    both sides get numbers that the type can hold, so that the kernel, which computes in float, errs by one rounding of its result:
 *                 |a - b| <= u |a| (1 + 1/16) + 2^-20 (|a| + T) + t, with u = 2^-11 (fp16) or 2^-8 (bf16), T the largest term of a sum times the square
 *                 root of their number, t the smallest number. Beyond the type's range both are infinite
 *   schedules     a shuffled schedule with few blocks gives the bytes of the ordered one with many
 *
 * Test names say what is run: kernels/fp32, kernels/half, kernels/extra.
 */
#include <criterion/parameterized.h>
#include <math.h>
#include <string.h>

#include "check/bind.h"
#include "check_sides.h"
#include "emu_run.h"
#include "kernel_device.h"
#include "kernels.h"

static const struct setting {
    int layout;
    uint64_t seed; /* of the schedule */
    unsigned blocks;
} settings[] = {{0, 0, 0}, {0, 11, 2}, {1, 12, 1}, {2, 13, 3}};

static void apply(const struct setting *s)
{
    emu_set_seed(s->seed);
    emu_set_grid_limit(s->blocks);
}

static bcam_check_side open_kernels(bcam_precision precision, int layout)
{
    bcam_error err = {0};
    bcam_check_side side = {.api = &kernel_device};
    bcam_device_options options = {.precision = precision, .index = layout};
    cr_assert_eq(side.api->open(&options, &side.device, &err), BCAM_OK, "%s", err.message);
    return side;
}

/* Under AddressSanitizer a part of the tables must do: every STRIDE-th case, from another one each time. */
static size_t stride(void)
{
    const char *text = getenv("BCAM_EMU_STRIDE");
    return text ? (size_t)strtoul(text, NULL, 10) : 1;
}

static struct criterion_test_params own_verbs(void)
{
    int *list = cr_malloc(BCAM_VERB_COUNT * sizeof *list);
    size_t count = 0;
    for (int v = 0; v < BCAM_VERB_COUNT; v++)
        if (bcam_kernels[v])
            list[count++] = v;
    return cr_make_param_array(int, list, count, NULL);
}

/* ---- fp32 ---- */

ParameterizedTestParameters(kernels, fp32)
{
    return own_verbs();
}

ParameterizedTest(int *verb, kernels, fp32)
{
    bcam_check_side reference = check_open(true, BCAM_PRECISION_FP32, 1);
    size_t every = stride();
    for (size_t s = 0; s < BCAM_COUNT(settings); s++) {
        bcam_check_side side = open_kernels(BCAM_PRECISION_FP32, settings[s].layout);
        check_tally tally = {.verb = (bcam_verb)*verb,
                             .what = s == 0   ? "fp32"
                                     : s == 1 ? "few blocks"
                                     : s == 2 ? "row-major"
                                              : "gaps"};
        tally.seed = new_seed();
        /* The first setting takes all cases, the others every second one. */
        for (size_t i = s + (size_t)(tally.seed % every); i < bcam_check_case_count(tally.verb) + s;
             i += s ? 2 * every : every) {
            bcam_check_case c;
            bcam_check_result result;
            bcam_error err = {0};
            bcam_check_case_get(tally.verb, i % bcam_check_case_count(tally.verb), &c);
            apply(&settings[s]);
            cr_assert_eq(bcam_check_run(&c, &reference, &side, tally.seed, false, &result, &err), BCAM_OK, "%s: %s",
                         c.name, err.message);
            check_count(&tally, &result);
        }
        check_report(&tally);
        check_close(&side);
    }
    check_close(&reference);
}

/* ---- fp16, bf16 ---- */

static double rounded(double v, bcam_precision precision)
{
    return precision == BCAM_PRECISION_FP16 ? (double)bcam_f16_to_f32(bcam_f32_to_f16((float)v))
                                            : (double)bcam_bf16_to_f32(bcam_f32_to_bf16((float)v));
}

/* Whether an operand of a case is stored in the device's type. */
static bool is_stored_short(const bcam_check_case *c, bool out, int i)
{
    bcam_verb v = c->verb;
    if ((out ? c->out : c->in)[i].dtype != BCAM_F32 || v == BCAM_VERB_UPSAMPLE)
        return false;
    return !out || !(v == BCAM_VERB_CAM || (v == BCAM_VERB_SELECT && i < 3));
}

static void round_inputs(const bcam_check_case *c, bcam_check_data *data, bcam_precision precision)
{
    for (int i = 0; i < BCAM_MAX_IN; i++)
        for (int64_t e = 0;
             c->in[i].present && is_stored_short(c, false, i) && e < bcam_check_count(&c->in[i], c->batch, c->k); e++)
            data->in[i][e] = rounded(data->in[i][e], precision);
}

static double largest(const double *numbers, int64_t count)
{
    double most = 1;
    for (int64_t i = 0; i < count; i++)
        most = isfinite(numbers[i]) ? fmax(most, fabs(numbers[i])) : most;
    return most;
}

static bool is_written(const bcam_check_case *c, int64_t index)
{
    const bcam_copy_attr *copy = &c->step.u.copy;
    if (c->verb != BCAM_VERB_COPY || copy->reshape || copy->fill)
        return true;
    int64_t dim[BCAM_MAX_RANK];
    for (int a = bcam_check_dims(&c->out[0], c->batch, c->k, dim) - 1; a > 0; index /= dim[a--])
        if (index % dim[a] < copy->to[a] || index % dim[a] >= copy->to[a] + copy->extent[a])
            return false;
    return true;
}

/* The first element of output o that is not as it should be, or -1; *worst: the largest error as a share of what is allowed. */
static int64_t compare_half(const bcam_check_case *c, const bcam_check_data *a, const double *b, int o,
                            bcam_precision precision, double *worst)
{
    double unit = precision == BCAM_PRECISION_FP16 ? 0x1p-11 : 0x1p-8,
           least = precision == BCAM_PRECISION_FP16 ? 0x1p-24 : 0x1p-126;
    double terms = sqrt(c->depth);
    bool is_short = is_stored_short(c, true, o);
    for (int i = 0; i < BCAM_MAX_IN; i++)
        if (c->in[i].present)
            terms *= largest(a->in[i], bcam_check_count(&c->in[i], c->batch, c->k));
    for (int64_t e = 0; e < bcam_check_count(&c->out[o], c->batch, c->k); e++) {
        double want = a->out[o][e], have = b[e], error = fabs(want - have);
        if (!is_written(c, e) || (isnan(want) && isnan(have)) || want == have ||
            (is_short && rounded(want, precision) == have))
            continue;
        double allowed = c->out[o].dtype == BCAM_I32  ? 0
                         : c->out[o].dtype == BCAM_U8 ? 1
                                                      : 0x1p-20 * (fabs(want) + terms) + least;
        allowed += is_short ? unit * fabs(want) * 1.0625 : c->out[o].dtype == BCAM_F16 ? 0x1p-10 * fabs(want) : 0;
        if (!(error <= allowed))
            return e;
        *worst = fmax(*worst, error / allowed);
    }
    return -1;
}

static bool same_numbers(const bcam_check_case *c, const double *a, const double *b, int o)
{
    for (int64_t e = 0; e < bcam_check_count(&c->out[o], c->batch, c->k); e++)
        if (is_written(c, e) && !(a[e] == b[e] || (isnan(a[e]) && isnan(b[e]))))
            return false;
    return true;
}

/* A case on the kernels with the inputs of `data`: ordered and shuffled. */
static bcam_status run_kernels(const bcam_check_case *c, const bcam_check_side *side, bcam_check_data *data,
                               bool shuffled, bcam_error *err)
{
    bcam_check_bound bound;
    const struct setting ordered = {0, 0, 0}, mixed = {0, 17, 2};
    apply(shuffled ? &mixed : &ordered);
    bcam_status status = bcam_check_bind(c, side, data, &bound, err);
    if (status == BCAM_OK)
        status = bcam_check_compute(&bound, data, err);
    bcam_check_unbind(&bound);
    return status;
}

static void check_half(const bcam_check_case *c, bcam_check_fill fill, const bcam_check_side *reference,
                       const bcam_check_side *side, bcam_precision precision, check_tally *tally)
{
    bcam_check_data a = {0}, b = {0}, again = {0};
    bcam_check_bound bound;
    bcam_error err = {0};
    bcam_check_result result = {.outcome = BCAM_CHECK_PASSED};
    cr_assert_eq(bcam_check_data_init(c, &a, &err) || bcam_check_data_init(c, &b, &err) ||
                     bcam_check_data_init(c, &again, &err),
                 0);
    cr_assert_eq(bcam_check_fill_data(c, fill, reference, tally->seed, &a, &err), BCAM_OK, "%s", err.message);
    round_inputs(c, &a, precision);
    for (int i = 0; i < BCAM_MAX_IN; i++)
        if (c->in[i].present) {
            size_t bytes = (size_t)bcam_check_count(&c->in[i], c->batch, c->k) * sizeof(double);
            memcpy(b.in[i], a.in[i], bytes);
            memcpy(again.in[i], a.in[i], bytes);
        }
    bcam_status status = bcam_check_bind(c, reference, &a, &bound, &err);
    if (status == BCAM_OK)
        status = bcam_check_compute(&bound, &a, &err);
    bcam_check_unbind(&bound);
    cr_assert_eq(status, BCAM_OK, "%s: %s", c->name, err.message);
    if (run_kernels(c, side, &b, false, &err) || run_kernels(c, side, &again, true, &err)) {
        result.outcome = BCAM_CHECK_FAILED;
        snprintf(result.message, sizeof result.message, "%s: %.200s", c->name, err.message);
    }
    for (int o = 0; o < BCAM_MAX_OUT && result.outcome == BCAM_CHECK_PASSED; o++) {
        if (!c->out[o].present)
            continue;
        int64_t wrong = compare_half(c, &a, b.out[o], o, precision, &result.worst);
        bool same = same_numbers(c, b.out[o], again.out[o], o);
        if (wrong < 0 && same)
            continue;
        result.outcome = BCAM_CHECK_FAILED;
        if (wrong >= 0)
            snprintf(result.message, sizeof result.message, "%s, %s numbers: out%d[%lld] is %.9g instead of %.9g",
                     c->name, bcam_check_fill_name(fill), o, (long long)wrong, b.out[o][wrong], a.out[o][wrong]);
        else
            snprintf(result.message, sizeof result.message, "%s: out%d depends on the schedule or the grid", c->name,
                     o);
    }
    check_count(tally, &result);
    bcam_check_data_fini(&a);
    bcam_check_data_fini(&b);
    bcam_check_data_fini(&again);
}

ParameterizedTestParameters(kernels, half)
{
    return own_verbs();
}

ParameterizedTest(int *verb, kernels, half)
{
    static const bcam_precision precisions[] = {BCAM_PRECISION_FP16, BCAM_PRECISION_BF16};
    bcam_check_side reference = check_open(true, BCAM_PRECISION_FP32, 1);
    size_t every = stride();
    for (size_t p = 0; p < BCAM_COUNT(precisions); p++)
        for (int layout = 0; layout < KERNEL_LAYOUTS; layout++) {
            bcam_check_side side = open_kernels(precisions[p], layout);
            check_tally tally = {.verb = (bcam_verb)*verb, .what = p == 0 ? "fp16" : "bf16", .seed = new_seed()};
            for (size_t i = (tally.seed + (size_t)layout) % every; i < bcam_check_case_count(tally.verb);
                 i += layout ? 3 * every : every) {
                bcam_check_case c;
                bcam_check_case_get(tally.verb, i, &c);
                for (bcam_check_fill fill = 0; fill < BCAM_FILL_COUNT; fill++)
                    if (c.fills >> fill & 1 && fill != BCAM_FILL_EXTREME) /* those lie beyond the types' range */
                        check_half(&c, fill, &reference, &side, precisions[p], &tally);
            }
            check_report(&tally);
            check_close(&side);
        }
    check_close(&reference);
}
