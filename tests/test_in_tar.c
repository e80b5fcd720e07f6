/* Archives in WebDataset's layout: samples, labels before and behind their photos, names of all kinds, archives that are packed, cut off, damaged,
 * and memory that runs out. */
#include "in_fixture.h"
#include "seed.h"
#include "tar_build.h"

enum { MOST_ITEMS = 400 };

typedef struct got {
    char shown[400], label[40]; /* "-": none */
    char data[64];
    size_t bytes;
} got;

static got items[MOST_ITEMS];
static int item_count;
static bcam_list_counts counts;

/** Reads everything; what it ends with. */
static bcam_status read_all(const char *path, bool skim, bcam_error *err)
{
    bcam_list *list = NULL;
    bcam_item item;
    bool end = false;
    memset(err, 0, sizeof *err);
    bcam_status status = bcam_list_open(&path, 1, &list, err);
    if (list && skim)
        bcam_list_skim(list);
    for (item_count = 0; status == BCAM_OK;) {
        memset(&item, 0xee, sizeof item);
        status = bcam_list_next(list, &item, &end, err);
        if (status != BCAM_OK || end)
            break;
        cr_assert(item_count < MOST_ITEMS && !item.path && *item.folder == '\0');
        got *g = &items[item_count++];
        memset(g, 0, sizeof *g);
        snprintf(g->shown, sizeof g->shown, "%s", item.shown);
        snprintf(g->label, sizeof g->label, "%s", item.label ? item.label : "-");
        g->bytes = item.bytes;
        if (item.data)
            memcpy(g->data, item.data, item.bytes < sizeof g->data ? item.bytes : sizeof g->data);
    }
    if (list)
        counts = *bcam_list_get_counts(list);
    bcam_list_close(&list);
    cr_assert_eq(bcam_alloc_live(), 0);
    return status;
}

/** The archive as "shown|label|bytes" lines. */
static const char *listed(const char *dir, const tar_file *tar)
{
    static char out[1 << 16];
    bcam_error err;
    size_t used = 0;
    const char *path = in_dir(dir, "x.tar");
    tar_write(path, tar, tar->size);
    cr_assert_eq(read_all(path, false, &err), BCAM_OK, "%s", err.message);
    out[0] = 0;
    for (int i = 0; i < item_count; i++)
        used += (size_t)snprintf(out + used, sizeof out - used, "%s|%s|%s\n", items[i].shown, items[i].label,
                                 items[i].data);
    return out;
}

Test(in_tar, labels_before_and_behind)
{
    const char *dir = temp_dir();
    tar_file tar = {0};
    static const char *const members[][2] = {{"a.jpg", "A"},
                                             {"a.cls", "3\n"}, /* behind */
                                             {"b.cls", " cat "},
                                             {"b.JPG", "B"}, /* before */
                                             {"c.png", "C"}, /* none */
                                             {"d.json", "{\"label\": 5, \"cls\": 6}"},
                                             {"d.jpeg", "D"}, /* a number */
                                             {"e.jpg", "E"},
                                             {"e.json", "{\"cls\": \"dog\"}"}, /* a text, in the other field */
                                             {"f.json", "{\"label\": 1}"},
                                             {"f.cls", "2"},
                                             {"f.jpg", "F"}, /* .cls before .json */
                                             {"g.cls", "2"},
                                             {"g.json", "{\"label\": 1}"},
                                             {"g.jpg", "G"},
                                             {"h.jpg", "H"},
                                             {"h.json", "{\"label\": "}, /* no JSON, or nothing in it */
                                             {"i.jpg", "I"},
                                             {"i.json", "[1]"},
                                             {"j.jpg", "J"},
                                             {"j.cls", "  \n"},
                                             {"k.left.jpg", "K"},
                                             {"k.right.jpg", "k"},
                                             {"k.cls", "9"}, /* two photos of a sample */
                                             {"x/l.jpg", "L"},
                                             {"y/l.cls", "9"}, /* of another key */
                                             {"m.jpg", "M"},
                                             {"m.seg.cls", "9"}, /* not that extension */
                                             {"./n.v2.x/o.jpg", "O"},
                                             {"./n.v2.x/o.CLS", "11"}, /* dots of folders are no dots */
                                             {"p.cls", "1"},
                                             {"q.jpg", "Q"}, /* a label without a photo */
                                             {"c.cls", "7"}, /* too far away */
                                             {"r.jpg", ""},
                                             {"r.cls", "12"}}; /* no bytes */
    for (size_t i = 0; i < BCAM_COUNT(members); i++)
        tar_put_text(&tar, members[i][0], members[i][1]);
    tar_end(&tar);
    cr_expect_str_eq(listed(dir, &tar), "a.jpg|3|A\nb.JPG|cat|B\nc.png|-|C\nd.jpeg|5|D\ne.jpg|dog|E\nf.jpg|2|F\n"
                                        "g.jpg|2|G\nh.jpg|-|H\ni.jpg|-|I\nj.jpg|-|J\nk.left.jpg|9|K\nk.right.jpg|9|k\n"
                                        "x/l.jpg|-|L\nm.jpg|-|M\n./n.v2.x/o.jpg|11|O\nq.jpg|-|Q\nr.jpg|12|\n");
    cr_expect_eq(counts.left_out_type, 1); /* m.seg.cls */
    tar_fini(&tar);
    remove_dir(dir);
}

