/* bench_write.c - the writer by itself: maps that are ready, as often as keeps the disk busy for a moment, into a run directory that is thrown away; and
 * overlays, which are encoded beside it. */
#include <math.h>
#include <stdio.h>

#include "run/measuring.h"
#include "run/results.h"

enum { ROUNDS = 3, MOST_ITEMS = 16384, LEAST_ITEMS = 16, PREDICTIONS = 5 };
#define LEAST_BYTES 48e6 /* in all */
#define MOST_BYTES 512e6
#define DISK_SECONDS 0.25 /* about so long for the disk: beside it, opening and ending count for little */

typedef struct ready {  /* a finished batch, as the writer wants it */
    bcam_out_map *maps; /* (N, per photo) */
    int *counts;        /* (N) */
    int per_photo, count;
    bcam_out_prediction predictions[PREDICTIONS];
} ready;

static bcam_status collect(const bcam_job *job, ready *r, bcam_error *err)
{
    const bcam_engine_info *info = &job->info;
    r->per_photo = info->layer_count * info->method_count * info->classes;
    r->count = info->batch;
    r->maps = bcam_alloc((size_t)r->per_photo * (size_t)r->count, sizeof *r->maps);
    r->counts = bcam_alloc((size_t)r->count, sizeof *r->counts);
    if (!r->maps || !r->counts)
        return bcam_fail_memory(err, (size_t)r->per_photo * (size_t)r->count * sizeof *r->maps, "a batch's maps");
    for (int n = 0; n < r->count; n++)
        for (int i = 0; i < r->per_photo; i++)
            r->counts[n] += bcam_results_map(job, n, i, &r->maps[n * r->per_photo + r->counts[n]]);
    for (int i = 0; i < PREDICTIONS; i++)
        r->predictions[i] = (bcam_out_prediction){i % info->class_count, 1.0f, 0.1f};
    return BCAM_OK;
}

static bcam_status write_items(const bcam_job *job, const ready *r, bcam_out *out, int items, bcam_error *err)
{
    const bcam_engine_info *info = &job->info;
    size_t photo = (size_t)info->height * (size_t)info->width * 3;
    bcam_status status = BCAM_OK;
    for (int i = 0; status == BCAM_OK && i < items; i++) {
        int n = i % r->count;
        char name[32];
        snprintf(name, sizeof name, "%07d.jpg", i);
        bcam_out_item item = {.id = i + 1,
                              .path = name,
                              .outcome = "ok",
                              .message = "",
                              .width = 500,
                              .height = 375,
                              .orientation = 1,
                              .crop_w = 375,
                              .crop_h = 375,
                              .label = -1,
                              .predictions = r->predictions,
                              .prediction_count = info->class_count < PREDICTIONS ? info->class_count : PREDICTIONS,
                              .maps = r->maps + n * r->per_photo,
                              .map_count = r->counts[n],
                              .pixels = bcam_engine_pixels(job->engine, 0) + (size_t)n * photo,
                              .in_height = info->height,
                              .in_width = info->width};
        status = bcam_out_write(out, &item, err);
    }
    return status;
}

/* Seconds a photo, from the first map to all being safe on the disk. */
static bcam_status write_once(bcam_measuring *b, const bcam_job *job, const ready *r, int items, double *seconds,
                              double *bytes, bcam_error *err)
{
    bcam_out *out = NULL;
    bcam_out_settings settings = job->settings;
    settings.dir = b->out;
    settings.discard = settings.overlay = false;
    bcam_status status = bcam_out_open(&settings, &out, err);
    double begun = bcam_clock_seconds();
    if (status == BCAM_OK)
        status = write_items(job, r, out, items, err);
    if (status == BCAM_OK)
        status = bcam_out_finish(out, "{\"program\": \"batchcam\"}", err);
    *seconds = (bcam_clock_seconds() - begun) / items;
    bcam_out_close(&out);
    *bytes = bcam_bench_remove(b->out) / items;
    return status;
}

/* Overlays of all the batch's maps, by all threads. */
static bcam_status encode_all(const bcam_measuring *b, const bcam_job *job, const ready *r, double *seconds,
                              bcam_error *err)
{
    const bcam_engine_info *info = &job->info;
    const uint8_t *pixels = bcam_engine_pixels(job->engine, 0);
    size_t photo = (size_t)info->height * (size_t)info->width * 3;
    double sum = 0;
    bool failed = false;
#pragma omp parallel num_threads(b->threads) reduction(+ : sum) reduction(|| : failed)
    {
        double begun = bcam_clock_seconds();
#pragma omp for schedule(dynamic) nowait
        for (int n = 0; n < r->count; n++)
            for (int m = 0; m < r->counts[n]; m++) {
                uint8_t *jpeg = NULL;
                size_t bytes;
                failed |= bcam_overlay_encode(pixels + (size_t)n * photo, r->maps[n * r->per_photo + m].colours,
                                              info->height, info->width, &jpeg, &bytes, NULL) != BCAM_OK;
                bcam_free(jpeg);
            }
        sum += bcam_clock_seconds() - begun;
    }
    *seconds = sum / r->count;
    return failed ? bcam_fail(err, BCAM_E_MEMORY, "out of memory for overlays") : BCAM_OK;
}

bcam_status bcam_bench_write(bcam_measuring *b, bcam_job *job, bcam_bench_row *row, bcam_error *err)
{
    ready r = {0};
    double writing[ROUNDS] = {0}, encoding[ROUNDS] = {0};
    bcam_status status = collect(job, &r, err);
    double map = (double)job->info.map_height * job->info.map_width * r.per_photo *
                 (double)bcam_dtype_bytes(job->options->engine.map_dtype);
    double enough = fmin(fmax(b->peak_disk * DISK_SECONDS, LEAST_BYTES), MOST_BYTES);
    int items = (int)fmin(fmax(enough / map, LEAST_ITEMS), MOST_ITEMS);
    for (int i = 0; i < ROUNDS && status == BCAM_OK && bcam_bench_goes_on(b); i++) {
        status = write_once(b, job, &r, items, &writing[i], &row->bytes_written, err);
        if (status == BCAM_OK && job->options->overlay)
            status = encode_all(b, job, &r, &encoding[i], err);
    }
    row->stage[BCAM_STAGE_WRITE].alone = bcam_median(writing, ROUNDS);
    row->stage[BCAM_STAGE_ENCODE].alone = bcam_median(encoding, ROUNDS);
    bcam_free(r.maps);
    bcam_free(r.counts);
    return status;
}
