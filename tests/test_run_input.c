/* test_run_input.c - networks that see grey photos, and networks that leave their size open: through the engine and the whole job. */
#include "run/run.h"
#include "run_fixture.h"

/* Pillow's convert("L"). */
static const struct {
    uint8_t rgb[3], grey;
} greys[] = {{{95, 130, 194}, 127}, {{217, 207, 235}, 213}, {{15, 163, 33}, 104},  {{215, 217, 130}, 206},
             {{248, 189, 16}, 187}, {{69, 184, 232}, 155},  {{205, 78, 169}, 126}, {{61, 125, 10}, 93},
             {{0, 0, 0}, 0},        {{255, 255, 255}, 255}};

Test(run_input, grey_pixels)
{
    static const char *const models[] = {fix_golden("types_grey"), fix_golden("types_grey_nhwc")};
    enum { AREA = 17 * 15 };
    for (int m = 0; m < 2; m++) {
        bcam_engine *engine = fix_engine(models[m], (bcam_engine_options){.batch = 2, .preprocess = "unit"});
        uint8_t pixels[2 * AREA * 3];
        float input[2 * AREA], expected[10];
        uint64_t seed = 3;
        for (int i = 0; i < 2 * AREA; i++) {
            size_t which = bcam_random(&seed) % BCAM_COUNT(greys);
            memcpy(pixels + 3 * i, greys[which].rgb, 3);
            input[i] = (float)greys[which].grey / 255.0f;
        }
        fix_compute(engine, &(bcam_batch){.count = 2, .input = input});
        memcpy(expected, bcam_engine_logits(engine), sizeof expected);
        fix_compute(engine, &(bcam_batch){.count = 2, .pixels = pixels});
        cr_expect(memcmp(bcam_engine_logits(engine), expected, sizeof expected) == 0, "%s", models[m]);
        bcam_engine_close(&engine);
    }
}

Test(run_input, grey_photos)
{
    fix_job *job = fix_open(3, false);
    job->options.model = fix_golden("types_grey");
    fix_jpeg(fix_in(job, "photos/a.jpg"), 1, 40, 30);
    fix_png(fix_in(job, "photos/b.png"), 2, 31, 47);
    fix_run(job);
    cr_expect_eq(job->summary.ok, 2);
    fix_expect_field(job->out, "preprocess.name", "unit");
    fix_expect_field(job->out, "preprocess.channel_order", "grey");
    fix_close(job);
}

/* The file beside the model says the size; without one it is 224. */
Test(run_input, a_size_that_is_left_open)
{
    fix_job *job = fix_open(3, false);
    bcam_inspection *inspection = NULL;
    bcam_error err = {0};
    fix_copy(fix_golden("types_free_size"), job->model);
    fix_jpeg(fix_in(job, "photos/a.jpg"), 1, 40, 30);
    fix_write_text(fix_in(job, "model/preprocess.json"), "{\"size\": [26, 22]}");
    fix_run(job);
    cr_expect_eq(job->summary.ok, 1);
    fix_expect_rows(job->out, "SELECT crop_w > crop_h FROM images", "0\n");
    for (int with = 1; with >= 0; with--) {
        cr_assert_eq(bcam_inspect(job->model, &inspection, &err), BCAM_OK, "%s", err.message);
        cr_expect_eq(bcam_inspection_model(inspection)->height, with ? 26 : 224);
        cr_expect_eq(bcam_inspection_model(inspection)->width, with ? 22 : 224);
        bcam_inspection_close(&inspection);
        bcam_engine *engine = fix_engine(job->model, (bcam_engine_options){.batch = 1});
        cr_expect_eq(fix_info(engine).height, with ? 26 : 224);
        bcam_engine_close(&engine);
        fix_remove(fix_in(job, "model/preprocess.json"));
    }
    fix_close(job);
}
