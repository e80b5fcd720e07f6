/* test_run_targets.c - which classes of a photo are explained: ranks, the label, names and numbers, a CSV, and their union; and what of them is
 * refused, by name, before anything is written. */
#include "run_fixture.h"

enum { CLASSES = 6, PHOTOS = 5 };

static const char names[] =
    "n00000000 red fox, Vulpes vulpes\nn00000001 grey wolf\nn00000002 arctic hare\nn00000003 12\nn00000004 label\nn00000005 bear\n";

/* Photos 00 … 04: 00 and 02 are bears, 01 is a wolf, the others are nothing that the model knows. */
static fix_job *open_job(void)
{
    static const char *const folders[PHOTOS] = {"bear", "grey wolf", "bear", "unknown", ""};
    fix_job *job = fix_open(CLASSES, true);
    for (int i = 0; i < PHOTOS; i++)
        fix_jpeg(fix_in(job, "photos/%s%s%02d.jpg", folders[i], *folders[i] ? "/" : "", i), (uint64_t)i + 40, 40, 30);
    fix_write_text(job->names, names);
    job->options.names = job->names;
    job->options.overwrite = true;
    return job;
}

/* Their order in the run: the root's own files first. */
static const char *const paths[PHOTOS] = {"04.jpg", "bear/00.jpg", "bear/02.jpg", "grey wolf/01.jpg", "unknown/03.jpg"};
static const int labels[PHOTOS] = {-1, 5, 5, 1, -1};

/* A run; the targets up to a NULL. */
static void explain(fix_job *job, const char *first, ...)
{
    va_list args;
    int count = 0;
    va_start(args, first);
    for (const char *target = first; target; target = va_arg(args, const char *))
        job->targets[count++] = target;
    va_end(args);
    job->options.target_count = count;
}

/* The classes explained of photo i, as "3,1,". */
static void explained(const fix_job *job, int i, char *out)
{
    snprintf(
        out, 256, "%s",
        fix_rows(
            job->out,
            fix_text(
                "SELECT group_concat(class || ',', '') FROM (SELECT class FROM maps WHERE image_id = %d ORDER BY id)",
                i + 1)));
    out[strcspn(out, "\n")] = '\0';
    if (strcmp(out, "NULL") == 0)
        *out = '\0';
}

static int ranked(const fix_job *job, int i, int rank)
{
    return atoi(
        fix_rows(job->out, fix_text("SELECT class FROM predictions WHERE image_id = %d AND rank = %d", i + 1, rank)));
}

/* What is wanted of a photo, with each class once; -1 is nothing. */
typedef struct wanted {
    char text[256];
    bool seen[CLASSES];
} wanted;

static void want(wanted *w, int class)
{
    size_t used = strlen(w->text);
    if (class >= 0 && !w->seen[class])
        snprintf(w->text + used, sizeof w->text - used, "%d,", class);
    if (class >= 0)
        w->seen[class] = true;
}

static void expect_explained(const fix_job *job, int i, const wanted *w)
{
    char got[256];
    explained(job, i, got);
    cr_assert_str_eq(got, w->text, "photo %s: %s, not %s", paths[i], got, w->text);
}

/* ---- ranks ---- */

static void check_ranks(fix_job *job, const char *target, int ranks)
{
    explain(job, target, NULL);
    fix_run(job);
    cr_assert_eq(job->summary.maps, PHOTOS * ranks);
    for (int i = 0; i < PHOTOS; i++) {
        wanted w = {.text = ""};
        for (int r = 0; r < ranks && r < 5; r++)
            want(&w, ranked(job, i, r));
        char got[256];
        explained(job, i, got);
        cr_assert(strncmp(got, w.text, strlen(w.text)) == 0, "%s: %s, not %s", target, got, w.text);
    }
}

Test(run_targets, ranks)
{
    fix_job *job = open_job();
    check_ranks(job, NULL, 1);
    check_ranks(job, "top1", 1);
    check_ranks(job, "top3", 3);
    check_ranks(job, "TOP2", 2);
    check_ranks(job, "top6", 6);
    check_ranks(job, "top50", 6); /* there are no more */
    check_ranks(job, "top1,top3", 3);
    cr_assert_str_eq(
        fix_rows(
            job->out,
            "SELECT count(*) FROM maps JOIN predictions USING (image_id, class) WHERE maps.logit <> predictions.logit"),
        "0\n");
    fix_close(job);
}

/* ---- the label ---- */

Test(run_targets, the_label)
{
    fix_job *job = open_job();
    fix_write_text(job->options.names, "fox\ngrey wolf\nhare\nlynx\nowl\nbear\n");
    explain(job, "label", NULL);
    fix_run(job);
    cr_assert(job->summary.no_label == 2 && job->summary.ok == 3 && job->summary.maps == 3);
    for (int i = 0; i < PHOTOS; i++) {
        wanted w = {.text = ""};
        want(&w, labels[i]);
        expect_explained(job, i, &w);
        cr_assert_str_eq(
            fix_rows(
                job->out,
                fix_text("SELECT path, outcome, ifnull(label, -1), message <> '' FROM images WHERE id = %d", i + 1)),
            fix_text("%s|%s|%d|%d\n", paths[i], labels[i] < 0 ? "no_label" : "ok", labels[i], labels[i] < 0));
    }
    fix_expect_rows(job->out, "SELECT count(DISTINCT image_id) FROM predictions", "3\n");
    fix_close(job);
}

