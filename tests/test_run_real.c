/* test_run_real.c - real models and photos (BCAM_SHARED_DATA): shipped vectors, top-1 over 650 photos as ONNX Runtime has it, and activations,
 * gradients, weights and maps of three photos against PyTorch in double. Skipped, saying so, where the data is not there. */
#include <dirent.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "golden.h"
#include "run/run.h"

#if defined(__SANITIZE_ADDRESS__)
enum { MOST_PHOTOS = 48 }; /* an eighth of the speed, so fewer photos; the build without sanitizers takes all */
#else
enum { MOST_PHOTOS = 650 };
#endif

#define PHOTOS BCAM_SHARED_DATA "/images/imagenet_val_650"

static const char *const models[] = {"squeezenet1.1_zoo", "mobilenet_v2_1.0_224_quant_deq", "cifar10_resnet20",
                                     "mlperftiny_resnet8_cifar10"};
enum { MODELS = sizeof models / sizeof *models };

static void need_data(void)
{
    if (access(PHOTOS, R_OK) != 0)
        cr_skip_test("no real models and photos at " BCAM_SHARED_DATA);
}

static void names_of(const char *model, char *onnx, char *folder, char *recipe, size_t size)
{
    snprintf(onnx, size, "%s/models/%s.onnx", BCAM_SHARED_DATA, model);
    snprintf(folder, size, "%s/golden/real_%s", BCAM_TEST_DATA, model);
    snprintf(recipe, size, "%s/preprocess.json", folder);
}

/* ---- the vectors that come with SqueezeNet ---- */

Test(real, squeezenet_vectors)
{
    need_data();
    bcam_error err = {0};
    bcam_engine *engine = NULL;
    bcam_engine_options options = {.batch = 1};
    cr_assert_eq(bcam_engine_open(BCAM_SHARED_DATA "/models/squeezenet1.1_zoo.onnx", &options, &engine, &err), BCAM_OK,
                 "%s", err.message);
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "input_%d.npy", i);
        golden_array input = golden_read(BCAM_SHARED_DATA "/vectors/squeezenet1.1", name);
        snprintf(name, sizeof name, "output_%d.npy", i);
        golden_array output = golden_read(BCAM_SHARED_DATA "/vectors/squeezenet1.1", name);
        float *numbers = malloc(input.count * sizeof *numbers);
        for (size_t k = 0; k < input.count; k++)
            numbers[k] = (float)input.data[k];
        bcam_batch batch = {.count = 1, .input = numbers};
        cr_assert_eq(bcam_engine_compute(engine, &batch, &err), BCAM_OK, "%s", err.message);
        double low = INFINITY, high = -INFINITY, worst = 0;
        for (size_t k = 0; k < output.count; k++) {
            low = fmin(low, output.data[k]);
            high = fmax(high, output.data[k]);
            worst = fmax(worst, fabs((double)bcam_engine_logits(engine)[k] - output.data[k]));
        }
        printf("squeezenet vector %d: largest error %.2e of the range\n", i, worst / (high - low));
        cr_assert_leq(worst, 1e-4 * (high - low));
        free(numbers);
        free(input.data);
        free(output.data);
    }
    bcam_engine_close(&engine);
}

/* ---- top-1 over all photos, through the whole job ---- */

typedef struct top1 {
    char file[64];
    int class_id;
    double first, second;
} top1;

static int read_top1(const char *folder, top1 *rows, int most)
{
    char path[1024], line[256];
    int count = 0;
    snprintf(path, sizeof path, "%s/top1.tsv", folder);
    FILE *file = fopen(path, "r");
    cr_assert(file && fgets(line, sizeof line, file), "cannot read %s", path);
    while (count < most && fgets(line, sizeof line, file)) {
        top1 *t = &rows[count++];
        cr_assert_eq(sscanf(line, "%63[^\t]\t%d\t%lf\t%lf", t->file, &t->class_id, &t->first, &t->second), 4);
    }
    fclose(file);
    return count;
}

