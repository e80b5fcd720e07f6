/* Blend, JPEG, overlays, the report, and run.json's text. */
#include <stdio.h>

#include <jpeglib.h>

#include "out/writer.h"
#include "out_fixture.h"

Test(out_overlay, half_photo_half_colour)
{
    uint8_t pixels[256 * 3], colours[256 * 3], out[256 * 3];
    for (int other = 0; other < 256; other++) {
        for (int i = 0; i < 256 * 3; i++) {
            pixels[i] = (uint8_t)(i / 3);
            colours[i] = (uint8_t)(other + i % 3);
        }
        memset(out, 0xa5, sizeof out);
        bcam_overlay_blend(pixels, colours, 8, 32, out);
        for (int i = 0; i < 256 * 3; i++)
            cr_assert_eq(out[i], (pixels[i] + colours[i] + 1) >> 1);
    }
}

static void check_jpeg(int height, int width, bool noise, int quality, int allowed)
{
    uint8_t *rgb = malloc((size_t)height * (size_t)width * 3), *jpeg = NULL, *row = malloc((size_t)width * 3);
    uint64_t state = fix_seed();
    for (int i = 0; i < height * width * 3; i++)
        rgb[i] = noise ? (uint8_t)bcam_random(&state) : (uint8_t)(i / 3 % width * 200 / width + 20);
    size_t bytes = 0;
    bcam_error err = {0};
    cr_assert_eq(bcam_jpeg_encode(rgb, height, width, quality, &jpeg, &bytes, &err), BCAM_OK, "%s", err.message);
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    info.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, jpeg, (unsigned long)bytes);
    jpeg_read_header(&info, TRUE);
    jpeg_start_decompress(&info);
    cr_assert(info.output_width == (JDIMENSION)width && info.output_height == (JDIMENSION)height);
    int worst = 0;
    for (int y = 0; y < height; y++) {
        jpeg_read_scanlines(&info, &row, 1);
        for (int x = 0; x < 3 * width; x++)
            worst = abs(row[x] - rgb[y * width * 3 + x]) > worst ? abs(row[x] - rgb[y * width * 3 + x]) : worst;
    }
    jpeg_finish_decompress(&info);
    cr_assert_eq(errors.num_warnings, 0);
    jpeg_destroy_decompress(&info);
    cr_assert(worst <= allowed, "%dx%d: %d", height, width, worst);
    bcam_free(jpeg);
    free(rgb);
    free(row);
}

Test(out_jpeg, decodes_to_what_was_encoded)
{
    static const int sizes[] = {1, 7, 13, 128, 129};
    for (size_t i = 0; i < BCAM_COUNT(sizes); i++)
        check_jpeg(sizes[i], sizes[BCAM_COUNT(sizes) - 1 - i], false, 95, 12);
    check_jpeg(501, 499, true, 100, 255); /* many times the first buffer */
    uint8_t pixel[3] = {0}, *jpeg = NULL;
    size_t bytes;
    bcam_error err = {0};
    cr_assert_eq(bcam_jpeg_encode(pixel, 1, 70000, 90, &jpeg, &bytes, &err), BCAM_E_INTERNAL);
    cr_assert(jpeg == NULL && strstr(err.message, "70000"), "%s", err.message);
}

/* ---- the report ---- */

static char *make_report(const char *dir, const bcam_out_settings *base, bcam_out_item *items, size_t count)
{
    bcam_out_settings settings = *base;
    settings.dir = dir;
    settings.report = true;
    bcam_out *out = NULL;
    bcam_error err = {0};
    cr_assert_eq(bcam_out_open(&settings, &out, &err), BCAM_OK, "%s", err.message);
    for (size_t i = 0; i < count; i++) {
        items[i].id = (int64_t)i + 1;
        cr_assert_eq(bcam_out_write(out, &items[i], &err), BCAM_OK, "%s", err.message);
    }
    cr_assert_eq(bcam_out_finish(out, "{}", &err), BCAM_OK, "%s", err.message);
    bcam_out_close(&out);
    size_t bytes;
    char *page = fix_read(fix_in(dir, "report.html"), &bytes);
    cr_assert_eq(strlen(page), bytes);
    return page;
}

