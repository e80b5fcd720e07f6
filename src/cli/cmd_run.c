/* cmd_run.c - the main job. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "message.h"
#include "progress.h"
#include "rows.h"

typedef struct run_settings {
    const char *out, *output, *names, *preset, *preprocess, *device;
    cli_list layers, methods, targets;
    int batch, threads, score, activation, precision, map_size, map_dtype, decode, resize;
    int64_t limit, max_pixels;
    bool deterministic, overlay, exif, overwrite, quiet, json;
} run_settings;

/* Choices whose places are the library's own numbers. */
#define SCORES "logit probability"
#define ACTIVATIONS "auto softmax sigmoid none"
#define RESIZERS "auto cpu device"
#define PRECISIONS "auto fp32 tf32 bf16 fp16"
_Static_assert(BCAM_ACTIVATION_SOFTMAX == 1 && BCAM_ACTIVATION_SIGMOID == 2 && BCAM_ACTIVATION_NONE == 3,
               "see ACTIVATIONS");
_Static_assert(BCAM_RESIZER_CPU == 1 && BCAM_RESIZER_DEVICE == 2, "see RESIZERS");
_Static_assert(BCAM_SCORE_LOGIT == 0 && BCAM_SCORE_PROBABILITY == 1, "see SCORES");

/* The library's numbers have fp64 among them, which is for self-tests. */
static bool set_precision(const cli_option *option, void *field, const char *value, char *why, size_t size)
{
    static const int numbers[] = {BCAM_PRECISION_AUTO, BCAM_PRECISION_FP32, BCAM_PRECISION_TF32, BCAM_PRECISION_BF16,
                                  BCAM_PRECISION_FP16};
    int place;
    if (!cli_set_choice(option, &place, value, why, size))
        return false;
    *(int *)field = numbers[place];
    return true;
}

#define FIELD(member) offsetof(run_settings, member)

static const cli_option options[] = {
    {'o', "out", "DIR", NULL, "where everything is written (required)",
     "The folder is made where it is not there. One that exists is refused without --overwrite, and one that is not an earlier run of "
     "batchcam is refused always.",
     NULL, cli_set_text, FIELD(out)},
    CLI_ROW_LAYER(FIELD(layers)),
    CLI_ROW_METHOD(FIELD(methods)),
    CLI_ROW_TARGET(FIELD(targets)),
    {0, "names", "FILE", NULL, "class names, one a line, in the model's order",
     "A line may begin with a WordNet synset; a Hugging Face config.json is read too. Without it: names.txt beside the "
     "model, or numbers.",
     NULL, cli_set_text, FIELD(names)},
    CLI_ROW_PRESET(FIELD(preset)),
    CLI_ROW_PREPROCESS(FIELD(preprocess)),
    {0, "output", "NAME", "the first that holds scores", "which of the model's outputs is explained",
     "'batchcam inspect MODEL' lists them. An output that holds ids of classes (ArgMax, TopK) is passed over where another holds scores.",
     NULL, cli_set_text, FIELD(output)},
    {0, "score", "NAME", "logit", "what is explained: logit or probability",
     "The logit is the score before any softmax or sigmoid. A probability has hardly any gradient where it is next to 0 or 1.",
     SCORES, cli_set_choice, FIELD(score)},
    {0, "activation", "NAME", "what the model ends with", "how probabilities are made: softmax, sigmoid or none",
     "A model with one output unit has two classes, whose probabilities are sigmoids.", ACTIVATIONS, cli_set_choice,
     FIELD(activation)},
    CLI_ROW_DEVICE(FIELD(device)),
    {0, "precision", "NAME", "fp32 on the CPU, tf32 on CUDA",
     "fp32, tf32, bf16, fp16 or auto; the CPU has fp32 and bf16",
     "The CPU has bf16 where the processor multiplies bfloat16. auto tries what the device has on the first 64 photos that can be read and keeps "
     "the fastest whose maps agree with those of fp32: cosine 0.999 or more in the median and 0.99 at worst, the same first class but for "
     "near-ties. run.json has the figures.",
     PRECISIONS, set_precision, FIELD(precision)},
    {0, "batch", "N", "chosen from the machine", "photos computed at once", NULL, NULL, cli_set_int, FIELD(batch)},
    CLI_ROW_THREADS(FIELD(threads)),
    CLI_ROW_DETERMINISTIC(FIELD(deterministic)),
    CLI_ROW_SIZE(FIELD(map_size)),
    CLI_ROW_DTYPE(FIELD(map_dtype)),
    CLI_ROW_OVERLAY(FIELD(overlay)),
    {0, "exif", NULL, NULL, "turn photos as their EXIF orientation says",
     "PIL and torchvision do not, so most models were trained without.", NULL, cli_set_flag, FIELD(exif)},
    CLI_ROW_DECODE(FIELD(decode)),
    {0, "resize", "NAME", "auto", "who resizes photos: auto, cpu or device",
     "The bytes are the same. auto lets a card do it while it would wait for the processor otherwise; run.json counts the photos of each.",
     RESIZERS, cli_set_choice, FIELD(resize)},
    {0, "limit", "N", "all", "stop after N photos", NULL, NULL, cli_set_count, FIELD(limit)},
    {0, "max-pixels", "N", "89478485", "larger photos are recorded as too_large", NULL, NULL, cli_set_count,
     FIELD(max_pixels)},
    {0, "overwrite", NULL, NULL, "replace an earlier run in DIR", NULL, NULL, cli_set_flag, FIELD(overwrite)},
    {0, "quiet", NULL, NULL, "no progress and no notices; warnings remain", NULL, NULL, cli_set_flag, FIELD(quiet)},
    {0, "json", NULL, NULL, "print JSON lines with a message_type: status, error, summary", NULL, NULL, cli_set_flag,
     FIELD(json)},
};

