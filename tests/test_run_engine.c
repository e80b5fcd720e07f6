/* test_run_engine.c - one engine against another: many layers, classes and methods at once against one of each; photos alone against photos in
 * company; pixels against numbers; and what an engine refuses. */
#include "run_fixture.h"

/* ---- many at once ---- */

typedef struct net_case {
    const char *model, *layers[3];
} net_case;

static const net_case nets[] = {
    {fix_golden("resnet_tiny_old"), {"layer1", "layer3.0.conv2", "layer4"}},
    {fix_golden("resnet_block_bn_new"), {"layer4.0.conv3", "layer4.0.bn3", "layer4"}},
    {fix_golden("mobilenet_v3_tiny_new"), {"features.1", "features.3", "features.4.block.2"}},
    {fix_golden("multi_consumer"), {"a", "b", "e"}},
    {fix_golden("nhwc_twin"), {"twin/relu1", "twin/relu6", "twin/relu2"}},
};

static const char *const both_methods[] = {"gradcam", "hirescam"};

static double relative_error(const float *a, const float *b, size_t count)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    return difference == 0 ? 0 : sqrt(difference / norm);
}

static void expect_near(const bcam_map *a, const bcam_map *b, const char *what)
{
    double size = fmax(fabs((double)b->raw_min), fabs((double)b->raw_max));
    cr_assert(a->outcome == b->outcome && a->class_id == b->class_id && a->height == b->height &&
                  a->width == b->width && a->dtype == BCAM_F32,
              "%s", what);
    cr_assert(fabs((double)(a->logit - b->logit)) <= 1e-6 * (1 + fabs((double)b->logit)), "%s: logits %g and %g", what,
              (double)a->logit, (double)b->logit);
    cr_assert(fabs((double)(a->probability - b->probability)) <= 1e-6, "%s", what);
    cr_assert(fabs((double)(a->raw_min - b->raw_min)) <= 2e-6 * size &&
                  fabs((double)(a->raw_max - b->raw_max)) <= 2e-6 * size,
              "%s", what);
    double error = relative_error(a->data, b->data, (size_t)a->height * (size_t)a->width);
    cr_assert(error <= 1e-6, "%s: the maps differ by %g", what, error);
}

/* One layer and method of `many` against an engine that has nothing else, a class at a time. */
static void compare_single(bcam_engine *many, const net_case *net, const char *device, int layer, int method,
                           const float *input)
{
    const char *layers[] = {net->layers[layer]}, *methods[] = {both_methods[method]};
    bcam_engine *one = fix_engine(net->model, (bcam_engine_options){.device = device,
                                                                    .batch = 2,
                                                                    .threads = 2,
                                                                    .layers = layers,
                                                                    .layer_count = 1,
                                                                    .methods = methods,
                                                                    .method_count = 1,
                                                                    .signed_maps = true,
                                                                    .map_size = BCAM_SIZE_NATIVE});
    int classes = fix_info(one).class_count;
    for (int k = 0; k < classes; k++) {
        const int32_t ids[2] = {k, (k + 3) % classes}; /* two photos, different classes */
        fix_compute(one, &(bcam_batch){.count = 2, .input = input, .classes = ids});
        for (int n = 0; n < 2; n++) {
            bcam_map a = fix_map(many, layer, method, n, ids[n]), b = fix_map(one, 0, 0, n, 0);
            expect_near(&a, &b,
                        fix_text("%s on %s, layer %s, %s, class %d, photo %d", net->model, device, layers[0],
                                 methods[0], ids[n], n));
        }
    }
    bcam_engine_close(&one);
}

