/* fuzz_resize.c - resizing against the plainest way to say it, in double precision; a window against the same part of the whole; and the geometry of
 * preprocessing. Sizes, filter, window and pixels come from the input. */
#include <math.h>

#include "fuzz.h"
#include "in/in.h"

enum { MOST_PIXELS = 1 << 12 };

/* ---- the plainest way ---- */

static double sinc(double x)
{
    return x == 0 ? 1 : sin(M_PI * x) / (M_PI * x);
}

static double weight_of(bcam_filter filter, double x)
{
    double a = fabs(x);
    switch (filter) {
    case BCAM_FILTER_BOX:
        return x > -0.5 && x <= 0.5;
    case BCAM_FILTER_BILINEAR:
        return fmax(1 - a, 0);
    case BCAM_FILTER_HAMMING:
        return a < 1 ? sinc(x) * (0.54 + 0.46 * cos(M_PI * x)) : 0;
    case BCAM_FILTER_BICUBIC:
        return a < 1 ? 1.5 * a * a * a - 2.5 * a * a + 1 : a < 2 ? -0.5 * a * a * a + 2.5 * a * a - 4 * a + 2 : 0;
    default:
        return a < 3 ? sinc(x) * sinc(x / 3) : 0;
    }
}

/** One side: `count` lines of `from` samples that lie `step` apart become `to` samples. */
static void resize_side(bcam_filter filter, const uint8_t *src, int from, uint8_t *out, int to, size_t step)
{
    static const double supports[] = {0, 0.5, 1, 1, 2, 3};
    double scale = (double)from / to, wide = fmax(scale, 1), reach = supports[filter] * wide;
    for (int i = 0; i < to; i++) {
        double centre = (i + 0.5) * scale, sum = 0, total = 0;
        int first = (int)fmax(floor(centre - reach + 0.5), 0), end = (int)fmin(floor(centre + reach + 0.5), from);
        for (int t = first; t < end; t++) {
            double w = weight_of(filter, (t + 0.5 - centre) / wide);
            sum += w * src[(size_t)t * step];
            total += w;
        }
        out[(size_t)i * step] = (uint8_t)fmin(fmax(floor(sum / total + 0.5), 0), 255);
    }
}

static uint8_t *resize_rows(bcam_filter filter, const uint8_t *src, int sw, int sh, int dw)
{
    uint8_t *out = malloc((size_t)dw * (size_t)sh * 3);
    for (int y = 0; y < sh; y++)
        for (int c = 0; c < 3; c++)
            resize_side(filter, src + (size_t)y * (size_t)sw * 3 + c, sw, out + (size_t)y * (size_t)dw * 3 + c, dw, 3);
    return out;
}

static uint8_t *resize_columns(bcam_filter filter, const uint8_t *src, int sw, int sh, int dh)
{
    uint8_t *out = malloc((size_t)sw * (size_t)dh * 3);
    for (int j = 0; j < sw * 3; j++)
        resize_side(filter, src + j, sh, out + j, dh, (size_t)sw * 3);
    return out;
}

/** Bytes between the sides, as Pillow has them; which side comes first is its rule too. A side that keeps its length is left alone. */
static uint8_t *resize_plainly(bcam_filter filter, const uint8_t *src, int sw, int sh, int dw, int dh)
{
    bool columns_first = sh - dh > 0 && sh - dh > 2 * (sw - dw);
    uint8_t *first, *second;
    if (columns_first || sw == dw) {
        first = resize_columns(filter, src, sw, sh, dh);
        second = sw == dw ? first : resize_rows(filter, first, sw, dh, dw);
    } else {
        first = resize_rows(filter, src, sw, sh, dw);
        second = sh == dh ? first : resize_columns(filter, first, dw, sh, dh);
    }
    if (second != first)
        free(first);
    return second;
}

/* ---- an input ---- */

/** A side mostly short, sometimes long; the picture stays within MOST_PIXELS. */
static int take_side(fuzz_bytes *from, int other)
{
    int most = MOST_PIXELS / other,
        side = fuzz_number(from, 0, 1) ? fuzz_number(from, 1, 64) : fuzz_number(from, 1, 65535);
    return side > most ? most : side;
}

static uint8_t *take_pixels(fuzz_bytes *from, int width, int height)
{
    size_t bytes = (size_t)width * (size_t)height * 3;
    uint8_t *pixels = malloc(bytes);
    uint64_t state = from->left;
    bool noise = fuzz_byte(from) & 1;
    for (size_t i = 0; i < bytes; i++)
        pixels[i] = from->left ? fuzz_byte(from) : noise ? (uint8_t)bcam_random(&state) : (uint8_t)(i & 64 ? 255 : 0);
    return pixels;
}

