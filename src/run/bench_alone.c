/* bench_alone.c - each stage of a run by itself: the median of several rounds, the first of which does not count. */
#include <omp.h>
#include <string.h>

#include "cpu/cpu.h"
#include "run/load.h"
#include "run/measuring.h"

enum { ROUNDS = 5, PHOTOS = 64, LISTED = 10000, A_THREAD = 4 /* photos in memory at once */ };
#define LEAST_SECONDS 0.04 /* of one measurement of what is short */

/* ---- the list ---- */

typedef struct sample { /* the first photos that lie in files of their own */
    char *path[PHOTOS];
    int count;
} sample;

/* Goes through the list, as far as a run of this limit would; the first photos are noted where `s` is not NULL. */
static bcam_status go_through(const bcam_job *job, sample *s, int64_t *listed, bcam_error *err)
{
    const bcam_run_options *o = job->options;
    int64_t most = o->limit && o->limit < LISTED ? o->limit : LISTED;
    bcam_list *list = NULL;
    bcam_item item;
    bool end = false;
    bcam_status status = bcam_list_open(o->images, o->image_count, &list, err);
    for (*listed = 0; status == BCAM_OK && *listed < most; ++*listed) {
        status = bcam_list_next(list, &item, &end, err);
        if (status != BCAM_OK || end)
            break;
        if (!s || s->count == PHOTOS || !item.path)
            continue;
        if (!(s->path[s->count++] = bcam_strdup(item.path)))
            status = bcam_fail(err, BCAM_E_MEMORY, "out of memory while listing photos");
    }
    bcam_list_close(&list);
    return status;
}

static bcam_status time_list(const bcam_measuring *b, const bcam_job *job, bcam_bench_row *row, sample *s,
                             bcam_error *err)
{
    double took[ROUNDS] = {0};
    int64_t listed = 0;
    bcam_status status = go_through(job, s, &listed, err);
    for (int r = 0; r < ROUNDS && status == BCAM_OK && bcam_bench_goes_on(b); r++) {
        double begun = bcam_clock_seconds();
        status = go_through(job, NULL, &listed, err);
        took[r] = listed ? (bcam_clock_seconds() - begun) / (double)listed : 0;
    }
    row->stage[BCAM_STAGE_LIST].alone = bcam_median(took, ROUNDS);
    return status;
}

/* ---- photos: a few at a time, so that large ones fit into memory, and each stage over all of them before the next ---- */

typedef struct load { /* a photo on its way */
    bcam_photo photo;
    bool good;
} load;

typedef struct loads {
    const bcam_job *job;
    const sample *sample;
    bcam_photo_limits limits;
    load *load;
    uint8_t *pixels; /* one photo a thread */
    int threads, room;
    int good;          /* photos of the last round */
    int width, height; /* of its first */
    double bytes;      /* of its files */
} loads;

static void read_one(const loads *l, load *one, int at)
{
    one->good = bcam_photo_read(&one->photo, l->sample->path[at], &l->limits) == BCAM_OUTCOME_OK;
}

static void decode_one(const loads *l, load *one, int at)
{
    bcam_photo *photo = &one->photo;
    (void)at;
    one->good = one->good && bcam_photo_decode(photo, photo->file, photo->file_bytes, &l->limits) == BCAM_OUTCOME_OK;
}

static void resize_one(const loads *l, load *one, int at)
{
    bcam_box crop;
    size_t item = (size_t)l->job->info.height * (size_t)l->job->info.width * 3;
    (void)at;
    one->good = one->good && bcam_prep_photo(l->limits.recipe, &one->photo,
                                             l->pixels + item * (size_t)omp_get_thread_num(), &crop, NULL) == BCAM_OK;
}

static void (*const steps[])(const loads *, load *, int) = {read_one, decode_one, resize_one};
enum { STEPS = BCAM_COUNT(steps) };

/* Seconds of all threads; one that has nothing left to do does not count. */
static double over_all(const loads *l, int step, int first, int count)
{
    double sum = 0;
#pragma omp parallel num_threads(l->threads) reduction(+ : sum)
    {
        double begun = bcam_clock_seconds();
#pragma omp for schedule(dynamic) nowait
        for (int i = 0; i < count; i++)
            steps[step](l, &l->load[i], first + i);
        sum += bcam_clock_seconds() - begun;
    }
    return sum;
}

static void one_round(loads *l, double seconds[STEPS])
{
    l->good = 0;
    l->bytes = 0;
    memset(seconds, 0, STEPS * sizeof *seconds);
    for (int first = 0; first < l->sample->count; first += l->room) {
        int count = l->sample->count - first < l->room ? l->sample->count - first : l->room;
        for (int step = 0; step < STEPS; step++)
            seconds[step] += over_all(l, step, first, count);
        for (int i = 0; i < count; i++) {
            load *one = &l->load[i];
            if (one->good && !l->good) {
                l->width = one->photo.width;
                l->height = one->photo.height;
            }
            l->good += one->good;
            l->bytes += one->good ? (double)one->photo.file_bytes : 0;
        }
    }
}

