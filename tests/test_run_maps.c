/* test_run_maps.c - what an engine gives out, against definitions written down a second time: sizes, types, ranges, outcomes, tensors. Then what
 * it refuses, and that computing allocates nothing. */
#include <stdint.h>

#include "run_fixture.h"

static const char *const layers[] = {"layer1", "layer3.0.conv2", "layer4"}, *const methods[] = {"gradcam", "hirescam"};

/* resnet_tiny_old: three layers, both methods, two classes; two photos in a batch of three. */
static bcam_engine *open_tiny(bcam_engine_options o)
{
    o.batch = 3;
    o.threads = 2;
    o.classes = 2;
    o.layers = layers;
    o.layer_count = 3;
    o.methods = methods;
    o.method_count = 2;
    return fix_engine(fix_golden("resnet_tiny_old"), o);
}

static void compute_tiny(bcam_engine *engine)
{
    float *input = fix_input(engine, 2, 2024);
    fix_compute(engine, &(bcam_batch){.count = 2, .input = input});
    free(input);
}

enum { TINY_MAPS = 3 * 2 * 2 * 2 };

static bcam_map tiny_map(const bcam_engine *engine, int i)
{
    return fix_map(engine, i / 8, i / 4 % 2, i / 2 % 2, i % 2);
}

/* ---- size ---- */

/* The value at one output pixel: half-pixel centres, clamped edges. */
static double at_pixel(const float *map, int h, int w, int out_h, int out_w, int y, int x)
{
    double fy = (y + 0.5) * h / out_h - 0.5, fx = (x + 0.5) * w / out_w - 0.5;
    double y0 = floor(fy), x0 = floor(fx), sum = 0;
    for (int i = 0; i < 4; i++) {
        double py = y0 + i / 2, px = x0 + i % 2;
        double share = (1 - fabs(fy - py)) * (1 - fabs(fx - px));
        int iy = py < 0 ? 0 : py > h - 1 ? h - 1 : (int)py, ix = px < 0 ? 0 : px > w - 1 ? w - 1 : (int)px;
        sum += share * (double)map[iy * w + ix];
    }
    return sum;
}

static void check_sizes(bool signed_maps)
{
    bcam_engine *native = open_tiny((bcam_engine_options){.map_size = BCAM_SIZE_NATIVE, .signed_maps = signed_maps});
    bcam_engine *input = open_tiny((bcam_engine_options){.signed_maps = signed_maps});
    cr_assert(fix_info(input).map_height == 49 && fix_info(input).map_width == 47);
    compute_tiny(native);
    compute_tiny(input);
    for (int i = 0; i < TINY_MAPS; i++) {
        bcam_map a = tiny_map(native, i), b = tiny_map(input, i);
        bcam_layer_info layer;
        cr_assert_eq(bcam_engine_get_layer(native, i / 8, &layer, NULL), BCAM_OK);
        cr_assert(a.height == layer.height && a.width == layer.width && b.height == 49 && b.width == 47);
        cr_assert(a.raw_max == b.raw_max && a.raw_min == b.raw_min);
        if (i < 8)
            cr_assert(fix_info(native).map_height == a.height && fix_info(native).map_width == a.width);
        double size = fmax(fabs((double)a.raw_min), fabs((double)a.raw_max));
        for (int p = 0; p < 49 * 47; p++) {
            double expected = at_pixel(a.data, a.height, a.width, 49, 47, p / 47, p % 47),
                   got = (double)((const float *)b.data)[p];
            cr_assert(fabs(got - expected) <= 1e-6 * size, "map %d, pixel %d: %.9g, not %.9g", i, p, got, expected);
        }
    }
    bcam_engine_close(&native);
    bcam_engine_close(&input);
}

Test(run_maps, upsampled_to_the_input)
{
    check_sizes(false);
    check_sizes(true);
}

/* ---- ReLU and range ---- */