static void compare_net(const net_case *net, const char *device)
{
    bcam_engine_options options = {.device = device,
                                   .batch = 2,
                                   .threads = 2,
                                   .layers = net->layers,
                                   .layer_count = 3,
                                   .methods = both_methods,
                                   .method_count = 2,
                                   .signed_maps = true,
                                   .map_size = BCAM_SIZE_NATIVE,
                                   .classes = 1};
    bcam_engine *many = fix_engine(net->model, options);
    options.classes = fix_info(many).class_count;
    bcam_engine_close(&many);
    many = fix_engine(net->model, options);
    float *input = fix_input(many, 2, 99);
    int32_t ids[2 * 16];
    for (int i = 0; i < 2 * options.classes; i++)
        ids[i] = i % options.classes;
    fix_compute(many, &(bcam_batch){.count = 2, .input = input, .classes = ids});
    for (int layer = 0; layer < 3; layer++)
        for (int method = 0; method < 2; method++)
            compare_single(many, net, device, layer, method, input);
    free(input);
    bcam_engine_close(&many);
}

Test(run_engine, many_layers_classes_methods_at_once)
{
    for (size_t i = 0; i < BCAM_COUNT(nets); i++)
        compare_net(&nets[i], "cpu");
    compare_net(&nets[1], "reference");
}

/* ---- more classes than one backward run takes ---- */

enum { WIDE = 20 };

/* What is asked of two photos: all classes in an odd order; and repeated ones, with gaps. */
static void ask(int32_t *ids) // (2,WIDE)
{
    for (int p = 0; p < WIDE; p++) {
        ids[p] = p * 7 % WIDE;
        ids[WIDE + p] = p == 3 || p == 11 ? BCAM_CLASS_NONE : p * 5 % 13;
    }
}

static void expect_equal(const bcam_map *a, const bcam_map *b, const char *what)
{
    cr_assert(a->outcome == b->outcome && a->class_id == b->class_id, "%s", what);
    cr_assert(a->logit == b->logit && a->probability == b->probability && a->raw_min == b->raw_min &&
                  a->raw_max == b->raw_max,
              "%s", what);
    cr_assert(a->height == b->height && a->width == b->width && a->dtype == b->dtype, "%s", what);
    cr_assert(memcmp(a->data, b->data, fix_map_bytes(a)) == 0, "%s", what);
}

static void compare_chunks(const char *model, const char *device)
{
    static const char *const layers[] = {"relu1", "relu2"};
    bcam_engine_options options = {.device = device,
                                   .batch = 3,
                                   .threads = 2,
                                   .layers = layers,
                                   .layer_count = 2,
                                   .methods = both_methods,
                                   .method_count = 2,
                                   .classes = WIDE};
    bcam_engine *wide = fix_engine(model, options);
    options.classes = 1;
    bcam_engine *one = fix_engine(model, options);
    int32_t ids[2 * WIDE];
    float *input = fix_input(wide, 2, 7);
    ask(ids);
    fix_compute(wide, &(bcam_batch){.count = 2, .input = input, .classes = ids});
    for (int n = 0; n < 2; n++) {
        bool seen[WIDE] = {false};
        for (int k = 0; k < WIDE; k++) {
            int id = ids[n * WIDE + k];
            bool none = id < 0 || seen[id];
            const int32_t pair[2] = {id, id};
            if (!none)
                fix_compute(one, &(bcam_batch){.count = 2, .input = input, .classes = pair});
            for (int i = 0; i < 4; i++) {
                bcam_map a = fix_map(wide, i / 2, i % 2, n, k);
                if (none) {
                    cr_assert(a.outcome == BCAM_MAP_NONE && a.class_id == -1, "photo %d, place %d", n, k);
                    continue;
                }
                bcam_map b = fix_map(one, i / 2, i % 2, n, 0);
                cr_assert_eq(a.class_id, id);
                expect_equal(&a, &b,
                             fix_text("%s: photo %d, class %d, layer %d, method %d", device, n, id, i / 2, i % 2));
            }
            if (!none)
                seen[id] = true;
        }
    }
    free(input);
    bcam_engine_close(&wide);
    bcam_engine_close(&one);
}

Test(run_engine, many_classes_in_chunks)
{
    for (int hidden = 0; hidden < 2; hidden++) {
        fix_job *job = fix_open(WIDE, hidden);
        compare_chunks(job->model, "cpu");
        compare_chunks(job->model, "reference");
        fix_close(job);
    }
}

/* ---- which class ---- */

static int rank_of(const float *logits, int count, int class)
{
    int rank = 0;
    for (int c = 0; c < count; c++)
        rank += logits[c] > logits[class] || (logits[c] == logits[class] && c < class);
    return rank;
}

