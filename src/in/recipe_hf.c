/* recipe_hf.c - a Hugging Face preprocessor_config.json: what the image processor that it names would do, with resizing by Pillow. */
#include <string.h>

#include "in/recipe_files.h"
#include "in/recipe_parts.h"

typedef enum rule {
    PLAIN,
    LEVIT,       /* the shorter side becomes 256/224 of size */
    POOLFORMER,  /* the shorter side becomes size / crop_pct */
    CONVNEXT,    /* below 384 as PoolFormer with a crop to size; from 384 on squashed */
    MOBILEVIT,   /* blue first; never normalised */
    EFFICIENTNET /* rescale_offset: minus 1; include_top: divided by std once more */
} rule;

enum { STANDARD, IMAGENET, OPENAI };

static const double means[3][3] = {{0.5, 0.5, 0.5}, {0.485, 0.456, 0.406}, {0.48145466, 0.4578275, 0.40821073}};
static const double stds[3][3] = {{0.5, 0.5, 0.5}, {0.229, 0.224, 0.225}, {0.26862954, 0.26130258, 0.27577711}};

typedef struct processor {
    const char *type;
    rule rule;
    bool square;
    int size;
    bool crop;
    int crop_size;
    bcam_filter filter;
    int colors;
} processor;

static const processor processors[] = {
#define X(type, rule, square, size, crop, crop_size, filter, colors)                                                   \
    {type, rule, square, size, crop, crop_size, BCAM_FILTER_##filter, colors},
#include "in/hf.def"
#undef X
};

static const char *const known[] = {"do_resize",
                                    "size",
                                    "resample",
                                    "do_center_crop",
                                    "crop_size",
                                    "do_rescale",
                                    "rescale_factor",
                                    "do_normalize",
                                    "image_mean",
                                    "image_std",
                                    "do_convert_rgb",
                                    "do_pad",
                                    "crop_pct",
                                    "rescale_offset",
                                    "include_top",
                                    "do_flip_channel_order",
                                    "default_to_square",
                                    "image_processor_type",
                                    "feature_extractor_type",
                                    NULL};

/* Photos are RGB whatever do_convert_rgb says. The rest describes the processor's own inputs and outputs. */
static const char *const harmless[] = {"processor_class",
                                       "_processor_class",
                                       "auto_map",
                                       "_valid_processor_keys",
                                       "valid_processor_keys",
                                       "_valid_kwargs_names",
                                       "data_format",
                                       "input_data_format",
                                       "device",
                                       "return_tensors",
                                       "disable_grouping",
                                       "model_input_names",
                                       "do_reduce_labels",
                                       "reduce_labels",
                                       "pad_size",
                                       "image_seq_length",
                                       "num_labels",
                                       "transformers_version",
                                       "model_type",
                                       "name_or_path",
                                       "feature_extractor_class",
                                       NULL};

static const processor *find_processor(bcam_fields *fields)
{
    static const char *const endings[] = {"", "Fast", "Pil"};
    const char *type = bcam_fields_text(fields, "image_processor_type", NULL);
    type = type ? type : bcam_fields_text(fields, "feature_extractor_type", NULL);
    for (size_t i = 0; type && i < BCAM_COUNT(processors); i++) {
        size_t length = strlen(processors[i].type);
        if (strncmp(type, processors[i].type, length) != 0) {
            continue;
        }
        if (strcmp(type + length, "FeatureExtractor") == 0) {
            return &processors[i];
        }
        for (size_t e = 0; e < BCAM_COUNT(endings); e++) {
            if (strncmp(type + length, "ImageProcessor", 14) == 0 && strcmp(type + length + 14, endings[e]) == 0) {
                return &processors[i];
            }
        }
    }
    if (type) {
        bcam_fields_fail(
            fields, "'%.80s' is not among the image processors that are supported (docs/preprocessing.md lists them)",
            type);
    } else {
        bcam_fields_fail(fields, "it names no 'image_processor_type'");
    }
    return NULL;
}

/** {"height": h, "width": w}, {"shortest_edge": n} or n; `square` says what a bare n means. Shortest edge: *height is 0 and *width is n. */
static void read_size(bcam_fields *fields, const char *key, bool square, int *height, int *width)
{
    static const char *const sides[] = {"height", "width", "shortest_edge", NULL}, *const none[] = {NULL};
    const bcam_json *value = bcam_json_get(fields->object, key);
    if (!value) {
        return;
    }
    if (!bcam_json_is_object(value)) {
        *width = bcam_fields_int(fields, key, *width);
        *height = square ? *width : 0;
        return;
    }
    bcam_fields inner = {.path = fields->path, .object = value, .err = fields->err, .status = fields->status};
    bcam_fields_only(&inner, sides, none);
    if (bcam_json_get(value, "shortest_edge")) {
        *height = 0;
        *width = bcam_fields_int(&inner, "shortest_edge", 1);
    } else {
        *height = bcam_fields_int(&inner, "height", 0);
        *width = bcam_fields_int(&inner, "width", 0);
        if (*height == 0 || *width == 0) {
            bcam_fields_fail(&inner, "'%s' needs height and width, or shortest_edge", key);
        }
    }
    fields->status = inner.status;
}

static void read_filter(bcam_fields *fields, const processor *p, bcam_recipe *out)
{
    static const bcam_filter by_code[6] = {BCAM_FILTER_NEAREST, BCAM_FILTER_LANCZOS, BCAM_FILTER_BILINEAR,
                                           BCAM_FILTER_BICUBIC, BCAM_FILTER_BOX,     BCAM_FILTER_HAMMING};
    double code = bcam_fields_number(fields, "resample", -1);
    out->filter = p->filter;
    if (code != -1) {
        if (!(code >= 0 && code <= 5 && code == (int)code)) {
            bcam_fields_fail(fields, "'resample' is %g; 0 to 5 are known", code);
            return;
        }
        out->filter = by_code[(int)code];
    }
}

/** The resize and the crop; sets what the special rules change. */
static void read_geometry(bcam_fields *fields, const processor *p, bcam_recipe *out)
{
    bool square = bcam_fields_bool(fields, "default_to_square", p->square),
         resize = bcam_fields_bool(fields, "do_resize", true);
    bool crop = bcam_fields_bool(fields, "do_center_crop", p->crop);
    int height = p->square ? p->size : 0, width = p->size, crop_h = p->crop_size, crop_w = p->crop_size;
    read_size(fields, "size", square, &height, &width);
    read_size(fields, "crop_size", true, &crop_h, &crop_w);
    double crop_pct = bcam_fields_number(fields, "crop_pct", p->rule == POOLFORMER ? 0.9 : 0.875);
    if (crop_pct < 0.01 || crop_pct > 100) {
        bcam_fields_fail(fields, "'crop_pct' is %g; a share of the side is expected", crop_pct);
        return;
    }
    if (height == 0 && p->rule == CONVNEXT && resize) {
        crop = width < 384;
        crop_h = crop_w = width;
        height = crop ? 0 : width;
        width = crop ? (int)(width / crop_pct) : width;
    } else if (height == 0 && p->rule == LEVIT) {
        width = (int)(256.0 / 224 * width);
    } else if (p->rule == POOLFORMER) {
        height = (int)(height / crop_pct);
        width = (int)(width / crop_pct);
    }
    out->resize = !resize ? BCAM_RESIZE_NONE : height == 0 ? BCAM_RESIZE_SHORTER : BCAM_RESIZE_SQUASH;
    out->resize_to = width;
    out->resize_h = height;
    out->resize_w = width;
    out->crop = out->crop_floor = crop;
    if (out->resize == BCAM_RESIZE_SHORTER && !crop) {
        bcam_fields_fail(fields, "resizing the shorter edge without a centre crop leaves photos of different shapes");
    } else if (crop || resize) {
        bcam_recipe_check_size(fields, out, crop ? crop_h : height, crop ? crop_w : width);
    }
}

static void read_colors(bcam_fields *fields, const processor *p, bcam_recipe *out)
{
    double mean[3], std[3];
    bool normalize = bcam_fields_bool(fields, "do_normalize", p->rule != MOBILEVIT);
    memcpy(mean, means[p->colors], sizeof(mean));
    memcpy(std, stds[p->colors], sizeof(std));
    bcam_fields_numbers(fields, "image_mean", mean, 3);
    bcam_fields_numbers(fields, "image_std", std, 3);
    out->rescale =
        bcam_fields_bool(fields, "do_rescale", true) ? bcam_fields_number(fields, "rescale_factor", 1.0 / 255) : 1;
    out->bgr = bcam_fields_bool(fields, "do_flip_channel_order", p->rule == MOBILEVIT);
    out->offset = bcam_fields_bool(fields, "rescale_offset", false) ? -1 : 0;
    bool twice = bcam_fields_bool(fields, "include_top", p->rule == EFFICIENTNET);
    if (normalize && p->rule == MOBILEVIT) {
        bcam_fields_fail(fields, "'do_normalize' is true, and MobileViT's processor knows no normalisation");
    }
    for (int c = 0; c < 3; c++) {
        int from = out->bgr ? 2 - c : c;
        out->mean[c] = normalize ? mean[from] : 0;
        out->std[c] = (normalize ? std[from] : 1) * (twice ? std[from] : 1);
    }
}

void bcam_recipe_from_hf(bcam_fields *fields, bcam_recipe *out)
{
    bcam_fields_only(fields, known, harmless);
    const processor *p = find_processor(fields);
    if (!p) {
        return;
    }
    if (bcam_fields_bool(fields, "do_pad", false)) {
        bcam_fields_fail(fields, "'do_pad' is not supported");
    }
    read_geometry(fields, p, out);
    read_filter(fields, p, out);
    read_colors(fields, p, out);
}
