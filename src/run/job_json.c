/* job_json.c - run.json: what ran, so that the run can be repeated and compared. */
#include <math.h>
#include <stdio.h>

#include "run/job.h"

const char *bcam_score_name(bcam_score score)
{
    return score == BCAM_SCORE_PROBABILITY ? "probability" : "logit";
}

static void write_model(const bcam_job *job, bcam_runjson *json)
{
    char sha256[65] = "";
    bcam_runjson_string(json, "model.path", job->options->model);
    if (bcam_sha256_file(job->options->model, sha256, NULL) == BCAM_OK)
        bcam_runjson_string(json, "model.sha256", sha256);
    bcam_runjson_string(json, "model.output", job->output);
    bcam_runjson_number(json, "model.height", job->info.height);
    bcam_runjson_number(json, "model.width", job->info.width);
    bcam_runjson_number(json, "model.classes", job->info.class_count);
    bcam_runjson_bool(json, "model.one_unit", job->info.one_unit);
    bcam_runjson_string(json, "model.activation",
                        job->info.activation == BCAM_ACTIVATION_SOFTMAX   ? "softmax"
                        : job->info.activation == BCAM_ACTIVATION_SIGMOID ? "sigmoid"
                                                                          : "none");
}

static void write_layers(const bcam_job *job, bcam_runjson *json)
{
    char path[64];
    for (int i = 0; i < job->info.layer_count; i++) {
        bcam_layer_info layer;
        if (bcam_engine_get_layer(job->engine, i, &layer, NULL) != BCAM_OK)
            continue;
        snprintf(path, sizeof path, "layers.%d.name", i);
        bcam_runjson_string(json, path, layer.name);
        snprintf(path, sizeof path, "layers.%d.tensor", i);
        bcam_runjson_string(json, path, layer.tensor);
        snprintf(path, sizeof path, "layers.%d.note", i);
        bcam_runjson_string(json, path, layer.note);
        snprintf(path, sizeof path, "layers.%d.channels", i);
        bcam_runjson_number(json, path, layer.channels);
        snprintf(path, sizeof path, "layers.%d.height", i);
        bcam_runjson_number(json, path, layer.height);
        snprintf(path, sizeof path, "layers.%d.width", i);
        bcam_runjson_number(json, path, layer.width);
        snprintf(path, sizeof path, "layers.%d.constant_gradient", i);
        bcam_runjson_bool(json, path, layer.constant_gradient);
    }
    for (int m = 0; m < job->info.method_count; m++)
        bcam_runjson_append(json, "methods", bcam_engine_method(job->engine, m));
}

