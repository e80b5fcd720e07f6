/* fuzz_photo.h - what decoding a photo must keep to, whatever its kind. */
#ifndef BCAM_TESTS_FUZZ_PHOTO_H
#define BCAM_TESTS_FUZZ_PHOTO_H

#include "fuzz.h"
#include "in/in.h"

/** Decoded as far as a recipe needs it: the same outcome and reason, and the same pixels there. */
static void decode_needed(const bcam_photo *whole, bcam_outcome expected, const uint8_t *data, size_t size,
                          const bcam_photo_limits *limits)
{
    const bcam_recipe recipe = {.height = 3, .width = 5, .resize = BCAM_RESIZE_NONE, .crop = true};
    bcam_photo_limits needed = *limits;
    bcam_photo photo = {0};
    needed.recipe = &recipe;
    FUZZ_CHECK(bcam_photo_decode(&photo, data, size, &needed) == expected &&
               strcmp(photo.message, whole->message) == 0);
    if (expected == BCAM_OUTCOME_OK) {
        bcam_part part = photo.part;
        FUZZ_CHECK(photo.width == whole->width && photo.height == whole->height && part.w > 0 && part.h > 0);
        for (int y = part.y; y < part.y + part.h; y++) {
            size_t at = ((size_t)y * (size_t)photo.width + (size_t)part.x) * 3;
            FUZZ_CHECK(memcmp(photo.rgb + at, whole->rgb + at, (size_t)part.w * 3) == 0);
        }
    }
    bcam_photo_fini(&photo);
}

/** Decoded smaller, as far as a recipe lets it: the same outcome and reason, all of the pixels that are needed, and a crop of the photo as it is. */
static void decode_smaller(const bcam_photo *whole, bcam_outcome expected, const uint8_t *data, size_t size,
                           const bcam_photo_limits *limits)
{
    enum { WIDE = 5, HIGH = 3 };
    const bcam_recipe recipe = {.height = HIGH,
                                .width = WIDE,
                                .resize = BCAM_RESIZE_SQUASH,
                                .resize_h = HIGH,
                                .resize_w = WIDE,
                                .filter = BCAM_FILTER_BICUBIC};
    bcam_photo_limits smaller = *limits;
    bcam_photo photo = {0};
    smaller.recipe = &recipe;
    smaller.reduce = true;
    FUZZ_CHECK(bcam_photo_decode(&photo, data, size, &smaller) == expected &&
               strcmp(photo.message, whole->message) == 0);
    if (expected == BCAM_OUTCOME_OK) {
        uint8_t out[WIDE * HIGH * 3];
        bcam_box crop;
        bcam_error err;
        FUZZ_CHECK(photo.width == whole->width && photo.height == whole->height);
        FUZZ_CHECK(photo.rgb_width * 8 >= photo.width && photo.rgb_width <= photo.width);
        FUZZ_CHECK(photo.rgb_width == photo.width || (photo.rgb_width >= WIDE && photo.rgb_height >= HIGH));
        FUZZ_CHECK(bcam_prep_photo(&recipe, &photo, out, &crop, &err) == BCAM_OK);
        FUZZ_CHECK(crop.x == 0 && crop.y == 0 && crop.w == photo.width && crop.h == photo.height);
        fuzz_touch(out, sizeof out);
    }
    bcam_photo_fini(&photo);
}

/** Decodes twice with the same buffers: the same pixels, or the same reason why there are none. */
static void decode_photo(const uint8_t *data, size_t size)
{
    const bcam_photo_limits limits = {.max_pixels = 1 << 16, .exif = true};
    bcam_photo photo = {0};
    char hash[2][65] = {"", ""}, message[sizeof photo.message] = "";
    for (int turn = 0; turn < 2; turn++) {
        bcam_outcome outcome = bcam_photo_decode(&photo, data, size, &limits);
        FUZZ_CHECK((outcome == BCAM_OUTCOME_OK) == (photo.message[0] == 0));
        FUZZ_CHECK(outcome == BCAM_OUTCOME_OK || outcome == BCAM_OUTCOME_UNREADABLE ||
                   outcome == BCAM_OUTCOME_UNSUPPORTED || outcome == BCAM_OUTCOME_TOO_LARGE);
        FUZZ_CHECK(!strstr(photo.message, "memory"));
        FUZZ_CHECK(photo.orientation >= 1 && photo.orientation <= 8);
        if (outcome == BCAM_OUTCOME_OK) {
            FUZZ_CHECK(photo.width > 0 && photo.height > 0 && photo.width <= limits.max_pixels / photo.height);
            FUZZ_CHECK(photo.part.w == photo.width && photo.part.h == photo.height);
            bcam_sha256_hex(photo.rgb, (size_t)photo.width * (size_t)photo.height * 3, hash[turn]);
            decode_needed(&photo, outcome, data, size, &limits);
            decode_smaller(&photo, outcome, data, size, &limits);
            memset(photo.rgb, 0xA5,
                   (size_t)photo.width * (size_t)photo.height * 3); /* so that what stays unwritten differs */
        } else {
            decode_needed(&photo, outcome, data, size, &limits);
            decode_smaller(&photo, outcome, data, size, &limits);
        }
        FUZZ_CHECK(turn == 0 || strcmp(message, photo.message) == 0);
        strcpy(message, photo.message);
    }
    FUZZ_CHECK(strcmp(hash[0], hash[1]) == 0);
    bcam_photo_fini(&photo);
    FUZZ_CHECK(bcam_alloc_live() == 0);
}

#endif