Test(in_tar, what_is_left_out_is_counted)
{
    const char *dir = temp_dir();
    tar_file tar = {0};
    tar_put_header(&tar, "folder/", '5', "", 0);
    tar_put_header(&tar, "folder.jpg", '5', "", 0);
    tar_put_header(&tar, "link.jpg", '2', "a.jpg", 0);
    tar_put_text(&tar, "a.jpg", "A");
    tar_put_header(&tar, "hard.jpg", '1', "a.jpg", 0);
    tar_put_header(&tar, "pipe.jpg", '6', "", 0);
    tar_put_header(&tar, "device.jpg", '3', "", 0);
    tar_put_text(&tar, "dir/.b.jpg", "B");
    tar_put_text(&tar, "__meta__", "x");
    tar_put_text(&tar, "__meta__/c.jpg", "C");
    tar_put_text(&tar, "d.txt", "D");
    tar_put_text(&tar, "jpg", "E");
    tar_put_text(&tar, "__/f.jpg", "F");
    tar_end(&tar);
    cr_expect_str_eq(listed(dir, &tar), "a.jpg|-|A\n__/f.jpg|-|F\n");
    cr_expect_eq(counts.left_out_special, 4, "%d", (int)counts.left_out_special);
    cr_expect_eq(counts.left_out_hidden, 3, "%d", (int)counts.left_out_hidden);
    cr_expect_eq(counts.left_out_type, 2, "%d", (int)counts.left_out_type);
    tar_fini(&tar);
    remove_dir(dir);
}

/* ---- random archives ---- */

/** Samples in random layouts, and what must come of them. */
static int make_random(tar_file *tar, uint64_t *seed, got *expected)
{
    int count = 0;
    for (int s = 0; s < 24; s++) {
        char key[400], name[420], data[64], label[40] = "-", text[80];
        int place = (int)(bcam_random(seed) % 4); /* of the label: none, before, behind, a .json behind */
        size_t deep = bcam_random(seed) % 3, at = 0;
        tar_style style = deep ? TAR_GNU + bcam_random(seed) % 2 : (tar_style)(bcam_random(seed) % 3);
        while (at < deep * 130)
            at += (size_t)snprintf(key + at, sizeof key - at, "fold\xC3\xA9r.%d/", (int)(bcam_random(seed) % 100));
        snprintf(key + at, sizeof key - at, "%04d", s);
        if (place)
            snprintf(label, sizeof label, "%d", (int)(bcam_random(seed) % 1000));
        snprintf(text, sizeof text, place == 3 ? "{\"x\": [], \"label\": %s}" : "%s\n", label);
        snprintf(name, sizeof name, "%s.%s", key, place == 3 ? "json" : "cls");
        if (place == 1)
            tar_put(tar, style, name, text, strlen(text));
        if (bcam_random(seed) % 4 == 0)
            tar_put_text(tar, "other.txt", "not a sample's");
        for (int p = 0, photos = 1 + (int)(bcam_random(seed) % 2); p < photos; p++) {
            got *g = &expected[count++];
            size_t bytes = bcam_random(seed) % (bcam_random(seed) % 2 ? 3000 : 64);
            char *photo = calloc(bytes + 1, 1);
            memset(g, 0, sizeof *g);
            snprintf(data, sizeof data, "%d of %s", p, key + at);
            memcpy(photo, data, strlen(data) < bytes ? strlen(data) : bytes);
            snprintf(g->shown, sizeof g->shown, "%s.%d.%s", key, p, p ? "PNG" : "jpeg");
            snprintf(g->label, sizeof g->label, "%s", label);
            g->bytes = bytes;
            memcpy(g->data, photo, bytes < sizeof g->data ? bytes : sizeof g->data);
            tar_put(tar, style, g->shown, photo, bytes);
            free(photo);
        }
        if (place > 1)
            tar_put(tar, style, name, text, strlen(text));
    }
    tar_end(tar);
    return count;
}

