/* test_run_job.c - the whole job: which rows a run has, with which outcomes and labels; that its maps are an engine's; that nothing depends on
 * batches and threads; how it stops, and what it refuses. */
#include "in/in.h"
#include "run_fixture.h"

static void add_photos(const fix_job *job, int count)
{
    for (int i = 0; i < count; i++)
        fix_jpeg(fix_in(job, "photos/%02d.jpg", i), (uint64_t)i, 40 + i, 30);
}

/* ---- rows ---- */

Test(run_job, a_folder_becomes_rows)
{
    fix_job *job = fix_open(3, true);
    fix_jpeg(fix_in(job, "photos/loose.jpg"), 1, 40, 30);
    fix_jpeg(fix_in(job, "photos/b/2.jpg"), 2, 31, 47);
    fix_jpeg(fix_in(job, "photos/b/10.JPEG"), 3, 40, 30);
    fix_png(fix_in(job, "photos/a/z.png"), 4, 20, 20);
    fix_jpeg(fix_in(job, "photos/a/sub/1.jpg"), 5, 40, 30);
    fix_jpeg(fix_in(job, "photos/a/.hidden.jpg"), 6, 40, 30);
    fix_write_text(fix_in(job, "photos/a/readme.md"), "not a photo");
    fix_truncated(fix_in(job, "photos/c/cut.jpg"), 7);
    fix_write_text(fix_in(job, "photos/c/empty.jpg"), "");
    fix_write_text(fix_in(job, "photos/c/gif.png"), "GIF89a\1\0\1\0");
    fix_write_text(fix_in(job, "photos/c/text.bmp"), "hello");
    fix_png(fix_in(job, "photos/c/huge.png"), 8, 300, 200);
    cr_assert_eq(symlink("nowhere", fix_in(job, "photos/c/lost.jpg")), 0);
    cr_assert_eq(symlink("..", fix_in(job, "photos/c/loop")), 0);
    job->options.max_pixels = 50000;
    fix_run(job);
    fix_expect_rows(
        job->out, "SELECT id, path, outcome FROM images ORDER BY id",
        "1|loose.jpg|ok\n2|a/z.png|ok\n3|a/sub/1.jpg|ok\n4|b/10.JPEG|ok\n5|b/2.jpg|ok\n6|c/cut.jpg|unreadable\n"
        "7|c/empty.jpg|unreadable\n8|c/gif.png|unsupported\n9|c/huge.png|too_large\n10|c/lost.jpg|missing\n11|c/text.bmp|unsupported\n");
    fix_expect_rows(job->out, "SELECT count(*) FROM images WHERE (outcome = 'ok') <> (message = '')", "0\n");
    fix_expect_rows(job->out, "SELECT count(*) FROM images WHERE outcome <> 'ok' AND length(message) < 8", "0\n");
    fix_expect_rows(
        job->out,
        "SELECT width, height, orientation, crop_x, crop_y, crop_w, crop_h FROM images WHERE id IN (5, 9, 10)",
        "31|47|1|0.0|0.0|31.0|47.0\nNULL|NULL|NULL|NULL|NULL|NULL|NULL\nNULL|NULL|NULL|NULL|NULL|NULL|NULL\n");
    fix_expect_rows(job->out, "SELECT message LIKE '%300 x 200%' FROM images WHERE id = 9", "1\n");
    fix_expect_rows(job->out, "SELECT group_concat(image_id, ' ') FROM maps", "1 2 3 4 5\n");
    fix_expect_rows(job->out, "SELECT image_id, count(*), min(rank), max(rank) FROM predictions GROUP BY image_id",
                    "1|3|0|2\n2|3|0|2\n3|3|0|2\n4|3|0|2\n5|3|0|2\n");
    const bcam_run_summary *s = &job->summary;
    cr_assert(s->images == 11 && s->ok == 5 && s->missing == 1 && s->unreadable == 2 && s->unsupported == 2 &&
              s->too_large == 1 && s->no_label == 0);
    cr_assert(s->maps == 5 && s->left_out == 3, "%lld were left out", (long long)s->left_out);
    cr_assert(s->seconds > 0 && strcmp(s->default_layer, "relu2") == 0 && strstr(s->device, "cpu"), "%s on %s",
              s->default_layer, s->device);
    fix_close(job);
}

