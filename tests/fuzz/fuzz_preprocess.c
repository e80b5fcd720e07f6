/* fuzz_preprocess.c - recipes of all three kinds, which are told apart by their fields, and class names, which may be JSON too. */
#include <math.h>

#include "fuzz_file.h"
#include "in/in.h"

static void read_recipe(const char *path)
{
    enum { LUT = 3 * 256 };
    static float lut[LUT];
    bcam_recipe recipe;
    bcam_error err = {0};
    bcam_status status = bcam_recipe_read(path, NULL, 224, 224, &recipe, &err);
    fuzz_check_status(status, &err);
    if (status != BCAM_OK)
        return;
    FUZZ_CHECK(recipe.height == 224 && recipe.width == 224 && strlen(recipe.name) < sizeof recipe.name);
    FUZZ_CHECK(recipe.filter <= BCAM_FILTER_LANCZOS && recipe.resize <= BCAM_RESIZE_SQUASH);
    FUZZ_CHECK(recipe.resize != BCAM_RESIZE_SHORTER || (recipe.resize_to >= 1 && recipe.crop));
    FUZZ_CHECK(recipe.resize != BCAM_RESIZE_SQUASH || (recipe.resize_h >= 1 && recipe.resize_w >= 1));
    for (int c = 0; c < 3; c++)
        FUZZ_CHECK((float)recipe.std[c] != 0 && isfinite((float)recipe.mean[c]) && bcam_recipe_channel(&recipe, c) < 3);
    bcam_recipe_lut(&recipe, lut);
    for (int i = 0; i < LUT; i++)
        FUZZ_CHECK(!isnan(lut[i]));
}

static void read_names(const char *path)
{
    bcam_names names;
    bcam_error err = {0};
    bcam_status status = bcam_names_read(path, &names, &err);
    fuzz_check_status(status, &err);
    if (status == BCAM_OK)
        FUZZ_CHECK(names.count > 0);
    for (size_t i = 0; status == BCAM_OK && i < names.count; i++) {
        int found = bcam_names_find(&names, names.name[i]);
        FUZZ_CHECK(*names.name[i] == 0 || (found >= 0 && (size_t)found <= i));
        if (names.synset[i])
            FUZZ_CHECK(strlen(names.synset[i]) == 9);
    }
    if (status == BCAM_OK)
        bcam_names_fini(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size, ".json");
    read_recipe(path);
    read_names(path);
    FUZZ_CHECK(bcam_alloc_live() == 0);
    return 0;
}
