/* golden_run.h - every golden network on a device, held against PyTorch in double: logits, activations, gradients, channel weights, maps before
 * ReLU. */
#ifndef BCAM_TESTS_GOLDEN_RUN_H
#define BCAM_TESTS_GOLDEN_RUN_H

#include <dirent.h>

#include "golden.h"
#include "run/run.h"

/** Where they run, and how far off they may be: factor * PyTorch's own float32 error + floor. Gradients, and what is made of them, jump where
 *  coarse rounding turns an activation on or off: a coarse way has another floor for them, and a share of the comparisons that the lower one holds for. */
typedef struct golden_way {
    const char *device;
    bcam_precision precision;
    double factor, floor, jumps; /* jumps 0: as floor */
    int rounds;                  /* each batch so many times: a device may take another way when it has seen the work before */
    double worst;                /* measured: the largest share of what is allowed */
    int compared, calm;          /* measured: comparisons, and those within the lower floor */
    FILE *rows;                  /* NULL, or where every comparison is written as a line: case, layer, what, error, PyTorch's own in float32 */
    const char *folder;          /* the case in hand */
} golden_way;

/* Reads a tensor of an engine whole. */
static inline float *golden_read_tensor(bcam_engine *engine, bcam_tensor_kind kind, size_t *count)
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
static inline float *golden_spread(const float *weights, size_t channels, size_t area)
{
    float *g = malloc(channels * area * sizeof *g);
    for (size_t i = 0; i < channels * area; i++)
        g[i] = weights[i / area];
    return g;
}

/* Like golden_expect, for the errors that a way allows. */
static inline int golden_hold(golden_way *way, const char *what, const char *layer, const float *a, const double *b, size_t count, double own)
{
    double error = golden_error(a, b, count), calm = way->factor * own + way->floor;
    double bound = way->jumps > 0 && strcmp(what, "activations") != 0 && strcmp(what, "logits") != 0 ? way->factor * own + way->jumps : calm;
    if (way->rows)
        fprintf(way->rows, "%s\t%s\t%s\t%.6e\t%.6e\n", strrchr(way->folder, '/') + 1, layer, what, error, own);
    way->compared++;
    way->calm += error <= calm;
    way->worst = error / bound > way->worst || isnan(error) ? error / bound : way->worst;
    if (error <= bound)
        return 0;
    cr_log_error("%s of %s: relative error %.3e, allowed %.3e (PyTorch's own in float32: %.3e)", what, layer, error, bound, own);
    return 1;
}

static inline int golden_compare(golden_way *way, bcam_engine *engine, const char *folder, const golden_row *row, size_t first, size_t now)
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
    float *weights = golden_read_tensor(engine, BCAM_TENSOR_WEIGHTS, &channels);
    for (size_t i = 0; i < 4; i++) {
        char file[64];
        snprintf(file, sizeof file, "%s.%s.npy", row->prefix, kinds[i].suffix);
        golden_array golden = golden_read(folder, file);
        size_t item = golden.count / golden.dim[0];
        float *data = golden_read_tensor(engine, kinds[i].kind, &count);
        if (!data) /* a constant gradient */
            data = golden_spread(weights, channels, item * now / channels);
        else
            cr_assert_eq(count, item * now, "%s: %s of %s has %zu elements, not %zu", folder, kinds[i].name, row->layer,
                         count, item * now);
        bad += golden_hold(way, kinds[i].name, row->layer, data, golden.data + first * item, item * now, own[i]);
        free(data);
        free(golden.data);
    }
    golden_array logits = golden_read(folder, "logits.npy");
    bad += golden_hold(way, "logits", row->layer, bcam_engine_logits(engine), logits.data + first * logits.dim[1],
                         now * logits.dim[1], row->logits);
    free(logits.data);
    free(weights);
    return bad;
}

/* One layer on one device, in batches of two: three photos make a whole one and a padded one. */
static inline int golden_run_row(golden_way *way, const char *folder, const golden_row *row)
{
    enum { BATCH = 2 };
    char model[1024];
    bcam_error err = {0};
    bcam_engine *engine = NULL;
    const char *layer = row->layer;
    way->folder = folder;
    snprintf(model, sizeof model, "%s/model.onnx", folder);
    bcam_engine_options options = {.device = way->device,
                                   .precision = way->precision,
                                   .batch = BATCH,
                                   .layers = &layer,
                                   .layer_count = 1,
                                   .map_size = BCAM_SIZE_NATIVE,
                                   .signed_maps = true};
    bcam_status status = bcam_engine_open(model, &options, &engine, &err);
    if (status != BCAM_OK) {
        cr_log_error("%s, %s on %s: %s", folder, layer, way->device, err.message);
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
        for (int round = 0; round < way->rounds; round++) {
            cr_assert_eq(bcam_engine_compute(engine, &batch, &err), BCAM_OK, "%s: %s", folder, err.message);
            bad += golden_compare(way, engine, folder, row, first, now);
        }
    }
    free(numbers);
    free(input.data);
    bcam_engine_close(&engine);
    return bad;
}

static inline void golden_run(golden_way *way)
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
            int wrong = golden_run_row(way, folder, &rows[i]);
            if (wrong)
                cr_log_error("^ in case %s, layer %s", entry->d_name, rows[i].layer);
            bad += wrong;
            layers++;
        }
        cases++;
    }
    closedir(dir);
    printf("%s: %d golden networks, %d layers; largest error: %.2f of what is allowed; %d of %d within the lower floor\n",
           way->device, cases, layers, way->worst, way->calm, way->compared);
    cr_assert(cases >= 21 && layers >= 40, "only %d cases and %d layers were found", cases, layers);
    cr_assert_eq(bad, 0, "%d comparisons failed", bad);
}

#endif
