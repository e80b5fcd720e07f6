/* Photos: bytes as Pillow makes them, outcomes of everything that is not a photo, hostile files. */
#include <errno.h>
#include <fcntl.h>

#include "in_fixture.h"

static const bcam_photo_limits plain = {.max_pixels = PILLOW_PIXELS},
                               turned = {.max_pixels = PILLOW_PIXELS, .exif = true};

/** How far the photo is from the golden's bytes, for the message. */
static void say_difference(const char *name, const bcam_photo *photo)
{
    char path[512];
    bcam_error err;
    char *bytes;
    size_t size, different = 0;
    int worst = 0;
    snprintf(path, sizeof(path), GOLDEN "rgb/%s.rgb", name);
    cr_assert_eq(bcam_file_read(path, 1 << 20, &bytes, &size, &err), BCAM_OK, "%s", err.message);
    for (size_t i = 0; i < size && i < (size_t)photo->width * (size_t)photo->height * 3; i++) {
        int off = abs(photo->rgb[i] - (uint8_t)bytes[i]);
        different += off > 0;
        worst = off > worst ? off : worst;
    }
    fprintf(stderr, "%s: %zu of %zu bytes differ, by up to %d\n", name, different, size, worst);
    bcam_free(bytes);
}

Test(in_photo, as_pillow)
{
    golden g = golden_open("photos.tsv");
    bcam_photo photo = {0};
    char path[512];
    int failed = 0;
    for (char **row; (row = golden_next(&g, 7));) {
        snprintf(path, sizeof(path), GOLDEN "photos/%s", row[0]);
        bcam_outcome outcome = bcam_photo_load(&photo, path, &plain);
        bool ok = strcmp(row[1], "ok") == 0;
        if (ok != (outcome == BCAM_OUTCOME_OK) || (!ok && photo.message[0] == 0)) {
            fprintf(stderr, "%s is %s: %s\n", row[0], bcam_outcome_name(outcome), photo.message);
            failed++;
        } else if (ok) {
            bool same = photo.width == atoi(row[2]) && photo.height == atoi(row[3]) &&
                        photo.stored_width == photo.width &&
                        hash_is(photo.rgb, (size_t)photo.width * (size_t)photo.height * 3, row[5]);
            if (!same || photo.orientation != atoi(row[4])) {
                fprintf(stderr, "%s: %d x %d, orientation %d\n", row[0], photo.width, photo.height, photo.orientation);
                say_difference(row[0], &photo);
                failed++;
            }
            cr_assert_eq(bcam_photo_load(&photo, path, &turned), BCAM_OUTCOME_OK);
            if (!hash_is(photo.rgb, (size_t)photo.width * (size_t)photo.height * 3, row[6])) {
                fprintf(stderr, "%s is turned wrongly (orientation %s)\n", row[0], row[4]);
                failed++;
            }
        }
    }
    bcam_photo_fini(&photo);
    bcam_table_fini(&g.table);
    cr_assert_eq(failed, 0);
    cr_assert_eq(bcam_alloc_live(), 0);
}

Test(in_photo, real_photos_as_pillow)
{
    if (access(BCAM_SHARED_DATA "/images", R_OK) != 0)
        cr_skip_test("no real photos at " BCAM_SHARED_DATA);
    golden g = golden_open("shared.tsv");
    bcam_photo photo = {0};
    bcam_recipe recipe;
    bcam_error err;
    bcam_box crop;
    static uint8_t out[224 * 224 * 3];
    char path[1024];
    int failed = 0, compared = 0;
    cr_assert_eq(bcam_recipe_read("torchvision", NULL, 224, 224, &recipe, &err), BCAM_OK);
    for (char **row; (row = golden_next(&g, 6));) {
        snprintf(path, sizeof(path), BCAM_SHARED_DATA "/images/%s", row[0]);
        bcam_outcome outcome = bcam_photo_load(&photo, path, &plain);
        bool good = (strcmp(row[1], "ok") == 0) == (outcome == BCAM_OUTCOME_OK);
        if (good && outcome == BCAM_OUTCOME_OK) {
            good = row[4][0] == '-' || (photo.width == atoi(row[2]) && photo.height == atoi(row[3]));
            good = good &&
                   (row[4][0] == '-' || hash_is(photo.rgb, (size_t)photo.width * (size_t)photo.height * 3, row[4]));
            memset(out, 77, sizeof(out));
            good = good && bcam_prep_photo(&recipe, &photo, out, &crop, &err) == BCAM_OK;
            good = good && (row[5][0] == '-' || hash_is(out, sizeof(out), row[5]));
            compared += row[5][0] != '-';
        }
        if (!good) {
            fprintf(stderr, "%s: %s, %d x %d, %s\n", row[0], bcam_outcome_name(outcome), photo.width, photo.height,
                    photo.message);
            failed++;
        }
    }
    bcam_photo_fini(&photo);
    bcam_table_fini(&g.table);
    cr_assert_eq(failed, 0);
    cr_assert_geq(compared, 200);
}

