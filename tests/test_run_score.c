/* test_run_score.c - what is explained: a logit or a probability, one of several outputs, one unit or its negation. Against PyTorch in double, and
 * against what logits' gradients say a probability's must be. */
#include "golden_score_run.h"
#include "run_fixture.h"
#include "seed.h"

Test(score, golden_reference)
{
    golden_way way = {.device = "reference", .factor = 4, .floor = 1e-6, .rounds = 1};
    golden_score_run(&way);
}

Test(score, golden_cpu)
{
    golden_way way = {.device = "cpu", .factor = 4, .floor = 1e-6, .rounds = 1};
    golden_score_run(&way);
}

/* ---- d p_c / d A = p_c (g_c - sum over j of p_j g_j) for a softmax, p_c (1 - p_c) g_c for a sigmoid ---- */

typedef struct net_case {
    const char *model, *layers[2];
    int classes;
} net_case;

static const net_case nets[] = {
    {fix_golden("resnet_tiny_old"), {"layer1", "layer4"}, 7},
    {fix_golden("nhwc_twin"), {"twin/relu1", "twin/relu2"}, 6}, /* ends with a softmax */
    {fix_golden("const_gap_gemm"), {"relu1", "relu2"}, 5},      /* a constant gradient of the logit */
    {NULL, {"relu1", "relu2"}, 19},                             /* more classes than are computed at once */
    {NULL, {"relu1", "relu2"}, 1},
};

enum { PHOTOS = 3 };

static bcam_engine *open_all(const net_case *net, const char *model, bcam_score score, bcam_activation activation)
{
    static const char *const methods[] = {"gradcam", "hirescam"};
    return fix_engine(model, (bcam_engine_options){.device = "reference",
                                                   .batch = 2, /* so that one is padded */
                                                   .threads = 2,
                                                   .layers = net->layers,
                                                   .layer_count = 2,
                                                   .methods = methods,
                                                   .method_count = 2,
                                                   .classes = net->classes == 1 ? 2 : net->classes,
                                                   .map_size = BCAM_SIZE_NATIVE,
                                                   .signed_maps = true,
                                                   .score = score,
                                                   .activation = activation});
}

/* Of class c of a photo, from tensors (M,count,item) of logits: what the probability's must be, and how large its parts are. */
static double expected(const float *t, int m, size_t count, size_t item, size_t at, int c, const double *p,
                       bool softmax, double *parts)
{
    double mean = 0, g = (double)t[(size_t)c * count * item + at];
    *parts = fabs(g);
    for (int j = 0; softmax && j < m; j++) {
        double other = (double)t[(size_t)j * count * item + at];
        mean += p[j] * other;
        *parts += p[j] * fabs(other);
    }
    *parts *= p[c];
    return softmax ? p[c] * (g - mean) : p[c] * (1 - p[c]) * g;
}

/* Weights or raw maps of all classes of the batch in hand. */
static void compare(bcam_engine *logit, bcam_engine *probability, bcam_tensor_kind kind, int layer, int method,
                    int photos)
{
    bcam_engine_info info = fix_info(probability);
    bool softmax = info.activation == BCAM_ACTIVATION_SOFTMAX;
    size_t count, again;
    float *t = fix_tensor(logit, kind, layer, method, &count),
          *u = fix_tensor(probability, kind, layer, method, &again);
    cr_assert_eq(count, again);
    int m = info.class_count;
    size_t item = count / (size_t)(m * photos);
    for (int n = 0; n < photos; n++) {
        double p[64], size = 0;
        for (int c = 0; c < m; c++) {
            bcam_map a = fix_map(logit, layer, method, n, c), b = fix_map(probability, layer, method, n, c);
            cr_assert(a.class_id == c && b.class_id == c && a.logit == b.logit && a.probability == b.probability);
            p[c] = (double)b.probability;
        }
        for (int c = 0; c < m; c++, size = 0) {
            double worst = 0, parts;
            for (size_t i = 0; i < item; i++) {
                double want = expected(t, m, (size_t)photos, item, (size_t)n * item + i, c, p, softmax, &parts);
                double got = (double)u[((size_t)c * (size_t)photos + (size_t)n) * item + i];
                worst = fmax(worst, fabs(got - want));
                size = fmax(size, parts);
            }
            cr_assert(size > 0 && worst <= 1e-4 * size, "layer %d, photo %d, class %d: off by %g of %g", layer, n, c,
                      worst, size);
        }
    }
    free(t);
    free(u);
}

