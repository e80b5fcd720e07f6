/* prep.c - geometry of preprocessing: how large, where from, what is black. torchvision's Resize and CenterCrop, number for number. */
#include <string.h>

#include "in/photo.h"

/* No camera makes longer sides; a PNG of a few bytes can, and weights and positions of one side would then be worth gigabytes. */
#define MAX_SIDE (1 << 20)
#define MAX_RESIZED_SIDE (1 << 28)

/** Half of a difference, rounded to the nearest even number where it is a half: Python's round(d / 2). */
static int64_t half_even(int64_t difference)
{
    int64_t half = difference / 2;
    return difference % 2 && half % 2 ? half + 1 : half;
}

/** The size after resizing. */
static void resized_size(const bcam_recipe *recipe, int64_t width, int64_t height, int64_t *out_width,
                         int64_t *out_height)
{
    *out_width = width;
    *out_height = height;
    if (recipe->resize == BCAM_RESIZE_SQUASH) {
        *out_width = recipe->resize_w;
        *out_height = recipe->resize_h;
    } else if (recipe->resize == BCAM_RESIZE_SHORTER) {
        int64_t shorter = width < height ? width : height, longer = width < height ? height : width;
        int64_t scaled = (int64_t)((double)(recipe->resize_to * longer) / (double)shorter);
        *out_width = width <= height ? recipe->resize_to : scaled;
        *out_height = width <= height ? scaled : recipe->resize_to;
    }
}

/** One side of the crop: network pixel i is resized pixel i + start where that exists (at <= i < at + count), else black. */
typedef struct span {
    int64_t start, at, count;
} span;

static span crop_span(int64_t have, int64_t want, bool floor)
{
    if (have < want) {
        int64_t before = floor ? (want - have + 1) / 2 : (want - have) / 2;
        return (span){-before, before, have};
    }
    return (span){floor ? (have - want) / 2 : half_even(have - want), 0, want};
}

/** Copies a picture of x.count columns, packed at the start of `out`, to its place in the middle of black; from the end, since they overlap. */
static void spread(uint8_t *out, int height, int width, span x, span y)
{
    size_t row = (size_t)width * 3, part = (size_t)x.count * 3, left = (size_t)x.at * 3;
    for (int64_t i = height - 1; i >= 0; i--) {
        uint8_t *to = out + (size_t)i * row;
        if (i < y.at || i >= y.at + y.count) {
            continue;
        }
        memmove(to + left, out + (size_t)(i - y.at) * part, part);
        memset(to, 0, left);
        memset(to + left + part, 0, row - left - part);
    }
    memset(out, 0, (size_t)y.at * row);
    memset(out + (size_t)(y.at + y.count) * row, 0, (size_t)(height - y.at - y.count) * row);
}

void bcam_grey(uint8_t *rgb, size_t pixels)
{
    for (uint8_t *p = rgb; p < rgb + 3 * pixels; p += 3) {
        uint32_t grey = (19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768) >> 16; /* ITU-R 601, in 16 bits */
        p[0] = p[1] = p[2] = (uint8_t)grey;
    }
}

/** What a photo goes through: its size when resized, and what of that the network sees. */
typedef struct geometry {
    int64_t width, height;
    span x, y;
    bcam_part window; /* of the resized photo */
} geometry;

static bcam_status geometry_of(const bcam_recipe *recipe, int width, int height, geometry *out, bcam_error *err)
{
    geometry g = {0};
    resized_size(recipe, width, height, &g.width, &g.height);
    if (width > MAX_SIDE || height > MAX_SIDE || g.width > MAX_RESIZED_SIDE || g.height > MAX_RESIZED_SIDE) {
        return bcam_fail(err, BCAM_E_INPUT, "%d x %d pixels are too long and narrow to be resized", width, height);
    }
    if (!recipe->crop && (g.width != recipe->width || g.height != recipe->height)) {
        return bcam_fail(
            err, BCAM_E_INPUT,
            "%lld x %lld pixels, and the network takes %d x %d: the preprocessing neither resizes to that nor crops",
            (long long)g.width, (long long)g.height, recipe->width, recipe->height);
    }
    g.x = crop_span(g.width, recipe->width, recipe->crop_floor);
    g.y = crop_span(g.height, recipe->height, recipe->crop_floor);
    g.window = (bcam_part){g.x.at ? 0 : (int)g.x.start, g.y.at ? 0 : (int)g.y.start, (int)g.x.count, (int)g.y.count};
    *out = g;
    return BCAM_OK;
}

