/* test_run_resize.c - photos that a device resizes: what it is given makes, by the plain C of the verb, the bytes that the processor makes while it
 * decodes; and a run is the same whoever resizes. Here the device is the CPU; tests/emu has the same on the plug-in.
 */
#include "cpu/cpu.h"
#include "in/in.h"
#include "run_fixture.h"
#include "seed.h"

/* ---- packed and resized against resized ---- */

static int random_int(uint64_t *state, int low, int high)
{
    return low + (int)(bcam_random(state) % (uint64_t)(high - low + 1));
}

static bcam_recipe random_recipe(uint64_t *state)
{
    bcam_recipe r = {.height = random_int(state, 1, 40), .width = random_int(state, 1, 40)};
    r.resize = (bcam_resize_mode)random_int(state, 0, 2);
    r.resize_to = random_int(state, 1, 60);
    r.crop = r.resize != BCAM_RESIZE_SQUASH || random_int(state, 0, 1);
    r.resize_h = r.crop ? random_int(state, 1, 60) : r.height;
    r.resize_w = r.crop ? random_int(state, 1, 60) : r.width;
    r.crop_floor = random_int(state, 0, 1);
    r.filter = (bcam_filter)random_int(state, 0, BCAM_FILTER_LANCZOS);
    r.grey = random_int(state, 0, 3) == 0;
    return r;
}

/* Sides that are alike, tall, wide, and as long as the recipe wants them. */
static void random_photo(uint64_t *state, const bcam_recipe *r, bcam_photo *photo)
{
    static const int most[] = {3, 30, 90, 300};
    photo->width = random_int(state, 1, most[random_int(state, 0, 3)]);
    photo->height = random_int(state, 1, most[random_int(state, 0, 3)]);
    if (random_int(state, 0, 7) == 0)
        photo->width = r->resize == BCAM_RESIZE_SQUASH ? r->resize_w : r->resize_to;
    if (random_int(state, 0, 7) == 0)
        photo->height = r->resize == BCAM_RESIZE_SQUASH ? r->resize_h : r->resize_to;
    int by = 1 << (random_int(state, 0, 2) ? 0 : random_int(state, 1, 3)); /* decoded smaller */
    photo->rgb_width = (photo->width + by - 1) / by;
    photo->rgb_height = (photo->height + by - 1) / by;
    photo->area = (bcam_box){0, 0, (double)photo->width / by, (double)photo->height / by};
    size_t bytes = (size_t)(photo->rgb_width * photo->rgb_height) * 3;
    photo->rgb = malloc(bytes);
    bool hard = random_int(state, 0, 1); /* edges that overshoot */
    for (size_t i = 0; i < bytes; i++)
        photo->rgb[i] = hard ? (uint8_t)(bcam_random(state) & 1 ? 255 : 0) : (uint8_t)bcam_random(state);
}

static int add_value(bcam_plan *plan, const char *name, bcam_role role, bcam_dtype dtype, int rank, const int64_t *dim)
{
    int id = bcam_plan_value(plan, name, role, dtype, rank, dim);
    cr_assert_geq(id, 0);
    return id;
}

