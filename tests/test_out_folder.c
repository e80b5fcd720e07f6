/* Whose folder it is: refused, taken over, replaced, in use. */
#include <sys/file.h>

#include "out_fixture.h"

#define RUN_JSON "{\"status\":\"complete\"}"

static bcam_status try_open(const char *dir, bool overwrite, bcam_error *err)
{
    bcam_out_settings settings = {.dir = dir, .overwrite = overwrite};
    bcam_out *out = NULL;
    bcam_status status = bcam_out_open(&settings, &out, err);
    cr_assert_eq(status == BCAM_OK, out != NULL);
    bcam_out_close(&out);
    return status;
}

static void make_run(const char *dir, bool overwrite, int64_t photos)
{
    fixture *f = fix_make(7, BCAM_F16);
    f->pictures = true;
    bcam_out_settings settings = {
        .dir = dir, .overwrite = overwrite, .overlay = true, .report = true, .rows_per_shard = 3};
    bcam_out *out = NULL;
    bcam_error err = {0};
    cr_assert_eq(bcam_out_open(&settings, &out, &err), BCAM_OK, "%s", err.message);
    for (int64_t id = 1; id <= photos; id++)
        cr_assert_eq(bcam_out_write(out, fix_item(f, id), &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(bcam_out_finish(out, RUN_JSON, &err), BCAM_OK, "%s", err.message);
    bcam_out_close(&out);
    fix_check(dir, f);
    free(f);
}

static int entries(const char *path)
{
    DIR *folder = opendir(path);
    int count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}

/* Refused with the folder's name, and with what to do. */
static void check_refused_as(bcam_status status, const char *dir, bool overwrite, const char *advice)
{
    bcam_error err = {0};
    cr_assert_eq(try_open(dir, overwrite, &err), status, "%s", err.message);
    cr_assert(strstr(err.message, dir), "%s", err.message);
    cr_assert(strstr(err.message, advice), "%s lacks %s", err.message, advice);
}

static void check_refused(const char *dir, bool overwrite, const char *advice)
{
    check_refused_as(BCAM_E_OUTPUT, dir, overwrite, advice);
}

Test(out_folder, refused_where_it_exists)
{
    char *root = fix_folder();
    bcam_error err = {0};
    check_refused(root, false, "--overwrite"); /* empty */
    cr_assert_eq(entries(root), 0);
    make_run(fix_run(root), false, 2);
    size_t bytes, again;
    char *before = fix_read(fix_in(fix_run(root), "index.sqlite"), &bytes);
    check_refused(fix_run(root), false, "--overwrite");
    char *after = fix_read(fix_in(fix_run(root), "index.sqlite"), &again);
    cr_assert(bytes == again && memcmp(before, after, bytes) == 0);
    cr_assert_eq(try_open("", true, &err), BCAM_E_ARGUMENT);
    free(before);
    free(after);
    fix_remove(root);
    free(root);
}

Test(out_folder, a_folder_that_is_not_ours_is_never_touched)
{
    static const char *const contents[] = {"{}", "[1]", "not json", "{\"program\":\"other\"}", "{\"program\":1}", ""};
    char *root = fix_folder();
    fix_write(fix_in(root, "photo.jpg"), "precious");
    check_refused(root, false, "name another");
    check_refused(root, true, "name another");
    for (size_t i = 0; i < BCAM_COUNT(contents); i++) {
        fix_write(fix_in(root, "run.json"), contents[i]);
        check_refused(root, true, "name another");
    }
    cr_assert_eq(entries(root), 2);
    check_refused(fix_in(root, "photo.jpg"), true, "not a folder");
    fix_remove(root);
    free(root);
}

Test(out_folder, an_empty_folder_and_an_interrupted_run_are_taken)
{
    char *root = fix_folder();
    bcam_error err = {0};
    cr_assert_eq(try_open(root, true, &err), BCAM_OK, "%s", err.message);
    size_t bytes;
    char *text = fix_read(fix_in(root, "run.json"), &bytes);
    cr_assert(strstr(text, "\"running\"") && strstr(text, "\"batchcam\""), "%s", text);
    free(text);
    make_run(root, true, 2); /* that one was never ended */
    char *done = fix_read(fix_in(root, "run.json"), &bytes);
    cr_assert(strstr(done, "\"complete\"") && !strstr(done, "running"), "%s", done);
    free(done);
    fix_remove(root);
    free(root);
}

Test(out_folder, overwriting_removes_our_files_only)
{
    static const char *const theirs[] = {
        "notes.txt",          "maps/mean.npy", "maps/notes-12.npy", "overlays/favourite.jpg", "overlays/12-small.jpg",
        "index.sqlite.backup"};
    static const char *const ours[] = {"maps/old-gradcam-00000.npy",
                                       "maps/old-gradcam-00001.npy.tmp",
                                       "overlays/000009-x-y-z-1.jpg",
                                       "overlays/000009-x-y-z-1.jpg.tmp",
                                       "index.sqlite-journal",
                                       "index.sqlite.tmp",
                                       "report.html.tmp"};
    char *root = fix_folder();
    make_run(fix_run(root), false, 9);
    int maps = entries(fix_in(fix_run(root), "maps"));
    for (size_t i = 0; i < BCAM_COUNT(theirs); i++)
        fix_write(fix_in(fix_run(root), theirs[i]), "mine");
    for (size_t i = 0; i < BCAM_COUNT(ours); i++)
        fix_write(fix_in(fix_run(root), ours[i]), "old");
    make_run(fix_run(root), true, 2);
    for (size_t i = 0; i < BCAM_COUNT(theirs); i++)
        cr_expect(fix_exists(fix_in(fix_run(root), theirs[i])), "%s is gone", theirs[i]);
    for (size_t i = 0; i < BCAM_COUNT(ours); i++)
        cr_expect_not(fix_exists(fix_in(fix_run(root), ours[i])), "%s is still there", ours[i]);
    cr_assert_gt(maps, 12 + 2);
    cr_assert_eq(entries(fix_in(fix_run(root), "maps")),
                 12 + 2); /* 2 photos x 2 classes, 3 rows a shard, 6 series; and theirs */
    cr_assert_eq(entries(fix_in(fix_run(root), "overlays")), 2 * 12 + 2);
    fix_remove(root);
    free(root);
}

Test(out_folder, links_inside_are_not_followed)
{
    char *root = fix_folder(), *other = fix_folder();
    make_run(fix_run(root), false, 2);
    fix_write(fix_in(other, "stranger-00000.npy"), "precious");
    fix_remove(fix_in(fix_run(root), "maps"));
    cr_assert_eq(symlink(other, fix_in(fix_run(root), "maps")), 0);
    check_refused(fix_run(root), true, "name another");
    cr_assert(fix_exists(fix_in(other, "stranger-00000.npy")));
    fix_remove(root);
    fix_remove(other);
    free(root);
    free(other);
}

Test(out_folder, one_run_at_a_time)
{
    char *root = fix_folder();
    bcam_out_settings settings = {.dir = fix_run(root)};
    bcam_out *out = NULL;
    bcam_error err = {0};
    cr_assert_eq(bcam_out_open(&settings, &out, &err), BCAM_OK, "%s", err.message);
    check_refused_as(BCAM_E_BUSY, fix_run(root), true, "in use");
    bcam_out_close(&out);
    cr_assert_eq(try_open(fix_run(root), true, &err), BCAM_OK, "%s", err.message);
    fix_remove(root);
    free(root);
}

Test(out_folder, a_folder_that_cannot_be_made)
{
    bcam_error err = {0};
    cr_assert_eq(try_open("/proc/batchcam/run", false, &err), BCAM_E_IO);
    cr_assert(strstr(err.message, "/proc/batchcam/run"), "%s", err.message);
}