Test(run_maps, signed_maps_and_the_range_before_relu)
{
    bcam_engine *cut = open_tiny((bcam_engine_options){.map_size = BCAM_SIZE_NATIVE});
    bcam_engine *whole = open_tiny((bcam_engine_options){.map_size = BCAM_SIZE_NATIVE, .signed_maps = true});
    int negative = 0;
    compute_tiny(cut);
    compute_tiny(whole);
    for (int i = 0; i < TINY_MAPS; i++) {
        bcam_map a = tiny_map(cut, i), b = tiny_map(whole, i);
        const float *values = b.data;
        float low = INFINITY, high = -INFINITY;
        for (int p = 0; p < b.height * b.width; p++) {
            cr_assert_eq(((const float *)a.data)[p], values[p] > 0 ? values[p] : 0);
            low = fminf(low, values[p]);
            high = fmaxf(high, values[p]);
        }
        cr_assert(a.raw_min == low && a.raw_max == high && b.raw_min == low && b.raw_max == high);
        cr_assert_eq(a.outcome, high > 0 ? BCAM_MAP_OK : BCAM_MAP_ALL_ZERO);
        negative += low < 0;
    }
    cr_assert_gt(negative, 4);
    bcam_engine_close(&cut);
    bcam_engine_close(&whole);
}

/* ---- types ---- */

static double half_value(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double value = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return h & 0x8000 ? -value : value;
}

/* Whether h is the half nearest to x; of two that are as near, the even one. */
static bool is_rounded(uint16_t h, double x)
{
    double distance = fabs(half_value(h) - x);
    for (int step = -1; step <= 1; step += 2) {
        if ((h & 0x7fff) == 0 && step < 0)
            continue; /* nothing is below zero on its own side */
        double other = fabs(half_value((uint16_t)(h + step)) - x);
        if (other < distance || (other == distance && (h & 1)))
            return false;
    }
    return true;
}

static bool is_level(uint8_t level, double value, double raw_max)
{
    double scaled = raw_max > 0 ? 255 * value / raw_max : 0,
           slack = 255 * 1e-6; /* the library rounds 255 L / raw_max in float32 */
    return level >= floor(scaled - slack + 0.5) && level <= floor(scaled + slack + 0.5) &&
           (level < 255 || scaled >= 254.49);
}

static void check_types(bcam_map_size size, bool signed_maps)
{
    bcam_engine *f32 = open_tiny((bcam_engine_options){.map_size = size, .signed_maps = signed_maps});
    bcam_engine *f16 =
        open_tiny((bcam_engine_options){.map_size = size, .signed_maps = signed_maps, .map_dtype = BCAM_F16});
    bcam_engine *u8 = signed_maps ? NULL : open_tiny((bcam_engine_options){.map_size = size, .map_dtype = BCAM_U8});
    compute_tiny(f32);
    compute_tiny(f16);
    if (u8)
        compute_tiny(u8);
    for (int i = 0; i < TINY_MAPS; i++) {
        bcam_map a = tiny_map(f32, i), b = tiny_map(f16, i), c = u8 ? tiny_map(u8, i) : a;
        int most = 0;
        cr_assert(a.dtype == BCAM_F32 && b.dtype == BCAM_F16 && c.dtype == (u8 ? BCAM_U8 : BCAM_F32));
        cr_assert(a.raw_min == b.raw_min && a.raw_max == c.raw_max && a.outcome == c.outcome &&
                  a.class_id == b.class_id && a.height == c.height);
        for (int p = 0; p < a.height * a.width; p++) {
            float value = ((const float *)a.data)[p];
            cr_assert(is_rounded(((const uint16_t *)b.data)[p], (double)value), "%g is not %x", (double)value,
                      ((const uint16_t *)b.data)[p]);
            if (!u8)
                continue;
            int level = ((const uint8_t *)c.data)[p];
            cr_assert(is_level((uint8_t)level, (double)value, (double)a.raw_max), "%g of %g is not %d", (double)value,
                      (double)a.raw_max, level);
            most = level > most ? level : most;
        }
        if (u8 && size == BCAM_SIZE_NATIVE)
            cr_assert_eq(most, a.raw_max > 0 ? 255 : 0);
    }
    bcam_engine_close(&f32);
    bcam_engine_close(&f16);
    bcam_engine_close(&u8);
}

Test(run_maps, float16_and_uint8_round_float32)
{
    check_types(BCAM_SIZE_NATIVE, false);
    check_types(BCAM_SIZE_INPUT, false);
    check_types(BCAM_SIZE_NATIVE, true);
}

/* ---- outcomes: Captum's test net, whose conv1 is 16 ones per pixel of 3 x 3 and a bias ---- */

