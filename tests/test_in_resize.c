/* Resizing and cropping, against Pillow and torchvision; windows against the whole. */
#include "in_fixture.h"

static bcam_filter filter_of(const char *name)
{
    static const char *const names[] = {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"};
    for (int i = 0; i < 6; i++)
        if (strcmp(names[i], name) == 0)
            return (bcam_filter)i;
    cr_assert_fail("%s", name);
    return BCAM_FILTER_BOX;
}

static void load_golden(bcam_photo *photo, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), GOLDEN "photos/%s", name);
    cr_assert_eq(bcam_photo_load(photo, path, &(bcam_photo_limits){.max_pixels = PILLOW_PIXELS}), BCAM_OUTCOME_OK,
                 "%s: %s", name, photo->message);
}

Test(in_resize, as_pillow)
{
    golden g = golden_open("resize.tsv");
    bcam_photo photo = {0};
    bcam_error err;
    int failed = 0, cases = 0;
    for (char **row; (row = golden_next(&g, 9)); cases++) {
        int dw = atoi(row[1]), dh = atoi(row[2]), x = atoi(row[4]), y = atoi(row[5]), w = atoi(row[6]),
            h = atoi(row[7]);
        size_t bytes = (size_t)w * (size_t)h * 3;
        load_golden(&photo, row[0]);
        uint8_t *out = bcam_alloc(bytes, 1);
        memset(out, 77, bytes);
        cr_assert_eq(bcam_resize_rgb(photo.rgb, photo.width, photo.height, dw, dh, filter_of(row[3]), x, y, w, h, out,
                                     &photo.scratch, &photo.scratch_capacity, &err),
                     BCAM_OK);
        if (!hash_is(out, bytes, row[8])) {
            fprintf(stderr, "%s to %d x %d, %s, window %d %d %d %d\n", row[0], dw, dh, row[3], x, y, w, h);
            failed++;
        }
        bcam_free(out);
    }
    bcam_photo_fini(&photo);
    bcam_table_fini(&g.table);
    cr_assert_eq(failed, 0);
    cr_assert_gt(cases, 500);
}

Test(in_resize, a_window_is_a_part_of_the_whole)
{
    static const int sides[] = {1, 2, 7, 13, 64, 127, 129};
    uint64_t seed = 7;
    uint8_t *scratch = NULL;
    size_t capacity = 0;
    bcam_error err;
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 300; round++) {
        int side[4];
        for (int i = 0; i < 4; i++)
            side[i] = sides[bcam_random(&seed) % BCAM_COUNT(sides)];
        int sw = side[0], sh = side[1], dw = side[2], dh = side[3];
        size_t src_bytes = (size_t)sw * (size_t)sh * 3, whole_bytes = (size_t)dw * (size_t)dh * 3;
        uint8_t *src = bcam_alloc(src_bytes, 1), *whole = bcam_alloc(whole_bytes, 1),
                *part = bcam_alloc(whole_bytes + 16, 1);
        for (size_t i = 0; i < src_bytes; i++)
            src[i] = round % 3 == 0   ? 255
                     : round % 3 == 1 ? (uint8_t)(bcam_random(&seed) & 1 ? 255 : 0)
                                      : (uint8_t)bcam_random(&seed);
        int w = 1 + (int)(bcam_random(&seed) % (uint64_t)dw), h = 1 + (int)(bcam_random(&seed) % (uint64_t)dh);
        int x = (int)(bcam_random(&seed) % (uint64_t)(dw - w + 1)),
            y = (int)(bcam_random(&seed) % (uint64_t)(dh - h + 1));
        for (int f = 0; f < 6; f++) {
            memset(whole, 1, whole_bytes);
            memset(part, 2, whole_bytes + 16);
            cr_assert_eq(
                bcam_resize_rgb(src, sw, sh, dw, dh, (bcam_filter)f, 0, 0, dw, dh, whole, &scratch, &capacity, &err),
                BCAM_OK);
            cr_assert_eq(
                bcam_resize_rgb(src, sw, sh, dw, dh, (bcam_filter)f, x, y, w, h, part, &scratch, &capacity, &err),
                BCAM_OK);
            for (int i = 0; i < h; i++)
                cr_assert(memcmp(part + (size_t)i * (size_t)w * 3,
                                 whole + ((size_t)(y + i) * (size_t)dw + (size_t)x) * 3, (size_t)w * 3) == 0,
                          "%d x %d to %d x %d, filter %d, window %d %d %d %d, row %d", sw, sh, dw, dh, f, x, y, w, h,
                          i);
            for (size_t i = 0; i < 16; i++)
                cr_assert_eq(part[(size_t)w * (size_t)h * 3 + i], 2, "written behind the window");
            for (size_t i = 0; round % 3 == 0 && f != BCAM_FILTER_NEAREST && i < whole_bytes; i++)
                cr_assert_eq(whole[i], 255, "a white photo stays white");
        }
        bcam_free(src);
        bcam_free(whole);
        bcam_free(part);
    }
    bcam_free(scratch);
    cr_assert_eq(bcam_alloc_live(), 0);
}

static const char *spec_path(const char *spec)
{
    static char path[512];
    snprintf(path, sizeof(path), strstr(spec, ".json") ? GOLDEN "%s" : "%s", spec);
    return path;
}