Test(run_engine, ranks_follow_the_logits)
{
    const char *model = fix_golden("resnet_tiny_old");
    enum { K = 9, M = 7 };
    bcam_engine *engine = fix_engine(model, (bcam_engine_options){.batch = 4, .classes = K});
    float *input = fix_input(engine, 3, 5);
    fix_compute(engine, &(bcam_batch){.count = 3, .input = input});
    for (int n = 0; n < 3; n++)
        for (int k = 0; k < K; k++) { /* left out: ranks in order; there are only M */
            bcam_map map = fix_map(engine, 0, 0, n, k);
            cr_assert_eq(map.outcome == BCAM_MAP_NONE, k >= M);
            if (k < M)
                cr_assert_eq(rank_of(bcam_engine_logits(engine) + n * M, M, map.class_id), k);
        }
    bcam_map top[3];
    for (int n = 0; n < 3; n++)
        top[n] = fix_map(engine, 0, 0, n, 0);
    int32_t ids[3 * K];
    for (int i = 0; i < 3 * K; i++)
        ids[i] = BCAM_CLASS_NONE;
    for (int n = 0; n < 3; n++) {
        ids[n * K] = BCAM_CLASS_RANK(2);
        ids[n * K + 1] = top[n].class_id;
        ids[n * K + 2] = BCAM_CLASS_RANK(0); /* the same class in other words */
        ids[n * K + 3] = BCAM_CLASS_RANK(M);
        ids[n * K + 4] = INT32_MIN;
        ids[n * K + 8] = BCAM_CLASS_RANK(1); /* in the second chunk */
    }
    fix_compute(engine, &(bcam_batch){.count = 3, .input = input, .classes = ids});
    for (int n = 0; n < 3; n++) {
        static const int expected[K] = {2, 0, -1, -1, -1, -1, -1, -1, 1};
        for (int k = 0; k < K; k++) {
            bcam_map map = fix_map(engine, 0, 0, n, k);
            cr_assert_eq(map.class_id < 0 ? -1 : rank_of(bcam_engine_logits(engine) + n * M, M, map.class_id),
                         expected[k]);
        }
        cr_assert_eq(fix_map(engine, 0, 0, n, 1).logit, top[n].logit);
    }
    free(input);
    bcam_engine_close(&engine);
}

static void check_probabilities(const char *model, bcam_activation asked, bcam_activation resolved)
{
    bcam_engine *engine = fix_engine(model, (bcam_engine_options){.batch = 2, .classes = 3, .activation = asked});
    bcam_engine_info info = fix_info(engine);
    float *input = fix_input(engine, 2, 8);
    cr_assert_eq(info.activation, resolved, "%s", model);
    fix_compute(engine, &(bcam_batch){.count = 2, .input = input});
    for (int n = 0; n < 2; n++)
        for (int k = 0; k < 3; k++) {
            bcam_map map = fix_map(engine, 0, 0, n, k);
            const float *logits = bcam_engine_logits(engine) + n * info.class_count;
            double sum = 0, logit = (double)logits[map.class_id];
            for (int c = 0; c < info.class_count; c++)
                sum += exp((double)logits[c]);
            double expected = resolved == BCAM_ACTIVATION_SOFTMAX   ? exp(logit) / sum
                              : resolved == BCAM_ACTIVATION_SIGMOID ? 1 / (1 + exp(-logit))
                                                                    : logit;
            cr_assert_eq(map.logit, logits[map.class_id]);
            cr_assert_float_eq((double)map.probability, expected, 1e-6);
        }
    free(input);
    bcam_engine_close(&engine);
}

Test(run_engine, probabilities)
{
    const char *model = fix_golden("resnet_tiny_old"), *ends_with_softmax = fix_golden("nhwc_twin");
    check_probabilities(model, BCAM_ACTIVATION_AUTO, BCAM_ACTIVATION_SOFTMAX);
    check_probabilities(model, BCAM_ACTIVATION_SIGMOID, BCAM_ACTIVATION_SIGMOID);
    check_probabilities(model, BCAM_ACTIVATION_NONE, BCAM_ACTIVATION_NONE);
    check_probabilities(ends_with_softmax, BCAM_ACTIVATION_AUTO, BCAM_ACTIVATION_SOFTMAX);
    check_probabilities(ends_with_softmax, BCAM_ACTIVATION_NONE, BCAM_ACTIVATION_NONE);
}

