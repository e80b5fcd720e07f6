/* load.c - a batch of photos: taken from the list, read, decoded and brought to the network's size. */
#include "run/load.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- list ---- */

/* A slot for the item, whose strings and bytes hold only until the next. Without room for the bytes it is a row that says so. */
static bcam_status fill_slot(bcam_photo_slot *slot, const bcam_item *item, bcam_error *err)
{
    *slot = (bcam_photo_slot){.path = item->path ? bcam_strdup(item->path) : NULL,
                              .shown = bcam_strdup(item->shown),
                              .room = slot->room,
                              .room_bytes = slot->room_bytes,
                              .bytes = item->bytes,
                              .at = -1};
    if (!slot->shown || (item->path && !slot->path)) {
        bcam_free(slot->path);
        bcam_free(slot->shown);
        return bcam_fail(err, BCAM_E_MEMORY, "out of memory while listing photos");
    }
    if (item->bytes > slot->room_bytes || !item->data) {
        bcam_free(slot->room);
        slot->room = item->data ? bcam_alloc(item->bytes, 1) : NULL;
        slot->room_bytes = slot->room ? item->bytes : 0;
    }
    if (slot->room && item->data)
        memcpy(slot->room, item->data, item->bytes);
    return BCAM_OK;
}

bcam_status bcam_load_fill(bcam_load *l, bcam_job *job, bcam_source *s, bcam_error *err)
{
    bcam_item item;
    for (l->filled = 0; l->filled < job->info.batch && !s->end; l->filled++, s->given++) {
        if (job->options->limit && s->given >= job->options->limit) {
            s->end = true;
            break;
        }
        bcam_status status = bcam_list_next(s->list, &item, &s->end, err);
        if (status != BCAM_OK || s->end)
            return status;
        if (job->total < 0) /* the survey did not see it */
            status = bcam_targets_check(&job->targets, item.shown, err);
        if (status == BCAM_OK)
            status = fill_slot(&l->slots[l->filled], &item, err);
        if (status != BCAM_OK)
            return status;
        l->slots[l->filled].label = bcam_labels_of(&job->labels, &job->names, &item, &job->log);
    }
    return BCAM_OK;
}

void bcam_load_empty(bcam_load *l)
{
    for (int i = 0; i < l->filled; i++) {
        bcam_free(l->slots[i].path);
        bcam_free(l->slots[i].shown);
    }
    l->filled = 0;
    l->packed = false;
}

void bcam_job_count_left_out(bcam_job *job, const bcam_list_counts *counts)
{
    job->counts = *counts;
    job->summary.left_out =
        counts->left_out_type + counts->left_out_hidden + counts->left_out_loop + counts->left_out_special;
}

void bcam_load_ask(const bcam_load *l)
{
    struct stat info;
    for (int i = 0; i < l->filled; i++) {
        const char *path = l->slots[i].path;
        bool regular = path && stat(path, &info) == 0 && S_ISREG(info.st_mode);
        int file = regular ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
        if (file < 0)
            continue; /* whoever decodes it will say why */
        posix_fadvise(file, 0, 0, POSIX_FADV_WILLNEED);
        close(file);
    }
}

/* ---- decode ---- */

/* Adds the time since *begin to a stage, and begins anew. */
static void clock_stage(bcam_worker *w, bcam_stage stage, double *begin)
{
    double now = bcam_clock_seconds();
    w->seconds[stage] += now - *begin;
    *begin = now;
}

static size_t bytes_of_photo(const bcam_job *job)
{
    return (size_t)job->info.height * (size_t)job->info.width * 3;
}

/* A place in the room; false: it is too full. There is always one for the network's pixels of each photo. */
static bool take_room(bcam_load *l, size_t worth, size_t bytes, size_t numbers, size_t *photo, size_t *table)
{
    bool fits;
    bytes = bcam_frame_bytes(bytes);
    worth = bcam_frame_bytes(worth);
    size_t beyond = bytes > worth ? bytes - worth : 0;
#pragma omp critical
    {
        fits = beyond <= l->spare && numbers <= l->room.numbers - l->used.numbers;
        if (fits) {
            *photo = l->used.bytes;
            *table = l->used.numbers;
            l->spare -= beyond;
            l->used.bytes += bytes;
            l->used.numbers += numbers;
        }
    }
    return fits;
}

