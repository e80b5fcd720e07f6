/* stream.c - photos in, rows out, a batch at a time: the threads decode a batch together, the device computes it, and one writes it in order.
 *
 * A device with two pairs of buffers computes one batch while the next is decoded and the last one written. The CPU has one: decoding beside an
 * OpenMP team that computes is slower than in turn with it. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "run/job.h"

enum { PREDICTIONS = 5 };

/** A photo of the batch in hand. */
typedef struct photo_slot {
    char *path, *shown; /* path: NULL where the photo came as bytes */
    uint8_t *room;      /* for bytes; kept from batch to batch */
    size_t room_bytes, bytes;
    int label;
    bcam_outcome outcome;
    char message[320];
    int width, height, orientation;
    bcam_box crop;
    int at; /* its place in the engine's batch, -1: none */
} photo_slot;

/** A batch on its way from the list to its rows, in one of the device's pairs. */
typedef struct load {
    photo_slot *slots; /* N */
    int filled, count; /* photos; those of them that are computed */
    int32_t *classes;  /* (N,K) */
    int pair;
} load;

enum { MOST_LOADS = 2 };

typedef struct stream {
    bcam_job *job;
    bcam_list *list;
    load loads[MOST_LOADS];
    int pairs;                /* loads that can be under way */
    int64_t started, written; /* loads */
    bcam_photo *photos;       /* one a thread */
    int threads;
    bcam_out_map *maps; /* of one photo: layers x methods x K */
    int64_t given;      /* photos taken from the list */
    bool end;
    bcam_progress_fn progress;
    void *progress_data;
} stream;

/* ---- list ---- */

/* A slot for the item, whose strings and bytes hold only until the next. Without room for the bytes it is a row that says so. */
static bcam_status fill_slot(photo_slot *slot, const bcam_item *item, bcam_error *err)
{
    *slot = (photo_slot){.path = item->path ? bcam_strdup(item->path) : NULL,
                         .shown = bcam_strdup(item->shown),
                         .room = slot->room,
                         .room_bytes = slot->room_bytes,
                         .bytes = item->bytes,
                         .at = -1};
    if (!slot->shown || (item->path && !slot->path)) {
        bcam_free(slot->path);
        bcam_free(slot->shown);
        return bcam_fail(err, BCAM_E_MEMORY, "out of memory while listing photos");
    }
    if (item->bytes > slot->room_bytes || !item->data) {
        bcam_free(slot->room);
        slot->room = item->data ? bcam_alloc(item->bytes, 1) : NULL;
        slot->room_bytes = slot->room ? item->bytes : 0;
    }
    if (slot->room && item->data)
        memcpy(slot->room, item->data, item->bytes);
    return BCAM_OK;
}

static bcam_status fill_slots(stream *s, load *l, bcam_error *err)
{
    bcam_item item;
    bcam_job *job = s->job;
    for (l->filled = 0; l->filled < job->info.batch && !s->end; l->filled++, s->given++) {
        if (job->options->limit && s->given >= job->options->limit) {
            s->end = true;
            break;
        }
        bcam_status status = bcam_list_next(s->list, &item, &s->end, err);
        if (status != BCAM_OK || s->end)
            return status;
        if (job->total < 0) /* the survey did not see it */
            status = bcam_targets_check(&job->targets, item.shown, err);
        if (status == BCAM_OK)
            status = fill_slot(&l->slots[l->filled], &item, err);
        if (status != BCAM_OK)
            return status;
        l->slots[l->filled].label = bcam_labels_of(&job->labels, &job->names, &item, &job->log);
    }
    return BCAM_OK;
}

static void empty_slots(load *l)
{
    for (int i = 0; i < l->filled; i++) {
        bcam_free(l->slots[i].path);
        bcam_free(l->slots[i].shown);
    }
    l->filled = 0;
}

/* ---- decode ---- */