static void check_net(const net_case *net, bcam_activation activation, uint64_t seed)
{
    const char *root = fix_folder(), *model = net->model;
    if (!model) {
        model = fix_text("%s/model.onnx", root);
        fix_model(model, net->classes, true);
    }
    bcam_engine *logit = open_all(net, model, BCAM_SCORE_LOGIT, activation),
                *probability = open_all(net, model, BCAM_SCORE_PROBABILITY, activation);
    bcam_engine_info info = fix_info(probability);
    cr_assert(info.score == BCAM_SCORE_PROBABILITY && fix_info(logit).score == BCAM_SCORE_LOGIT);
    float *input = fix_input(logit, PHOTOS, seed);
    int32_t classes[PHOTOS * 64];
    for (int i = 0; i < PHOTOS * info.classes; i++)
        classes[i] = i % info.classes;
    for (int first = 0; first < PHOTOS; first += 2) {
        int now = PHOTOS - first < 2 ? PHOTOS - first : 2;
        bcam_batch batch = {.count = now,
                            .input = input + (size_t)first * (size_t)(info.channels * info.height * info.width),
                            .classes = classes};
        fix_compute(logit, &batch);
        fix_compute(probability, &batch);
        for (int l = 0; l < 2; l++) {
            bcam_layer_info layer;
            cr_assert_eq(bcam_engine_get_layer(probability, l, &layer, NULL), BCAM_OK);
            cr_assert_not(layer.constant_gradient);
            compare(logit, probability, BCAM_TENSOR_WEIGHTS, l, 0, now);
            compare(logit, probability, BCAM_TENSOR_RAW, l, 0, now);
            compare(logit, probability, BCAM_TENSOR_RAW, l, 1, now);
        }
    }
    free(input);
    bcam_engine_close(&logit);
    bcam_engine_close(&probability);
    fix_remove(root);
}

Test(score, a_probability_s_gradient_is_made_of_the_logits_)
{
    uint64_t seed = test_seed();
    for (size_t i = 0; i < BCAM_COUNT(nets); i++) {
        check_net(&nets[i], BCAM_ACTIVATION_AUTO, seed + i);
        check_net(&nets[i], BCAM_ACTIVATION_SIGMOID, seed + i);
    }
    cr_assert_eq(bcam_alloc_live(), 0);
}

/* ---- one unit ---- */

