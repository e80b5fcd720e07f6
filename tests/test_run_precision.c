/* test_run_precision.c - `auto`: which precision a run takes, and what run.json says of it. In plain C, which has bfloat16 on any machine, and
 * mostly without timing: the choice is then known. */
#include "run_fixture.h"

enum { PHOTOS = 9 };

/* input → conv1 → relu1 → + offset → relu → - offset → conv2 → relu2 → pool → flat → head: of what is stored in between, bfloat16 has nothing left
 * where the offset is large. `head` is the middle of the last weights. */
static void offset_model(const char *path, double offset, double head)
{
    const int64_t input[4] = {0, 3, FIX_H, FIX_W}, logits[2] = {0, 3}, w1[4] = {6, 3, 3, 3}, w2[4] = {8, 6, 3, 3},
                  one = 1, w[2] = {3, 8};
    bytes graph = {0};
    uint64_t state = 4711;
    put_text(&graph, 2, "offset");
    fix_put_conv(&graph, 1, "input", w1, 1, &state);
    put_message(&graph, 1, fix_node("Add", "up", "relu1 offset"));
    put_message(&graph, 1, fix_node("Relu", "kept", "up"));
    put_message(&graph, 1, fix_node("Sub", "down", "kept offset"));
    fix_put_conv(&graph, 2, "down", w2, 2, &state);
    put_message(&graph, 1, fix_node("GlobalAveragePool", "pool", "relu2"));
    put_message(&graph, 1, fix_node("Flatten", "flat", "pool"));
    bytes gemm = fix_node("Gemm", "head", "flat w_head b_head");
    fix_put_int(&gemm, "transB", 1);
    put_message(&graph, 1, gemm);
    fix_put_weights(&graph, "w_head", 2, w, head, &state);
    fix_put_weights(&graph, "b_head", 1, w, 0, &state);
    fix_put_weights(&graph, "offset", 1, &one, offset, &state);
    fix_put_value(&graph, 11, "input", 4, input);
    fix_put_value(&graph, 12, "head", 2, logits);
    bytes model = model_of(graph);
    fix_write(path, model.data, model.size);
    free(model.data);
}

static fix_job *open_auto(double offset, double head)
{
    fix_job *job = fix_open(3, false);
    offset_model(job->model, offset, head);
    for (int i = 0; i < PHOTOS; i++)
        fix_jpeg(fix_in(job, "photos/%02d.jpg", i), (uint64_t)i, 40 + i, 30);
    job->options.engine.device = "reference";
    job->options.engine.deterministic = true;
    job->options.engine.precision = BCAM_PRECISION_AUTO;
    return job;
}

static double number_at(const char *dir, const char *path)
{
    cJSON *json = fix_json(dir);
    double number = atof(fix_field(json, path));
    cJSON_Delete(json);
    return number;
}

/* The same run with a precision named gives the same rows and bytes. */
static void expect_as_if_named(fix_job *job, bcam_precision precision)
{
    char first[sizeof job->out];
    snprintf(first, sizeof first, "%s", job->out);
    snprintf(job->out, sizeof job->out, "%s/named", job->root);
    job->options.engine.precision = precision;
    fix_run(job);
    fix_expect_same_runs(first, job->out);
    fix_expect_field(job->out, "precision_trial.photos", "");
    snprintf(job->out, sizeof job->out, "%s", first);
}

Test(run_precision, taken_where_maps_agree)
{
    fix_job *job = open_auto(0, 0);
    job->layers[0] = "down";
    job->layers[1] = "relu2";
    job->methods[0] = "gradcam";
    job->methods[1] = "hirescam";
    job->targets[0] = "top2";
    job->options.engine.layer_count = job->options.engine.method_count = 2;
    job->options.target_count = 1;
    fix_run(job);
    fix_expect_field(job->out, "precision", "bf16");
    fix_expect_field(job->out, "precision_trial.photos", fix_text("%d", PHOTOS));
    fix_expect_field(job->out, "precision_trial.tried.0.precision", "fp32");
    fix_expect_field(job->out, "precision_trial.tried.0.agrees", "");
    fix_expect_field(job->out, "precision_trial.tried.1.precision", "bf16");
    fix_expect_field(job->out, "precision_trial.tried.1.agrees", "true");
    fix_expect_field(job->out, "precision_trial.tried.1.refused", "");
    fix_expect_field(job->out, "precision_trial.tried.2.precision", "");
    double worst = number_at(job->out, "precision_trial.tried.1.cosine_worst"),
           median = number_at(job->out, "precision_trial.tried.1.cosine_median");
    cr_assert(0.99 <= worst && worst <= median && 0.999 <= median && median < 1 && worst < 0.9999999, "%.9g, %.9g",
              worst, median);
    cr_assert_eq(number_at(job->out, "precision_trial.tried.1.same_top1") +
                     number_at(job->out, "precision_trial.tried.1.near_ties"),
                 PHOTOS);
    for (int i = 0; i < 2; i++)
        cr_assert_gt(number_at(job->out, fix_text("precision_trial.tried.%d.images_per_second", i)), 0);
    cr_assert(strstr(fix_lines, "precision: bf16 is taken"), "%s", fix_lines);
    expect_as_if_named(job, BCAM_PRECISION_BF16);
    fix_close(job);
}