static void decode(const stream *s, photo_slot *slot, bcam_photo *photo, uint8_t *pixels)
{
    const bcam_run_options *o = s->job->options;
    bcam_photo_limits limits = {.max_pixels = o->max_pixels ? o->max_pixels : 89478485,
                                .exif = o->exif,
                                .recipe = bcam_engine_recipe(s->job->engine)};
    bcam_error why = {0};
    slot->outcome = slot->path ? bcam_photo_load(photo, slot->path, &limits)
                               : bcam_photo_decode(photo, slot->room, slot->bytes, &limits);
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

/* Every photo is decoded into its own place; good ones then move up, so that the batch has no holes. */
static void decode_load(stream *s, load *l)
{
    uint8_t *pixels = bcam_engine_pixels(s->job->engine, l->pair);
    size_t item = (size_t)s->job->info.height * (size_t)s->job->info.width * 3;
    int k = s->job->info.classes;
#pragma omp parallel for schedule(dynamic) num_threads(s->threads)
    for (int i = 0; i < l->filled; i++)
        decode(s, &l->slots[i], &s->photos[omp_get_thread_num()], pixels + (size_t)i * item);
    l->count = 0;
    for (int i = 0; i < l->filled; i++) {
        photo_slot *slot = &l->slots[i];
        if (slot->outcome != BCAM_OUTCOME_OK)
            continue;
        if (!bcam_targets_fill(&s->job->targets, slot->shown, slot->label, l->classes + l->count * k)) {
            slot->outcome = BCAM_OUTCOME_NO_LABEL;
            snprintf(slot->message, sizeof slot->message, "its label was to be explained, and it has none");
            continue;
        }
        if (l->count != i)
            memmove(pixels + (size_t)l->count * item, pixels + (size_t)i * item, item);
        slot->at = l->count++;
    }
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

static bcam_status write_slot(stream *s, const load *l, const photo_slot *slot, bcam_error *err)
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
        item.pixels = bcam_engine_pixels(job->engine, l->pair) +
                      (size_t)slot->at * (size_t)job->info.height * (size_t)job->info.width * 3;
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

static bcam_status start_load(stream *s, load *l, bcam_error *err)
{
    bcam_job *job = s->job;
    double t0 = bcam_clock_seconds();
    decode_load(s, l);
    double t1 = bcam_clock_seconds();
    bcam_batch batch = {.count = l->count, .pixels = bcam_engine_pixels(job->engine, l->pair), .classes = l->classes};
    bcam_status status = l->count ? bcam_engine_start(job->engine, &batch, l->pair, err) : BCAM_OK;
    job->times.decode += t1 - t0;
    job->times.compute += bcam_clock_seconds() - t1;
    return status;
}

static bcam_status finish_load(stream *s, load *l, bcam_error *err)
{
    bcam_job *job = s->job;
    double t0 = bcam_clock_seconds();
    bcam_status status = l->count ? bcam_engine_finish(job->engine, l->pair, err) : BCAM_OK;
    if (status == BCAM_OK && l->count && !job->summary.ok)
        status = bcam_job_self_check(job, err);
    double t1 = bcam_clock_seconds();
    for (int i = 0; status == BCAM_OK && i < l->filled; i++)
        status = write_slot(s, l, &l->slots[i], err);
    job->times.compute += t1 - t0;
    job->times.write += bcam_clock_seconds() - t1;
    empty_slots(l);
    return status;
}

/* Finishes the oldest loads until no more than `most` are under way. */
static bcam_status finish_oldest(stream *s, int most, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    while (status == BCAM_OK && s->started - s->written > most)
        status = finish_load(s, &s->loads[s->written++ % s->pairs], err);
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
    s->pairs = job->info.pairs < MOST_LOADS ? job->info.pairs : MOST_LOADS;
    s->photos = bcam_alloc((size_t)s->threads, sizeof *s->photos);
    s->maps = bcam_alloc((size_t)job->info.layer_count * (size_t)job->info.method_count * k, sizeof *s->maps);
    bool fits = s->photos && s->maps;
    for (int i = 0; i < s->pairs; i++) {
        load *l = &s->loads[i];
        l->pair = i;
        l->slots = bcam_alloc(n, sizeof *l->slots);
        l->classes = bcam_alloc(n * k, sizeof *l->classes);
        fits &= l->slots && l->classes;
    }
    if (!fits)
        return bcam_fail_memory(err, n * k * sizeof *s->loads[0].classes, "the stream");
    return bcam_list_open(job->options->images, job->options->image_count, &s->list, err);
}

static void close_stream(stream *s)
{
    for (int i = 0; i < MOST_LOADS; i++) {
        empty_slots(&s->loads[i]);
        for (int n = 0; s->loads[i].slots && n < s->job->info.batch; n++)
            bcam_free(s->loads[i].slots[n].room);
        bcam_free(s->loads[i].slots);
        bcam_free(s->loads[i].classes);
    }
    for (int i = 0; s->photos && i < s->threads; i++)
        bcam_photo_fini(&s->photos[i]);
    bcam_list_close(&s->list);
    bcam_free(s->photos);
    bcam_free(s->maps);
}

/* Until the list ends, a stop is asked for, or something fails; loads are left under way. The first with photos is finished at once, for what the
 * self-check reads is the last batch's. */
static bcam_status run_loads(stream *s, bool *go_on, bcam_error *err)
{
    bcam_error why;
    bcam_status status = BCAM_OK, listed = BCAM_OK;
    while (status == BCAM_OK && listed == BCAM_OK && *go_on) {
        load *next = &s->loads[s->started % s->pairs];
        listed = fill_slots(s, next, &why);
        if (next->filled) {
            status = start_load(s, next, err);
            s->started++;
        } else if (listed == BCAM_OK) {
            break;
        }
        if (status == BCAM_OK) /* what came before an error of the list is still written */
            status = finish_oldest(s, s->job->summary.ok && listed == BCAM_OK ? s->pairs - 1 : 0, err);
        *go_on = report(s);
    }
    bool cut_by_stop = !*go_on && s->job->total < 0; /* the interrupt ended what wrote to our standard input, too */
    return status == BCAM_OK && listed != BCAM_OK && !cut_by_stop ? bcam_fail(err, listed, "%s", why.message) : status;
}

static bcam_status fail_stopped(const bcam_job *job, bcam_error *err)
{
    char of[32] = "";
    if (job->total >= 0)
        snprintf(of, sizeof of, " of %lld", (long long)job->total);
    return bcam_fail(err, BCAM_E_STOPPED, "stopped after %lld%s photos; what was written is valid",
                     (long long)job->summary.images, of);
}

bcam_status bcam_job_stream(bcam_job *job, bcam_progress_fn progress, void *progress_data, bcam_error *err)
{
    stream s = {.job = job, .progress = progress, .progress_data = progress_data};
    job->started = bcam_clock_seconds();
    bcam_status status = open_stream(&s, err);
    bool go_on = status == BCAM_OK && report(&s);
    if (status == BCAM_OK)
        status = run_loads(&s, &go_on, err);
    if (status == BCAM_OK && s.started > s.written) {
        status = finish_oldest(&s, 0, err);
        go_on &= report(&s);
    }
    if (status == BCAM_OK && !go_on && (job->total < 0 ? !s.end : job->summary.images < job->total))
        status = fail_stopped(job, err);
    if (job->total < 0 && s.list)
        bcam_job_count_left_out(job, bcam_list_get_counts(s.list));
    if (status == BCAM_OK && !job->summary.images)
        status = bcam_fail(err, BCAM_E_INPUT, "standard input holds no photos");
    if (status == BCAM_OK && go_on && job->total >= 0 && job->summary.images != job->total)
        bcam_log_line(
            &job->log, BCAM_LOG_WARNING,
            "%lld photos were there when the run began, and %lld when their folders were read; these have rows",
            (long long)job->total, (long long)job->summary.images);
    job->summary.seconds = bcam_clock_seconds() - job->started;
    close_stream(&s);
    return status;
}

bcam_status bcam_job_sample(bcam_job *job, int most, uint8_t *pixels, int32_t *classes, int *count, bcam_error *err)
{
    stream s = {.job = job};
    size_t photo = (size_t)job->info.height * (size_t)job->info.width * 3, k = (size_t)job->info.classes;
    bcam_status status = open_stream(&s, err);
    load *l = &s.loads[0];
    for (*count = 0; status == BCAM_OK && *count < most && !s.end; empty_slots(l)) {
        status = fill_slots(&s, l, err);
        if (status == BCAM_E_INPUT) { /* the run will come to the same place, and say so */
            status = BCAM_OK;
            s.end = true;
        }
        if (status != BCAM_OK)
            break;
        decode_load(&s, l);
        int now = l->count < most - *count ? l->count : most - *count;
        memcpy(pixels + (size_t)*count * photo, bcam_engine_pixels(job->engine, l->pair), (size_t)now * photo);
        memcpy(classes + (size_t)*count * k, l->classes, (size_t)now * k * sizeof *classes);
        *count += now;
    }
    close_stream(&s);
    return status;
}
