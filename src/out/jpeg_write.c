/* jpeg_write.c - RGB bytes to JPEG in memory. The only file of out/ that knows libjpeg. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include "out/out.h"

#define FIRST_BYTES 16384

typedef struct sink { /* a JPEG on its way */
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr target;
    jmp_buf back;
    uint8_t *data;
    size_t capacity, bytes;
    bool memory_out;
    char message[JMSG_LENGTH_MAX];
} sink;

static void on_error(j_common_ptr info)
{
    sink *self = (sink *)info->client_data;
    (*info->err->format_message)(info, self->message);
    longjmp(self->back, 1);
}

static void on_message(j_common_ptr info)
{
    (void)info; /* libjpeg would print it */
}

static void begin(j_compress_ptr jpeg)
{
    sink *self = jpeg->client_data;
    self->target.next_output_byte = self->data;
    self->target.free_in_buffer = self->capacity;
}

/* libjpeg calls this with the buffer full, whatever it says of the bytes left. */
static boolean grow(j_compress_ptr jpeg)
{
    sink *self = jpeg->client_data;
    uint8_t *grown = bcam_realloc(self->data, self->capacity * 2, 1);
    if (!grown) {
        self->memory_out = true;
        longjmp(self->back, 1);
    }
    self->data = grown;
    self->target.next_output_byte = grown + self->capacity;
    self->target.free_in_buffer = self->capacity;
    self->capacity *= 2;
    return TRUE;
}

static void end(j_compress_ptr jpeg)
{
    sink *self = jpeg->client_data;
    self->bytes = self->capacity - self->target.free_in_buffer;
}

static void compress(struct jpeg_compress_struct *jpeg, const uint8_t *rgb, int height, int width, int quality)
{
    jpeg->image_width = (JDIMENSION)width;
    jpeg->image_height = (JDIMENSION)height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg->optimize_coding = TRUE;
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        JSAMPROW row =
            (JSAMPROW)(uintptr_t)(rgb + (size_t)jpeg->next_scanline * (size_t)width * 3); /* libjpeg reads only */
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
}

bcam_status bcam_jpeg_encode(const uint8_t *rgb, int height, int width, int quality, uint8_t **out, size_t *bytes,
                             bcam_error *err)
{
    struct jpeg_compress_struct jpeg;
    *out = NULL;
    *bytes = 0;
    sink *self = bcam_alloc(1, sizeof *self); /* not on the stack: longjmp leaves changed locals undefined */
    if (!self || !(self->data = bcam_alloc(FIRST_BYTES, 1))) {
        bcam_free(self);
        return bcam_fail_memory(err, FIRST_BYTES, "a JPEG");
    }
    self->capacity = FIRST_BYTES;
    jpeg.err = jpeg_std_error(&self->errors);
    jpeg.client_data = self;
    self->errors.error_exit = on_error;
    self->errors.output_message = on_message;
    self->target.init_destination = begin;
    self->target.empty_output_buffer = grow;
    self->target.term_destination = end;
    bcam_status status = BCAM_OK;
    memset(&jpeg.mem, 0, sizeof jpeg.mem); /* so that destroying it is safe at any time */
    if (setjmp(self->back) == 0) {
        jpeg_create_compress(&jpeg);
        jpeg.dest = &self->target;
        compress(&jpeg, rgb, height, width, quality);
        *out = self->data;
        *bytes = self->bytes;
        self->data = NULL;
    } else if (self->memory_out) {
        status = bcam_fail_memory(err, self->capacity * 2, "a JPEG");
    } else {
        status = bcam_fail(err, BCAM_E_INTERNAL, "a picture of %dx%d could not be written as JPEG: %s", height, width,
                           self->message);
    }
    jpeg_destroy_compress(&jpeg);
    bcam_free(self->data);
    bcam_free(self);
    return status;
}