static void check_zeros(const bcam_map *map)
{
    const char *data = map->data;
    for (size_t i = 0; i < fix_map_bytes(map); i++)
        cr_assert_eq(data[i], 0);
}

static void check_outcomes(const char *device, bcam_dtype dtype)
{
    const char *layer = "relu1";
    bcam_engine *engine = fix_engine(
        fix_golden("captum_known"),
        (bcam_engine_options){.device = device, .batch = 5, .layers = &layer, .layer_count = 1, .map_dtype = dtype});
    const int32_t ids[5] = {0}, none[5] = {-1, -1, -1, -1, -1};
    float input[5][16];
    for (int i = 0; i < 16; i++) {
        input[0][i] = 0;   /* all units are cut off: nothing speaks for the class */
        input[1][i] = 100; /* the same everywhere: relu1 is 850 and 825, weights 1 and -0.5 */
        input[2][i] = i == 5 ? NAN : (float)i;
        input[3][i] = (float)i;
        input[4][i] = 3e38f; /* overflows on the way */
    }
    fix_compute(engine, &(bcam_batch){.count = 5, .input = input[0], .classes = ids});
    bcam_map zero = fix_map(engine, 0, 0, 0, 0), constant = fix_map(engine, 0, 0, 1, 0),
             nan = fix_map(engine, 0, 0, 2, 0), plain = fix_map(engine, 0, 0, 3, 0);
    cr_assert(zero.outcome == BCAM_MAP_ALL_ZERO && zero.raw_max <= 0, "%g", (double)zero.raw_max);
    check_zeros(&zero);
    cr_assert_eq(constant.outcome, BCAM_MAP_CONSTANT);
    cr_assert(constant.raw_min == 437.5f && constant.raw_max == 437.5f, "%g", (double)constant.raw_max);
    cr_assert_eq(nan.outcome, BCAM_MAP_NOT_FINITE);
    cr_assert(nan.class_id == 0 && isnan(nan.logit) && isnan(nan.raw_max));
    cr_assert_eq(fix_map(engine, 0, 0, 4, 0).outcome, BCAM_MAP_NOT_FINITE);
    cr_assert(plain.outcome == BCAM_MAP_OK && plain.raw_min == 0 && plain.raw_max == 32.5f, "%g",
              (double)plain.raw_max);
    if (dtype == BCAM_F32) {
        cr_assert_eq(((const float *)constant.data)[7], 437.5f);
        cr_assert_eq(((const float *)plain.data)[15], 32.5f); /* its corner is relu1's */
    }
    fix_compute(engine, &(bcam_batch){.count = 5, .input = input[0], .classes = none});
    for (int n = 0; n < 5; n++)
        cr_assert(fix_map(engine, 0, 0, n, 0).outcome == BCAM_MAP_NONE && fix_map(engine, 0, 0, n, 0).class_id == -1);
    bcam_engine_close(&engine);
}

Test(run_maps, outcomes)
{
    static const bcam_dtype dtypes[] = {BCAM_F32, BCAM_F16, BCAM_U8};
    for (int i = 0; i < 3; i++) {
        check_outcomes("cpu", dtypes[i]);
        check_outcomes("reference", dtypes[i]);
    }
}

Test(run_maps, a_photo_of_nan_leaves_the_others_alone)
{
    bcam_engine *engine = open_tiny((bcam_engine_options){.map_size = BCAM_SIZE_NATIVE});
    float *input = fix_input(engine, 3, 2024);
    size_t item = 3 * 49 * 47;
    for (size_t i = 0; i < item; i++)
        input[item + i] = NAN;
    fix_compute(engine, &(bcam_batch){.count = 3, .input = input});
    bcam_engine *clean = open_tiny((bcam_engine_options){.map_size = BCAM_SIZE_NATIVE});
    compute_tiny(clean);
    for (int i = 0; i < 6; i++) {
        bcam_map a = fix_map(engine, i / 2, i % 2, 0, 0), b = fix_map(clean, i / 2, i % 2, 0, 0),
                 bad = fix_map(engine, i / 2, i % 2, 1, 0);
        cr_assert_eq(memcmp(a.data, b.data, fix_map_bytes(&a)), 0);
        cr_assert_eq(bad.outcome, BCAM_MAP_NOT_FINITE);
        cr_assert(isnan(bad.logit));
    }
    free(input);
    bcam_engine_close(&engine);
    bcam_engine_close(&clean);
}

