/* fuzz_tar.c - archives of photos and labels: everything, and names alone. The headers' check sums are made right first. */
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

/* From header to header, as their sizes say. */
static void mend_sums(uint8_t *data, size_t size)
{
    enum { BLOCK = 512, LENGTH = 124, SUM = 148 };
    for (size_t at = 0; at + BLOCK <= size && data[at];) {
        uint8_t *block = data + at;
        unsigned sum = 0;
        char length[13] = "";
        memset(block + SUM, ' ', 8);
        for (int i = 0; i < BLOCK; i++)
            sum += block[i];
        snprintf((char *)block + SUM, 8, "%06o", sum);
        memcpy(length, block + LENGTH, 12);
        unsigned long long bytes = strtoull(length, NULL, 8);
        at += bytes < size ? BLOCK + (size_t)(bytes + BLOCK - 1) / BLOCK * BLOCK : size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    memcpy(copy, data, size);
    mend_sums(copy, size);
    const char *path = fuzz_file(copy, size, ".tar");
    free(copy);
    read_archive(path, false);
    read_archive(path, true);
    FUZZ_CHECK(bcam_alloc_live() == 0);
    return 0;
}
