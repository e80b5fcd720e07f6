/* JPEGs of which only a part is decoded, or all of it smaller, against libjpeg decoding all of them: every kind, random parts, restarts, odd sizes,
 * damage. */
#include <setjmp.h>

#include "in_fixture.h"
#include "seed.h"

#include <jpeglib.h> /* behind what it needs */

enum { MOST = 220 }; /* pixels a side */

static int below(uint64_t *seed, int end)
{
    return (int)(bcam_random(seed) % (uint64_t)end);
}

/* ---- photos ---- */

typedef struct kind {
    int width, height, components, h, v, quality, restart;
    bool progressive, optimize, arithmetic, noise;
    int chroma_h; /* of components 1 and 2; mostly 1 */
} kind;

static kind random_kind(uint64_t *seed)
{
    static const int factors[][2] = {{1, 1}, {2, 1}, {2, 2}, {1, 2}, {4, 1}}, qualities[] = {3, 30, 75, 90, 97, 100};
    const int *f = factors[below(seed, 16) % 5 * (below(seed, 8) > 0 || below(seed, 2))];
    kind k = {.width = 1 + below(seed, below(seed, 4) ? MOST : 20),
              .height = 1 + below(seed, below(seed, 4) ? MOST : 20),
              .components = below(seed, 6)   ? 3
                            : below(seed, 3) ? 1
                                             : 4,
              .h = f[0],
              .v = f[1],
              .quality = qualities[below(seed, 6)],
              .restart = below(seed, 3) ? 0 : 1 + below(seed, 12),
              .progressive = below(seed, 8) == 0,
              .optimize = below(seed, 2),
              .arithmetic = below(seed, 20) == 0,
              .noise = below(seed, 4) == 0,
              .chroma_h = 1};
    if (k.components == 3 && k.h == 2 && below(seed, 20) == 0)
        k.chroma_h = 2;
    k.optimize &= !k.arithmetic;
    k.h = k.components == 1 ? 1 : k.h;
    k.v = k.components == 1 ? 1 : k.v;
    return k;
}

/** Smooth with edges, or noise of black and white, which has the largest coefficients there are. */
static void draw_row(const kind *k, int y, uint8_t *row, uint64_t *seed)
{
    for (int x = 0; x < k->width * k->components; x++) {
        int pixel = x / k->components, c = x % k->components;
        double smooth = 127 + 90 * sin(pixel / (5.0 + c)) * cos(y / (7.0 - c)) + 40 * ((pixel / 6 + y / 5 + c) % 2);
        row[x] = k->noise ? (uint8_t)(bcam_random(seed) & 1 ? 255 : 0)
                          : (uint8_t)fmin(fmax(smooth + below(seed, 13) - 6, 0), 255);
    }
}