/* ---- tensors ---- */

/* w is the mean of g; a map before ReLU is the sum over channels of w A (Grad-CAM) or g A (HiResCAM). */
static void check_tensors(bcam_engine *engine, int layer)
{
    size_t a_count, g_count, w_count, raw_count;
    bcam_layer_info info;
    cr_assert_eq(bcam_engine_get_layer(engine, layer, &info, NULL), BCAM_OK);
    size_t c = (size_t)info.channels, area = (size_t)info.height * (size_t)info.width;
    float *a = fix_tensor(engine, BCAM_TENSOR_ACTIVATIONS, layer, 0, &a_count),
          *w = fix_tensor(engine, BCAM_TENSOR_WEIGHTS, layer, 0, &w_count), *g = NULL;
    cr_assert(a_count == 2 * c * area && w_count == 2 * 2 * c);
    if (!info.constant_gradient) {
        g = fix_tensor(engine, BCAM_TENSOR_GRADIENTS, layer, 0, &g_count);
        cr_assert_eq(g_count, 2 * 2 * c * area);
    } else {
        cr_assert_eq(bcam_engine_read(engine, BCAM_TENSOR_GRADIENTS, layer, 0, NULL, 0, &g_count, NULL),
                     BCAM_E_UNSUPPORTED);
    }
    for (int method = 0; method < 2; method++) {
        float *raw = fix_tensor(engine, BCAM_TENSOR_RAW, layer, method, &raw_count);
        cr_assert_eq(raw_count, 2 * 2 * area);
        for (size_t kn = 0; kn < 4; kn++)
            for (size_t p = 0; p < area; p++) {
                double sum = 0, size = 0;
                for (size_t i = 0; i < c; i++) {
                    double mean = 0;
                    for (size_t q = 0; g && q < area; q++)
                        mean += (double)g[(kn * c + i) * area + q] / (double)area;
                    double weight = (double)w[kn * c + i];
                    if (g && p == 0)
                        cr_assert(fabs(weight - mean) <= 1e-6 * (1e-3 + fabs(mean)), "%g, not %g", weight, mean);
                    double term = (method && g ? (double)g[(kn * c + i) * area + p] : weight) *
                                  (double)a[(kn % 2 * c + i) * area + p];
                    sum += term;
                    size += fabs(term);
                }
                cr_assert(fabs((double)raw[kn * area + p] - sum) <= 1e-6 * size, "%g, not %g",
                          (double)raw[kn * area + p], sum);
            }
        free(raw);
    }
    free(a);
    free(w);
    free(g);
}

Test(run_maps, tensors_behind_the_maps)
{
    bcam_engine *engine = open_tiny((bcam_engine_options){.signed_maps = true});
    compute_tiny(engine);
    for (int layer = 1; layer < 3; layer++)
        check_tensors(engine, layer);
    bcam_engine_close(&engine);
}

Test(run_maps, raw_is_the_native_map)
{
    bcam_engine *engine = open_tiny((bcam_engine_options){.map_size = BCAM_SIZE_NATIVE});
    size_t count;
    compute_tiny(engine);
    float *raw = fix_tensor(engine, BCAM_TENSOR_RAW, 1, 1, &count);
    for (int kn = 0; kn < 4; kn++) {
        bcam_map map = fix_map(engine, 1, 1, kn % 2, kn / 2);
        cr_assert_eq(memcmp(map.data, raw + (size_t)kn * (size_t)(map.height * map.width), fix_map_bytes(&map)), 0);
    }
    free(raw);
    bcam_engine_close(&engine);
}

/* ---- memory ---- */

