/* What the case tables do not reach: the epilogue and conversions, a padded network input, more channels or classes than shared memory holds,
 * long rankings, and kernels found by the names that nvcc gives them. */
#include <math.h>
#include <string.h>

#include "check_sides.h"
#include "emu_run.h"
#include "kernel_device.h"
#include "kernels.h"

/* ---- tensors ---- */

static void *filled(size_t bytes)
{
    void *p = NULL;
    cr_assert_eq(posix_memalign(&p, 256, bytes), 0);
    memset(p, 0xff, bytes);
    return p;
}

static bcam_tensor tensor(bcam_dtype dtype, int rank, const int64_t *dim, bool channels_last)
{
    bcam_tensor t = {.dtype = dtype, .rank = rank};
    memcpy(t.dim, dim, (size_t)rank * sizeof *dim);
    (channels_last ? bcam_strides_channels_last : bcam_strides_dense)(rank, dim, t.stride);
    t.data = filled((size_t)bcam_count(rank, dim) * bcam_dtype_bytes(dtype));
    return t;
}

static int64_t offset_of(const bcam_tensor *t, int64_t element)
{
    int64_t at = 0;
    for (int a = t->rank - 1; a >= 0; a--) {
        at += element % t->dim[a] * t->stride[a];
        element /= t->dim[a];
    }
    return at;
}

static double get(const bcam_tensor *t, int64_t element)
{
    int64_t at = offset_of(t, element);
    switch (t->dtype) {
    case BCAM_F32:
        return (double)((const float *)t->data)[at];
    case BCAM_F16:
        return (double)bcam_f16_to_f32(((const uint16_t *)t->data)[at]);
    case BCAM_BF16:
        return (double)bcam_bf16_to_f32(((const uint16_t *)t->data)[at]);
    case BCAM_I32:
        return ((const int32_t *)t->data)[at];
    default:
        return ((const uint8_t *)t->data)[at];
    }
}

static void put(const bcam_tensor *t, int64_t element, double value)
{
    int64_t at = offset_of(t, element);
    if (t->dtype == BCAM_F32)
        ((float *)t->data)[at] = (float)value;
    else if (t->dtype == BCAM_F16)
        ((uint16_t *)t->data)[at] = bcam_f32_to_f16((float)value);
    else if (t->dtype == BCAM_BF16)
        ((uint16_t *)t->data)[at] = bcam_f32_to_bf16((float)value);
    else if (t->dtype == BCAM_I32)
        ((int32_t *)t->data)[at] = (int32_t)value;
    else
        ((uint8_t *)t->data)[at] = (uint8_t)value;
}

/* Multiples of 1/8 in [-4, 4): exact in all types. */
static void fill(const bcam_tensor *t, uint64_t seed)
{
    for (int64_t i = 0; i < bcam_count(t->rank, t->dim); i++)
        put(t, i, floor(bcam_random_unit(&seed) * 64) / 8 - 4);
}

static const bcam_dtype reals[] = {BCAM_F32, BCAM_F16, BCAM_BF16};

/* ---- epilogue, convert ---- */

Test(kernels_extra, epilogue)
{
    static const int64_t shapes[][4] = {{2, 16, 3, 5}, {3, 7, 2, 3}, {1, 24, 1, 1}};
    bcam_unary_attr acts[] = {{0}, {.kind = BCAM_UNARY_RELU}, {.kind = BCAM_UNARY_CLIP, .alpha = 0, .beta = 6}};
    for (size_t i = 0; i < BCAM_COUNT(shapes) * BCAM_COUNT(reals) * BCAM_COUNT(acts) * 8; i++) {
        const int64_t *dim = shapes[i % 3];
        bool with_bias = i / 27 & 1, with_residual = i / 27 & 2, bias_is_float = i / 27 & 4;
        bcam_unary_attr act = acts[i / 9 % 3];
        bcam_dtype dtype = reals[i / 3 % 3];
        bcam_tensor out = tensor(dtype, 4, dim, true), residual = tensor(dtype, 4, dim, true);
        bcam_tensor bias = tensor(bias_is_float ? BCAM_F32 : dtype, 1, dim + 1, false);
        fill(&out, i + 1);
        fill(&residual, i + 2);
        fill(&bias, i + 3);
        int64_t count = bcam_count(4, dim);
        double *want = malloc((size_t)count * sizeof *want);
        for (int64_t e = 0; e < count; e++) {
            double v = get(&out, e) + (with_bias ? get(&bias, e / (dim[2] * dim[3]) % dim[1]) : 0) +
                       (with_residual ? get(&residual, e) : 0);
            want[e] = act.kind && v < 0 ? 0 : act.kind == BCAM_UNARY_CLIP && v > 6 ? 6 : v;
        }
        cr_assert_eq(bcam_kernel_epilogue(&out, with_bias ? &bias : NULL, with_residual ? &residual : NULL, &act, NULL),
                     cudaSuccess);
        for (int64_t e = 0; e < count; e++)
            cr_assert_eq(get(&out, e), want[e], "case %zu, element %d: %g instead of %g", i, (int)e, get(&out, e),
                         want[e]);
        free(want);
        free(out.data);
        free(residual.data);
        free(bias.data);
    }
}

