/* cmd_bench.c - how fast a run is here, where its time goes, and what the machine could do. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "message.h"
#include "progress.h"
#include "rows.h"

enum { MOST = 16 };

typedef struct numbers { /* of a list with commas */
    int number[MOST], count;
} numbers;

typedef struct bench_settings {
    cli_list layers, methods, targets;
    numbers batches, precisions; /* precisions: places in PRECISIONS, later the library's own numbers */
    const char *preset, *preprocess, *device, *report, *folder;
    int threads, map_size, map_dtype, decode;
    int64_t limit;
    uint64_t seed;
    bool deterministic, overlay, no_files, json, csv;
} bench_settings;

#define PRECISIONS "fp32 tf32 bf16 fp16"
static const bcam_precision precisions[] = {BCAM_PRECISION_FP32, BCAM_PRECISION_TF32, BCAM_PRECISION_BF16,
                                            BCAM_PRECISION_FP16};

/* Each part of a list through the setter of one. */
static bool set_each(const cli_option *option, numbers *all, const char *value, cli_setter one, char *why, size_t size)
{
    cli_list words = {0};
    bool good = cli_set_list(option, &words, value, why, size);
    for (int i = 0; i < words.count && good; i++) {
        if (all->count == MOST) {
            snprintf(why, size, "--%s has more than %d parts", option->name, MOST);
            good = false;
        } else {
            good = one(option, &all->number[all->count], words.words[i], why, size);
            all->count += good;
        }
    }
    cli_list_fini(&words);
    return good;
}

static bool set_batches(const cli_option *option, void *field, const char *value, char *why, size_t size)
{
    return set_each(option, field, value, cli_set_int, why, size);
}

static bool set_precisions(const cli_option *option, void *field, const char *value, char *why, size_t size)
{
    return set_each(option, field, value, cli_set_choice, why, size);
}

#define FIELD(member) offsetof(bench_settings, member)

static const cli_option options[] = {
    {0, "batch", "N,...", "chosen from the machine",
     "photos computed at once; several are measured one after the other", NULL, NULL, set_batches, FIELD(batches)},
    {0, "precision", "NAME,...", "fp32 on the CPU, tf32 on CUDA", "fp32, tf32, bf16 or fp16; several as with --batch",
     "The CPU has fp32, and bf16 where the processor multiplies bfloat16. Every precision is measured with every batch.",
     PRECISIONS, set_precisions, FIELD(precisions)},
    CLI_ROW_LAYER(FIELD(layers)),
    CLI_ROW_METHOD(FIELD(methods)),
    CLI_ROW_TARGET(FIELD(targets)),
    CLI_ROW_PRESET(FIELD(preset)),
    CLI_ROW_PREPROCESS(FIELD(preprocess)),
    CLI_ROW_DEVICE(FIELD(device)),
    CLI_ROW_THREADS(FIELD(threads)),
    CLI_ROW_DETERMINISTIC(FIELD(deterministic)),
    CLI_ROW_SIZE(FIELD(map_size)),
    CLI_ROW_DTYPE(FIELD(map_dtype)),
    CLI_ROW_OVERLAY(FIELD(overlay)),
    CLI_ROW_DECODE(FIELD(decode)),
    {0, "no-files", NULL, NULL, "leave out the runs that write, and the writer", NULL, NULL, cli_set_flag,
     FIELD(no_files)},
    {0, "limit", "N", "as many as take about a second and a half", "photos of each run", NULL, NULL, cli_set_count,
     FIELD(limit)},
    {0, "folder", "DIR", "$TMPDIR, or /tmp", "where temporary files are made, and removed at the end",
     "The disk that is measured is the one that this folder lies on.", NULL, cli_set_text, FIELD(folder)},
    {0, "seed", "N", "0", "of the photos that are made where none are given", NULL, NULL, cli_set_seed, FIELD(seed)},
    {0, "report", "FILE", NULL, "write a page with the stages as bars and a curve over batch sizes (HTML)", NULL, NULL,
     cli_set_text, FIELD(report)},
    {0, "json", NULL, NULL, "print one JSON line with a message_type: bench, or error", NULL, NULL, cli_set_flag,
     FIELD(json)},
    {0, "csv", NULL, NULL, "print CSV, a line for each batch and precision", NULL, NULL, cli_set_flag, FIELD(csv)},
};

static const char *const examples[] = {
    "Where the time goes, on photos made for this",
    "batchcam bench resnet50.onnx",
    "On photos of your own, and the disk that results shall go to",
    "batchcam bench resnet50.onnx val/ --size native --folder /data",
    "Which batch and precision are best, with a page to look at",
    "batchcam bench resnet50.onnx --batch 1,8,32 --precision fp32,bf16 --report bench.html",
    NULL,
};

/* ---- the measurement ---- */

typedef struct found {
    cli_progress progress;
    bench_rows rows;
} found;

static void keep(void *data, const bcam_bench_row *row)
{
    bench_rows *rows = &((found *)data)->rows;
    if (rows->count == BENCH_MOST_ROWS)
        return;
    int at = rows->count++;
    snprintf(rows->layer[at], sizeof rows->layer[at], "%s", row->layer);
    snprintf(rows->device[at], sizeof rows->device[at], "%s", row->device);
    rows->row[at] = *row;
    rows->row[at].layer = rows->layer[at];
    rows->row[at].device = rows->device[at];
}

/* Nothing is shown on the way: what shows something takes time. */
static bool go_on(void *data, const bcam_progress *now)
{
    return cli_progress_update(&((found *)data)->progress, now);
}