Test(in_photo, outcomes_of_what_is_no_photo)
{
    const char *dir = temp_dir();
    bcam_photo photo = {0};
    static const struct {
        const char *name;
        bcam_outcome outcome;
        const char *word;
    } cases[] = {{"nowhere.jpg", BCAM_OUTCOME_MISSING, "no such file"},
                 {"empty.jpg", BCAM_OUTCOME_UNREADABLE, "empty"},
                 {"empty.jpg/below.jpg", BCAM_OUTCOME_MISSING, "no such file"},
                 {"folder.jpg", BCAM_OUTCOME_UNREADABLE, "a folder"},
                 {"pipe.jpg", BCAM_OUTCOME_UNREADABLE, "a pipe"},
                 {"device.jpg", BCAM_OUTCOME_UNREADABLE, "a device"},
                 {"around.jpg", BCAM_OUTCOME_UNREADABLE, "cannot be opened"},
                 {"text.jpg", BCAM_OUTCOME_UNSUPPORTED, "68 65 6c 6c"},
                 {"photo.gif", BCAM_OUTCOME_UNSUPPORTED, "a GIF"},
                 {"photo.webp", BCAM_OUTCOME_UNSUPPORTED, "a WebP"},
                 {"photo.tif", BCAM_OUTCOME_UNSUPPORTED, "a TIFF"},
                 {"short.jpg", BCAM_OUTCOME_UNREADABLE, "end before"},
                 {"long.jpg", BCAM_OUTCOME_TOO_LARGE, "bytes"}};
    write_text(dir, "empty.jpg", "");
    write_text(dir, "text.jpg", "hello");
    write_text(dir, "photo.gif", "GIF89a");
    write_text(dir, "photo.webp", "RIFFxxxxWEBPVP8 ");
    write_file(dir, "photo.tif", "II*\0xxxx", 8);
    write_file(dir, "short.jpg", "\xFF\xD8\xFF", 3);
    write_text(dir, "long.jpg", "");
    cr_assert_eq(truncate(in_dir(dir, "long.jpg"), 5000), 0);
    cr_assert_eq(mkdir(in_dir(dir, "folder.jpg"), 0700), 0);
    cr_assert_eq(mkfifo(in_dir(dir, "pipe.jpg"), 0600), 0);
    cr_assert_eq(symlink("/dev/zero", in_dir(dir, "device.jpg")), 0);
    cr_assert_eq(symlink("around.jpg", in_dir(dir, "around.jpg")), 0);
    const bcam_photo_limits limits = {.max_pixels = 100, .max_file_bytes = 4000};
    for (size_t i = 0; i < BCAM_COUNT(cases); i++) {
        bcam_outcome outcome = bcam_photo_load(&photo, in_dir(dir, cases[i].name), &limits);
        cr_expect_eq(outcome, cases[i].outcome, "%s is %s", cases[i].name, bcam_outcome_name(outcome));
        cr_expect_not_null(strstr(photo.message, cases[i].word), "%s: %s", cases[i].name, photo.message);
    }
    bcam_photo_fini(&photo);
    remove_dir(dir);
}

/* ---- hostile files ---- */

static size_t put(uint8_t *to, size_t at, const void *bytes, size_t count)
{
    memcpy(to + at, bytes, count);
    return at + count;
}

