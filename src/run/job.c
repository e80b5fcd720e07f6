/* job.c - from settings to opened resources, in an order in which nothing is written before everything that can be refused was looked at. */
#include "run/job.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/net.h"
#include "run/engine.h"

static bool has_all(const char *const *texts, int count)
{
    for (int i = 0; i < count; i++)
        if (!texts || !texts[i])
            return false;
    return true;
}

static bcam_status check_options(const bcam_run_options *o, bcam_error *err)
{
    if (!o || !o->model)
        return bcam_fail(err, BCAM_E_ARGUMENT, "name a model (an ONNX file)");
    if (o->image_count < 1 || !has_all(o->images, o->image_count))
        return bcam_fail(err, BCAM_E_ARGUMENT,
                         "name photos: folders, files, .csv or .txt lists, tar files, or - for one on standard input");
    if (!o->no_files && (!o->out_dir || !*o->out_dir))
        return bcam_fail(err, BCAM_E_ARGUMENT, "name an output folder");
    if (o->target_count < 0 || !has_all(o->targets, o->target_count))
        return bcam_fail(err, BCAM_E_ARGUMENT, "target_count is %d, and a target is missing", o->target_count);
    if (o->decode != BCAM_DECODE_EXACT && o->decode != BCAM_DECODE_FAST)
        return bcam_fail(err, BCAM_E_ARGUMENT, "decode is %d, and neither exact nor fast", (int)o->decode);
    if ((unsigned)o->resize > BCAM_RESIZER_DEVICE)
        return bcam_fail(err, BCAM_E_ARGUMENT, "there is no way %d of resizing; choose auto, cpu or device",
                         (int)o->resize);
    if (o->limit < 0 || o->max_pixels < 0)
        return bcam_fail(err, BCAM_E_ARGUMENT, "limits cannot be negative");
    return BCAM_OK;
}

/* ---- names ---- */

static bcam_status number_names(bcam_names *names, int count, bcam_error *err)
{
    names->name = bcam_alloc((size_t)count, sizeof *names->name);
    names->synset = bcam_alloc((size_t)count, sizeof *names->synset);
    bool fits = names->name && names->synset;
    for (int i = 0; fits && i < count; i++) {
        fits = (names->name[i] = bcam_format("%d", i)) != NULL;
        names->count++;
    }
    return fits ? BCAM_OK : bcam_fail(err, BCAM_E_MEMORY, "out of memory for %d class names", count);
}

/* What is said behind a wrong number of names. */
static const char *names_hint(const bcam_job *job)
{
    return job->info.one_unit
               ? "; its one output unit makes two: the first name is for a low output, the second for a high one"
               : "";
}

/* names.txt beside the model is taken where it fits; a file that was asked for must fit. */
static bcam_status read_names(bcam_job *job, bcam_error *err)
{
    char *dir = bcam_path_dir(job->options->model), *beside = dir ? bcam_path_join(dir, "names.txt") : NULL;
    const char *file = job->options->names ? job->options->names : beside && access(beside, R_OK) == 0 ? beside : NULL;
    bcam_status status = beside ? BCAM_OK : bcam_fail(err, BCAM_E_MEMORY, "out of memory");
    if (status == BCAM_OK && file)
        status = bcam_names_read(file, &job->names, err);
    job->named = status == BCAM_OK && file && job->names.count == (size_t)job->info.class_count;
    if (status == BCAM_OK && file && !job->named) {
        if (job->options->names)
            status =
                bcam_fail(err, BCAM_E_INPUT, "'%s' has %zu name%s, the model has %d classes%s", file, job->names.count,
                          job->names.count == 1 ? "" : "s", job->info.class_count, names_hint(job));
        else
            bcam_log_line(&job->log, BCAM_LOG_WARNING,
                          "'%s' has %zu name%s, the model has %d classes; it is not used%s", file, job->names.count,
                          job->names.count == 1 ? "" : "s", job->info.class_count, names_hint(job));
        bcam_names_fini(&job->names);
    }
    if (status == BCAM_OK && !job->named)
        status = number_names(&job->names, job->info.class_count, err);
    bcam_free(dir);
    bcam_free(beside);
    return status;
}

/* How many classes the model has must be known before the targets are read, and how many targets there are before the engine is made. */
static bcam_status count_classes(bcam_job *job, bcam_error *err)
{
    bcam_graph *graph = NULL;
    bcam_net *net = NULL;
    const bcam_engine_options *o = &job->options->engine;
    bcam_status status = bcam_model_open(job->options->model, o->output, o->preprocess, &graph, err);
    if (status == BCAM_OK)
        status = bcam_net_open(graph, 1, &net, err);
    if (status == BCAM_OK) {
        job->info.class_count = bcam_net_get_info(net)->class_count;
        job->info.one_unit = bcam_net_get_info(net)->units == 1;
        job->output = bcam_strdup(bcam_net_get_info(net)->output);
        status = job->output ? BCAM_OK : bcam_fail(err, BCAM_E_MEMORY, "out of memory");
    }
    bcam_net_close(&net);
    bcam_onnx_close(&graph);
    return status;
}

