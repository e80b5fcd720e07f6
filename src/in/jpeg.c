/* jpeg.c - JPEG to RGB bytes, equal to Pillow's Image.open(f).convert("RGB"). The only file of this room that knows libjpeg.
 *
 * libjpeg reads the head of every file. The data of the usual kind are then decoded by jpeg_part.c, where there is no doubt about them; in all other
 * cases libjpeg goes on from there, and says what becomes of the file.
 *
 * Pillow hands libjpeg its data piece by piece through a source that suspends when it runs dry. That decides what a damaged file becomes: data
 * that ends too early is an error, never grey pixels. The source here suspends in the same way. Other warnings are passed over, as there. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "in/decode.h"
#include "in/exif.h"
#include "in/jpeg_part.h"
#include "in/photo.h"

#define MAX_SCANS 100 /* a small file can hold thousands of scans over one big picture, each as costly as a decode */
#define WORK_BYTES (64 << 20) /* libjpeg's memory beside the coefficients of a progressive photo */

typedef struct jpeg_job {
    struct jpeg_decompress_struct cinfo;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf stop;
    bcam_photo *photo;
    const bcam_photo_limits *limits;
    bcam_outcome outcome;
} jpeg_job;

/* ---- what libjpeg calls ---- */

static _Noreturn void stop_with(jpeg_job *job, bcam_outcome outcome)
{
    job->outcome = outcome;
    longjmp(job->stop, 1);
}

/** Which of libjpeg's errors mean a kind of JPEG that is not read, and not damage. */
static bcam_outcome outcome_of_error(int code)
{
    switch (code) {
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_ARITH_NOTIMPL:
    case JERR_COMPONENT_COUNT:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
        return BCAM_OUTCOME_UNSUPPORTED;
    case JERR_IMAGE_TOO_BIG:
        return BCAM_OUTCOME_TOO_LARGE;
    default:
        return BCAM_OUTCOME_UNREADABLE;
    }
}

static _Noreturn void on_error(j_common_ptr common)
{
    jpeg_job *job = common->client_data;
    char text[JMSG_LENGTH_MAX];
    common->err->format_message(common, text);
    bcam_outcome outcome = outcome_of_error(common->err->msg_code);
    if (outcome == BCAM_OUTCOME_TOO_LARGE) {
        bcam_photo_refuse(job->photo, outcome, "%u x %u pixels; a JPEG may have %u a side", job->cinfo.image_width,
                          job->cinfo.image_height, (unsigned)JPEG_MAX_DIMENSION);
    } else if (common->err->msg_code == JERR_OUT_OF_MEMORY) {
        bcam_photo_refuse(job->photo, outcome, "out of memory for decoding a JPEG");
    } else {
        bcam_photo_refuse(
            job->photo, outcome,
            outcome == BCAM_OUTCOME_UNREADABLE ? "damaged JPEG: %s" : "JPEG of a kind that is not read: %s", text);
    }
    stop_with(job, outcome);
}

static void on_message(j_common_ptr common)
{
    (void)common; /* warnings are not printed */
}

static void on_source_edge(j_decompress_ptr cinfo)
{
    (void)cinfo;
}

static boolean on_source_dry(j_decompress_ptr cinfo)
{
    (void)cinfo;
    return FALSE; /* suspends: there is no more */
}

static void on_source_skip(j_decompress_ptr cinfo, long count)
{
    if (count <= 0) {
        return;
    }
    size_t step = (size_t)count < cinfo->src->bytes_in_buffer ? (size_t)count : cinfo->src->bytes_in_buffer;
    cinfo->src->next_input_byte += step;
    cinfo->src->bytes_in_buffer -= step;
}

static void on_progress(j_common_ptr common)
{
    jpeg_job *job = common->client_data;
    if (job->cinfo.input_scan_number > MAX_SCANS) {
        bcam_photo_refuse(job->photo, BCAM_OUTCOME_UNREADABLE, "JPEG with more than %d scans", MAX_SCANS);
        stop_with(job, BCAM_OUTCOME_UNREADABLE);
    }
}

/* ---- the decode ---- */

static _Noreturn void stop_truncated(jpeg_job *job)
{
    bcam_photo_refuse(job->photo, BCAM_OUTCOME_UNREADABLE, "the JPEG's data end before the picture does");
    stop_with(job, BCAM_OUTCOME_UNREADABLE);
}

static void read_orientation(jpeg_job *job)
{
    static const uint8_t intro[6] = {'E', 'x', 'i', 'f', 0, 0};
    for (jpeg_saved_marker_ptr marker = job->cinfo.marker_list; marker; marker = marker->next) {
        if (marker->data_length > sizeof(intro) && memcmp(marker->data, intro, sizeof(intro)) == 0) {
            job->photo->orientation =
                bcam_exif_orientation(marker->data + sizeof(intro), marker->data_length - sizeof(intro));
            if (job->photo->orientation == 0) {
                bcam_photo_refuse(job->photo, BCAM_OUTCOME_UNREADABLE, "out of memory for reading its EXIF");
                stop_with(job, BCAM_OUTCOME_UNREADABLE);
            }
            return;
        }
    }
}

