/* bench_decode.c - JPEGs of a folder to the bytes or numbers that a network takes, on one thread: photos a second, and where the time goes.
 *
 *     bench_decode FOLDER [--preset NAME] [--until bytes|values] [--decode exact|fast] [--rounds R] [--contestant [--name NAME]]
 *
 * "values" is the network's input, float32 (3,224,224), from the bytes by table, as on a device. A contestant (bench.h) says in its facts the
 * check sum of all that it makes. */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "in/in.h"

enum { SIDE = 224, AREA = SIDE * SIDE, MOST_PHOTOS = 10000, MOST_ROUNDS = 1000 };

typedef struct options {
    const char *folder, *preset, *name;
    bool values, fast, contestant;
    int rounds;
} options;

typedef struct work {
    options o;
    char *paths[MOST_PHOTOS];
    int count, next; /* photos; the one that is taken next */
    bcam_recipe recipe;
    bcam_photo photo;
    float lut[3][256];
    uint8_t bytes[AREA * 3];
    float values[3 * AREA];
} work;

/* ---- the folder ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool list_photos(work *w)
{
    DIR *folder = opendir(w->o.folder);
    if (!folder) {
        fprintf(stderr, "%s: %s\n", w->o.folder, strerror(errno));
        return false;
    }
    for (struct dirent *entry; (entry = readdir(folder)) && w->count < MOST_PHOTOS;) {
        size_t length = strlen(entry->d_name);
        if (length > 4 && strcmp(entry->d_name + length - 4, ".jpg") == 0)
            w->paths[w->count++] = bcam_format("%s/%s", w->o.folder, entry->d_name);
    }
    closedir(folder);
    qsort(w->paths, (size_t)w->count, sizeof *w->paths, by_name);
    if (w->count == 0)
        fprintf(stderr, "%s has no .jpg\n", w->o.folder);
    return w->count > 0;
}

/* ---- one photo ---- */

static void normalise(work *w)
{
    const float *table[3];
    int from[3];
    for (int c = 0; c < 3; c++) {
        table[c] = w->lut[c];
        from[c] = bcam_recipe_channel(&w->recipe, c);
    }
    for (int i = 0; i < AREA; i++) {
        const uint8_t *pixel = w->bytes + 3 * i;
        w->values[i] = table[0][pixel[from[0]]];
        w->values[AREA + i] = table[1][pixel[from[1]]];
        w->values[2 * AREA + i] = table[2][pixel[from[2]]];
    }
}

static bool prepare(work *w)
{
    bcam_box crop;
    bcam_error err = {0};
    if (bcam_prep_photo(&w->recipe, &w->photo, w->bytes, &crop, &err) == BCAM_OK)
        return true;
    fprintf(stderr, "%s\n", err.message);
    return false;
}

/** The whole of it, from the file on. */
static bool do_photo(work *w, const char *path)
{
    bcam_photo_limits limits = {.max_pixels = INT32_MAX, .recipe = &w->recipe, .reduce = w->o.fast};
    if (bcam_photo_load(&w->photo, path, &limits) != BCAM_OUTCOME_OK) {
        fprintf(stderr, "%s: %s\n", path, w->photo.message);
        return false;
    }
    if (!prepare(w))
        return false;
    if (w->o.values)
        normalise(w);
    return true;
}

/** SHA-256 of the photos' SHA-256 in hexadecimal, one behind the other. */
static bool check_sum(work *w, char hex[65])
{
    char *all = malloc(64 * (size_t)w->count + 1);
    for (int i = 0; all && i < w->count; i++) {
        if (!do_photo(w, w->paths[i])) {
            free(all);
            return false;
        }
        if (w->o.values)
            bcam_sha256_hex(w->values, sizeof w->values, hex);
        else
            bcam_sha256_hex(w->bytes, sizeof w->bytes, hex);
        memcpy(all + 64 * i, hex, 64);
    }
    if (all)
        bcam_sha256_hex(all, 64 * (size_t)w->count, hex);
    free(all);
    return all != NULL;
}

/* ---- where the time goes ---- */

enum { READ, WALK, SAMPLES, RESIZE, NORMALISE, STAGES };
static const char *const stages[STAGES] = {"read_ms", "head_and_entropy_ms", "samples_and_colours_ms", "resize_ms",
                                           "normalise_ms"};