/* ---- company, threads ---- */

typedef struct record {
    unsigned char *data;
    size_t size;
} record;

static void keep(record *r, const void *data, size_t bytes)
{
    r->data = realloc(r->data, r->size + bytes);
    memcpy(r->data + r->size, data, bytes);
    r->size += bytes;
}

/* Everything that an engine says of `total` photos. */
static record record_of(const char *model, bcam_engine_options options, int total)
{
    record r = {0};
    bcam_engine *engine = fix_engine(model, options);
    bcam_engine_info info = fix_info(engine);
    size_t item = (size_t)info.channels * (size_t)info.height * (size_t)info.width;
    float *input = fix_input(engine, total, 31);
    for (int first = 0; first < total; first += info.batch) {
        int now = total - first < info.batch ? total - first : info.batch;
        fix_compute(engine, &(bcam_batch){.count = now, .input = input + (size_t)first * item});
        for (int n = 0; n < now; n++) {
            keep(&r, bcam_engine_logits(engine) + n * info.class_count, (size_t)info.class_count * sizeof(float));
            for (int i = 0; i < info.layer_count * info.method_count * info.classes; i++) {
                bcam_map map = fix_map(engine, i / info.classes / info.method_count,
                                       i / info.classes % info.method_count, n, i % info.classes);
                const float numbers[4] = {map.logit, map.probability, map.raw_min, map.raw_max};
                keep(&r, &map.class_id, sizeof map.class_id);
                keep(&r, numbers, sizeof numbers);
                keep(&r, map.data, fix_map_bytes(&map));
            }
        }
    }
    free(input);
    bcam_engine_close(&engine);
    return r;
}

static void check_company(const char *model, const char *const *layers, int layer_count, const char *device,
                          bool deterministic)
{
    static const struct {
        int batch, threads;
    } ways[] = {{1, 1}, {1, 4}, {3, 2}, {5, 3}, {16, 1}, {16, 4}};
    record first = {0};
    for (size_t i = 0; i < BCAM_COUNT(ways); i++) {
        bcam_engine_options options = {.device = device,
                                       .batch = ways[i].batch,
                                       .threads = ways[i].threads,
                                       .deterministic = deterministic,
                                       .layers = layers,
                                       .layer_count = layer_count,
                                       .methods = both_methods,
                                       .method_count = 2,
                                       .classes = 2};
        record r = record_of(model, options, 5);
        if (i == 0) {
            first = r;
            continue;
        }
        cr_assert(r.size == first.size && memcmp(r.data, first.data, r.size) == 0,
                  "%s on %s: batch %d, %d threads differ", model, device, ways[i].batch, ways[i].threads);
        free(r.data);
    }
    free(first.data);
}

Test(run_engine, a_map_depends_on_no_neighbour_and_no_thread)
{
    static const char *const demo_layers[] = {"stage1", "stage3"};
    static const char *const small_layers[] = {"relu1", "conv2"};
    fix_job *job = fix_open(WIDE, true);
    check_company(job->model, small_layers, 2, "cpu", false);
    check_company(job->model, small_layers, 2, "reference", false);
    fix_close(job);
    for (size_t i = 0; i < BCAM_COUNT(nets); i++)
        check_company(nets[i].model, nets[i].layers, 3, "cpu", i % 2);
    check_company(FIX_DATA "/model.onnx", demo_layers, 2, "cpu", false);
}

