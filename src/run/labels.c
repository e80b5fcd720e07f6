/* labels.c - the class that a photo's folder or list says it has. */
#include <string.h>

#include "run/job.h"

bcam_status bcam_labels_add(bcam_labels *l, const char *folder, bcam_error *err)
{
    if (!*folder)
        return BCAM_OK;
    for (size_t i = l->count; i-- > 0;) /* photos of a folder come together: the last one is nearly always it */
        if (strcmp(l->folders[i], folder) == 0)
            return BCAM_OK;
    char *copy = bcam_strdup(folder);
    if (!copy || !bcam_grow(&l->folders, &l->capacity, l->count, sizeof *l->folders) ||
        !bcam_grow(&l->classes, &l->class_capacity, l->count, sizeof *l->classes)) {
        bcam_free(copy);
        return bcam_fail(err, BCAM_E_MEMORY, "out of memory while listing the photos");
    }
    l->folders[l->count] = copy;
    l->classes[l->count++] = -1;
    return BCAM_OK;
}

void bcam_labels_match(bcam_labels *l, const bcam_names *names, const bcam_log *log)
{
    size_t matched = 0, miss = 0;
    for (size_t i = 0; i < l->count; i++) {
        l->classes[i] = bcam_names_find(names, l->folders[i]);
        matched += l->classes[i] >= 0;
        if (l->classes[i] < 0)
            miss = i;
    }
    if (!l->count || matched == l->count)
        return;
    if (l->count == names->count && !matched) {
        for (size_t i = 0; i < l->count; i++)
            l->classes[i] = (int)i;
        bcam_log_line(
            log, BCAM_LOG_WARNING,
            "labels: the %zu folders are taken as classes 0 to %zu in the order of their names, since no name of a class matches",
            l->count, l->count - 1);
        return;
    }
    if (matched)
        bcam_log_line(log, BCAM_LOG_WARNING,
                      "labels: %zu of %zu folders are no class of the model ('%s' is one); their photos have no label",
                      l->count - matched, l->count, l->folders[miss]);
    else
        bcam_log_line(
            log, BCAM_LOG_INFO,
            "labels: none, since no folder's name ('%s', …) is a class of the model; --names gives the classes' names",
            l->folders[0]);
}

static int label_of_list(bcam_labels *l, const bcam_names *names, const bcam_item *item, const bcam_log *log)
{
    int class = bcam_names_find(names, item->label);
    if (class < 0 && *item->label && !l->told) {
        bcam_log_line(log, BCAM_LOG_WARNING,
                      "labels: '%s' of photo '%s' is no class of the model; photos like it have no label", item->label,
                      item->shown);
        l->told = true;
    }
    return class;
}

int bcam_labels_of(bcam_labels *l, const bcam_names *names, const bcam_item *item, const bcam_log *log)
{
    if (item->label)
        return label_of_list(l, names, item, log);
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->folders[i], item->folder) == 0)
            return l->classes[i];
    return -1;
}

void bcam_labels_fini(bcam_labels *l)
{
    for (size_t i = 0; i < l->count; i++)
        bcam_free(l->folders[i]);
    bcam_free(l->folders);
    bcam_free(l->classes);
    *l = (bcam_labels){0};
}
