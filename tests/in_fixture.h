/* in_fixture.h - tab-separated goldens, temporary folders and files, for the tests of src/in. */
#ifndef BCAM_TESTS_IN_FIXTURE_H
#define BCAM_TESTS_IN_FIXTURE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "in/in.h"

#define GOLDEN BCAM_TEST_DATA "/golden_in/"
#define PILLOW_PIXELS 89478485

/** Rows of a golden table; lines that begin with # are left out. */
typedef struct golden {
    bcam_table table;
    size_t row;
} golden;

static inline golden golden_open(const char *name)
{
    golden g = {.row = 0};
    bcam_error err;
    char path[512];
    snprintf(path, sizeof(path), GOLDEN "%s", name);
    cr_assert_eq(bcam_table_read(path, '\t', &g.table, &err), BCAM_OK, "%s", err.message);
    cr_assert_gt(g.table.rows, 10, "%s is short", name);
    return g;
}

/** The cells of the next row, or NULL. */
static inline char **golden_next(golden *g, size_t cells)
{
    while (g->row < g->table.rows && g->table.cell[g->row][0][0] == '#')
        g->row++;
    if (g->row == g->table.rows)
        return NULL;
    cr_assert_eq(g->table.cells[g->row], cells, "row %zu has %zu cells", g->row, g->table.cells[g->row]);
    return g->table.cell[g->row++];
}

static inline bool hash_is(const void *data, size_t bytes, const char *expected)
{
    char hash[65];
    bcam_sha256_hex(data, bytes, hash);
    return strcmp(hash, expected) == 0;
}

/** A new folder for one test. */
static inline const char *temp_dir(void)
{
    static char path[256];
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof(path), "%s/batchcam-XXXXXX", base && *base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(path));
    return path;
}

static inline void remove_dir(const char *path)
{
    char command[400];
    snprintf(command, sizeof(command), "rm -rf '%s'", path);
    cr_assert_eq(system(command), 0);
}

/** dir/name, in one of four buffers. */
static inline const char *in_dir(const char *dir, const char *name)
{
    static char paths[4][600];
    static int at;
    char *path = paths[at++ % 4];
    snprintf(path, 600, "%s/%s", dir, name);
    return path;
}

static inline const char *write_file(const char *dir, const char *name, const void *data, size_t bytes)
{
    const char *path = in_dir(dir, name);
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file, "%s", path);
    cr_assert_eq(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
    return path;
}

static inline const char *write_text(const char *dir, const char *name, const char *text)
{
    return write_file(dir, name, text, strlen(text));
}

#endif
