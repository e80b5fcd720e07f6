/* test_plugin_networks.c - the plug-in on stand-ins, in strict fp32, through the public API: the demonstration and real
 * models (BCAM_SHARED_DATA) on real photos, at early, middle and last layers. It and the CPU device are both held
 * against plain C, whose sums are made in double: the plug-in may be off by 4 times what the CPU is, plus 1e-6, and
 * finds the same classes.
 *
 * The photos are such that no activation of theirs is so near 0 that rounding turns its ReLU on or off. Of 60 photos a
 * few are not: there gradients jump by about 1e-3, on the CPU as on the plug-in, while activations and logits stay
 * within 2e-6.
 */
#include "fake.h"
#include "golden_run.h"

enum { N = 3, MOST_PHOTOS = 8, KINDS = 5 };
#if defined(__SANITIZE_ADDRESS__)
enum { MOST_LAYERS = 1 }; /* an eighth of the speed: the rest of the layers without the sanitizers */
#else
enum { MOST_LAYERS = 4 };
#endif
static const char *const kind_names[KINDS] = {"logits", "activations", "gradients", "weights", "map"};

typedef struct network {
    const char *name, *model, *recipe; /* recipe NULL: beside the model */
    bool deterministic;                /* engines are not timed, which takes long for large photos */
    const char *layers[4];             /* up to a NULL */
    const char *photos[MOST_PHOTOS];   /* the same; more than N make a second, padded batch */
} network;

typedef struct numbers {
    float *data;
    size_t count;
} numbers;

/* ---- one layer on one device: all that comes out, photo after photo ---- */

static uint8_t *load_photos(const bcam_engine *engine, const network *net, int *count)
{
    const bcam_recipe *recipe = bcam_engine_recipe(engine);
    size_t item = (size_t)recipe->height * (size_t)recipe->width * 3;
    uint8_t *pixels = malloc(MOST_PHOTOS * item);
    bcam_photo photo = {0};
    bcam_photo_limits limits = {.max_pixels = 1 << 26};
    bcam_box crop;
    bcam_error err = {0};
    for (*count = 0; *count < MOST_PHOTOS && net->photos[*count]; ++*count) {
        const char *path = net->photos[*count];
        cr_assert_eq(bcam_photo_load(&photo, path, &limits), BCAM_OUTCOME_OK, "%s: %s", path, photo.message);
        cr_assert_eq(bcam_prep_photo(recipe, &photo, pixels + (size_t)*count * item, &crop, &err), BCAM_OK, "%s",
                     err.message);
    }
    bcam_photo_fini(&photo);
    return pixels;
}

static void append(numbers *to, const float *from, size_t count)
{
    to->data = realloc(to->data, (to->count + count) * sizeof *to->data);
    memcpy(to->data + to->count, from, count * sizeof *from);
    to->count += count;
}

static void gather(bcam_engine *engine, int now, int class_count, numbers out[KINDS])
{
    static const bcam_tensor_kind kinds[KINDS] = {0, BCAM_TENSOR_ACTIVATIONS, BCAM_TENSOR_GRADIENTS,
                                                  BCAM_TENSOR_WEIGHTS, BCAM_TENSOR_RAW};
    append(&out[0], bcam_engine_logits(engine), (size_t)(now * class_count));
    for (int i = 1; i < KINDS; i++) {
        size_t count = 0;
        float *data = golden_read_layer(engine, kinds[i], 0, &count);
        if (data) /* a constant gradient is not there; its weights are */
            append(&out[i], data, count);
        free(data);
    }
}

/* The second class is not the one that the network is surest of: its gradient has more to say. `ids`: of the best class,
 * a photo each. */
static void compute(const network *net, const char *layer, const char *device, bcam_precision precision,
                    numbers out[KINDS], int32_t *ids)
{
    bcam_error err = {0};
    bcam_engine *engine = NULL;
    bcam_engine_info info;
    bcam_engine_options options = {.device = device,
                                   .precision = precision,
                                   .batch = N,
                                   .deterministic = net->deterministic,
                                   .layers = &layer,
                                   .layer_count = 1,
                                   .classes = 2,
                                   .map_size = BCAM_SIZE_NATIVE,
                                   .signed_maps = true,
                                   .preprocess = net->recipe};
    cr_assert_eq(bcam_engine_open(net->model, &options, &engine, &err), BCAM_OK, "%s on %s: %s", net->name, device,
                 err.message);
    bcam_engine_get_info(engine, &info, NULL);
    int count;
    uint8_t *pixels = load_photos(engine, net, &count);
    size_t item = (size_t)info.height * (size_t)info.width * 3;
    for (int first = 0; first < count; first += N) {
        int now = count - first < N ? count - first : N;
        bcam_batch batch = {.count = now, .pixels = pixels + (size_t)first * item};
        cr_assert_eq(bcam_engine_compute(engine, &batch, &err), BCAM_OK, "%s on %s: %s", net->name, device,
                     err.message);
        gather(engine, now, info.class_count, out);
        for (int i = 0; i < now; i++) {
            bcam_map map;
            cr_assert_eq(bcam_engine_map(engine, 0, 0, i, 0, &map, &err), BCAM_OK, "%s", err.message);
            ids[first + i] = map.class_id;
        }
    }
    free(pixels);
    bcam_engine_close(&engine);
}