static void check_items(const got *expected, int count, const char *what)
{
    cr_assert_eq(item_count, count, "%s: %d photos, not %d", what, item_count, count);
    for (int i = 0; i < count; i++)
        cr_assert(memcmp(&items[i], &expected[i], sizeof *items) == 0, "%s: photo %d is %s|%s|%zu, not %s|%s|%zu", what,
                  i, items[i].shown, items[i].label, items[i].bytes, expected[i].shown, expected[i].label,
                  expected[i].bytes);
}

/** As a file, packed, twice in a row, through a pipe; with names alone. */
Test(in_tar, random_archives)
{
    static got expected[MOST_ITEMS];
    const char *dir = temp_dir();
    uint64_t seed = test_seed();
    bcam_error err;
    for (int round = 0; round < 6; round++) {
        tar_file tar = {0};
        char command[2000];
        int count = make_random(&tar, &seed, expected);
        const char *path = in_dir(dir, "x.tar");
        tar_write(path, &tar, tar.size);
        cr_assert_eq(read_all(path, false, &err), BCAM_OK, "%s", err.message);
        check_items(expected, count, "a file");

        snprintf(command, sizeof command, "gzip -c '%s' > '%s/x.Tar.GZ' && cat '%s' '%s' > '%s/twice.tar'", path, dir,
                 path, path, dir);
        cr_assert_eq(system(command), 0);
        cr_assert_eq(read_all(in_dir(dir, "x.Tar.GZ"), false, &err), BCAM_OK, "%s", err.message);
        check_items(expected, count, "gzip");

        memcpy(expected + count, expected, (size_t)count * sizeof *expected);
        cr_assert_eq(read_all(in_dir(dir, "twice.tar"), false, &err), BCAM_OK, "%s", err.message);
        check_items(expected, 2 * count, "two in a row");

        pid_t child = tar_pipe(&tar, tar.size);
        cr_assert_eq(read_all("-", false, &err), BCAM_OK, "%s", err.message);
        check_items(expected, count, "a pipe");
        waitpid(child, NULL, 0);

        for (int i = 0; i < count; i++) {
            memset(expected[i].data, 0, sizeof expected[i].data);
            memset(expected[i].label, 0, sizeof expected[i].label);
            expected[i].label[0] = '-';
        }
        cr_assert_eq(read_all(path, true, &err), BCAM_OK, "%s", err.message);
        check_items(expected, count, "names alone");
        cr_assert_eq(read_all("-", true, &err), BCAM_OK);
        cr_assert_eq(item_count, 0);
        tar_fini(&tar);
    }
    remove_dir(dir);
}

