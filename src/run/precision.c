/* precision.c - `auto`: the first photos of a run through an engine in fp32 and one in each precision that may be faster; the fastest whose maps
 * agree is kept for the whole run. What was found goes into run.json.
 *
 * Maps are compared before they are enlarged, those of the classes that fp32 explains; two of zeros alone are alike. Where the highest class
 * differs, that is a near-tie if in fp32 the two are less far apart than the largest difference of a logit that was seen.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"
#include "run/engine.h"
#include "run/job.h"

enum { MOST_PHOTOS = 64 };
#define LEAST_MEDIAN 0.999
#define LEAST_COSINE 0.99

typedef struct side { /* an engine under trial, and what it gave for the batch in hand */
    bcam_engine *engine;
    float *raw;                  /* (K,N,h,w) of one layer and method */
    double seconds[MOST_PHOTOS]; /* of each batch */
} side;

typedef struct trial {
    bcam_job *job;
    uint8_t *pixels;    /* (photos,H,W,3) */
    int32_t *classes;   /* (photos,K), as the run asks for them */
    int32_t *explained; /* (N,K): the classes that fp32 explained in this batch */
    int photos, batches;
    side fine, coarse; /* fp32, and the candidate */
    size_t raw_count;  /* room for numbers in either's raw */
    double *cosines;   /* of each map */
    size_t map_count;
    double *margins; /* in fp32, of each photo whose highest class differs */
    double largest;  /* difference of a logit */
} trial;

/* ---- comparing ---- */

static double cosine(const float *a, const float *b, size_t count)
{
    double aa = 0, bb = 0, ab = 0;
    for (size_t i = 0; i < count; i++) {
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
        ab += (double)a[i] * (double)b[i];
    }
    if (!isfinite(aa) || !isfinite(bb))
        return isfinite(aa) == isfinite(bb);
    return aa == 0 || bb == 0 ? aa == bb : ab / sqrt(aa) / sqrt(bb);
}

/* The class of the highest logit, -1 where all are NaN. */
static int highest(const float *logits, int count)
{
    int best = -1;
    for (int c = 0; c < count; c++)
        if (!isnan(logits[c]) && (best < 0 || logits[c] > logits[best]))
            best = c;
    return best;
}

static void compare_logits(trial *t, int count, bcam_trial *row)
{
    int classes = t->job->info.class_count;
    for (int n = 0; n < count; n++) {
        const float *fine = bcam_engine_logits(t->fine.engine) + (size_t)n * (size_t)classes;
        const float *coarse = bcam_engine_logits(t->coarse.engine) + (size_t)n * (size_t)classes;
        int a = highest(fine, classes), b = highest(coarse, classes);
        for (int c = 0; c < classes; c++)
            t->largest = fmax(t->largest, fabs((double)fine[c] - (double)coarse[c])); /* of a NaN nothing is taken */
        if (a == b)
            row->same_top1++;
        else
            t->margins[row->other_top1++] = a < 0 || b < 0 ? INFINITY : (double)fine[a] - (double)fine[b];
    }
}

static bcam_status compare_maps(trial *t, int count, bcam_error *err)
{
    const bcam_engine_info *info = &t->job->info;
    bcam_status status = BCAM_OK;
    for (int i = 0; i < info->layer_count * info->method_count && status == BCAM_OK; i++) {
        int layer = i / info->method_count, method = i % info->method_count;
        size_t numbers = 0, area;
        status =
            bcam_engine_read(t->fine.engine, BCAM_TENSOR_RAW, layer, method, t->fine.raw, t->raw_count, &numbers, err);
        if (status == BCAM_OK)
            status = bcam_engine_read(t->coarse.engine, BCAM_TENSOR_RAW, layer, method, t->coarse.raw, t->raw_count,
                                      &numbers, err);
        area = numbers / (size_t)(info->classes * count);
        for (int kn = 0; status == BCAM_OK && kn < info->classes * count; kn++)
            if (t->explained[kn % count * info->classes + kn / count] >= 0)
                t->cosines[t->map_count++] =
                    cosine(t->fine.raw + (size_t)kn * area, t->coarse.raw + (size_t)kn * area, area);
    }
    return status;
}

/* ---- running ---- */

static bcam_status compute(side *s, const bcam_batch *batch, int number, bcam_error *err)
{
    double begun = bcam_clock_seconds();
    bcam_status status = bcam_engine_compute(s->engine, batch, err);
    s->seconds[number] = bcam_clock_seconds() - begun;
    return status;
}