static void check_no_allocation(const char *model, bcam_engine_options options, bool pixels)
{
    bcam_engine *engine = fix_engine(model, options);
    bcam_engine_info info = fix_info(engine);
    float *input = fix_input(engine, info.batch, 1);
    uint8_t *bytes = fix_scene(3, info.width, info.height * info.batch);
    int64_t before = bcam_alloc_calls();
    for (int run = 0; run < 2; run++) {
        fix_compute(engine, &(bcam_batch){
                                .count = info.batch, .input = pixels ? NULL : input, .pixels = pixels ? bytes : NULL});
        fix_compute(engine, &(bcam_batch){.count = 1, .input = input});
        for (int i = 0; i < info.layer_count * info.method_count; i++)
            fix_map(engine, i / info.method_count, i % info.method_count, 0, 0);
    }
    cr_assert_eq(bcam_alloc_calls(), before, "%s allocates %lld times", model,
                 (long long)(bcam_alloc_calls() - before));
    free(input);
    free(bytes);
    bcam_engine_close(&engine);
}

Test(run_maps, computing_allocates_nothing)
{
    static const char *const models[] = {fix_golden("resnet_tiny_new"), fix_golden("mobilenet_v3_tiny_old"),
                                         fix_golden("multi_consumer"), fix_golden("nhwc_twin"),
                                         fix_golden("const_layernorm_gemm")};
    for (size_t i = 0; i < BCAM_COUNT(models); i++)
        for (int way = 0; way < 3; way++)
            check_no_allocation(models[i],
                                (bcam_engine_options){.device = way ? "cpu" : "reference",
                                                      .batch = 3,
                                                      .threads = 2,
                                                      .classes = way == 2 ? 12 : 2,
                                                      .methods = methods,
                                                      .method_count = 2,
                                                      .map_dtype = BCAM_F16},
                                way == 1);
}

/* ---- what is refused ---- */

static void refuse_open(const char *model, bcam_engine_options options, bcam_status code, const char *word)
{
    bcam_engine *engine = (bcam_engine *)&engine; /* anything but NULL */
    bcam_error err;
    memset(&err, 0xee, sizeof err);
    int64_t live = bcam_alloc_live();
    cr_assert_eq(bcam_engine_open(model, &options, &engine, &err), code, "%s: %d %s", word, (int)err.code, err.message);
    cr_assert_null(engine);
    cr_assert(err.code == code && strstr(err.message, word) && !strchr(err.message, '\n'), "'%s' is not in: %s", word,
              err.message);
    engine = (bcam_engine *)&engine;
    cr_assert_eq(bcam_engine_open(model, &options, &engine, NULL), code); /* err may be missing */
    cr_assert_null(engine);
    cr_assert_eq(bcam_alloc_live(), live, "%s leaks", word);
}