/** Cut at every block, and near: what came before is right, and what ends it is an error that names the archive, unless it ends between members. */
static void check_cut(const got *expected, int count, const char *name, bcam_status status, const bcam_error *err)
{
    cr_assert(status == BCAM_OK || status == BCAM_E_INPUT, "%d: %s", (int)status, err->message);
    cr_assert(status == BCAM_OK || strstr(err->message, name), "%s", err->message);
    cr_assert_leq(item_count, count);
    for (int i = 0; i < item_count; i++) {
        bool lost = strcmp(items[i].label, "-") == 0 && i >= item_count - 2; /* its label was cut off */
        cr_assert(strcmp(items[i].shown, expected[i].shown) == 0 && items[i].bytes == expected[i].bytes &&
                      memcmp(items[i].data, expected[i].data, sizeof items->data) == 0,
                  "%s", items[i].shown);
        cr_assert(lost || strcmp(items[i].label, expected[i].label) == 0, "%s has the label %s", items[i].shown,
                  items[i].label);
    }
}

Test(in_tar, cut_at_every_block, .timeout = 300)
{
    static got expected[MOST_ITEMS];
    const char *dir = temp_dir();
    uint64_t seed = test_seed();
    tar_file tar = {0};
    bcam_error err;
    int count = make_random(&tar, &seed, expected), errors = 0;
    for (size_t bytes = 0; bytes <= tar.size; bytes += bytes % TAR_BLOCK == 1 ? TAR_BLOCK - 1 : 1) {
        const char *path = in_dir(dir, "cut.tar");
        tar_write(path, &tar, bytes);
        bcam_status status = read_all(path, false, &err);
        check_cut(expected, count, "cut.tar", status, &err);
        errors += status != BCAM_OK;
        cr_assert(bytes % TAR_BLOCK == 0 || status != BCAM_OK || bytes >= tar.size - 1024, "%zu bytes", bytes);
        int photos = item_count;
        status = read_all(path, true, &err);
        cr_assert(status == BCAM_OK || counts.broken || photos == 0);
        cr_assert_geq(item_count, photos); /* names alone: where a file ends is seen later, if at all */
    }
    cr_assert_geq(errors, (int)(tar.size / TAR_BLOCK) - 2);
    pid_t child = tar_pipe(&tar, tar.size / 2 / TAR_BLOCK * TAR_BLOCK + 7);
    bcam_status status = read_all("-", false, &err);
    check_cut(expected, count, "standard input", status, &err);
    cr_assert_eq(status, BCAM_E_INPUT);
    waitpid(child, NULL, 0);
    tar_fini(&tar);
    remove_dir(dir);
}

/** Bytes changed anywhere: rows or errors, no more than that (see also the fuzz target). */
Test(in_tar, damage_anywhere, .timeout = 300)
{
    static got expected[MOST_ITEMS];
    const char *dir = temp_dir();
    uint64_t seed = test_seed();
    tar_file tar = {0};
    bcam_error err;
    make_random(&tar, &seed, expected);
    for (int round = 0; round < 500; round++) {
        size_t at = bcam_random(&seed) % tar.size;
        unsigned char before = tar.data[at];
        tar.data[at] = (unsigned char)bcam_random(&seed);
        tar_write(in_dir(dir, "x.tar"), &tar, tar.size);
        bcam_status status = read_all(in_dir(dir, "x.tar"), round % 4 == 0, &err);
        cr_assert(status == BCAM_OK || status == BCAM_E_INPUT, "%d: %s", (int)status, err.message);
        tar.data[at] = before;
    }
    tar_fini(&tar);
    remove_dir(dir);
}

/* ---- what will not do ---- */

static void expect_refused(const char *path, const char *word)
{
    bcam_error err;
    cr_expect_eq(read_all(path, false, &err), BCAM_E_INPUT, "%s", path);
    cr_expect(strstr(err.message, word) && strstr(err.message, bcam_path_base(path)), "%s", err.message);
}

Test(in_tar, errors_name_the_archive)
{
    const char *dir = temp_dir();
    tar_file tar = {0};
    expect_refused(write_text(dir, "text.tar", "this is no archive"), "cannot be read");
    expect_refused(write_text(dir, "empty.tgz", ""), "cannot be read");
    expect_refused(write_file(dir, "zip.tar", "PK\3\4\24\0\0\0\0\0", 10), "cannot be read");
    expect_refused(in_dir(dir, "nowhere.tar"), "No such file");
    tar_put_text(&tar, "a.jpg", "A");
    tar_put_text(&tar, "b.jpg", "B");
    tar_put_text(&tar, "b.Jpg", "B again");
    tar_end(&tar);
    tar_write(in_dir(dir, "twice.tar"), &tar, tar.size);
    expect_refused(in_dir(dir, "twice.tar"), "b.Jpg");
    cr_expect_eq(item_count, 2); /* what came before */
    cr_expect_not(counts.broken);
    bcam_list *list = NULL;
    bcam_error err;
    cr_expect_eq(bcam_list_open((const char *[]){"-", dir, "-"}, 3, &list, &err), BCAM_E_INPUT);
    cr_expect_not_null(strstr(err.message, "only once"), "%s", err.message);
    tar_fini(&tar);
    remove_dir(dir);
}

