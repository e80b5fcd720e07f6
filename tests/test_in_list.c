/* Lists of photos: folders in ImageFolder's order, what is left out, lists in their three forms. */
#include <sys/resource.h>

#include "in_fixture.h"

static void make(const char *dir, const char *name)
{
    write_text(dir, name, "x");
}

static void make_folder(const char *dir, const char *name)
{
    cr_assert_eq(mkdir(in_dir(dir, name), 0700), 0, "%s", name);
}

/** The next item; false behind the last. */
static bool advance(bcam_list *list, bcam_item *item)
{
    bcam_error err;
    bool end = false;
    cr_assert_eq(bcam_list_next(list, item, &end, &err), BCAM_OK, "%s", err.message);
    return !end;
}

/** "shown|folder|label" of every item, a line each. */
static char *listed(const char *const *images, int count, bcam_list_counts *counts)
{
    static char out[8192];
    bcam_list *list;
    bcam_error err;
    size_t used = 0;
    out[0] = 0;
    cr_assert_eq(bcam_list_open(images, count, &list, &err), BCAM_OK, "%s", err.message);
    for (bcam_item item; advance(list, &item);)
        used += (size_t)snprintf(out + used, sizeof(out) - used, "%s|%s|%s\n", item.shown, item.folder,
                                 item.label ? item.label : "-");
    if (counts)
        *counts = *bcam_list_get_counts(list);
    bcam_list_close(&list);
    cr_assert_null(list);
    cr_assert_eq(bcam_alloc_live(), 0);
    return out;
}

/** The expected order is that of torchvision: sorted(os.walk(...)) in every first-level folder, in the order of their names. */
Test(in_list, folders_in_imagefolder_order)
{
    const char *dir = temp_dir();
    static const char *const folders[] = {"b", "a", "a-b", "B", "a/x", "a/x-y", "a/x/deep", "empty"};
    static const char *const files[] = {"z.jpg",          "b/2.jpg",     "b/10.jpg",        "b/A.PNG",   "a/1.JPEG",
                                        "a/x/1.jpg",      "a/x-y/1.jpg", "a/x/deep/1.webp", "a-b/1.tif", "B/1.bmp",
                                        "B/\xC3\xA4.jpg", "B/\xFF.jpg",  "B/z.jpg"};
    for (size_t i = 0; i < BCAM_COUNT(folders); i++)
        make_folder(dir, folders[i]);
    for (size_t i = 0; i < BCAM_COUNT(files); i++)
        make(dir, files[i]);
    const char *expected = "z.jpg||-\n"
                           "B/1.bmp|B|-\nB/z.jpg|B|-\nB/\xC3\xA4.jpg|B|-\nB/\xFF.jpg|B|-\n"
                           "a/1.JPEG|a|-\na/x/1.jpg|a|-\na/x-y/1.jpg|a|-\na/x/deep/1.webp|a|-\n"
                           "a-b/1.tif|a-b|-\n"
                           "b/10.jpg|b|-\nb/2.jpg|b|-\nb/A.PNG|b|-\n";
    /* a, a/x, a/x-y, a/x/deep: '-' sorts before '/' */
    bcam_list_counts counts;
    cr_expect_str_eq(listed(&dir, 1, &counts), expected);
    cr_expect_eq(counts.items, 13);
    cr_expect_eq(counts.left_out_type + counts.left_out_hidden + counts.left_out_loop + counts.left_out_special, 0);
    char slashes[300];
    snprintf(slashes, sizeof(slashes), "%s//", dir);
    cr_expect_str_eq(listed((const char *[]){slashes}, 1, NULL), expected);
    remove_dir(dir);
}

