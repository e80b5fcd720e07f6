/* A whole run: maps, index and run.json as they are on disk, while it goes on and afterwards. */
#include "out_fixture.h"

#define RUN_JSON "{\"status\":\"complete\",\"photos\":23}"

static void write_run(const bcam_out_settings *settings, fixture *f, int64_t photos)
{
    bcam_out *out = NULL;
    bcam_error err = {0};
    cr_assert_eq(bcam_out_open(settings, &out, &err), BCAM_OK, "%s", err.message);
    for (int64_t id = 1; id <= photos; id++)
        cr_assert_eq(bcam_out_write(out, fix_item(f, id), &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(bcam_out_finish(out, RUN_JSON, &err), BCAM_OK, "%s", err.message);
    bcam_out_close(&out);
    cr_assert_null(out);
}

static void check_dtype(bcam_dtype dtype)
{
    char *root = fix_folder();
    const char *dir = fix_run(root);
    fixture *f = fix_make(fix_seed(), dtype);
    int64_t before = bcam_alloc_live();
    bcam_out_settings settings = {.dir = dir, .rows_per_shard = 5, .items_per_commit = 4};
    write_run(&settings, f, 23);
    cr_assert_eq(bcam_alloc_live(), before);
    cr_assert_eq(fix_check(dir, f), 18 * 12);
    /* 18 photos with 2 classes each: 36 maps a series, 7 shards of 5 and one of 1. "a/b" and "a_b" are told apart. */
    const char *const stems[] = {"_layer4_layer4.2_conv3_Conv-gradcam", "a_b-gradcam", "a_b-hirescam", "a_b-gradcam_2",
                                 "a_b-hirescam_2"};
    for (size_t i = 0; i < BCAM_COUNT(stems); i++)
        for (int shard = 0; shard < 9; shard++) {
            char name[200];
            snprintf(name, sizeof name, "maps/%s-%05d.npy", stems[i], shard);
            cr_assert_eq(fix_exists(fix_in(dir, name)), shard < 8, "%s", name);
            if (shard == 8)
                continue;
            npy_file npy = npy_read(fix_in(dir, name));
            cr_assert_eq(npy.rows, shard < 7 ? 5 : 1);
            free(npy.bytes);
        }
    const char *const absent[] = {"index.sqlite-journal", "index.sqlite-wal", "index.sqlite.tmp",
                                  "run.json.tmp",         "report.html",      "overlays"};
    for (size_t i = 0; i < BCAM_COUNT(absent); i++)
        cr_assert_not(fix_exists(fix_in(dir, absent[i])), "%s", absent[i]);
    fix_remove(root);
    free(root);
    free(f);
}

Test(out_run, float32)
{
    check_dtype(BCAM_F32);
}

Test(out_run, float16)
{
    check_dtype(BCAM_F16);
}

Test(out_run, uint8)
{
    check_dtype(BCAM_U8);
}

Test(out_run, index_columns)
{
    static const char *const names[] = {"zero", "one \"quoted\"", "drei \xC3\xA4", "\xFFno utf-8"};
    char *root = fix_folder();
    const char *dir = fix_run(root);
    fixture *f = fix_make(fix_seed(), BCAM_F32);
    bcam_out_settings settings = {.dir = dir, .class_names = names, .class_count = 4};
    bcam_out *out = NULL;
    bcam_error err = {0};
    cr_assert_eq(bcam_out_open(&settings, &out, &err), BCAM_OK, "%s", err.message);
    bcam_out_item item = *fix_item(f, 1);
    item.path = "odd \xFF\xFE name.jpg";
    f->maps[0].logit = NAN;
    f->maps[0].raw_max = INFINITY;
    f->maps[0].outcome = BCAM_MAP_NOT_FINITE;
    f->maps[1].outcome = BCAM_MAP_NONE; /* no class in this place: no row */
    f->maps[2].outcome = BCAM_MAP_ALL_ZERO;
    f->maps[3].outcome = BCAM_MAP_CONSTANT;
    cr_assert_eq(bcam_out_write(out, &item, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(bcam_out_write(out, fix_item(f, 2), &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(bcam_out_write(out, fix_item(f, 3), &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(bcam_out_write(out, fix_item(f, 4), &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(bcam_out_finish(out, RUN_JSON, &err), BCAM_OK, "%s", err.message);
    bcam_out_close(&out);
    sqlite3 *db = fix_db(dir);
    static const char *const ones[] = {
        "SELECT typeof(path)='blob' AND path=x'6f646420fffe206e616d652e6a7067' FROM images WHERE id=1",
        "SELECT typeof(path)='text' AND path='folder/photo 2.jpg' AND outcome='ok' AND message='' FROM images WHERE "
        "id=2",
        "SELECT width=500 AND height=375 AND orientation=1 AND crop_x=62.5 AND crop_y=0 AND crop_w=375 AND crop_h=375 "
        "AND label=2 FROM images WHERE id=2",
        "SELECT width IS NULL AND height IS NULL AND crop_x IS NULL AND crop_h IS NULL AND label=3 AND "
        "outcome='unreadable' AND"
        " message='it ends too early' FROM images WHERE id=3",
        "SELECT label IS NULL FROM images WHERE id=4",
        "SELECT count(*)=4 AND min(id)=0 FROM classes",
        "SELECT name='one \"quoted\"' FROM classes WHERE id=1",
        "SELECT typeof(name)='blob' FROM classes WHERE id=3",
        "SELECT class=3 AND logit=2.5 AND probability=0.25 FROM predictions WHERE image_id=2 AND rank=1",
        "SELECT count(*)=11 FROM maps WHERE image_id=1",
        "SELECT logit IS NULL AND raw_max>1e300 AND raw_min=-1.5 AND outcome='not_finite' FROM maps WHERE id=1",
        "SELECT outcome='all_zero' FROM maps WHERE id=2",
        "SELECT outcome='constant' FROM maps WHERE id=3",
        "SELECT file='maps/_layer4_layer4.2_conv3_Conv-gradcam-00000.npy' AND row=0 FROM maps WHERE id=1",
        "SELECT user_version=1 FROM pragma_user_version",
        "SELECT application_id=0x6263616d FROM pragma_application_id",
        "SELECT journal_mode='delete' FROM pragma_journal_mode",
        "SELECT group_concat(name)='classes,images,maps,predictions' FROM (SELECT name FROM sqlite_master WHERE "
        "type='table' ORDER BY name)",
        "SELECT group_concat(name)='images_label,images_outcome,images_path,maps_class,maps_image,maps_outcome,maps_place,"
        "predictions_class' FROM (SELECT name FROM sqlite_master WHERE type='index' AND sql IS NOT NULL ORDER BY name)",
        "SELECT "
        "group_concat(name)='id,path,outcome,message,width,height,orientation,crop_x,crop_y,crop_w,crop_h,label' FROM "
        "pragma_table_info('images')",
        "SELECT group_concat(name)='image_id,rank,class,logit,probability' FROM pragma_table_info('predictions')",
        "SELECT group_concat(name)='id,name' FROM pragma_table_info('classes')",
        "SELECT group_concat(name)='id,image_id,layer,method,class,outcome,logit,probability,raw_min,raw_max,file,row' "
        "FROM pragma_table_info('maps')",
        "SELECT count(*)=0 FROM pragma_foreign_key_check",
        "SELECT integrity_check='ok' FROM pragma_integrity_check",
    };
    for (size_t i = 0; i < BCAM_COUNT(ones); i++)
        cr_expect_eq(fix_count(db, ones[i]), 1, "%s", ones[i]);
    sqlite3_close(db);
    fix_remove(root);
    free(root);
    free(f);
}

/* Committed rows can be read while the run goes on, and a reader that takes its time neither stops the run nor
 * loses a row. */
Test(out_run, readers_beside_the_writer)
{
    char *root = fix_folder();
    const char *dir = fix_run(root);
    fixture *f = fix_make(fix_seed(), BCAM_F16);
    bcam_out_settings settings = {.dir = dir, .rows_per_shard = 4, .items_per_commit = 1};
    bcam_out *out = NULL;
    bcam_error err = {0};
    cr_assert_eq(bcam_out_open(&settings, &out, &err), BCAM_OK, "%s", err.message);
    for (int64_t id = 1; id <= 4; id++) {
        cr_assert_eq(bcam_out_write(out, fix_item(f, id), &err), BCAM_OK, "%s", err.message);
        cr_assert_eq(fix_check(dir, f), (id - id / 3) * 12); /* photo 3 has no maps */
    }
    sqlite3 *reader = fix_db(dir);
    cr_assert_eq(sqlite3_exec(reader, "BEGIN; SELECT * FROM images;", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(bcam_out_write(out, fix_item(f, 5), &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(fix_count(reader, "SELECT count(*) FROM images"), 4);
    sqlite3_close(reader);
    cr_assert_eq(bcam_out_finish(out, RUN_JSON, &err), BCAM_OK, "%s", err.message);
    bcam_out_close(&out);
    cr_assert_eq(fix_check(dir, f), 4 * 12);
    fix_remove(root);
    free(root);
    free(f);
}

Test(out_run, numpy_reads_every_shard)
{
    if (system("python3 -c 'import numpy' 2>/dev/null") != 0)
        cr_skip_test("python3 with numpy is not installed");
    char *root = fix_folder(), command[8192];
    const char *dir = fix_run(root);
    fixture *f = fix_make(fix_seed(), BCAM_F32);
    bcam_out_settings settings = {.dir = dir, .rows_per_shard = 5, .items_per_commit = 3};
    bcam_out *out = NULL;
    bcam_error err = {0};
    cr_assert_eq(bcam_out_open(&settings, &out, &err), BCAM_OK, "%s", err.message);
    for (int64_t id = 1; id <= 9; id++)
        cr_assert_eq(bcam_out_write(out, fix_item(f, id), &err), BCAM_OK, "%s", err.message);
    for (int round = 0; round < 2; round++) { /* while the run goes on, and after its end */
        snprintf(command, sizeof command,
                 "python3 -c \"\n"
                 "import sqlite3, sys, hashlib, numpy as np\n"
                 "db = sqlite3.connect(sys.argv[1] + '/index.sqlite')\n"
                 "for file, row, i in db.execute('select file, row, id from maps order by id'):\n"
                 "    a = np.load(sys.argv[1] + '/' + file, mmap_mode='r')\n"
                 "    assert a.dtype == np.float32 and a.ndim == 3 and a.flags.c_contiguous, (a.dtype, a.shape)\n"
                 "    print(hashlib.sha256(a[row].tobytes()).hexdigest())\n"
                 "\" '%s' > '%s/sums'",
                 dir, root);
        cr_assert_eq(system(command), 0);
        FILE *sums = fopen(fix_in(root, "sums"), "r");
        int lines = 0;
        char line[128], hex[65];
        for (int64_t id = 1; id <= 9; id++) {
            fix_item(f, id);
            for (int i = 0; i < f->item.map_count; i++, lines++) {
                cr_assert(fgets(line, sizeof line, sums));
                bcam_sha256_hex(f->data[i], fix_bytes(f, i / 4), hex);
                cr_assert(memcmp(line, hex, 64) == 0);
            }
        }
        cr_assert_eq(lines, 7 * 12);
        cr_assert_null(fgets(line, sizeof line, sums));
        fclose(sums);
        if (round == 0)
            cr_assert_eq(bcam_out_finish(out, RUN_JSON, &err), BCAM_OK, "%s", err.message);
    }
    bcam_out_close(&out);
    fix_remove(root);
    free(root);
    free(f);
}

Test(out_run, maps_that_do_not_fit_are_an_internal_error)
{
    char *root = fix_folder();
    const char *dir = fix_run(root);
    fixture *f = fix_make(fix_seed(), BCAM_F32);
    bcam_out_settings settings = {.dir = dir};
    bcam_out *out = NULL;
    bcam_error err = {0};
    cr_assert_eq(bcam_out_open(&settings, &out, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(bcam_out_write(out, fix_item(f, 1), &err), BCAM_OK, "%s", err.message);
    f->height[2] = 12;
    cr_assert_eq(bcam_out_write(out, fix_item(f, 2), &err), BCAM_E_INTERNAL);
    cr_assert(strstr(err.message, "a_b"), "%s", err.message);
    cr_assert_eq(bcam_out_write(out, fix_item(f, 3), &err), BCAM_E_INTERNAL);
    cr_assert_eq(bcam_out_finish(out, RUN_JSON, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(bcam_out_finish(out, RUN_JSON, &err), BCAM_E_INTERNAL);
    bcam_out_close(&out);
    f->height[2] = 13;
    cr_assert_eq(fix_check(dir, f), 12); /* photo 1 as a whole, nothing of photo 2 */
    fix_remove(root);
    free(root);
    free(f);
}

/* The default size of a shard, and names too long for a file. */
Test(out_run, default_shards_and_long_names)
{
    char *root = fix_folder(), name[1001] = {0};
    const char *dir = fix_run(root);
    fixture *f = fix_make(fix_seed(), BCAM_U8);
    memset(name, 'n', 1000);
    f->layers[0] = name;
    f->layers[1] = "..";
    f->pictures = true;
    bcam_out_settings settings = {.dir = dir, .overlay = true};
    bcam_out *out = NULL;
    bcam_error err = {0};
    cr_assert_eq(bcam_out_open(&settings, &out, &err), BCAM_OK, "%s", err.message);
    bcam_out_item item = *fix_item(f, 1);
    item.path = name;
    cr_assert_eq(bcam_out_write(out, &item, &err), BCAM_OK, "%s", err.message);
    npy_file npy = npy_read(fix_in(dir, "maps/_.-gradcam-00000.npy"));
    cr_assert_eq(npy.rows, 65536);
    free(npy.bytes);
    cr_assert_eq(bcam_out_finish(out, RUN_JSON, &err), BCAM_OK, "%s", err.message);
    bcam_out_close(&out);
    npy = npy_read(fix_in(dir, "maps/_.-gradcam-00000.npy"));
    cr_assert_eq(npy.rows, 2);
    free(npy.bytes);
    cr_assert_eq(fix_check(dir, f), 12);
    fix_remove(root);
    free(root);
    free(f);
}