/** Coefficients of a progressive photo are kept whole: 2 bytes a sample, each side rounded up to whole MCUs (at most 32 pixels). */
static long memory_limit(const struct jpeg_decompress_struct *cinfo)
{
    int64_t width = ((int64_t)cinfo->image_width + 31) / 32 * 32,
            height = ((int64_t)cinfo->image_height + 31) / 32 * 32;
    return (long)(width * height * 2 * cinfo->num_components + WORK_BYTES);
}

/** How much smaller the photo is decoded. A turned one is to be as large as needed when it has been turned. */
static int reduction_of(const jpeg_job *job)
{
    const bcam_photo_limits *limits = job->limits;
    int width = (int)job->cinfo.image_width, height = (int)job->cinfo.image_height;
    bool swapped = limits->exif && job->photo->orientation >= 5;
    if (!limits->reduce || !limits->recipe) {
        return 1;
    }
    return bcam_prep_reduction(limits->recipe, swapped ? height : width, swapped ? width : height);
}

/** Reads up to the first scan, checks the size, chooses the colours. */
static void read_header(jpeg_job *job)
{
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    int state;
    do {
        state = jpeg_read_header(cinfo, FALSE);
    } while (state == JPEG_HEADER_TABLES_ONLY);
    if (state == JPEG_SUSPENDED) {
        stop_truncated(job);
    }
    if (cinfo->num_components != 1 && cinfo->num_components != 3 && cinfo->num_components != 4) {
        bcam_photo_refuse(job->photo, BCAM_OUTCOME_UNSUPPORTED, "JPEG with %d colour components; 1, 3 or 4 are read",
                          cinfo->num_components);
        stop_with(job, BCAM_OUTCOME_UNSUPPORTED);
    }
    read_orientation(job);
    int reduction = reduction_of(job);
    bcam_outcome outcome =
        bcam_photo_reserve(job->photo, cinfo->image_width, cinfo->image_height, job->limits->max_pixels, reduction);
    if (outcome != BCAM_OUTCOME_OK) {
        stop_with(job, outcome);
    }
    cinfo->scale_num = 1;
    cinfo->scale_denom = (unsigned)reduction;
    cinfo->out_color_space = cinfo->num_components == 4 ? JCS_CMYK : JCS_RGB;
    cinfo->mem->max_memory_to_use = memory_limit(cinfo);
}

/** Pillow's CMYK to RGB. Four-component JPEGs hold inverted inks, as Adobe writes them: 255 is no ink. */
static void row_from_cmyk(const uint8_t *cmyk, uint8_t *rgb, int width)
{
    for (int x = 0; x < width; x++, cmyk += 4, rgb += 3) {
        for (int c = 0; c < 3; c++) {
            unsigned product = cmyk[c] * (unsigned)cmyk[3] + 128u;
            rgb[c] = (uint8_t)((product + (product >> 8)) >> 8); /* a * b / 255, rounded */
        }
    }
}

static void read_rows(jpeg_job *job)
{
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    bcam_photo *photo = job->photo;
    bool cmyk = cinfo->out_color_space == JCS_CMYK;
    if (cmyk && !bcam_buffer_reserve(&photo->scratch, &photo->scratch_capacity, (size_t)photo->rgb_width * 4)) {
        bcam_photo_refuse(photo, BCAM_OUTCOME_UNREADABLE, "out of memory for a row of %d pixels", photo->rgb_width);
        stop_with(job, BCAM_OUTCOME_UNREADABLE);
    }
    while (cinfo->output_scanline < cinfo->output_height) {
        uint8_t *rgb = photo->rgb + (size_t)cinfo->output_scanline * (size_t)photo->rgb_width * 3;
        JSAMPROW row = cmyk ? photo->scratch : rgb;
        if (jpeg_read_scanlines(cinfo, &row, 1) != 1) {
            stop_truncated(job);
        }
        if (cmyk) {
            row_from_cmyk(photo->scratch, rgb, photo->rgb_width);
        }
    }
}

/* ---- the usual kind ---- */

