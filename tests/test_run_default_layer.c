/* test_run_default_layer.c - the layer that is taken without --layer is the one that a network's users would name: a table over the goldens. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "batchcam.h"

/* What the golden's name begins with, and the default layer by either exporter, with batch norms folded or kept. The first row that fits. */
static const struct {
    const char *golden, *layer;
} table[] = {
    {"captum_known", "relu1"},
    {"const_", "relu2"},
    {"fixed_batch_reshape", "relu2"},
    {"mobilenet_v", "features"},
    {"multi_consumer", "pool5"},
    {"nhwc_twin", "twin/relu2"},
    {"resnet_", "layer4"},
    {"nhwc_tail", "tail/swish"},
    {"types_", "last"},
    {"narrow_alexnet", "features"},
    {"narrow_convnext", "features"},
    {"narrow_densenet", "features"}, /* its last ReLU is a call that belongs to no module */
    {"narrow_efficientnet", "features"},
    {"narrow_googlenet", "inception5b"},
    {"narrow_hrnet", "final_layer"},
    {"narrow_inception_v3", "Mixed_7c"},
    {"narrow_mnasnet", "layers"},
    {"narrow_mobilenet_v", "features"},
    {"narrow_regnet_", "trunk_output"},
    {"narrow_repvgg", "stage4"},
    {"narrow_res2net", "layer4"},
    {"narrow_resne", "layer4"}, /* ResNet and ResNeXt */
    {"narrow_se_resnet", "layer4"},
    {"narrow_shufflenet_v2", "conv5"},
    {"narrow_squeezenet", "features"}, /* what follows has a channel for each class */
    {"narrow_vgg", "features"},
    {"narrow_wide_resnet", "layer4"},
    {"narrow_xception", "act4"},
};

static const char *expected(const char *golden)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strncmp(golden, table[i].golden, strlen(table[i].golden)) == 0)
            return table[i].layer;
    return "(no row of the table)";
}

/* One network; returns whether its default is another, or its batch cannot be changed. */
static int look_at(const char *golden, const char *model)
{
    bcam_inspection *inspection = NULL;
    bcam_error err = {0};
    cr_assert_eq(bcam_inspect(model, &inspection, &err), BCAM_OK, "%s: %s", golden, err.message);
    const bcam_model_info *info = bcam_inspection_model(inspection);
    const bcam_candidate_info *layer = bcam_inspection_layer(inspection, info->default_layer);
    int wrong = !layer || !layer->is_default || strcmp(layer->name, expected(golden)) != 0;
    if (wrong)
        cr_log_error("%s: the default layer is %s, not %s", golden, layer ? layer->name : "none", expected(golden));
    if (info->batch_fixed) {
        cr_log_error("%s: one photo at a time: %s", golden, info->batch_note);
        wrong = 1;
    }
    bcam_inspection_close(&inspection);
    return wrong;
}

Test(default_layer, is_the_one_its_users_would_name)
{
    const char *root = BCAM_TEST_DATA "/golden";
    int count = 0, wrong = 0;
    DIR *dir = opendir(root);
    cr_assert(dir, "cannot open %s", root);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char model[1300];
        snprintf(model, sizeof model, "%s/%s/model.onnx", root, entry->d_name);
        if (*entry->d_name == '.' || access(model, R_OK) != 0)
            continue;
        wrong += look_at(entry->d_name, model);
        count++;
    }
    closedir(dir);
    cr_assert_eq(wrong, 0, "%d of %d networks are not as they should be", wrong, count);
    cr_assert_geq(count, 51, "only %d goldens were found", count);
}
