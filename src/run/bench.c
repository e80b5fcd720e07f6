/* bench.c - measuring a run: what the machine can do at most, each stage alone, then whole runs whose stages are clocked, with files and without. */
#include "run/measuring.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"

enum { ROUNDS = 3, MOST_PHOTOS = 20000, FIRST_PHOTOS = 64, MOST_TEXT = 512 };
#define RUN_SECONDS 1.5 /* about, of each run */
_Static_assert((int)BCAM_BENCH_STAGES == (int)BCAM_STAGE_COUNT, "batchcam.h has the number of stages");

static bcam_status stopped(bcam_error *err)
{
    return bcam_fail(err, BCAM_E_STOPPED, "stopped; what was measured before stands");
}

/* ---- whole runs ---- */

typedef struct total {                                      /* of several runs */
    double rates[ROUNDS], stages[ROUNDS][BCAM_STAGE_COUNT]; /* stages: seconds a photo */
    int64_t images;                                         /* of the last */
} total;

static bcam_status run_once(bcam_measuring *b, bool files, int round, total *t, bcam_error *err)
{
    bcam_run_options options = b->run;
    bcam_job *job = bcam_alloc(1, sizeof *job);
    if (!job)
        return bcam_fail_memory(err, sizeof *job, "the job");
    options.no_files = !files;
    options.out_dir = files ? b->out : NULL;
    options.engine.log = NULL; /* what it has to say was said when the model was opened to be measured */
    bcam_status status = bcam_job_run(job, &options, b->progress, b->data, err);
    if (status == BCAM_OK) {
        t->images = job->summary.images;
        t->rates[round] = (double)t->images / job->summary.seconds;
        for (int s = 0; s < BCAM_STAGE_COUNT; s++)
            t->stages[round][s] = job->stages[s] / (double)t->images;
    }
    bcam_job_close(job);
    bcam_free(job);
    bcam_bench_remove(b->out);
    return status;
}

/* The stages are those of the run whose rate is told. */
static double take_median(const total *t, bcam_bench_row *row)
{
    double sorted[ROUNDS];
    memcpy(sorted, t->rates, sizeof sorted);
    double rate = bcam_median(sorted, ROUNDS);
    for (int r = 0; r < ROUNDS; r++)
        for (int s = 0; t->rates[r] == rate && s < BCAM_STAGE_COUNT; s++)
            row->stage[s].stream = t->stages[r][s];
    row->images = t->images;
    return rate;
}

static bcam_status run_all(bcam_measuring *b, bcam_bench_row *row, bcam_error *err)
{
    total with = {0}, without = {0};
    bool files = !b->options->run.no_files;
    bcam_status status = BCAM_OK;
    for (int r = 0; r < ROUNDS && status == BCAM_OK; r++) { /* in turns: what else the machine does hits both */
        if (files)
            status = run_once(b, true, r, &with, err);
        if (status == BCAM_OK)
            status = run_once(b, false, r, &without, err);
    }
    row->images_per_second_no_files = take_median(&without, row);
    row->images_per_second = files ? take_median(&with, row) : 0;
    return status;
}

/* Photos enough for a run of RUN_SECONDS, in whole batches. */
static int64_t photos_wanted(const bcam_measuring *b, const bcam_bench_row *row)
{
    double seconds = 0;
    for (int s = 0; s < BCAM_STAGE_COUNT; s++)
        seconds += row->stage[s].alone / row->stage[s].threads;
    double batches = ceil(RUN_SECONDS / (seconds > 0 ? seconds : 1) / row->batch);
    int64_t most = MOST_PHOTOS > 2 * row->batch ? MOST_PHOTOS : 2 * row->batch;
    int64_t count = (int64_t)fmin(fmax(batches, 2) * row->batch, (double)most);
    return b->options->run.limit ? b->options->run.limit : count;
}

/* ---- one row ---- */

typedef struct texts { /* what a row's strings say, kept beyond the job that they come from */
    char layer[MOST_TEXT], device[MOST_TEXT];
} texts;