/* ---- held against one another ---- */

static double error_of(const numbers *a, const numbers *b)
{
    double difference = 0, norm = 0;
    cr_assert_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        difference += pow((double)a->data[i] - (double)b->data[i], 2);
        norm += pow((double)b->data[i], 2);
    }
    cr_assert(norm > 0 && isfinite(norm), "the reference's norm is %g", norm);
    return sqrt(difference / norm);
}

static int compare(const network *net, const char *layer)
{
    numbers reference[KINDS] = {{NULL, 0}}, cpu[KINDS] = {{NULL, 0}}, cuda[KINDS] = {{NULL, 0}};
    int32_t ids[3][MOST_PHOTOS] = {{0}};
    int bad = 0;
    compute(net, layer, "reference", BCAM_PRECISION_FP32, reference, ids[0]);
    compute(net, layer, "cpu", BCAM_PRECISION_FP32, cpu, ids[1]);
    compute(net, layer, "cuda", BCAM_PRECISION_FP32, cuda, ids[2]);
    bad += memcmp(ids[2], ids[0], sizeof ids[0]) != 0;
    if (bad)
        cr_log_error("%s: another class than the reference's", net->name);
    printf("%-32s %-20s", net->name, layer);
    for (int i = 0; i < KINDS; i++) {
        if (cpu[i].count > 0) {
            double own = error_of(&cpu[i], &reference[i]), error = error_of(&cuda[i], &reference[i]);
            printf("  %s %.1e (CPU %.1e)", kind_names[i], error, own);
            if (!(error <= 4 * own + 1e-6) && ++bad)
                cr_log_error("%s, %s: relative error of the %s %.2e, the CPU's %.2e", net->name, layer, kind_names[i],
                             error, own);
        }
        free(reference[i].data);
        free(cpu[i].data);
        free(cuda[i].data);
    }
    printf("\n");
    return bad;
}

static void check(const network *net)
{
    char text[256];
    int bad = 0;
    bcam_fake_set_eager(false);
    for (int i = 0; i < MOST_LAYERS && net->layers[i]; i++)
        bad += compare(net, net->layers[i]);
    cr_assert_eq(bad, 0, "%s: %d comparisons failed", net->name, bad);
    cr_assert_eq(bcam_fake_live(text, sizeof text), 0u, "%s", text);
    cr_assert_eq(bcam_fake_misuses(), 0);
}

/* ---- the networks ---- */

#define DEMO BCAM_SOURCE_DIR "/data"
#define REAL BCAM_SHARED_DATA "/images/imagenet_val_650/ILSVRC2012_val_"
#define REAL_PHOTOS                                                                                                    \
    {                                                                                                                  \
        REAL "00040650.JPEG", REAL "00040309.JPEG", REAL "00042114.JPEG"                                               \
    }
#define REAL_RECIPE(name) BCAM_TEST_DATA "/golden/real_" name "/preprocess.json"
#define REAL_MODEL(name) name, BCAM_SHARED_DATA "/models/" name ".onnx", REAL_RECIPE(name), true

Test(plugin_networks, demonstration)
{
    check(&(network){"demonstration",
                     DEMO "/model.onnx",
                     NULL,
                     false,
                     {"stage1.first", "stem", "stage2", "stage3"},
                     {DEMO "/photos/yacht/yacht-00.jpg", DEMO "/photos/boat/boat-01.jpg",
                      DEMO "/photos/tree/tree-02.jpg", DEMO "/photos-without-tag/yacht/yacht-00.jpg"}});
}

static void check_real(const network *net)
{
    if (access(net->model, R_OK) != 0)
        cr_skip_test("no real models and photos at " BCAM_SHARED_DATA);
    check(net);
}

Test(plugin_networks, resnet20)
{
    check_real(&(network){REAL_MODEL("cifar10_resnet20"), {"layer1", "layer2.1", "layer3"}, REAL_PHOTOS});
}

Test(plugin_networks, resnet8)
{
    check_real(&(network){REAL_MODEL("mlperftiny_resnet8_cifar10"),
                          {"activation_2_Relu", "activation_4_Relu", "activation_6_Relu"},
                          REAL_PHOTOS});
}

Test(plugin_networks, squeezenet)
{
    check_real(&(network){REAL_MODEL("squeezenet1.1_zoo"), {"Concat_5_out", "Relu_26_out"}, REAL_PHOTOS});
}

Test(plugin_networks, mobilenet_v2)
{
    check_real(&(network){REAL_MODEL("mobilenet_v2_1.0_224_quant_deq"), {"Add_5_out", "Clip_35_out"}, REAL_PHOTOS});
}
