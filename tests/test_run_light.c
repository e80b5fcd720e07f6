/* test_run_light.c - nine well-known networks at full width (BCAM_SHARED_DATA; skipped, saying so, where it is not
 * there): as they are, against the output that comes with them; with made-up weights, against PyTorch in double; and the
 * layer that each is explained at by default. */
#include <unistd.h>

#include "golden_run.h"
#include "light_model.h"
#include "operator_case.h"
#include "run_fixture.h"

enum { ITEM = 3 * 224 * 224, CLASSES = 1000 };

typedef struct light_case {
    const char *name, *default_layer;
    int channels, size;
} light_case;

static const light_case cases[] = {
    {"bvlc_alexnet", "r14", 256, 6},   /* pool5: the end of the convolutions, as for ZFNet and VGG */
    {"densenet121", "r907", 1024, 7},  /* ReLU behind the last batch norm */
    {"inception_v1", "r137", 1024, 6}, /* 5b */
    {"inception_v2", "r504", 1024, 7}, /* 5b */
    {"resnet50", "r171", 2048, 7},     /* res5c */
    {"shufflenet", "r198", 544, 7},    /* the last unit */
    {"squeezenet", "r60", 512, 13},    /* fire9, before the convolution that makes classes */
    {"vgg19", "r36", 512, 7},          /* pool5 */
    {"zfnet512", "r14", 512, 6},       /* pool5 */
};

static void path_of(const light_case *c, const char *ending, char *path, size_t size)
{
    snprintf(path, size, BCAM_SHARED_DATA "/models/light/light_%s%s", c->name, ending);
    if (access(path, R_OK) != 0)
        cr_skip_test("no light models at " BCAM_SHARED_DATA);
}

static bcam_engine *open_engine(const char *model, int batch, const char *const *layers, int count)
{
    bcam_error err = {0};
    bcam_engine *engine = NULL;
    bcam_engine_options options = {.device = "cpu",
                                   .batch = batch,
                                   .layers = layers,
                                   .layer_count = count,
                                   .map_size = BCAM_SIZE_NATIVE,
                                   .signed_maps = true};
    cr_assert_eq(bcam_engine_open(model, &options, &engine, &err), BCAM_OK, "%s", err.message);
    return engine;
}

static void expect_default(const light_case *c, const bcam_engine *engine)
{
    bcam_error err = {0};
    bcam_engine_info info;
    bcam_layer_info layer;
    cr_assert_eq(bcam_engine_get_info(engine, &info, &err), BCAM_OK);
    cr_assert_eq(bcam_engine_get_layer(engine, 0, &layer, &err), BCAM_OK);
    cr_expect_eq(info.class_count, CLASSES);
    cr_expect_str_eq(layer.name, c->default_layer, "%s: %s", c->name, layer.name);
    cr_expect(layer.channels == c->channels && layer.height == c->size && layer.width == c->size, "%s: %d x %d x %d",
              c->name, layer.channels, layer.height, layer.width);
}

/* ---- as they are: every weight 0.02, so all logits are the same ---- */

/* The input that the expected output is for: 0, 1/n, 2/n, ... */
static void as_it_is(const light_case *c)
{
    char path[1024];
    bcam_error err = {0};
    case_tensor output = {0};
    int64_t count;
    path_of(c, "_output_0.pb", path, sizeof path);
    cr_assert_eq(case_tensor_read(&output, path, &err), BCAM_OK, "%s", err.message);
    double *expected = case_numbers(&output, &count), sum = 0, worst = 0;
    cr_assert_eq(count, CLASSES);
    float *input = malloc(ITEM * sizeof *input);
    for (int i = 0; i < ITEM; i++)
        input[i] = (float)((double)i / ITEM);
    path_of(c, ".onnx", path, sizeof path);
    bcam_engine *engine = open_engine(path, 1, NULL, 0);
    expect_default(c, engine);
    bcam_batch batch = {.count = 1, .input = input};
    cr_assert_eq(bcam_engine_compute(engine, &batch, &err), BCAM_OK, "%s", err.message);
    const float *logits = bcam_engine_logits(engine);
    for (int k = 0; k < CLASSES; k++)
        sum += expected[k];
    for (int k = 0; k < CLASSES;
         k++) { /* DenseNet's output is its logits; a softmax of 1e31 would blow up what rounding differs in */
        bool same = fabs((double)logits[k] / (double)logits[0] - 1) < 1e-5;
        double got = sum > 2 ? (double)logits[k] : same ? 1.0 / CLASSES : NAN;
        worst = fmax(worst, isfinite(got) ? fabs(got - expected[k]) / expected[k] : INFINITY);
    }
    printf("%s as it is: logit %g, output %g, off by %.1e at most\n", c->name, (double)logits[0], expected[0], worst);
    cr_expect_leq(worst, 1e-4);
    bcam_engine_close(&engine);
    bcam_free(expected);
    case_tensor_close(&output);
    free(input);
}