static void describe(const bcam_measuring *b, bcam_job *job, texts *t, bcam_bench_row *row)
{
    bool beside = job->info.pairs > 1;
    bcam_engine_work work = bcam_engine_get_work(job->engine);
    snprintf(t->layer, sizeof t->layer, "%s", job->summary.default_layer);
    snprintf(t->device, sizeof t->device, "%s", job->info.device);
    *row = (bcam_bench_row){.model = b->run.model,
                            .layer = t->layer,
                            .device = t->device,
                            .precision = bcam_engine_precision(job->engine),
                            .batch = job->info.batch,
                            .threads = b->threads,
                            .deterministic = b->run.engine.deterministic,
                            .synthetic = b->options->run.image_count == 0,
                            .ready_seconds = job->times.load,
                            .gflop = work.flop * 1e-9,
                            .bytes = work.bytes,
                            .convs = work.convs,
                            .convs_left_out = work.convs > work.convs_backward ? work.convs - work.convs_backward : 0,
                            .peak_memory = b->peak_memory,
                            .peak_disk = b->peak_disk};
    for (int s = 0; s < BCAM_STAGE_COUNT; s++) {
        bool card = beside && s >= BCAM_STAGE_COPY_IN && s <= BCAM_STAGE_COPY_OUT;
        bool single =
            s == BCAM_STAGE_LIST || s == BCAM_STAGE_WRITE || s == BCAM_STAGE_COPY_IN || s == BCAM_STAGE_COPY_OUT;
        row->stage[s].name = bcam_stage_name((bcam_stage)s);
        row->stage[s].threads = card || single ? 1 : b->threads;
    }
}

static bcam_status measure_alone(bcam_measuring *b, bcam_job *job, bcam_bench_row *row, bcam_error *err)
{
    enum { SIZE = 4096, MOVED = 16 << 20 };
    bcam_status status = BCAM_OK;
    if (job->info.pairs == 1)
        row->peak_flops = bcam_cpu_peak_product(strcmp(row->precision, "bf16") == 0, b->threads);
    else
        status = bcam_bench_card(job->engine->api, job->engine->device, SIZE, MOVED, row, err);
    return status == BCAM_OK ? bcam_bench_alone(b, job, row, err) : status;
}

/* The job that the stages are measured in is closed before the runs open theirs. */
static bcam_status prepare(bcam_measuring *b, texts *t, bcam_bench_row *row, bool *beside, bcam_error *err)
{
    bcam_run_options options = b->run;
    options.no_files = true;
    bcam_job *job = bcam_alloc(1, sizeof *job);
    if (!job)
        return bcam_fail_memory(err, sizeof *job, "the job");
    bcam_status status = bcam_job_open(job, &options, err);
    if (status == BCAM_OK) {
        describe(b, job, t, row);
        *beside = job->info.pairs > 1;
        status = measure_alone(b, job, row, err);
    }
    bcam_job_close(job);
    bcam_free(job);
    return status;
}

static bcam_status measure_row(bcam_measuring *b, bcam_bench_fn fn, bcam_error *err)
{
    texts t;
    bcam_bench_row row;
    bool beside = false;
    bcam_status status = prepare(b, &t, &row, &beside, err);
    if (status == BCAM_OK && !bcam_bench_goes_on(b))
        status = stopped(err);
    if (status != BCAM_OK)
        return status;
    b->run.limit = photos_wanted(b, &row);
    b->run.engine.batch = row.batch;
    if (row.synthetic)
        status = bcam_bench_make_photos(b, b->run.limit, err);
    if (status == BCAM_OK)
        status = run_all(b, &row, err);
    if (status != BCAM_OK)
        return status;
    bcam_bench_judge(&row, beside);
    fn(b->data, &row);
    return BCAM_OK;
}

/* ---- the whole ---- */

static bcam_status check_options(const bcam_bench_options *o, bcam_bench_fn fn, bcam_error *err)
{
    if (!o || !fn)
        return bcam_fail(err, BCAM_E_ARGUMENT, "bcam_bench needs options and a function that takes rows");
    if (!o->run.model)
        return bcam_fail(err, BCAM_E_ARGUMENT, "name a model (an ONNX file)");
    if (o->batch_count < 0 || o->precision_count < 0 || (o->batch_count && !o->batches) ||
        (o->precision_count && !o->precisions))
        return bcam_fail(err, BCAM_E_ARGUMENT, "batch sizes or precisions are counted, but not there");
    for (int i = 0; i < o->batch_count; i++)
        if (o->batches[i] < 1 || o->batches[i] > 4096)
            return bcam_fail(err, BCAM_E_ARGUMENT, "a batch of %d will not do; 1 to 4096", o->batches[i]);
    for (int i = 0; i < o->run.image_count; i++)
        if (o->run.images && o->run.images[i] && strcmp(o->run.images[i], "-") == 0)
            return bcam_fail(err, BCAM_E_ARGUMENT,
                             "bench goes through its photos again and again, which standard input does not allow; name "
                             "a folder, files or a list");
    return BCAM_OK;
}