Test(run_engine, the_same_batch_twice)
{
    bcam_engine *engine = fix_engine(nets[0].model, (bcam_engine_options){.batch = 2, .threads = 2});
    float *input = fix_input(engine, 4, 3);
    size_t item = (size_t)(3 * 49 * 47);
    fix_compute(engine, &(bcam_batch){.count = 2, .input = input});
    bcam_map map = fix_map(engine, 0, 0, 1, 0);
    void *before = malloc(fix_map_bytes(&map));
    memcpy(before, map.data, fix_map_bytes(&map));
    fix_compute(engine, &(bcam_batch){.count = 1, .input = input + 2 * item}); /* something else in between */
    fix_compute(engine, &(bcam_batch){.count = 2, .input = input});
    map = fix_map(engine, 0, 0, 1, 0);
    cr_assert(memcmp(before, map.data, fix_map_bytes(&map)) == 0);
    free(before);
    free(input);
    bcam_engine_close(&engine);
}

Test(run_engine, a_batch_fixed_at_one_is_lifted)
{
    bcam_engine *engine =
        fix_engine(fix_golden("fixed_batch_reshape"), (bcam_engine_options){.batch = 4, .classes = 2});
    cr_assert_eq(fix_info(engine).batch, 4);
    bcam_engine_close(&engine);
    check_company(fix_golden("fixed_batch_reshape"), (const char *const[]){"relu1", "relu2"}, 2, "cpu", false);
}

/* ---- pixels ---- */

typedef struct preset_case {
    const char *name;
    bool divide, bgr;
    float mean[3], std[3]; /* in the network's order */
} preset_case;

static const preset_case presets[] = {
    {"torchvision", true, false, {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}},
    {"keras-caffe", false, true, {103.939f, 116.779f, 123.68f}, {1, 1, 1}},
    {"unit", true, false, {0, 0, 0}, {1, 1, 1}},
    {"raw", false, false, {0, 0, 0}, {1, 1, 1}},
};

/* Bytes as PyTorch makes numbers of them, in float32. */
static float *normalised(const uint8_t *pixels, int count, int height, int width, bool nhwc, const preset_case *p)
{
    int area = height * width;
    float *input = malloc((size_t)(count * 3 * area) * sizeof *input);
    for (int n = 0; n < count; n++)
        for (int c = 0; c < 3; c++)
            for (int i = 0; i < area; i++) {
                float value = pixels[(n * area + i) * 3 + (p->bgr ? 2 - c : c)];
                value = p->divide ? value / 255.0f : value;
                value = value - p->mean[c];
                value = value / p->std[c];
                input[nhwc ? (n * area + i) * 3 + c : (n * 3 + c) * area + i] = value;
            }
    return input;
}

static void check_pixels(const char *model, bool nhwc, const preset_case *preset)
{
    bcam_engine_options options = {.batch = 3, .threads = 2, .preprocess = preset->name, .classes = 2};
    bcam_engine *from_pixels = fix_engine(model, options), *from_input = fix_engine(model, options);
    bcam_engine_info info = fix_info(from_pixels);
    uint8_t *pixels = fix_scene(17, info.width, info.height * 2);
    float *input = normalised(pixels, 2, info.height, info.width, nhwc, preset);
    fix_compute(from_pixels, &(bcam_batch){.count = 2, .pixels = pixels});
    fix_compute(from_input, &(bcam_batch){.count = 2, .input = input});
    cr_assert(memcmp(bcam_engine_logits(from_pixels), bcam_engine_logits(from_input),
                     (size_t)(2 * info.class_count) * sizeof(float)) == 0,
              "%s, %s", model, preset->name);
    for (int i = 0; i < 4; i++) {
        bcam_map a = fix_map(from_pixels, 0, 0, i / 2, i % 2), b = fix_map(from_input, 0, 0, i / 2, i % 2);
        expect_equal(&a, &b, fix_text("%s, %s", model, preset->name));
    }
    free(input);
    free(pixels);
    bcam_engine_close(&from_pixels);
    bcam_engine_close(&from_input);
}

Test(run_engine, pixels_are_the_input_they_stand_for)
{
    for (size_t i = 0; i < BCAM_COUNT(presets); i++) {
        check_pixels(fix_golden("resnet_tiny_old"), false, &presets[i]);
        check_pixels(fix_golden("nhwc_twin"), true, &presets[i]);
        check_pixels(fix_golden("nhwc_twin_nchw"), false, &presets[i]);
    }
}