Test(run_job, a_list_becomes_rows)
{
    fix_job *job = fix_open(3, true);
    add_photos(job, 3);
    fix_write_text(fix_in(job, "photos/list.csv"),
                   "path,label\n02.jpg,1\ngone.jpg,2\n00.jpg,0\n02.jpg,\n\"sub/a, b.jpg\",1\n");
    fix_write_text(fix_in(job, "photos/caffe.txt"), "01.jpg 2\nother gone.jpg 1\n");
    job->images[0] = fix_in(job, "photos/list.csv");
    job->images[1] = fix_in(job, "photos/caffe.txt");
    job->images[2] = fix_in(job, "photos/01.jpg"); /* a file is named as it was given */
    job->options.image_count = 3;
    fix_run(job);
    fix_expect_rows(
        job->out, "SELECT path, outcome, label FROM images WHERE id < 8 ORDER BY id",
        "02.jpg|ok|1\ngone.jpg|missing|2\n00.jpg|ok|0\n02.jpg|ok|NULL\nsub/a, b.jpg|missing|1\n01.jpg|ok|2\nother gone.jpg|missing|1\n");
    cr_assert_str_eq(fix_rows(job->out, "SELECT path FROM images WHERE id = 8"), fix_text("%s\n", job->images[2]));
    cr_assert(job->summary.images == 8 && job->summary.ok == 5 && job->summary.missing == 3);
    fix_close(job);
}

/* Sixteen photos at once, and no places for photos that are not there. */
Test(run_job, batch_where_none_is_asked_for)
{
    for (int i = 0; i < 2; i++) {
        fix_job *job = fix_open(3, true);
        add_photos(job, i ? 20 : 3);
        job->options.engine.batch = 0;
        fix_run(job);
        fix_expect_field(job->out, "batch", i ? "16" : "3");
        cr_expect_eq(job->summary.ok, i ? 20 : 3);
        fix_close(job);
    }
}

/* A JPEG that says how it is to be turned. */
static void add_turned(const char *path, uint8_t orientation)
{
    const uint8_t exif[] = {0xff, 0xe1, 0,    34, 'E', 'x', 'i', 'f', 0, 0, 'I',         'I', 42, 0, 8, 0, 0, 0,
                            1,    0,    0x12, 1,  3,   0,   1,   0,   0, 0, orientation, 0,   0,  0, 0, 0, 0, 0};
    size_t bytes;
    fix_jpeg(path, 5, 44, 28);
    char *data = fix_read(path, &bytes), *turned = malloc(bytes + sizeof exif);
    memcpy(turned, data, 2);
    memcpy(turned + 2, exif, sizeof exif);
    memcpy(turned + 2 + sizeof exif, data + 2, bytes - 2);
    fix_write(path, turned, bytes + sizeof exif);
    free(turned);
    free(data);
}

Test(run_job, exif_orientation_on_request)
{
    static const char columns[] = "SELECT width, height, orientation, crop_w, crop_h FROM images ORDER BY id";
    fix_job *job = fix_open(3, true);
    add_turned(fix_in(job, "photos/a.jpg"), 1);
    add_turned(fix_in(job, "photos/b.jpg"), 6);
    fix_run(job);
    fix_expect_rows(job->out, columns, "44|28|1|44.0|28.0\n44|28|6|44.0|28.0\n");
    fix_expect_rows(job->out, "SELECT count(DISTINCT logit) FROM maps", "1\n");
    fix_expect_field(job->out, "counts.rotated", "1");
    fix_expect_field(job->out, "preprocess.exif", "false");
    job->options.exif = job->options.overwrite = true;
    fix_run(job);
    fix_expect_rows(job->out, columns, "44|28|1|44.0|28.0\n28|44|6|28.0|44.0\n");
    fix_expect_rows(job->out, "SELECT count(DISTINCT logit) FROM maps", "2\n");
    fix_expect_field(job->out, "preprocess.exif", "true");
    fix_close(job);
}

/* Fast: JPEGs that are much larger than the network's input are another input then, and no others. */
Test(run_job, fast_decode_on_request)
{
    static const char columns[] = "SELECT path, width, height, crop_x, crop_y, crop_w, crop_h FROM images ORDER BY id",
                      logits[] = "SELECT logit FROM maps ORDER BY image_id";
    bcam_error err;
    fix_job *job = fix_open(3, true);
    fix_jpeg(fix_in(job, "photos/0_large.jpg"), 5, 203, 157);
    fix_jpeg(fix_in(job, "photos/1_small.jpg"), 6, 19, 23);
    fix_png(fix_in(job, "photos/2_large.png"), 7, 203, 157);
    job->options.overwrite = true;
    fix_run(job);
    fix_expect_field(job->out, "preprocess.decode", "exact");
    char *where = strdup(fix_rows(job->out, columns)), *exact = strdup(fix_rows(job->out, logits));
    job->options.decode = BCAM_DECODE_FAST;
    fix_run(job);
    fix_expect_field(job->out, "preprocess.decode", "fast");
    cr_expect_str_eq(fix_rows(job->out, columns), where);
    const char *fast = fix_rows(job->out, logits);
    cr_expect_str_eq(strchr(fast, '\n'), strchr(exact, '\n'), "the small one and the PNG stay as they are");
    cr_expect(strncmp(fast, exact, (size_t)(strchr(exact, '\n') - exact)) != 0, "the large one is decoded smaller");
    job->options.decode = (bcam_decode)2;
    cr_expect_eq(bcam_run(&job->options, NULL, NULL, NULL, &err), BCAM_E_ARGUMENT);
    cr_expect_not_null(strstr(err.message, "decode is 2"), "%s", err.message);
    free(where);
    free(exact);
    fix_close(job);
}