Test(run_maps, options_that_will_not_do)
{
    static const char *const no_name[] = {NULL}, *const wrong[] = {"layerr4"}, *const wrong_method[] = {"gradcamm"};
    const char *model = fix_golden("resnet_tiny_old");
    bcam_engine_options none = {0};
    refuse_open(NULL, none, BCAM_E_ARGUMENT, "model");
    refuse_open("/nowhere/m.onnx", none, BCAM_E_IO, "/nowhere/m.onnx");
    refuse_open(FIX_DATA "/names.txt", none, BCAM_E_MODEL, "names.txt");
    refuse_open(FIX_DATA, none, BCAM_E_IO, "data");
    refuse_open(model, (bcam_engine_options){.batch = -1}, BCAM_E_ARGUMENT, "-1");
    refuse_open(model, (bcam_engine_options){.batch = 5000}, BCAM_E_ARGUMENT, "5000");
    refuse_open(model, (bcam_engine_options){.threads = -2}, BCAM_E_ARGUMENT, "-2");
    refuse_open(model, (bcam_engine_options){.threads = 99999}, BCAM_E_ARGUMENT, "99999");
    refuse_open(model, (bcam_engine_options){.layer_count = -1}, BCAM_E_ARGUMENT, "-1");
    refuse_open(model, (bcam_engine_options){.layers = layers, .layer_count = 17}, BCAM_E_ARGUMENT, "17");
    refuse_open(model, (bcam_engine_options){.layer_count = 1}, BCAM_E_ARGUMENT, "layer");
    refuse_open(model, (bcam_engine_options){.layers = no_name, .layer_count = 1}, BCAM_E_ARGUMENT, "layer");
    refuse_open(model, (bcam_engine_options){.layers = wrong, .layer_count = 1}, BCAM_E_LAYER, "'layer4'");
    refuse_open(model, (bcam_engine_options){.methods = methods, .method_count = 9}, BCAM_E_ARGUMENT, "9");
    refuse_open(model, (bcam_engine_options){.method_count = 1}, BCAM_E_ARGUMENT, "method");
    refuse_open(model, (bcam_engine_options){.methods = no_name, .method_count = 1}, BCAM_E_ARGUMENT, "method");
    refuse_open(model, (bcam_engine_options){.methods = wrong_method, .method_count = 1}, BCAM_E_ARGUMENT,
                "gradcam, hirescam");
    refuse_open(model, (bcam_engine_options){.classes = -3}, BCAM_E_ARGUMENT, "-3");
    refuse_open(model, (bcam_engine_options){.map_dtype = BCAM_F64}, BCAM_E_ARGUMENT, "float32");
    refuse_open(model, (bcam_engine_options){.map_dtype = (bcam_dtype)99}, BCAM_E_ARGUMENT, "float32");
    refuse_open(model, (bcam_engine_options){.map_dtype = BCAM_U8, .signed_maps = true}, BCAM_E_ARGUMENT, "uint8");
    refuse_open(model, (bcam_engine_options){.precision = BCAM_PRECISION_FP64}, BCAM_E_ARGUMENT, "fp64");
    refuse_open(model, (bcam_engine_options){.precision = (bcam_precision)77}, BCAM_E_ARGUMENT, "precision");
    refuse_open(model, (bcam_engine_options){.map_size = (bcam_map_size)5}, BCAM_E_ARGUMENT, "size");
    refuse_open(model, (bcam_engine_options){.activation = (bcam_activation)9}, BCAM_E_ARGUMENT, "activation");
    refuse_open(model, (bcam_engine_options){.device = "abacus"}, BCAM_E_DEVICE, "'abacus'");
    refuse_open(model, (bcam_engine_options){.preprocess = "torchvison"}, BCAM_E_INPUT, "'torchvision'");
    refuse_open(model, (bcam_engine_options){.preprocess = "/nowhere/p.json"}, BCAM_E_IO, "/nowhere/p.json");
    cr_assert_eq(bcam_engine_open(model, NULL, NULL, NULL), BCAM_E_ARGUMENT);
}

static void refuse_compute(bcam_engine *engine, bcam_batch batch, bcam_status code, const char *word)
{
    bcam_error err;
    memset(&err, 0xee, sizeof err);
    cr_assert_eq(bcam_engine_compute(engine, &batch, &err), code, "%s", word);
    cr_assert(err.code == code && strstr(err.message, word), "'%s' is not in: %s", word, err.message);
    cr_assert_eq(bcam_engine_compute(engine, &batch, NULL), code);
}

Test(run_maps, batches_that_will_not_do)
{
    bcam_engine *engine = fix_engine(fix_golden("resnet_tiny_old"), (bcam_engine_options){.batch = 2, .classes = 2});
    float *input = fix_input(engine, 3, 1);
    uint8_t *pixels = fix_scene(1, 47, 49 * 3);
    const int32_t good[4] = {0, 6, -1, -2}, bad[4] = {0, 1, 6, 7};
    refuse_compute(engine, (bcam_batch){.count = 0, .input = input}, BCAM_E_ARGUMENT, "1 to 2");
    refuse_compute(engine, (bcam_batch){.count = -1, .input = input}, BCAM_E_ARGUMENT, "-1");
    refuse_compute(engine, (bcam_batch){.count = 3, .input = input}, BCAM_E_ARGUMENT, "3");
    refuse_compute(engine, (bcam_batch){.count = 1}, BCAM_E_ARGUMENT, "either");
    refuse_compute(engine, (bcam_batch){.count = 1, .input = input, .pixels = pixels}, BCAM_E_ARGUMENT, "either");
    refuse_compute(engine, (bcam_batch){.count = 2, .input = input, .classes = bad}, BCAM_E_CLASS, "7");
    refuse_compute(NULL, (bcam_batch){.count = 1, .input = input}, BCAM_E_ARGUMENT, "engine");
    cr_assert_eq(bcam_engine_compute(engine, NULL, NULL), BCAM_E_ARGUMENT);
    cr_assert_null(bcam_engine_logits(engine)); /* nothing was computed yet */
    fix_compute(engine, &(bcam_batch){.count = 2, .input = input, .classes = good});
    cr_assert_not_null(bcam_engine_logits(engine));
    free(input);
    free(pixels);
    bcam_engine_close(&engine);
    engine = fix_engine(fix_golden("captum_known"), (bcam_engine_options){.batch = 1});
    uint8_t grey[48] = {0};
    fix_compute(engine, &(bcam_batch){.count = 1, .pixels = grey});
    bcam_engine_close(&engine);
}

