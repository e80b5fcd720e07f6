/* stream.c - photos in, rows out, a batch at a time: the threads decode a batch together, compute it together, and one writes it in order.
 *
 * Decoding beside an OpenMP team that computes is slower than in turn with it, so the CPU device has no decode workers. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "run/job.h"

enum { PREDICTIONS = 5 };

/** A photo of the batch in hand. */
typedef struct photo_slot {
    char *path, *shown;
    int label;
    bcam_outcome outcome;
    char message[320];
    int width, height, orientation;
    bcam_box crop;
    int at; /* its place in the engine's batch, -1: none */
} photo_slot;

typedef struct stream {
    bcam_job *job;
    bcam_list *list;
    photo_slot *slots; /* N */
    int filled;
    bcam_photo *photos; /* one a thread */
    int threads;
    int32_t *classes;   /* (N,K) */
    bcam_out_map *maps; /* of one photo: layers x methods x K */
    int64_t given;      /* photos taken from the list */
    bool end;
    bcam_progress_fn progress;
    void *progress_data;
} stream;

/* ---- list ---- */

static bcam_status fill_slots(stream *s, bcam_error *err)
{
    bcam_item item;
    bcam_job *job = s->job;
    for (s->filled = 0; s->filled < job->info.batch && !s->end; s->filled++, s->given++) {
        if (job->options->limit && s->given >= job->options->limit) {
            s->end = true;
            break;
        }
        bcam_status status = bcam_list_next(s->list, &item, &s->end, err);
        if (status != BCAM_OK || s->end)
            return status;
        photo_slot *slot = &s->slots[s->filled];
        *slot = (photo_slot){.path = bcam_strdup(item.path), .shown = bcam_strdup(item.shown), .at = -1};
        slot->label = bcam_labels_of(&job->labels, &job->names, &item, &job->log);
        if (!slot->path || !slot->shown) {
            s->filled++;
            return bcam_fail(err, BCAM_E_MEMORY, "out of memory while listing photos");
        }
    }
    return BCAM_OK;
}

static void empty_slots(stream *s)
{
    for (int i = 0; i < s->filled; i++) {
        bcam_free(s->slots[i].path);
        bcam_free(s->slots[i].shown);
    }
    s->filled = 0;
}

/* ---- decode ---- */

static void decode(const stream *s, photo_slot *slot, bcam_photo *photo, uint8_t *pixels)
{
    const bcam_run_options *o = s->job->options;
    bcam_photo_limits limits = {.max_pixels = o->max_pixels ? o->max_pixels : 89478485, .exif = o->exif};
    bcam_error why = {0};
    slot->outcome = bcam_photo_load(photo, slot->path, &limits);
    slot->width = photo->width;
    slot->height = photo->height;
    slot->orientation = photo->width ? photo->orientation : 0; /* not known of a file that was not read */
    snprintf(slot->message, sizeof slot->message, "%s", slot->outcome == BCAM_OUTCOME_OK ? "" : photo->message);
    if (slot->outcome != BCAM_OUTCOME_OK)
        return;
    if (bcam_prep_photo(bcam_engine_recipe(s->job->engine), photo, pixels, &slot->crop, &why) != BCAM_OK) {
        slot->outcome = why.code == BCAM_E_MEMORY ? BCAM_OUTCOME_UNREADABLE : BCAM_OUTCOME_UNSUPPORTED;
        snprintf(slot->message, sizeof slot->message, "%.319s", why.message);
    }
}

/* Every photo is decoded into its own place; good ones then move up, so that the batch has no holes. Returns how many there are. */
static int decode_batch(stream *s)
{
    uint8_t *pixels = bcam_engine_pixels(s->job->engine, 0);
    size_t item = (size_t)s->job->info.height * (size_t)s->job->info.width * 3;
    int k = s->job->info.classes, count = 0;
#pragma omp parallel for schedule(dynamic) num_threads(s->threads)
    for (int i = 0; i < s->filled; i++)
        decode(s, &s->slots[i], &s->photos[omp_get_thread_num()], pixels + (size_t)i * item);
    for (int i = 0; i < s->filled; i++) {
        photo_slot *slot = &s->slots[i];
        if (slot->outcome != BCAM_OUTCOME_OK)
            continue;
        if (!bcam_targets_fill(&s->job->targets, slot->shown, slot->label, s->classes + count * k)) {
            slot->outcome = BCAM_OUTCOME_NO_LABEL;
            snprintf(slot->message, sizeof slot->message, "its label was to be explained, and it has none");
            continue;
        }
        if (count != i)
            memmove(pixels + (size_t)count * item, pixels + (size_t)i * item, item);
        slot->at = count++;
    }
    return count;
}