static void write_preprocessing(const bcam_job *job, bcam_runjson *json)
{
    const bcam_recipe *r = bcam_engine_recipe(job->engine);
    static const char *const modes[] = {"none", "shorter", "squash"};
    static const char *const filters[] = {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"};
    char path[64];
    bcam_runjson_string(json, "preprocess.name", r->name);
    bcam_runjson_string(json, "preprocess.resize", modes[r->resize]);
    bcam_runjson_number(json, "preprocess.resize_to", r->resize_to);
    bcam_runjson_string(json, "preprocess.interpolation", filters[r->filter]);
    bcam_runjson_string(json, "preprocess.crop", r->crop ? "center" : "none");
    bcam_runjson_number(json, "preprocess.rescale", r->rescale);
    bcam_runjson_number(json, "preprocess.offset", r->offset);
    for (int c = 0; c < 3; c++) {
        snprintf(path, sizeof path, "preprocess.mean.%d", c);
        bcam_runjson_number(json, path, r->mean[c]);
        snprintf(path, sizeof path, "preprocess.std.%d", c);
        bcam_runjson_number(json, path, r->std[c]);
    }
    bcam_runjson_string(json, "preprocess.channel_order", r->grey ? "grey" : r->bgr ? "bgr" : "rgb");
    bcam_runjson_bool(json, "preprocess.exif", job->options->exif);
    bcam_runjson_string(json, "preprocess.decode", job->options->decode == BCAM_DECODE_FAST ? "fast" : "exact");
}

static void write_settings(const bcam_job *job, bcam_runjson *json)
{
    const bcam_engine_options *o = &job->options->engine;
    for (int i = 0; i < job->options->image_count; i++)
        bcam_runjson_append(json, "images", job->options->images[i]);
    for (int i = 0; i < job->options->target_count; i++)
        bcam_runjson_append(json, "targets", job->options->targets[i]);
    if (!job->options->target_count)
        bcam_runjson_append(json, "targets", "top1");
    bcam_runjson_string(json, "score", bcam_score_name(job->info.score));
    bcam_runjson_number(json, "classes_per_photo", job->info.classes);
    bcam_runjson_string(json, "maps.size", o->map_size == BCAM_SIZE_NATIVE ? "native" : "input");
    bcam_runjson_string(json, "maps.dtype", bcam_dtype_name(o->map_dtype));
    bcam_runjson_bool(json, "maps.signed", o->signed_maps);
    bcam_runjson_string(json, "device", job->info.device);
    bcam_runjson_string(json, "precision", bcam_engine_precision(job->engine));
    bcam_runjson_number(json, "batch", job->info.batch);
    bcam_runjson_number(json, "threads", o->threads);
    bcam_runjson_bool(json, "deterministic", o->deterministic);
    bcam_runjson_number(json, "device_bytes", (double)bcam_engine_bytes(job->engine));
}

static void write_trials(const bcam_job *job, bcam_runjson *json)
{
    char path[64];
    bcam_runjson_number(json, "precision_trial.photos", job->trials.photos);
    for (int i = 0; i < job->trials.count; i++) {
        const bcam_trial *row = &job->trials.row[i];
        const struct {
            const char *name;
            double value;
        } numbers[] = {{"images_per_second", row->images_per_second},
                       {"cosine_median", row->median},
                       {"cosine_worst", row->worst},
                       {"same_top1", row->same_top1},
                       {"other_top1", row->other_top1},
                       {"near_ties", row->near_ties}};
        size_t count = *row->refused ? 0 : row->precision == BCAM_PRECISION_FP32 ? 1 : BCAM_COUNT(numbers);
        snprintf(path, sizeof path, "precision_trial.tried.%d.precision", i);
        bcam_runjson_string(json, path, bcam_precision_name(row->precision));
        for (size_t n = 0; n < count; n++) {
            snprintf(path, sizeof path, "precision_trial.tried.%d.%s", i, numbers[n].name);
            bcam_runjson_number(json, path, numbers[n].value);
        }
        snprintf(path, sizeof path, "precision_trial.tried.%d.%s", i, *row->refused ? "refused" : "agrees");
        if (*row->refused)
            bcam_runjson_string(json, path, row->refused);
        else if (i > 0)
            bcam_runjson_bool(json, path, row->agrees);
    }
}

static void write_counts(const bcam_job *job, bcam_runjson *json)
{
    const bcam_run_summary *s = &job->summary;
    const struct {
        const char *path;
        double value;
    } rows[] = {
        {"counts.images", (double)s->images},
        {"counts.ok", (double)s->ok},
        {"counts.missing", (double)s->missing},
        {"counts.unreadable", (double)s->unreadable},
        {"counts.unsupported", (double)s->unsupported},
        {"counts.too_large", (double)s->too_large},
        {"counts.no_label", (double)s->no_label},
        {"counts.maps", (double)s->maps},
        {"counts.maps_all_zero", (double)s->maps_all_zero},
        {"counts.maps_constant", (double)s->maps_constant},
        {"counts.maps_not_finite", (double)s->maps_not_finite},
        {"counts.rotated", (double)job->rotated},
        {"counts.resized_cpu", (double)job->resized[0]},
        {"counts.resized_device", (double)job->resized[1]},
        {"counts.left_out_type", (double)job->counts.left_out_type},
        {"counts.left_out_hidden", (double)job->counts.left_out_hidden},
        {"counts.left_out_loop", (double)job->counts.left_out_loop},
        {"counts.left_out_special", (double)job->counts.left_out_special},
        {"counts.labelled", (double)job->labelled},
        {"counts.correct", (double)job->correct},
        {"seconds.load", job->times.load},
        {"seconds.list", job->times.list},
        {"seconds.precision_trial", job->times.trial},
        {"seconds.decode", job->times.decode},
        {"seconds.compute", job->times.compute},
        {"seconds.write", job->times.write},
        {"seconds.photos", s->seconds},
    };
    for (size_t i = 0; i < BCAM_COUNT(rows); i++)
        bcam_runjson_number(json, rows[i].path, rows[i].value);
    if (!isnan(s->labelled_accuracy))
        bcam_runjson_number(json, "labelled_accuracy", s->labelled_accuracy);
}

const char *bcam_stage_name(bcam_stage stage)
{
    static const char *const names[BCAM_STAGE_COUNT] = {
        [BCAM_STAGE_LIST] = "list",         [BCAM_STAGE_READ] = "read",       [BCAM_STAGE_DECODE] = "decode",
        [BCAM_STAGE_RESIZE] = "resize",     [BCAM_STAGE_COPY_IN] = "copy_in", [BCAM_STAGE_FORWARD] = "forward",
        [BCAM_STAGE_BACKWARD] = "backward", [BCAM_STAGE_CAM] = "cam",         [BCAM_STAGE_COPY_OUT] = "copy_out",
        [BCAM_STAGE_ENCODE] = "encode",     [BCAM_STAGE_WRITE] = "write"};
    return names[stage];
}

static void write_stages(const bcam_job *job, bcam_runjson *json)
{
    char path[64];
    for (int i = 0; i < BCAM_STAGE_COUNT; i++) {
        snprintf(path, sizeof path, "stages.%s.core_seconds", bcam_stage_name((bcam_stage)i));
        bcam_runjson_number(json, path, job->stages[i]);
    }
}

static void write_algorithm(void *data, size_t index, const char *step, const char *verb, const char *algorithm)
{
    char path[64], text[512];
    (void)index;
    snprintf(path, sizeof path, "steps");
    snprintf(text, sizeof text, "%s %.300s: %s", verb, step, algorithm);
    bcam_runjson_append(data, path, text);
}

char *bcam_job_json(const bcam_job *job, const char *status, const char *why)
{
    bcam_runjson *json = bcam_runjson_open();
    bcam_runjson_string(json, "program", "batchcam");
    bcam_runjson_string(json, "version", BCAM_VERSION_STRING);
    bcam_runjson_string(json, "status", status);
    if (*why)
        bcam_runjson_string(json, "message", why);
    write_model(job, json);
    write_layers(job, json);
    write_preprocessing(job, json);
    write_settings(job, json);
    if (job->trials.count)
        write_trials(job, json);
    bcam_runjson_append(json, "libraries", bcam_jpeg_version());
    bcam_runjson_append(json, "libraries", bcam_png_version());
    bcam_runjson_append(json, "libraries", bcam_sqlite_version());
    if (job->self_check >= 0)
        bcam_runjson_number(json, "self_checks.map_from_weights", job->self_check);
    write_counts(job, json);
    write_stages(job, json);
    bcam_engine_algorithms(job->engine, write_algorithm, json);
    char *text = bcam_runjson_text(json);
    bcam_runjson_close(&json);
    return text;
}