Test(run_targets, the_label_among_others)
{
    fix_job *job = open_job();
    fix_write_text(job->options.names, "fox\ngrey wolf\nhare\nlynx\nowl\nbear\n");
    explain(job, "label", "top1", "hare", NULL);
    fix_run(job);
    cr_assert(job->summary.no_label == 0 && job->summary.ok == PHOTOS);
    for (int i = 0; i < PHOTOS; i++) {
        wanted w = {.text = ""};
        want(&w, ranked(job, i, 0));
        want(&w, labels[i]);
        want(&w, 2);
        expect_explained(job, i, &w);
    }
    fix_close(job);
}

/* ---- names and numbers ---- */

Test(run_targets, classes_by_name_and_number)
{
    static const struct {
        const char *target;
        int class;
    } cases[] = {{"grey wolf", 1}, {"GREY WOLF", 1}, {"red fox", 0}, {"red fox, Vulpes vulpes", 0},
                 {"n00000002", 2}, {"12", 3},        {"0", 0},       {"5", 5},
                 {"label", 4}};
    fix_job *job = open_job();
    for (size_t c = 0; c < BCAM_COUNT(cases); c++) {
        explain(job, cases[c].target, NULL);
        fix_run(job);
        for (int i = 0; i < PHOTOS; i++) {
            wanted w = {.text = ""};
            want(&w, cases[c].class);
            expect_explained(job, i, &w);
        }
    }
    fix_close(job);
}

Test(run_targets, unions_name_each_class_once)
{
    fix_job *job = open_job();
    explain(job, "bear, 1,bear", "5", "top2", NULL);
    fix_run(job);
    for (int i = 0; i < PHOTOS; i++) {
        wanted w = {.text = ""};
        want(&w, ranked(job, i, 0));
        want(&w, ranked(job, i, 1));
        want(&w, 5);
        want(&w, 1);
        expect_explained(job, i, &w);
    }
    fix_close(job);
}

/* ---- a CSV ---- */

Test(run_targets, classes_of_each_photo)
{
    fix_job *job = open_job();
    fix_write_text(
        job->csv,
        "file,class\nunknown/03.jpg,2\n04.jpg,bear,0\n\"bear/00.jpg\",\"red fox, Vulpes vulpes\"\nbear/02.jpg,n00000002,2,grey wolf\n"
        "grey wolf/01.jpg,5,\n04.jpg,bear\n\n04.jpg,1\n");
    static const char *const expected[PHOTOS] = {"5,0,1,", "0,", "2,1,", "5,", "2,"};
    explain(job, job->csv, NULL);
    fix_run(job);
    for (int i = 0; i < PHOTOS; i++) {
        char got[256];
        explained(job, i, got);
        cr_assert_str_eq(got, expected[i], "photo %d: %s", i, got);
    }
    cr_assert_eq(job->summary.maps, 8);
    fix_expect_rows(job->out, "SELECT count(*) FROM maps WHERE outcome NOT IN ('ok', 'all_zero')", "0\n");
    explain(job, job->csv, "top1", NULL);
    fix_run(job);
    for (int i = 0; i < PHOTOS; i++) {
        wanted w = {.text = ""};
        want(&w, ranked(job, i, 0));
        for (const char *at = expected[i]; *at; at += 2)
            want(&w, *at - '0');
        expect_explained(job, i, &w);
    }
    fix_close(job);
}

Test(run_targets, csv_with_a_broken_photo)
{
    fix_job *job = open_job();
    fix_write_text(fix_in(job, "photos/bear/00.jpg"), "broken");
    fix_write_text(job->csv, "unknown/03.jpg,2\n04.jpg,1\nbear/00.jpg,0\nbear/02.jpg,3\ngrey wolf/01.jpg,5\n");
    static const char *const expected[PHOTOS] = {"1,", "", "3,", "5,", "2,"};
    explain(job, job->csv, NULL);
    fix_run(job);
    for (int i = 0; i < PHOTOS; i++) {
        char got[256];
        explained(job, i, got);
        cr_assert_str_eq(got, expected[i]);
    }
    fix_close(job);
}

