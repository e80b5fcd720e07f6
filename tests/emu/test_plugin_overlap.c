/* test_plugin_overlap.c - the plug-in on stand-ins: two batches under way at once give what one at a time gives. The stand-ins run nothing before
 * something waits for it, so work that start() leaves behind can be counted.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "batchcam.h"
#include "fake.h"

enum { BATCHES = 7, N = 2 };

typedef struct fixture {
    bcam_engine *engine;
    bcam_engine_info info;
    size_t photo, map; /* bytes of a photo's pixels, numbers of a map */
    uint8_t *pixels[BATCHES];
    float *maps[2][BATCHES]; /* [together][batch] (N,map) */
} fixture;

static void open_fixture(fixture *f, const char *layer, int classes)
{
    char model[1024];
    bcam_error err = {0};
    snprintf(model, sizeof model, "%s/golden/resnet_tiny_old/model.onnx", BCAM_TEST_DATA);
    bcam_engine_options options = {.device = "cuda",
                                   .precision = BCAM_PRECISION_FP32,
                                   .batch = N,
                                   .deterministic = true,
                                   .map_size = BCAM_SIZE_NATIVE,
                                   .layers = &layer,
                                   .layer_count = 1,
                                   .classes = classes};
    cr_assert_eq(bcam_engine_open(model, &options, &f->engine, &err), BCAM_OK, "%s", err.message);
    bcam_engine_get_info(f->engine, &f->info, NULL);
    f->photo = (size_t)f->info.height * (size_t)f->info.width * 3;
    f->map = (size_t)f->info.map_height * (size_t)f->info.map_width * (size_t)classes;
    unsigned seed = (unsigned)time(NULL);
    printf("seed %u\n", seed);
    srand(seed);
    for (int b = 0; b < BATCHES; b++) {
        f->pixels[b] = malloc(N * f->photo);
        for (size_t i = 0; i < N * f->photo; i++)
            f->pixels[b][i] = (uint8_t)(rand() >> 8);
        for (int together = 0; together < 2; together++)
            f->maps[together][b] = calloc(N * f->map, sizeof(float));
    }
}

static void close_fixture(fixture *f)
{
    for (int b = 0; b < BATCHES; b++) {
        free(f->pixels[b]);
        free(f->maps[0][b]);
        free(f->maps[1][b]);
    }
    bcam_engine_close(&f->engine);
}

/* Photos of a batch: N, but for the last one. */
static int photos_of(int batch)
{
    return batch == BATCHES - 1 ? 1 : N;
}

static void take_maps(fixture *f, int batch, bool together)
{
    size_t one = f->map / (size_t)f->info.classes;
    for (int n = 0; n < photos_of(batch); n++)
        for (int k = 0; k < f->info.classes; k++) {
            bcam_map map;
            cr_assert_eq(bcam_engine_map(f->engine, 0, 0, n, k, &map, NULL), BCAM_OK);
            memcpy(f->maps[together][batch] + (size_t)n * f->map + (size_t)k * one, map.data, one * sizeof(float));
        }
}

static void start(fixture *f, int batch)
{
    bcam_error err = {0};
    int pair = batch % f->info.pairs;
    uint8_t *pinned = bcam_engine_pixels(f->engine, pair);
    memcpy(pinned, f->pixels[batch], (size_t)photos_of(batch) * f->photo);
    cr_assert_eq(bcam_engine_start(f->engine, &(bcam_batch){.count = photos_of(batch), .pixels = pinned}, pair, &err),
                 BCAM_OK, "%s", err.message);
}

static void compare(int classes)
{
    fixture f = {0};
    bcam_error err = {0};
    open_fixture(&f, "layer3.0.conv2", classes);
    cr_assert_eq(f.info.pairs, 2);
    cr_assert_neq(bcam_engine_pixels(f.engine, 0), bcam_engine_pixels(f.engine, 1));
    for (int b = 0; b < BATCHES; b++) {
        cr_assert_eq(bcam_engine_compute(f.engine, &(bcam_batch){.count = photos_of(b), .pixels = f.pixels[b]}, &err),
                     BCAM_OK, "%s", err.message);
        take_maps(&f, b, false);
    }
    cr_assert_eq(bcam_fake_pending(), 0u, "finish waits for everything");
    start(&f, 0);
    for (int b = 0; b < BATCHES; b++) {
        if (b + 1 < BATCHES)
            start(&f, b + 1);
        cr_assert_gt(bcam_fake_pending(), 0u, "start waited for batch %d", b);
        cr_assert_eq(bcam_engine_finish(f.engine, b % 2, &err), BCAM_OK, "%s", err.message);
        take_maps(&f, b, true);
    }
    for (int b = 0; b < BATCHES; b++)
        cr_assert_arr_eq(f.maps[1][b], f.maps[0][b], (size_t)photos_of(b) * f.map * sizeof(float), "batch %d", b);
    close_fixture(&f);
}

Test(plugin_overlap, one_class)
{
    compare(1);
}

Test(plugin_overlap, several_classes)
{
    compare(3);
}

/* What only the card has is the last batch's; asking for an older one's is refused, not answered with other numbers. */
Test(plugin_overlap, reading_behind)
{
    fixture f = {0};
    bcam_error err = {0};
    size_t count = 0;
    float *weights = malloc(4096 * sizeof *weights), *activations = malloc(65536 * sizeof *activations);
    open_fixture(&f, "layer3.0.conv2", 1);
    start(&f, 0);
    start(&f, 1);
    cr_assert_eq(bcam_engine_start(f.engine, &(bcam_batch){.count = 1, .pixels = f.pixels[2]}, 0, &err),
                 BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_engine_finish(f.engine, 0, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(bcam_engine_read(f.engine, BCAM_TENSOR_WEIGHTS, 0, 0, weights, 4096, &count, &err), BCAM_OK, "%s",
                 err.message);
    cr_assert_eq(bcam_engine_read(f.engine, BCAM_TENSOR_ACTIVATIONS, 0, 0, activations, 65536, &count, &err),
                 BCAM_E_ARGUMENT);
    cr_assert_eq(bcam_engine_finish(f.engine, 1, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(bcam_engine_read(f.engine, BCAM_TENSOR_ACTIVATIONS, 0, 0, activations, 65536, &count, &err), BCAM_OK,
                 "%s", err.message);
    free(weights);
    free(activations);
    close_fixture(&f);
}
