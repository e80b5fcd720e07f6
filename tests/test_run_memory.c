/* test_run_memory.c - every allocation of a run, of an engine and of an inspection fails once: each time E_MEMORY or a row that says so, nothing
 * is leaked, and what is left of the run is valid. */
#include "run_fixture.h"

/* Every row of the index names a map that is there. */
static void check_index(const fix_job *job)
{
    char *text = strdup(fix_rows(job->out, "SELECT file, max(row) FROM maps GROUP BY file"));
    for (char *line = strtok(text, "\n"), *rest; line; line = strtok(NULL, "\n")) {
        rest = strchr(line, '|');
        *rest++ = '\0';
        golden_array maps = golden_read(job->out, line);
        cr_assert_lt((size_t)atoll(rest), maps.dim[0]);
        free(maps.data);
    }
    free(text);
}

/* What a run that failed left behind must be taken for a run again, or be nothing at all. */
static void check_leftovers(const fix_job *job, bcam_status status)
{
    if (!fix_exists(fix_in(job, "out/run.json"))) {
        cr_assert(!fix_exists(job->out) || rmdir(job->out) == 0 ||
                      (remove(fix_in(job, "out/run.json.tmp")) == 0 && rmdir(job->out) == 0),
                  "the folder cannot be told from somebody else's");
        return;
    }
    cJSON *json = fix_json(job->out);
    const char *said = fix_field(json, "status");
    cr_assert_str_eq(fix_field(json, "program"), "batchcam");
    cr_assert(status == BCAM_OK ? strcmp(said, "complete") == 0
                                : strcmp(said, "running") == 0 || strcmp(said, "failed") == 0,
              "%s after status %d", said, (int)status);
    if (strcmp(said, "running") != 0)
        check_index(job);
    cJSON_Delete(json);
}

/* One run whose nth allocation fails (with `persist`: and all after it). Whether it took place at all. */
static bool run_without(fix_job *job, int64_t nth, bool persist)
{
    fix_remove(job->out);
    int64_t live = bcam_alloc_live(), calls = bcam_alloc_calls();
    memset(&job->err, 0, sizeof job->err);
    bcam_alloc_fail_at(nth, persist);
    bcam_status status = bcam_run(&job->options, NULL, NULL, &job->summary, &job->err);
    bcam_alloc_fail_at(0, false);
    bool failed = bcam_alloc_calls() - calls >= nth;
    cr_assert_eq(bcam_alloc_live(), live, "%lld blocks leaked where allocation %lld failed",
                 (long long)(bcam_alloc_live() - live), (long long)nth);
    cr_assert(status == BCAM_OK || status == BCAM_E_MEMORY, "allocation %lld: %d: %s", (long long)nth, (int)status,
              job->err.message);
    cr_assert(status == BCAM_OK || *job->err.message);
    check_leftovers(job, status);
    if (status == BCAM_OK && failed) /* no memory for a photo is its row's outcome */
        cr_assert_gt(
            atoi(fix_rows(job->out,
                          "SELECT count(*) FROM images WHERE outcome = 'unreadable' AND message LIKE '%memory%'")),
            0, "allocation %lld failed, and nobody says so", (long long)nth);
    cr_assert(status != BCAM_OK || job->summary.images == 4);
    return failed;
}

/* Four photos, one of them broken; names, labels, a CSV, overlays. */
static fix_job *open_job(void)
{
    fix_job *job = fix_open(3, true);
    fix_jpeg(fix_in(job, "photos/a/0.jpg"), 1, 16, 12);
    fix_png(fix_in(job, "photos/a/1.png"), 2, 9, 20);
    fix_truncated(fix_in(job, "photos/b/2.jpg"), 3);
    fix_jpeg(fix_in(job, "photos/b/3.jpg"), 4, 10, 10);
    fix_write_text(job->names, "a\nb\nc\n");
    fix_write_text(job->csv, "file,class\na/0.jpg,c\na/1.png,b\nb/2.jpg,c,a\nb/3.jpg,0\n");
    job->targets[0] = "label";
    job->targets[1] = job->csv;
    job->options.names = job->names;
    job->options.target_count = 2;
    job->options.overlay = job->options.overwrite = true;
    job->options.engine.batch = 2;
    job->options.engine.threads = 1;
    job->options.engine.log = NULL;
    return job;
}

static void sweep(bool persist, int64_t most, bcam_resizer resize)
{
    fix_job *job = open_job();
    job->options.resize = resize;
    int64_t before = bcam_alloc_calls();
    cr_assert_not(run_without(job, INT64_MAX / 2, persist)); /* also makes what is made once in a process */
    int64_t calls = bcam_alloc_calls() - before, step = calls / most + 1, runs = 0;
    for (int64_t nth = 1; run_without(job, nth, persist); nth += step)
        runs++;
    fprintf(stderr, "%lld allocations, %lld of them failed\n", (long long)calls, (long long)runs);
    cr_assert_gt(calls, 100);
    cr_assert_not(run_without(job, INT64_MAX / 2, persist));
    fix_expect_rows(job->out, "SELECT count(*), sum(outcome = 'ok') FROM images", "4|3\n");
    fix_close(job);
}