static const char *const examples[] = {
    "Grad-CAM of every photo's best class, with overlays to look at",
    "batchcam run model.onnx photos/ -o out --names names.txt --overlay",
    "The label and the five best classes, at two layers, from one forward pass",
    "batchcam run resnet50.onnx val/ -o out --target label,top5 --layer layer3,layer4",
    "A large set: maps as computed, half the bytes",
    "batchcam run model.onnx list.csv -o out --size native --dtype float16",
    "Shards that lie elsewhere, as they come",
    "curl -s https://example.org/shard-{000..009}.tar | batchcam run model.onnx - -o out",
    NULL,
};

static const char teach[] =
    "MODEL is a classifier in ONNX format. IMAGES are folders (searched in depth), files, lists (.csv, .txt), tar files in WebDataset's layout "
    "(.tar, packed or not: key.jpg with its label in key.cls or key.json), or - for one on standard input. Every photo gets its row in the index; "
    "one that cannot be read is a row with the reason, never a failed run.\n"
    "\n"
    "The output folder holds:\n"
    "  run.json        what ran: model, layers, classes, preprocessing, device\n"
    "  index.sqlite    tables images, predictions, classes, maps\n"
    "  maps/*.npy      the maps, (rows, height, width), for numpy.load\n"
    "  overlays/       with --overlay\n"
    "  report.html     one page to look at\n"
    "\n"
    "An interrupt (Ctrl-C) or SIGTERM stops after the batch in hand and leaves a valid folder, with exit status 75; a second one ends at "
    "once, and the folder lacks the last second at most. Where nobody reads the output any more (| head), the run goes on to its end.";

/* ---- results ---- */

typedef struct outcome_count {
    const char *name;
    int64_t count;
} outcome_count;

static void print_counts(const outcome_count *counts, size_t n)
{
    const char *before = ": ";
    for (size_t i = 0; i < n; i++)
        if (counts[i].count > 0) {
            printf("%s%" PRId64 " %s", before, counts[i].count, counts[i].name);
            before = ", ";
        }
    putchar('\n');
}

static double rate_of(const bcam_run_summary *s)
{
    return s->seconds > 0 ? (double)s->images / s->seconds : NAN;
}

static void print_summary(const run_settings *settings, const bcam_run_summary *s)
{
    const outcome_count images[] = {{"ok", s->ok},
                                    {"missing", s->missing},
                                    {"unreadable", s->unreadable},
                                    {"unsupported", s->unsupported},
                                    {"too_large", s->too_large},
                                    {"no_label", s->no_label}};
    int64_t plain = s->maps - s->maps_all_zero - s->maps_constant - s->maps_not_finite;
    const outcome_count maps[] = {{"ok", plain},
                                  {"all_zero", s->maps_all_zero},
                                  {"constant", s->maps_constant},
                                  {"not_finite", s->maps_not_finite}};
    printf("photos    %" PRId64, s->images);
    print_counts(images, CLI_COUNT(images));
    if (s->left_out > 0)
        printf("left out  %" PRId64 " (files in folders or archives: hidden, or not photos)\n", s->left_out);
    printf("maps      %" PRId64, s->maps);
    print_counts(maps, CLI_COUNT(maps));
    printf("layer     %s\n", s->default_layer);
    if (!isnan(s->labelled_accuracy))
        printf("accuracy  %.1f%% of the labelled photos (top 1)\n", 100 * s->labelled_accuracy);
    printf("device    %s\n", s->device);
    printf("time      %.1f s", s->seconds);
    if (isfinite(rate_of(s)))
        printf(", %.1f photos/s", rate_of(s));
    printf("\nreport    %s/report.html\n", settings->out);
}