/* ---- photos ---- */

/* Goes through the list to its end. A limit must not change labels, so that folders are counted beyond it; *partly: there are photos that were not
 * looked at. */
static bcam_status count_photos(bcam_job *job, bcam_list *list, bool *partly, bcam_error *err)
{
    bcam_item item;
    bool end = false;
    bcam_status status = BCAM_OK;
    *partly = false;
    while (status == BCAM_OK) {
        status = bcam_list_next(list, &item, &end, err);
        if (status != BCAM_OK || end)
            break;
        *partly = job->options->limit && job->total >= job->options->limit;
        job->total += !*partly;
        status = bcam_labels_add(&job->labels, item.folder, err);
        if (status == BCAM_OK && !*partly)
            status = bcam_targets_check(&job->targets, item.shown, err);
    }
    if (status == BCAM_E_INPUT && bcam_list_get_counts(list)->broken && job->total) {
        bcam_log_line(&job->log, BCAM_LOG_WARNING, "%s; the photos before that are explained", err->message);
        *partly = true;
        return BCAM_OK;
    }
    return status;
}

/* How many photos there are, which folders, whether a CSV fits: all that can be known before the first is read. */
static bcam_status survey(bcam_job *job, bcam_error *err)
{
    bcam_list *list = NULL;
    bool partly = false;
    double begun = bcam_clock_seconds();
    bcam_status status = bcam_list_open(job->options->images, job->options->image_count, &list, err);
    if (status == BCAM_OK) {
        bcam_list_skim(list);
        status = count_photos(job, list, &partly, err);
        bcam_job_count_left_out(job, bcam_list_get_counts(list));
        if (bcam_list_has_stdin(list))
            job->total = -1;
    }
    bcam_list_close(&list);
    if (status == BCAM_OK && !partly && job->total >= 0)
        status = bcam_targets_check_rows(&job->targets, err);
    if (status == BCAM_OK && !job->total)
        status = bcam_fail(err, BCAM_E_INPUT, "there are no photos in '%s'%s", job->options->images[0],
                           job->options->image_count > 1 ? " and the others" : "");
    if (status == BCAM_OK && job->total < 0 && job->options->engine.precision == BCAM_PRECISION_AUTO)
        status =
            bcam_fail(err, BCAM_E_ARGUMENT,
                      "precision auto reads the first photos twice, and standard input ('-') can be read only once; "
                      "name a precision");
    job->times.list = bcam_clock_seconds() - begun;
    return status;
}

/* ---- the run directory ---- */

static void describe(bcam_job *job)
{
    bcam_layer_info layer;
    size_t used = 0;
    for (int i = 0; i < job->info.layer_count && used < sizeof job->layer_text; i++)
        if (bcam_engine_get_layer(job->engine, i, &layer, NULL) == BCAM_OK)
            used +=
                (size_t)snprintf(job->layer_text + used, sizeof job->layer_text - used, "%s%s (%d channels, %d x %d)",
                                 i ? ", " : "", layer.name, layer.channels, layer.height, layer.width);
    const bcam_recipe *recipe = bcam_engine_recipe(job->engine);
    const bcam_out_fact facts[] = {{"Model", job->options->model},
                                   {"Layer", job->layer_text},
                                   {"Method", bcam_engine_method(job->engine, 0)},
                                   {"Score", bcam_score_name(job->info.score)},
                                   {"Preprocessing", recipe->name},
                                   {"Device", job->info.device}};
    memcpy(job->facts, facts, sizeof facts);
    job->settings = (bcam_out_settings){.dir = job->options->out_dir,
                                        .discard = job->options->no_files,
                                        .overwrite = job->options->overwrite,
                                        .overlay = job->options->overlay,
                                        .report = true,
                                        .class_names = job->named ? (const char *const *)job->names.name : NULL,
                                        .class_count = job->info.class_count,
                                        .log = job->log,
                                        .title = bcam_path_base(job->options->model),
                                        .facts = job->facts,
                                        .fact_count = (int)BCAM_COUNT(facts)};
}

static void start_summary(bcam_job *job)
{
    bcam_layer_info layer;
    if (bcam_engine_get_layer(job->engine, 0, &layer, NULL) == BCAM_OK)
        snprintf(job->summary.default_layer, sizeof job->summary.default_layer, "%s", layer.name);
    snprintf(job->summary.device, sizeof job->summary.device, "%s", job->info.device);
    job->summary.labelled_accuracy = (double)NAN;
    for (int i = 0; i < job->info.layer_count; i++)
        if (bcam_engine_get_layer(job->engine, i, &layer, NULL) == BCAM_OK && *layer.note &&
            job->options->engine.layer_count)
            bcam_log_line(&job->log, BCAM_LOG_INFO, "layer '%s': %s", layer.name, layer.note);
}