static void set_frame(const bcam_load *l, int i, size_t photo, size_t table, const bcam_pack *pack)
{
    int32_t *frame = l->room.frames + i * BCAM_FRAME_COUNT;
    frame[BCAM_FRAME_PHOTO] = (int32_t)photo;
    frame[BCAM_FRAME_STRIDE] = pack->part.w;
    frame[BCAM_FRAME_X] = pack->window.x;
    frame[BCAM_FRAME_Y] = pack->window.y;
    frame[BCAM_FRAME_W] = pack->window.w;
    frame[BCAM_FRAME_H] = pack->window.h;
    frame[BCAM_FRAME_X_TAPS] = pack->taps[0];
    frame[BCAM_FRAME_Y_TAPS] = pack->taps[1];
    frame[BCAM_FRAME_X_TABLE] = (int32_t)table;
    frame[BCAM_FRAME_Y_TABLE] = (int32_t)(table + pack->numbers[0]);
    frame[BCAM_FRAME_COLUMNS_FIRST] = pack->columns_first;
}

/* Packs a photo for the device. *packed: there was room for it. */
static bcam_status pack_photo(bcam_load *l, int i, const bcam_job *job, bcam_photo *photo, bool *packed,
                              bcam_error *why)
{
    const bcam_recipe *recipe = bcam_engine_recipe(job->engine);
    bcam_pack pack = {0};
    size_t at, table;
    *packed = false;
    bcam_status status = bcam_prep_measure(recipe, photo, &pack, why);
    if (status != BCAM_OK ||
        !take_room(l, bytes_of_photo(job), pack.bytes, pack.numbers[0] + pack.numbers[1], &at, &table))
        return status;
    int32_t *const tables[2] = {l->room.tables + table, l->room.tables + table + pack.numbers[0]};
    set_frame(l, i, at, table, &pack);
    *packed = true;
    return bcam_prep_pack(recipe, photo, &pack, l->room.photos + at, tables, &l->slots[i].crop, why);
}

/* Where the network's pixels of photo i go: in the room, as a photo that keeps its size. */
static uint8_t *place_pixels(bcam_load *l, int i, const bcam_job *job)
{
    size_t item = bytes_of_photo(job), at = 0, table = 0;
    const bcam_part all = {0, 0, job->info.width, job->info.height};
    if (!l->packed)
        return l->pixels + (size_t)i * item;
    take_room(l, item, item, 0, &at, &table);
    set_frame(l, i, at, 0, &(bcam_pack){.part = all, .window = all});
    return l->room.photos + at;
}

static void prepare(bcam_load *l, int i, const bcam_job *job, bcam_photo *photo)
{
    bcam_photo_slot *slot = &l->slots[i];
    bcam_error why = {0};
    bcam_status status = l->packed ? pack_photo(l, i, job, photo, &slot->packed, &why) : BCAM_OK;
    if (status == BCAM_OK && !slot->packed)
        status = bcam_prep_photo(bcam_engine_recipe(job->engine), photo, place_pixels(l, i, job), &slot->crop, &why);
    if (status != BCAM_OK) {
        slot->outcome = why.code == BCAM_E_MEMORY ? BCAM_OUTCOME_UNREADABLE : BCAM_OUTCOME_UNSUPPORTED;
        snprintf(slot->message, sizeof slot->message, "%.319s", why.message);
    }
}

void bcam_load_pack(bcam_load *l, const bcam_job *job, int pair)
{
    l->pair = pair;
    l->packed = bcam_engine_get_room(job->engine, pair, &l->room);
    l->used = (bcam_engine_room){0};
    l->spare = l->packed ? l->room.bytes - (size_t)job->info.batch * bcam_frame_bytes(bytes_of_photo(job)) : 0;
}