/* ---- write ---- */

static int best_predictions(const bcam_job *job, const float *logits, bcam_out_prediction *out)
{
    int count = 0, most = job->info.class_count < PREDICTIONS ? job->info.class_count : PREDICTIONS;
    double sum = 0;
    for (int c = 0; c < job->info.class_count; c++) {
        if (isnan(logits[c]) || (count == most && logits[c] <= out[count - 1].logit))
            continue;
        int at = count < most ? count++ : count - 1;
        for (; at > 0 && out[at - 1].logit < logits[c]; at--)
            out[at] = out[at - 1];
        out[at] = (bcam_out_prediction){c, logits[c], 0};
    }
    for (int c = 0; count && c < job->info.class_count; c++)
        sum += exp((double)logits[c] - (double)out[0].logit);
    for (int i = 0; i < count; i++) {
        double x = (double)out[i].logit;
        out[i].probability = job->info.activation == BCAM_ACTIVATION_SOFTMAX
                                 ? (float)(exp(x - (double)out[0].logit) / sum)
                             : job->info.activation == BCAM_ACTIVATION_SIGMOID ? (float)(1 / (1 + exp(-x)))
                                                                               : (float)x;
    }
    return count;
}

static int collect_maps(stream *s, int at)
{
    bcam_job *job = s->job;
    int count = 0;
    for (int l = 0; l < job->info.layer_count; l++)
        for (int m = 0; m < job->info.method_count; m++)
            for (int k = 0; k < job->info.classes; k++) {
                bcam_map map;
                bcam_layer_info layer;
                if (bcam_engine_map(job->engine, l, m, at, k, &map, NULL) != BCAM_OK || map.outcome == BCAM_MAP_NONE)
                    continue;
                bcam_engine_get_layer(job->engine, l, &layer, NULL);
                s->maps[count++] = (bcam_out_map){layer.name,
                                                  bcam_engine_method(job->engine, m),
                                                  map.class_id,
                                                  map.outcome,
                                                  map.logit,
                                                  map.probability,
                                                  map.raw_min,
                                                  map.raw_max,
                                                  map.height,
                                                  map.width,
                                                  map.dtype,
                                                  map.data,
                                                  bcam_engine_picture(job->engine, l, m, at, k)};
                job->summary.maps++;
                job->summary.maps_all_zero += map.outcome == BCAM_MAP_ALL_ZERO;
                job->summary.maps_constant += map.outcome == BCAM_MAP_CONSTANT;
                job->summary.maps_not_finite += map.outcome == BCAM_MAP_NOT_FINITE;
            }
    return count;
}

static void count_outcome(bcam_job *job, const photo_slot *slot)
{
    int64_t *counters[BCAM_OUTCOME_COUNT] = {
        [BCAM_OUTCOME_OK] = &job->summary.ok,
        [BCAM_OUTCOME_MISSING] = &job->summary.missing,
        [BCAM_OUTCOME_UNREADABLE] = &job->summary.unreadable,
        [BCAM_OUTCOME_UNSUPPORTED] = &job->summary.unsupported,
        [BCAM_OUTCOME_TOO_LARGE] = &job->summary.too_large,
        [BCAM_OUTCOME_NO_LABEL] = &job->summary.no_label,
    };
    job->summary.images++;
    ++*counters[slot->outcome];
    job->rotated += slot->orientation > 1;
}