Test(run_job, any_bytes_in_names)
{
    fix_job *job = fix_open(3, true);
    fix_jpeg(fix_in(job, "photos/\xff\xfe.jpg"), 1, 20, 20);
    fix_jpeg(fix_in(job, "photos/a'b\"<i>&%%.jpg"), 2, 20, 20);
    fix_jpeg(fix_in(job, "photos/line\nbreak.jpg"), 3, 20, 20);
    fix_write_text(fix_in(job, "photos/\x01\xf0.png"), "broken");
    job->options.overlay = true;
    fix_run(job);
    fix_expect_rows(
        job->out, "SELECT hex(path), typeof(path), outcome FROM images ORDER BY id",
        "01F02E706E67|blob|unsupported\n612762223C693E26252E6A7067|text|ok\n6C696E650A627265616B2E6A7067|text|ok\nFFFE2E6A7067|blob|ok\n");
    char *page = fix_read(fix_in(job, "out/report.html"), NULL);
    cr_assert(!strstr(page, "<i>") && strstr(page, "&lt;i&gt;"));
    free(page);
    fix_close(job);
}

/* ---- broken ones ---- */

/* Twelve photos; bit i of `broken`: photo i is of a kind that cannot be read. */
static void add_some_broken(const fix_job *job, unsigned broken)
{
    for (int i = 0; i < 12; i++) {
        const char *path = fix_in(job, "photos/%02d.jpg", i);
        if (!(broken >> i & 1))
            fix_jpeg(path, (uint64_t)i, 40, 30);
        else if (i % 2)
            fix_truncated(path, (uint64_t)i);
        else
            fix_write_text(path, "no photo");
    }
}

static const unsigned broken_cases[] = {0x001, 0x800, 0x020, 0x00f, 0xf0f, 0x555, 0xffe, 0xfff};

Test(run_job, broken_photos_disturb_nobody)
{
    static char expected[12][200];
    fix_job *job = fix_open(3, true);
    job->options.engine.batch = 4;
    add_some_broken(job, 0);
    fix_run(job);
    for (int i = 0; i < 12; i++)
        snprintf(expected[i], sizeof expected[i], "%s",
                 fix_rows(job->out,
                          fix_text("SELECT class, logit, probability, raw_min, raw_max FROM maps WHERE image_id = %d",
                                   i + 1)));
    golden_array whole = golden_read(fix_in(job, "out/maps"), "relu2-gradcam-00000.npy");
    cr_assert_eq(whole.dim[0], 12u);
    job->options.overwrite = true;
    for (size_t c = 0; c < BCAM_COUNT(broken_cases); c++) {
        int good = 0;
        add_some_broken(job, broken_cases[c]);
        fix_run(job);
        for (int i = 0; i < 12; i++) {
            bool broken = broken_cases[c] >> i & 1;
            cr_assert_str_eq(fix_rows(job->out, fix_text("SELECT path, outcome FROM images WHERE id = %d", i + 1)),
                             fix_text("%02d.jpg|%s\n", i,
                                      !broken ? "ok"
                                      : i % 2 ? "unreadable"
                                              : "unsupported"));
            cr_assert_str_eq(
                fix_rows(job->out,
                         fix_text("SELECT class, logit, probability, raw_min, raw_max FROM maps WHERE image_id = %d",
                                  i + 1)),
                broken ? "" : expected[i]);
            if (broken)
                continue;
            golden_array now = golden_read(fix_in(job, "out/maps"), "relu2-gradcam-00000.npy");
            size_t area = now.count / now.dim[0];
            cr_assert_eq(memcmp(now.data + (size_t)good * area, whole.data + (size_t)i * area, area * sizeof *now.data),
                         0);
            free(now.data);
            good++;
        }
        cr_assert(job->summary.ok == good && job->summary.maps == good && job->summary.images == 12);
    }
    free(whole.data);
    fix_close(job);
}

/* ---- labels ---- */

/* A run over one photo in each of the folders; their labels, "name:label " each. */
static const char *labels_of(fix_job *job, const char *folders, const char *names)
{
    char copy[256];
    fix_remove(job->photos);
    snprintf(copy, sizeof copy, "%s", folders);
    for (char *name = strtok(copy, " "); name; name = strtok(NULL, " "))
        fix_jpeg(fix_in(job, "photos/%s/1.jpg", name), 1, 20, 20);
    job->options.names = NULL;
    if (names) {
        job->options.names = job->names;
        fix_write_text(job->names, names);
    }
    job->options.overwrite = true;
    fix_run(job);
    return fix_rows(
        job->out,
        "SELECT group_concat(substr(path, 1, instr(path, '/') - 1) || ':' || ifnull(label, '-'), ' ') FROM (SELECT * FROM images ORDER BY id)");
}

