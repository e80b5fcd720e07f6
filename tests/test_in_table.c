/* Tables and class names. */
#include "in_fixture.h"

static bcam_status read_table(const char *dir, const char *text, bcam_table *out, bcam_error *err)
{
    return bcam_table_read(write_text(dir, "table.csv", text), ',', out, err);
}

Test(in_table, rfc_4180)
{
    const char *dir = temp_dir();
    bcam_table t;
    bcam_error err;
    cr_assert_eq(read_table(dir,
                            "a,b,c\r\n\"x, y\",\"say \"\"hi\"\"\",\r\n\n\"over\ntwo lines\"\n\"\"\nlast,it's \"fine\"",
                            &t, &err),
                 BCAM_OK, "%s", err.message);
    cr_assert_eq(t.rows, 5);
    static const size_t cells[] = {3, 3, 1, 1, 2}, lines[] = {1, 2, 4, 6, 7};
    for (size_t r = 0; r < 5; r++) {
        cr_expect_eq(t.cells[r], cells[r]);
        cr_expect_eq(t.line[r], lines[r]);
    }
    cr_expect_str_eq(t.cell[1][0], "x, y");
    cr_expect_str_eq(t.cell[1][1], "say \"hi\"");
    cr_expect_str_eq(t.cell[1][2], "");
    cr_expect_str_eq(t.cell[2][0], "over\ntwo lines");
    cr_expect_str_eq(t.cell[3][0], "");
    cr_expect_str_eq(t.cell[4][1], "it's \"fine\"");
    bcam_table_fini(&t);
    cr_assert_eq(read_table(dir, "\r\n\n\xEF\xBB\xBF", &t, &err), BCAM_OK);
    bcam_table_fini(&t);
    cr_assert_eq(read_table(dir, "", &t, &err), BCAM_OK);
    cr_expect_eq(t.rows, 0);
    bcam_table_fini(&t);
    remove_dir(dir);
    cr_expect_eq(bcam_alloc_live(), 0);
}

/** Random cells, written with quotes where needed, come back as they were. */
Test(in_table, what_is_written_is_read)
{
    const char *dir = temp_dir();
    static const char letters[] = "ab,\"\n\r '";
    uint64_t seed = 11;
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 200; round++) {
        char text[4096] = "", cells[6][4][12];
        size_t used = 0;
        for (int r = 0; r < 6; r++)
            for (int c = 0; c < 4; c++) {
                size_t length = bcam_random(&seed) % 6;
                for (size_t i = 0; i < length; i++)
                    cells[r][c][i] = letters[bcam_random(&seed) % (sizeof(letters) - 1)];
                cells[r][c][length] = 0;
                bool quoted = strpbrk(cells[r][c], ",\"\n\r") != NULL;
                used += (size_t)sprintf(text + used, "%s", quoted ? "\"" : "");
                for (const char *p = cells[r][c]; *p; p++)
                    used += (size_t)sprintf(text + used, *p == '"' ? "\"\"" : "%c", *p);
                used += (size_t)sprintf(text + used, "%s%s", quoted ? "\"" : "", c < 3 ? "," : r % 2 ? "\n" : "\r\n");
            }
        bcam_table t;
        bcam_error err;
        cr_assert_eq(read_table(dir, text, &t, &err), BCAM_OK, "%s\n%s", err.message, text);
        cr_assert_eq(t.rows, 6, "%s", text);
        for (int r = 0; r < 6; r++)
            for (int c = 0; c < 4; c++)
                cr_assert_str_eq(t.cell[r][c], cells[r][c]);
        bcam_table_fini(&t);
    }
    remove_dir(dir);
}

static bcam_status read_names(const char *dir, const char *text, bcam_names *out, bcam_error *err)
{
    return bcam_names_read(write_text(dir, "names.txt", text), out, err);
}

Test(in_names, lines)
{
    const char *dir = temp_dir();
    bcam_names n;
    bcam_error err;
    cr_assert_eq(
        read_names(
            dir,
            "\xEF\xBB\xBF"
            "n01440764 tench, Tinca tinca\r\nn01443537\n  Crane \ncrane, machine\nn0144 odd\n7\nCRANE BIRD\n\n\n",
            &n, &err),
        BCAM_OK, "%s", err.message);
    static const char *const names[] = {"tench, Tinca tinca", "n01443537", "Crane",     "crane, machine",
                                        "n0144 odd",          "7",         "CRANE BIRD"};
    cr_assert_eq(n.count, BCAM_COUNT(names));
    for (size_t i = 0; i < n.count; i++)
        cr_expect_str_eq(n.name[i], names[i]);
    cr_expect_str_eq(n.synset[0], "n01440764");
    cr_expect_str_eq(n.synset[1], "n01443537");
    cr_expect_null(n.synset[4]);
    static const struct {
        const char *text;
        int found;
    } cases[] = {{"tench, Tinca tinca", 0},
                 {"tench", 0},
                 {"TENCH", 0},
                 {"Tinca tinca", -1},
                 {"n01440764", 0},
                 {"n01443537", 1},
                 {"Crane", 2},
                 {"crane", 2},
                 {"crane, machine", 3},
                 {"crane bird", 6},
                 {"7", 5},
                 {"6", 6},
                 {"0", 0},
                 {"8", -1},
                 {"-1", -1},
                 {"99999999999", -1},
                 {"", -1},
                 {"ten", -1}};
    for (size_t i = 0; i < BCAM_COUNT(cases); i++)
        cr_expect_eq(bcam_names_find(&n, cases[i].text), cases[i].found, "%s is %d", cases[i].text,
                     bcam_names_find(&n, cases[i].text));
    bcam_names_fini(&n);
    cr_expect_eq(read_names(dir, "a\n\nb\n", &n, &err), BCAM_E_INPUT);
    cr_expect_not_null(strstr(err.message, "line 2"), "%s", err.message);
    cr_expect_eq(read_names(dir, "", &n, &err), BCAM_E_INPUT);
    cr_expect_eq(read_names(dir, "\n \n", &n, &err), BCAM_E_INPUT);
    remove_dir(dir);
    cr_expect_eq(bcam_alloc_live(), 0);
}