Test(in_prep, as_torchvision)
{
    golden g = golden_open("prep.tsv");
    bcam_photo photo = {0};
    bcam_recipe recipe;
    bcam_error err;
    int failed = 0;
    for (char **row; (row = golden_next(&g, 9));) {
        int height = atoi(row[2]), width = atoi(row[3]);
        size_t bytes = (size_t)height * (size_t)width * 3;
        bcam_box crop = {-1, -1, -1, -1};
        load_golden(&photo, row[0]);
        cr_assert_eq(bcam_recipe_read(spec_path(row[1]), NULL, height, width, &recipe, &err), BCAM_OK, "%s",
                     err.message);
        uint8_t *out = bcam_alloc(bytes, 1);
        memset(out, 77, bytes);
        cr_assert_eq(bcam_prep_photo(&recipe, &photo, out, &crop, &err), BCAM_OK, "%s", err.message);
        double off = fabs(crop.x - atof(row[4])) + fabs(crop.y - atof(row[5])) + fabs(crop.w - atof(row[6])) +
                     fabs(crop.h - atof(row[7]));
        if (!hash_is(out, bytes, row[8]) || !(off < 1e-9)) {
            fprintf(stderr, "%s, %s, %d x %d: crop %g %g %g %g\n", row[0], row[1], height, width, crop.x, crop.y,
                    crop.w, crop.h);
            failed++;
        }
        bcam_free(out);
    }
    bcam_photo_fini(&photo);
    bcam_table_fini(&g.table);
    cr_assert_eq(failed, 0);
}

/** Decoded smaller where that is allowed, as Pillow's draft() does it, and resized from there; the crop stays in pixels of the photo. */
Test(in_prep, as_pillows_draft)
{
    golden g = golden_open("draft.tsv");
    bcam_photo photo = {0}, exact = {0};
    bcam_recipe recipe;
    bcam_error err;
    char path[512];
    int failed = 0, smaller = 0;
    for (char **row; (row = golden_next(&g, 9));) {
        int width = atoi(row[3]), height = atoi(row[4]);
        size_t bytes = (size_t)height * (size_t)width * 3;
        bcam_box crop, expected;
        cr_assert_eq(bcam_recipe_read(row[2][1] == 'q' ? "unit" : "torchvision", NULL, height, width, &recipe, &err),
                     BCAM_OK, "%s", err.message);
        recipe.filter = filter_of(row[5]);
        bcam_photo_limits limits = {.max_pixels = PILLOW_PIXELS, .exif = row[1][0] == '1', .recipe = &recipe},
                          reduced = limits;
        reduced.reduce = true;
        snprintf(path, sizeof(path), GOLDEN "photos/%s", row[0]);
        uint8_t *out = bcam_alloc(bytes, 1);
        memset(out, 77, bytes);
        cr_assert_eq(bcam_photo_load(&exact, path, &limits), BCAM_OUTCOME_OK, "%s", exact.message);
        cr_assert_eq(bcam_prep_photo(&recipe, &exact, out, &expected, &err), BCAM_OK, "%s", err.message);
        cr_assert_eq(bcam_photo_load(&photo, path, &reduced), BCAM_OUTCOME_OK, "%s", photo.message);
        cr_assert_eq(bcam_prep_photo(&recipe, &photo, out, &crop, &err), BCAM_OK, "%s", err.message);
        cr_assert(photo.width == exact.width && photo.height == exact.height &&
                  photo.stored_width == exact.stored_width && photo.orientation == exact.orientation &&
                  exact.rgb_width == exact.width && exact.rgb_height == exact.height);
        cr_assert(memcmp(&crop, &expected, sizeof crop) == 0, "%s: the crop is another", row[0]);
        if (!hash_is(out, bytes, row[8]) || photo.rgb_width != atoi(row[6]) || photo.rgb_height != atoi(row[7])) {
            fprintf(stderr, "%s, turned %s, %s, %d x %d, %s: by %d x %d\n", row[0], row[1], row[2], width, height,
                    row[5], photo.rgb_width, photo.rgb_height);
            failed++;
        }
        smaller += photo.rgb_width < photo.width;
        bcam_free(out);
    }
    bcam_photo_fini(&photo);
    bcam_photo_fini(&exact);
    bcam_table_fini(&g.table);
    cr_assert_eq(failed, 0);
    cr_assert_gt(smaller, 100);
}

Test(in_prep, what_does_not_fit_is_refused)
{
    bcam_photo photo = {0};
    bcam_error err;
    bcam_box crop;
    uint8_t out[8 * 8 * 3];
    bcam_recipe none = {.height = 8, .width = 8, .resize = BCAM_RESIZE_NONE};
    load_golden(&photo, "base_444.jpg");
    cr_expect_eq(bcam_prep_photo(&none, &photo, out, &crop, &err), BCAM_E_INPUT);
    cr_expect_not_null(strstr(err.message, "37 x 29"), "%s", err.message);
    cr_expect_not_null(strstr(err.message, "8 x 8"), "%s", err.message);
    bcam_recipe shorter = {.height = 8,
                           .width = 8,
                           .resize = BCAM_RESIZE_SHORTER,
                           .resize_to = 60000,
                           .filter = BCAM_FILTER_BILINEAR,
                           .crop = true};
    photo.width = photo.rgb_width = 1 << 20;
    photo.height = photo.rgb_height = 1; /* the pixels are not looked at */
    cr_expect_eq(bcam_prep_photo(&shorter, &photo, out, &crop, &err), BCAM_E_INPUT, "%s", err.message);
    bcam_photo_fini(&photo);
}