Test(score, a_unit_and_its_negation)
{
    uint64_t seed = test_seed();
    const char *root = fix_folder(), *model = fix_text("%s/model.onnx", root);
    fix_model(model, 1, false);
    for (int device = 0; device < 2; device++) {
        bcam_engine *engine = fix_engine(model, (bcam_engine_options){.device = device ? "cpu" : "reference",
                                                                      .batch = PHOTOS,
                                                                      .threads = 2,
                                                                      .classes = 2,
                                                                      .map_size = BCAM_SIZE_NATIVE,
                                                                      .signed_maps = true});
        bcam_engine_info info = fix_info(engine);
        bcam_layer_info layer;
        cr_assert(info.one_unit && info.class_count == 2 && info.activation == BCAM_ACTIVATION_SIGMOID);
        cr_assert_eq(bcam_engine_get_layer(engine, 0, &layer, NULL), BCAM_OK);
        cr_assert(layer.constant_gradient);
        float *input = fix_input(engine, PHOTOS, seed);
        int32_t classes[2 * PHOTOS] = {0, 1, 0, 1, BCAM_CLASS_RANK(0), BCAM_CLASS_RANK(1)};
        fix_compute(engine, &(bcam_batch){.count = PHOTOS, .input = input, .classes = classes});
        const float *logits = bcam_engine_logits(engine);
        for (int n = 0; n < PHOTOS; n++) {
            bcam_map a = fix_map(engine, 0, 0, n, 0), b = fix_map(engine, 0, 0, n, 1);
            float z = logits[2 * n + 1];
            cr_assert_eq(logits[2 * n], -z);
            cr_assert(n < 2 ? a.class_id == 0 : a.class_id == (z > 0), "photo %d: class %d of %g", n, a.class_id,
                      (double)z);
            cr_assert(a.class_id + b.class_id == 1 && a.logit == -b.logit && a.raw_min == -b.raw_max);
            cr_assert(fabs((double)a.probability - 1 / (1 + exp(-(double)a.logit))) < 1e-6);
            cr_assert(fabs((double)a.probability + (double)b.probability - 1) < 1e-6);
            for (int i = 0; i < a.height * a.width; i++)
                cr_assert_eq(((const float *)a.data)[i], -((const float *)b.data)[i]);
        }
        free(input);
        bcam_engine_close(&engine);
    }
    fix_remove(root);
}

/* ---- what is refused ---- */

static void refused(const char *model, bcam_engine_options options, const char *why)
{
    bcam_engine *engine = NULL;
    bcam_error err = {0};
    cr_assert_eq(bcam_engine_open(model, &options, &engine, &err), BCAM_E_ARGUMENT, "%s", err.message);
    cr_assert_null(engine);
    cr_assert(strstr(err.message, why), "'%s' is not in: %s", why, err.message);
}

Test(score, what_cannot_be_explained_is_refused)
{
    const char *root = fix_folder(), *unit = fix_text("%s/model.onnx", root);
    fix_model(unit, 1, false);
    refused(unit, (bcam_engine_options){.activation = BCAM_ACTIVATION_SOFTMAX},
            "is one number per photo, whose probability is its sigmoid; choose activation sigmoid or none");
    refused(unit, (bcam_engine_options){.score = BCAM_SCORE_PROBABILITY, .activation = BCAM_ACTIVATION_NONE},
            "with activation none there is no probability to explain");
    refused(unit, (bcam_engine_options){.score = (bcam_score)2}, "there is no score 2; choose logit or probability");
    refused(unit, (bcam_engine_options){.output = "hed"},
            "has no output 'hed'; did you mean 'head'? Its outputs are 'head'");
    fix_remove(root);
}

/* ---- inspect ---- */

Test(score, inspect_shows_all_outputs)
{
    static const char model[] = BCAM_TEST_DATA "/golden_score/two_heads/model.onnx";
    bcam_inspection *in = NULL;
    bcam_error err;
    for (int k = 0; k < 2; k++) {
        cr_assert_eq(bcam_inspect_output(model, k ? "colour" : NULL, &in, &err), BCAM_OK, "%s", err.message);
        const bcam_model_info *m = bcam_inspection_model(in);
        const bcam_output_info *a = bcam_inspection_output(in, 0), *b = bcam_inspection_output(in, 1);
        cr_assert(m->output_count == 2 && !bcam_inspection_output(in, 2) && !bcam_inspection_output(in, -1));
        cr_assert(strcmp(a->name, "species") == 0 && strcmp(a->shape, "(N,5)") == 0 && a->explained == !k);
        cr_assert(strcmp(b->name, "colour") == 0 && strcmp(b->shape, "(N,3)") == 0 && b->explained == (k == 1));
        cr_assert_str_eq(m->output, k ? "colour" : "species");
        cr_assert_eq(strcmp(m->logits, m->output) == 0, !k); /* colour's stand before its softmax */
        cr_assert(m->class_count == (k ? 3 : 5) && !m->one_unit);
        cr_assert_eq(m->activation, k ? BCAM_ACTIVATION_SOFTMAX : BCAM_ACTIVATION_NONE);
        bcam_inspection_close(&in);
    }
    cr_assert_eq(bcam_inspect_output(model, "size", &in, &err), BCAM_E_ARGUMENT);
    cr_assert(!in && strstr(err.message, "its outputs are 'species', 'colour'"), "%s", err.message);
    cr_assert_eq(bcam_inspect(BCAM_TEST_DATA "/golden_score/binary_sigmoid/model.onnx", &in, &err), BCAM_OK);
    cr_assert(bcam_inspection_model(in)->one_unit && bcam_inspection_model(in)->class_count == 2);
    bcam_inspection_close(&in);
}

