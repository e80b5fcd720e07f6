/* recipe.c - which preprocessing: a preset by name, or a file of one of three kinds; and the table of values it leads to. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "in/recipe_files.h"
#include "in/recipe_parts.h"

/* ---- presets ---- */

typedef struct preset {
    const char *name;
    bcam_resize_mode resize;
    bool crop;
    double rescale, offset, mean[3], std[3];
    bool bgr;
} preset;

#define V(...)                                                                                                         \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
static const preset presets[] = {
#define X(name, resize, crop, rescale, offset, mean, std, bgr)                                                         \
    {name, BCAM_RESIZE_##resize, crop, rescale, offset, mean, std, bgr},
#include "in/presets.def"
#undef X
};
#undef V

static const char *const preset_names[] = {
#define X(name, ...) name,
#include "in/presets.def"
#undef X
};

static void set_preset(const preset *p, bcam_recipe *out)
{
    int longer = out->height > out->width ? out->height : out->width; /* so that the crop never reaches outside */
    out->resize = p->resize;
    out->resize_to = (int)floor(longer / 0.875);
    out->resize_h = out->height;
    out->resize_w = out->width;
    out->filter = BCAM_FILTER_BILINEAR;
    out->crop = p->crop;
    out->rescale = p->rescale;
    out->offset = p->offset;
    memcpy(out->mean, p->mean, sizeof(out->mean));
    memcpy(out->std, p->std, sizeof(out->std));
    out->bgr = p->bgr;
}

static const preset *find_preset(const char *name)
{
    for (size_t i = 0; i < BCAM_COUNT(presets); i++) {
        if (strcmp(presets[i].name, name) == 0) {
            return &presets[i];
        }
    }
    return NULL;
}

/* ---- batchcam's own file ---- */

/** A number, or a fraction as text: "1/255". */
static double read_rescale(bcam_fields *fields, double fallback)
{
    const char *text = bcam_json_text(bcam_json_get(fields->object, "rescale"));
    if (!text) {
        return bcam_fields_number(fields, "rescale", fallback);
    }
    char *end = NULL;
    double above = strtod(text, &end), below = *end == '/' ? strtod(end + 1, &end) : 0;
    if (*end != 0 || !isfinite(above / below)) {
        bcam_fields_fail(fields, "'rescale' is '%.40s'; a number or a fraction like \"1/255\" is expected", text);
        return fallback;
    }
    return above / below;
}

static void read_own_resize(bcam_fields *fields, bcam_recipe *out)
{
    static const char *const modes[] = {"none", "shorter", "squash", NULL}; /* as bcam_resize_mode */
    static const char *const crops[] = {"none", "center", NULL};
    out->resize = (bcam_resize_mode)bcam_fields_word(fields, "resize", modes, BCAM_RESIZE_SHORTER);
    const bcam_json *to = bcam_json_get(fields->object, "resize_to");
    if (out->resize == BCAM_RESIZE_SQUASH && bcam_json_is_array(to)) {
        double size[2] = {0, 0};
        bcam_fields_numbers(fields, "resize_to", size, 2);
        out->resize_h = size[0] >= 1 && size[0] <= 65536 ? (int)size[0] : 0;
        out->resize_w = size[1] >= 1 && size[1] <= 65536 ? (int)size[1] : 0;
        if (out->resize_h != size[0] || out->resize_w != size[1]) {
            bcam_fields_fail(fields, "'resize_to' must be whole numbers from 1 to 65536");
        }
    } else if (out->resize == BCAM_RESIZE_SQUASH && to) {
        out->resize_h = out->resize_w = bcam_fields_int(fields, "resize_to", 1);
    } else if (out->resize == BCAM_RESIZE_NONE && to) {
        bcam_fields_fail(fields, "'resize_to' is given, and 'resize' is \"none\"");
    } else {
        out->resize_to = bcam_fields_int(fields, "resize_to", out->resize_to);
    }
    out->crop = bcam_fields_word(fields, "crop", crops, out->resize == BCAM_RESIZE_SHORTER) == 1;
    if (out->resize == BCAM_RESIZE_SQUASH && !out->crop) {
        bcam_recipe_check_size(fields, out, out->resize_h, out->resize_w);
    }
    if (out->resize == BCAM_RESIZE_SHORTER && !out->crop) {
        bcam_fields_fail(fields, "'resize' \"shorter\" leaves photos of different shapes; it needs 'crop' \"center\"");
    }
}

static void read_own_size(bcam_fields *fields, const double *size, bcam_recipe *out)
{
    bool whole = size[0] >= 1 && size[0] <= 65536 && size[0] == floor(size[0]) && size[1] >= 1 && size[1] <= 65536 &&
                 size[1] == floor(size[1]);
    out->height = whole && !out->height ? (int)size[0] : out->height;
    out->width = whole && !out->width ? (int)size[1] : out->width;
    if (size[0] != out->height || size[1] != out->width) {
        bcam_fields_fail(fields, "'size' is %g x %g (height x width), and the model takes %d x %d", size[0], size[1],
                         out->height, out->width);
    }
}

/** What is not given is as in torchvision's preset, but for mean and std, which are then left out. */
static void read_own(bcam_fields *fields, bcam_recipe *out)
{
    static const char *const known[] = {"size",   "resize", "resize_to", "interpolation", "crop", "rescale",
                                        "offset", "mean",   "std",       "channel_order", NULL};
    static const char *const harmless[] = {"name", "description", "comment", NULL};
    static const char *const orders[] = {"rgb", "bgr", NULL};
    double size[2] = {out->height, out->width};
    bcam_fields_only(fields, known, harmless);
    if (bcam_fields_numbers(fields, "size", size, 2)) {
        read_own_size(fields, size, out);
    }
    set_preset(find_preset("torchvision"), out);
    memcpy(out->mean, (double[3]){0, 0, 0}, sizeof(out->mean));
    memcpy(out->std, (double[3]){1, 1, 1}, sizeof(out->std));
    read_own_resize(fields, out);
    out->filter = (bcam_filter)bcam_fields_word(fields, "interpolation", bcam_filter_names, BCAM_FILTER_BILINEAR);
    out->rescale = read_rescale(fields, out->rescale);
    out->offset = bcam_fields_number(fields, "offset", 0);
    bcam_fields_numbers(fields, "mean", out->mean, 3);
    bcam_fields_numbers(fields, "std", out->std, 3);
    out->bgr = bcam_fields_word(fields, "channel_order", orders, 0) == 1;
}

/* ---- which of them ---- */

static bool has_field(const bcam_json *document, const char *const *names)
{
    for (; *names; names++) {
        if (bcam_json_get(document, *names)) {
            return true;
        }
    }
    return false;
}

static bool is_timm(const bcam_json *document)
{
    static const char *const marks[] = {"pretrained_cfg", "input_size", "crop_pct", NULL};
    static const char *const not_timm[] = {"image_processor_type", "feature_extractor_type", NULL};
    return has_field(document, marks) && !has_field(document, not_timm);
}

static bool is_hf(const bcam_json *document)
{
    static const char *const marks[] = {
        "image_processor_type", "feature_extractor_type", "do_resize", "do_normalize", "image_mean", NULL};
    return has_field(document, marks);
}

static void keep_name(const char *text, bcam_recipe *out)
{
    size_t length = strlen(text), room = sizeof(out->name) - 1;
    strcpy(out->name,
           text + (length > room ? length - room : 0)); /* the end of a long path says more than its beginning */
}

static bcam_status read_document(const char *path, const bcam_json *document, bcam_recipe *out, bcam_error *err)
{
    bcam_fields fields = {.path = path, .object = document, .err = err};
    if (is_timm(document)) {
        bcam_recipe_from_timm(&fields, out);
    } else if (is_hf(document)) {
        bcam_recipe_from_hf(&fields, out);
    } else {
        read_own(&fields, out);
    }
    for (int c = 0; c < 3; c++) {
        if (!((float)out->std[c] != 0) || !isfinite((float)out->std[c]) || !isfinite((float)out->mean[c])) {
            bcam_fields_fail(&fields, "mean and std must be finite, and std not 0");
        }
    }
    if (!isfinite((float)(out->rescale * 255)) || !isfinite((float)out->offset)) {
        bcam_fields_fail(&fields, "rescale and offset must be finite");
    }
    out->divide_255 = out->rescale == 1.0 / 255;
    return fields.status;
}

static bcam_status read_file(const char *path, bcam_recipe *out, bcam_error *err)
{
    bcam_json *document = NULL;
    bcam_status status = bcam_json_read(path, &document, err);
    if (status == BCAM_OK) {
        status = read_document(path, document, out, err);
    }
    bcam_json_close(&document);
    keep_name(path, out);
    return status;
}

/** True where `path` may be read without being asked for: a config.json is of many kinds, and only timm's says how to preprocess. */
static bool is_wanted(const char *path, const char *base)
{
    if (access(path, R_OK) != 0) {
        return false;
    }
    if (strcmp(base, "config.json") != 0) {
        return true;
    }
    bcam_json *document = NULL;
    bool wanted = bcam_json_read(path, &document, NULL) == BCAM_OK && bcam_json_get(document, "pretrained_cfg");
    bcam_json_close(&document);
    return wanted;
}

/** The first file beside the model that says how to preprocess; *out is NULL where there is none. */
static bcam_status find_beside(const char *model, char **out, bcam_error *err)
{
    static const char *const bases[] = {"preprocess.json", "preprocessor_config.json", "config.json"};
    char *dir = bcam_path_dir(model), *path = NULL;
    *out = NULL;
    for (size_t i = 0; dir && i < BCAM_COUNT(bases) && !*out; i++) {
        path = bcam_path_join(dir, bases[i]);
        if (!path) {
            break;
        }
        if (is_wanted(path, bases[i])) {
            *out = path;
        } else {
            bcam_free(path);
        }
    }
    bool complete = dir && path;
    bcam_free(dir);
    return complete ? BCAM_OK : bcam_fail_memory(err, strlen(model), "a file name");
}

static bcam_status read_preset_or_file(const char *spec, bcam_recipe *out, bcam_error *err)
{
    const preset *p = find_preset(spec);
    if (p) {
        set_preset(p, out);
        out->divide_255 = out->rescale == 1.0 / 255;
        keep_name(spec, out);
        return BCAM_OK;
    }
    if (access(spec, F_OK) != 0 && !strchr(spec, '/') && !strchr(spec, '.')) {
        char nearest[256];
        bcam_nearest(spec, preset_names, BCAM_COUNT(preset_names), nearest, sizeof(nearest));
        return bcam_fail(
            err, BCAM_E_INPUT,
            "'%s' is no preprocessing preset and no file; presets are torchvision, keras-tf, keras-caffe, unit and "
            "raw%s%s%s",
            spec, *nearest ? "; did you mean " : "", nearest, *nearest ? "?" : "");
    }
    return read_file(spec, out, err);
}

static bcam_status read_recipe(const char *spec, const char *fallback, const char *model, int height, int width,
                               bcam_recipe *out, bcam_error *err)
{
    char *beside = NULL;
    memset(out, 0, sizeof(*out));
    out->height = height;
    out->width = width;
    bcam_status status = spec || !model ? BCAM_OK : find_beside(model, &beside, err);
    if (status == BCAM_OK) {
        status = beside ? read_file(beside, out, err) : read_preset_or_file(spec ? spec : fallback, out, err);
    }
    bcam_free(beside);
    return status;
}

bcam_status bcam_recipe_read(const char *spec, const char *model, int height, int width, bcam_recipe *out,
                             bcam_error *err)
{
    return read_recipe(spec, "torchvision", model, height, width, out, err);
}

bcam_status bcam_recipe_read_grey(const char *spec, const char *model, int height, int width, bcam_recipe *out,
                                  bcam_error *err)
{
    bcam_status status = read_recipe(spec, "unit", model, height, width, out, err);
    out->grey = true;
    for (int c = 1; status == BCAM_OK && c < 3; c++) {
        if (out->mean[c] != out->mean[0] || out->std[c] != out->std[0]) {
            status =
                bcam_fail(err, BCAM_E_INPUT,
                          "'%s' has a mean and std for each of three colours, and the model sees grey; choose unit, "
                          "raw, keras-tf, or a file with one mean and one std",
                          out->name);
        }
    }
    return status;
}

bcam_status bcam_recipe_size(const char *spec, const char *model, int *height, int *width, bcam_error *err)
{
    bcam_recipe recipe;
    bcam_status status = bcam_recipe_read(spec, model, *height, *width, &recipe, err);
    *height = recipe.height;
    *width = recipe.width;
    return status;
}

/* ---- what it comes to ---- */

int bcam_recipe_channel(const bcam_recipe *recipe, int c)
{
    return recipe->bgr ? 2 - c : c;
}

void bcam_recipe_lut(const bcam_recipe *recipe, float *lut) // (3,256)
{
    for (int c = 0; c < 3; c++) {
        float mean = (float)recipe->mean[c], std = (float)recipe->std[c], offset = (float)recipe->offset;
        for (int byte = 0; byte < 256; byte++) {
            /* Other factors than 1/255 are taken in double and rounded once: NumPy does so, and a factor of 1/127.5 then equals the division. */
            float value = recipe->divide_255 ? (float)byte / 255.0f : (float)(byte * recipe->rescale);
            value = offset != 0 ? value + offset : value;
            lut[c * 256 + byte] = (value - mean) / std;
        }
    }
}
