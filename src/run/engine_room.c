/* engine_room.c - photos that the device resizes: packed into one block for the whole batch, beside tables of what each pixel is made of. */
#include <string.h>

#include "run/engine.h"

enum {
    ROOM_OF_PHOTO = 1 << 20, /* bytes, on average: what the network sees of a photo of 500 x 375 is a third of it */
    ROOM_MOST = 256 << 20,   /* of a pair: pinned, and as much on the card */
    TABLE_OF_PHOTO = 1 << 14 /* numbers, on average: 32 weights for each row and column of 224 x 224 */
};

/* How large the photos and tables of a batch may be together; false: there is no such room. Each photo has a place in it when the processor has resized
 * it. */
static bool find_room(bcam_engine *e, int64_t batch)
{
    const bcam_engine_info *info = &e->info;
    const double item = 3.0 * (double)info->height * (double)info->width + 16, lines = info->height + info->width;
    if (!e->extras.resizes || e->api->pairs < e->extras.resizes || (double)batch * item > INT32_MAX ||
        (double)batch * lines * 64 > INT32_MAX)
        return false;
    size_t worth = (size_t)batch * bcam_frame_bytes((size_t)info->height * (size_t)info->width * 3);
    e->room_bytes = (size_t)batch * ROOM_OF_PHOTO < ROOM_MOST ? (size_t)batch * ROOM_OF_PHOTO : ROOM_MOST;
    e->room_bytes = e->room_bytes > worth ? e->room_bytes : worth;
    e->room_numbers = (size_t)batch * (lines * 32 > TABLE_OF_PHOTO ? (size_t)lines * 32 : TABLE_OF_PHOTO);
    return true;
}

bcam_status bcam_engine_plan_room(bcam_engine *e, bcam_plan *plan, bcam_error *err)
{
    e->photos = e->tables = e->frames = -1;
    if (!find_room(e, plan->batch))
        return BCAM_OK;
    const int64_t bytes = (int64_t)e->room_bytes, numbers = (int64_t)e->room_numbers,
                  frames[2] = {plan->batch, BCAM_FRAME_COUNT};
    e->photos = bcam_plan_value(plan, "photos", BCAM_ROLE_INPUT, BCAM_U8, 1, &bytes);
    e->tables = bcam_plan_value(plan, "tables", BCAM_ROLE_INPUT, BCAM_I32, 1, &numbers);
    e->frames = bcam_plan_value(plan, "frames", BCAM_ROLE_INPUT, BCAM_I32, 2, frames);
    bcam_step *step = e->photos < 0 || e->tables < 0 || e->frames < 0
                          ? NULL
                          : bcam_plan_step(plan, BCAM_VERB_RESIZE, BCAM_SEGMENT_RESIZE, "resize");
    if (!step)
        return bcam_fail(err, BCAM_E_MEMORY, "out of memory while planning");
    plan->values[e->pixels].role = BCAM_ROLE_OUTPUT; /* written by this step, or by the host in its place */
    step->in[0] = e->photos;
    step->in[1] = e->tables;
    step->in[2] = e->frames;
    step->out[0] = e->pixels;
    return BCAM_OK;
}

bool bcam_engine_get_room(bcam_engine *e, int pair, bcam_engine_room *room)
{
    if (e->photos < 0 || pair < 0 || pair >= e->info.pairs)
        return false;
    *room = (bcam_engine_room){.photos = e->api->host(e->program, e->photos, pair),
                               .tables = e->api->host(e->program, e->tables, pair),
                               .frames = e->api->host(e->program, e->frames, pair),
                               .bytes = e->room_bytes,
                               .numbers = e->room_numbers};
    return room->photos && room->tables && room->frames;
}

/* The last frame stands for the photos that only fill up the batch, too. */
void bcam_engine_fill_room(bcam_engine *e, int count, const bcam_engine_room *used, int pair)
{
    int32_t *frames = e->api->host(e->program, e->frames, pair), *last = frames + (count - 1) * BCAM_FRAME_COUNT;
    for (int n = count; n < e->info.batch; n++)
        memcpy(frames + n * BCAM_FRAME_COUNT, last, BCAM_FRAME_COUNT * sizeof *frames);
    e->api->used(e->program, e->photos, pair, used->bytes);
    e->api->used(e->program, e->tables, pair, used->numbers * sizeof *used->tables);
}