/** A JPEG's frame header alone: SOF `marker`, `components` of them, no tables, no data. */
static size_t frame_header(uint8_t *to, uint8_t marker, unsigned width, unsigned height, uint8_t components)
{
    size_t at = put(to, 0, "\xFF\xD8\xFF", 3);
    const uint8_t head[] = {marker,
                            0,
                            (uint8_t)(8 + 3 * components),
                            8,
                            (uint8_t)(height >> 8),
                            (uint8_t)height,
                            (uint8_t)(width >> 8),
                            (uint8_t)width,
                            components};
    at = put(to, at, head, sizeof(head));
    for (uint8_t c = 0; c < components; c++)
        at = put(to, at, (uint8_t[]){(uint8_t)(c + 1), 0x11, 0}, 3);
    at = put(to, at, "\xFF\xDB\x00\x43\x00", 5);
    memset(to + at, 16, 64);
    return at + 64;
}

/** A scan of all `components` for coefficient 0 with no data in it. */
static size_t empty_scan(uint8_t *to, size_t at, uint8_t components, uint8_t refine)
{
    at = put(to, at, (uint8_t[]){0xFF, 0xDA, 0, (uint8_t)(6 + 2 * components), components}, 5);
    for (uint8_t c = 0; c < components; c++)
        at = put(to, at, (uint8_t[]){(uint8_t)(c + 1), 0}, 2);
    return put(to, at, (uint8_t[]){0, 0, refine}, 3);
}

/** One DC code of one bit, so that scans can begin. */
static size_t small_table(uint8_t *to, size_t at)
{
    uint8_t table[5 + 16 + 1] = {0xFF, 0xC4, 0, 20, 0x00, 1};
    return put(to, at, table, sizeof(table));
}

Test(in_photo, huge_headers_cost_nothing)
{
    uint8_t data[400];
    bcam_photo photo = {0};
    size_t bytes = frame_header(data, 0xC0, 65535, 65535, 3);
    bytes = empty_scan(data, bytes, 3, 0);
    cr_expect_eq(bcam_photo_decode(&photo, data, bytes, &plain), BCAM_OUTCOME_TOO_LARGE, "%s", photo.message);
    bytes = frame_header(data, 0xC2, 65000, 60000, 3);
    bytes = empty_scan(data, bytes, 3, 0);
    cr_expect_eq(bcam_photo_decode(&photo, data, bytes, &plain), BCAM_OUTCOME_TOO_LARGE, "%s", photo.message);
    cr_expect_not_null(strstr(photo.message, "65000 x 60000"), "%s", photo.message);
    bytes = frame_header(data, 0xC2, 1000, 1000, 10);
    bytes = put(data, bytes, "\xFF\xDA\x00\x08\x01\x01\x00\x00\x00\x00", 10);
    cr_expect_eq(bcam_photo_decode(&photo, data, bytes, &plain), BCAM_OUTCOME_UNSUPPORTED, "%s", photo.message);
    static const uint8_t png[] = {0x89, 'P',  'N', 'G', 13,  10,   26,   10,   0,    0,    0,
                                  13,   'I',  'H', 'D', 'R', 0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF,
                                  0xFF, 0xFF, 8,   2,   0,   0,    0,    0xB1, 0x4B, 0x4F, 0x3F};
    cr_expect_neq(bcam_photo_decode(&photo, png, sizeof(png), &plain), BCAM_OUTCOME_OK);
    cr_expect_eq(photo.capacity, 0);
    cr_expect_eq(photo.scratch_capacity, 0);
    bcam_photo_fini(&photo);
}

Test(in_photo, scans_are_limited)
{
    static uint8_t data[16384];
    bcam_photo photo = {0};
    for (int scans = 100; scans <= 101; scans++) {
        size_t bytes = frame_header(data, 0xC2, 64, 64, 3);
        bytes = small_table(data, bytes);
        bytes = empty_scan(
            data, bytes, 3,
            0x0D); /* first bit 13 of the coefficient, then one bit lower at a time, then nonsense: warnings */
        for (int scan = 1; scan < scans; scan++)
            bytes = empty_scan(data, bytes, 3, 0x10);
        bytes = put(data, bytes, "\xFF\xD9", 2);
        bcam_outcome outcome = bcam_photo_decode(&photo, data, bytes, &plain);
        if (scans == 100) {
            cr_expect_eq(outcome, BCAM_OUTCOME_OK, "%s", photo.message);
        } else {
            cr_expect_eq(outcome, BCAM_OUTCOME_UNREADABLE);
            cr_expect_not_null(strstr(photo.message, "100 scans"), "%s", photo.message);
        }
    }
    bcam_photo_fini(&photo);
}

