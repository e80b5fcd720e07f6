/* test_run_bad_photo.c - a photo that will not do is a row of the index with its outcome and one sentence, beside the rows of the good ones, and
 * never ends a run. */
#include <fcntl.h>
#include <unistd.h>

#include "in_fixture.h"
#include "run_fixture.h"

/* ---- what stands where a photo should ---- */

static void make_missing(const char *path)
{
    (void)path;
}

static void make_empty(const char *path)
{
    fix_write_text(path, "");
}

static void make_text(const char *path)
{
    fix_write_text(path, "hello");
}

static void make_gif(const char *path)
{
    fix_write_text(path, "GIF89a");
}

static void make_cut_png(const char *path)
{
    fix_png(path, 1, 40, 30);
    cr_assert_eq(truncate(path, 200), 0);
}

/* Headers of 65535 x 65535 pixels and nothing behind them. */
static void make_huge_jpeg(const char *path)
{
    static const uint8_t data[] = {0xFF, 0xD8, 0xFF, 0xC0, 0,    17, 8, 0xFF, 0xFF, 0xFF, 0xFF, 3,
                                   1,    0x11, 0,    2,    0x11, 0,  3, 0x11, 0,    0xFF, 0xDA, 0,
                                   12,   3,    1,    0,    2,    0,  3, 0,    0,    63,   0};
    fix_write(path, data, sizeof data);
}

static void make_huge_png(const char *path)
{
    static const uint8_t data[] = {0x89, 'P',  'N',  'G',  13,   10,   26, 10, 0,    0,    0,   13,  'I', 'H',
                                   'D',  'R',  0,    0,    0xFF, 0xFF, 0,  0,  0xFF, 0xFF, 8,   2,   0,   0,
                                   0,    0x39, 0x67, 0x4E, 0x07, 0,    0,  0,  10,   'I',  'D', 'A', 'T'};
    fix_write(path, data, sizeof data);
}

static void make_long(const char *path)
{
    fix_jpeg(path, 1, 40, 30);
    cr_assert_eq(truncate(path, ((off_t)1 << 30) + 1), 0); /* takes no room on the disk */
}

static void make_dangling(const char *path)
{
    cr_assert_eq(symlink("/nowhere/photo.jpg", path), 0);
}

static void make_cut_jpeg(const char *path)
{
    fix_truncated(path, 3);
}

static void make_wide(const char *path)
{
    fix_jpeg(path, 1, 101, 100);
}

static const struct {
    const char *name;
    void (*make)(const char *path);
    const char *outcome, *words;
    bool in_folder; /* what a folder's listing also brings */
} rows[] = {
    {"missing.jpg", make_missing, "missing", "no such file", false},
    {"empty.jpg", make_empty, "unreadable", "empty", true},
    {"cut.jpg", make_cut_jpeg, "unreadable", "end before the picture", true},
    {"cut.png", make_cut_png, "unreadable", "PNG", true},
    {"text.jpg", make_text, "unsupported", "68 65 6c 6c", true},
    {"a-gif.png", make_gif, "unsupported", "a GIF", true},
    {"huge.jpg", make_huge_jpeg, "too_large", "65535 x 65535|65500", true},
    {"huge.png", make_huge_png, "too_large", "65535 x 65535|10000", true},
    {"wide.jpg", make_wide, "too_large", "101 x 100|10000", true},
    {"long.jpg", make_long, "too_large", "1073741825 bytes", true},
    {"folder.jpg", fix_make_folder, "unreadable", "a folder", false},
    {"pipe.jpg", fix_make_pipe, "unreadable", "a pipe", false},
    {"device.jpg", fix_make_device, "unreadable", "a device", false},
    {"around.jpg", fix_make_loop, "unreadable", "symbolic links", true},
    {"dangling.jpg", make_dangling, "missing", "no such file", true},
};