static const top1 *find_top1(const top1 *rows, int count, const char *path)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    for (int i = 0; i < count; i++)
        if (strcmp(rows[i].file, base) == 0)
            return &rows[i];
    return NULL;
}

static void remove_run(const char *folder)
{
    char command[1200];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

static void compare_index(const char *model, const char *out, const top1 *rows, int count)
{
    char path[1200];
    sqlite3 *db;
    sqlite3_stmt *query;
    int seen = 0, near_ties = 0, wrong = 0;
    double worst = 0;
    snprintf(path, sizeof path, "%s/index.sqlite", out);
    cr_assert_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    cr_assert_eq(
        sqlite3_prepare_v2(
            db,
            "SELECT path, class, logit FROM images JOIN predictions ON image_id = images.id WHERE rank = 0 AND outcome = 'ok'",
            -1, &query, NULL),
        SQLITE_OK);
    while (sqlite3_step(query) == SQLITE_ROW) {
        const top1 *golden = find_top1(rows, count, (const char *)sqlite3_column_text(query, 0));
        cr_assert(golden, "%s is not in the golden list", (const char *)sqlite3_column_text(query, 0));
        worst = fmax(worst, fabs(sqlite3_column_double(query, 2) - golden->first));
        bool same = sqlite3_column_int(query, 1) == golden->class_id, tie = golden->first - golden->second < 1e-4;
        near_ties += !same && tie;
        wrong += !same && !tie;
        seen++;
    }
    sqlite3_finalize(query);
    sqlite3_close(db);
    printf("%s: %d photos, %d with another top-1, %d near-ties; largest difference of the top logit %.1e\n", model,
           seen, wrong, near_ties, worst);
    cr_assert_eq(seen, MOST_PHOTOS);
    cr_assert_eq(wrong, 0);
    cr_assert_lt(worst, 1e-3);
}

Test(real, top1_over_all_photos)
{
    need_data();
    static top1 rows[650];
    for (int m = 0; m < MODELS; m++) {
        char onnx[1024], folder[1024], recipe[1100], temp[] = "/tmp/batchcam-XXXXXX", out[64];
        cr_assert(mkdtemp(temp));
        snprintf(out, sizeof out, "%s/run", temp);
        names_of(models[m], onnx, folder, recipe, sizeof onnx);
        int count = read_top1(folder, rows, 650);
        const char *images = PHOTOS;
        bcam_error err = {0};
        bcam_run_summary summary;
        bcam_run_options options = {
            .model = onnx, .images = &images, .image_count = 1, .out_dir = out, .limit = MOST_PHOTOS};
        options.engine.map_size = BCAM_SIZE_NATIVE;
        options.engine.preprocess = recipe;
        cr_assert_eq(bcam_run(&options, NULL, NULL, &summary, &err), BCAM_OK, "%s", err.message);
        cr_assert_eq(summary.ok, MOST_PHOTOS);
        compare_index(models[m], out, rows, count);
        remove_run(temp);
    }
}

/* ---- three photos, early, middle and last layer ---- */

static void load_photos(const char *folder, const bcam_recipe *recipe, uint8_t *pixels)
{
    char path[1024], name[256];
    size_t item = (size_t)recipe->height * (size_t)recipe->width * 3;
    bcam_photo photo = {0};
    bcam_photo_limits limits = {.max_pixels = 1 << 26};
    bcam_box crop;
    bcam_error err = {0};
    snprintf(path, sizeof path, "%s/files.txt", folder);
    FILE *file = fopen(path, "r");
    cr_assert(file, "cannot read %s", path);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(fscanf(file, "%255s", name), 1);
        snprintf(path, sizeof path, "%s/%s", PHOTOS, name);
        cr_assert_eq(bcam_photo_load(&photo, path, &limits), BCAM_OUTCOME_OK, "%s: %s", path, photo.message);
        cr_assert_eq(bcam_prep_photo(recipe, &photo, pixels + (size_t)i * item, &crop, &err), BCAM_OK, "%s",
                     err.message);
    }
    fclose(file);
    bcam_photo_fini(&photo);
}