Test(run_engine, channels_last_and_first_twins)
{
    const char *layer = "twin/relu6";
    bcam_engine_options options = {.batch = 2, .layers = &layer, .layer_count = 1, .classes = 2};
    bcam_engine *last = fix_engine(fix_golden("nhwc_twin"), options),
                *first = fix_engine(fix_golden("nhwc_twin_nchw"), options);
    uint8_t *pixels = fix_scene(4, 31, 66);
    fix_compute(last, &(bcam_batch){.count = 2, .pixels = pixels});
    fix_compute(first, &(bcam_batch){.count = 2, .pixels = pixels});
    for (int i = 0; i < 4; i++) {
        bcam_map a = fix_map(last, 0, 0, i / 2, i % 2), b = fix_map(first, 0, 0, i / 2, i % 2);
        expect_near(&a, &b, "twins");
    }
    free(pixels);
    bcam_engine_close(&last);
    bcam_engine_close(&first);
}

/* ---- batches in two halves ---- */

Test(run_engine, start_and_finish)
{
    bcam_error err;
    bcam_engine *engine = fix_engine(nets[0].model, (bcam_engine_options){.device = "cpu", .batch = 2, .threads = 2});
    bcam_engine_info info = fix_info(engine);
    size_t item = (size_t)info.map_height * (size_t)info.map_width;
    cr_assert_eq(info.pairs, 1, "the CPU computes one batch at a time");
    float *input = fix_input(engine, 2, 5), *maps = malloc(item * sizeof *maps);
    bcam_batch batch = {.count = 2, .input = input};
    fix_compute(engine, &batch);
    memcpy(maps, fix_map(engine, 0, 0, 1, 0).data, item * sizeof *maps);

    cr_assert_eq(bcam_engine_start(engine, &batch, 0, &err), BCAM_OK, "%s", err.message);
    cr_assert_null(bcam_engine_logits(engine)); /* the last batch's are gone, this one's not there yet */
    cr_assert_eq(bcam_engine_start(engine, &batch, 0, &err), BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_engine_start(engine, &batch, 1, &err), BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_engine_finish(engine, -1, &err), BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_engine_finish(engine, 0, &err), BCAM_OK, "%s", err.message);
    cr_assert_arr_eq(fix_map(engine, 0, 0, 1, 0).data, maps, item * sizeof *maps);
    cr_assert_eq(bcam_engine_finish(engine, 0, &err), BCAM_E_ARGUMENT);
    cr_assert_null(bcam_engine_pixels(engine, 1));
    free(maps);
    free(input);
    bcam_engine_close(&engine);
}

/* ---- a network whose tensors lose all dimensions: |log sum exp x|, whose gradient is a softmax over the whole layer, or its negation ---- */

Test(run_engine, derivative_of_a_single_number)
{
    static const char *const devices[] = {"cpu", "reference"};
    for (size_t d = 0; d < BCAM_COUNT(devices); d++) {
        bcam_engine *engine = fix_engine(BCAM_TEST_DATA "/fuzz/findings/plan/derivative_of_a_single_number.onnx",
                                         (bcam_engine_options){.device = devices[d], .batch = 1, .classes = 2});
        float *input = fix_input(engine, 1, 3);
        size_t count;
        fix_compute(engine, &(bcam_batch){.count = 1, .input = input});
        float *a = fix_tensor(engine, BCAM_TENSOR_ACTIVATIONS, 0, 0, &count), *g;
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += exp((double)a[i]);
        g = fix_tensor(engine, BCAM_TENSOR_GRADIENTS, 0, 0, &count);
        double sign = g[0] < 0 ? -1 : 1; /* the better of the two classes comes first */
        for (size_t i = 0; i < count; i++) {
            double softmax = exp((double)a[i % (count / 2)]) / sum, expected = i < count / 2 ? softmax : -softmax;
            cr_assert(fabs((double)g[i] - sign * expected) <= 1e-5 * softmax, "%s: %g instead of %g", devices[d],
                      (double)g[i], sign * expected);
        }
        free(input);
        free(a);
        free(g);
        bcam_engine_close(&engine);
    }
}