/* Where the precision is to be found out, it begins with fp32. */
static bcam_engine_options engine_options(const bcam_job *job)
{
    bcam_engine_options options = job->options->engine;
    options.classes = bcam_targets_most(&job->targets);
    if (options.precision == BCAM_PRECISION_AUTO)
        options.precision = BCAM_PRECISION_FP32;
    if (options.batch == 0 && job->total >= 0 &&
        job->total < BCAM_USUAL_BATCH) /* places without a photo would be computed too */
        options.batch = (int)job->total;
    return options;
}

/* The processor is spared resizing where something else computes beside it. */
static bcam_status open_engine(bcam_job *job, bcam_error *err)
{
    static const int pairs[] = {[BCAM_RESIZER_AUTO] = 2, [BCAM_RESIZER_CPU] = 0, [BCAM_RESIZER_DEVICE] = 1};
    bcam_engine_options options = engine_options(job);
    double begun = bcam_clock_seconds();
    job->extras = (bcam_engine_extras){.pictures = true, .resizes = pairs[job->options->resize]};
    bcam_status status = bcam_engine_make(job->options->model, &options, job->extras, &job->engine, err);
    if (status == BCAM_OK)
        status = bcam_engine_get_info(job->engine, &job->info, err);
    job->times.load = bcam_clock_seconds() - begun;
    return status;
}

bcam_status bcam_job_open(bcam_job *job, const bcam_run_options *options, bcam_error *err)
{
    *job = (bcam_job){.options = options, .self_check = -1};
    bcam_status status = check_options(options, err);
    if (status != BCAM_OK)
        return status;
    job->log = (bcam_log){options->engine.log, options->engine.log_data};
    status = count_classes(job, err);
    if (status == BCAM_OK)
        status = read_names(job, err);
    if (status == BCAM_OK)
        status = bcam_targets_read(options->targets, options->target_count, &job->names, &job->targets, err);
    if (status == BCAM_OK)
        status = survey(job, err);
    if (status == BCAM_OK)
        status = open_engine(job, err);
    if (status != BCAM_OK)
        return status;
    bcam_labels_match(&job->labels, &job->names, &job->log);
    if (options->engine.precision == BCAM_PRECISION_AUTO) {
        bcam_engine_options fp32 = engine_options(job);
        if ((status = bcam_job_try_precisions(job, &fp32, err)))
            return status;
    }
    describe(job);
    status = bcam_out_open(&job->settings, &job->out, err);
    start_summary(job);
    return status;
}

void bcam_job_close(bcam_job *job)
{
    bcam_out_close(&job->out);
    bcam_engine_close(&job->engine);
    bcam_labels_fini(&job->labels);
    bcam_targets_fini(&job->targets);
    bcam_names_fini(&job->names);
    bcam_free(job->output);
}

/* ---- the whole job ---- */

static bcam_status finish(bcam_job *job, bcam_status status, bcam_error *err)
{
    bcam_error own = {0};
    const char *word = status == BCAM_OK ? "complete" : status == BCAM_E_STOPPED ? "stopped" : "failed";
    if (job->labelled) {
        job->summary.labelled_accuracy = (double)job->correct / (double)job->labelled;
        if (job->labelled >= 20 && job->summary.labelled_accuracy < 3.0 / job->info.class_count &&
            job->info.class_count > 3)
            bcam_log_line(
                &job->log, BCAM_LOG_WARNING,
                "only %.1f%% of the labelled photos are predicted as labelled; the preprocessing or the labels look wrong",
                100 * job->summary.labelled_accuracy);
    }
    char *json = bcam_job_json(job, word, status == BCAM_OK || !err ? "" : err->message);
    bcam_status written = json ? bcam_out_finish(job->out, json, &own)
                               : bcam_fail(&own, BCAM_E_MEMORY, "out of memory while writing run.json");
    bcam_free(json);
    if (written == BCAM_OK || (status != BCAM_OK && status != BCAM_E_STOPPED))
        return status;
    if (err)
        *err = own;
    return written;
}

bcam_status bcam_job_run(bcam_job *job, const bcam_run_options *options, bcam_progress_fn progress, void *progress_data,
                         bcam_error *err)
{
    bcam_status status = bcam_job_open(job, options, err);
    if (status != BCAM_OK)
        return status;
    status = bcam_job_stream(job, progress, progress_data, err);
    return finish(job, status, err);
}

bcam_status bcam_run(const bcam_run_options *options, bcam_progress_fn progress, void *progress_data,
                     bcam_run_summary *summary, bcam_error *err)
{
    bcam_error own = {0};
    bcam_job *job = bcam_alloc(1, sizeof *job);
    if (!job)
        return bcam_fail_memory(err, sizeof *job, "the job");
    bcam_status status = bcam_job_run(job, options, progress, progress_data, &own);
    if (summary)
        *summary = job->summary;
    bcam_job_close(job);
    bcam_free(job);
    if (err)
        *err = own;
    return status;
}