Test(run_targets, csv_that_does_not_match)
{
    fix_job *job = open_job();
    const char *csv = job->csv;
    explain(job, csv, NULL);
    fix_write_text(
        csv,
        "file,class\n04.jpg,1\nbear/00.jpg,0\nunknown/03.jpg,2\n"); /* two photos have no row: the first is named */
    fix_refused(job, BCAM_E_CLASS, csv, "'bear/02.jpg'", NULL);
    fix_write_text(
        csv,
        "file,class\n04.jpg,1\nzebra.jpg,1\nbear/00.jpg,0\nbear/02.jpg,0\nant.jpg,3\ngrey wolf/01.jpg,1\nunknown/03.jpg,2\n");
    fix_refused(job, BCAM_E_CLASS, csv, "line 3", "'zebra.jpg'", NULL); /* the first in the file, not in the alphabet */
    fix_write_text(csv, "04.jpg,1\nbear/00.jpg,0\nbear/02.jpg,0\ngrey wolf/01.jpg,gray wolf\nunknown/03.jpg,2\n");
    fix_refused(job, BCAM_E_CLASS, csv, "line 4", "'gray wolf'", "did you mean 'grey wolf'", NULL);
    fix_write_text(csv, "04.jpg,1\nbear/00.jpg,6\n");
    fix_refused(job, BCAM_E_CLASS, csv, "line 2", "'6'", NULL);
    fix_write_text(csv, "04.jpg,1\nbear/00.jpg\n");
    fix_refused(job, BCAM_E_INPUT, csv, "line 2", NULL);
    fix_write_text(csv, "04.jpg,1\nbear/00.jpg,\n");
    fix_refused(job, BCAM_E_INPUT, csv, "line 2", NULL);
    fix_write_text(csv, "");
    fix_refused(job, BCAM_E_INPUT, csv, NULL);
    explain(job, "/nowhere/t.csv", NULL);
    fix_refused(job, BCAM_E_IO, "/nowhere/t.csv", NULL);
    fix_close(job);
}

Test(run_targets, csv_and_a_limit)
{
    fix_job *job = open_job();
    explain(job, job->csv, NULL);
    job->options.limit = 2;
    fix_write_text(job->targets[0], "04.jpg,1\nbear/00.jpg,0\n"); /* rows for those that are taken are enough, */
    fix_run(job);
    cr_assert_eq(job->summary.maps, 2);
    fix_write_text(
        job->targets[0],
        "04.jpg,1\nbear/00.jpg,0\nbear/02.jpg,0\ngrey wolf/01.jpg,1\nunknown/03.jpg,2\n"); /* and more do no harm */
    fix_run(job);
    cr_assert_eq(job->summary.maps, 2);
    fix_close(job);
}

Test(run_targets, two_csv_files)
{
    fix_job *job = open_job();
    fix_write_text(fix_in(job, "a.csv"), "04.jpg,1\nbear/00.jpg,1\nbear/02.jpg,1\n");
    fix_write_text(fix_in(job, "b.csv"), "grey wolf/01.jpg,2\nunknown/03.jpg,2\nbear/02.jpg,2\n");
    static const char *const expected[PHOTOS] = {"1,", "1,", "1,2,", "2,", "2,"};
    explain(job, fix_in(job, "a.csv"), fix_in(job, "b.csv"), NULL);
    fix_run(job);
    for (int i = 0; i < PHOTOS; i++) {
        char got[256];
        explained(job, i, got);
        cr_assert_str_eq(got, expected[i], "photo %d: %s", i, got);
    }
    fix_remove(job->out);
    explain(job, fix_in(job, "a.csv"), fix_in(job, "b.csv"), NULL);
    fix_write_text(job->targets[0],
                   "04.jpg,1\nbear/00.jpg,1\nbear/02.jpg,1\ngone.jpg,1\n"); /* the file that is wrong is named */
    fix_refused(job, BCAM_E_CLASS, "a.csv", "line 4", "'gone.jpg'", NULL);
    fix_write_text(job->targets[0], "04.jpg,1\nbear/02.jpg,1\n");
    fix_refused(job, BCAM_E_CLASS, "a.csv", "'bear/00.jpg'", NULL);
    fix_close(job);
}

/* ---- what is refused ---- */

Test(run_targets, what_is_no_target)
{
    static const char *const wrong[][2] = {{"grey wlf", "did you mean 'grey wolf'"},
                                           {"top0", "'top0'"},
                                           {"top", "'top'"},
                                           {"top-1", "'top-1'"},
                                           {"topp", "'topp'"},
                                           {"6", "0 to 5"},
                                           {"-1", "'-1'"},
                                           {"", "''"},
                                           {"bear,owl", "'owl'"},
                                           {"bear,", "''"},
                                           {"1.5", "'1.5'"},
                                           {"bear,t.csv", "'t.csv'"}};
    fix_job *job = open_job();
    for (size_t i = 0; i < BCAM_COUNT(wrong); i++) {
        explain(job, wrong[i][0], NULL);
        cr_assert_neq(fix_try(job), BCAM_OK, "%s", wrong[i][0]);
        cr_assert(strstr(job->err.message, wrong[i][1]), "'%s': %s", wrong[i][0], job->err.message);
        cr_assert(job->err.code == (strstr(wrong[i][0], "csv") ? BCAM_E_ARGUMENT : BCAM_E_CLASS), "'%s': %s",
                  wrong[i][0], job->err.message);
        cr_assert_not(fix_exists(job->out));
    }
    fix_close(job);
}