/** What jpeg_part.c is to know of a component. False: a table is missing. */
static bool describe_component(const struct jpeg_decompress_struct *cinfo, int i, bcam_jpeg_component *out)
{
    const jpeg_component_info *c = &cinfo->comp_info[i];
    if (c->quant_tbl_no < 0 || c->quant_tbl_no >= NUM_QUANT_TBLS || c->dc_tbl_no < 0 || c->dc_tbl_no >= NUM_HUFF_TBLS ||
        c->ac_tbl_no < 0 || c->ac_tbl_no >= NUM_HUFF_TBLS) {
        return false;
    }
    const JQUANT_TBL *quant = cinfo->quant_tbl_ptrs[c->quant_tbl_no];
    const JHUFF_TBL *dc = cinfo->dc_huff_tbl_ptrs[c->dc_tbl_no], *ac = cinfo->ac_huff_tbl_ptrs[c->ac_tbl_no];
    if (!quant || !dc || !ac) {
        return false;
    }
    *out = (bcam_jpeg_component){c->h_samp_factor, c->v_samp_factor, quant->quantval, dc->bits,
                                 dc->huffval,      ac->bits,         ac->huffval};
    return true;
}

/** Decodes what is needed, or leaves libjpeg where it is. */
static bool decode_part(jpeg_job *job)
{
    const struct jpeg_decompress_struct *cinfo = &job->cinfo;
    bcam_photo *photo = job->photo;
    J_COLOR_SPACE wanted = cinfo->num_components == 1 ? JCS_GRAYSCALE : JCS_YCbCr;
    if (cinfo->progressive_mode || cinfo->arith_code || cinfo->num_components > 3 ||
        cinfo->comps_in_scan != cinfo->num_components || cinfo->jpeg_color_space != wanted || cinfo->Ss != 0 ||
        cinfo->Se != DCTSIZE2 - 1 || cinfo->Ah != 0 || cinfo->Al != 0) {
        return false;
    }
    bcam_jpeg_frame frame = {.width = photo->width,
                             .height = photo->height,
                             .reduction = (int)cinfo->scale_denom,
                             .components = cinfo->num_components,
                             .restart = (int)cinfo->restart_interval,
                             .data = job->source.next_input_byte,
                             .bytes = job->source.bytes_in_buffer};
    for (int i = 0; i < frame.components; i++) {
        if (cinfo->cur_comp_info[i] != &cinfo->comp_info[i] || !describe_component(cinfo, i, &frame.component[i])) {
            return false;
        }
    }
    bool whole = !job->limits->recipe || (job->limits->exif && photo->orientation > 1);
    bcam_part part = whole ? photo->part : bcam_prep_needs(job->limits->recipe, photo);
    bcam_jpeg_verdict verdict =
        bcam_jpeg_decode_part(&frame, part, photo->rgb, &photo->scratch, &photo->scratch_capacity);
    if (verdict == BCAM_JPEG_MEMORY) {
        bcam_photo_refuse(photo, BCAM_OUTCOME_UNREADABLE, "out of memory for decoding a JPEG");
        stop_with(job, BCAM_OUTCOME_UNREADABLE);
    }
    if (verdict != BCAM_JPEG_DECODED) {
        return false;
    }
    photo->part = part;
    return true;
}

static void decode(jpeg_job *job, const uint8_t *data, size_t bytes)
{
    if (setjmp(job->stop) != 0) {
        return;
    }
    jpeg_create_decompress(&job->cinfo);
    job->progress.progress_monitor = on_progress;
    job->cinfo.progress = &job->progress;
    job->source = (struct jpeg_source_mgr){.next_input_byte = data,
                                           .bytes_in_buffer = bytes,
                                           .init_source = on_source_edge,
                                           .fill_input_buffer = on_source_dry,
                                           .skip_input_data = on_source_skip,
                                           .resync_to_restart = jpeg_resync_to_restart,
                                           .term_source = on_source_edge};
    job->cinfo.src = &job->source;
    jpeg_save_markers(&job->cinfo, JPEG_APP0 + 1, 0xFFFF);
    read_header(job);
    if (decode_part(job)) {
        return;
    }
    if (!jpeg_start_decompress(&job->cinfo)) {
        stop_truncated(job);
    }
    read_rows(job);
    jpeg_finish_decompress(
        &job->cinfo); /* looks for the end mark: damage found on the way is an error, its absence is not */
}

bcam_outcome bcam_jpeg_decode(bcam_photo *photo, const uint8_t *data, size_t bytes, const bcam_photo_limits *limits)
{
    jpeg_job job = {.photo = photo, .limits = limits, .outcome = BCAM_OUTCOME_OK};
    job.cinfo.err = jpeg_std_error(&job.errors);
    job.errors.error_exit = on_error;
    job.errors.output_message = on_message;
    job.cinfo.client_data = &job;
    decode(&job, data, bytes);
    jpeg_destroy_decompress(&job.cinfo);
    return job.outcome;
}

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char *bcam_jpeg_version(void)
{
    return "libjpeg-turbo " TEXT(LIBJPEG_TURBO_VERSION);
}
