/* fuzz_tar.c - archives of photos and labels: everything, and names alone. */
#include "fuzz_file.h"
#include "in/in.h"

static void read_archive(const char *path, bool skim)
{
    bcam_list *list = NULL;
    bcam_error err = {0};
    bcam_item item;
    bool end = false;
    bcam_status status = bcam_list_open(&path, 1, &list, &err);
    if (skim && list)
        bcam_list_skim(list);
    while (list && (status = bcam_list_next(list, &item, &end, &err)) == BCAM_OK && !end) {
        FUZZ_CHECK(!item.path && *item.shown && (!item.label || *item.label));
        FUZZ_CHECK(!skim || (!item.data && !item.label));
        fuzz_touch_text(item.shown);
        fuzz_touch_text(item.folder);
        if (item.label)
            fuzz_touch_text(item.label);
        if (item.data)
            fuzz_touch(item.data, item.bytes);
    }
    fuzz_check_status(status, &err);
    bcam_list_close(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size, ".tar");
    read_archive(path, false);
    read_archive(path, true);
    FUZZ_CHECK(bcam_alloc_live() == 0);
    return 0;
}