static void print_summary_json(const run_settings *settings, const bcam_run_summary *s, bool stopped)
{
    cli_json json;
    cli_json_begin(&json, stdout, "summary");
    cli_json_bool(&json, "stopped", stopped);
    cli_json_text(&json, "output", settings->out);
    cli_json_int(&json, "images", s->images);
    cli_json_int(&json, "ok", s->ok);
    cli_json_int(&json, "missing", s->missing);
    cli_json_int(&json, "unreadable", s->unreadable);
    cli_json_int(&json, "unsupported", s->unsupported);
    cli_json_int(&json, "too_large", s->too_large);
    cli_json_int(&json, "no_label", s->no_label);
    cli_json_int(&json, "maps", s->maps);
    cli_json_int(&json, "maps_all_zero", s->maps_all_zero);
    cli_json_int(&json, "maps_constant", s->maps_constant);
    cli_json_int(&json, "maps_not_finite", s->maps_not_finite);
    cli_json_int(&json, "left_out", s->left_out);
    cli_json_text(&json, "layer", s->default_layer);
    cli_json_real(&json, "labelled_accuracy", s->labelled_accuracy);
    cli_json_text(&json, "device", s->device);
    cli_json_real(&json, "seconds", s->seconds);
    cli_json_real(&json, "images_per_second", rate_of(s));
    cli_json_end(&json);
}

/* ---- the job ---- */

/* What a failure is worth to whoever decides whether to run again: a job that was under way and lost its device may be. */
static int exit_status(bcam_status status, const cli_progress *progress)
{
    return status == BCAM_E_DEVICE && progress->last.done > 0 ? CLI_AGAIN : cli_exit_status(status);
}

static int do_run(const run_settings *settings, const bcam_run_options *run)
{
    cli_progress progress;
    cli_progress_init(&progress, settings->quiet, settings->json);
    cli_stop_on_signals();
    bcam_run_options with_log = *run;
    with_log.engine.log = cli_progress_log;
    with_log.engine.log_data = &progress;
    bcam_run_summary summary = {.labelled_accuracy = NAN};
    bcam_error err = {0};
    bcam_status status = bcam_run(&with_log, cli_progress_update, &progress, &summary, &err);
    cli_progress_finish(&progress);
    if (status == BCAM_OK || (status == BCAM_E_STOPPED && summary.images > 0)) {
        if (settings->json)
            print_summary_json(settings, &summary, status == BCAM_E_STOPPED);
        else
            print_summary(settings, &summary);
    }
    return status == BCAM_OK ? CLI_DONE : cli_failed(status, &err, settings->json, exit_status(status, &progress));
}

/* --output meant as -o. */
static bool names_folder(const run_settings *settings)
{
    size_t length = settings->output ? strlen(settings->output) : 0;
    return length && (!settings->out || settings->output[length - 1] == '/');
}

/* What the table cannot say. */
static bool check(const run_settings *settings, int operands, int argc)
{
    if (operands == argc)
        cli_message("no model is given");
    else if (operands + 1 == argc)
        cli_message("no photos are given: name a folder, files, a list or a tar file after the model");
    else if (names_folder(settings))
        cli_message("--output names one of the model's outputs; the output folder is -o DIR");
    else if (!settings->out)
        cli_message("no output folder is given: -o DIR");
    else if (settings->preset && settings->preprocess)
        cli_message("--preset and --preprocess say the same thing: give one of them");
    else
        return true;
    return false;
}

static bcam_run_options make_options(const run_settings *s, char **operands, int count)
{
    return (bcam_run_options){
        .model = operands[0],
        .images = (const char *const *)(operands + 1),
        .image_count = count - 1,
        .out_dir = s->out,
        .targets = (const char *const *)s->targets.words,
        .target_count = s->targets.count,
        .names = s->names,
        .resize = (bcam_resizer)s->resize,
        .exif = s->exif,
        .decode = (bcam_decode)s->decode,
        .overlay = s->overlay,
        .overwrite = s->overwrite,
        .limit = s->limit,
        .max_pixels = s->max_pixels,
        .engine =
            {
                .device = s->device,
                .precision = (bcam_precision)s->precision,
                .batch = s->batch,
                .threads = s->threads,
                .deterministic = s->deterministic,
                .layers = (const char *const *)s->layers.words,
                .layer_count = s->layers.count,
                .methods = (const char *const *)s->methods.words,
                .method_count = s->methods.count,
                .map_size = (bcam_map_size)s->map_size,
                .map_dtype = (bcam_dtype)s->map_dtype,
                .output = s->output,
                .score = (bcam_score)s->score,
                .activation = (bcam_activation)s->activation,
                .preprocess = s->preset ? s->preset : s->preprocess,
            },
    };
}

static int run(int argc, char **argv)
{
    run_settings settings = {0};
    int operands = 0, status = CLI_DONE;
    if (cli_parse(&cli_cmd_run, argc, argv, &settings, &operands, &status)) {
        if (check(&settings, operands, argc)) {
            bcam_run_options options_of_run = make_options(&settings, argv + operands, argc - operands);
            status = do_run(&settings, &options_of_run);
        } else {
            status = cli_usage_hint(&cli_cmd_run);
        }
    }
    cli_list_fini(&settings.layers);
    cli_list_fini(&settings.methods);
    cli_list_fini(&settings.targets);
    return status;
}

const cli_command cli_cmd_run = {
    .name = "run",
    .usage = "MODEL IMAGES... -o DIR",
    .brief = "Explain every photo: maps, an index and a report in one folder",
    .teach = teach,
    .examples = examples,
    .options = options,
    .option_count = CLI_COUNT(options),
    .run = run,
};