/* ---- with weights of their own ---- */

/* Sampled as make_light.py does. The last of two photos is the golden's. */
static int compare_tensor(bcam_engine *engine, const char *folder, const golden_row *row, int layer, int kind)
{
    const double own[] = {row->activations, row->weights, row->map, row->gradients};
    char file[64];
    size_t count = 0, channels;
    bcam_layer_info info;
    bcam_error err = {0};
    cr_assert_eq(bcam_engine_get_layer(engine, layer, &info, &err), BCAM_OK);
    snprintf(file, sizeof file, "%s.%s.npy", row->prefix, golden_kinds[kind].suffix);
    golden_array golden = golden_read(folder, file);
    float *data = golden_read_layer(engine, golden_kinds[kind].kind, layer, &count);
    if (!data) { /* a constant gradient: its channel weight stands for every position */
        float *weights = golden_read_layer(engine, BCAM_TENSOR_WEIGHTS, layer, &channels);
        size_t area = (size_t)info.height * (size_t)info.width;
        data = golden_spread(weights, channels, area);
        count = channels * area;
        free(weights);
    }
    float *mine = data + count / 2, *samples = malloc(golden.count * sizeof *samples);
    for (size_t j = 0; j < golden.count; j++)
        samples[j] = golden.count == count / 2 ? mine[j] : mine[(uint32_t)(j * 2654435761u) % (count / 2)];
    int bad = golden_expect(golden_kinds[kind].name, row->layer, samples, golden.data, golden.count, own[kind]);
    free(samples);
    free(data);
    free(golden.data);
    return bad;
}

static int compare_network(const light_case *c, const char *model, const char *folder, int seed)
{
    enum { LAYERS = 3 };
    golden_row rows[LAYERS];
    const char *layers[LAYERS];
    bcam_error err = {0};
    int bad = 0;
    cr_assert_eq(golden_rows(folder, rows, LAYERS), LAYERS);
    for (int l = 0; l < LAYERS; l++)
        layers[l] = rows[l].layer;
    cr_assert_str_eq(layers[LAYERS - 1], c->default_layer);
    bcam_engine *engine = open_engine(model, 2, layers, LAYERS);
    float *input = malloc(2 * ITEM * sizeof *input);
    light_input(seed + 1, input);
    light_input(seed, input + ITEM);
    int32_t classes[2] = {(rows[0].classes[0] + 1) % CLASSES, rows[0].classes[0]};
    bcam_batch batch = {.count = 2, .input = input, .classes = classes};
    cr_assert_eq(bcam_engine_compute(engine, &batch, &err), BCAM_OK, "%s", err.message);
    golden_array logits = golden_read(folder, "logits.npy");
    bad += golden_expect("logits", c->name, bcam_engine_logits(engine) + CLASSES, logits.data, CLASSES, rows[0].logits);
    for (int l = 0; l < LAYERS; l++)
        for (int kind = 0; kind < 4; kind++)
            bad += compare_tensor(engine, folder, &rows[l], l, kind);
    bcam_engine_close(&engine);
    free(logits.data);
    free(input);
    return bad;
}

static void with_weights(const light_case *c)
{
    static light_golden golden;
    char source[1024], folder[1024], model[1200];
    path_of(c, ".onnx", source, sizeof source);
    snprintf(folder, sizeof folder, "%s/golden/light_%s", BCAM_TEST_DATA, c->name);
    const char *temp = fix_folder();
    light_read(folder, &golden);
    light_write(source, temp, &golden);
    snprintf(model, sizeof model, "%s/model.onnx", temp);
    int bad = compare_network(c, model, folder, golden.seed);
    fix_remove(temp);
    cr_assert_eq(bad, 0, "%s: %d comparisons failed", c->name, bad);
}

static const light_case *case_of(const char *name)
{
    const light_case *c = cases;
    while (strcmp(c->name, name) != 0)
        c++;
    return c;
}

/* Tests of their own, so that one at a time is in memory and on the disk: half a gigabyte for VGG-19. */
#define LIGHT(network)                                                                                                 \
    Test(light, network##_as_it_is)                                                                                    \
    {                                                                                                                  \
        as_it_is(case_of(#network));                                                                                   \
    }                                                                                                                  \
    Test(light, network##_with_weights)                                                                                \
    {                                                                                                                  \
        with_weights(case_of(#network));                                                                               \
    }

LIGHT(bvlc_alexnet)
LIGHT(densenet121)
LIGHT(inception_v1)
LIGHT(inception_v2)
LIGHT(resnet50)
LIGHT(shufflenet)
LIGHT(squeezenet)
LIGHT(vgg19)
LIGHT(zfnet512)