Test(run_precision, left_where_they_do_not)
{
    fix_job *job = open_auto(3000, 0);
    fix_run(job);
    fix_expect_field(job->out, "precision", "fp32");
    fix_expect_field(job->out, "precision_trial.tried.1.precision", "bf16");
    fix_expect_field(job->out, "precision_trial.tried.1.agrees", "false");
    cr_assert_lt(number_at(job->out, "precision_trial.tried.1.cosine_worst"), 0.99);
    cr_assert(strstr(fix_lines, "precision: fp32 is taken") && strstr(fix_lines, "maps differ from fp32's"), "%s",
              fix_lines);
    expect_as_if_named(job, BCAM_PRECISION_FP32);
    fix_close(job);
}

/* Maps of zeros alone are alike. */
Test(run_precision, maps_of_zeros_agree)
{
    fix_job *job = open_auto(0, -5);
    fix_run(job);
    cr_assert_eq(job->summary.maps_all_zero, PHOTOS);
    fix_expect_field(job->out, "precision", "bf16");
    fix_expect_field(job->out, "precision_trial.tried.1.cosine_worst", "1");
    fix_close(job);
}

/* Photos that cannot be computed are passed over, and more than 64 are not looked at; what is asked of a photo is asked of both. */
Test(run_precision, which_photos_are_tried)
{
    fix_job *job = open_auto(0, 0);
    for (int i = 0; i < 70; i++)
        fix_jpeg(fix_in(job, "photos/%c/%02d.jpg", 'a' + i % 3, i), (uint64_t)i, 20, 20);
    for (int i = 0; i < 5; i++)
        fix_write_text(fix_in(job, "photos/a/0%d.broken.jpg", i), "no photo");
    fix_write_text(job->names, "a\nb\nc\n");
    job->options.names = job->names;
    job->targets[0] = "label";
    job->options.target_count = 1;
    fix_run(job);
    cr_assert_eq(job->summary.no_label, PHOTOS);
    fix_expect_field(job->out, "precision_trial.photos", "64");
    fix_expect_field(job->out, "precision", "bf16");
    job->options.overwrite = true;
    job->options.limit = PHOTOS; /* without a label, all of them */
    fix_run(job);
    fix_expect_field(job->out, "precision_trial.photos", "0");
    fix_expect_field(job->out, "precision_trial.tried.1.precision", "");
    fix_expect_field(job->out, "precision", "fp32");
    fix_close(job);
}

/* By timing: the fastest of those that agree, whichever that is here. */
Test(run_precision, the_fastest_is_taken)
{
    fix_job *job = open_auto(0, 0);
    job->options.engine.deterministic = false;
    fix_run(job);
    bool faster = number_at(job->out, "precision_trial.tried.1.images_per_second") >
                  number_at(job->out, "precision_trial.tried.0.images_per_second");
    fix_expect_field(job->out, "precision_trial.tried.1.agrees", "true");
    fix_expect_field(job->out, "precision", faster ? "bf16" : "fp32");
    fix_close(job);
}

/* Short of memory, a candidate is left out or the run fails with a sentence; nothing is left behind. */
Test(run_precision, memory_runs_out)
{
    fix_job *job = open_auto(0, 0);
    int64_t calls = bcam_alloc_calls(), live = bcam_alloc_live();
    fix_run(job);
    calls = bcam_alloc_calls() - calls;
    job->options.overwrite = true;
    for (int64_t nth = 1; nth <= calls; nth += 23) {
        bcam_alloc_fail_at(nth, false);
        fix_try(job);
        bcam_alloc_fail_at(0, false);
        cr_assert_eq(bcam_alloc_live(), live, "allocation %d of %d", (int)nth, (int)calls);
    }
    fix_close(job);
}

Test(run_precision, engines_have_no_photos_to_try)
{
    bcam_engine *engine = NULL;
    bcam_error err;
    bcam_engine_options options = {.device = "reference", .precision = BCAM_PRECISION_AUTO};
    cr_expect_eq(bcam_engine_open(fix_golden("const_gap_gemm"), &options, &engine, &err), BCAM_E_ARGUMENT);
    cr_expect(strstr(err.message, "choose fp32"), "%s", err.message);
    uint64_t seed = 1;
    cr_expect_eq(bcam_selftest("reference", BCAM_PRECISION_AUTO, &seed, NULL, NULL, &err), BCAM_E_ARGUMENT);
}
