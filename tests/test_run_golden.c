/* test_run_golden.c - whole networks against PyTorch in double: logits, activations, gradients, channel weights, maps before ReLU. */
#include <dirent.h>

#include "golden.h"
#include "run/run.h"

/* Reads a tensor of an engine whole. */
static float *read_tensor(bcam_engine *engine, bcam_tensor_kind kind, size_t *count)
{
    bcam_error err;
    size_t unused;
    if (bcam_engine_read(engine, kind, 0, 0, NULL, 0, count, &err) == BCAM_E_UNSUPPORTED)
        return NULL;
    float *data = malloc(*count * sizeof *data);
    memset(data, 0xff, *count * sizeof *data);
    cr_assert_eq(bcam_engine_read(engine, kind, 0, 0, data, *count, &unused, &err), BCAM_OK, "%s", err.message);
    return data;
}

/* A constant gradient is never spread out: its channel weight stands for every position. */
static float *spread(const float *weights, size_t channels, size_t area)
{
    float *g = malloc(channels * area * sizeof *g);
    for (size_t i = 0; i < channels * area; i++)
        g[i] = weights[i / area];
    return g;
}

static int compare_batch(bcam_engine *engine, const char *folder, const golden_row *row, size_t first, size_t now)
{
    static const struct {
        const char *name, *suffix;
        bcam_tensor_kind kind;
    } kinds[] = {{"activations", "A", BCAM_TENSOR_ACTIVATIONS},
                 {"weights", "w", BCAM_TENSOR_WEIGHTS},
                 {"map", "map", BCAM_TENSOR_RAW},
                 {"gradients", "g", BCAM_TENSOR_GRADIENTS}};
    const double own[] = {row->activations, row->weights, row->map, row->gradients};
    size_t count, channels = 0;
    int bad = 0;
    float *weights = read_tensor(engine, BCAM_TENSOR_WEIGHTS, &channels);
    for (size_t i = 0; i < 4; i++) {
        char file[64];
        snprintf(file, sizeof file, "%s.%s.npy", row->prefix, kinds[i].suffix);
        golden_array golden = golden_read(folder, file);
        size_t item = golden.count / golden.dim[0];
        float *data = read_tensor(engine, kinds[i].kind, &count);
        if (!data) /* a constant gradient */
            data = spread(weights, channels, item * now / channels);
        else
            cr_assert_eq(count, item * now, "%s: %s of %s has %zu elements, not %zu", folder, kinds[i].name, row->layer,
                         count, item * now);
        bad += golden_expect(kinds[i].name, row->layer, data, golden.data + first * item, item * now, own[i]);
        free(data);
        free(golden.data);
    }
    golden_array logits = golden_read(folder, "logits.npy");
    bad += golden_expect("logits", row->layer, bcam_engine_logits(engine), logits.data + first * logits.dim[1],
                         now * logits.dim[1], row->logits);
    free(logits.data);
    free(weights);
    return bad;
}

/* One layer on one device, in batches of two: three photos make a whole one and a padded one. */
static int run_row(const char *folder, const golden_row *row, const char *device)
{
    enum { BATCH = 2 };
    char model[1024];
    bcam_error err = {0};
    bcam_engine *engine = NULL;
    const char *layer = row->layer;
    snprintf(model, sizeof model, "%s/model.onnx", folder);
    bcam_engine_options options = {.device = device,
                                   .batch = BATCH,
                                   .layers = &layer,
                                   .layer_count = 1,
                                   .map_size = BCAM_SIZE_NATIVE,
                                   .signed_maps = true};
    bcam_status status = bcam_engine_open(model, &options, &engine, &err);
    if (status != BCAM_OK) {
        cr_log_error("%s, %s on %s: %s", folder, layer, device, err.message);
        return 1;
    }
    bcam_layer_info info;
    cr_assert_eq(bcam_engine_get_layer(engine, 0, &info, &err), BCAM_OK);
    int bad = strcmp(info.tensor, row->tensor) != 0;
    if (bad)
        cr_log_error("%s: layer %s is tensor %s, not %s", folder, layer, info.tensor, row->tensor);
    golden_array input = golden_read(folder, "input.npy");
    float *numbers = malloc(input.count * sizeof *numbers);
    for (size_t i = 0; i < input.count; i++)
        numbers[i] = (float)input.data[i];
    for (size_t first = 0; first < input.dim[0]; first += BATCH) {
        size_t now = input.dim[0] - first < BATCH ? input.dim[0] - first : BATCH;
        int32_t classes[BATCH];
        for (size_t i = 0; i < now; i++)
            classes[i] = row->classes[first + i];
        bcam_batch batch = {
            .count = (int)now, .input = numbers + first * (input.count / input.dim[0]), .classes = classes};
        cr_assert_eq(bcam_engine_compute(engine, &batch, &err), BCAM_OK, "%s: %s", folder, err.message);
        bad += compare_batch(engine, folder, row, first, now);
    }
    free(numbers);
    free(input.data);
    bcam_engine_close(&engine);
    return bad;
}

static void run_device(const char *device)
{
    char root[1024], folder[1300];
    snprintf(root, sizeof root, "%s/golden", BCAM_TEST_DATA);
    DIR *dir = opendir(root);
    cr_assert(dir, "cannot open %s", root);
    int bad = 0, cases = 0, layers = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        golden_row rows[16];
        snprintf(folder, sizeof folder, "%s/%s/model.onnx", root, entry->d_name);
        if (*entry->d_name == '.' || access(folder, R_OK) != 0)
            continue;
        snprintf(folder, sizeof folder, "%s/%s", root, entry->d_name);
        int count = golden_rows(folder, rows, 16);
        for (int i = 0; i < count; i++) {
            int wrong = run_row(folder, &rows[i], device);
            if (wrong)
                cr_log_error("^ in case %s, layer %s", entry->d_name, rows[i].layer);
            bad += wrong;
            layers++;
        }
        cases++;
    }
    closedir(dir);
    printf("%s: %d golden networks, %d layers\n", device, cases, layers);
    cr_assert(cases >= 21 && layers >= 40, "only %d cases and %d layers were found", cases, layers);
    cr_assert_eq(bad, 0, "%d comparisons failed", bad);
}

Test(golden, reference)
{
    run_device("reference");
}

Test(golden, cpu)
{
    run_device("cpu");
}
