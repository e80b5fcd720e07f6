/*
 * index.c - index.sqlite. The only file that knows SQLite.
 *
 * One transaction holds about a second's items. While it is open readers see the state before it; the journal
 * is a rollback journal, so that a finished run has the one file and nothing beside it. A transaction is
 * committed only when the shards' bytes are on disk (`durable`). The tables' indexes are made at the end: kept up
 * meanwhile they make a row cost more the more rows there are (43 us a photo in place of 10 over 300,000).
 */
#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "out/writer.h"

#define WAIT_MS 2000       /* for a reader, at a commit that can as well be made a second later */
#define LAST_WAIT_MS 60000 /* for a reader, at the last one */

enum { BEGIN, COMMIT, IMAGE, PREDICTION, MAP, STATEMENT_COUNT };

static const char *const statements[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [IMAGE] = "INSERT INTO images VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
    [PREDICTION] = "INSERT INTO predictions VALUES(?,?,?,?,?)",
    [MAP] = "INSERT INTO maps VALUES(NULL,?,?,?,?,?,?,?,?,?,?,?)",
};

/* Names and columns are a promise to users (docs/formats.md): columns are added, never renamed. */
/* clang-format off */
static const char schema[] =
    "PRAGMA application_id=1650680173;" /* "bcam" */
    "PRAGMA user_version=1;"
    "BEGIN;"
    "CREATE TABLE classes(id INTEGER PRIMARY KEY, name TEXT NOT NULL);"
    "CREATE TABLE images(id INTEGER PRIMARY KEY, path TEXT NOT NULL, outcome TEXT NOT NULL, message TEXT NOT NULL,"
    " width INTEGER, height INTEGER, orientation INTEGER, crop_x REAL, crop_y REAL, crop_w REAL, crop_h REAL,"
    " label INTEGER);"
    "CREATE TABLE predictions(image_id INTEGER NOT NULL REFERENCES images(id), rank INTEGER NOT NULL,"
    " class INTEGER NOT NULL, logit REAL, probability REAL, PRIMARY KEY(image_id, rank)) WITHOUT ROWID;"
    "CREATE TABLE maps(id INTEGER PRIMARY KEY, image_id INTEGER NOT NULL REFERENCES images(id), layer TEXT NOT NULL,"
    " method TEXT NOT NULL, class INTEGER NOT NULL, outcome TEXT NOT NULL, logit REAL, probability REAL,"
    " raw_min REAL, raw_max REAL, file TEXT NOT NULL, row INTEGER NOT NULL);"
    "COMMIT;";

/* All or none; readers wait meanwhile. What is sorted goes to a temporary file, however much it is. */
static const char indexes[] =
    "PRAGMA cache_spill=ON;"
    "BEGIN;"
    "CREATE INDEX images_path ON images(path);"
    "CREATE INDEX images_outcome ON images(outcome);"
    "CREATE INDEX images_label ON images(label);"
    "CREATE INDEX predictions_class ON predictions(class, rank);"
    "CREATE INDEX maps_image ON maps(image_id);"
    "CREATE INDEX maps_class ON maps(class, layer, method);"
    "CREATE INDEX maps_outcome ON maps(outcome);"
    "CREATE UNIQUE INDEX maps_place ON maps(file, row);"
    "COMMIT;";
/* clang-format on */

typedef struct table { /* the state of this writer */
    bcam_out_shared *shared;
    char *path;
    sqlite3 *db;
    sqlite3_stmt *statement[STATEMENT_COUNT];
    bool warned; /* that a reader holds up a commit */
} table;

static bcam_status fail(const table *self, int code, bcam_error *err)
{
    const char *text = self->db ? sqlite3_errmsg(self->db) : sqlite3_errstr(code);
    int error = self->db ? sqlite3_system_errno(self->db) : 0; /* SQLite does not always keep it */
    error = error ? error : errno;
    if (code == SQLITE_READONLY_DBMOVED)
        return bcam_disk_lost(err, self->path);
    switch (code & 0xFF) {
    case SQLITE_NOMEM:
        return bcam_fail(err, BCAM_E_MEMORY, "SQLite ran out of memory while writing '%s'", self->path);
    case SQLITE_FULL:
        return bcam_disk_fail(err, "write", self->path, ENOSPC);
    case SQLITE_BUSY:
        return bcam_fail(err, BCAM_E_IO,
                         "cannot write '%s': another program has been reading it for a minute without end; close that "
                         "program, then run again",
                         self->path);
    case SQLITE_CONSTRAINT:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
        return bcam_fail(err, BCAM_E_INTERNAL, "cannot write '%s': %s; please report this", self->path, text);
    default:
        if (bcam_disk_is_full(error))
            return bcam_disk_fail(err, "write", self->path, error);
        return bcam_fail(err, BCAM_E_IO, "cannot write '%s': %s; check the disk and the folder's permissions",
                         self->path, text);
    }
}

static int step(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    int reset = sqlite3_reset(statement);
    return code == SQLITE_DONE || code == SQLITE_ROW ? reset : code;
}