Test(run_job, labels_of_folders)
{
    static const char names[] =
        "n01440764 tench, Tinca tinca\nn01443537 goldfish\nn01484850 great white shark, white shark\n";
    fix_job *job = fix_open(3, true);
    cr_assert_str_eq(labels_of(job, "goldfish tench", names), "goldfish:1 tench:0\n");
    cr_assert_str_eq(fix_lines, "");
    cr_assert_str_eq(labels_of(job, "n01443537 n01484850", names), "n01443537:1 n01484850:2\n");
    cr_assert_str_eq(labels_of(job, "0 2", NULL), "0:0 2:2\n");
    cr_assert_str_eq(fix_lines, "");
    cr_assert_str_eq(labels_of(job, "cat ant bee", NULL), "ant:0 bee:1 cat:2\n"); /* as many as classes: by place */
    cr_assert(strstr(fix_lines, "in the order of their names"), "%s", fix_lines);
    cr_assert_str_eq(labels_of(job, "cat ant bee", names), "ant:0 bee:1 cat:2\n");
    cr_assert_str_eq(labels_of(job, "cat ant", NULL), "ant:- cat:-\n");
    cr_assert(strstr(fix_lines, "none") && strstr(fix_lines, "'ant'"), "%s", fix_lines);
    cr_assert(isnan(job->summary.labelled_accuracy));
    cr_assert_str_eq(labels_of(job, "goldfish ant tench", names),
                     "ant:- goldfish:1 tench:0\n"); /* some match: never by place */
    cr_assert(strstr(fix_lines, "1 of 3") && strstr(fix_lines, "'ant'"), "%s", fix_lines);
    fix_close(job);
}

Test(run_job, a_limit_does_not_change_labels)
{
    fix_job *job = fix_open(3, true);
    job->options.limit = 2;
    cr_assert_str_eq(labels_of(job, "cat ant bee", NULL), "ant:0 bee:1\n");
    fix_close(job);
}

Test(run_job, labels_of_a_list)
{
    fix_job *job = fix_open(3, true);
    add_photos(job, 6);
    fix_write_text(job->names, "n01440764 tench\nn01443537 goldfish\nn01484850 shark\n");
    fix_write_text(fix_in(job, "photos/l.csv"),
                   "file,label\n00.jpg,goldfish\n01.jpg,n01484850\n02.jpg,0\n03.jpg,\n04.jpg,whale\n05.jpg,Tench\n");
    job->images[0] = fix_in(job, "photos/l.csv");
    job->options.names = job->names;
    fix_run(job);
    fix_expect_rows(job->out, "SELECT label FROM images ORDER BY id", "1\n2\n0\nNULL\nNULL\n0\n");
    fix_expect_rows(job->out, "SELECT group_concat(name, ',') FROM classes", "tench,goldfish,shark\n");
    cr_assert(strstr(fix_lines, "'whale'"), "%s", fix_lines); /* one line says why it has no label */
    double right = atof(fix_rows(
        job->out,
        "SELECT avg(p.class = i.label) FROM images i JOIN predictions p ON p.image_id = i.id AND rank = 0 WHERE label IS NOT NULL"));
    cr_assert_float_eq(job->summary.labelled_accuracy, right, 1e-9);
    fix_close(job);
}

Test(run_job, labels_that_look_wrong)
{
    fix_job *job = fix_open(8, true);
    for (int i = 0; i < 21; i++)
        fix_jpeg(fix_in(job, "photos/0/%02d.jpg", i), (uint64_t)i, 20, 20);
    fix_run(job);
    int top = atoi(
        fix_rows(job->out, "SELECT class FROM predictions WHERE rank = 7 - 3 AND image_id = 1")); /* seldom the first */
    cr_assert_eq(rename(fix_in(job, "photos/0"), fix_in(job, "photos/%d", top)), 0);
    job->options.overwrite = true;
    fix_run(job);
    double right = atof(fix_rows(
        job->out, "SELECT avg(p.class = i.label) FROM images i JOIN predictions p ON p.image_id = i.id AND rank = 0"));
    cr_assert_float_eq(job->summary.labelled_accuracy, right, 1e-9);
    cr_assert_eq(strstr(fix_lines, "look wrong") != NULL, right < 3.0 / 8, "%g: %s", right, fix_lines);
    cr_assert_lt(right, 3.0 / 8);
    fix_close(job);
}

/* ---- an engine's maps ---- */

/* The pixels that the demonstration's network sees of a photo: the photo itself. */
static void load_photo(const char *path, uint8_t *out)
{
    bcam_photo photo = {0};
    bcam_photo_limits limits = {.max_pixels = 1 << 20};
    cr_assert_eq(bcam_photo_load(&photo, path, &limits), BCAM_OUTCOME_OK, "%s", photo.message);
    cr_assert(photo.width == 128 && photo.height == 128);
    memcpy(out, photo.rgb, 128 * 128 * 3);
    bcam_photo_fini(&photo);
}