/* A batch through both, the candidate explaining what fp32 has explained. */
static bcam_status compute_both(trial *t, int number, int *count, bcam_error *err)
{
    const bcam_engine_info *info = &t->job->info;
    int first = number * info->batch, k = info->classes;
    *count = t->photos - first < info->batch ? t->photos - first : info->batch;
    bcam_batch batch = {.count = *count,
                        .pixels = t->pixels + (size_t)first * (size_t)info->height * (size_t)info->width * 3,
                        .classes = t->classes + first * k};
    bcam_status status = compute(&t->fine, &batch, number, err);
    for (int i = 0; i < *count * k && status == BCAM_OK; i++) {
        bcam_map map;
        status = bcam_engine_map(t->fine.engine, 0, 0, i / k, i % k, &map, err);
        t->explained[i] = map.class_id;
    }
    batch.classes = t->explained;
    return status == BCAM_OK ? compute(&t->coarse, &batch, number, err) : status;
}

/* The first batch is computed once before, so that it is as warm as the others. */
static bcam_status try_engine(trial *t, bcam_trial *row, bcam_trial *fp32, bcam_error *err)
{
    int count = 0;
    bcam_status status = compute_both(t, 0, &count, err);
    t->map_count = 0;
    t->largest = 0;
    for (int b = 0; b < t->batches && status == BCAM_OK; b++) {
        status = compute_both(t, b, &count, err);
        if (status == BCAM_OK)
            compare_logits(t, count, row);
        if (status == BCAM_OK)
            status = compare_maps(t, count, err);
    }
    if (status != BCAM_OK)
        return status;
    row->median = bcam_median(t->cosines, t->map_count);
    row->worst = t->map_count ? t->cosines[0] : 0;
    for (int i = 0; i < row->other_top1; i++)
        row->near_ties += t->margins[i] < t->largest;
    row->agrees = t->map_count > 0 && row->median >= LEAST_MEDIAN && row->worst >= LEAST_COSINE &&
                  row->near_ties == row->other_top1;
    row->images_per_second = t->job->info.batch / bcam_median(t->coarse.seconds, (size_t)t->batches);
    fp32->images_per_second = t->job->info.batch / bcam_median(t->fine.seconds, (size_t)t->batches);
    return BCAM_OK;
}

/* Opens a candidate and tries it; what keeps it from running is in its row, not an error. Its maps are as many as fp32's, if its batch is as large. */
static void try_precision(trial *t, const bcam_engine_options *options, bcam_trial *row, bcam_trial *fp32)
{
    bcam_error why = {0};
    bcam_engine_options own = *options;
    own.precision = row->precision;
    own.log = NULL;
    bcam_status status = bcam_engine_make(t->job->options->model, &own, t->job->extras, &t->coarse.engine, &why);
    if (status == BCAM_OK && t->coarse.engine->info.batch != t->job->info.batch)
        status = bcam_fail(&why, BCAM_E_MEMORY, "there is no memory for it beside fp32");
    if (status == BCAM_OK)
        status = try_engine(t, row, fp32, &why);
    if (status != BCAM_OK)
        snprintf(row->refused, sizeof row->refused, "%.*s", (int)sizeof row->refused - 1, why.message);
}

/* ---- choosing ---- */

/* Whether a candidate is to be preferred. Without timing, the first that agrees is: they stand in the order of what they should be able to do. */
static bool is_better(const trial *t, const bcam_trial *row, const bcam_trial *best)
{
    if (!row->agrees)
        return false;
    if (t->job->options->engine.deterministic)
        return best->precision == BCAM_PRECISION_FP32;
    return row->images_per_second > best->images_per_second;
}

static void say(const bcam_job *job)
{
    const bcam_trials *found = &job->trials;
    for (int i = 0; i < found->count; i++) {
        const bcam_trial *row = &found->row[i];
        const char *name = bcam_precision_name(row->precision), *word = i == found->chosen ? " is taken" : "";
        if (row->precision == BCAM_PRECISION_FP32)
            bcam_log_line(&job->log, BCAM_LOG_INFO, "precision: fp32%s, %.1f photos/s", word, row->images_per_second);
        else if (*row->refused)
            bcam_log_line(&job->log, BCAM_LOG_INFO, "precision: not %s (%s)", name, row->refused);
        else
            bcam_log_line(
                &job->log, BCAM_LOG_INFO,
                "precision: %s%s, %.1f photos/s; its maps %s fp32's on %d photos: cosine %.5f in the median and %.5f at worst, "
                "the same first class %d times and %d near-ties",
                name, word, row->images_per_second, row->agrees ? "agree with" : "differ from", found->photos,
                row->median, row->worst, row->same_top1, row->near_ties);
    }
}

