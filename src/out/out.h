/* out.h - writing a run directory: maps, index, overlays, report, run.json. Knows no network and no device. */
#ifndef BCAM_OUT_H
#define BCAM_OUT_H

#include "base/base.h"

/* ---- rows: what the stream hands to the writers, one item at a time, in order ---- */

typedef struct bcam_out_prediction {
    int class_id; /* rank is its place in the array */
    float logit, probability;
} bcam_out_prediction;

typedef struct bcam_out_map {
    const char *layer, *method;
    int class_id;
    bcam_map_outcome outcome;
    float logit, probability, raw_min, raw_max;
    int height, width;
    bcam_dtype dtype;
    const void *data;       /* (height, width) */
    const uint8_t *colours; /* (in_height, in_width, 3) the map in colours; NULL where no picture is wanted */
    const uint8_t *jpeg;    /* the overlay, encoded; NULL: it is encoded when it is written */
    size_t jpeg_bytes;
} bcam_out_map;

/** One photo and everything known of it. Everything is borrowed for the call. */
typedef struct bcam_out_item {
    int64_t id;                           /* 1, 2, … in order */
    const char *path, *outcome, *message; /* message "" where outcome is ok */
    int width, height, orientation;       /* original pixels after orientation, where applied; 0 where unknown */
    double crop_x, crop_y, crop_w, crop_h;
    int label;                              /* -1: none */
    const bcam_out_prediction *predictions; /* descending */
    int prediction_count;
    const bcam_out_map *maps;
    int map_count;
    const uint8_t *pixels; /* (in_height, in_width, 3) what the network saw; NULL where not ok */
    int in_height, in_width;
} bcam_out_item;

/** A line of the report's header: {"Layer", "/layer4 (the default)"}. */
typedef struct bcam_out_fact {
    const char *name, *value;
} bcam_out_fact;

/** What does not change over a run. Borrowed until the run directory is closed. */
typedef struct bcam_out_settings {
    const char *dir;
    bool discard; /* write nothing at all; there is no folder then */
    bool overwrite, overlay, report;
    const char *const *class_names; /* class_count of them; NULL: numbers */
    int class_count;
    bcam_log log;
    const char *title;          /* the report's headline: the model's name; NULL: left out */
    const bcam_out_fact *facts; /* fact_count lines of the report's header, in this order */
    int fact_count;
    int64_t rows_per_shard;   /* 0: as many as make about 64 MiB */
    int64_t items_per_commit; /* readers see new rows after so many items, or about a second; 0: 4096 */
} bcam_out_settings;

typedef struct bcam_out bcam_out;

/** Makes or takes over the folder (E_OUTPUT where it exists and overwrite is off, or it is not a run directory of ours, i.e. has no run.json of batchcam and is not empty) and opens
 *  every writer. An overwritten run is removed only when the new one opens: its known files only. */
bcam_status bcam_out_open(const bcam_out_settings *settings, bcam_out **out, bcam_error *err);
/** Writes one item through every writer, in order. The rows become visible to readers only after the bytes they name are on disk. */
bcam_status bcam_out_write(bcam_out *out, const bcam_out_item *item, bcam_error *err);
/** Ends the run: last shard trimmed, index committed, report and run.json written (run_json: a complete JSON text; written last, atomically).
 *  Also called after a failure or a stop with what there is. */
bcam_status bcam_out_finish(bcam_out *out, const char *run_json, bcam_error *err);
/** Frees; what was not finished stays as valid as it is. */
void bcam_out_close(bcam_out **out);

/* ---- npy.c: maps in shards: maps/<layer>-<method>[-hxw]-00000.npy ---- */
/* ---- index.c: SQLite ---- */

const char *bcam_sqlite_version(void); /* "SQLite 3.40.1" */

/* ---- overlay.c: blend, JPEG ---- */

/** Half photo, half colour, rounded up; all (height, width, 3). */
void bcam_overlay_blend(const uint8_t *pixels, const uint8_t *colours, int height, int width, uint8_t *out);
/** The blend as a JPEG into allocated memory (bcam_free). By any thread. */
bcam_status bcam_overlay_encode(const uint8_t *pixels, const uint8_t *colours, int height, int width, uint8_t **out,
                                size_t *bytes, bcam_error *err);
/** JPEG of RGB bytes into allocated memory (bcam_free). */
bcam_status bcam_jpeg_encode(const uint8_t *rgb, int height, int width, int quality, uint8_t **out, size_t *bytes,
                             bcam_error *err);

/* ---- runjson.c: building run.json's text without a JSON library elsewhere ---- */

typedef struct bcam_runjson bcam_runjson; /* a JSON object being built */
bcam_runjson *
bcam_runjson_open(void); /* NULL when memory is out; the setters then do nothing and text() returns NULL */
void bcam_runjson_string(
    bcam_runjson *json, const char *path,
    const char *
        value); /* path "model.sha256", "layers.0.name": objects are made on the way, and arrays where a part is a number */
void bcam_runjson_number(bcam_runjson *json, const char *path, double value);
void bcam_runjson_bool(bcam_runjson *json, const char *path, bool value);
void bcam_runjson_append(bcam_runjson *json, const char *path, const char *value); /* to an array of strings */
char *bcam_runjson_text(const bcam_runjson *json);                                 /* indented; freed with bcam_free */
void bcam_runjson_close(bcam_runjson **json);

#endif