int bcam_prep_reduction(const bcam_recipe *recipe, int width, int height)
{
    geometry g = {0};
    if (geometry_of(recipe, width, height, &g, NULL) != BCAM_OK) {
        return 1;
    }
    int64_t across = width / g.width, down = height / g.height, fits = across < down ? across : down;
    return fits >= 8 ? 8 : fits >= 4 ? 4 : fits >= 2 ? 2 : 1;
}

static bcam_pixels picture_of(const bcam_photo *photo)
{
    return (bcam_pixels){photo->rgb, photo->rgb_width, photo->rgb_height, photo->area};
}

bcam_part bcam_prep_needs(const bcam_recipe *recipe, const bcam_photo *photo)
{
    geometry g = {0};
    bcam_pixels picture = picture_of(photo);
    if (geometry_of(recipe, photo->width, photo->height, &g, NULL) != BCAM_OK) {
        return (bcam_part){0, 0, picture.width, picture.height}; /* nobody will look at it */
    }
    return bcam_resize_needs(&picture, (int)g.width, (int)g.height, recipe->filter, g.window);
}

/** The part that will be looked at, as the recipe wants it. */
static void make_grey(const bcam_recipe *recipe, bcam_photo *photo, bcam_part part)
{
    for (int y = part.y; recipe->grey && y < part.y + part.h; y++) {
        bcam_grey(photo->rgb + ((size_t)y * (size_t)photo->rgb_width + (size_t)part.x) * 3, (size_t)part.w);
    }
}

/** What the network sees, in pixels of the photo. */
static bcam_box crop_of(const bcam_recipe *recipe, const bcam_photo *photo, const geometry *g)
{
    double per_x = (double)photo->width / (double)g->width, per_y = (double)photo->height / (double)g->height;
    return (bcam_box){(double)g->x.start * per_x, (double)g->y.start * per_y, recipe->width * per_x,
                      recipe->height * per_y};
}

bcam_status bcam_prep_photo(const bcam_recipe *recipe, bcam_photo *photo, uint8_t *out, bcam_box *crop, bcam_error *err)
{
    geometry g = {0};
    bcam_status status = geometry_of(recipe, photo->width, photo->height, &g, err);
    if (status != BCAM_OK) {
        return status;
    }
    bcam_part w = g.window;
    bcam_pixels picture = picture_of(photo);
    make_grey(recipe, photo, bcam_prep_needs(recipe, photo));
    status = bcam_resize_area(&picture, (int)g.width, (int)g.height, recipe->filter, w, out, &photo->scratch,
                              &photo->scratch_capacity, err);
    if (status != BCAM_OK) {
        return status;
    }
    if (w.w < recipe->width || w.h < recipe->height) {
        spread(out, recipe->height, recipe->width, g.x, g.y);
    }
    *crop = crop_of(recipe, photo, &g);
    return BCAM_OK;
}

bcam_status bcam_prep_measure(const bcam_recipe *recipe, const bcam_photo *photo, bcam_pack *pack, bcam_error *err)
{
    geometry g = {0};
    bcam_status status = geometry_of(recipe, photo->width, photo->height, &g, err);
    if (status == BCAM_OK) {
        bcam_pixels picture = picture_of(photo);
        bcam_resize_measure(&picture, (int)g.width, (int)g.height, recipe->filter, g.window, pack);
        pack->window = (bcam_part){(int)g.x.at, (int)g.y.at, g.window.w, g.window.h};
    }
    return status;
}

bcam_status bcam_prep_pack(const bcam_recipe *recipe, bcam_photo *photo, const bcam_pack *pack, uint8_t *pixels,
                           int32_t *const table[2], bcam_box *crop, bcam_error *err)
{
    geometry g = {0};
    bcam_status status = geometry_of(recipe, photo->width, photo->height, &g, err);
    if (status == BCAM_OK) {
        bcam_pixels picture = picture_of(photo);
        status = bcam_resize_tables(&picture, (int)g.width, (int)g.height, recipe->filter, g.window, table,
                                    &photo->scratch, &photo->scratch_capacity, err);
    }
    if (status != BCAM_OK) {
        return status;
    }
    bcam_part part = pack->part;
    make_grey(recipe, photo, part);
    for (int y = 0; y < part.h; y++) {
        const uint8_t *row = photo->rgb + ((size_t)(part.y + y) * (size_t)photo->rgb_width + (size_t)part.x) * 3;
        memcpy(pixels + (size_t)y * (size_t)part.w * 3, row, (size_t)part.w * 3);
    }
    *crop = crop_of(recipe, photo, &g);
    return BCAM_OK;
}