/* File names are bytes: what is no UTF-8 is stored as a BLOB, so that it comes back as it was. */
static int bind_name(sqlite3_stmt *statement, int column, const char *name)
{
    if (bcam_utf8_valid(name))
        return sqlite3_bind_text(statement, column, name, -1, SQLITE_STATIC);
    return sqlite3_bind_blob(statement, column, name, (int)strlen(name), SQLITE_STATIC);
}

static int bind_number(sqlite3_stmt *statement, int column, int64_t value, bool known)
{
    return known ? sqlite3_bind_int64(statement, column, value) : sqlite3_bind_null(statement, column);
}

static int bind_real(sqlite3_stmt *statement, int column, double value, bool known)
{
    return known && !isnan(value) ? sqlite3_bind_double(statement, column, value)
                                  : sqlite3_bind_null(statement, column);
}

/* ---- making and opening ---- */

static int add_classes(sqlite3 *db, const bcam_out_settings *settings)
{
    sqlite3_stmt *insert = NULL;
    int code = sqlite3_prepare_v2(db, "INSERT INTO classes VALUES(?,?)", -1, &insert, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    for (int i = 0; code == SQLITE_OK && i < settings->class_count; i++) {
        char number[16];
        sqlite3_bind_int(insert, 1, i);
        code = bind_name(insert, 2, bcam_out_class_name(settings, i, number));
        if (code == SQLITE_OK)
            code = step(insert);
    }
    if (code == SQLITE_OK)
        code = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    sqlite3_finalize(insert);
    return code;
}

static int open_database(table *self, const char *path, int flags)
{
    int code = sqlite3_open_v2(path, &self->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) {
        sqlite3_extended_result_codes(self->db, 1);
        sqlite3_busy_timeout(self->db, WAIT_MS);
        /* No spilling: a transaction that outgrows the cache would lock readers out before its commit. Between commits little
         * is kept: the pages that come next are new, or too many to be kept. */
        code = sqlite3_exec(
            self->db,
            "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL; PRAGMA cache_spill=OFF; PRAGMA cache_size=-512;",
            NULL, NULL, NULL);
    }
    return code;
}

/* The file gets its name when its tables are there. */
static bcam_status make_database(table *self, bcam_error *err)
{
    char *temporary = bcam_format("%s.tmp", self->path);
    if (!temporary)
        return bcam_fail_memory(err, strlen(self->path), "a file name");
    bcam_status status = BCAM_OK;
    int code = open_database(self, temporary, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (code == SQLITE_OK)
        code = sqlite3_exec(self->db, schema, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = add_classes(self->db, self->shared->settings);
    if (code != SQLITE_OK)
        status = fail(self, code, err);
    sqlite3_close(self->db);
    self->db = NULL;
    if (status == BCAM_OK && rename(temporary, self->path) != 0)
        status = bcam_disk_fail(err, "make", self->path, errno);
    if (status == BCAM_OK)
        status = bcam_disk_sync_dir(self->shared->settings->dir, err);
    else
        unlink(temporary);
    bcam_free(temporary);
    return status;
}

static void index_close(void *state)
{
    table *self = state;
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(self->statement[i]);
    sqlite3_close(self->db); /* rolls back what is not committed */
    bcam_free(self->path);
    bcam_free(self);
}

static bcam_status index_open(bcam_out_shared *shared, void **state, bcam_error *err)
{
    table *self = bcam_alloc(1, sizeof *self);
    if (!self)
        return bcam_fail_memory(err, sizeof *self, "the index writer");
    *state = self;
    self->shared = shared;
    self->path = bcam_path_join(shared->settings->dir, "index.sqlite");
    if (!self->path)
        return bcam_fail_memory(err, strlen(shared->settings->dir), "a file name");
    bcam_status status = make_database(self, err);
    if (status != BCAM_OK)
        return status;
    int code = open_database(self, self->path, SQLITE_OPEN_READWRITE);
    for (int i = 0; code == SQLITE_OK && i < STATEMENT_COUNT; i++)
        code = sqlite3_prepare_v2(self->db, statements[i], -1, &self->statement[i], NULL);
    return code == SQLITE_OK ? BCAM_OK : fail(self, code, err);
}

/* ---- rows ---- */

static int write_image(table *self, const bcam_out_item *item)
{
    sqlite3_stmt *s = self->statement[IMAGE];
    bool size_known = item->width > 0 && item->height > 0, crop_known = item->crop_w > 0 && item->crop_h > 0;
    const double crop[4] = {item->crop_x, item->crop_y, item->crop_w, item->crop_h};
    sqlite3_bind_int64(s, 1, item->id);
    int code = bind_name(s, 2, item->path);
    if (code == SQLITE_OK)
        code = bind_name(s, 3, item->outcome);
    if (code == SQLITE_OK)
        code = bind_name(s, 4, item->message ? item->message : "");
    bind_number(s, 5, item->width, size_known);
    bind_number(s, 6, item->height, size_known);
    bind_number(s, 7, item->orientation, item->orientation > 0);
    for (int i = 0; i < 4; i++)
        bind_real(s, 8 + i, crop[i], crop_known);
    bind_number(s, 12, item->label, item->label >= 0);
    return code == SQLITE_OK ? step(s) : code;
}

static int write_predictions(table *self, const bcam_out_item *item)
{
    sqlite3_stmt *s = self->statement[PREDICTION];
    int code = SQLITE_OK;
    for (int i = 0; code == SQLITE_OK && i < item->prediction_count; i++) {
        const bcam_out_prediction *p = &item->predictions[i];
        sqlite3_bind_int64(s, 1, item->id);
        sqlite3_bind_int(s, 2, i);
        sqlite3_bind_int(s, 3, p->class_id);
        bind_real(s, 4, p->logit, true);
        bind_real(s, 5, p->probability, true);
        code = step(s);
    }
    return code;
}

static int write_map(table *self, int64_t image, const bcam_out_map *map, const bcam_out_place *place)
{
    sqlite3_stmt *s = self->statement[MAP];
    char file[BCAM_OUT_FILE];
    bcam_out_shard_file(place->stem, place->shard, file);
    sqlite3_bind_int64(s, 1, image);
    int code = bind_name(s, 2, map->layer);
    if (code == SQLITE_OK)
        code = bind_name(s, 3, map->method);
    sqlite3_bind_int(s, 4, map->class_id);
    bind_name(s, 5, bcam_out_map_outcome(map->outcome));
    bind_real(s, 6, map->logit, true);
    bind_real(s, 7, map->probability, true);
    bind_real(s, 8, map->raw_min, true);
    bind_real(s, 9, map->raw_max, true);
    if (code == SQLITE_OK)
        code = bind_name(s, 10, file);
    sqlite3_bind_int64(s, 11, place->row);
    code = code == SQLITE_OK ? step(s) : code;
    sqlite3_clear_bindings(s); /* `file` ends here */
    return code;
}

/* All rows of a photo or none: what fails here takes those since the last commit with it, as a commit that fails does. */
static bcam_status index_write(void *state, const bcam_out_item *item, bcam_error *err)
{
    table *self = state;
    int code = sqlite3_get_autocommit(self->db) ? step(self->statement[BEGIN]) : SQLITE_OK;
    if (code != SQLITE_OK)
        return fail(self, code, err);
    code = write_image(self, item);
    if (code == SQLITE_OK)
        code = write_predictions(self, item);
    for (int i = 0; code == SQLITE_OK && i < item->map_count; i++)
        if (item->maps[i].outcome != BCAM_MAP_NONE)
            code = write_map(self, item->id, &item->maps[i], &self->shared->places[i]);
    if (code == SQLITE_OK)
        return BCAM_OK;
    bcam_status status = fail(self, code, err);
    if (!sqlite3_get_autocommit(self->db))
        sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* ---- commits ---- */

/* SQLite goes on writing into a file that was removed. */
static bool is_lost(const table *self)
{
    return access(self->path, F_OK) != 0 && errno == ENOENT;
}

static bcam_status index_sync(void *state, bcam_error *err)
{
    table *self = state;
    if (is_lost(self))
        return bcam_disk_lost(err, self->path);
    if (sqlite3_get_autocommit(self->db) || !self->shared->durable)
        return BCAM_OK;
    int code = step(self->statement[COMMIT]);
    if ((code & 0xFF) == SQLITE_BUSY) { /* a reader is at it; the transaction stays open and is committed later */
        if (!self->warned)
            bcam_log_line(&self->shared->settings->log, BCAM_LOG_WARNING,
                          "'%s' is being read; new rows appear there when the reader is done", self->path);
        self->warned = true;
        return BCAM_OK;
    }
    return code == SQLITE_OK ? BCAM_OK : fail(self, code, err);
}

static bcam_status commit_last(table *self, bcam_error *err)
{
    if (sqlite3_get_autocommit(self->db))
        return BCAM_OK;
    if (!self->shared->durable || is_lost(self)) { /* the bytes did not reach the disk: their rows must not either */
        sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
        return BCAM_OK;
    }
    int code = step(self->statement[COMMIT]);
    if (code == SQLITE_OK)
        return BCAM_OK;
    bcam_status status = fail(self, code, err);
    sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* Without them questions take longer, and nothing else: a disk that is full by now, or a reader that does not end, is no failure of the run. */
static void make_indexes(table *self)
{
    bcam_error why = {0};
    int code = sqlite3_exec(self->db, indexes, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        return;
    fail(self, code, &why);
    bcam_log_line(&self->shared->settings->log, BCAM_LOG_WARNING,
                  "'%s' was left without its indexes, so that questions to it take longer: %s", self->path,
                  why.message);
    sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
}

static bcam_status index_finish(void *state, bcam_error *err)
{
    table *self = state;
    sqlite3_busy_timeout(self->db, LAST_WAIT_MS);
    bcam_status status = commit_last(self, err);
    if (status == BCAM_OK && !is_lost(self))
        make_indexes(self);
    return status;
}

const bcam_writer bcam_index_writer = {"index", index_open, index_write, index_sync, index_finish, index_close};

const char *bcam_sqlite_version(void)
{
    return "SQLite " SQLITE_VERSION;
}