/* The verb on one photo; `out` is (H,W,3). */
static void resize_packed(bcam_device *device, const bcam_recipe *r, const bcam_pack *pack, const uint8_t *pixels,
                          const int32_t *tables, uint8_t *out)
{
    const bcam_device_api *api = &bcam_cpu_device;
    int64_t bytes = (int64_t)pack->bytes, numbers = (int64_t)(pack->numbers[0] + pack->numbers[1]) + 1,
            frames[2] = {1, BCAM_FRAME_COUNT}, pixels_dim[4] = {1, 3, r->height, r->width};
    const int32_t frame[BCAM_FRAME_COUNT] = {0,
                                             pack->part.w,
                                             pack->window.x,
                                             pack->window.y,
                                             pack->window.w,
                                             pack->window.h,
                                             pack->taps[0],
                                             pack->taps[1],
                                             0,
                                             (int32_t)pack->numbers[0],
                                             pack->columns_first};
    bcam_plan plan;
    bcam_program *program = NULL;
    bcam_error err = {0};
    bcam_plan_init(&plan, 1, 1);
    int in[3] = {add_value(&plan, "photos", BCAM_ROLE_INPUT, BCAM_U8, 1, &bytes),
                 add_value(&plan, "tables", BCAM_ROLE_INPUT, BCAM_I32, 1, &numbers),
                 add_value(&plan, "frames", BCAM_ROLE_INPUT, BCAM_I32, 2, frames)};
    int made = add_value(&plan, "pixels", BCAM_ROLE_OUTPUT, BCAM_U8, 4, pixels_dim);
    bcam_step *step = bcam_plan_step(&plan, BCAM_VERB_RESIZE, BCAM_SEGMENT_RESIZE, "resize");
    memcpy(step->in, in, sizeof in);
    step->out[0] = made;
    cr_assert_eq(api->compile(device, &plan, &program, &err), BCAM_OK, "%s", err.message);
    memcpy(api->host(program, in[0], 0), pixels, pack->bytes);
    memcpy(api->host(program, in[1], 0), tables, (size_t)numbers * sizeof *tables);
    memcpy(api->host(program, in[2], 0), frame, sizeof frame);
    cr_assert_eq(api->run(program, BCAM_SEGMENTS_ALL, 0, &err), BCAM_OK, "%s", err.message);
    memcpy(out, api->host(program, made, 0), (size_t)(r->height * r->width) * 3);
    api->destroy(&program);
    bcam_plan_fini(&plan);
}

/* False: the recipe does not take the photo, and both ways say so. */
static bool compare(bcam_device *device, const bcam_recipe *r, bcam_photo *photo, const char *what)
{
    size_t bytes = (size_t)(r->height * r->width) * 3, whole = (size_t)(photo->rgb_width * photo->rgb_height) * 3;
    uint8_t *expected = malloc(bytes), *found = malloc(bytes), *copy = malloc(whole);
    bcam_pack pack = {0};
    bcam_box crop = {0}, box = {0};
    bcam_error err = {0};
    memcpy(copy, photo->rgb, whole); /* a grey recipe paints in it */
    memset(expected, 7, bytes);
    memset(found, 9, bytes);
    bcam_status status = bcam_prep_photo(r, photo, expected, &crop, &err);
    cr_assert_eq(bcam_prep_measure(r, photo, &pack, &err), status, "%s", what);
    if (status == BCAM_OK) {
        size_t numbers = pack.numbers[0] + pack.numbers[1];
        uint8_t *pixels = malloc(pack.bytes);
        int32_t *tables = malloc((numbers + 1) * sizeof *tables), *const table[2] = {tables, tables + pack.numbers[0]};
        tables[numbers] = 0;
        memcpy(photo->rgb, copy, whole);
        cr_assert_eq(bcam_prep_pack(r, photo, &pack, pixels, table, &box, &err), BCAM_OK, "%s", err.message);
        resize_packed(device, r, &pack, pixels, tables, found);
        cr_assert_eq(memcmp(expected, found, bytes), 0, "%s", what);
        cr_assert_eq(memcmp(&crop, &box, sizeof crop), 0, "%s", what);
        free(pixels);
        free(tables);
    }
    free(expected);
    free(found);
    free(copy);
    return status == BCAM_OK;
}