const uint8_t *bcam_load_pixels(const bcam_load *l, const bcam_job *job)
{
    return l->packed ? bcam_engine_pixels(job->engine, l->pair) : l->pixels;
}

bcam_photo_limits bcam_load_limits(const bcam_job *job)
{
    enum { MOST_PIXELS = 89478485 }; /* Pillow warns of more */
    const bcam_run_options *o = job->options;
    return (bcam_photo_limits){.max_pixels = o->max_pixels ? o->max_pixels : MOST_PIXELS,
                               .exif = o->exif,
                               .recipe = bcam_engine_recipe(job->engine),
                               .reduce = o->decode == BCAM_DECODE_FAST};
}

void bcam_load_decode(bcam_load *l, int i, const bcam_job *job, bcam_worker *w)
{
    bcam_photo_limits limits = bcam_load_limits(job);
    bcam_photo_slot *slot = &l->slots[i];
    bcam_photo *photo = &w->photo;
    double begin = bcam_clock_seconds();
    slot->outcome = slot->path ? bcam_photo_read(photo, slot->path, &limits) : BCAM_OUTCOME_OK;
    clock_stage(w, BCAM_STAGE_READ, &begin);
    if (slot->outcome == BCAM_OUTCOME_OK)
        slot->outcome = slot->path ? bcam_photo_decode(photo, photo->file, photo->file_bytes, &limits)
                                   : bcam_photo_decode(photo, slot->room, slot->bytes, &limits);
    slot->width = photo->width;
    slot->height = photo->height;
    slot->orientation = photo->width ? photo->orientation : 0; /* not known of a file that was not read */
    snprintf(slot->message, sizeof slot->message, "%s", slot->outcome == BCAM_OUTCOME_OK ? "" : photo->message);
    clock_stage(w, BCAM_STAGE_DECODE, &begin);
    if (slot->outcome == BCAM_OUTCOME_OK)
        prepare(l, i, job, photo);
    clock_stage(w, BCAM_STAGE_RESIZE, &begin);
}

void bcam_load_gather(bcam_load *l, bcam_job *job)
{
    size_t item = bytes_of_photo(job);
    int k = job->info.classes;
    l->count = 0;
    for (int i = 0; i < l->filled; i++) {
        bcam_photo_slot *slot = &l->slots[i];
        if (slot->outcome != BCAM_OUTCOME_OK)
            continue;
        if (!bcam_targets_fill(&job->targets, slot->shown, slot->label, l->classes + l->count * k)) {
            slot->outcome = BCAM_OUTCOME_NO_LABEL;
            snprintf(slot->message, sizeof slot->message, "its label was to be explained, and it has none");
            continue;
        }
        if (l->count != i && l->packed)
            memmove(l->room.frames + l->count * BCAM_FRAME_COUNT, l->room.frames + i * BCAM_FRAME_COUNT,
                    BCAM_FRAME_COUNT * sizeof *l->room.frames);
        else if (l->count != i)
            memmove(l->pixels + (size_t)l->count * item, l->pixels + (size_t)i * item, item);
        slot->at = l->count++;
    }
}

/* ---- memory ---- */

bool bcam_load_init(bcam_load *l, const bcam_job *job)
{
    size_t n = (size_t)job->info.batch;
    l->slots = bcam_alloc(n, sizeof *l->slots);
    l->classes = bcam_alloc(n * (size_t)job->info.classes, sizeof *l->classes);
    l->pixels = bcam_alloc(n, bytes_of_photo(job));
    return l->slots && l->classes && l->pixels;
}

void bcam_load_fini(bcam_load *l, const bcam_job *job)
{
    bcam_load_empty(l);
    for (int n = 0; l->slots && n < job->info.batch; n++)
        bcam_free(l->slots[n].room);
    bcam_free(l->slots);
    bcam_free(l->classes);
    bcam_free(l->pixels);
    *l = (bcam_load){0};
}
