/* explain.c - one photo, one heatmap, through the library.                                      SPDX-License-Identifier: Apache-2.0
 *
 *     cc explain.c $(pkg-config --cflags --libs batchcam) -o explain
 *     ./explain model.onnx [photo.ppm]
 *
 * The photo is a binary PPM (P6) of exactly the network's input size; without one, a grey picture with a bright disc is made up. Prints the
 * class with the highest score and where the network looked for it.
 */
#include <batchcam.h>
#include <stdio.h>
#include <stdlib.h>

/* A disc at a third of the height and a quarter of the width. */
static void paint_disc(unsigned char *pixels, int height, int width)
{
    int radius = (height < width ? height : width) / 6;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int dy = y - height / 3, dx = x - width / 4;
            unsigned char *pixel = pixels + 3 * ((size_t)y * (size_t)width + (size_t)x);
            pixel[0] = dy * dy + dx * dx < radius * radius ? 240 : 110;
            pixel[1] = dy * dy + dx * dx < radius * radius ? 200 : 110;
            pixel[2] = 110;
        }
}

static int read_ppm(const char *path, unsigned char *pixels, int height, int width)
{
    FILE *file = fopen(path, "rb");
    int w = 0, h = 0, max = 0, good = 0;
    if (!file) {
        fprintf(stderr, "explain: cannot open %s\n", path);
        return 0;
    }
    if (fscanf(file, "P6 %d %d %d", &w, &h, &max) != 3 || max != 255 || getc(file) == EOF)
        fprintf(stderr, "explain: %s is not a binary PPM with 8 bits a colour\n", path);
    else if (w != width || h != height)
        fprintf(stderr, "explain: %s has %d x %d pixels, but the network sees %d x %d\n", path, w, h, width, height);
    else if (!(good = fread(pixels, 3, (size_t)w * (size_t)h, file) == (size_t)w * (size_t)h))
        fprintf(stderr, "explain: %s ends early\n", path);
    fclose(file);
    return good;
}

static void print_map(const bcam_map *map)
{
    const float *value = map->data; // (height, width)
    int best = 0;
    for (int i = 1; i < map->height * map->width; i++)
        if (value[i] > value[best])
            best = i;
    printf("class %d, logit %.3f, probability %.3f\n", map->class_id, map->logit, map->probability);
    printf("the map is %d x %d; its maximum %.4g stands at row %d, column %d\n", map->height, map->width, value[best],
           best / map->width, best % map->width);
}

int main(int argc, char **argv)
{
    bcam_engine *engine = NULL;
    bcam_engine_info info;
    bcam_map map;
    bcam_error err = {0};
    unsigned char *pixels = NULL; // (1, height, width, 3)
    int status = EXIT_FAILURE;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: explain model.onnx [photo.ppm]\n");
        return 2;
    }
    /* Every zero is a default: here the best class, Grad-CAM, the default layer, maps of the input's size in float32. */
    bcam_engine_options options = {.batch = 1};
    if (bcam_engine_open(argv[1], &options, &engine, &err) || bcam_engine_get_info(engine, &info, &err))
        goto failed;
    printf("%s: %d classes, photos of %d x %d, on %s\n", argv[1], info.class_count, info.width, info.height,
           info.device);

    pixels = calloc((size_t)info.height * (size_t)info.width, 3);
    if (!pixels)
        goto out;
    if (argc == 3 && !read_ppm(argv[2], pixels, info.height, info.width))
        goto out;
    if (argc == 2)
        paint_disc(pixels, info.height, info.width);

    bcam_batch batch = {.count = 1, .pixels = pixels};
    if (bcam_engine_compute(engine, &batch, &err) || bcam_engine_map(engine, 0, 0, 0, 0, &map, &err))
        goto failed;
    print_map(&map);
    status = EXIT_SUCCESS;
    goto out;

failed:
    fprintf(stderr, "explain: %s\n", err.message);
out:
    free(pixels);
    bcam_engine_close(&engine);
    return status;
}
