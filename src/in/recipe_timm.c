/* recipe_timm.c - the preprocessing in a config.json of timm: its evaluation transforms. */
#include <math.h>
#include <string.h>

#include "in/recipe_files.h"
#include "in/recipe_parts.h"

static const char *const known[] = {"input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std", NULL};

/* Where weights came from, what they were trained for, how the head looks: nothing of it changes a photo. Sizes for tests are used by timm on
 * request only. */
static const char *const harmless[] = {"url",
                                       "file",
                                       "state_dict",
                                       "hf_hub_id",
                                       "hf_hub_filename",
                                       "source",
                                       "architecture",
                                       "tag",
                                       "custom_load",
                                       "test_input_size",
                                       "min_input_size",
                                       "fixed_input_size",
                                       "test_crop_pct",
                                       "test_crop_mode",
                                       "test_interpolation",
                                       "num_classes",
                                       "label_offset",
                                       "label_names",
                                       "label_descriptions",
                                       "pool_size",
                                       "test_pool_size",
                                       "first_conv",
                                       "classifier",
                                       "license",
                                       "description",
                                       "origin_url",
                                       "paper_name",
                                       "paper_ids",
                                       "notes",
                                       "num_features",
                                       "global_pool",
                                       "model_args",
                                       "model_type",
                                       "architectures",
                                       "pretrained_cfg",
                                       NULL};

static void read_sizes(bcam_fields *fields, const double size[3], bcam_recipe *out)
{
    static const char *const modes[] = {"center", "squash", NULL};
    int height = (int)size[1], width = (int)size[2];
    double crop_pct = bcam_fields_number(fields, "crop_pct", 0.875);
    crop_pct = crop_pct == 0 ? 0.875 : crop_pct;
    const char *mode = bcam_fields_text(fields, "crop_mode", "center");
    if (strcmp(mode, "border") == 0) {
        bcam_fields_fail(fields,
                         "'crop_mode' \"border\" (the whole photo on a ground of the mean colour) is not supported");
        return;
    }
    if (crop_pct < 0.01 || crop_pct > 100) {
        bcam_fields_fail(fields, "'crop_pct' is %g; a share of the side is expected", crop_pct);
        return;
    }
    out->crop = true;
    out->resize = bcam_fields_word(fields, "crop_mode", modes, 0) == 1 ? BCAM_RESIZE_SQUASH : BCAM_RESIZE_SHORTER;
    out->resize_h = (int)floor(height / crop_pct);
    out->resize_w = (int)floor(width / crop_pct);
    out->resize_to = out->resize_h;
    if (out->resize == BCAM_RESIZE_SHORTER && out->resize_h != out->resize_w) {
        bcam_fields_fail(fields, "'input_size' is not square; that is supported with 'crop_mode' \"squash\" only");
    }
}

void bcam_recipe_from_timm(bcam_fields *fields, bcam_recipe *out)
{
    const bcam_json *inner = bcam_json_get(fields->object, "pretrained_cfg");
    double size[3] = {3, 224, 224}, mean[3] = {0.485, 0.456, 0.406}, std[3] = {0.229, 0.224, 0.225};
    if (inner) {
        fields->object = inner; /* what stands around it describes the network */
    }
    bcam_fields_only(fields, known, harmless);
    bcam_fields_numbers(fields, "input_size", size, 3);
    if (fields->status == BCAM_OK &&
        !(size[0] == 3 && size[1] >= 1 && size[1] <= 65536 && size[2] >= 1 && size[2] <= 65536)) {
        bcam_fields_fail(fields, "'input_size' is not a list of 3, height and width");
    }
    if (fields->status != BCAM_OK) {
        return;
    }
    bcam_recipe_check_size(fields, out, (int)size[1], (int)size[2]);
    read_sizes(fields, size, out);
    out->filter = (bcam_filter)bcam_fields_word(fields, "interpolation", bcam_filter_names, BCAM_FILTER_BICUBIC);
    bcam_fields_numbers(fields, "mean", mean, 3);
    bcam_fields_numbers(fields, "std", std, 3);
    memcpy(out->mean, mean, sizeof(mean));
    memcpy(out->std, std, sizeof(std));
    out->rescale = 1.0 / 255;
}
