/* stream.c - photos in, rows out, a batch at a time. The threads decode a batch together while one of them first writes the last one, in order;
 * then the device computes it.
 *
 * A device with two pairs of buffers computes meanwhile. The CPU has one: decoding beside an OpenMP team that computes is slower than in turn with
 * it. The files of the next batch are asked for before this one is computed, so that the disk works too. */
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "run/results.h"

enum { MOST_PAIRS = 2, MOST_LOADS = MOST_PAIRS + 2 };

#define LATE 0.02 /* waiting that is no waiting, as a share of the time from load to load */

typedef struct stream {
    bcam_job *job;
    bcam_source source;
    bcam_load loads[MOST_LOADS]; /* one filled, one decoded, `pairs` computed, the oldest of which is written */
    int load_count, pairs;
    int64_t started, written; /* loads */
    bcam_worker *workers;     /* one a thread */
    int threads;
    bcam_results results;
    bool late;                         /* when the last load was finished, the device had long been done */
    double finished;                   /* clock, of the load before that */
    double before[BCAM_SEGMENT_COUNT]; /* seconds of the device's segments, before the run */
    bcam_progress_fn progress;
    void *progress_data;
} stream;

/* ---- the stream ---- */

/* The threads decode `next` together, while this one first writes what became of `done`; either may be NULL. */
static bcam_status decode_and_write(stream *s, bcam_load *next, bcam_load *done, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    int pictures = done ? bcam_results_pictures(&s->results, done) : 0, photos = next ? next->filled : 0;
#pragma omp parallel num_threads(s->threads) if (photos + pictures > 0)
    {
        bcam_worker *worker = &s->workers[omp_get_thread_num()];
#pragma omp for schedule(dynamic)
        for (int i = 0; i < pictures; i++) {
            bcam_error why;
            bcam_status own = bcam_results_encode(&s->results, done, i, worker, &why);
            if (own != BCAM_OK)
#pragma omp critical
                status = bcam_fail(err, own, "%s", why.message);
        }
#pragma omp master
        if (done && status == BCAM_OK)
            status = bcam_results_write(&s->results, done, err);
#pragma omp for schedule(dynamic)
        for (int i = 0; i < photos; i++)
            bcam_load_decode(next, i, s->job, worker);
    }
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
    bcam_status status = !l->count   ? BCAM_OK
                         : l->packed ? bcam_engine_start_room(job->engine, &l->used, l->count, l->classes, l->pair, err)
                                     : bcam_engine_start(job->engine, &batch, l->pair, err);
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
    s->late = finished - begin < LATE * (finished - s->finished);
    s->finished = finished;
    if (status == BCAM_OK && l->count && !job->summary.ok)
        status = bcam_job_self_check(job, err);
    job->times.compute += bcam_clock_seconds() - begin;
    job->stages[BCAM_STAGE_COPY_OUT] += finished - begin;
    return status;
}

/* Whether the device resizes what is decoded next: asked to, or while it would wait for the processor otherwise. */
static bool is_for_device(const stream *s)
{
    bcam_resizer resizer = s->job->options->resize;
    return resizer == BCAM_RESIZER_DEVICE || (resizer == BCAM_RESIZER_AUTO && s->late && s->pairs > 1);
}

/* Makes room on the device, and decodes `next` (NULL: none) beside the writing of what it gave back. */
static bcam_status turn(stream *s, bcam_load *next, int most, bcam_error *err)
{
    bcam_load *done;
    bcam_status status = finish_load(s, most, &done, err);
    double begin = bcam_clock_seconds(), before = s->job->stages[BCAM_STAGE_WRITE];
    if (next && is_for_device(s))
        bcam_load_pack(next, s->job, (int)(s->started % s->pairs));
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
    s->finished = bcam_clock_seconds();
    bcam_engine_seconds(job->engine, s->before);
    s->workers = bcam_alloc((size_t)s->threads, sizeof *s->workers);
    bool fits = bcam_results_init(&s->results, s->job) && s->workers;
    for (int i = 0; i < s->load_count; i++)
        fits &= bcam_load_init(&s->loads[i], job);
    if (!fits)
        return bcam_fail_memory(err, n * (size_t)job->info.height * (size_t)job->info.width * 3, "the stream");
    return bcam_list_open(job->options->images, job->options->image_count, &s->source.list, err);
}

/* What the device's segments took, all threads together. */
static void count_segments(stream *s)
{
    static const bcam_stage stage_of[BCAM_SEGMENT_COUNT] = {[BCAM_SEGMENT_RESIZE] = BCAM_STAGE_RESIZE,
                                                            [BCAM_SEGMENT_PREP] = BCAM_STAGE_FORWARD,
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
    bcam_results_fini(&s->results);
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
    size_t photo = (size_t)job->info.height * (size_t)job->info.width * 3, k = (size_t)job->info.classes;
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