Test(in_list, what_is_left_out_is_counted)
{
    const char *dir = temp_dir();
    make_folder(dir, "a");
    make_folder(dir, "a/deep");
    make_folder(dir, ".git");
    make(dir, ".git/1.jpg");
    make(dir, "a/.hidden.jpg");
    make(dir, "a/1.jpg");
    make(dir, "a/notes.txt");
    make(dir, "a/jpg");
    make(dir, "b.jpg.bak");
    cr_assert_eq(mkfifo(in_dir(dir, "a/pipe.jpg"), 0600), 0);
    cr_assert_eq(symlink("..", in_dir(dir, "a/up")), 0);              /* loops */
    cr_assert_eq(symlink("../../a", in_dir(dir, "a/deep/again")), 0); /* loops */
    cr_assert_eq(symlink("nowhere", in_dir(dir, "a/dangling")), 0);
    cr_assert_eq(symlink("nowhere.jpg", in_dir(dir, "a/2.jpg")), 0); /* would be a photo: it has a row */
    cr_assert_eq(symlink("self", in_dir(dir, "self")), 0);
    cr_assert_eq(symlink("a/1.jpg", in_dir(dir, "linked.jpg")), 0);
    cr_assert_eq(symlink("a/deep", in_dir(dir, "c")), 0); /* a link to a folder is a folder */
    make(dir, "a/deep/3.jpg");
    bcam_list_counts counts;
    /* Through c, the link 'again' leads to a, which is not above it: only what is below leads back. */
    char *out = listed(&dir, 1, &counts);
    cr_expect_str_eq(out, "linked.jpg||-\na/1.jpg|a|-\na/2.jpg|a|-\na/deep/3.jpg|a|-\nc/3.jpg|c|-\nc/again/"
                          "1.jpg|c|-\nc/again/2.jpg|c|-\n");
    cr_expect_eq(counts.items, 7);
    cr_expect_eq(counts.left_out_hidden, 1 + 1 + 1, "%d",
                 (int)counts.left_out_hidden); /* .git, .hidden.jpg, and that once more through c */
    cr_expect_eq(counts.left_out_type, 1 + 2 + 2, "%d", (int)counts.left_out_type);
    cr_expect_eq(counts.left_out_special, 2, "%d", (int)counts.left_out_special);
    cr_expect_eq(counts.left_out_loop, 2 + 2 + 3, "%d",
                 (int)counts.left_out_loop); /* up, again; dangling, self; through c: deep, up, dangling */
    remove_dir(dir);
}

Test(in_list, files_and_lists_in_the_given_order)
{
    const char *dir = temp_dir();
    make_folder(dir, "sub");
    make(dir, "sub/1.jpg");
    make(dir, "photo.dat");
    char file[600], csv[600], txt[600], tsv[600], sub[600], expected[4096];
    snprintf(file, sizeof(file), "%s", in_dir(dir, "photo.dat"));
    snprintf(sub, sizeof(sub), "%s", in_dir(dir, "sub"));
    snprintf(csv, sizeof(csv), "%s",
             write_text(dir, "list.CSV",
                        "\xEF\xBB\xBF"
                        "a.jpg,cat\r\n\r\n\"b, \"\"c\"\".jpg\",\"two\nlines\"\r\n/abs/d.jpg\r\ne.jpg,\r\n"));
    snprintf(tsv, sizeof(tsv), "%s", write_text(dir, "list.tsv", "File\tsize\tLabel\nf.jpg\t12\tdog\ng.jpg\n"));
    snprintf(txt, sizeof(txt), "%s",
             write_text(dir, "list.txt", "sub/h.jpg 3\nmy photo.jpg\nmy photo.jpg   7\r\n\n  i.png\tcat\nplain"));
    const char *const images[] = {file, csv, sub, tsv, txt, file};
    snprintf(expected, sizeof(expected),
             "%s||-\na.jpg||cat\nb, \"c\".jpg||two\nlines\n/abs/d.jpg||-\ne.jpg||-\n1.jpg||-\nf.jpg||dog\ng.jpg||-\n"
             "sub/h.jpg||3\nmy photo.jpg||-\nmy photo.jpg||7\ni.png||cat\nplain||-\n%s||-\n",
             file, file);
    cr_expect_str_eq(listed(images, 6, NULL), expected);

    bcam_list *list;
    bcam_error err;
    bcam_item item;
    cr_assert_eq(bcam_list_open((const char *[]){csv}, 1, &list, &err), BCAM_OK);
    cr_assert(advance(list, &item));
    cr_expect_str_eq(item.path, in_dir(dir, "a.jpg")); /* relative to the list */
    cr_assert(advance(list, &item));
    cr_assert(advance(list, &item));
    cr_expect_str_eq(item.path, "/abs/d.jpg");
    bcam_list_close(&list);
    remove_dir(dir);
}

