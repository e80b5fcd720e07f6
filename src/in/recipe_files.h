/* recipe_files.h - readers of other projects' preprocessing files; recipe.c chooses. Private to src/in. */
#ifndef BCAM_IN_RECIPE_FILES_H
#define BCAM_IN_RECIPE_FILES_H

#include "in/in.h"
#include "in/json.h"

/* Each fills `out` from fields->object; out->height and width are the network's and must be what the file leads to. Errors: fields->status. */
void bcam_recipe_from_timm(bcam_fields *fields, bcam_recipe *out); /* recipe_timm.c: config.json */
void bcam_recipe_from_hf(bcam_fields *fields, bcam_recipe *out);   /* recipe_hf.c: preprocessor_config.json */

#endif