static void expect_row(const char *dir, int id, const char *layer, const char *method, const bcam_map *map)
{
    const char *text =
        fix_rows(dir, fix_text("SELECT file, row, outcome, logit, probability, raw_min, raw_max FROM maps "
                               "WHERE image_id = %d AND layer = '%s' AND method = '%s' AND class = %d",
                               id, layer, method, map->class_id));
    char file[200], outcome[20];
    size_t row;
    double numbers[4];
    cr_assert_eq(sscanf(text, "%199[^|]|%zu|%19[^|]|%lf|%lf|%lf|%lf", file, &row, outcome, &numbers[0], &numbers[1],
                        &numbers[2], &numbers[3]),
                 7, "%s", text);
    cr_assert_str_eq(outcome, map->outcome == BCAM_MAP_OK ? "ok" : "all_zero");
    const float expected[4] = {map->logit, map->probability, map->raw_min, map->raw_max};
    for (int i = 0; i < 4; i++)
        cr_assert_float_eq((float)numbers[i], expected[i], 1e-6 * fabs((double)expected[i]));
    golden_array maps = golden_read(dir, file);
    size_t area = (size_t)map->height * (size_t)map->width;
    cr_assert(maps.rank == 3 && maps.dim[1] == (size_t)map->height && maps.dim[2] == (size_t)map->width &&
              row < maps.dim[0]);
    for (size_t i = 0; i < area; i++)
        cr_assert_eq((float)maps.data[row * area + i], ((const float *)map->data)[i]);
    free(maps.data);
}

Test(run_job, maps_are_an_engines_maps)
{
    static const char *const photos[] = {"balloon/balloon-03.jpg", "car/car-11.jpg", "yacht/yacht-07.jpg"};
    static const char *const layers[] = {"stage2", "stage3"}, *const methods[] = {"gradcam", "hirescam"};
    fix_job *job = fix_open(3, true);
    bcam_engine_options *o = &job->options.engine;
    *o = (bcam_engine_options){.threads = 2,
                               .batch = 2,
                               .layers = layers,
                               .layer_count = 2,
                               .methods = methods,
                               .method_count = 2,
                               .map_size = BCAM_SIZE_NATIVE};
    for (int i = 0; i < 3; i++)
        fix_copy(fix_text("%s/photos/%s", FIX_DATA, photos[i]), fix_in(job, "photos/%s", photos[i]));
    job->options.model = FIX_DATA "/model.onnx";
    job->targets[0] = "top2";
    job->options.target_count = 1;
    fix_run(job);
    cr_assert(job->summary.maps == 3 * 2 * 2 * 2 && job->summary.labelled_accuracy == 1);
    fix_expect_rows(job->out, "SELECT path, label FROM images ORDER BY id",
                    "balloon/balloon-03.jpg|0\ncar/car-11.jpg|2\nyacht/yacht-07.jpg|5\n");
    o->classes = 2;
    o->batch = 4;
    bcam_engine *engine = fix_engine(job->options.model, *o);
    uint8_t *pixels = malloc(3 * 128 * 128 * 3);
    for (int i = 0; i < 3; i++)
        load_photo(fix_text("%s/photos/%s", FIX_DATA, photos[i]), pixels + i * 128 * 128 * 3);
    fix_compute(engine, &(bcam_batch){.count = 3, .pixels = pixels});
    for (int i = 0; i < 3 * 2 * 2 * 2; i++) {
        bcam_map map = fix_map(engine, i / 2 % 2, i / 4 % 2, i / 8, i % 2);
        expect_row(job->out, i / 8 + 1, layers[i / 2 % 2], methods[i / 4 % 2], &map);
        cr_assert_str_eq(fix_rows(job->out, fix_text("SELECT class FROM predictions WHERE image_id = %d AND rank = %d",
                                                     i / 8 + 1, i % 2)),
                         fix_text("%d\n", map.class_id));
    }
    free(pixels);
    bcam_engine_close(&engine);
    fix_close(job);
}

Test(run_job, the_same_whatever_the_batch_and_threads)
{
    static const int ways[][2] = {{4, 2}, {4, 2}, {1, 1}, {1, 4}, {16, 1}, {16, 4}, {3, 3}};
    static const char *const layers[] = {"stage2", "stage3"};
    char first[300];
    fix_job *job = fix_open(3, true);
    bcam_engine_options *o = &job->options.engine;
    for (int i = 0; i < 10; i++)
        fix_copy(fix_text(FIX_DATA "/photos/boat/boat-%02d.jpg", i), fix_in(job, "photos/boat/%d.jpg", i));
    fix_truncated(fix_in(job, "photos/boat/4.jpg"), 1);
    job->options.model = FIX_DATA "/model.onnx";
    o->layers = layers;
    o->layer_count = 2;
    for (size_t i = 0; i < BCAM_COUNT(ways); i++) {
        snprintf(job->out, sizeof job->out, "%s/out%zu", job->root, i);
        o->batch = ways[i][0];
        o->threads = ways[i][1];
        fix_run(job);
        cr_assert_eq(job->summary.ok, 9);
        if (i == 0)
            snprintf(first, sizeof first, "%s", job->out);
        else
            fix_expect_same_runs(first, job->out);
    }
    fix_close(job);
}