/** A file by malloc. */
static uint8_t *encode(const kind *k, uint64_t *seed, size_t *bytes)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    static uint8_t row[MOST * 4];
    uint8_t *data = NULL;
    unsigned long size = 0;
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &data, &size);
    c.image_width = (JDIMENSION)k->width;
    c.image_height = (JDIMENSION)k->height;
    c.input_components = k->components;
    c.in_color_space = k->components == 1 ? JCS_GRAYSCALE : k->components == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, k->quality, TRUE);
    for (int i = 0; i < k->components; i++) {
        c.comp_info[i].h_samp_factor = i == 0 ? k->h : k->chroma_h;
        c.comp_info[i].v_samp_factor = i == 0 ? k->v : 1;
    }
    c.restart_interval = (unsigned)k->restart;
    c.optimize_coding = k->optimize;
    c.arith_code = k->arithmetic;
    if (k->progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    for (int y = 0; y < k->height; y++) {
        JSAMPROW rows = row;
        draw_row(k, y, row, seed);
        jpeg_write_scanlines(&c, &rows, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    *bytes = size;
    return data;
}

/* ---- what libjpeg makes of it ---- */

typedef struct handler {
    struct jpeg_error_mgr errors;
    jmp_buf stop;
} handler;

static void on_error(j_common_ptr common)
{
    longjmp(((handler *)common->err)->stop, 1);
}

static void on_warning(j_common_ptr common, int level)
{
    if (level < 0)
        common->err->num_warnings++;
}

static boolean on_dry(j_decompress_ptr c)
{
    (void)c;
    return FALSE;
}

static void on_skip(j_decompress_ptr c, long count)
{
    size_t step = count < 0 ? 0 : (size_t)count < c->src->bytes_in_buffer ? (size_t)count : c->src->bytes_in_buffer;
    c->src->next_input_byte += step;
    c->src->bytes_in_buffer -= step;
}

static void on_edge(j_decompress_ptr c)
{
    (void)c;
}

static bool read_all(struct jpeg_decompress_struct *c, int reduction, uint8_t *out)
{
    if (jpeg_read_header(c, TRUE) != JPEG_HEADER_OK)
        return false;
    c->out_color_space = c->num_components == 4 ? JCS_CMYK : JCS_RGB;
    c->scale_denom = (unsigned)reduction;
    if (!jpeg_start_decompress(c))
        return false;
    while (c->output_scanline < c->output_height) {
        JSAMPROW row = out + (size_t)c->output_scanline * c->output_width * (size_t)c->output_components;
        if (jpeg_read_scanlines(c, &row, 1) != 1)
            return false;
    }
    jpeg_finish_decompress(c);
    return true;
}

/** RGB in (height, width, 3), each side `reduction` times shorter; for CMYK, 4. What ends too early is an error. */
static bool decode_all(const uint8_t *data, size_t bytes, int reduction, uint8_t *out, long *warnings)
{
    struct jpeg_decompress_struct c;
    handler h;
    struct jpeg_source_mgr source = {data, bytes, on_edge, on_dry, on_skip, jpeg_resync_to_restart, on_edge};
    c.err = jpeg_std_error(&h.errors);
    h.errors.error_exit = on_error;
    h.errors.emit_message = on_warning;
    jpeg_create_decompress(&c);
    c.src = &source;
    bool good = setjmp(h.stop) == 0 && read_all(&c, reduction, out);
    *warnings = h.errors.num_warnings;
    jpeg_destroy_decompress(&c);
    return good;
}

static void expect_part(const kind *k, const bcam_photo *photo, const uint8_t *all)
{
    bcam_part p = photo->part;
    int width = photo->rgb_width;
    cr_assert(p.x >= 0 && p.y >= 0 && p.w > 0 && p.h > 0 && p.x + p.w <= width && p.y + p.h <= photo->rgb_height);
    for (int y = p.y; y < p.y + p.h; y++)
        for (int i = p.x * 3; i < (p.x + p.w) * 3; i++) {
            size_t at = (size_t)y * (size_t)width * 3 + (size_t)i;
            cr_assert_eq(
                photo->rgb[at], all[at],
                "%d x %d as %d, %d components, %d x %d, quality %d, restart %d, part %d %d %d %d: row %d, byte %d",
                k->width, k->height, width, k->components, k->h, k->v, k->quality, k->restart, p.x, p.y, p.w, p.h, y,
                i);
        }
}

/** By how much a photo may be decoded smaller, in the plainest words: both sides stay as long as they are made. */
static int reduction_for(const bcam_recipe *recipe, const kind *k)
{
    if (recipe->resize == BCAM_RESIZE_NONE)
        return 1;
    int shorter = k->width < k->height ? k->width : k->height, longer = k->width + k->height - shorter;
    int longer_made = (int)((double)(recipe->resize_to * longer) / shorter);
    for (int by = 8; by > 1; by /= 2)
        if (recipe->resize_to * by <= shorter && longer_made * by <= longer)
            return by;
    return 1;
}

/** A photo is as large as it is, and decoded so much smaller. */
static void expect_sizes(const kind *k, const bcam_photo *photo, int reduction)
{
    cr_assert(photo->width == k->width && photo->height == k->height);
    cr_assert_eq(photo->rgb_width, (k->width + reduction - 1) / reduction);
    cr_assert_eq(photo->rgb_height, (k->height + reduction - 1) / reduction);
}

/** A recipe that needs some part of a photo. */
static bcam_recipe random_recipe(uint64_t *seed)
{
    bcam_recipe recipe = {.resize = below(seed, 3) ? BCAM_RESIZE_SHORTER : BCAM_RESIZE_NONE,
                          .filter = (bcam_filter)below(seed, 6),
                          .crop = true,
                          .resize_to = 1 + below(seed, below(seed, 2) ? 150 : 40)};
    int most = below(seed, 2) ? 100 : 1 + recipe.resize_to / 2;
    recipe.height = 1 + below(seed, most);
    recipe.width = 1 + below(seed, most);
    return recipe;
}

static bool fast_here(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
    return false;
#endif
}

/** The kinds of which a part alone must be decoded; others may be decoded whole. */
static bool usual(const kind *k, int reduction)
{
    bool factors = k->components == 1 || k->h * k->v == 1 || (k->h == 2 && k->v <= 2 && k->width > 4 * reduction);
    return !k->progressive && !k->arithmetic && k->components != 4 && k->chroma_h == 1 && factors && !k->noise;
}

/** One photo of a kind, decoded and held against libjpeg; whether a part of it was enough, which has to be so where it can be. */
static bool check_photo(const kind *k, bcam_photo *photo, const bcam_photo_limits *limits, int reduction,
                        uint64_t *seed)
{
    static uint8_t all[MOST * MOST * 4];
    size_t bytes;
    long warnings;
    uint8_t *data = encode(k, seed, &bytes);
    cr_assert(decode_all(data, bytes, reduction, all, &warnings) && warnings == 0);
    if (photo->rgb)
        memset(photo->rgb, 0xA5, photo->capacity);
    cr_assert_eq(bcam_photo_decode(photo, data, bytes, limits), BCAM_OUTCOME_OK, "%s", photo->message);
    free(data);
    expect_sizes(k, photo, reduction);
    if (k->components != 4)
        expect_part(k, photo, all);
    bool partly = photo->part.w < photo->rgb_width || photo->part.h < photo->rgb_height;
    bcam_part need = limits->recipe ? bcam_prep_needs(limits->recipe, photo) : photo->part;
    bool small = need.w < photo->rgb_width || need.h < photo->rgb_height;
    cr_assert_eq(partly, limits->recipe && small && fast_here() && (usual(k, reduction) || partly));
    return partly;
}

Test(in_jpeg_part, any_part_of_any_kind)
{
    uint64_t seed = test_seed();
    bcam_photo photo = {0};
    int parts = 0;
    for (int round = 0; round < 2000; round++) {
        kind k = random_kind(&seed);
        bcam_recipe recipe = random_recipe(&seed);
        bcam_photo_limits limits = {
            .max_pixels = MOST * MOST, .recipe = round % 5 ? &recipe : NULL, .reduce = below(&seed, 2)};
        int reduction = limits.reduce && limits.recipe ? reduction_for(&recipe, &k) : 1;
        parts += check_photo(&k, &photo, &limits, reduction, &seed);
    }
    bcam_photo_fini(&photo);
    fprintf(stderr, "%d decoded in part\n", parts);
    cr_assert(parts > 300 || !fast_here());
}

/** The same where photos are decoded by every reduction; the part that is needed shows that it was not libjpeg that did it. */
Test(in_jpeg_part, any_part_of_smaller_ones)
{
    uint64_t seed = test_seed();
    bcam_photo photo = {0};
    int parts[9] = {0}; /* by reduction */
    for (int round = 0; round < 1500; round++) {
        kind k = random_kind(&seed);
        int by = 2 << round % 3, shorter = k.width < k.height ? k.width : k.height;
        bcam_recipe recipe = random_recipe(&seed);
        recipe.resize = BCAM_RESIZE_SHORTER;
        recipe.resize_to = shorter / by - below(&seed, 2 + shorter / by / 4);
        recipe.resize_to = recipe.resize_to < 1 ? 1 : recipe.resize_to;
        recipe.height = 1 + below(&seed, 1 + recipe.resize_to / 2);
        recipe.width = 1 + below(&seed, 1 + recipe.resize_to / 2);
        bcam_photo_limits limits = {.max_pixels = MOST * MOST, .recipe = &recipe, .reduce = true};
        int reduction = reduction_for(&recipe, &k);
        parts[reduction] += check_photo(&k, &photo, &limits, reduction, &seed);
    }
    bcam_photo_fini(&photo);
    fprintf(stderr, "decoded in part by 2, 4 and 8: %d, %d, %d\n", parts[2], parts[4], parts[8]);
    cr_assert((parts[2] > 50 && parts[4] > 50 && parts[8] > 50) || !fast_here());
}

/** The same verdict and the same pixels as by libjpeg alone, which gets all of a JPEG of which any byte is not as it should be. */
Test(in_jpeg_part, damage_is_libjpegs_to_judge)
{
    static uint8_t all[MOST * MOST * 4];
    uint64_t seed = test_seed();
    bcam_photo photo = {0};
    int read = 0;
    for (int round = 0; round < 3000; round++) {
        kind k = random_kind(&seed);
        k.components = k.components == 4 ? 3 : k.components;
        k.width = 1 + k.width / 3;
        k.height = 1 + k.height / 3;
        bcam_recipe recipe = random_recipe(&seed);
        bcam_photo_limits limits = {.max_pixels = MOST * MOST, .recipe = &recipe, .reduce = below(&seed, 2)};
        int reduction = limits.reduce ? reduction_for(&recipe, &k) : 1;
        size_t bytes, head = 0;
        uint8_t *data = encode(&k, &seed, &bytes);
        while (head + 1 < bytes && !(data[head] == 0xFF && data[head + 1] == 0xDA))
            head++;
        for (int change = below(&seed, 4); change >= 0; change--) {  /* sizes stay, so that photos can be compared */
            size_t from = head + 12 < bytes ? head + 12 : bytes - 1; /* a grey photo of one block may have no more */
            size_t at = from + bcam_random(&seed) % (bytes - from);
            data[at] = below(&seed, 3) ? (uint8_t)bcam_random(&seed) : 0xFF;
        }
        long warnings = 0;
        bool good = decode_all(data, bytes, reduction, all, &warnings);
        bcam_outcome outcome = bcam_photo_decode(&photo, data, bytes, &limits);
        if (good && outcome == BCAM_OUTCOME_OK) {
            expect_part(&k, &photo, all);
            read++;
        }
        cr_assert_eq(good, outcome == BCAM_OUTCOME_OK, "round %d: %s", round, photo.message);
        if (outcome == BCAM_OUTCOME_OK && (photo.part.w < photo.rgb_width || photo.part.h < photo.rgb_height))
            cr_assert_eq(warnings, 0, "round %d: a damaged file was taken", round);
        free(data);
    }
    bcam_photo_fini(&photo);
    fprintf(stderr, "%d could be read\n", read);
    cr_assert_gt(read, 300);
}

/** The verdict does not depend on what is needed: cut off behind the needed rows is cut off. */
Test(in_jpeg_part, all_of_a_file_is_looked_at)
{
    uint64_t seed = test_seed();
    bcam_photo photo = {0};
    bcam_recipe top = {.resize = BCAM_RESIZE_NONE, .crop = true, .width = 8, .height = 8};
    bcam_photo_limits limits = {.max_pixels = MOST * MOST, .recipe = &top}, whole = {.max_pixels = MOST * MOST};
    kind k = {.width = 160, .height = 120, .components = 3, .h = 2, .v = 2, .quality = 80, .chroma_h = 1};
    size_t bytes;
    uint8_t *data = encode(&k, &seed, &bytes);
    for (size_t cut = bytes; cut > bytes - 300; cut--) {
        bcam_outcome expected = bcam_photo_decode(&photo, data, cut, &whole);
        char message[sizeof photo.message];
        memcpy(message, photo.message, sizeof message);
        cr_assert_eq(bcam_photo_decode(&photo, data, cut, &limits), expected, "%zu bytes left out", bytes - cut);
        cr_assert_str_eq(photo.message, message);
        cr_assert(expected == BCAM_OUTCOME_UNREADABLE || cut + 8 > bytes, "%zu bytes left out", bytes - cut);
    }
    free(data);
    bcam_photo_fini(&photo);
}

/** Preparing a part gives what preparing the whole photo gives; also for photos that are turned, or grey. */
Test(in_jpeg_part, the_same_network_input)
{
    static uint8_t out[2][100 * 100 * 3];
    uint64_t seed = test_seed();
    bcam_photo photo = {0};
    bcam_error err;
    bcam_box crop[2];
    for (int round = 0; round < 400; round++) {
        kind k = random_kind(&seed);
        bcam_recipe recipe = random_recipe(&seed);
        recipe.grey = below(&seed, 4) == 0;
        size_t bytes;
        uint8_t *data = encode(&k, &seed, &bytes);
        memset(out, round & 255, sizeof out);
        for (int partly = 0; partly < 2; partly++) {
            bcam_photo_limits limits = {.max_pixels = MOST * MOST, .recipe = partly ? &recipe : NULL};
            cr_assert_eq(bcam_photo_decode(&photo, data, bytes, &limits), BCAM_OUTCOME_OK, "%s", photo.message);
            cr_assert_eq(bcam_prep_photo(&recipe, &photo, out[partly], &crop[partly], &err), BCAM_OK, "%s",
                         err.message);
            memset(photo.rgb, 0x5A, photo.capacity);
        }
        cr_assert(memcmp(out[0], out[1], sizeof out[0]) == 0, "round %d", round);
        cr_assert(memcmp(&crop[0], &crop[1], sizeof crop[0]) == 0);
        free(data);
    }
    bcam_photo_fini(&photo);
    cr_assert_eq(bcam_alloc_live(), 0);
}