Test(run_resize, packed_photos_become_the_same_bytes, .timeout = 120)
{
    uint64_t state = test_seed();
    bcam_error err = {0};
    bcam_device *device = NULL;
    int taken = 0, bordered = 0;
    cr_assert_eq(
        bcam_cpu_device.open(&(bcam_device_options){.reference = true, .guard = true, .threads = 1}, &device, &err),
        BCAM_OK);
    for (int round = 0; round < 600; round++) {
        bcam_recipe r = random_recipe(&state);
        bcam_photo photo = {0};
        random_photo(&state, &r, &photo);
        const char *what =
            fix_text("round %d: %d x %d to %d x %d, mode %d to %d or %d x %d, filter %d, crop %d, grey %d", round,
                     photo.width, photo.height, r.width, r.height, (int)r.resize, r.resize_to, r.resize_w, r.resize_h,
                     (int)r.filter, r.crop, r.grey);
        bool ok = compare(device, &r, &photo, what);
        taken += ok;
        bordered += ok && r.resize == BCAM_RESIZE_NONE && photo.width < r.width;
        free(photo.rgb);
        photo.rgb = NULL;
        bcam_photo_fini(&photo);
    }
    bcam_cpu_device.close(&device);
    cr_assert_gt(taken, 300);
    cr_assert_gt(bordered, 5);
    cr_assert_eq(bcam_alloc_live(), 0);
}

/* ---- runs ---- */

static void compare_runs(fix_job *job)
{
    char cpu[300], device[300];
    snprintf(cpu, sizeof cpu, "%s/by_cpu", job->root);
    snprintf(device, sizeof device, "%s/by_device", job->root);
    fix_run_resized(job, BCAM_RESIZER_CPU, cpu);
    fix_run_resized(job, BCAM_RESIZER_DEVICE, device);
    fix_expect_same_runs(cpu, device);
    fix_expect_same_pictures(cpu, device);
    fix_remove(cpu);
    cJSON *json = fix_json(device);
    int by_cpu = atoi(fix_field(json, "counts.resized_cpu")),
        by_device = atoi(fix_field(json, "counts.resized_device"));
    cr_assert_eq(by_cpu + by_device, atoi(fix_field(json, "counts.ok")));
    cr_assert_gt(by_device, 0);
    cJSON_Delete(json);
}

Test(run_resize, a_run_is_the_same_whoever_resizes, .timeout = 120)
{
    fix_job *job = fix_open_any_photos(4);
    compare_runs(job);
    fix_expect_field(fix_text("%s/by_device", job->root), "counts.resized_cpu", "0");
    fix_close(job);
}

/* A batch of one has room for a photo of a megabyte. */
Test(run_resize, photos_without_room_are_resized_by_the_processor, .timeout = 120)
{
    fix_job *job = fix_open_any_photos(4);
    job->options.engine.batch = 1;
    compare_runs(job);
    fix_expect_field(fix_text("%s/by_device", job->root), "counts.resized_cpu", "1");
    fix_close(job);
}

/* Labels decide which photos are left; the others move up. */
Test(run_resize, what_is_left_out_leaves_no_hole, .timeout = 120)
{
    fix_job *job = fix_open_any_photos(4);
    const char *label = "label";
    fix_write_text(fix_in(job, "list.csv"),
                   "path,label\nphotos/a.jpg,1\nphotos/b.jpg,\nphotos/d.jpg,2\nphotos/c2.jpg,0\n"
                   "photos/e.jpg,\nphotos/p.png,3\n");
    job->images[0] = strcpy(malloc(400), fix_in(job, "list.csv"));
    job->options.targets = &label;
    job->options.target_count = 1;
    compare_runs(job);
    fix_expect_field(fix_text("%s/by_device", job->root), "counts.no_label", "2");
    free((char *)job->images[0]);
    fix_close(job);
}

/* Without being asked to, a device of one pair of buffers is not given photos to resize. */
Test(run_resize, the_processor_resizes_for_itself, .timeout = 60)
{
    fix_job *job = fix_open_any_photos(4);
    fix_run(job);
    fix_expect_field(job->out, "counts.resized_device", "0");
    fix_expect_field(job->out, "counts.resized_cpu", "18");
    job->options.resize = (bcam_resizer)3;
    job->options.overwrite = true;
    cr_assert_eq(fix_try(job), BCAM_E_ARGUMENT);
    cr_assert_str_eq(job->err.message, "there is no way 3 of resizing; choose auto, cpu or device");
    fix_close(job);
}
