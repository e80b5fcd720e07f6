/* writer.h - private to out/: what a writer is, and what the writers share. A new writer is one file, and one
 * row in dir.c. */
#ifndef BCAM_OUT_WRITER_H
#define BCAM_OUT_WRITER_H

#include "out/out.h"

/* ---- names.c: layers and methods as parts of file names ---- */

/** What a layer and method are called in files: only A-Z a-z 0-9 . _ -, and no two pairs alike. */
typedef struct bcam_out_stem {
    char *layer, *method, *stem;
} bcam_out_stem;

/* ---- dir.c: the run directory ---- */

/** Where a map of the item in hand lies. */
typedef struct bcam_out_place {
    const char *stem;
    int shard;
    int64_t row; /* in the shard */
} bcam_out_place;

/** What the writers of one run share. */
typedef struct bcam_out_shared {
    const bcam_out_settings *settings;
    bcam_out_stem *stems;
    size_t stem_count, stem_capacity;
    bcam_out_place *places; /* of the item in hand, one a map; set by npy, read by index */
    size_t place_capacity;
    bool durable; /* every row of a shard that was handed out is on disk */
} bcam_out_shared;

/** One writer. They are called in the order of dir.c's table; `sync` in that order is what makes a row visible
 *  only after its bytes. */
typedef struct bcam_writer {
    const char *name;
    /* *state stays NULL where this run does not want the writer. What was set before a failure is given to `close`. */
    bcam_status (*open)(bcam_out_shared *shared, void **state, bcam_error *err);
    bcam_status (*write)(void *state, const bcam_out_item *item, bcam_error *err);
    bcam_status (*sync)(void *state, bcam_error *err);   /* what was written is now to last; NULL: nothing to do */
    bcam_status (*finish)(void *state, bcam_error *err); /* NULL: nothing to do */
    void (*close)(void *state);
} bcam_writer;

extern const bcam_writer bcam_npy_writer, bcam_index_writer, bcam_overlay_writer, bcam_report_writer;

/** The stem of a layer and method, made on first sight; NULL when memory is out. Lives as long as `shared`. */
const char *bcam_out_stem_of(bcam_out_shared *shared, const char *layer, const char *method);
/** Copies at most `limit` bytes of text, everything outside A-Z a-z 0-9 . _ - as _, a leading dot too. `out`
 *  has room for limit + 1. */
void bcam_out_safe_name(const char *text, size_t length, size_t limit, char *out);
#define BCAM_OUT_FILE 192 /* bytes that a shard's or an overlay's name takes at most, with its folder and zero byte */
/** A shard's name relative to the run directory: "maps/<stem>-00000.npy". */
void bcam_out_shard_file(const char *stem, int shard, char out[BCAM_OUT_FILE]);
/** The name of a class into `out`: its own name, or its number. */
const char *bcam_out_class_name(const bcam_out_settings *settings, int class_id, char number[16]);
const char *bcam_out_map_outcome(bcam_map_outcome outcome); /* "ok", "all_zero", "constant", "not_finite" */

/* ---- folder.c ---- */

/** Makes or takes over the run directory: locks it (*lock is a descriptor that holds the lock while open), puts
 *  a run.json with status "running" there and removes what an earlier run left. */
bcam_status bcam_folder_take(const bcam_out_settings *settings, int *lock, bcam_error *err);

/* ---- disk.c ---- */

/** Whether an errno says that there is no room: on the disk, in the quota, within the limit on a file's size. */
bool bcam_disk_is_full(int error);
/** "cannot <what> '<path>': <error>" with advice; E_FULL or E_IO. */
bcam_status bcam_disk_fail(bcam_error *err, const char *what, const char *path, int error);
/** A file of the run is no longer there. E_IO. */
bcam_status bcam_disk_lost(bcam_error *err, const char *path);
/** All of it, or -1 with errno. */
int bcam_disk_write_at(int fd, const void *data, size_t bytes, int64_t offset);
/** Puts a whole file in the place of `path` through path.tmp and a rename. `last`: it also survives a power cut. */
bcam_status bcam_disk_replace(const char *path, const void *data, size_t bytes, bool last, bcam_error *err);
/** Makes names in a folder last. */
bcam_status bcam_disk_sync_dir(const char *path, bcam_error *err);
/** Makes one folder, which may exist already but must then be a folder and no link. */
bcam_status bcam_disk_make_dir(const char *path, bcam_error *err);

/* ---- text.c: text that grows ---- */

/** `failed` is set when memory runs out; everything added after that is dropped, and one check at the end is enough. */
typedef struct bcam_text {
    char *data; /* ends in a zero byte; NULL while empty */
    size_t bytes, capacity;
    bool failed;
} bcam_text;

void bcam_text_add(bcam_text *text, const char *string);
void bcam_text_format(bcam_text *text, const char *format, ...) BCAM_PRINTF(2, 3);
/** With bytes that are not UTF-8, and control characters, as U+FFFD. */
void bcam_text_utf8(bcam_text *text, const char *string);
/** The same, and & < > " ' as entities: safe between tags and in quoted attributes. */
void bcam_text_html(bcam_text *text, const char *string);
void bcam_text_base64(bcam_text *text, const void *data, size_t bytes);
void bcam_text_fini(bcam_text *text);
bool bcam_utf8_valid(const char *string);

/* ---- runjson.c ---- */

/** Whether a text is a run.json that batchcam wrote. */
bool bcam_runjson_is_ours(const char *text);
/** `text` with "program", "format" and "version" put first and a "status" ("complete") where they are missing;
 *  `failure` sets status "failed" and "message" where it is not "failed" yet. NULL when it is no JSON object or memory is out. Freed with
 *  bcam_free. */
char *bcam_runjson_stamp(const char *text, const char *failure);

#endif