/** All photos once; `walk` needs one pixel of a photo, so that decoding for it is little more than going through the data. */
static bool time_stages(work *w, double ms[STAGES])
{
    const bcam_recipe one = {.height = 1, .width = 1, .resize = BCAM_RESIZE_NONE, .crop = true};
    bcam_photo_limits walk = {.max_pixels = INT32_MAX, .recipe = &one},
                      need = {.max_pixels = INT32_MAX, .recipe = &w->recipe, .reduce = w->o.fast};
    memset(ms, 0, STAGES * sizeof *ms);
    for (int i = 0; i < w->count; i++) {
        char *data = NULL;
        size_t bytes;
        bcam_error err = {0};
        double at[STAGES + 1] = {bench_now()};
        if (bcam_file_read(w->paths[i], INT32_MAX, &data, &bytes, &err) != BCAM_OK)
            return false;
        at[1] = bench_now();
        bcam_photo_decode(&w->photo, (uint8_t *)data, bytes, &walk);
        at[2] = bench_now();
        bool good = bcam_photo_decode(&w->photo, (uint8_t *)data, bytes, &need) == BCAM_OUTCOME_OK;
        at[3] = bench_now();
        good = good && prepare(w);
        at[4] = bench_now();
        normalise(w);
        at[5] = bench_now();
        bcam_free(data);
        for (int s = 0; s < STAGES; s++)
            ms[s] += 1e3 * (at[s + 1] - at[s]) / w->count;
        if (!good)
            return false;
    }
    ms[SAMPLES] -= ms[WALK];
    return true;
}

static int report(work *w)
{
    static double ms[STAGES][MOST_ROUNDS];
    bench_json json;
    for (int r = -1; r < w->o.rounds; r++) {
        double once[STAGES];
        if (!time_stages(w, once))
            return 1;
        for (int s = 0; r >= 0 && s < STAGES; s++)
            ms[s][r] = once[s];
    }
    bench_json_begin(&json, stdout);
    bench_json_text(&json, "name", w->o.name);
    bench_json_real(&json, "photos", w->count);
    double sum = 0;
    for (int s = 0; s < STAGES; s++) {
        double middle = bench_median(ms[s], (size_t)w->o.rounds);
        bench_json_real(&json, stages[s], middle);
        sum += middle;
    }
    bench_json_real(&json, "all_ms", sum);
    bench_json_end(&json);
    return 0;
}

/* ---- the contest ---- */

static int contest(work *w)
{
    char hex[65], line[128];
    bench_json json;
    double begin = bench_now();
    if (!check_sum(w, hex))
        return 1;
    bench_json_begin(&json, stdout);
    bench_json_text(&json, "name", w->o.name);
    bench_json_text(&json, "device", "cpu, 1 thread");
    bench_json_text(&json, "until", w->o.values ? "values" : "bytes");
    bench_json_text(&json, "sha256", hex);
    bench_json_real(&json, "ready_seconds", bench_now() - begin);
    bench_json_end(&json);
    while (fgets(line, sizeof line, stdin)) {
        if (strncmp(line, "go ", 3) != 0)
            continue;
        double start = bench_now(), end = start + atof(line + 3);
        int images = 0;
        for (; images == 0 || bench_now() < end; images++)
            if (!do_photo(w, w->paths[w->next++ % w->count]))
                return 1;
        bench_json_begin(&json, stdout);
        bench_json_real(&json, "images", images);
        bench_json_real(&json, "seconds", bench_now() - start);
        bench_json_end(&json);
    }
    return 0;
}

/* ---- options ---- */

static bool read_options(int argc, char **argv, options *o)
{
    static const struct option known[] = {{"preset", required_argument, NULL, 'p'},
                                          {"until", required_argument, NULL, 'u'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"name", required_argument, NULL, 'n'},
                                          {"decode", required_argument, NULL, 'd'},
                                          {"contestant", no_argument, NULL, 'c'},
                                          {NULL, 0, NULL, 0}};
    *o = (options){.preset = "torchvision", .name = "batchcam", .values = true, .rounds = 11};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option == '?')
            return false;
        o->preset = option == 'p' ? optarg : o->preset;
        o->name = option == 'n' ? optarg : o->name;
        o->values = option == 'u' ? strcmp(optarg, "bytes") != 0 : o->values;
        o->fast = option == 'd' ? strcmp(optarg, "fast") == 0 : o->fast;
        o->rounds = option == 'r' ? atoi(optarg) : o->rounds;
        o->contestant |= option == 'c';
    }
    o->folder = optind + 1 == argc ? argv[optind] : NULL;
    return o->folder && o->rounds >= 1 && o->rounds <= MOST_ROUNDS;
}

int main(int argc, char **argv)
{
    static work w;
    bcam_error err = {0};
    if (!read_options(argc, argv, &w.o)) {
        fputs(
            "Usage: bench_decode FOLDER [--preset NAME] [--until bytes|values] [--decode exact|fast] [--rounds R] [--contestant [--name NAME]]\n",
            stderr);
        return 2;
    }
    if (bcam_recipe_read(w.o.preset, NULL, SIDE, SIDE, &w.recipe, &err) != BCAM_OK || !list_photos(&w)) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    bcam_recipe_lut(&w.recipe, &w.lut[0][0]);
    int status = w.o.contestant ? contest(&w) : report(&w);
    bcam_photo_fini(&w.photo);
    for (int i = 0; i < w.count; i++)
        bcam_free(w.paths[i]);
    return status;
}