static void make_photos(const fix_job *job)
{
    for (size_t i = 0; i < BCAM_COUNT(rows); i++)
        rows[i].make(fix_in(job, "photos/%s", rows[i].name));
    fix_jpeg(fix_in(job, "photos/good.jpg"), 7, 100, 100);
}

static void check_rows(fix_job *job, const char *before, bool folder)
{
    for (size_t i = 0; i < BCAM_COUNT(rows); i++) {
        const char *where = fix_text("FROM images WHERE path = '%s%s'", before, rows[i].name);
        if (folder && !rows[i].in_folder) {
            cr_expect_str_eq(fix_rows(job->out, fix_text("SELECT count(*) %s", where)), "0\n", "%s", rows[i].name);
            continue;
        }
        const char *row = fix_rows(job->out, fix_text("SELECT outcome, message %s", where));
        fprintf(stderr, "%-14s %s", rows[i].name, row);
        cr_expect(strncmp(row, rows[i].outcome, strlen(rows[i].outcome)) == 0 && row[strlen(rows[i].outcome)] == '|',
                  "%s is %s", rows[i].name, row);
        for (const char *at = rows[i].words; *at; at += strspn(at, "|")) {
            size_t size = strcspn(at, "|");
            cr_expect(memmem(row, strlen(row), at, size), "'%.*s' is not in: %s", (int)size, at, row);
            at += size;
        }
    }
    fix_expect_rows(job->out, "SELECT outcome, message FROM images WHERE path LIKE '%good.jpg'", "ok|\n");
    fix_expect_rows(job->out,
                    "SELECT count(*) FROM maps JOIN images ON images.id = image_id WHERE path LIKE '%good.jpg'", "1\n");
}

/* By name, as on the command line: every one has its row. */
Test(run_bad_photo, named, .timeout = 120)
{
    fix_job *job = fix_open(3, true);
    char paths[BCAM_COUNT(rows) + 1][400];
    const char *images[BCAM_COUNT(rows) + 1];
    int count = 0;
    make_photos(job);
    for (size_t i = 0; i <= BCAM_COUNT(rows); i++) {
        snprintf(paths[count], sizeof paths[0], "%s/%s", job->photos, i < BCAM_COUNT(rows) ? rows[i].name : "good.jpg");
        bool there = i == BCAM_COUNT(rows) || (rows[i].make != make_missing && rows[i].make != fix_make_loop &&
                                               rows[i].make != make_dangling && rows[i].make != fix_make_folder);
        images[count] = paths[count];
        count += there;
    }
    job->options.images = images;
    job->options.image_count = count;
    job->options.max_pixels = 10000;
    fix_run(job);
    cr_assert_eq(job->summary.images, count);
    cr_assert_eq(job->summary.too_large, 4);
    fix_close(job);
}

/* In a list: every line has its row. */
Test(run_bad_photo, in_a_list, .timeout = 120)
{
    fix_job *job = fix_open(3, true);
    char text[4096] = "photos/good.jpg\n";
    make_photos(job);
    for (size_t i = 0; i < BCAM_COUNT(rows); i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "photos/%s\n", rows[i].name);
    fix_write_text(fix_in(job, "list.txt"), text);
    job->images[0] = fix_in(job, "list.txt");
    job->options.max_pixels = 10000;
    fix_run(job);
    cr_assert_eq(job->summary.images, (int64_t)BCAM_COUNT(rows) + 1);
    check_rows(job, "photos/", false);
    fix_expect_field(job->out, "status", "complete");
    fix_close(job);
}

/* In a folder: what is not a file is left out, and counted; everything else has its row. */
Test(run_bad_photo, in_a_folder, .timeout = 120)
{
    fix_job *job = fix_open(3, true);
    make_photos(job);
    job->options.max_pixels = 10000;
    fix_run(job);
    int64_t expected = 1;
    for (size_t i = 0; i < BCAM_COUNT(rows); i++)
        expected += rows[i].in_folder;
    cr_assert_eq(job->summary.images, expected);
    cr_assert_eq(job->summary.left_out, 2); /* the pipe and the device */
    check_rows(job, "", true);
    fix_close(job);
}

