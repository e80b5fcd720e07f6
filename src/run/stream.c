/* stream.c - photos in, rows out, a batch at a time. The threads decode a batch together while one of them first writes the last one, in order;
 * then the device computes it.
 *
 * A device with two pairs of buffers computes meanwhile. The CPU has one: decoding beside an OpenMP team that computes is slower than in turn with
 * it. The files of the next batch are asked for before this one is computed, so that the disk works too. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "run/load.h"

enum { PREDICTIONS = 5 };

enum { MOST_PAIRS = 2, MOST_LOADS = MOST_PAIRS + 2 };

/** A map's picture, encoded. */
typedef struct picture {
    uint8_t *jpeg; /* NULL: none */
    size_t bytes;
} picture;

typedef struct stream {
    bcam_job *job;
    bcam_source source;
    bcam_load
        loads[MOST_LOADS]; /* one of them being filled, one decoded, `pairs` computed; the oldest of these is written */
    int load_count, pairs; /* loads; those that can be under way on the device */
    int64_t started, written; /* loads */
    bcam_worker *workers;     /* one a thread */
    int threads;
    bcam_out_map *maps;                /* of one photo: layers x methods x K */
    int map_count;                     /* so many */
    double before[BCAM_SEGMENT_COUNT]; /* seconds of the device's segments, before the run */
    picture *pictures;                 /* of a load: N x map_count; NULL where none are wanted */
    bcam_progress_fn progress;
    void *progress_data;
} stream;

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

static size_t picture_bytes(const bcam_job *job)
{
    return (size_t)job->info.height * (size_t)job->info.width * 3;
}

/* Map i of the s->map_count that a photo may have, -1 as class: none. */
static bcam_map map_of(const bcam_job *job, int at, int i, int *layer, int *method)
{
    bcam_map map = {.outcome = BCAM_MAP_NONE};
    int k = i % job->info.classes;
    *method = i / job->info.classes % job->info.method_count;
    *layer = i / job->info.classes / job->info.method_count;
    return bcam_engine_map(job->engine, *layer, *method, at, k, &map, NULL) == BCAM_OK
               ? map
               : (bcam_map){.outcome = BCAM_MAP_NONE};
}

static int collect_maps(stream *s, int at)
{
    bcam_job *job = s->job;
    int count = 0;
    for (int i = 0; i < s->map_count; i++) {
        int l, m;
        bcam_layer_info layer;
        bcam_map map = map_of(job, at, i, &l, &m);
        const picture *encoded = s->pictures ? &s->pictures[at * s->map_count + i] : NULL;
        if (map.outcome == BCAM_MAP_NONE)
            continue;
        bcam_engine_get_layer(job->engine, l, &layer, NULL);
        s->maps[count++] = (bcam_out_map){.layer = layer.name,
                                          .method = bcam_engine_method(job->engine, m),
                                          .class_id = map.class_id,
                                          .outcome = map.outcome,
                                          .logit = map.logit,
                                          .probability = map.probability,
                                          .raw_min = map.raw_min,
                                          .raw_max = map.raw_max,
                                          .height = map.height,
                                          .width = map.width,
                                          .dtype = map.dtype,
                                          .data = map.data,
                                          .colours = bcam_engine_picture(job->engine, l, m, at, i % job->info.classes),
                                          .jpeg = encoded ? encoded->jpeg : NULL,
                                          .jpeg_bytes = encoded ? encoded->bytes : 0};
        job->summary.maps++;
        job->summary.maps_all_zero += map.outcome == BCAM_MAP_ALL_ZERO;
        job->summary.maps_constant += map.outcome == BCAM_MAP_CONSTANT;
        job->summary.maps_not_finite += map.outcome == BCAM_MAP_NOT_FINITE;
    }
    return count;
}

static void count_outcome(bcam_job *job, const bcam_photo_slot *slot)
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

static bcam_status write_slot(stream *s, const bcam_load *l, const bcam_photo_slot *slot, bcam_error *err)
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
        item.pixels = l->pixels + (size_t)slot->at * picture_bytes(job);
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

static bcam_status write_load(stream *s, const bcam_load *l, bcam_error *err)
{
    double begin = bcam_clock_seconds();
    bcam_status status = BCAM_OK;
    for (int i = 0; status == BCAM_OK && i < l->filled; i++)
        status = write_slot(s, l, &l->slots[i], err);
    s->job->stages[BCAM_STAGE_WRITE] += bcam_clock_seconds() - begin;
    return status;
}

