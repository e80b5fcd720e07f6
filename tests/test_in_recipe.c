/* Preprocessing recipes: presets and files, the values of bytes, what is found beside a model. */
#include "in_fixture.h"

static bcam_status read_text(const char *dir, const char *text, int size, bcam_recipe *out, bcam_error *err)
{
    memset(out, 77, sizeof(*out));
    return bcam_recipe_read(write_text(dir, "recipe.json", text), NULL, size, size, out, err);
}

Test(in_recipe, values_as_their_frameworks)
{
    static const char *const presets[] = {"torchvision", "keras-tf", "keras-caffe", "unit", "raw"};
    char *bytes;
    size_t size;
    bcam_error err;
    bcam_recipe recipe;
    float lut[3 * 256];
    cr_assert_eq(bcam_file_read(GOLDEN "lut.bin", 1 << 20, &bytes, &size, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(size, sizeof(lut) * BCAM_COUNT(presets));
    for (size_t p = 0; p < BCAM_COUNT(presets); p++) {
        cr_assert_eq(bcam_recipe_read(presets[p], NULL, 224, 224, &recipe, &err), BCAM_OK, "%s", err.message);
        cr_expect_str_eq(recipe.name, presets[p]);
        memset(lut, 255, sizeof(lut));
        bcam_recipe_lut(&recipe, lut);
        cr_expect(memcmp(lut, bytes + p * sizeof(lut), sizeof(lut)) == 0, "%s", presets[p]);
        for (int c = 0; c < 3; c++)
            cr_expect_eq(bcam_recipe_channel(&recipe, c), p == 2 ? 2 - c : c);
    }
    bcam_free(bytes);
    cr_assert_eq(bcam_recipe_read("torchvision", NULL, 224, 224, &recipe, &err), BCAM_OK);
    cr_expect(recipe.resize == BCAM_RESIZE_SHORTER && recipe.resize_to == 256 && recipe.crop &&
              recipe.filter == BCAM_FILTER_BILINEAR);
}

/** NumPy takes a factor in double and rounds once; a factor of 1/127.5 then equals the division. */
Test(in_recipe, other_factors_are_rounded_once)
{
    bcam_recipe recipe = {.rescale = 1 / 127.5, .offset = -1, .std = {1, 1, 1}};
    float lut[3 * 256];
    bcam_recipe_lut(&recipe, lut);
    for (int b = 0; b < 256; b++) {
        volatile float scaled = (float)b / 127.5f;
        cr_expect_eq(lut[b], scaled - 1.0f, "%d", b);
    }
}

Test(in_recipe, own_files)
{
    const char *dir = temp_dir();
    bcam_recipe r;
    bcam_error err;
    cr_assert_eq(read_text(dir, "{}", 32, &r, &err), BCAM_OK, "%s", err.message);
    cr_expect(r.resize == BCAM_RESIZE_SHORTER && r.resize_to == 36 && r.crop && r.divide_255 && r.mean[0] == 0 &&
              r.std[2] == 1 && !r.bgr);
    cr_assert_eq(
        read_text(dir,
                  "{\"size\":[32,32],\"resize\":\"squash\",\"resize_to\":[40,36],\"interpolation\":\"lanczos\","
                  "\"crop\":\"center\","
                  "\"rescale\":\"1/"
                  "127.5\",\"offset\":-1,\"mean\":[1,2,3],\"std\":0.5,\"channel_order\":\"bgr\",\"comment\":\"mine\"}",
                  32, &r, &err),
        BCAM_OK, "%s", err.message);
    cr_expect(r.resize == BCAM_RESIZE_SQUASH && r.resize_h == 40 && r.resize_w == 36 &&
              r.filter == BCAM_FILTER_LANCZOS && r.crop && r.bgr);
    cr_expect(r.rescale == 1 / 127.5 && r.offset == -1 && r.mean[1] == 2 && r.std[0] == 0.5 && !r.divide_255);
    cr_assert_eq(read_text(dir, "{\"resize\":\"none\",\"rescale\":\"1/255\",\"mean\":null}", 32, &r, &err), BCAM_OK,
                 "%s", err.message);
    cr_expect(r.resize == BCAM_RESIZE_NONE && !r.crop && r.divide_255);
    cr_assert_eq(read_text(dir, "{\"resize\":\"squash\",\"rescale\":0.00392156862745098}", 32, &r, &err), BCAM_OK, "%s",
                 err.message);
    cr_expect(r.resize_h == 32 && r.resize_w == 32 && r.divide_255);
    remove_dir(dir);
}

Test(in_recipe, what_is_wrong_is_named)
{
    static const struct {
        const char *text, *word;
    } cases[] = {{"{\"men\":[0,0,0]}", "'mean'"},
                 {"{\"Mean\":[0,0,0]}", "'Mean'"},
                 {"{\"size\":[64,64]}", "64 x 64"},
                 {"{\"size\":[32]}", "'size'"},
                 {"{\"mean\":[0,0,\"x\"]}", "'mean'"},
                 {"{\"mean\":[1e999,0,0]}", "mean"},
                 {"{\"std\":[1,0,1]}", "std"},
                 {"{\"std\":1e-60}", "std"},
                 {"{\"rescale\":\"1/0\"}", "1/0"},
                 {"{\"rescale\":\"\"}", "rescale"},
                 {"{\"rescale\":true}", "rescale"},
                 {"{\"interpolation\":\"cubic\"}", "'bicubic'"},
                 {"{\"resize\":\"shorter\",\"crop\":\"none\"}", "crop"},
                 {"{\"resize\":\"squash\",\"resize_to\":40}", "40 x 40"},
                 {"{\"resize\":\"none\",\"resize_to\":40}", "resize_to"},
                 {"{\"resize_to\":0}", "resize_to"},
                 {"{\"resize_to\":1.5}", "resize_to"},
                 {"[]", "object"},
                 {"", "JSON"},
                 {"{\n\n\"mean\": }", "line 3"},
                 {"{} {}", "JSON"},
                 {"{\"mean\":[0,0,0],}", "JSON"},
                 {"{\"image_processor_type\":\"DetrImageProcessor\"}", "DetrImageProcessor"},
                 {"{\"image_processor_type\":\"ViTImageProcessorr\"}", "ViTImageProcessorr"},
                 {"{\"do_resize\":true}", "image_processor_type"},
                 {"{\"image_processor_type\":\"ViTImageProcessor\"}", "224 x 224"},
                 {"{\"image_processor_type\":\"ViTImageProcessor\",\"size\":32,\"do_crop\":true}", "'do_crop'"},
                 {"{\"image_processor_type\":\"ViTImageProcessor\",\"size\":{\"longest_edge\":32}}", "'longest_edge'"},
                 {"{\"image_processor_type\":\"ViTImageProcessor\",\"size\":{\"height\":32}}", "width"},
                 {"{\"image_processor_type\":\"ViTImageProcessor\",\"size\":{\"shortest_edge\":32}}", "crop"},
                 {"{\"image_processor_type\":\"ViTImageProcessor\",\"size\":32,\"resample\":6}", "resample"},
                 {"{\"image_processor_type\":\"ViTImageProcessor\",\"size\":32,\"do_pad\":true}", "do_pad"},
                 {"{\"pretrained_cfg\":{\"input_size\":[3,32,32],\"crop\":1}}", "'crop'"},
                 {"{\"pretrained_cfg\":{\"input_size\":[1,32,32]}}", "input_size"},
                 {"{\"pretrained_cfg\":{\"input_size\":[3,32,32],\"crop_mode\":\"border\"}}", "border"},
                 {"{\"pretrained_cfg\":{\"input_size\":[3,64,64]}}", "64 x 64"}};
    const char *dir = temp_dir();
    bcam_recipe r;
    bcam_error err;
    for (size_t i = 0; i < BCAM_COUNT(cases); i++) {
        cr_expect_eq(read_text(dir, cases[i].text, 32, &r, &err), BCAM_E_INPUT, "%s", cases[i].text);
        cr_expect_not_null(strstr(err.message, cases[i].word), "%s: %s", cases[i].text, err.message);
        cr_expect_not_null(strstr(err.message, "recipe.json"), "%s", err.message);
    }
    remove_dir(dir);
    cr_expect_eq(bcam_recipe_read("torchvison", NULL, 32, 32, &r, &err), BCAM_E_INPUT);
    cr_expect_not_null(strstr(err.message, "'torchvision'"), "%s", err.message);
    cr_expect_neq(bcam_recipe_read("./nowhere.json", NULL, 32, 32, &r, &err), BCAM_OK);
    cr_expect_not_null(strstr(err.message, "nowhere.json"), "%s", err.message);
    cr_expect_eq(bcam_alloc_live(), 0);
}

Test(in_recipe, timm)
{
    const char *dir = temp_dir();
    bcam_recipe r;
    bcam_error err;
    cr_assert_eq(
        read_text(
            dir,
            "{\"architecture\":\"x\",\"num_classes\":10,\"pretrained_cfg\":{\"input_size\":[3,224,224],\"test_input_"
            "size\":[3,288,288],"
            "\"crop_pct\":0.95,\"mean\":[0.5,0.4,0.3],\"std\":[0.1,0.2,0.3],\"pool_size\":[7,7],\"first_conv\":null}}",
            224, &r, &err),
        BCAM_OK, "%s", err.message);
    cr_expect(r.resize == BCAM_RESIZE_SHORTER && r.resize_to == 235 && r.crop && r.filter == BCAM_FILTER_BICUBIC &&
              r.divide_255);
    cr_expect(r.mean[2] == 0.3 && r.std[1] == 0.2);
    cr_assert_eq(
        read_text(
            dir,
            "{\"input_size\":[3,288,288],\"crop_pct\":1.0,\"crop_mode\":\"squash\",\"interpolation\":\"bilinear\"}",
            288, &r, &err),
        BCAM_OK, "%s", err.message);
    cr_expect(r.resize == BCAM_RESIZE_SQUASH && r.resize_h == 288 && r.resize_w == 288 && r.crop && r.mean[0] == 0.485);
    remove_dir(dir);
}

Test(in_recipe, hugging_face)
{
    const char *dir = temp_dir();
    bcam_recipe r;
    bcam_error err;
    cr_assert_eq(
        read_text(
            dir,
            "{\"do_normalize\":true,\"do_rescale\":true,\"do_resize\":true,\"image_mean\":[0.5,0.5,0.5],\"image_std\":["
            "0.5,0.5,0.5],"
            "\"image_processor_type\":\"ViTImageProcessorFast\",\"resample\":2,\"rescale_factor\":0.00392156862745098,"
            "\"size\":{\"height\":32,\"width\":32},\"do_convert_rgb\":null}",
            32, &r, &err),
        BCAM_OK, "%s", err.message);
    cr_expect(r.resize == BCAM_RESIZE_SQUASH && r.resize_h == 32 && !r.crop && r.filter == BCAM_FILTER_BILINEAR &&
              r.divide_255 && r.mean[0] == 0.5);
    /* ConvNeXT: below 384 size / crop_pct and a crop; from 384 on squashed; bare numbers are the shortest edge */
    cr_assert_eq(
        read_text(
            dir,
            "{\"feature_extractor_type\":\"ConvNextFeatureExtractor\",\"size\":224,\"crop_pct\":0.875,\"resample\":3}",
            224, &r, &err),
        BCAM_OK, "%s", err.message);
    cr_expect(r.resize == BCAM_RESIZE_SHORTER && r.resize_to == 256 && r.crop && r.filter == BCAM_FILTER_BICUBIC);
    cr_assert_eq(read_text(dir,
                           "{\"image_processor_type\":\"ConvNextImageProcessor\",\"size\":{\"shortest_edge\":384}}",
                           384, &r, &err),
                 BCAM_OK, "%s", err.message);
    cr_expect(r.resize == BCAM_RESIZE_SQUASH && r.resize_h == 384 && r.resize_w == 384 && !r.crop);
    cr_assert_eq(read_text(dir, "{\"image_processor_type\":\"MobileViTImageProcessor\"}", 256, &r, &err), BCAM_OK, "%s",
                 err.message);
    cr_expect(r.resize_to == 224 && r.crop && r.bgr && r.mean[0] == 0 && r.std[0] == 1 && r.divide_255);
    cr_assert_eq(
        read_text(dir,
                  "{\"image_processor_type\":\"EfficientNetImageProcessor\",\"size\":{\"height\":32,\"width\":32},"
                  "\"rescale_offset\":true,"
                  "\"rescale_factor\":0.00784313725490196,\"do_normalize\":false,\"include_top\":false,\"resample\":0}",
                  32, &r, &err),
        BCAM_OK, "%s", err.message);
    cr_expect(r.offset == -1 && r.rescale == 0.00784313725490196 && r.mean[0] == 0 && r.std[0] == 1 &&
              r.filter == BCAM_FILTER_NEAREST);
    cr_assert_eq(
        read_text(dir, "{\"image_processor_type\":\"LevitImageProcessor\",\"do_rescale\":false}", 224, &r, &err),
        BCAM_OK, "%s", err.message);
    cr_expect(r.resize_to == 256 && r.crop && r.rescale == 1 && !r.divide_255);
    cr_assert_eq(
        read_text(dir, "{\"image_processor_type\":\"PoolFormerImageProcessor\",\"crop_pct\":0.95}", 224, &r, &err),
        BCAM_OK, "%s", err.message);
    cr_expect(r.resize_to == 235 && r.crop);
    cr_assert_eq(read_text(dir, "{\"image_processor_type\":\"MobileNetV2ImageProcessor\",\"processor_class\":null}",
                           224, &r, &err),
                 BCAM_OK, "%s", err.message);
    cr_expect(r.resize == BCAM_RESIZE_SHORTER && r.resize_to == 256 && r.crop && r.filter == BCAM_FILTER_BILINEAR);
    remove_dir(dir);
}

Test(in_recipe, files_beside_a_model)
{
    const char *dir = temp_dir();
    bcam_recipe r;
    bcam_error err;
    char model[600];
    snprintf(model, sizeof(model), "%s/model.onnx", dir);
    cr_assert_eq(bcam_recipe_read(NULL, model, 32, 32, &r, &err), BCAM_OK, "%s", err.message);
    cr_expect_str_eq(r.name, "torchvision");
    write_text(dir, "config.json", "{\"model_type\":\"resnet\",\"id2label\":{\"0\":\"a\"}}"); /* not timm's */
    cr_assert_eq(bcam_recipe_read(NULL, model, 32, 32, &r, &err), BCAM_OK, "%s", err.message);
    cr_expect_str_eq(r.name, "torchvision");
    write_text(dir, "config.json", "{\"pretrained_cfg\":{\"input_size\":[3,32,32]}}");
    cr_assert_eq(bcam_recipe_read(NULL, model, 32, 32, &r, &err), BCAM_OK, "%s", err.message);
    cr_expect(r.filter == BCAM_FILTER_BICUBIC && strstr(r.name, "config.json"));
    write_text(dir, "preprocessor_config.json", "{\"image_processor_type\":\"ViTImageProcessor\",\"size\":32}");
    cr_assert_eq(bcam_recipe_read(NULL, model, 32, 32, &r, &err), BCAM_OK, "%s", err.message);
    cr_expect(r.resize == BCAM_RESIZE_SQUASH && strstr(r.name, "preprocessor_config.json"));
    write_text(dir, "preprocess.json", "{\"mean\":[9,9,9]}");
    cr_assert_eq(bcam_recipe_read(NULL, model, 32, 32, &r, &err), BCAM_OK, "%s", err.message);
    cr_expect(r.mean[0] == 9);
    cr_assert_eq(bcam_recipe_read("raw", model, 32, 32, &r, &err), BCAM_OK, "%s", err.message);
    cr_expect_str_eq(r.name, "raw"); /* what is asked for goes first */
    remove_dir(dir);
    cr_expect_eq(bcam_alloc_live(), 0);
}

Test(in_recipe, deep_nesting_and_memory_shortage)
{
    const char *dir = temp_dir();
    static char deep[400001];
    bcam_recipe r;
    bcam_error err;
    memset(deep, '[', 200000);
    memset(deep + 200000, ']', 200000);
    cr_expect_eq(read_text(dir, deep, 32, &r, &err), BCAM_E_INPUT);
    for (int i = 0; i < 200000; i += 5)
        memcpy(deep + i, "{\"a\":", 5);
    cr_expect_eq(read_text(dir, deep, 32, &r, &err), BCAM_E_INPUT);
    const char *path = write_text(dir, "preprocess.json", "{\"mean\":[9,9,9]}");
    for (int64_t nth = 1; nth < 10; nth++) {
        bcam_alloc_fail_at(nth, true);
        bcam_recipe_read(NULL, path, 32, 32, &r, &err);
        bcam_alloc_fail_at(0, false);
        cr_expect_eq(bcam_alloc_live(), 0);
    }
    remove_dir(dir);
}

static void expect_size(const char *spec, int height, int width, int as_height, int as_width)
{
    bcam_error err = {0};
    cr_assert_eq(bcam_recipe_size(spec, NULL, &height, &width, &err), BCAM_OK, "%s", err.message);
    cr_expect(height == as_height && width == as_width, "%s: %d x %d", spec, height, width);
}

Test(in_recipe, a_size_that_the_network_leaves_open)
{
    const char *dir = temp_dir();
    bcam_error err = {0};
    int height = 96, width = 0;
    expect_size("torchvision", 0, 0, 0, 0);
    expect_size(write_text(dir, "a.json", "{\"mean\":0.5}"), 0, 0, 0, 0);
    expect_size(write_text(dir, "b.json", "{\"size\":[48,64]}"), 0, 0, 48, 64);
    expect_size(write_text(dir, "b.json", "{\"size\":[48,64]}"), 48, 0, 48, 64);
    expect_size(write_text(dir, "c.json", "{\"resize\":\"squash\",\"resize_to\":[40,56]}"), 0, 0, 40, 56);
    expect_size(write_text(dir, "d.json", "{\"pretrained_cfg\":{\"input_size\":[3,32,32]}}"), 0, 0, 32, 32);
    expect_size(write_text(dir, "e.json", "{\"image_processor_type\":\"ViTImageProcessor\",\"size\":80}"), 0, 0, 80,
                80);
    cr_expect_eq(bcam_recipe_size(write_text(dir, "b.json", "{\"size\":[48,64]}"), NULL, &height, &width, &err),
                 BCAM_E_INPUT);
    cr_expect(strstr(err.message, "48 x 64") && strstr(err.message, "96 x 64"), "%s", err.message);
    height = width = 0;
    cr_expect_eq(bcam_recipe_size(write_text(dir, "f.json", "{\"size\":[0,1e300]}"), NULL, &height, &width, &err),
                 BCAM_E_INPUT);
    remove_dir(dir);
    cr_expect_eq(bcam_alloc_live(), 0);
}

Test(in_recipe, one_channel)
{
    const char *dir = temp_dir();
    bcam_recipe r;
    bcam_error err = {0};
    cr_assert_eq(bcam_recipe_read_grey(NULL, NULL, 28, 28, &r, &err), BCAM_OK, "%s", err.message);
    cr_expect(r.grey && strcmp(r.name, "unit") == 0);
    cr_assert_eq(
        bcam_recipe_read_grey(write_text(dir, "a.json", "{\"mean\":0.13,\"std\":0.31}"), NULL, 28, 28, &r, &err),
        BCAM_OK, "%s", err.message);
    cr_expect(r.grey && r.mean[0] == 0.13 && r.std[0] == 0.31);
    cr_expect_eq(bcam_recipe_read_grey("torchvision", NULL, 28, 28, &r, &err), BCAM_E_INPUT);
    cr_expect(strstr(err.message, "torchvision") && strstr(err.message, "unit"), "%s", err.message);
    cr_assert_eq(bcam_recipe_read(NULL, NULL, 28, 28, &r, &err), BCAM_OK, "%s", err.message);
    cr_expect_not(r.grey);
    remove_dir(dir);
}