static bcam_status time_photos(const bcam_measuring *b, const bcam_job *job, const sample *s, bcam_bench_row *row,
                               bcam_error *err)
{
    double took[STEPS][ROUNDS] = {{0}}, now[STEPS];
    loads l = {.job = job, .sample = s, .threads = b->threads, .room = A_THREAD * b->threads};
    l.limits = bcam_load_limits(job);
    size_t item = (size_t)job->info.height * (size_t)job->info.width * 3;
    l.load = bcam_alloc((size_t)l.room, sizeof *l.load);
    l.pixels = bcam_alloc((size_t)l.threads, item);
    bcam_status status =
        l.load && l.pixels ? BCAM_OK : bcam_fail_memory(err, item * (size_t)l.threads, "photos to measure with");
    for (int r = -1; r < ROUNDS && status == BCAM_OK && bcam_bench_goes_on(b); r++) {
        one_round(&l, now);
        if (!l.good)
            status = bcam_fail(err, BCAM_E_INPUT, "none of the first %d photos of '%s' can be read", s->count,
                               job->options->images[0]);
        for (int step = 0; r >= 0 && l.good && step < STEPS; step++)
            took[step][r] = now[step] / l.good;
    }
    for (int step = 0; step < STEPS; step++)
        row->stage[BCAM_STAGE_READ + step].alone = bcam_median(took[step], ROUNDS);
    row->bytes_read = l.good ? l.bytes / l.good : 0;
    row->photo_width = l.width;
    row->photo_height = l.height;
    for (int i = 0; l.load && i < l.room; i++)
        bcam_photo_fini(&l.load[i].photo);
    bcam_free(l.load);
    bcam_free(l.pixels);
    return status;
}

/* ---- the engine ---- */

/* Photos and classes of the run into every pair, each computed once. */
static bcam_status fill_pairs(const bcam_job *job, uint8_t *pixels, bcam_error *err)
{
    const bcam_engine_info *info = &job->info;
    int count = 0, k = info->classes;
    size_t item = (size_t)info->height * (size_t)info->width * 3;
    int32_t *classes = bcam_alloc((size_t)info->batch * (size_t)k, sizeof *classes);
    bcam_status status = classes ? BCAM_OK : bcam_fail_memory(err, (size_t)info->batch * (size_t)k, "classes");
    if (status == BCAM_OK)
        status = bcam_job_sample((bcam_job *)job, info->batch, pixels, classes, &count, err);
    if (status == BCAM_OK && !count)
        status = bcam_fail(err, BCAM_E_INPUT, "none of the first photos of '%s' can be read", job->options->images[0]);
    for (int n = count; status == BCAM_OK && n < info->batch; n++) { /* fewer photos than a batch: the same again */
        memcpy(pixels + item * (size_t)n, pixels + item * (size_t)(n % count), item);
        memcpy(classes + n * k, classes + n % count * k, (size_t)k * sizeof *classes);
    }
    bcam_batch batch = {.count = info->batch, .pixels = pixels, .classes = classes};
    for (int pair = info->pairs; status == BCAM_OK && pair-- > 0;) {
        status = bcam_engine_start(job->engine, &batch, pair, err);
        if (status == BCAM_OK)
            status = bcam_engine_finish(job->engine, pair, err);
    }
    bcam_free(classes);
    return status;
}

/* Seconds of one run of some segments, on one pair after the other. */
static bcam_status time_segments(const bcam_job *job, unsigned segments, double *seconds, bcam_error *err)
{
    const bcam_device_api *api = job->engine->api;
    bcam_program *program = job->engine->program;
    int pairs = job->info.pairs, runs = 0;
    double begun = bcam_clock_seconds(), took = 0;
    bcam_status status = BCAM_OK;
    for (; status == BCAM_OK && (took < LEAST_SECONDS || runs % pairs); runs++) {
        if (runs >= pairs)
            status = api->wait(program, runs % pairs, err);
        if (status == BCAM_OK)
            status = api->run(program, segments, runs % pairs, err);
        took = bcam_clock_seconds() - begun;
    }
    for (int pair = 0; pair < pairs && status == BCAM_OK; pair++)
        status = api->wait(program, pair, err);
    *seconds = (bcam_clock_seconds() - begun) / runs;
    return status;
}