Test(in_photo, kinds_of_jpeg_that_are_not_read)
{
    uint8_t data[400];
    bcam_photo photo = {0};
    for (uint8_t marker = 0xC3; marker <= 0xCF; marker = (uint8_t)(marker + 2)) { /* lossless, hierarchical */
        size_t bytes = empty_scan(data, frame_header(data, marker, 16, 16, 3), 3, 0);
        if (marker != 0xC9)
            cr_expect_eq(bcam_photo_decode(&photo, data, bytes, &plain), BCAM_OUTCOME_UNSUPPORTED, "%02x: %s", marker,
                         photo.message);
    }
    size_t bytes = empty_scan(data, frame_header(data, 0xC1, 16, 16, 3), 3, 0);
    data[6] = 12; /* bits a sample */
    cr_expect_eq(bcam_photo_decode(&photo, data, bytes, &plain), BCAM_OUTCOME_UNSUPPORTED, "%s", photo.message);
    bytes = empty_scan(data, frame_header(data, 0xC0, 16, 16, 2), 2, 0);
    cr_expect_eq(bcam_photo_decode(&photo, data, bytes, &plain), BCAM_OUTCOME_UNSUPPORTED, "%s", photo.message);
    bcam_photo_fini(&photo);
}

/** Every photo of the goldens, cut short and with bytes changed: an outcome, never a crash; and the decoder still works afterwards. */
Test(in_photo, damaged_files_have_outcomes)
{
    static const char *const names[] = {"base_420.jpg", "progressive_444.jpg", "cmyk.jpg",       "exif_6.jpg",
                                        "grey_16.png",  "palette_8.png",       "interlaced.png", "exif_6.png"};
    uint64_t seed = 20240917;
    bcam_photo photo = {0};
    bcam_error err;
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    for (size_t n = 0; n < BCAM_COUNT(names); n++) {
        char path[512], *bytes;
        size_t size;
        snprintf(path, sizeof(path), GOLDEN "photos/%s", names[n]);
        cr_assert_eq(bcam_file_read(path, 1 << 20, &bytes, &size, &err), BCAM_OK, "%s", err.message);
        uint8_t *changed = bcam_alloc(size, 1);
        for (int round = 0; round < 400; round++) {
            size_t length = round % 2 ? size : (size_t)(bcam_random(&seed) % size);
            memcpy(changed, bytes, size);
            for (int i = 0; i < round % 7; i++)
                changed[bcam_random(&seed) % size] = (uint8_t)bcam_random(&seed);
            bcam_outcome outcome =
                bcam_photo_decode(&photo, changed, length, &(bcam_photo_limits){.max_pixels = 1 << 20, .exif = true});
            cr_assert(outcome == BCAM_OUTCOME_OK || photo.message[0], "%s, round %d", names[n], round);
        }
        cr_expect_eq(bcam_photo_decode(&photo, (uint8_t *)bytes, size, &plain), BCAM_OUTCOME_OK, "%s: %s", names[n],
                     photo.message);
        bcam_free(changed);
        bcam_free(bytes);
    }
    bcam_photo_fini(&photo);
}

/** With every allocation failing once: an outcome, and nothing lost. */
Test(in_photo, memory_shortage_is_an_outcome)
{
    static const char *const names[] = {"cmyk.jpg", "exif_6.jpg", "interlaced.png", "exif_6.png"};
    char path[512];
    for (size_t n = 0; n < BCAM_COUNT(names); n++) {
        snprintf(path, sizeof(path), GOLDEN "photos/%s", names[n]);
        for (int64_t nth = 1; nth < 40; nth++) {
            bcam_photo photo = {0};
            bcam_alloc_fail_at(nth, false);
            bcam_outcome outcome = bcam_photo_load(&photo, path, &turned);
            bcam_alloc_fail_at(0, false);
            cr_expect(outcome == BCAM_OUTCOME_OK || outcome == BCAM_OUTCOME_UNREADABLE, "%s: %s", names[n],
                      bcam_outcome_name(outcome));
            cr_expect_eq(bcam_photo_load(&photo, path, &turned), BCAM_OUTCOME_OK);
            bcam_photo_fini(&photo);
            cr_expect_eq(bcam_alloc_live(), 0, "%s, allocation %d", names[n], (int)nth);
        }
    }
}
