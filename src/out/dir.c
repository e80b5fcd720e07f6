/* dir.c - the run directory: every writer, in order. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "out/writer.h"

/* The order is a promise: bytes before the rows that name them. */
static const bcam_writer *const writers[] = {&bcam_npy_writer, &bcam_index_writer, &bcam_overlay_writer,
                                             &bcam_report_writer};

#define WRITER_COUNT BCAM_COUNT(writers)
#define SECONDS_PER_COMMIT 1.0
#define ITEMS_PER_COMMIT 4096

struct bcam_out {
    bcam_out_settings settings;
    bcam_out_shared shared;
    void *states[WRITER_COUNT]; /* NULL: not wanted in this run */
    int lock;
    int64_t uncommitted; /* items */
    double committed_at;
    bool failed, finished;
};

bcam_status bcam_out_open(const bcam_out_settings *settings, bcam_out **out, bcam_error *err)
{
    *out = NULL;
    if (!settings->discard && (!settings->dir || !*settings->dir))
        return bcam_fail(err, BCAM_E_ARGUMENT, "no output folder is named; give one with -o");
    bcam_out *made = bcam_alloc(1, sizeof *made);
    if (!made)
        return bcam_fail_memory(err, sizeof *made, "the output");
    made->settings = *settings;
    made->shared.settings = &made->settings;
    made->lock = -1;
    made->committed_at = bcam_clock_seconds();
    bcam_status status = settings->discard ? BCAM_OK : bcam_folder_take(&made->settings, &made->lock, err);
    for (size_t i = 0; status == BCAM_OK && i < WRITER_COUNT && !settings->discard; i++)
        status = writers[i]->open(&made->shared, &made->states[i], err);
    if (status != BCAM_OK)
        bcam_out_close(&made);
    *out = made;
    return status;
}

/* Whether the folder still has its name. One that was removed would go on taking bytes that nobody can ever read. */
static bool is_there(const bcam_out *out)
{
    struct stat held, named;
    if (out->settings.discard)
        return true;
    return (fstat(out->lock, &held) != 0 || held.st_nlink > 0) &&
           (stat(out->settings.dir, &named) == 0 || (errno != ENOENT && errno != ENOTDIR));
}

/* Where the folder is gone, that is what is to be said, and not which of its files was missed first. */
static bcam_status blame_folder(const bcam_out *out, bcam_status status, bcam_error *err)
{
    if (is_there(out))
        return status;
    return bcam_fail(err, BCAM_E_OUTPUT,
                     "the output folder '%s' was moved or removed while the run went on, so the run ends here",
                     out->settings.dir);
}

static bcam_status sync_all(bcam_out *out, bcam_error *err)
{
    bcam_status status = blame_folder(out, BCAM_OK, err);
    for (size_t i = 0; status == BCAM_OK && i < WRITER_COUNT; i++)
        if (out->states[i] && writers[i]->sync)
            status = writers[i]->sync(out->states[i], err);
    out->uncommitted = 0;
    out->committed_at = bcam_clock_seconds();
    return status;
}

static bcam_status make_places(bcam_out_shared *shared, int count, bcam_error *err)
{
    if ((size_t)count <= shared->place_capacity)
        return BCAM_OK;
    bcam_out_place *grown = bcam_realloc(shared->places, (size_t)count, sizeof *grown);
    if (!grown)
        return bcam_fail_memory(err, (size_t)count * sizeof *grown, "the places of a photo's maps");
    shared->places = grown;
    shared->place_capacity = (size_t)count;
    return BCAM_OK;
}

bcam_status bcam_out_write(bcam_out *out, const bcam_out_item *item, bcam_error *err)
{
    if (out->failed || out->finished)
        return bcam_fail(err, BCAM_E_INTERNAL,
                         "photo %lld was written to '%s' after the run there had failed or ended; please report this",
                         (long long)item->id, out->settings.dir);
    bcam_status status = make_places(&out->shared, item->map_count, err);
    for (size_t i = 0; status == BCAM_OK && i < WRITER_COUNT; i++)
        if (out->states[i])
            status = writers[i]->write(out->states[i], item, err);
    int64_t enough = out->settings.items_per_commit > 0 ? out->settings.items_per_commit : ITEMS_PER_COMMIT;
    if (status == BCAM_OK &&
        (++out->uncommitted >= enough || bcam_clock_seconds() - out->committed_at >= SECONDS_PER_COMMIT))
        status = sync_all(out, err);
    out->failed = status != BCAM_OK;
    return out->failed ? blame_folder(out, status, err) : BCAM_OK;
}

static bcam_status write_runjson(const bcam_out *out, const char *run_json, const bcam_error *failure, bcam_error *err)
{
    if (!run_json)
        return bcam_fail_memory(err, 4096, "run.json");
    char *path = bcam_path_join(out->settings.dir, "run.json"),
         *text = bcam_runjson_stamp(run_json, failure ? failure->message : NULL);
    bcam_status status =
        path && text ? bcam_disk_replace(path, text, strlen(text), true, err)
                     : bcam_fail(err, BCAM_E_MEMORY, "run.json of '%s' could not be put together: memory ran out",
                                 out->settings.dir);
    bcam_free(text);
    bcam_free(path);
    return status;
}

bcam_status bcam_out_finish(bcam_out *out, const char *run_json, bcam_error *err)
{
    if (out->finished)
        return bcam_fail(err, BCAM_E_INTERNAL, "the run in '%s' was ended twice; please report this",
                         out->settings.dir);
    out->finished = true;
    bcam_error first = {0}, later = {0};
    bcam_status status = sync_all(out, &first);
    if (blame_folder(out, BCAM_OK, err) != BCAM_OK)
        return BCAM_E_OUTPUT; /* what has its name now is somebody else's */
    for (size_t i = 0; i < WRITER_COUNT; i++) {
        if (!out->states[i] || !writers[i]->finish)
            continue;
        bcam_status ended = writers[i]->finish(out->states[i], &later);
        if (status == BCAM_OK && ended != BCAM_OK) {
            status = ended;
            first = later;
        }
    }
    if (out->settings.discard)
        return status;
    bcam_status written = write_runjson(out, run_json, status == BCAM_OK ? NULL : &first, &later);
    if (status == BCAM_OK && written != BCAM_OK) {
        status = written;
        first = later;
    }
    if (status != BCAM_OK && err)
        *err = first;
    return status;
}

void bcam_out_close(bcam_out **out)
{
    if (!out || !*out)
        return;
    bcam_out *old = *out;
    for (size_t i = WRITER_COUNT; i-- > 0;)
        if (old->states[i])
            writers[i]->close(old->states[i]);
    for (size_t i = 0; i < old->shared.stem_count; i++) {
        bcam_free(old->shared.stems[i].layer);
        bcam_free(old->shared.stems[i].method);
        bcam_free(old->shared.stems[i].stem);
    }
    bcam_free(old->shared.stems);
    bcam_free(old->shared.places);
    if (old->lock >= 0)
        close(old->lock);
    bcam_free(old);
    *out = NULL;
}