/* One map's picture, by any thread. */
static bcam_status encode(const stream *s, const bcam_load *l, int at, int i, bcam_worker *w, bcam_error *err)
{
    const bcam_job *job = s->job;
    int layer, method;
    double begin = bcam_clock_seconds();
    picture *to = &s->pictures[at * s->map_count + i];
    bcam_map map = map_of(job, at, i, &layer, &method);
    const uint8_t *colours = bcam_engine_picture(job->engine, layer, method, at, i % job->info.classes);
    bcam_status status = BCAM_OK;
    if (map.outcome != BCAM_MAP_NONE && colours)
        status = bcam_overlay_encode(l->pixels + (size_t)at * picture_bytes(job), colours, job->info.height,
                                     job->info.width, &to->jpeg, &to->bytes, err);
    w->seconds[BCAM_STAGE_ENCODE] += bcam_clock_seconds() - begin;
    return status;
}

static void drop_pictures(stream *s)
{
    for (int i = 0; s->pictures && i < s->job->info.batch * s->map_count; i++) {
        bcam_free(s->pictures[i].jpeg);
        s->pictures[i] = (picture){0};
    }
}

/* ---- the stream ---- */

/* The threads decode `next` together, while this one first writes what became of `done`; either may be NULL. */
static bcam_status decode_and_write(stream *s, bcam_load *next, bcam_load *done, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    int pictures = done && s->pictures ? done->count * s->map_count : 0, photos = next ? next->filled : 0;
#pragma omp parallel num_threads(s->threads) if (photos + pictures > 0)
    {
        bcam_worker *worker = &s->workers[omp_get_thread_num()];
#pragma omp for schedule(dynamic)
        for (int i = 0; i < pictures; i++) {
            bcam_error why;
            bcam_status own = encode(s, done, i / s->map_count, i % s->map_count, worker, &why);
            if (own != BCAM_OK)
#pragma omp critical
                status = bcam_fail(err, own, "%s", why.message);
        }
#pragma omp master
        if (done && status == BCAM_OK)
            status = write_load(s, done, err);
#pragma omp for schedule(dynamic)
        for (int i = 0; i < photos; i++)
            bcam_load_decode(next, i, s->job, worker);
    }
    drop_pictures(s);
    if (done)
        bcam_load_empty(done);
    if (next)
        bcam_load_gather(next, s->job);
    return status;
}

static bcam_status start_load(stream *s, bcam_load *l, bcam_error *err)
{
    bcam_job *job = s->job;
    double begin = bcam_clock_seconds(), steps = bcam_engine_seconds(job->engine, NULL);
    bcam_batch batch = {.count = l->count, .pixels = l->pixels, .classes = l->classes};
    l->pair = (int)(s->started++ % s->pairs);
    bcam_status status = l->count ? bcam_engine_start(job->engine, &batch, l->pair, err) : BCAM_OK;
    double took = bcam_clock_seconds() - begin;
    job->times.compute += took;
    job->stages[BCAM_STAGE_COPY_IN] += took - (bcam_engine_seconds(job->engine, NULL) - steps);
    return status;
}

/* Waits for the oldest load that is under way, if there are more than `most`; *done is that load, or NULL. The self-check reads the last batch. */
static bcam_status finish_load(stream *s, int most, bcam_load **done, bcam_error *err)
{
    bcam_job *job = s->job;
    *done = NULL;
    if (s->started - s->written <= most)
        return BCAM_OK;
    double begin = bcam_clock_seconds();
    bcam_load *l = *done = &s->loads[s->written++ % s->load_count];
    bcam_status status = l->count ? bcam_engine_finish(job->engine, l->pair, err) : BCAM_OK;
    double finished = bcam_clock_seconds();
    if (status == BCAM_OK && l->count && !job->summary.ok)
        status = bcam_job_self_check(job, err);
    job->times.compute += bcam_clock_seconds() - begin;
    job->stages[BCAM_STAGE_COPY_OUT] += finished - begin;
    return status;
}

/* Makes room on the device, and decodes `next` (NULL: none) beside the writing of what it gave back. */
static bcam_status turn(stream *s, bcam_load *next, int most, bcam_error *err)
{
    bcam_load *done;
    bcam_status status = finish_load(s, most, &done, err);
    double begin = bcam_clock_seconds(), before = s->job->stages[BCAM_STAGE_WRITE];
    if (status == BCAM_OK)
        status = decode_and_write(s, next, done, err);
    double wrote = s->job->stages[BCAM_STAGE_WRITE] - before;
    s->job->times.write += wrote;
    s->job->times.decode += bcam_clock_seconds() - begin - wrote;
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
    size_t n = (size_t)job->info.batch;
    s->threads = job->options->engine.threads ? job->options->engine.threads : omp_get_num_procs();
    s->pairs = job->info.pairs < MOST_PAIRS ? job->info.pairs : MOST_PAIRS;
    s->load_count = s->pairs + 2;
    s->map_count = job->info.layer_count * job->info.method_count * job->info.classes;
    bcam_engine_seconds(job->engine, s->before);
    s->workers = bcam_alloc((size_t)s->threads, sizeof *s->workers);
    s->maps = bcam_alloc((size_t)s->map_count, sizeof *s->maps);
    bool fits = s->workers && s->maps;
    if (job->options->overlay)
        fits &= (s->pictures = bcam_alloc(n * (size_t)s->map_count, sizeof *s->pictures)) != NULL;
    for (int i = 0; i < s->load_count; i++)
        fits &= bcam_load_init(&s->loads[i], job);
    if (!fits)
        return bcam_fail_memory(err, n * picture_bytes(job), "the stream");
    return bcam_list_open(job->options->images, job->options->image_count, &s->source.list, err);
}

