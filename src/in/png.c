/* png.c - PNG to RGB bytes, equal to Pillow's Image.open(f).convert("RGB"). The only file that knows libpng.
 *
 * Transparency is dropped, not blended; nothing is done about gamma or colour profiles. 16-bit colours keep their high byte, but 16-bit grey is
 * clipped at 255: that is what Pillow does. A palette index without an entry is black. Stricter than Pillow: any damage before the last row
 * (check sums, missing rows) makes the file unreadable. */
#include <string.h>

#include <png.h>

#include "in/decode.h"
#include "in/exif.h"
#include "in/photo.h"

typedef struct png_job {
    png_structp png;
    png_infop info;
    bcam_photo *photo;
    const uint8_t *data;
    size_t left;
    size_t most; /* bytes that libpng may have at once */
    bool memory_out;
    bool grey16;
    png_color palette[256]; /* (256) entries that the file lacks are black */
} png_job;

/* ---- what libpng calls ---- */

static void on_error(png_structp png, png_const_charp text)
{
    png_job *job = png_get_error_ptr(png);
    if (job->photo->message[0] == 0) {
        bcam_photo_refuse(job->photo, BCAM_OUTCOME_UNREADABLE, "damaged PNG: %s", text);
    }
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep out, size_t bytes)
{
    png_job *job = png_get_io_ptr(png);
    if (bytes > job->left) {
        png_error(png, "the data end before the picture does");
    }
    memcpy(out, job->data, bytes);
    job->data += bytes;
    job->left -= bytes;
}

static png_voidp on_alloc(png_structp png, png_alloc_size_t bytes)
{
    png_job *job = png_get_mem_ptr(png);
    if (bytes > job->most) {
        return NULL;
    }
    void *block = bcam_alloc(bytes, 1);
    job->memory_out |= !block; /* libpng goes on without what it can do without, such as the EXIF */
    return block;
}

static void on_free(png_structp png, png_voidp block)
{
    (void)png;
    bcam_free(block);
}

/* ---- the decode ---- */

static void drop_extras(png_structp png)
{
    static const png_byte exif[5] = "eXIf"; /* the one extra that is wanted */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_AS_DEFAULT, exif, 1);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_chunk_cache_max(png, 16);
    png_set_chunk_malloc_max(png, 8 << 20);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* the pixel limit is ours, below */
}

static void read_palette(png_job *job)
{
    png_colorp entries = NULL;
    int count = 0;
    memset(job->palette, 0, sizeof(job->palette));
    if (png_get_PLTE(job->png, job->info, &entries, &count) && count > 0) {
        memcpy(job->palette, entries, (size_t)(count < 256 ? count : 256) * sizeof(*entries));
    }
}

/** Asks libpng for one, three or (grey16) two bytes a pixel; rows are widened to RGB afterwards. */
static void set_transforms(png_job *job, int depth, int color)
{
    job->grey16 = depth == 16 && color == PNG_COLOR_TYPE_GRAY;
    if (depth == 16 && !job->grey16) {
        png_set_strip_16(job->png); /* the high byte */
    }
    if (color & PNG_COLOR_MASK_ALPHA) {
        png_set_strip_alpha(job->png);
    }
    if (color == PNG_COLOR_TYPE_GRAY && depth < 8) {
        png_set_expand_gray_1_2_4_to_8(job->png);
    }
    png_set_packing(job->png);
}

static void read_orientation(png_job *job)
{
    png_uint_32 bytes = 0;
    png_bytep exif = NULL;
    if (png_get_eXIf_1(job->png, job->info, &bytes, &exif) && exif && bytes > 0) {
        job->photo->orientation = bcam_exif_orientation(exif, bytes);
        if (job->photo->orientation == 0) {
            bcam_photo_refuse(job->photo, BCAM_OUTCOME_UNREADABLE, "out of memory for reading its EXIF");
            png_longjmp(job->png, 1);
        }
    }
}

/** Widens a row in place, from its end: what is read lies at or before what is written. */
static void widen_row(const png_job *job, uint8_t *row, int width, int color)
{
    if (color & PNG_COLOR_MASK_COLOR && !(color & PNG_COLOR_MASK_PALETTE)) {
        return;
    }
    for (int64_t x = width - 1; x >= 0; x--) {
        uint8_t value = row[x], *to = row + 3 * x;
        if (color & PNG_COLOR_MASK_PALETTE) {
            const png_color *entry = &job->palette[value];
            to[0] = entry->red;
            to[1] = entry->green;
            to[2] = entry->blue;
            continue;
        }
        if (job->grey16) {
            value = row[2 * x] ? 255 : row[2 * x + 1];
        }
        to[0] = to[1] = to[2] = value;
    }
}

static void read_rows(png_job *job, int color)
{
    bcam_photo *photo = job->photo;
    size_t stride = (size_t)photo->width * 3;
    int passes = png_set_interlace_handling(job->png);
    png_read_update_info(job->png, job->info);
    if (png_get_rowbytes(job->png, job->info) > stride) {
        png_error(job->png, "rows longer than the header says");
    }
    if (passes > 1) {
        memset(photo->rgb, 0, stride * (size_t)photo->height);
    }
    for (int pass = 0; pass < passes; pass++) {
        for (int y = 0; y < photo->height; y++) {
            png_read_row(job->png, photo->rgb + (size_t)y * stride, NULL);
        }
    }
    for (int y = 0; y < photo->height; y++) {
        widen_row(job, photo->rgb + (size_t)y * stride, photo->width, color);
    }
}

static bcam_outcome decode(png_job *job, int64_t max_pixels)
{
    png_uint_32 width, height;
    int depth, color;
    if (setjmp(png_jmpbuf(job->png))) {
        return BCAM_OUTCOME_UNREADABLE;
    }
    png_set_read_fn(job->png, job, on_read);
    drop_extras(job->png);
    png_read_info(job->png, job->info);
    png_get_IHDR(job->png, job->info, &width, &height, &depth, &color, NULL, NULL, NULL);
    bcam_outcome outcome = bcam_photo_reserve(job->photo, width, height, max_pixels, 1);
    if (outcome != BCAM_OUTCOME_OK) {
        return outcome;
    }
    read_palette(job);
    read_orientation(job);
    set_transforms(job, depth, color);
    job->most = SIZE_MAX; /* rows are as long as the size that was checked */
    read_rows(job, color);
    return BCAM_OUTCOME_OK;
}

bcam_outcome bcam_png_decode(bcam_photo *photo, const uint8_t *data, size_t bytes, int64_t max_pixels)
{
    enum { WORK_BYTES = 1 << 20 }; /* for libpng itself; a chunk that claims more than the file has is not believed */
    png_job job = {.photo = photo, .data = data, .left = bytes, .most = bytes + WORK_BYTES};
    bcam_outcome outcome = BCAM_OUTCOME_UNREADABLE;
    job.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning, &job, on_alloc, on_free);
    job.info = job.png ? png_create_info_struct(job.png) : NULL;
    if (job.info) {
        outcome = decode(&job, max_pixels);
    }
    if (!job.info || job.memory_out) {
        outcome = bcam_photo_refuse(photo, BCAM_OUTCOME_UNREADABLE, "out of memory for decoding a PNG");
    }
    png_destroy_read_struct(&job.png, &job.info, NULL);
    return outcome;
}

const char *bcam_png_version(void)
{
    return "libpng " PNG_LIBPNG_VER_STRING;
}