/* A golden of 4096 samples at fixed places of the flattened tensor, or the whole tensor. */
static float *sampled(float *data, size_t count, size_t golden_count)
{
    if (golden_count == count)
        return data;
    float *samples = malloc(golden_count * sizeof *samples);
    for (size_t j = 0; j < golden_count; j++)
        samples[j] = data[(uint32_t)(j * 2654435761u) % count];
    free(data);
    return samples;
}

static int compare_layer(bcam_engine *engine, const char *folder, const golden_row *row)
{
    const double own[] = {row->activations, row->weights, row->map, row->gradients};
    int bad = 0;
    for (size_t i = 0; i < 4; i++) {
        char file[64];
        size_t count, channels;
        snprintf(file, sizeof file, "%s.%s.npy", row->prefix, golden_kinds[i].suffix);
        golden_array golden = golden_read(folder, file);
        float *data = golden_read_layer(engine, golden_kinds[i].kind, 0, &count);
        if (!data) { /* a constant gradient: its channel weight stands for every position */
            float *weights = golden_read_layer(engine, BCAM_TENSOR_WEIGHTS, 0, &channels);
            free(golden_read_layer(engine, BCAM_TENSOR_ACTIVATIONS, 0, &count));
            data = golden_spread(weights, channels, count / channels);
            free(weights);
        }
        data = sampled(data, count, golden.count);
        bad += golden_expect(golden_kinds[i].name, row->layer, data, golden.data, golden.count, own[i]);
        free(data);
        free(golden.data);
    }
    return bad;
}

static int compare_model(const char *model)
{
    char onnx[1024], folder[1024], recipe_file[1100];
    golden_row rows[8];
    bcam_error err = {0};
    int bad = 0;
    names_of(model, onnx, folder, recipe_file, sizeof onnx);
    int count = golden_rows(folder, rows, 8);
    for (int i = 0; i < count; i++) {
        const char *layer = rows[i].layer;
        bcam_engine *engine = NULL;
        bcam_engine_options options = {.batch = 3,
                                       .layers = &layer,
                                       .layer_count = 1,
                                       .map_size = BCAM_SIZE_NATIVE,
                                       .signed_maps = true,
                                       .preprocess = recipe_file};
        cr_assert_eq(bcam_engine_open(onnx, &options, &engine, &err), BCAM_OK, "%s: %s", model, err.message);
        const bcam_recipe *recipe = bcam_engine_recipe(engine);
        uint8_t *pixels = malloc(3 * 3 * (size_t)recipe->height * (size_t)recipe->width);
        load_photos(folder, recipe, pixels);
        int32_t classes[3] = {rows[i].classes[0], rows[i].classes[1], rows[i].classes[2]};
        bcam_batch batch = {.count = 3, .pixels = pixels, .classes = classes};
        cr_assert_eq(bcam_engine_compute(engine, &batch, &err), BCAM_OK, "%s: %s", model, err.message);
        golden_array logits = golden_read(folder, "logits.npy");
        int wrong =
            golden_expect("logits", layer, bcam_engine_logits(engine), logits.data, logits.count, rows[i].logits);
        wrong += compare_layer(engine, folder, &rows[i]);
        printf("%s, %s: %s\n", model, layer, wrong ? "differs" : "within the bound");
        bad += wrong;
        free(logits.data);
        free(pixels);
        bcam_engine_close(&engine);
    }
    return bad;
}

Test(real, layers_of_three_photos)
{
    need_data();
    int bad = 0;
    for (int m = 0; m < MODELS; m++)
        bad += compare_model(models[m]);
    cr_assert_eq(bad, 0, "%d comparisons failed", bad);
}