static bcam_status write_slot(stream *s, const photo_slot *slot, bcam_error *err)
{
    bcam_job *job = s->job;
    bcam_out_prediction predictions[PREDICTIONS];
    bcam_out_item item = {.id = job->summary.images + 1,
                          .path = slot->shown,
                          .outcome = bcam_outcome_name(slot->outcome),
                          .message = slot->message};
    item.width = slot->width;
    item.height = slot->height;
    item.orientation = slot->orientation;
    item.label = slot->label;
    item.in_height = job->info.height;
    item.in_width = job->info.width;
    if (slot->at >= 0) {
        const float *logits = bcam_engine_logits(job->engine) + (size_t)slot->at * (size_t)job->info.class_count;
        item.crop_x = slot->crop.x;
        item.crop_y = slot->crop.y;
        item.crop_w = slot->crop.w;
        item.crop_h = slot->crop.h;
        item.predictions = predictions;
        item.prediction_count = best_predictions(job, logits, predictions);
        item.maps = s->maps;
        item.map_count = collect_maps(s, slot->at);
        item.pixels =
            bcam_engine_pixels(job->engine, 0) + (size_t)slot->at * (size_t)job->info.height * (size_t)job->info.width * 3;
        if (slot->label >= 0 && item.prediction_count) {
            job->labelled++;
            job->correct += predictions[0].class_id == slot->label;
        }
    }
    bcam_status status = bcam_out_write(job->out, &item, err);
    if (status == BCAM_OK)
        count_outcome(job, slot);
    return status;
}

/* ---- the stream ---- */

static bcam_status one_batch(stream *s, bcam_error *err)
{
    bcam_job *job = s->job;
    double t0 = bcam_clock_seconds();
    int count = decode_batch(s);
    double t1 = bcam_clock_seconds();
    bcam_status status = BCAM_OK;
    if (count) {
        bcam_batch batch = {.count = count, .pixels = bcam_engine_pixels(job->engine, 0), .classes = s->classes};
        status = bcam_engine_compute(job->engine, &batch, err);
        if (status == BCAM_OK && !job->summary.ok)
            status = bcam_job_self_check(job, err);
    }
    double t2 = bcam_clock_seconds();
    for (int i = 0; status == BCAM_OK && i < s->filled; i++)
        status = write_slot(s, &s->slots[i], err);
    job->times.decode += t1 - t0;
    job->times.compute += t2 - t1;
    job->times.write += bcam_clock_seconds() - t2;
    return status;
}

static bool report(stream *s)
{
    const bcam_job *job = s->job;
    bcam_progress p = {job->summary.images, job->total, bcam_clock_seconds() - job->started, job->summary.ok,
                       job->summary.images - job->summary.ok};
    return !s->progress || s->progress(s->progress_data, &p);
}

static bcam_status open_stream(stream *s, bcam_error *err)
{
    const bcam_job *job = s->job;
    size_t n = (size_t)job->info.batch, k = (size_t)job->info.classes;
    s->threads = job->options->engine.threads ? job->options->engine.threads : omp_get_num_procs();
    s->slots = bcam_alloc(n, sizeof *s->slots);
    s->classes = bcam_alloc(n * k, sizeof *s->classes);
    s->photos = bcam_alloc((size_t)s->threads, sizeof *s->photos);
    s->maps = bcam_alloc((size_t)job->info.layer_count * (size_t)job->info.method_count * k, sizeof *s->maps);
    if (!s->slots || !s->classes || !s->photos || !s->maps)
        return bcam_fail_memory(err, n * k * sizeof *s->classes, "the stream");
    return bcam_list_open(job->options->images, job->options->image_count, &s->list, err);
}

static void close_stream(stream *s)
{
    empty_slots(s);
    for (int i = 0; s->photos && i < s->threads; i++)
        bcam_photo_fini(&s->photos[i]);
    bcam_list_close(&s->list);
    bcam_free(s->slots);
    bcam_free(s->classes);
    bcam_free(s->photos);
    bcam_free(s->maps);
}

bcam_status bcam_job_stream(bcam_job *job, bcam_progress_fn progress, void *progress_data, bcam_error *err)
{
    stream s = {.job = job, .progress = progress, .progress_data = progress_data};
    job->started = bcam_clock_seconds();
    bcam_status status = open_stream(&s, err);
    bool go_on = status == BCAM_OK && report(&s);
    while (status == BCAM_OK && go_on) {
        status = fill_slots(&s, err);
        if (status != BCAM_OK || !s.filled)
            break;
        status = one_batch(&s, err);
        empty_slots(&s);
        go_on = report(&s);
    }
    if (status == BCAM_OK && !go_on && job->summary.images < job->total)
        status = bcam_fail(err, BCAM_E_STOPPED, "stopped after %lld of %lld photos; what was written is valid",
                           (long long)job->summary.images, (long long)job->total);
    job->summary.seconds = bcam_clock_seconds() - job->started;
    close_stream(&s);
    return status;
}
