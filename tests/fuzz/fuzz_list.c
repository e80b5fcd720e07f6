/* fuzz_list.c - lists of photos (.csv, .tsv, .txt) and the tables of --target. The first byte chooses. */
#include "fuzz_file.h"
#include "in/in.h"

static void read_list(const char *path)
{
    bcam_list *list = NULL;
    bcam_error err = {0};
    bcam_item item;
    bool end = false;
    int64_t items = 0;
    bcam_status status = bcam_list_open(&path, 1, &list, &err);
    fuzz_check_status(status, &err);
    while (list && (status = bcam_list_next(list, &item, &end, &err)) == BCAM_OK && !end) {
        FUZZ_CHECK(*item.path && *item.shown && (!item.label || *item.label));
        fuzz_touch_text(item.path);
        fuzz_touch_text(item.shown);
        fuzz_touch_text(item.folder);
        if (item.label)
            fuzz_touch_text(item.label);
        items++;
    }
    fuzz_check_status(status, &err);
    FUZZ_CHECK(!list || bcam_list_get_counts(list)->items == items);
    bcam_list_close(&list);
}

static void read_table(const char *path, char separator)
{
    bcam_table table = {0};
    bcam_error err = {0};
    bcam_status status = bcam_table_read(path, separator, &table, &err);
    fuzz_check_status(status, &err);
    for (size_t r = 0; status == BCAM_OK && r < table.rows; r++) {
        FUZZ_CHECK(table.cells[r] > 0 && (r == 0 || table.line[r] > table.line[r - 1]));
        for (size_t c = 0; c < table.cells[r]; c++)
            fuzz_touch_text(table.cell[r][c]);
    }
    bcam_table_fini(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const endings[] = {".csv", ".tsv", ".txt"};
    if (size == 0)
        return -1;
    unsigned kind = data[0] % 4u;
    const char *path = fuzz_file(data + 1, size - 1, endings[kind % 3]);
    if (kind < 3)
        read_list(path);
    else
        read_table(path, ',');
    FUZZ_CHECK(bcam_alloc_live() == 0);
    return 0;
}