/* The page's file is opened before anything is measured: a name that will not do is said at once. */
static bool open_page(const char *path, FILE **page)
{
    *page = path ? fopen(path, "w") : NULL;
    if (path && !*page)
        cli_message("cannot write '%s': %s", path, strerror(errno));
    return !path || *page;
}

static bool close_page(const char *path, FILE *page, const bench_rows *rows)
{
    if (rows->count)
        bench_write_page(page, rows);
    bool good = !ferror(page);
    if (fclose(page))
        good = false;
    if (!good)
        cli_message("cannot write '%s': %s", path, strerror(errno));
    return good;
}

static void show(const bench_settings *s, const bench_rows *rows)
{
    if (s->json)
        bench_print_json(rows);
    else if (s->csv)
        bench_print_csv(rows);
    else
        bench_print_table(rows);
}

static bcam_bench_options make_options(bench_settings *s, char **operands, int count)
{
    for (int i = 0; i < s->precisions.count; i++)
        s->precisions.number[i] = (int)precisions[s->precisions.number[i]];
    return (bcam_bench_options){
        .run =
            {
                .model = operands[0],
                .images = (const char *const *)(operands + 1),
                .image_count = count - 1,
                .targets = (const char *const *)s->targets.words,
                .target_count = s->targets.count,
                .decode = (bcam_decode)s->decode,
                .overlay = s->overlay,
                .no_files = s->no_files,
                .limit = s->limit,
                .engine =
                    {
                        .device = s->device,
                        .threads = s->threads,
                        .deterministic = s->deterministic,
                        .layers = (const char *const *)s->layers.words,
                        .layer_count = s->layers.count,
                        .methods = (const char *const *)s->methods.words,
                        .method_count = s->methods.count,
                        .map_size = (bcam_map_size)s->map_size,
                        .map_dtype = (bcam_dtype)s->map_dtype,
                        .preprocess = s->preset ? s->preset : s->preprocess,
                    },
            },
        .batches = s->batches.number,
        .batch_count = s->batches.count,
        .precision_count = s->precisions.count,
        .folder = s->folder,
        .seed = s->seed,
    };
}

static int measure(bench_settings *s, char **operands, int count)
{
    bcam_bench_options o = make_options(s, operands, count);
    bcam_precision chosen[MOST];
    found *f = calloc(1, sizeof *f);
    bcam_error err = {.code = BCAM_E_MEMORY, .message = "out of memory"};
    FILE *page = NULL;
    if (!f)
        return cli_failed(BCAM_E_MEMORY, &err, s->json, CLI_FAILED);
    if (!open_page(s->report, &page)) {
        free(f);
        return CLI_FAILED;
    }
    for (int i = 0; i < s->precisions.count; i++)
        chosen[i] = (bcam_precision)s->precisions.number[i];
    o.precisions = chosen;
    cli_progress_init(&f->progress, true, false);
    o.run.engine.log = cli_progress_log;
    o.run.engine.log_data = &f->progress;
    cli_stop_on_signals();
    bcam_status status = bcam_bench(&o, keep, go_on, f, &err);
    if (f->rows.count)
        show(s, &f->rows);
    int exit_status = page && !close_page(s->report, page, &f->rows) ? CLI_FAILED : CLI_DONE;
    if (status != BCAM_OK)
        exit_status = cli_failed(status, &err, s->json, cli_exit_status(status));
    free(f);
    return exit_status;
}

static bool check(const bench_settings *s, int operands, int argc)
{
    if (operands == argc)
        cli_message("no model is given");
    else if (s->preset && s->preprocess)
        cli_message("--preset and --preprocess say the same thing: give one of them");
    else if (s->json && s->csv)
        cli_message("--json and --csv are two forms of the same: give one of them");
    else if ((s->batches.count ? s->batches.count : 1) * (s->precisions.count ? s->precisions.count : 1) *
                 (s->deterministic ? 2 : 1) >
             BENCH_MOST_ROWS)
        cli_message("--batch and --precision make more than %d rows", BENCH_MOST_ROWS);
    else
        return true;
    return false;
}

static int run(int argc, char **argv)
{
    bench_settings settings = {0};
    int operands = 0, status = CLI_DONE;
    if (cli_parse(&cli_cmd_bench, argc, argv, &settings, &operands, &status))
        status = check(&settings, operands, argc) ? measure(&settings, argv + operands, argc - operands)
                                                  : cli_usage_hint(&cli_cmd_bench);
    cli_list_fini(&settings.layers);
    cli_list_fini(&settings.methods);
    cli_list_fini(&settings.targets);
    return status;
}

const cli_command cli_cmd_bench = {
    .name = "bench",
    .usage = "MODEL [IMAGES...]",
    .brief = "Measure what each stage of a run takes here, and what bounds it",
    .teach =
        "Every stage of a run is measured by itself and in whole runs, which are thrown away: listing, reading, decoding, resizing, copies, "
        "the forward and the backward pass, maps, writing. So is what the machine can do at most: a matrix product, copying memory, writing to "
        "the disk. Photos of 500 x 375 are made where none are given. Times are medians of several rounds, the product and copying the best of several.\n"
        "\n"
        "photos/s is what all threads that share a stage would do with nothing else to do; core ms are milliseconds of one core for one photo, "
        "summed over threads; busy is the share of all cores' time in a run.\n"
        "\n"
        "A GFLOP is counted as if each convolution were done directly. By Winograd it takes less, so that a share of the matrix product may come to "
        "100%.\n"
        "\n"
        "With --deterministic all is measured twice, with algorithms chosen by timing and without, to tell what it costs.\n"
        "\n"
        "The run.json of every run has the same figures of its stages.",
    .examples = examples,
    .options = options,
    .option_count = CLI_COUNT(options),
    .run = run,
};
