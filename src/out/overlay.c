/* overlay.c - the blend of photo and colours, and a JPEG for every map. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "out/writer.h"

#define QUALITY 90
#define BASE_LIMIT 60 /* of a photo's name, in the overlay's name */

void bcam_overlay_blend(const uint8_t *pixels, const uint8_t *colours, int height, int width, uint8_t *out)
{
    for (size_t i = 0; i < (size_t)height * (size_t)width * 3; i++)
        out[i] = (uint8_t)((pixels[i] + colours[i] + 1) / 2);
}

bcam_status bcam_overlay_encode(const uint8_t *pixels, const uint8_t *colours, int height, int width, uint8_t **out,
                                size_t *bytes, bcam_error *err)
{
    size_t size = (size_t)height * (size_t)width * 3;
    uint8_t *blend = bcam_alloc(size, 1);
    if (!blend)
        return bcam_fail_memory(err, size, "an overlay");
    bcam_overlay_blend(pixels, colours, height, width, blend);
    bcam_status status = bcam_jpeg_encode(blend, height, width, QUALITY, out, bytes, err);
    bcam_free(blend);
    return status;
}

/* ---- the writer ---- */

typedef struct overlay {
    bcam_out_shared *shared;
    char *folder;
} overlay;

static void overlay_close(void *state)
{
    overlay *self = state;
    bcam_free(self->folder);
    bcam_free(self);
}

static bcam_status overlay_open(bcam_out_shared *shared, void **state, bcam_error *err)
{
    if (!shared->settings->overlay)
        return BCAM_OK;
    overlay *self = bcam_alloc(1, sizeof *self);
    if (!self)
        return bcam_fail_memory(err, sizeof *self, "the overlay writer");
    *state = self;
    self->shared = shared;
    self->folder = bcam_path_join(shared->settings->dir, "overlays");
    return self->folder ? bcam_disk_make_dir(self->folder, err)
                        : bcam_fail_memory(err, strlen(shared->settings->dir), "a file name");
}

/* overlays/000001-<photo>-<layer>-<method>-<class>.jpg */
static char *make_path(overlay *self, const bcam_out_item *item, const bcam_out_map *map)
{
    char photo[BASE_LIMIT + 1];
    const char *base = bcam_path_base(item->path), *dot = strrchr(base, '.');
    const char *stem = bcam_out_stem_of(self->shared, map->layer, map->method);
    bcam_out_safe_name(base, dot && dot != base ? (size_t)(dot - base) : strlen(base), BASE_LIMIT, photo);
    return stem ? bcam_format("%s/%06" PRId64 "-%s-%s-%d.jpg", self->folder, item->id, photo, stem, map->class_id)
                : NULL;
}

static bcam_status write_one(overlay *self, const bcam_out_item *item, const bcam_out_map *map, bcam_error *err)
{
    uint8_t *own = NULL;
    const uint8_t *jpeg = map->jpeg;
    size_t bytes = map->jpeg_bytes;
    bcam_status status = BCAM_OK;
    if (!jpeg)
        status = bcam_overlay_encode(item->pixels, map->colours, item->in_height, item->in_width, &own, &bytes, err);
    if (status != BCAM_OK)
        return status;
    char *path = make_path(self, item, map);
    status = path ? bcam_disk_replace(path, jpeg ? jpeg : own, bytes, false, err)
                  : bcam_fail_memory(err, BCAM_OUT_FILE, "a file name");
    bcam_free(path);
    bcam_free(own);
    return status;
}

static bcam_status overlay_write(void *state, const bcam_out_item *item, bcam_error *err)
{
    overlay *self = state;
    if (!item->pixels)
        return BCAM_OK;
    bcam_status status = BCAM_OK;
    for (int i = 0; status == BCAM_OK && i < item->map_count; i++)
        if (item->maps[i].colours && item->maps[i].outcome != BCAM_MAP_NONE)
            status = write_one(self, item, &item->maps[i], err);
    return status;
}

const bcam_writer bcam_overlay_writer = {"overlay", overlay_open, overlay_write, NULL, NULL, overlay_close};