/* ---- what else is written ---- */

Test(run_job, overlays)
{
    fix_job *job = fix_open(3, true);
    bcam_photo photo = {0};
    add_photos(job, 3);
    fix_write_text(fix_in(job, "photos/01.jpg"), "broken");
    job->options.overlay = true;
    job->targets[0] = "1";
    job->options.target_count = 1;
    fix_run(job);
    for (int i = 0; i < 3; i++) {
        const char *path = fix_in(job, "out/overlays/%06d-%02d-relu2-gradcam-1.jpg", i + 1, i);
        cr_assert_eq(fix_exists(path), i != 1, "%s", path);
        if (i == 1)
            continue;
        cr_assert_eq(bcam_photo_load(&photo, path, &(bcam_photo_limits){.max_pixels = 1 << 20}), BCAM_OUTCOME_OK);
        cr_assert(photo.width == FIX_W && photo.height == FIX_H);
    }
    bcam_photo_fini(&photo);
    fix_close(job);
}

Test(run_job, run_json)
{
    static const char *const fields[][2] = {
        {"program", "batchcam"},
        {"format", "1"},
        {"version", BCAM_VERSION_STRING},
        {"status", "complete"},
        {"message", ""},
        {"model.height", "12"},
        {"model.width", "10"},
        {"model.classes", "3"},
        {"model.activation", "softmax"},
        {"layers.0.name", "relu1"},
        {"layers.1.name", "relu2"},
        {"layers.1.tensor", "relu2"},
        {"layers.1.channels", "8"},
        {"layers.0.height", "12"},
        {"layers.1.width", "5"},
        {"layers.1.constant_gradient", "false"},
        {"layers.2.name", ""},
        {"methods.0", "gradcam"},
        {"methods.1", "hirescam"},
        {"preprocess.resize", "squash"},
        {"preprocess.mean.2", "0.5"},
        {"preprocess.std.0", "0.25"},
        {"preprocess.channel_order", "rgb"},
        {"targets.0", "top1"},
        {"targets.1", "2"},
        {"classes_per_photo", "2"},
        {"maps.size", "native"},
        {"maps.dtype", "float16"},
        {"maps.signed", "true"},
        {"precision", "fp32"},
        {"batch", "4"},
        {"threads", "2"},
        {"counts.images", "3"},
        {"counts.ok", "2"},
        {"counts.unsupported", "1"},
        {"counts.missing", "0"},
        {"counts.left_out_type", "1"},
        {"counts.left_out_hidden", "0"},
    };
    char sha256[65];
    fix_job *job = fix_open(3, true);
    add_photos(job, 3);
    fix_write_text(fix_in(job, "photos/01.jpg"), "broken");
    fix_write_text(fix_in(job, "photos/notes"), "");
    job->layers[0] = "relu1";
    job->layers[1] = "relu2";
    job->methods[0] = "gradcam";
    job->methods[1] = "hirescam";
    job->targets[0] = "top1";
    job->targets[1] = "2";
    job->options.target_count = job->options.engine.layer_count = job->options.engine.method_count = 2;
    job->options.engine.map_size = BCAM_SIZE_NATIVE;
    job->options.engine.map_dtype = BCAM_F16;
    job->options.engine.signed_maps = true;
    fix_run(job);
    cJSON *json = fix_json(job->out);
    for (size_t i = 0; i < BCAM_COUNT(fields); i++)
        cr_assert_str_eq(fix_field(json, fields[i][0]), fields[i][1], "%s is %s", fields[i][0],
                         fix_field(json, fields[i][0]));
    cr_assert_eq(bcam_sha256_file(job->model, sha256, NULL), BCAM_OK);
    cr_assert_str_eq(fix_field(json, "model.sha256"), sha256);
    cr_assert_str_eq(fix_field(json, "counts.maps"), fix_text("%lld", (long long)job->summary.maps));
    cr_assert_str_eq(fix_field(json, "device"), job->summary.device);
    cr_assert_str_eq(fix_field(json, "images.0"), job->photos);
    cr_assert(cJSON_IsArray(cJSON_GetObjectItem(json, "layers")) &&
              cJSON_GetArraySize(cJSON_GetObjectItem(json, "steps")) > 8);
    cJSON_Delete(json);
    fix_expect_rows(job->out, "SELECT count(*) FROM maps GROUP BY layer, method",
                    fix_text("%lld\n%lld\n%lld\n%lld\n", (long long)job->summary.maps / 4,
                             (long long)job->summary.maps / 4, (long long)job->summary.maps / 4,
                             (long long)job->summary.maps / 4));
    fix_close(job);
}