static void choose(trial *t, const bcam_engine_options *options)
{
    static const bcam_precision of_cpu[] = {BCAM_PRECISION_BF16},
                                of_cards[] = {BCAM_PRECISION_FP16, BCAM_PRECISION_BF16, BCAM_PRECISION_TF32};
    bcam_job *job = t->job;
    bcam_trials *found = &job->trials;
    bool cpu = job->engine->api == &bcam_cpu_device;
    size_t candidates = cpu ? BCAM_COUNT(of_cpu) : BCAM_COUNT(of_cards);
    bcam_engine *best = job->engine;
    for (size_t i = 0; i < candidates && t->photos > 0; i++) {
        bcam_trial *row = &found->row[found->count];
        *row = (bcam_trial){.precision = (cpu ? of_cpu : of_cards)[i]};
        try_precision(t, options, row, &found->row[0]);
        if (is_better(t, row, &found->row[found->chosen])) {
            if (best != job->engine)
                bcam_engine_close(&best);
            best = t->coarse.engine;
            t->coarse.engine = NULL;
            found->chosen = found->count;
        }
        bcam_engine_close(&t->coarse.engine);
        found->count++;
    }
    if (best != job->engine) {
        bcam_engine_close(&job->engine);
        job->engine = best;
    }
}

static bcam_status make_room(trial *t, bcam_error *err)
{
    const bcam_engine_info *info = &t->job->info;
    size_t photo = (size_t)info->height * (size_t)info->width * 3, k = (size_t)info->classes,
           batch = (size_t)info->batch;
    size_t maps = (size_t)(info->layer_count * info->method_count) * k, area = 0;
    for (int i = 0; i < info->layer_count; i++) {
        bcam_layer_info layer;
        bcam_engine_get_layer(t->job->engine, i, &layer, NULL);
        area = (size_t)layer.height * (size_t)layer.width > area ? (size_t)layer.height * (size_t)layer.width : area;
    }
    t->raw_count = k * batch * area;
    t->pixels = bcam_alloc(MOST_PHOTOS * photo, 1);
    t->classes = bcam_alloc(MOST_PHOTOS * k, sizeof *t->classes);
    t->explained = bcam_alloc(batch * k, sizeof *t->explained);
    t->fine.raw = bcam_alloc(t->raw_count, sizeof *t->fine.raw);
    t->coarse.raw = bcam_alloc(t->raw_count, sizeof *t->coarse.raw);
    t->cosines = bcam_alloc(MOST_PHOTOS * maps, sizeof *t->cosines);
    t->margins = bcam_alloc(MOST_PHOTOS, sizeof *t->margins);
    if (t->pixels && t->classes && t->explained && t->fine.raw && t->coarse.raw && t->cosines && t->margins)
        return BCAM_OK;
    return bcam_fail_memory(err, MOST_PHOTOS * photo, "trying precisions");
}

bcam_status bcam_job_try_precisions(bcam_job *job, const bcam_engine_options *options, bcam_error *err)
{
    trial t = {.job = job, .fine.engine = job->engine};
    double begun = bcam_clock_seconds();
    bcam_status status = make_room(&t, err);
    if (status == BCAM_OK)
        status = bcam_job_sample(job, MOST_PHOTOS, t.pixels, t.classes, &t.photos, err);
    if (status == BCAM_OK) {
        t.batches = (t.photos + job->info.batch - 1) / job->info.batch;
        job->trials = (bcam_trials){.count = 1, .photos = t.photos, .row[0] = {.precision = BCAM_PRECISION_FP32}};
        choose(&t, options);
        say(job);
        status = bcam_engine_get_info(job->engine, &job->info, err);
    }
    bcam_free(t.pixels);
    bcam_free(t.classes);
    bcam_free(t.explained);
    bcam_free(t.fine.raw);
    bcam_free(t.coarse.raw);
    bcam_free(t.cosines);
    bcam_free(t.margins);
    job->times.trial = bcam_clock_seconds() - begun;
    return status;
}