Test(kernels_extra, convert)
{
    static const bcam_dtype dtypes[] = {BCAM_F32, BCAM_F16, BCAM_BF16, BCAM_U8, BCAM_I32};
    static const int64_t shapes[][4] = {{2, 16, 3, 8}, {3, 5, 2, 7}};
    for (size_t i = 0; i < 25 * 2 * 4; i++) {
        bcam_dtype from = dtypes[i % 5], to = dtypes[i / 5 % 5];
        const int64_t *dim = shapes[i / 25 % 2];
        bcam_tensor in = tensor(from, 4, dim, i / 50 & 1), out = tensor(to, 4, dim, i / 50 & 2);
        for (int64_t e = 0; e < bcam_count(4, dim); e++)
            put(&in, e, (double)(e % 100));
        bool can = from == to || (i % 5 < 3 && i / 5 % 5 < 3);
        cr_assert_eq(bcam_kernel_convert(&in, &out, NULL), can ? cudaSuccess : cudaErrorNotSupported);
        for (int64_t e = 0; e < bcam_count(4, dim) && can; e++)
            cr_assert_eq(get(&out, e), (double)(e % 100), "%s to %s", bcam_dtype_name(from), bcam_dtype_name(to));
        free(in.data);
        free(out.data);
    }
}

/* A network input of 3 channels stored with 4: the fourth is zero. */
Test(kernels_extra, padded_prep)
{
    enum { N = 2, H = 3, W = 5 };
    for (size_t i = 0; i < 2 * BCAM_COUNT(reals); i++) {
        bcam_dtype dtype = reals[i % 3];
        bcam_step step = {.verb = BCAM_VERB_PREP, .u.prep = {.channel = {2, 1, 0}}};
        bcam_kernel_call call = {.step = &step};
        call.in[0] = tensor(BCAM_U8, 4, (const int64_t[]){N, 3, H, W}, true);
        call.in[1] = tensor(i < 3 ? BCAM_F32 : dtype, 2, (const int64_t[]){3, 256}, false);
        call.out[0] = tensor(dtype, 4, (const int64_t[]){N, 4, H, W}, true);
        call.out[0].dim[1] = 3;
        for (int64_t e = 0; e < N * 3 * H * W; e++)
            put(&call.in[0], e, (double)(e * 7 % 256));
        for (int64_t e = 0; e < 3 * 256; e++)
            put(&call.in[1], e, (double)(e % 256 - 128) / 4 + (double)(e / 256));
        cr_assert_eq(bcam_kernels[BCAM_VERB_PREP](&call, NULL), cudaSuccess);
        for (int64_t e = 0; e < N * 3 * H * W; e++) {
            int64_t c = e / (H * W) % 3, other = e + (2 - 2 * c) * H * W;
            cr_assert_eq(get(&call.out[0], e), (double)(other * 7 % 256 - 128) / 4 + (double)c);
        }
        call.out[0].dim[1] = 4;
        for (int64_t e = 0; e < N * 4 * H * W; e++)
            if (e / (H * W) % 4 == 3)
                cr_assert_eq(get(&call.out[0], e), 0);
        for (int t = 0; t < 2; t++)
            free(call.in[t].data);
        free(call.out[0].data);
    }
}