Test(in_names, json)
{
    const char *dir = temp_dir();
    bcam_names n;
    bcam_error err;
    static const char *const good[] = {"{\"1\":\"dog\",\"0\":\"cat\"}", "[\"cat\",\"dog\"]",
                                       "{\"model_type\":\"x\",\"id2label\":{\"0\":\"cat\",\"1\":\"dog\"}}",
                                       "{\"0\":[\"n00000001\",\"cat\"],\"1\":[\"n00000002\",\"dog\"]}",
                                       "{\"label_names\":[\"n00000001\",\"n00000002\"],\"label_descriptions\":{"
                                       "\"n00000001\":\"cat\",\"n00000002\":\"dog\"}}"};
    for (size_t i = 0; i < BCAM_COUNT(good); i++) {
        cr_assert_eq(read_names(dir, good[i], &n, &err), BCAM_OK, "%s", err.message);
        cr_assert_eq(n.count, 2);
        cr_expect_str_eq(n.name[0], "cat");
        cr_expect_str_eq(n.name[1], "dog");
        if (i >= 3)
            cr_expect_eq(bcam_names_find(&n, "n00000002"), 1);
        bcam_names_fini(&n);
    }
    static const char *const bad[] = {"{}",
                                      "[]",
                                      "{\"0\":\"a\",\"2\":\"b\"}",
                                      "{\"0\":\"a\",\"0\":\"b\"}",
                                      "{\"0\":1}",
                                      "[1]",
                                      "{\"id2label\":7}",
                                      "[\"a\"",
                                      "{\"-0\":\"a\"}",
                                      "{\"0x0\":\"a\"}"};
    for (size_t i = 0; i < BCAM_COUNT(bad); i++) {
        cr_expect_eq(read_names(dir, bad[i], &n, &err), BCAM_E_INPUT, "%s", bad[i]);
        cr_expect_null(n.name);
    }
    remove_dir(dir);
    cr_expect_eq(bcam_alloc_live(), 0);
}

Test(in_names, memory_shortage_loses_nothing)
{
    const char *dir = temp_dir();
    const char *texts[] = {"n01440764 tench\ncat\n", "{\"0\":[\"n00000001\",\"cat\"]}",
                           "{\"label_names\":[\"n00000001\"],\"label_descriptions\":{\"n00000001\":\"cat\"}}"};
    for (size_t i = 0; i < BCAM_COUNT(texts); i++) {
        const char *path = write_text(dir, "names.json", texts[i]);
        for (int64_t nth = 1; nth < 20; nth++) {
            bcam_names n;
            bcam_error err;
            bcam_alloc_fail_at(nth, false);
            bcam_status status = bcam_names_read(path, &n, &err);
            bcam_alloc_fail_at(0, false);
            cr_expect(status == BCAM_OK || status == BCAM_E_MEMORY, "%s: %s", texts[i], err.message);
            bcam_names_fini(&n);
            cr_expect_eq(bcam_alloc_live(), 0);
        }
    }
    remove_dir(dir);
}

Test(in_names, real_files)
{
    if (access(BCAM_SHARED_DATA "/labels", R_OK) != 0)
        cr_skip_test("no real class names at " BCAM_SHARED_DATA);
    static const struct {
        const char *file;
        size_t count;
        const char *text;
        int found;
    } cases[] = {{"imagenet1000_synset_words.txt", 1000, "great white shark", 2},
                 {"imagenet_classes.txt", 1000, "tench", 0},
                 {"imagenet1001_coral_labels.txt", 1001, "goldfish", 2},
                 {"cifar10.txt", 10, "Bird", 2}};
    for (size_t i = 0; i < BCAM_COUNT(cases); i++) {
        bcam_names n;
        bcam_error err;
        char path[600];
        snprintf(path, sizeof(path), BCAM_SHARED_DATA "/labels/%s", cases[i].file);
        cr_assert_eq(bcam_names_read(path, &n, &err), BCAM_OK, "%s", err.message);
        cr_expect_eq(n.count, cases[i].count, "%s: %zu", cases[i].file, n.count);
        cr_expect_eq(bcam_names_find(&n, cases[i].text), cases[i].found, "%s", cases[i].file);
        bcam_names_fini(&n);
    }
}