/* What the device's segments took, all threads together. */
static void count_segments(stream *s)
{
    static const bcam_stage stage_of[BCAM_SEGMENT_COUNT] = {[BCAM_SEGMENT_PREP] = BCAM_STAGE_FORWARD,
                                                            [BCAM_SEGMENT_FORWARD] = BCAM_STAGE_FORWARD,
                                                            [BCAM_SEGMENT_BACKWARD] = BCAM_STAGE_BACKWARD,
                                                            [BCAM_SEGMENT_CAM] = BCAM_STAGE_CAM};
    double seconds[BCAM_SEGMENT_COUNT];
    bcam_engine_seconds(s->job->engine, seconds);
    for (int i = 0; i < BCAM_SEGMENT_COUNT; i++)
        s->job->stages[stage_of[i]] += (seconds[i] - s->before[i]) * s->threads;
}

static void close_stream(stream *s)
{
    count_segments(s);
    for (int i = 0; i < MOST_LOADS; i++)
        bcam_load_fini(&s->loads[i], s->job);
    for (int i = 0; s->workers && i < s->threads; i++) {
        bcam_photo_fini(&s->workers[i].photo);
        for (int stage = 0; stage < BCAM_STAGE_COUNT; stage++)
            s->job->stages[stage] += s->workers[i].seconds[stage];
    }
    bcam_list_close(&s->source.list);
    bcam_free(s->workers);
    bcam_free(s->maps);
    bcam_free(s->pictures);
}

/* The next photos, whose files the system is asked to have ready. */
static bcam_status fill(stream *s, bcam_load *l, bcam_error *err)
{
    double begin = bcam_clock_seconds();
    bcam_status status = bcam_load_fill(l, s->job, &s->source, err);
    bcam_load_ask(l);
    s->job->stages[BCAM_STAGE_LIST] += bcam_clock_seconds() - begin;
    return status;
}

/* Until the list ends, a stop is asked for, or something fails; loads are left under way. The first with photos is finished at once, for what the
 * self-check reads is the last batch's. */
static bcam_status run_loads(stream *s, bool *go_on, bcam_error *err)
{
    bcam_error why;
    bcam_status status = BCAM_OK, listed = fill(s, &s->loads[0], &why);
    while (status == BCAM_OK && *go_on) {
        bcam_load *next = &s->loads[s->started % s->load_count], *after = &s->loads[(s->started + 1) % s->load_count];
        if (!next->filled)
            break;
        status = turn(s, next, s->job->summary.ok ? s->pairs - 1 : 0, err);
        if (status == BCAM_OK && listed == BCAM_OK)
            listed = fill(s, after, &why);
        if (status == BCAM_OK)
            status = start_load(s, next, err);
        *go_on = report(s);
    }
    while (status == BCAM_OK &&
           s->started > s->written) /* what came before a stop, or an error of the list, is still written */
        status = turn(s, NULL, 0, err);
    if (s->started > 0)
        *go_on &= report(s);
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
    if (status == BCAM_OK && !go_on &&
        (job->total < 0 ? !s.source.end || s.loads[s.started % s.load_count].filled : job->summary.images < job->total))
        status = fail_stopped(job, err);
    if (job->total < 0 && s.source.list)
        bcam_job_count_left_out(job, bcam_list_get_counts(s.source.list));
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
    size_t photo = picture_bytes(job), k = (size_t)job->info.classes;
    bcam_status status = open_stream(&s, err);
    bcam_load *l = &s.loads[0];
    for (*count = 0; status == BCAM_OK && *count < most && !s.source.end; bcam_load_empty(l)) {
        status = fill(&s, l, err);
        if (status == BCAM_E_INPUT) { /* the run will come to the same place, and say so */
            status = BCAM_OK;
            s.source.end = true;
        }
        if (status != BCAM_OK)
            break;
        status = decode_and_write(&s, l, NULL, err);
        int now = l->count < most - *count ? l->count : most - *count;
        memcpy(pixels + (size_t)*count * photo, l->pixels, (size_t)now * photo);
        memcpy(classes + (size_t)*count * k, l->classes, (size_t)now * k * sizeof *classes);
        *count += now;
    }
    close_stream(&s);
    return status;
}