/** Through the whole list; what it ends with. */
static bcam_status read_to_end(const char *path, bcam_error *err)
{
    bcam_list *list = (void *)path;
    bcam_item item;
    bool end = false;
    bcam_status status = bcam_list_open(&path, 1, &list, err);
    cr_expect((status == BCAM_OK) == (list != NULL));
    while (status == BCAM_OK && !end)
        status = bcam_list_next(list, &item, &end, err);
    bcam_list_close(&list);
    cr_expect_eq(bcam_alloc_live(), 0);
    return status;
}

Test(in_list, errors_name_the_argument)
{
    const char *dir = temp_dir();
    static const struct {
        const char *name, *text, *word;
    } cases[] = {{"nowhere", NULL, "nowhere"},
                 {"open.csv", "a.jpg,1\nb.jpg,\"2\n\n", "line 2"},
                 {"behind.csv", "a.jpg\n\"b\"c.jpg\n", "line 2"},
                 {"nofile.csv", "a.jpg,1\n,2\n", "line 2"}};
    bcam_error err;
    for (size_t i = 0; i < BCAM_COUNT(cases); i++) {
        const char *path = cases[i].text ? write_text(dir, cases[i].name, cases[i].text) : in_dir(dir, cases[i].name);
        cr_expect_eq(read_to_end(path, &err), BCAM_E_INPUT, "%s", cases[i].name);
        cr_expect_not_null(strstr(err.message, cases[i].name), "%s", err.message);
        cr_expect_not_null(strstr(err.message, cases[i].word), "%s", err.message);
    }
    const char *binary = write_file(dir, "binary.txt", "a\0b", 3);
    cr_expect_eq(read_to_end(binary, &err), BCAM_E_INPUT);
    remove_dir(dir);
}

/* ---- long lists ---- */

#ifdef __SANITIZE_ADDRESS__
enum { peak_counts = false }; /* what is freed is kept, to see who uses it */
#else
enum { peak_counts = true };
#endif

/** The most memory that this process has held, in bytes. */
static size_t peak(void)
{
    struct rusage usage;
    cr_assert_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return (size_t)usage.ru_maxrss * 1024;
}