static int occurrences(const char *text, const char *what)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        count++;
    return count;
}

Test(out_report, whatever_users_name_things_is_text)
{
    static const char *const names[] = {"<script>alert(1)</script>", "a & b", "\"' onerror=x", "\xFF\x80 bytes \x01"};
    static const bcam_out_fact facts[] = {{"<b>fact", "va\"lue<img src=x>"}};
    const bcam_out_settings settings = {.class_names = names,
                                        .class_count = 4,
                                        .title = "<title></h1>",
                                        .facts = facts,
                                        .fact_count = 1,
                                        .overlay = true};
    char *root = fix_folder();
    fixture *f = fix_make(fix_seed(), BCAM_F32);
    f->pictures = true;
    f->layers[0] = "<layer>\"&";
    bcam_out_item items[6];
    bcam_out_prediction predictions[4] = {{0, 1, 0.9f}, {1, 1, 0.8f}, {2, 1, NAN}, {3, 1, 0.5f}};
    fix_item(f, 1);
    for (int i = 0; i < 6; i++) {
        items[i] = f->item;
        items[i].path = "x/<img src=x onerror=alert(1)>\"'\xC3(.jpg";
        items[i].predictions = &predictions[i % 4];
        items[i].prediction_count = 1;
        items[i].label = i - 1;
    }
    items[5].outcome = "unreadable";
    items[5].message = "<script>";
    char *page = make_report(fix_run(root), &settings, items, 6);
    cr_assert_null(strstr(page, "<script"));
    cr_assert_null(strstr(page, "<img src=x"));
    cr_assert_null(strstr(page, "<b>fact"));
    cr_assert_null(strstr(page, "<layer>"));
    cr_assert_null(strstr(page, "<title></h1>"));
    cr_assert(bcam_utf8_valid(page));
    cr_assert(strstr(page, "&lt;script&gt;alert(1)&lt;/script&gt;"));
    cr_assert(strstr(page, "&quot;&#39; onerror=x"));
    cr_assert(strstr(page, "\xEF\xBF\xBD\xEF\xBF\xBD bytes \xEF\xBF\xBD"));
    cr_assert_eq(occurrences(page, "src=\"data:image/jpeg;base64,/9j/"), 5);
    cr_assert_null(strstr(page, "http:"));
    cr_assert_null(strstr(page, "https:"));
    DIR *folder = opendir(fix_in(fix_run(root), "overlays"));
    int overlays = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        overlays++;
        cr_assert_eq(strspn(entry->d_name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"),
                     strlen(entry->d_name), "%s", entry->d_name);
    }
    closedir(folder);
    cr_assert_eq(overlays, 6 * 12);
    free(page);
    fix_remove(root);
    free(root);
    free(f);
}

Test(out_report, counts_and_limits)
{
    const bcam_out_settings settings = {.class_count = 50};
    char *root = fix_folder();
    fixture *f = fix_make(fix_seed(), BCAM_F32);
    f->pictures = true;
    fix_item(f, 1);
    enum { COUNT = 700 };
    bcam_out_item *items = calloc(COUNT, sizeof *items);
    bcam_out_prediction *predictions = calloc(COUNT, sizeof *predictions);
    for (int i = 0; i < COUNT;
         i++) { /* classes 0 … 29 have 20 photos each, the last of each wrong; 60 fail; 40 without a label */
        items[i] = f->item;
        items[i].map_count = 1;
        items[i].predictions = &predictions[i];
        items[i].prediction_count = 1;
        items[i].label = i / 20;
        predictions[i] = (bcam_out_prediction){i % 20 == 19 ? 40 : i / 20, 1, 0.5f};
        if (i >= 600) {
            items[i].label = -1;
            predictions[i].class_id = 7;
        }
        if (i >= 640) {
            items[i].outcome = "missing";
            items[i].pixels = NULL;
            items[i].map_count = items[i].prediction_count = 0;
        }
    }
    char *page = make_report(fix_run(root), &settings, items, COUNT);
    cr_assert(strstr(page, "<b>640</b>photos explained<span>600 with a label</span>"));
    cr_assert(strstr(page, "<b>95.0&nbsp;%</b>top-1 accuracy<span>570 of 600 right</span>"));
    cr_assert(strstr(page, "<b>60</b>photos not explained<span>60 missing</span>"));
    cr_assert(strstr(page, "50 of 60 listed"));
    cr_assert_eq(occurrences(page, "<figure"), 300);
    cr_assert_eq(occurrences(page, "<section id="), 30);
    cr_assert(strstr(page, "10 of 20 shown")); /* 300 pictures for 30 classes */
    cr_assert(strstr(page, "of 60 shown"));
    cr_assert_null(strstr(page, "class 40</bdi></h2>"));
    cr_assert_null(strstr(page, "id=\"c40\"")); /* groups are labels; 40 was only ever predicted */
    char *again = fix_folder(), *second = make_report(fix_run(again), &settings, items, COUNT);
    cr_assert_str_eq(page, second); /* the choice is the same every time */
    free(page);
    free(second);
    fix_remove(root);
    fix_remove(again);
    free(root);
    free(again);
    free(items);
    free(predictions);
    free(f);
}