Test(run_job, types_and_sizes_of_maps)
{
    static const struct {
        bcam_dtype dtype;
        bcam_map_size size;
        const char *text;
        size_t bytes;
    } kinds[] = {{BCAM_F32, BCAM_SIZE_INPUT, "'<f4'", 12 * 10 * 4},
                 {BCAM_F16, BCAM_SIZE_INPUT, "'<f2'", 12 * 10 * 2},
                 {BCAM_U8, BCAM_SIZE_NATIVE, "'|u1'", 6 * 5}};
    fix_job *job = fix_open(3, true);
    add_photos(job, 5);
    job->options.overwrite = true;
    for (size_t i = 0; i < BCAM_COUNT(kinds); i++) {
        size_t bytes;
        job->options.engine.map_dtype = kinds[i].dtype;
        job->options.engine.map_size = kinds[i].size;
        fix_run(job);
        char *data = fix_read(fix_in(job, "out/maps/relu2-gradcam-00000.npy"), &bytes);
        cr_assert(memcmp(data, "\x93NUMPY\1\0", 8) == 0 && memmem(data, bytes, kinds[i].text, 5), "%s", kinds[i].text);
        size_t header = 10 + (unsigned char)data[8] + 256u * (unsigned char)data[9];
        cr_assert_eq(bytes, header + 5 * kinds[i].bytes);
        free(data);
    }
    fix_close(job);
}

/* ---- limit, stop ---- */

Test(run_job, limit)
{
    fix_job *job = fix_open(3, true);
    add_photos(job, 10);
    job->options.limit = 6;
    fix_run(job);
    cr_assert_eq(job->summary.images, 6);
    fix_expect_rows(job->out, "SELECT count(*), max(path) FROM images", "6|05.jpg\n");
    job->options.limit = 100;
    job->options.overwrite = true;
    fix_run(job);
    cr_assert_eq(job->summary.images, 10);
    fix_close(job);
}

typedef struct watch {
    int calls, stop_at;
    bcam_progress last;
} watch;

static bool on_progress(void *data, const bcam_progress *p)
{
    watch *w = data;
    cr_assert(p->done >= w->last.done && p->ok + p->failed == p->done && p->seconds >= w->last.seconds &&
              (p->total == 10 || p->total == -1));
    w->last = *p;
    return ++w->calls != w->stop_at;
}

Test(run_job, progress)
{
    fix_job *job = fix_open(3, true);
    watch w = {0};
    add_photos(job, 10);
    fix_write_text(fix_in(job, "photos/03.jpg"), "broken");
    cr_assert_eq(bcam_run(&job->options, on_progress, &w, NULL, NULL), BCAM_OK);
    cr_assert(w.calls >= 2 && w.last.done == 10 && w.last.ok == 9 && w.last.failed == 1 && w.last.total == 10);
    fix_close(job);
}

Test(run_job, stopped_runs_are_valid)
{
    fix_job *job = fix_open(3, true);
    add_photos(job, 10);
    for (int stop_at = 1; stop_at <= 3; stop_at++) {
        watch w = {.stop_at = stop_at};
        bcam_status status = bcam_run(&job->options, on_progress, &w, &job->summary, &job->err);
        cr_assert_eq(status, BCAM_E_STOPPED, "%s", job->err.message);
        cr_assert(job->err.code == BCAM_E_STOPPED && strstr(job->err.message, "stopped"));
        cr_assert(job->summary.images == w.last.done && job->summary.images < 10 && job->summary.images % 4 == 0);
        fix_expect_field(job->out, "status", "stopped");
        fix_expect_field(job->out, "counts.images", fix_text("%lld", (long long)w.last.done));
        cr_assert_str_eq(fix_rows(job->out, "SELECT count(*) FROM images"), fix_text("%lld\n", (long long)w.last.done));
        cr_assert_str_eq(fix_rows(job->out, "SELECT count(*) FROM maps"), fix_text("%lld\n", (long long)w.last.done));
        cr_assert(fix_exists(fix_in(job, "out/report.html")));
        if (w.last.done) {
            golden_array maps = golden_read(fix_in(job, "out/maps"), "relu2-gradcam-00000.npy");
            cr_assert_eq(maps.dim[0], (size_t)w.last.done);
            free(maps.data);
        }
        job->options.overwrite = true;
    }
    fix_run(job);
    fix_expect_field(job->out, "status", "complete");
    fix_close(job);
}

/* ---- the output folder ---- */

