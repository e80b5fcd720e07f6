/* recipe_parts.c - what files of different kinds say alike. Their readers stand on it and not on recipe.c, which chooses among them. */
#include "in/recipe_parts.h"

const char *const bcam_filter_names[] = {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos", NULL};

void bcam_recipe_check_size(bcam_fields *fields, bcam_recipe *recipe, int height, int width)
{
    recipe->height = recipe->height ? recipe->height : height;
    recipe->width = recipe->width ? recipe->width : width;
    if (height != recipe->height || width != recipe->width) {
        bcam_fields_fail(fields, "it makes photos of %d x %d (height x width), and the model takes %d x %d", height,
                         width, recipe->height, recipe->width);
    }
}