/* A few wrong ones are shown even where the first ones are all right. */
Test(out_report, wrong_ones_are_kept)
{
    const bcam_out_settings settings = {.class_count = 5};
    char *root = fix_folder();
    fixture *f = fix_make(fix_seed(), BCAM_F32);
    f->pictures = true;
    fix_item(f, 1);
    bcam_out_item items[40];
    bcam_out_prediction predictions[2] = {{1, 1, 0.5f}, {2, 1, 0.5f}};
    for (int i = 0; i < 40; i++) {
        items[i] = f->item;
        items[i].map_count = 0; /* and photos without a map are pictures too */
        items[i].label = 1;
        items[i].predictions = &predictions[i >= 30];
        items[i].prediction_count = 1;
    }
    char *page = make_report(fix_run(root), &settings, items, 40);
    cr_assert_eq(occurrences(page, "<figure class=\"right\""), 8);
    cr_assert_eq(occurrences(page, "<figure class=\"wrong\""), 4);
    cr_assert(strstr(page, "12 of 40 shown"));
    free(page);
    fix_remove(root);
    free(root);
    free(f);
}

/* ---- run.json ---- */

Test(out_json, nested_names_and_odd_values)
{
    bcam_runjson *json = bcam_runjson_open();
    bcam_runjson_string(json, "model.path", "first");
    bcam_runjson_string(json, "model.path", "a \"b\" \xFF \xC3\xA9\n");
    bcam_runjson_string(json, "model.none", NULL);
    bcam_runjson_number(json, "model.deep.bytes", 1234567890123.0);
    bcam_runjson_number(json, "half", 0.5);
    bcam_runjson_number(json, "nan", NAN);
    bcam_runjson_bool(json, "flags.deterministic", true);
    bcam_runjson_append(json, "layers", "l1");
    bcam_runjson_append(json, "layers", "l2");
    char *text = bcam_runjson_text(json);
    cr_assert_not_null(text);
    char packed[1000];
    size_t n = 0;
    for (const char *at = text; *at; at++)
        if (*at != '\t' && *at != '\n')
            packed[n++] = *at;
    packed[n] = '\0';
    cr_assert_str_eq(packed,
                     "{\"model\":{\"path\":\"a \\\"b\\\" \xEF\xBF\xBD "
                     "\xC3\xA9\xEF\xBF\xBD\",\"none\":null,\"deep\":{\"bytes\":1234567890123}},"
                     "\"half\":0.5,\"nan\":null,\"flags\":{\"deterministic\":true},\"layers\":[\"l1\", \"l2\"]}");
    bcam_free(text);
    bcam_runjson_number(json, "half.way", 1); /* half is no object */
    cr_assert_null(bcam_runjson_text(json));
    bcam_runjson_close(&json);
    cr_assert_null(json);
    bcam_runjson_close(&json);
    bcam_runjson_string(NULL, "a", "b");
    bcam_runjson_append(NULL, "a", "b");
    cr_assert_null(bcam_runjson_text(NULL));
}