/* ---- whole runs ---- */

Test(score, a_run_of_one_unit)
{
    fix_job *job = fix_open(1, false);
    for (int i = 0; i < 4; i++)
        fix_jpeg(fix_in(job, "photos/%s/%d.jpg", i % 2 ? "healthy" : "ill", i), (uint64_t)i, 40, 30);
    job->options.names = job->names;
    fix_write_text(job->names, "ill\n");
    fix_refused(job, BCAM_E_INPUT, "has 1 name, the model has 2 classes; its one output unit makes two: the first name",
                (char *)NULL);
    fix_write_text(job->names, "healthy\nill\n");
    job->targets[0] = "top2";
    job->options.target_count = 1;
    job->options.engine.score = BCAM_SCORE_PROBABILITY;
    fix_run(job);
    fix_expect_rows(job->out, "SELECT id, name FROM classes ORDER BY id", "0|healthy\n1|ill\n");
    fix_expect_rows(job->out, "SELECT path, label FROM images ORDER BY id",
                    "healthy/1.jpg|0\nhealthy/3.jpg|0\nill/0.jpg|1\nill/2.jpg|1\n");
    fix_expect_rows(
        job->out,
        "SELECT count(*), min(abs(a.logit + b.logit) < 1e-6), min(abs(a.probability + b.probability - 1) < 1e-6), "
        "min(a.class + b.class), max(a.class + b.class) FROM predictions a JOIN predictions b USING (image_id) "
        "WHERE a.rank = 0 AND b.rank = 1",
        "4|1|1|1|1\n");
    fix_expect_field(job->out, "score", "probability");
    fix_expect_field(job->out, "model.output", "head");
    fix_expect_field(job->out, "model.one_unit", "true");
    fix_expect_field(job->out, "model.activation", "sigmoid");
    char *page = fix_read(fix_in(job, "out/report.html"), NULL);
    cr_assert(strstr(page, "Score") && strstr(page, "probability"));
    free(page);
    fix_close(job);
}

/* A probability's map is another one than the logit's, of the same prediction. */
Test(score, a_run_with_either_score)
{
    static const char same[] = "SELECT image_id, class, logit, probability FROM maps ORDER BY id",
                      map[] = "SELECT raw_max FROM maps ORDER BY id";
    fix_job *job = fix_open(3, true);
    for (int i = 0; i < 3; i++)
        fix_jpeg(fix_in(job, "photos/%d.jpg", i), (uint64_t)i, 40, 30);
    fix_run(job);
    fix_expect_field(job->out, "score", "logit");
    char *rows = strdup(fix_rows(job->out, same)), *ranges = strdup(fix_rows(job->out, map));
    job->options.engine.score = BCAM_SCORE_PROBABILITY;
    job->options.overwrite = true;
    fix_run(job);
    cr_assert_str_eq(fix_rows(job->out, same), rows);
    cr_assert_str_neq(fix_rows(job->out, map), ranges);
    free(rows);
    free(ranges);
    job->options.out_dir = fix_in(job, "other");
    job->options.engine.output = "logits";
    cr_assert_eq(fix_try(job), BCAM_E_ARGUMENT);
    cr_assert(strstr(job->err.message, "has no output 'logits'") && !fix_exists(job->options.out_dir), "%s",
              job->err.message);
    fix_close(job);
}