Test(run_maps, questions_that_have_no_answer)
{
    bcam_engine *engine = fix_engine(fix_golden("resnet_tiny_old"),
                                     (bcam_engine_options){.batch = 3, .classes = 2, .map_size = BCAM_SIZE_NATIVE});
    bcam_engine_info info;
    bcam_layer_info layer;
    bcam_map map;
    bcam_error err;
    size_t count;
    float room[4];
    cr_assert_eq(bcam_engine_map(engine, 0, 0, 0, 0, &map, &err), BCAM_E_ARGUMENT); /* no batch yet */
    cr_assert_eq(bcam_engine_read(engine, BCAM_TENSOR_RAW, 0, 0, NULL, 0, &count, &err), BCAM_E_ARGUMENT);
    float *input = fix_input(engine, 2, 1);
    fix_compute(engine, &(bcam_batch){.count = 2, .input = input});
    static const int wrong[][4] = {{-1, 0, 0, 0}, {1, 0, 0, 0}, {0, -1, 0, 0}, {0, 1, 0, 0},
                                   {0, 0, -1, 0}, {0, 0, 2, 0}, {0, 0, 0, -1}, {0, 0, 0, 2}};
    for (size_t i = 0; i < BCAM_COUNT(wrong); i++) {
        err.message[0] = '\0';
        cr_assert_eq(bcam_engine_map(engine, wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3], &map, &err),
                     BCAM_E_ARGUMENT);
        cr_assert(strstr(err.message, "no map"), "%s", err.message);
    }
    cr_assert_eq(bcam_engine_map(engine, 0, 0, 0, 0, NULL, &err), BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_engine_map(NULL, 0, 0, 0, 0, &map, NULL), BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_engine_read(engine, BCAM_TENSOR_RAW, 0, 0, room, 4, &count, &err), BCAM_E_ARGUMENT);
    cr_assert(count == 2 * 2 * 2 * 2 && strstr(err.message, "16"), "%zu: %s", count, err.message);
    cr_assert_eq(bcam_engine_read(engine, (bcam_tensor_kind)9, 0, 0, room, 4, &count, &err), BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_engine_read(engine, BCAM_TENSOR_RAW, 0, 0, room, 4, NULL, &err), BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_engine_read(engine, BCAM_TENSOR_RAW, 0, 1, room, 4, &count, NULL), BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_engine_read(NULL, BCAM_TENSOR_RAW, 0, 0, room, 4, &count, NULL), BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_engine_get_layer(engine, 1, &layer, &err), BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_engine_get_layer(engine, -1, &layer, NULL), BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_engine_get_layer(NULL, 0, &layer, NULL), BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_engine_get_info(NULL, &info, NULL), BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_engine_get_info(engine, NULL, NULL), BCAM_E_ARGUMENT);
    cr_assert_null(bcam_engine_logits(NULL));
    free(input);
    bcam_engine_close(&engine);
    cr_assert_null(engine);
    bcam_engine_close(&engine);
    bcam_engine_close(NULL);
}

Test(run_maps, gradients_of_many_classes_are_not_kept)
{
    const char *layer = "layer1";
    size_t count;
    bcam_error err;
    bcam_engine *engine =
        fix_engine(fix_golden("resnet_tiny_old"),
                   (bcam_engine_options){.batch = 1, .classes = 9, .layers = &layer, .layer_count = 1});
    float *input = fix_input(engine, 1, 1);
    fix_compute(engine, &(bcam_batch){.count = 1, .input = input});
    cr_assert_eq(bcam_engine_read(engine, BCAM_TENSOR_GRADIENTS, 0, 0, NULL, 0, &count, &err), BCAM_E_UNSUPPORTED);
    cr_assert(strstr(err.message, "8"), "%s", err.message);
    free(input);
    bcam_engine_close(&engine);
}