Test(run_job, output_folders)
{
    fix_job *job = fix_open(3, true);
    add_photos(job, 2);
    fix_run(job);
    cr_assert_eq(fix_try(job), BCAM_E_OUTPUT);
    cr_assert(strstr(job->err.message, job->out) && strstr(job->err.message, "overwrite"), "%s", job->err.message);
    fix_expect_rows(job->out, "SELECT count(*) FROM images", "2\n"); /* untouched */
    fix_write_text(fix_in(job, "out/mine.txt"), "keep");
    add_photos(job, 3);
    job->options.overwrite = true;
    fix_run(job);
    fix_expect_rows(job->out, "SELECT count(*) FROM images", "3\n");
    cr_assert(fix_exists(fix_in(job, "out/mine.txt")));
    job->options.out_dir = job->photos; /* somebody else's */
    cr_assert_eq(fix_try(job), BCAM_E_OUTPUT);
    cr_assert(strstr(job->err.message, "not a run of batchcam"), "%s", job->err.message);
    job->options.out_dir = job->model; /* a file */
    cr_assert_eq(fix_try(job), BCAM_E_OUTPUT, "%s", job->err.message);
    job->options.out_dir = fix_in(job, "new/deeper/out");
    fix_run(job);
    cr_assert(fix_exists(fix_in(job, "new/deeper/out/index.sqlite")));
    fix_close(job);
}

/* ---- what is refused, before anything is written ---- */

Test(run_job, settings_that_will_not_do)
{
    fix_job *job = fix_open(3, true);
    add_photos(job, 1);
    const bcam_run_options good = job->options;
#define REFUSE(change, ...)                                                                                            \
    job->options = good;                                                                                               \
    change;                                                                                                            \
    fix_refused(job, __VA_ARGS__, NULL)
    REFUSE(job->options.model = NULL, BCAM_E_ARGUMENT, "model");
    REFUSE(job->options.image_count = 0, BCAM_E_ARGUMENT, "photos");
    REFUSE(job->options.images = NULL, BCAM_E_ARGUMENT, "photos");
    REFUSE(job->options.out_dir = "", BCAM_E_ARGUMENT, "output");
    REFUSE(job->options.out_dir = NULL, BCAM_E_ARGUMENT, "output");
    REFUSE(job->options.limit = -1, BCAM_E_ARGUMENT, "limit");
    REFUSE(job->options.image_count = 2, BCAM_E_ARGUMENT, "photos"); /* the second is NULL */
    REFUSE(job->options.target_count = 1, BCAM_E_ARGUMENT, "target");
    REFUSE(job->options.model = "/nowhere/m.onnx", BCAM_E_IO, "/nowhere/m.onnx");
    REFUSE(job->options.model = fix_in(job, "photos/00.jpg"), BCAM_E_MODEL, "00.jpg");
    REFUSE(job->options.engine.layer_count = 1;
           job->layers[0] = "relu3", BCAM_E_LAYER, "'relu3'", "'relu1'", "'relu2'");
    REFUSE(job->options.engine.device = "abacus", BCAM_E_DEVICE, "'abacus'");
    REFUSE(job->options.engine.batch = -3, BCAM_E_ARGUMENT, "-3");
    REFUSE(job->options.engine.method_count = 1;
           job->methods[0] = "scorecam", BCAM_E_ARGUMENT, "'scorecam'", "gradcam");
    REFUSE(job->options.engine.preprocess = "toorchvision", BCAM_E_INPUT, "'torchvision'");
    REFUSE(job->options.names = "/nowhere/names.txt", BCAM_E_IO, "/nowhere/names.txt");
    REFUSE(fix_write_text(fix_in(job, "n.txt"), "a\nb\n");
           job->options.names = fix_in(job, "n.txt"), BCAM_E_INPUT, "n.txt", "2 names", "3 classes");
    REFUSE(job->images[0] = "/nowhere/photos", BCAM_E_INPUT, "/nowhere/photos");
    REFUSE(cr_assert_eq(mkdir(fix_in(job, "none"), 0777), 0);
           job->images[0] = fix_in(job, "none"), BCAM_E_INPUT, "no photos");
    job->images[0] = job->photos;
    REFUSE(job->options.model = fix_golden("captum_known");
           job->options.engine.preprocess = "torchvision", BCAM_E_INPUT, "grey", "unit");
    cr_assert_eq(bcam_run(NULL, NULL, NULL, NULL, NULL), BCAM_E_ARGUMENT);
    job->options = good;
    fix_run(job);
    fix_close(job);
}

Test(run_job, names_beside_the_model_are_used_where_they_fit)
{
    fix_job *job = fix_open(3, true);
    add_photos(job, 1);
    fix_write_text(fix_in(job, "model/names.txt"), "red\ngreen\nblue\n");
    fix_run(job);
    fix_expect_rows(job->out, "SELECT group_concat(name, ',') FROM classes", "red,green,blue\n");
    fix_write_text(fix_in(job, "model/names.txt"), "red\ngreen\n");
    job->options.overwrite = true;
    fix_run(job);
    fix_expect_rows(job->out, "SELECT group_concat(name, ',') FROM classes", "0,1,2\n");
    cr_assert(strstr(fix_lines, "2 names"), "%s", fix_lines);
    fix_close(job);
}
