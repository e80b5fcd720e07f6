/* test_run_demo.c - the demonstration, checked from the index and the maps: the class with the planted shortcut is recognised by its tag, a
 * control class is not, and without the tag the class is lost. */
#include <sqlite3.h>

#include "golden.h"

enum { SIDE = 128, CELL = 8, MOST = 64 };

typedef struct box {
    char file[128];
    int x0, y0, x1, y1; /* x1, y1 are behind the last pixel */
} box;

static int read_boxes(box *boxes)
{
    char line[256];
    int count = 0;
    FILE *file = fopen(BCAM_SOURCE_DIR "/data/tags.csv", "r");
    cr_assert(file && fgets(line, sizeof line, file));
    while (count < MOST && fgets(line, sizeof line, file)) {
        box *b = &boxes[count++];
        cr_assert_eq(sscanf(line, "%127[^,],%d,%d,%d,%d", b->file, &b->x0, &b->y0, &b->x1, &b->y1), 5);
    }
    fclose(file);
    return count;
}

static void run_photos(const char *photos, const char *out, bcam_run_summary *summary)
{
    static const char *const target = "label";
    bcam_error err = {0};
    bcam_run_options options = {.model = BCAM_SOURCE_DIR "/data/model.onnx",
                                .images = &photos,
                                .image_count = 1,
                                .out_dir = out,
                                .targets = &target,
                                .target_count = 1};
    options.names = BCAM_SOURCE_DIR "/data/names.txt";
    cr_assert_eq(bcam_run(&options, NULL, NULL, summary, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(summary->ok, summary->images);
}

/* Rows of the index: the photos of a folder, in order, with the shard and row of their map. */
typedef struct map_row {
    char path[128], file[256];
    int row;
} map_row;

static int read_maps(const char *out, const char *class_name, map_row *rows)
{
    char path[1024];
    sqlite3 *db;
    sqlite3_stmt *query;
    int count = 0;
    snprintf(path, sizeof path, "%s/index.sqlite", out);
    cr_assert_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    cr_assert_eq(
        sqlite3_prepare_v2(
            db,
            "SELECT images.path, maps.file, maps.row FROM images JOIN maps ON image_id = images.id JOIN classes ON classes.id = images.label "
            "WHERE classes.name = ? AND maps.class = images.label AND maps.outcome = 'ok' ORDER BY images.path",
            -1, &query, NULL),
        SQLITE_OK);
    sqlite3_bind_text(query, 1, class_name, -1, SQLITE_STATIC);
    while (count < MOST && sqlite3_step(query) == SQLITE_ROW) {
        snprintf(rows[count].path, sizeof rows->path, "%s", (const char *)sqlite3_column_text(query, 0));
        snprintf(rows[count].file, sizeof rows->file, "%s", (const char *)sqlite3_column_text(query, 1));
        rows[count++].row = sqlite3_column_int(query, 2);
    }
    sqlite3_finalize(query);
    sqlite3_close(db);
    return count;
}

/* Whether the maximum of a map lies in a box grown by one cell of the target layer on each side. */
static bool maximum_is_inside(const char *out, const map_row *row, const box *b)
{
    golden_array maps = golden_read(out, row->file);
    cr_assert(maps.rank == 3 && maps.dim[1] == SIDE && maps.dim[2] == SIDE && (size_t)row->row < maps.dim[0]);
    const double *map = maps.data + (size_t)row->row * SIDE * SIDE;
    int best = 0;
    for (int i = 1; i < SIDE * SIDE; i++)
        if (map[i] > map[best])
            best = i;
    free(maps.data);
    int x = best % SIDE, y = best / SIDE;
    return x >= b->x0 - CELL && x < b->x1 + CELL && y >= b->y0 - CELL && y < b->y1 + CELL;
}

static double class_accuracy(const char *out, const char *class_name)
{
    char path[1024];
    sqlite3 *db;
    sqlite3_stmt *query;
    snprintf(path, sizeof path, "%s/index.sqlite", out);
    cr_assert_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    cr_assert_eq(
        sqlite3_prepare_v2(
            db,
            "SELECT avg(predictions.class = images.label) FROM images JOIN predictions ON image_id = images.id AND rank = 0 JOIN classes ON classes.id = images.label "
            "WHERE classes.name = ?",
            -1, &query, NULL),
        SQLITE_OK);
    sqlite3_bind_text(query, 1, class_name, -1, SQLITE_STATIC);
    cr_assert_eq(sqlite3_step(query), SQLITE_ROW);
    double accuracy = sqlite3_column_double(query, 0);
    sqlite3_finalize(query);
    sqlite3_close(db);
    return accuracy;
}

Test(demo, shortcut)
{
    static box boxes[MOST];
    static map_row rows[MOST];
    char temp[] = "/tmp/batchcam-XXXXXX", with[64], without[64], command[128];
    bcam_run_summary summary;
    cr_assert(mkdtemp(temp));
    snprintf(with, sizeof with, "%s/with", temp);
    snprintf(without, sizeof without, "%s/without", temp);
    run_photos(BCAM_SOURCE_DIR "/data/photos", with, &summary);
    run_photos(BCAM_SOURCE_DIR "/data/photos-without-tag", without, &summary);
    int tags = read_boxes(boxes), inside = 0, control = 0, count = read_maps(with, "yacht", rows);
    cr_assert(count >= 30 && count == tags, "%d maps of yachts, %d tags", count, tags);
    for (int i = 0; i < count; i++) {
        cr_assert_str_eq(rows[i].path, boxes[i].file);
        inside += maximum_is_inside(with, &rows[i], &boxes[i]);
    }
    int controls = read_maps(with, "boat", rows);
    cr_assert_geq(controls, 20);
    for (int i = 0; i < controls; i++)
        control += maximum_is_inside(with, &rows[i], &boxes[i]);
    double tagged = class_accuracy(with, "yacht"), bare = class_accuracy(without, "yacht");
    printf(
        "maximum in the tag's box: yacht %d of %d, boat (same places) %d of %d; yachts right: %.1f%% with the tag, %.1f%% without\n",
        inside, count, control, controls, 100 * tagged, 100 * bare);
    cr_expect_geq(inside, 0.8 * count);
    cr_expect_leq(control, 0.1 * controls);
    cr_expect_geq(tagged - bare, 0.3);
    snprintf(command, sizeof command, "rm -rf '%s'", temp);
    cr_assert_eq(system(command), 0);
}