Test(out_json, numbers_in_paths_make_arrays)
{
    bcam_runjson *json = bcam_runjson_open();
    bcam_runjson_string(json, "layers.0.name", "a");
    bcam_runjson_number(json, "layers.0.mean.0", 1);
    bcam_runjson_number(json, "layers.0.mean.1", 2);
    bcam_runjson_number(json, "layers.0.mean.0", 3); /* replaces */
    bcam_runjson_string(json, "layers.1.name", "b");
    bcam_runjson_append(json, "layers.1.notes", "n");
    bcam_runjson_number(json, "grid.0.0", 4);
    bcam_runjson_bool(json, "0x.1st", true); /* names that only begin with a number */
    char *text = bcam_runjson_text(json), packed[1000];
    size_t n = 0;
    cr_assert_not_null(text);
    for (const char *at = text; *at; at++)
        if (!strchr("\t\n ", *at))
            packed[n++] = *at;
    packed[n] = '\0';
    cr_assert_str_eq(packed, "{\"layers\":[{\"name\":\"a\",\"mean\":[3,2]},{\"name\":\"b\",\"notes\":[\"n\"]}],"
                             "\"grid\":[[4]],\"0x\":{\"1st\":true}}");
    bcam_free(text);
    bcam_runjson_close(&json);
    static const char *const wrong[] = {"list.2", "list.name", "object.0", "0", "list.0.0", "list.9999999"};
    for (size_t i = 0; i < BCAM_COUNT(wrong); i++) {
        json = bcam_runjson_open();
        bcam_runjson_number(json, "list.0", 1);
        bcam_runjson_number(json, "object.name", 1);
        bcam_runjson_number(json, wrong[i], 1);
        cr_assert_null(bcam_runjson_text(json), "%s", wrong[i]);
        bcam_runjson_close(&json);
    }
}

Test(out_json, stamp)
{
    char *text = bcam_runjson_stamp("{\"a\":1,\"status\":\"stopped\",\"program\":\"x\"}", NULL);
    cr_assert(bcam_runjson_is_ours(text), "%s", text);
    cr_assert(strstr(text, "\"stopped\"") && strstr(text, "\"a\":\t1") && !strstr(text, "\"x\"") &&
                  strstr(text, BCAM_VERSION_STRING),
              "%s", text);
    bcam_free(text);
    text = bcam_runjson_stamp("{\"status\":\"complete\",\"message\":\"old\"}", "disk \xFF full");
    cr_assert(strstr(text, "\"failed\"") && strstr(text, "disk \xEF\xBF\xBD full") && !strstr(text, "complete") &&
                  !strstr(text, "old"),
              "%s", text);
    bcam_free(text);
    cr_assert_null(bcam_runjson_stamp("[1]", NULL));
    cr_assert_null(bcam_runjson_stamp("{\"a\":", NULL));
    cr_assert_not(bcam_runjson_is_ours(""));
}

Test(out_text, utf8)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\xC2\x80",
                                       "\xDF\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {"\x80",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xC2",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xE1\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xF1\x80\x80",
                                      "\xFF"};
    for (size_t i = 0; i < BCAM_COUNT(good); i++)
        cr_expect(bcam_utf8_valid(good[i]), "%zu", i);
    for (size_t i = 0; i < BCAM_COUNT(bad); i++)
        cr_expect_not(bcam_utf8_valid(bad[i]), "%zu", i);
}

Test(out_text, base64)
{
    static const struct {
        const char *data, *text;
    } cases[] = {/* RFC 4648 */
                 {"", ""},
                 {"f", "Zg=="},
                 {"fo", "Zm8="},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="},
                 {"fooba", "Zm9vYmE="},
                 {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < BCAM_COUNT(cases); i++) {
        bcam_text text = {0};
        bcam_text_base64(&text, cases[i].data, strlen(cases[i].data));
        cr_expect_str_eq(text.data, cases[i].text);
        bcam_text_fini(&text);
    }
}