static bcam_status time_engine(const bcam_measuring *b, const bcam_job *job, bcam_bench_row *row, bcam_error *err)
{
    static const struct {
        bcam_stage stage;
        unsigned segments;
    } parts[] = {{BCAM_STAGE_FORWARD, BCAM_SEGMENT_BIT(BCAM_SEGMENT_PREP) | BCAM_SEGMENT_BIT(BCAM_SEGMENT_FORWARD)},
                 {BCAM_STAGE_BACKWARD, BCAM_SEGMENT_BIT(BCAM_SEGMENT_BACKWARD)},
                 {BCAM_STAGE_CAM, BCAM_SEGMENT_BIT(BCAM_SEGMENT_CAM)}};
    double took[BCAM_COUNT(parts)][ROUNDS] = {{0}};
    bcam_status status = BCAM_OK;
    for (int r = 0; r < ROUNDS && bcam_bench_goes_on(b); r++)
        for (size_t p = 0; p < BCAM_COUNT(parts) && status == BCAM_OK; p++)
            status = time_segments(job, parts[p].segments, &took[p][r], err);
    for (size_t p = 0; p < BCAM_COUNT(parts); p++) {
        bcam_bench_stage *stage = &row->stage[parts[p].stage];
        int runs = parts[p].stage == BCAM_STAGE_FORWARD ? 1 : job->engine->chunks;
        stage->alone = bcam_median(took[p], ROUNDS) * stage->threads * runs / job->info.batch;
    }
    return status;
}

/* ---- copies ---- */

static double time_copy(void *to, const void *from, size_t bytes)
{
    double took[ROUNDS], took_now;
    for (int r = 0; r < ROUNDS; r++) {
        int runs = 0;
        double begun = bcam_clock_seconds();
        do {
            memcpy(to, from, bytes);
            __asm__ volatile("" ::"r"(to) : "memory"); /* or copies that nobody reads are left out */
            runs++;
            took_now = bcam_clock_seconds() - begun;
        } while (took_now < LEAST_SECONDS / ROUNDS);
        took[r] = took_now / runs;
    }
    return bcam_median(took, ROUNDS);
}

/* A batch's pixels into the device's memory and its maps out of it: where that is the host's, a run has no need of them. */
static bcam_status time_copies(const bcam_job *job, const uint8_t *pixels, bcam_bench_row *row, bcam_error *err)
{
    const bcam_engine_info *info = &job->info;
    size_t photo = (size_t)info->height * (size_t)info->width * 3;
    size_t map = (size_t)info->map_height * (size_t)info->map_width * bcam_dtype_bytes(job->options->engine.map_dtype);
    size_t maps = map * (size_t)(info->layer_count * info->method_count * info->classes);
    if (info->pairs > 1) {
        row->stage[BCAM_STAGE_COPY_IN].alone = row->peak_pcie_in > 0 ? (double)photo / row->peak_pcie_in : 0;
        row->stage[BCAM_STAGE_COPY_OUT].alone = row->peak_pcie_out > 0 ? (double)maps / row->peak_pcie_out : 0;
        return BCAM_OK;
    }
    bcam_map first;
    size_t batch = (size_t)info->batch;
    bcam_status status = bcam_engine_map(job->engine, 0, 0, 0, 0, &first, err);
    void *copy = bcam_alloc(batch, map);
    if (status == BCAM_OK && !copy)
        status = bcam_fail_memory(err, batch * map, "a copy of a batch's maps");
    if (status == BCAM_OK) {
        row->stage[BCAM_STAGE_COPY_IN].alone =
            time_copy(bcam_engine_pixels(job->engine, 0), pixels, batch * photo) / info->batch;
        row->stage[BCAM_STAGE_COPY_OUT].alone =
            time_copy(copy, first.data, batch * map) * (double)maps / (double)map / info->batch;
    }
    bcam_free(copy);
    return status;
}

bcam_status bcam_bench_alone(bcam_measuring *b, bcam_job *job, bcam_bench_row *row, bcam_error *err)
{
    sample s = {0};
    uint8_t *pixels = bcam_alloc((size_t)job->info.batch, (size_t)job->info.height * (size_t)job->info.width * 3);
    bcam_status status = pixels ? time_list(b, job, row, &s, err) : bcam_fail(err, BCAM_E_MEMORY, "out of memory");
    if (status == BCAM_OK && !s.count)
        status = bcam_fail(err, BCAM_E_INPUT, "'%s' has no photos in files of their own, which bench needs",
                           job->options->images[0]);
    if (status == BCAM_OK)
        status = time_photos(b, job, &s, row, err);
    if (status == BCAM_OK)
        status = fill_pairs(job, pixels, err);
    if (status == BCAM_OK)
        status = time_copies(job, pixels, row, err);
    if (status == BCAM_OK)
        status = time_engine(b, job, row, err);
    if (status == BCAM_OK && !b->options->run.no_files)
        status = bcam_bench_write(b, job, row, err);
    for (int i = 0; i < s.count; i++)
        bcam_free(s.path[i]);
    bcam_free(pixels);
    return status;
}