/** A member that says that it is huge costs no memory, and its photo says why it is not there. */
Test(in_tar, huge_members)
{
    const char *dir = temp_dir();
    tar_file tar = {0};
    bcam_error err;
    bcam_photo photo = {0};
    tar_put_header(&tar, "a.jpg", '0', "", 1ull << 31);
    tar_write(in_dir(dir, "x.tar"), &tar, tar.size);
    read_all(in_dir(dir, "x.tar"), false, &err);
    cr_assert_eq(item_count, 1);
    cr_expect_eq(items[0].bytes, 1ull << 31);
    bcam_photo_limits limits = {.max_pixels = 1000};
    cr_expect_eq(bcam_photo_decode(&photo, NULL, items[0].bytes, &limits), BCAM_OUTCOME_TOO_LARGE);
    cr_expect_str_eq(photo.message, "2147483648 bytes, more than the limit of 1073741824");
    cr_expect_eq(bcam_photo_decode(&photo, NULL, 100, &limits), BCAM_OUTCOME_UNREADABLE);
    cr_expect_not_null(strstr(photo.message, "out of memory"), "%s", photo.message);
    tar_put_header(&tar, "b.cls", '0', "", 1ull << 31); /* a label of two gigabytes is none */
    tar_write(in_dir(dir, "x.tar"), &tar, tar.size);
    read_all(in_dir(dir, "x.tar"), false, &err);
    tar_fini(&tar);
    remove_dir(dir);
}

/** Names with a number behind the first dot make one sample of all photos: they are not held until it ends. */
Test(in_tar, one_sample_of_all)
{
    const char *dir = temp_dir();
    tar_file tar = {0};
    bcam_error err;
    char name[40];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "img.%04d.jpg", i);
        tar_put_text(&tar, name, name);
    }
    tar_put_text(&tar, "img.cls", "7");
    tar_end(&tar);
    tar_write(in_dir(dir, "x.tar"), &tar, tar.size);
    cr_assert_eq(read_all(in_dir(dir, "x.tar"), false, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(item_count, 200);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "img.%04d.jpg", i);
        cr_expect(strcmp(items[i].shown, name) == 0 && strcmp(items[i].data, name) == 0);
        cr_expect_str_eq(items[i].label, i < 192 ? "-" : "7"); /* too late for those that are gone */
    }
    tar_fini(&tar);
    remove_dir(dir);
}

Test(in_tar, memory_shortage_loses_nothing)
{
    const char *dir = temp_dir();
    tar_file tar = {0};
    bcam_error err;
    tar_put_text(&tar, "a.jpg", "A");
    tar_put_text(&tar, "a.json", "{\"label\": \"x\"}");
    tar_put_text(&tar, "b.cls", "2");
    tar_put_text(&tar, "b.jpg", "a photo of more bytes");
    tar_end(&tar);
    const char *path = in_dir(dir, "x.tar");
    tar_write(path, &tar, tar.size);
    int finished = 0, refused = 0;
    for (int64_t nth = 1; nth < 40; nth++) {
        bcam_alloc_fail_at(nth, false);
        bcam_status status = read_all(path, false, &err);
        bcam_alloc_fail_at(0, false);
        cr_expect(status == BCAM_OK || status == BCAM_E_MEMORY, "allocation %d: %s", (int)nth, err.message);
        finished += status == BCAM_OK;
        refused += status != BCAM_OK;
    }
    cr_expect(finished > 0 && refused > 5, "%d, %d", finished, refused);
    tar_fini(&tar);
    remove_dir(dir);
}