/** A list of many lines is read a piece at a time, quotes and line ends across pieces included, and what is wrong far down is found. */
Test(in_list, long_lists, .timeout = 120)
{
    enum { ROWS = 400000, WRONG = 390000 };
    static const char *const kinds[] = {"csv", "txt"};
    const char *dir = temp_dir();
    char path[600], expected[80];
    for (size_t k = 0; k < BCAM_COUNT(kinds); k++) {
        bcam_list *list = NULL;
        bcam_error err;
        bcam_item item;
        snprintf(path, sizeof path, "%s/list.%s", dir, kinds[k]);
        FILE *file = fopen(path, "wb");
        cr_assert_not_null(file);
        for (int i = 0; i < ROWS; i++)
            fprintf(file, k == 0 ? "\"a folder, \"\"quoted\"\"/%d.jpg\",%d\r\n" : "a folder, \"quoted\"/%d.jpg %d\n", i,
                    i % 1000);
        fclose(file);
        size_t before = peak();
        cr_assert_eq(bcam_list_open((const char *[]){path}, 1, &list, &err), BCAM_OK);
        for (int i = 0; i < ROWS; i++) {
            snprintf(expected, sizeof expected, "a folder, \"quoted\"/%d.jpg%d", i, i % 1000);
            cr_assert(advance(list, &item));
            cr_assert(strncmp(expected, item.shown, strlen(item.shown)) == 0 &&
                          strcmp(expected + strlen(item.shown), item.label) == 0,
                      "%s %s", item.shown, item.label);
        }
        cr_assert_not(advance(list, &item));
        bcam_list_close(&list);
        if (peak_counts)
            cr_expect_lt(peak() - before, 4 << 20);
    }
    FILE *file = fopen(in_dir(dir, "wrong.csv"), "wb");
    for (int i = 1; i <= ROWS; i++)
        fprintf(file, i == WRONG ? ",%d\n" : "%d.jpg\n", i);
    fclose(file);
    bcam_error err;
    cr_expect_eq(read_to_end(in_dir(dir, "wrong.csv"), &err), BCAM_E_INPUT);
    cr_expect_not_null(strstr(err.message, "line 390000"), "%s", err.message);
    file = fopen(in_dir(dir, "open.csv"), "wb"); /* the rest is not taken into memory to look for the quote's end */
    fputs("a.jpg\n\"", file);
    for (int i = 1; i <= ROWS; i++)
        fprintf(file, "%d.jpg\n", i);
    fclose(file);
    cr_expect_eq(read_to_end(in_dir(dir, "open.csv"), &err), BCAM_E_INPUT);
    cr_expect(strstr(err.message, "line 2") && strstr(err.message, "quote"), "%s", err.message);
    remove_dir(dir);
}

Test(in_list, memory_shortage_loses_nothing)
{
    const char *dir = temp_dir();
    make_folder(dir, "a");
    make_folder(dir, "a/b");
    make(dir, "a/b/1.jpg");
    const char *csv = write_text(dir, "list.csv", "a.jpg,\"x\"\n"), *txt = write_text(dir, "list.txt", "a.jpg x\n");
    const char *const images[] = {dir, csv, txt};
    int finished = 0;
    for (int64_t nth = 1; nth < 80; nth++) {
        bcam_list *list = NULL;
        bcam_error err;
        bcam_item item;
        bool end = false;
        bcam_alloc_fail_at(nth, false);
        bcam_status status = bcam_list_open(images, 3, &list, &err);
        while (status == BCAM_OK && !end)
            status = bcam_list_next(list, &item, &end, &err);
        bcam_alloc_fail_at(0, false);
        cr_expect(status == BCAM_OK || status == BCAM_E_MEMORY, "allocation %d: %s", (int)nth, err.message);
        finished += status == BCAM_OK;
        bcam_list_close(&list);
        cr_expect_eq(bcam_alloc_live(), 0, "allocation %d", (int)nth);
    }
    cr_expect_gt(finished, 0);
    remove_dir(dir);
}

/** The 650 photos as Python's sorted() has them: their names only. */
Test(in_list, a_real_folder)
{
    if (access(BCAM_SHARED_DATA "/images/imagenet_val_650", R_OK) != 0)
        cr_skip_test("no real photos at " BCAM_SHARED_DATA);
    bcam_list *list;
    bcam_error err;
    bcam_item item;
    char last[300] = "";
    int count = 0;
    cr_assert_eq(bcam_list_open((const char *[]){BCAM_SHARED_DATA "/images/imagenet_val_650"}, 1, &list, &err),
                 BCAM_OK);
    for (; advance(list, &item); count++) {
        cr_assert_lt(strcmp(last, item.shown), 0);
        snprintf(last, sizeof(last), "%s", item.shown);
    }
    cr_expect_eq(count, 650);
    cr_expect_eq(bcam_list_get_counts(list)->left_out_type, 2); /* labels.csv, boxes.csv */
    bcam_list_close(&list);
}
