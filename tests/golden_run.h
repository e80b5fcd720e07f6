/* golden_run.h - every golden network on a device, held against PyTorch in double: logits, activations, gradients, channel weights, maps before
 * ReLU. */
#ifndef BCAM_TESTS_GOLDEN_RUN_H
#define BCAM_TESTS_GOLDEN_RUN_H

#include <dirent.h>

#include "golden.h"
#include "run/run.h"

enum { GOLDEN_ROWS = 16 }; /* layers of one golden, at most */

/** Where they run, and how far off they may be: factor * PyTorch's own float32 error + floor. Gradients, and what is made of them, jump where
 *  coarse rounding turns an activation on or off: a coarse way has another floor for them, and a share of the comparisons that the lower one holds for. */
typedef struct golden_way {
    const char *device;
    bcam_precision precision;
    bool deterministic;
    double factor, floor, jumps; /* jumps 0: as floor */
    const char *output;          /* what is explained: these three are the engine's options */
    bcam_score score;
    bcam_activation activation;
    const char *root; /* the folder of the goldens; NULL: the project's own, of which all must be there */
    bool (*wants)(const char *name); /* NULL: all of them */
    int rounds;         /* each batch so many times: a device may take another way when it has seen the work before */
    double worst;       /* measured: the largest share of what is allowed */
    int compared, calm; /* measured: comparisons, and those within the lower floor */
    FILE *rows; /* NULL, or where each comparison becomes a line: case, layer, what, error, PyTorch's own in float32 */
    const char *folder; /* the case in hand */
} golden_way;

/* Like golden_expect, for the errors that a way allows. */
static inline int golden_hold(golden_way *way, const char *what, const char *layer, const float *a, const double *b,
                              size_t count, double own)
{
    double error = golden_error(a, b, count), calm = way->factor * own + way->floor;
    double bound = way->jumps > 0 && strcmp(what, "activations") != 0 && strcmp(what, "logits") != 0
                       ? way->factor * own + way->jumps
                       : calm;
    if (way->rows)
        fprintf(way->rows, "%s\t%s\t%s\t%.6e\t%.6e\n", strrchr(way->folder, '/') + 1, layer, what, error, own);
    way->compared++;
    way->calm += error <= calm;
    way->worst = error / bound > way->worst || isnan(error) ? error / bound : way->worst;
    if (error <= bound)
        return 0;
    cr_log_error("%s of %s: relative error %.3e, allowed %.3e (PyTorch's own in float32: %.3e)", what, layer, error,
                 bound, own);
    return 1;
}