static uint8_t *resize(const uint8_t *src, int sw, int sh, int dw, int dh, bcam_filter filter, int x, int y, int w,
                       int h)
{
    size_t bytes = (size_t)w * (size_t)h * 3, capacity = 0;
    uint8_t *out = malloc(bytes), *scratch = NULL;
    bcam_error err = {0};
    memset(out, 0xA5, bytes);
    FUZZ_CHECK(bcam_resize_rgb(src, sw, sh, dw, dh, filter, x, y, w, h, out, &scratch, &capacity, &err) == BCAM_OK);
    bcam_free(scratch);
    return out;
}

static void check_resize(fuzz_bytes *from)
{
    enum { LEVELS = 2 }; /* a rounding of weights in each of two passes */
    bcam_filter filter = (bcam_filter)fuzz_number(from, 0, BCAM_FILTER_LANCZOS);
    int sw = take_side(from, 1), sh = take_side(from, sw), dw = take_side(from, 1), dh = take_side(from, dw);
    if ((int64_t)dw * sh > MOST_PIXELS * 4 || (int64_t)sw * dh > MOST_PIXELS * 4)
        return;
    int x = fuzz_number(from, 0, dw - 1), y = fuzz_number(from, 0, dh - 1), w = fuzz_number(from, 1, dw - x),
        h = fuzz_number(from, 1, dh - y);
    uint8_t *src = take_pixels(from, sw, sh), *whole = resize(src, sw, sh, dw, dh, filter, 0, 0, dw, dh),
            *part = resize(src, sw, sh, dw, dh, filter, x, y, w, h);
    for (int i = 0; i < h; i++)
        FUZZ_CHECK(memcmp(part + (size_t)i * (size_t)w * 3, whole + ((size_t)(y + i) * (size_t)dw + (size_t)x) * 3,
                          (size_t)w * 3) == 0);
    if (filter != BCAM_FILTER_NEAREST && (sw != dw || sh != dh)) {
        uint8_t *plain = resize_plainly(filter, src, sw, sh, dw, dh);
        for (size_t i = 0; i < (size_t)dw * (size_t)dh * 3; i++)
            FUZZ_CHECK(abs(plain[i] - whole[i]) <= LEVELS);
        free(plain);
    }
    free(src);
    free(whole);
    free(part);
}

static void check_prep(fuzz_bytes *from)
{
    bcam_photo photo = {0};
    bcam_error err = {0};
    bcam_box crop;
    photo.rgb_width = take_side(from, 1);
    photo.rgb_height = take_side(from, photo.rgb_width);
    int reduction = 1 << fuzz_number(from, 0, 3); /* the photo's last pixels of each side may be there in part */
    photo.width = photo.rgb_width * reduction - fuzz_number(from, 0, reduction - 1);
    photo.height = photo.rgb_height * reduction - fuzz_number(from, 0, reduction - 1);
    photo.area = (bcam_box){0, 0, (double)photo.width / reduction, (double)photo.height / reduction};
    if (fuzz_byte(from) & 1) {
        photo.area.x = photo.rgb_width - photo.area.w;
        photo.area.y = photo.rgb_height - photo.area.h;
    }
    bcam_recipe recipe = {.resize = (bcam_resize_mode)fuzz_number(from, 0, BCAM_RESIZE_SQUASH),
                          .filter = (bcam_filter)fuzz_number(from, 0, BCAM_FILTER_LANCZOS),
                          .crop = fuzz_byte(from) & 1,
                          .crop_floor = fuzz_byte(from) & 1,
                          .resize_to = fuzz_number(from, 1, 300)};
    recipe.height = fuzz_number(from, 1, 100);
    recipe.width = fuzz_number(from, 1, 100);
    recipe.resize_h = recipe.crop ? fuzz_number(from, 1, 300) : recipe.height;
    recipe.resize_w = recipe.crop ? fuzz_number(from, 1, 300) : recipe.width;
    photo.rgb = take_pixels(from, photo.rgb_width, photo.rgb_height);
    size_t bytes = (size_t)recipe.width * (size_t)recipe.height * 3;
    uint8_t *out = malloc(bytes);
    bcam_status status = bcam_prep_photo(&recipe, &photo, out, &crop, &err);
    fuzz_check_status(status, &err);
    if (status == BCAM_OK) {
        fuzz_touch(out, bytes);
        FUZZ_CHECK(crop.w > 0 && crop.h > 0 && isfinite(crop.x) && isfinite(crop.y));
    }
    bcam_free(photo.scratch);
    free(photo.rgb);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes from = {data, size};
    if (fuzz_byte(&from) % 2)
        check_resize(&from);
    else
        check_prep(&from);
    FUZZ_CHECK(bcam_alloc_live() == 0);
    return 0;
}