static bcam_status measure_machine(bcam_measuring *b, bcam_error *err)
{
    double reading;
    bcam_status status = bcam_cpu_peak_memory(b->threads, &reading, &b->peak_memory, err);
    return status == BCAM_OK && !b->options->run.no_files ? bcam_bench_disk(b->folder, &b->peak_disk, err) : status;
}

/* As photos often are, or the network's own size where its recipe does not bring them to it. */
static bcam_status choose_size(bcam_measuring *b, bcam_error *err)
{
    const bcam_run_options *o = &b->options->run;
    bcam_graph *graph = NULL;
    bcam_net *net = NULL;
    bcam_recipe recipe;
    bcam_status status = bcam_model_open(o->model, o->engine.output, o->engine.preprocess, &graph, err);
    if (status == BCAM_OK)
        status = bcam_net_open(graph, 1, &net, err);
    if (status == BCAM_OK) {
        const bcam_net_info *info = bcam_net_get_info(net);
        status = (info->channels == 1 ? bcam_recipe_read_grey : bcam_recipe_read)(
            o->engine.preprocess, o->model, info->height, info->width, &recipe, err);
    }
    if (status == BCAM_OK) {
        bool own = recipe.resize == BCAM_RESIZE_NONE && !recipe.crop;
        b->width = own ? recipe.width : 500;
        b->height = own ? recipe.height : 375;
    }
    bcam_net_close(&net);
    bcam_onnx_close(&graph);
    return status;
}

static bcam_status make_places(bcam_measuring *b, bcam_error *err)
{
    const bcam_run_options *o = &b->options->run;
    bcam_status status = choose_size(b, err);
    if (status == BCAM_OK)
        status = bcam_bench_make_folder(b->options->folder, &b->folder, err);
    if (status != BCAM_OK)
        return status;
    b->photos = bcam_path_join(b->folder, "photos");
    b->out = bcam_path_join(b->folder, "out");
    b->images[0] = b->photos;
    if (!b->photos || !b->out)
        return bcam_fail_memory(err, strlen(b->folder), "a folder's name");
    int64_t first = o->limit && o->limit < FIRST_PHOTOS ? o->limit : FIRST_PHOTOS;
    return o->image_count ? BCAM_OK : bcam_bench_make_photos(b, first, err);
}

static bcam_status measure_rows(bcam_measuring *b, bcam_bench_fn fn, bcam_error *err)
{
    const bcam_bench_options *o = b->options;
    int batches = o->batch_count ? o->batch_count : 1, precisions = o->precision_count ? o->precision_count : 1;
    int kinds = o->run.engine.deterministic ? 2 : 1; /* with algorithms chosen by timing, then without */
    bcam_status status = BCAM_OK;
    for (int i = 0; i < batches * kinds * precisions && status == BCAM_OK; i++) {
        b->run = o->run;
        if (!b->run.image_count) {
            b->run.images = b->images;
            b->run.image_count = 1;
        }
        b->run.engine.deterministic = i / batches % kinds;
        if (o->batch_count)
            b->run.engine.batch = o->batches[i % batches];
        if (o->precision_count)
            b->run.engine.precision = o->precisions[i / batches / kinds];
        status = measure_row(b, fn, err);
    }
    return status;
}

bcam_status bcam_bench(const bcam_bench_options *options, bcam_bench_fn row, bcam_progress_fn progress, void *data,
                       bcam_error *err)
{
    bcam_measuring b = {.options = options, .progress = progress, .data = data};
    bcam_status status = check_options(options, row, err);
    if (status != BCAM_OK)
        return status;
    b.threads = options->run.engine.threads ? options->run.engine.threads : omp_get_num_procs();
    status = make_places(&b, err);
    if (status == BCAM_OK)
        status = measure_machine(&b, err);
    if (status == BCAM_OK)
        status = measure_rows(&b, row, err);
    if (b.folder)
        bcam_bench_remove(b.folder);
    bcam_free(b.folder);
    bcam_free(b.photos);
    bcam_free(b.out);
    return status;
}