static inline int golden_compare(golden_way *way, bcam_engine *engine, int layer, const char *folder,
                                 const golden_row *row, size_t first, size_t now)
{
    const double own[] = {row->activations, row->weights, row->map, row->gradients};
    size_t count, channels = 0;
    int bad = 0;
    float *weights = golden_read_layer(engine, BCAM_TENSOR_WEIGHTS, layer, &channels);
    for (size_t i = 0; i < 4; i++) {
        char file[64];
        snprintf(file, sizeof file, "%s.%s.npy", row->prefix, golden_kinds[i].suffix);
        golden_array golden = golden_read(folder, file);
        size_t item = golden.count / golden.dim[0];
        float *data = golden_read_layer(engine, golden_kinds[i].kind, layer, &count);
        if (!data) /* a constant gradient */
            data = golden_spread(weights, channels, item * now / channels);
        else
            cr_assert_eq(count, item * now, "%s: %s of %s has %zu elements, not %zu", folder, golden_kinds[i].name,
                         row->layer, count, item * now);
        bad += golden_hold(way, golden_kinds[i].name, row->layer, data, golden.data + first * item, item * now, own[i]);
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

static inline int golden_check_layer(bcam_engine *engine, int layer, const char *folder, const golden_row *row)
{
    bcam_layer_info info;
    bcam_error err = {0};
    cr_assert_eq(bcam_engine_get_layer(engine, layer, &info, &err), BCAM_OK);
    if (strcmp(row->tensor, "-") == 0 || strcmp(info.tensor, row->tensor) == 0) /* "-": not looked up */
        return 0;
    cr_log_error("%s: layer %s is tensor %s, not %s", folder, row->layer, info.tensor, row->tensor);
    return 1;
}

/* Layers on one device in one go, in batches of two: three photos make a whole one and a padded one. The rows have the same classes. */
static inline int golden_run_rows(golden_way *way, const char *folder, const golden_row *rows, int count)
{
    enum { BATCH = 2 };
    char model[1024];
    bcam_error err = {0};
    bcam_engine *engine = NULL;
    const char *layers[GOLDEN_ROWS];
    int bad = 0;
    for (int r = 0; r < count; r++)
        layers[r] = rows[r].layer;
    way->folder = folder;
    snprintf(model, sizeof model, "%s/model.onnx", folder);
    bcam_engine_options options = {.device = way->device,
                                   .precision = way->precision,
                                   .deterministic = way->deterministic,
                                   .output = way->output,
                                   .score = way->score,
                                   .activation = way->activation,
                                   .batch = BATCH,
                                   .layers = layers,
                                   .layer_count = count,
                                   .map_size = BCAM_SIZE_NATIVE,
                                   .signed_maps = true};
    bcam_status status = bcam_engine_open(model, &options, &engine, &err);
    if (status != BCAM_OK) {
        cr_log_error("%s, %s on %s: %s", folder, *layers, way->device, err.message);
        return 1;
    }
    for (int r = 0; r < count; r++)
        bad += golden_check_layer(engine, r, folder, &rows[r]);
    golden_array input = golden_read(folder, "input.npy");
    float *numbers = malloc(input.count * sizeof *numbers);
    for (size_t i = 0; i < input.count; i++)
        numbers[i] = (float)input.data[i];
    bcam_engine_info info;
    cr_assert_eq(bcam_engine_get_info(engine, &info, &err), BCAM_OK);
    size_t most = (size_t)info.batch; /* 1 where the batch is fixed */
    for (size_t first = 0; first < input.dim[0]; first += most) {
        size_t now = input.dim[0] - first < most ? input.dim[0] - first : most;
        int32_t classes[BATCH];
        for (size_t i = 0; i < now; i++)
            classes[i] = rows->classes[first + i];
        bcam_batch batch = {
            .count = (int)now, .input = numbers + first * (input.count / input.dim[0]), .classes = classes};
        for (int round = 0; round < way->rounds; round++) {
            cr_assert_eq(bcam_engine_compute(engine, &batch, &err), BCAM_OK, "%s: %s", folder, err.message);
            for (int r = 0; r < count; r++)
                bad += golden_compare(way, engine, r, folder, &rows[r], first, now);
        }
    }
    free(numbers);
    free(input.data);
    bcam_engine_close(&engine);
    return bad;
}

static inline int golden_run_row(golden_way *way, const char *folder, const golden_row *row)
{
    return golden_run_rows(way, folder, row, 1);
}

/* The narrow versions of known networks are deep; the other goldens are a few layers each. */
static inline bool golden_is_narrow(const char *name)
{
    return strncmp(name, "narrow_", 7) == 0;
}

static inline bool golden_is_small(const char *name)
{
    return !golden_is_narrow(name);
}

/* Of the narrow ones, between them every kind of block. */
static inline bool golden_is_chosen(const char *name)
{
    static const char *const chosen[] = {
        "narrow_convnext_new", "narrow_densenet_old", "narrow_efficientnet_new_kept", "narrow_hrnet_old",
        "narrow_regnet_y_new", "narrow_res2net_new",  "narrow_shufflenet_v2_new",     "narrow_xception_old_kept"};
    for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++)
        if (strcmp(name, chosen[i]) == 0)
            return true;
    return false;
}

/* ---- ways that round to e = 2^-11 (tf32, fp16) or 2^-8 (bf16) ----
 *
 * Activations and logits may be 8 e off. So must three in four of all comparisons be; but rounding turns a share of about e of the ReLUs on or
 * off, which moves gradients by about sqrt(e) and is magnified where a channel's weight is a small difference: for gradients, weights and maps
 * 16 sqrt(e) is the limit. Deeper networks magnify what is rounded: for the narrow ones, PyTorch's own error in float32 (e = 2^-24) is allowed
 * besides, times how much coarser the way rounds. */

static inline golden_way golden_coarse(bcam_precision precision, double e)
{
    return (golden_way){.precision = precision, .floor = 8 * e, .jumps = 16 * sqrt(e), .wants = golden_is_small};
}

/* The same way, now for the narrow ones. */
static inline void golden_coarse_deep(golden_way *way, double e)
{
    way->factor = e * (1 << 24);
    way->wants = golden_is_chosen;
}

static inline void golden_expect_calm(const golden_way *way)
{
    cr_assert_geq(way->calm * 4, way->compared * 3, "only %d of %d comparisons are within the lower floor", way->calm,
                  way->compared);
}

/* The narrow versions of known networks have all their layers explained at once, the others one after the other. */
static inline int golden_run_case(golden_way *way, const char *folder, const char *name, int *layers)
{
    golden_row rows[GOLDEN_ROWS];
    int count = golden_rows(folder, rows, GOLDEN_ROWS), at_once = golden_is_narrow(name) ? count : 1, bad = 0;
    for (int r = 0; r < count; r += at_once) {
        int wrong = golden_run_rows(way, folder, &rows[r], at_once);
        if (wrong)
            cr_log_error("^ in case %s, layer %s", name, rows[r].layer);
        bad += wrong;
    }
    *layers += count;
    return bad;
}

static inline void golden_run(golden_way *way)
{
    enum { CASES = 51, LAYERS = 142 }; /* of our own, at least */
    char root[1024], folder[1300];
    snprintf(root, sizeof root, "%s%s", way->root ? way->root : BCAM_TEST_DATA, way->root ? "" : "/golden");
    DIR *dir = opendir(root);
    cr_assert(dir, "cannot open %s", root);
    int bad = 0, cases = 0, layers = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        snprintf(folder, sizeof folder, "%s/%s/model.onnx", root, entry->d_name);
        if (*entry->d_name == '.' || access(folder, R_OK) != 0 || (way->wants && !way->wants(entry->d_name)))
            continue;
        snprintf(folder, sizeof folder, "%s/%s", root, entry->d_name);
        bad += golden_run_case(way, folder, entry->d_name, &layers);
        cases++;
    }
    closedir(dir);
    printf(
        "%s: %d golden networks, %d layers; largest error: %.2f of what is allowed; %d of %d within the lower floor\n",
        way->device, cases, layers, way->worst, way->calm, way->compared);
    bool whole = !way->root && !way->wants;
    cr_assert(cases >= (whole ? CASES : 1) && layers >= (whole ? LAYERS : 1), "only %d cases and %d layers were found",
              cases, layers);
    cr_assert_eq(bad, 0, "%d comparisons failed", bad);
}

#endif