Test(run_bad_photo, one_that_may_not_be_read)
{
    fix_job *job = fix_open(3, true);
    fix_jpeg(fix_in(job, "photos/a.jpg"), 1, 40, 30);
    cr_assert_eq(chmod(fix_in(job, "photos/a.jpg"), 0), 0);
    if (access(fix_in(job, "photos/a.jpg"), R_OK) == 0) {
        fix_close(job);
        cr_skip_test("this user may read everything");
    }
    fix_run(job);
    fix_expect_rows(job->out, "SELECT outcome, message FROM images",
                    "unreadable|cannot be opened: Permission denied\n");
    fix_close(job);
}

/* The limit is a choice: without one it is Pillow's, and a photo within it is decoded. */
Test(run_bad_photo, the_limit_in_pixels)
{
    fix_job *job = fix_open(3, true);
    make_wide(fix_in(job, "photos/wide.jpg"));
    make_huge_png(fix_in(job, "photos/huge.png"));
    fix_run(job);
    fix_expect_rows(job->out, "SELECT outcome FROM images ORDER BY path", "too_large\nok\n");
    cr_assert(strstr(fix_rows(job->out, "SELECT message FROM images ORDER BY path"), "89478485"));
    fix_close(job);
}

/* ---- real ones ---- */

/* 308 CMYK, YCCK, progressive, grey, 12-bit, arithmetic, lossless, truncated and malformed JPEGs. Their bytes are compared with Pillow's in
 * test_in_photo.c; here each must end as a row, with a map exactly where Pillow makes a photo of it. */
Test(run_bad_photo, odd_jpegs_all_end_as_rows, .timeout = 300)
{
    enum { FILES = 308 };
    if (access(BCAM_SHARED_DATA "/images/odd_jpeg", R_OK) != 0)
        cr_skip_test("no real photos at " BCAM_SHARED_DATA);
    fix_job *job = fix_open(3, true);
    golden g = golden_open("shared.tsv");
    int known = 0, ok = 0;
    job->images[0] = BCAM_SHARED_DATA "/images/odd_jpeg";
    fix_run(job);
    cr_assert(job->summary.images == FILES && job->summary.left_out == 0, "%lld rows, %lld left out",
              (long long)job->summary.images, (long long)job->summary.left_out);
    sqlite3 *db = NULL;
    sqlite3_stmt *find = NULL;
    cr_assert_eq(sqlite3_open(fix_in(job, "out/index.sqlite"), &db), SQLITE_OK);
    cr_assert_eq(
        sqlite3_prepare_v2(
            db,
            "SELECT outcome, message, (SELECT count(*) FROM maps WHERE image_id = images.id) FROM images WHERE path = ?",
            -1, &find, NULL),
        SQLITE_OK);
    for (char **row; (row = golden_next(&g, 6));) {
        if (strncmp(row[0], "odd_jpeg/", 9) != 0)
            continue;
        bool good = strcmp(row[1], "ok") == 0;
        sqlite3_bind_text(find, 1, row[0] + 9, -1, SQLITE_STATIC);
        cr_assert_eq(sqlite3_step(find), SQLITE_ROW, "no row for %s", row[0]);
        const char *outcome = (const char *)sqlite3_column_text(find, 0);
        cr_expect_eq(strcmp(outcome, "ok") == 0, good, "%s is %s", row[0], outcome);
        cr_expect_eq(sqlite3_column_int(find, 2), good, "%s", row[0]);
        cr_expect_eq(*sqlite3_column_text(find, 1) == '\0', good, "%s", row[0]);
        sqlite3_reset(find);
        known++;
        ok += good;
    }
    sqlite3_finalize(find);
    sqlite3_close(db);
    cr_assert_eq(known, FILES);
    cr_assert(ok > 100 && ok == job->summary.ok, "%d", ok);
    bcam_table_fini(&g.table);
    fix_close(job);
}