Test(run_memory, each_allocation_of_a_run_fails)
{
    sweep(false, 3000, BCAM_RESIZER_AUTO);
}

/* Of which some belong to photos that are packed. */
Test(run_memory, allocations_fail_where_the_device_resizes)
{
    sweep(false, 200, BCAM_RESIZER_DEVICE);
}

Test(run_memory, memory_runs_out_in_a_run)
{
#ifdef __SANITIZE_ADDRESS__
    sweep(true, 120, BCAM_RESIZER_AUTO);
#else
    sweep(true, 3000, BCAM_RESIZER_AUTO);
#endif
}

/* ---- an engine, an inspection ---- */

static bool open_without(const char *model, int64_t nth)
{
    static const char *const methods[] = {"gradcam", "hirescam"};
    const bcam_engine_options options = {
        .batch = 2, .threads = 1, .methods = methods, .method_count = 2, .classes = 9, .map_dtype = BCAM_F16};
    bcam_engine *engine = (bcam_engine *)&engine;
    bcam_error err = {0};
    int64_t live = bcam_alloc_live(), calls = bcam_alloc_calls();
    bcam_alloc_fail_at(nth, false);
    bcam_status status = bcam_engine_open(model, &options, &engine, &err);
    bcam_alloc_fail_at(0, false);
    bool failed = bcam_alloc_calls() - calls >= nth;
    cr_assert_eq(status, failed ? BCAM_E_MEMORY : BCAM_OK, "%s, allocation %lld: %d %s", model, (long long)nth,
                 (int)status, err.message);
    cr_assert((status == BCAM_OK) == (engine != NULL) && (status == BCAM_OK) == (*err.message == '\0'));
    bcam_engine_close(&engine);
    cr_assert_eq(bcam_alloc_live(), live, "%s, allocation %lld: %lld blocks leaked", model, (long long)nth,
                 (long long)(bcam_alloc_live() - live));
    return failed;
}

static const char *const models[] = {fix_golden("resnet_block_bn_new"), fix_golden("mobilenet_v3_tiny_old"),
                                     fix_golden("nhwc_twin"), fix_golden("fixed_batch_reshape"),
                                     fix_golden("multi_consumer")};

Test(run_memory, each_allocation_of_an_engine_fails)
{
    for (size_t i = 0; i < BCAM_COUNT(models); i++) {
        int64_t nth = 1;
        while (open_without(models[i], nth))
            nth++;
        fprintf(stderr, "%s: %lld allocations\n", models[i], (long long)nth - 1);
        cr_assert_gt(nth, 50);
    }
}

static int inspected_layers; /* of the inspection last made */

static bool inspect_without(const char *model, int64_t nth)
{
    bcam_inspection *inspection = (bcam_inspection *)&inspection;
    bcam_error err = {0};
    int64_t live = bcam_alloc_live(), calls = bcam_alloc_calls();
    bcam_alloc_fail_at(nth, false);
    bcam_status status = bcam_inspect(model, &inspection, &err);
    bcam_alloc_fail_at(0, false);
    bool failed = bcam_alloc_calls() - calls >= nth;
    cr_assert(status == BCAM_OK || (failed && status == BCAM_E_MEMORY), "%s, allocation %lld: %d %s", model,
              (long long)nth, (int)status, err.message);
    cr_assert((status == BCAM_OK) == (inspection != NULL));
    if (inspection) { /* what could be done without must be whole */
        const bcam_model_info *info = bcam_inspection_model(inspection);
        cr_assert(info->unsupported_count == 0 && info->class_count > 0 && info->layer_count >= inspected_layers);
        inspected_layers = info->layer_count;
    }
    bcam_inspection_close(&inspection);
    cr_assert_eq(bcam_alloc_live(), live, "%s, allocation %lld: %lld blocks leaked", model, (long long)nth,
                 (long long)(bcam_alloc_live() - live));
    return failed;
}

Test(run_memory, each_allocation_of_an_inspection_fails)
{
    for (size_t i = 0; i < BCAM_COUNT(models); i++) {
        inspected_layers = 0;
        inspect_without(models[i], INT64_MAX / 2);
        cr_assert_gt(inspected_layers, 1);
        int64_t nth = 1;
        while (inspect_without(models[i], nth))
            nth++;
        cr_assert_gt(nth, 20);
    }
}

Test(run_memory, reading_a_tensor_without_memory)
{
    bcam_engine *engine = fix_engine(models[0], (bcam_engine_options){.batch = 2});
    float *input = fix_input(engine, 2, 1), *room = malloc(sizeof *room * 100000);
    size_t count;
    fix_compute(engine, &(bcam_batch){.count = 2, .input = input});
    bcam_alloc_fail_at(1, true);
    bcam_status computed =
        bcam_engine_compute(engine, &(bcam_batch){.count = 2, .input = input}, NULL); /* needs none */
    bcam_status read = bcam_engine_read(engine, BCAM_TENSOR_ACTIVATIONS, 0, 0, room, 100000, &count, NULL);
    bcam_alloc_fail_at(0, false);
    cr_assert(computed == BCAM_OK && read == BCAM_E_MEMORY);
    free(input);
    free(room);
    bcam_engine_close(&engine);
}
