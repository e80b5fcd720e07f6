/* test_run_known.c - known answers: Captum's layer test, Grad-CAM and HiResCAM behind global average pooling, which gradients are constant, and
 * a channels-last network beside its twin. */
#include "golden.h"
#include "net/onnx.h"

#define GOLDEN(name) BCAM_TEST_DATA "/golden/" name "/model.onnx"

static bcam_engine *open_signed(const char *model, const char *layer, const char *method)
{
    bcam_engine *engine = NULL;
    bcam_error err = {0};
    bcam_engine_options options = {.batch = 3,
                                   .layers = &layer,
                                   .layer_count = layer != NULL,
                                   .methods = &method,
                                   .method_count = 1,
                                   .map_size = BCAM_SIZE_NATIVE,
                                   .signed_maps = true};
    cr_assert_eq(bcam_engine_open(model, &options, &engine, &err), BCAM_OK, "%s: %s", model, err.message);
    return engine;
}

/* The golden's photos through an engine, class 0 of each; maps (count, h, w) as floats. */
static float *compute(bcam_engine *engine, const char *folder, size_t *count)
{
    golden_array input = golden_read(folder, "input.npy");
    float *numbers = malloc(input.count * sizeof *numbers), *maps = malloc(65536 * sizeof *maps);
    for (size_t i = 0; i < input.count; i++)
        numbers[i] = (float)input.data[i];
    const int32_t classes[3] = {0, 0, 0};
    bcam_error err = {0};
    bcam_batch batch = {.count = (int)input.dim[0], .input = numbers, .classes = classes};
    cr_assert_eq(bcam_engine_compute(engine, &batch, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(bcam_engine_read(engine, BCAM_TENSOR_RAW, 0, 0, maps, 65536, count, &err), BCAM_OK, "%s", err.message);
    free(numbers);
    free(input.data);
    return maps;
}

/* ---- Captum's layer test ---- */

static void expect_captum(const char *layer, const float expected[4])
{
    float input[16];
    const int32_t class_id = 0;
    bcam_engine *engine = open_signed(GOLDEN("captum_known"), layer, "gradcam");
    bcam_error err = {0};
    for (int i = 0; i < 16; i++)
        input[i] = (float)i;
    bcam_batch batch = {.count = 1, .input = input, .classes = &class_id};
    cr_assert_eq(bcam_engine_compute(engine, &batch, &err), BCAM_OK, "%s", err.message);
    bcam_map map;
    cr_assert_eq(bcam_engine_map(engine, 0, 0, 0, 0, &map, &err), BCAM_OK);
    cr_assert(map.height == 2 && map.width == 2 && map.dtype == BCAM_F32);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(((const float *)map.data)[i], expected[i], "%s: pixel %d is %g, not %g", layer, i,
                     (double)((const float *)map.data)[i], (double)expected[i]);
    cr_assert_eq(map.raw_min, expected[0]);
    cr_assert_eq(map.raw_max, expected[3]);
    bcam_engine_close(&engine);
}

Test(known, captum_layer_test)
{
    expect_captum("conv1", (const float[4]){11.25f, 13.5f, 20.25f, 22.5f});
    expect_captum("relu1", (const float[4]){0, 4, 28, 32.5f});
}

/* ---- a head of global average pooling and one linear layer ---- */

static float bias_of_class(const char *model, int class_id)
{
    bcam_graph *graph = NULL;
    bcam_error err = {0};
    float bias = NAN;
    cr_assert_eq(bcam_onnx_open(model, &graph, &err), BCAM_OK, "%s", err.message);
    const bcam_node *gemm = &graph->nodes[graph->node_count - 1];
    cr_assert_str_eq(gemm->op, "Gemm");
    for (int i = 0; i < graph->initializer_count; i++)
        if (strcmp(graph->initializers[i].name, gemm->inputs[2]) == 0)
            memcpy(&bias, graph->initializers[i].data + 4 * class_id, sizeof bias);
    bcam_onnx_close(&graph);
    return bias;
}

Test(known, gradcam_is_hirescam_behind_global_pooling)
{
    static const char *const cases[] = {"const_gap_gemm", "const_reducemean_gemm"};
    for (size_t c = 0; c < 2; c++) {
        char model[1024], folder[1024];
        snprintf(folder, sizeof folder, "%s/golden/%s", BCAM_TEST_DATA, cases[c]);
        snprintf(model, sizeof model, "%s/golden/%s/model.onnx", BCAM_TEST_DATA, cases[c]);
        size_t count, again;
        bcam_engine *grad = open_signed(model, NULL, "gradcam"), *hires = open_signed(model, NULL, "hirescam");
        float *a = compute(grad, folder, &count), *b = compute(hires, folder, &again);
        bcam_engine_info info;
        cr_assert_eq(bcam_engine_get_info(hires, &info, NULL), BCAM_OK);
        cr_assert_eq(count, again);
        double worst = 0, scale = 0, bias = (double)bias_of_class(model, 0);
        for (size_t i = 0; i < count; i++) {
            worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
            scale = fmax(scale, fabs((double)a[i]));
        }
        cr_assert_leq(worst, 1e-7 * scale, "%s: Grad-CAM and HiResCAM differ by %g of %g", cases[c], worst, scale);
        size_t photos = 3, area = count / photos;
        for (size_t n = 0; n < photos; n++) {
            double sum = bias, logit = (double)bcam_engine_logits(hires)[n * (size_t)info.class_count];
            for (size_t i = 0; i < area; i++)
                sum += (double)b[n * area + i];
            cr_assert_float_eq(sum, logit, 3e-6 * fmax(1, fabs(logit)), "%s: the map adds up to %g, the logit is %g",
                               cases[c], sum, logit);
        }
        free(a);
        free(b);
        bcam_engine_close(&grad);
        bcam_engine_close(&hires);
    }
}

/* ---- which gradients are constant ---- */

Test(known, constant_gradients)
{
    static const struct {
        const char *model;
        bool constant;
    } cases[] = {
        {"const_gap_gemm", true},      {"const_gap_conv1x1", true},     {"const_reducemean_gemm", true},
        {"const_relu_between", false}, {"const_layernorm_gemm", false}, {"const_flatten_gemm", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/golden/%s/model.onnx", BCAM_TEST_DATA, cases[i].model);
        bcam_engine *engine = open_signed(path, NULL, "gradcam");
        bcam_layer_info layer;
        cr_assert_eq(bcam_engine_get_layer(engine, 0, &layer, NULL), BCAM_OK);
        cr_expect_eq(layer.constant_gradient, cases[i].constant, "%s: layer %s", cases[i].model, layer.name);
        bcam_engine_close(&engine);
        bcam_inspection *inspection = NULL;
        cr_assert_eq(bcam_inspect(path, &inspection, NULL), BCAM_OK);
        const bcam_candidate_info *chosen =
            bcam_inspection_layer(inspection, bcam_inspection_model(inspection)->default_layer);
        cr_expect_eq(chosen->constant_gradient, cases[i].constant, "inspect of %s: layer %s", cases[i].model,
                     chosen->name);
        bcam_inspection_close(&inspection);
    }
}

/* ---- a Keras-style (N,H,W,C) network and its twin ---- */

Test(known, nhwc_twin)
{
    size_t count, again;
    bcam_engine *nhwc = open_signed(GOLDEN("nhwc_twin"), NULL, "gradcam"),
                *nchw = open_signed(GOLDEN("nhwc_twin_nchw"), NULL, "gradcam");
    float *a = compute(nhwc, BCAM_TEST_DATA "/golden/nhwc_twin", &count),
          *b = compute(nchw, BCAM_TEST_DATA "/golden/nhwc_twin_nchw", &again);
    bcam_engine_info info, twin;
    cr_assert(bcam_engine_get_info(nhwc, &info, NULL) == BCAM_OK && bcam_engine_get_info(nchw, &twin, NULL) == BCAM_OK);
    cr_assert(info.height == twin.height && info.width == twin.width && info.channels == twin.channels);
    cr_assert_eq(count, again);
    cr_assert_arr_eq(a, b, count * sizeof *a, "the maps of a channels-last network and its twin differ");
    cr_assert_arr_eq(bcam_engine_logits(nhwc), bcam_engine_logits(nchw), 3 * (size_t)info.class_count * sizeof(float));
    free(a);
    free(b);
    bcam_engine_close(&nhwc);
    bcam_engine_close(&nchw);
}