/* The kernel divides by other means than a division: the same colours all the same, for maps of any magnitude. */
Test(kernels_extra, colours_to_the_bit)
{
    static const float largest[] = {1,     0.3f,    1e-30f, 1.1e-30f, 3e-38f, 1e-40f,  1e-45f,
                                    1e30f, 1.1e30f, 3e38f,  0,        -1,     INFINITY};
    enum { H = 6, W = 32, COUNT = H * W };
    uint64_t seed = new_seed();
    bcam_step step = {.verb = BCAM_VERB_UPSAMPLE};
    bcam_kernel_call call = {.step = &step};
    call.in[0] = tensor(BCAM_F32, 4, (const int64_t[]){1, 1, H, W}, false);
    call.in[2] = tensor(BCAM_U8, 2, (const int64_t[]){256, 3}, false);
    call.out[0] = tensor(BCAM_U8, 5, (const int64_t[]){1, 1, H, W, 3}, false);
    for (int i = 0; i < 256 * 3; i++)
        put(&call.in[2], i, i % 3 == 0 ? i / 3 : i % 3 == 1 ? 255 - i / 3 : 77);
    for (size_t l = 0; l < BCAM_COUNT(largest); l++) {
        float *map = call.in[0].data, most = 0;
        for (int i = 0; i < COUNT; i++) { /* where the rows of the table meet, too */
            map[i] = i % 2 ? largest[l] * (float)bcam_random_unit(&seed) : largest[l] * ((float)(i / 2 % 256) / 255);
            map[i] = i % 41 == 7 ? NAN : i % 37 == 5 ? -map[i] : i % 43 == 3 ? INFINITY : map[i];
        }
        map[11] = largest[l];
        for (int i = 0; i < COUNT; i++)
            most = isfinite(map[i]) && map[i] > most ? map[i] : most;
        cr_assert_eq(bcam_kernels[BCAM_VERB_UPSAMPLE](&call, NULL), cudaSuccess);
        for (int i = 0; i < COUNT; i++) {
            const uint8_t *have = (uint8_t *)call.out[0].data + 3 * i;
            float v = map[i];
            int row = v <= 0 ? 0 : v >= most ? 255 : (int)(255 * (v / most));
            bool black = !(most > 0) || isnan(v);
            cr_expect(have[0] == (black ? 0 : row) && have[1] == (black ? 0 : 255 - row) && have[2] == (black ? 0 : 77),
                      "%g of %g: %d %d %d, row %d", (double)v, (double)most, have[0], have[1], have[2], row);
        }
    }
    free(call.in[0].data);
    free(call.in[2].data);
    free(call.out[0].data);
}

/* ---- what shared memory cannot hold ---- */

static void check_case(const bcam_check_case *c)
{
    bcam_check_side reference = check_open(true, BCAM_PRECISION_FP32, 1), side = {.api = &kernel_device};
    bcam_check_result result;
    bcam_error err = {0};
    bcam_device_options options = {0};
    cr_assert_eq(side.api->open(&options, &side.device, &err), BCAM_OK);
    cr_assert_eq(bcam_check_run(c, &reference, &side, new_seed(), false, &result, &err), BCAM_OK, "%s", err.message);
    cr_expect_eq(result.outcome, BCAM_CHECK_PASSED, "%s", result.message);
    check_close(&reference);
    check_close(&side);
}

Test(kernels_extra, many_channels)
{
    for (size_t row = 2; row < 12; row += 7) { /* pooled; constant */
        bcam_check_case c;
        bcam_check_case_get(BCAM_VERB_CAM, row, &c);
        c.fills = 1u << BCAM_FILL_RANDOM;
        c.batch = 2;
        c.in[0].dim[0] = 8004;
        c.in[1].dim[c.step.u.cam.constant] = 8004;
        c.out[2].dim[0] = 8004;
        c.depth = 8004 * 49;
        check_case(&c);
    }
}

static void check_select(int64_t classes, int64_t places, int64_t k)
{
    bcam_check_case c;
    bcam_check_case_get(BCAM_VERB_SELECT, 1, &c);
    c.batch = 2;
    c.k = k;
    c.in[0].dim[0] = classes;
    c.in[1].dim[0] = places;
    c.in[1].limit = c.out[0].limit = classes;
    c.out[3].dim[0] = classes;
    c.depth = (double)classes;
    c.fills =
        1u << BCAM_FILL_RANDOM | 1u << BCAM_FILL_CONSTANT; /* the second asks for all ranks, and all logits are equal */
    check_case(&c);
}

Test(kernels_extra, many_classes)
{
    check_select(262144 + 33, 2, 2);
}

Test(kernels_extra, long_ranking)
{
    check_select(130, 100, 100);
}

/* ---- names ---- */

Test(kernels_extra, found_by_name)
{
    const emu_kernel *a = emu_kernel_find("_ZN4bcam5unaryI6__halfLi8EEEvNS_9UnaryArgsE");
    cr_assert(a != NULL);
    cr_expect_str_eq(emu_kernel_name(a), "void bcam::unary<__half, 8>(bcam::UnaryArgs)");
    cr_expect_eq(emu_kernel_find(emu_kernel_name(a)), a);
    cr_expect(emu_kernel_find("_ZN4bcam10fold_alongIfLi4ELNS_6FamilyE1EEEvNS_8FoldArgsE") != NULL);
    cr_expect(emu_kernel_find("_ZN4bcam3camI13__nv_bfloat16Li8ELb1EEEvNS_7CamArgsE") != NULL);
    cr_expect_eq(emu_kernel_find("_ZN4bcam4noneEv"), NULL);
}
