/* table.c - a text table as a whole. */
#include <string.h>

#include "in/csv.h"
#include "in/in.h"

typedef struct rooms { /* of the arrays of rows */
    size_t cells, line, cell;
} rooms;

static bcam_status add_row(bcam_table *table, rooms *room, const bcam_csv *csv, bcam_error *err)
{
    size_t row = table->rows;
    char **cell = bcam_pool_alloc(&table->pool, csv->cells, sizeof(*cell));
    bool fits = cell && bcam_grow(&table->cells, &room->cells, row, sizeof(*table->cells)) &&
                bcam_grow(&table->line, &room->line, row, sizeof(*table->line)) &&
                bcam_grow(&table->cell, &room->cell, row, sizeof(*table->cell));
    for (size_t c = 0; fits && c < csv->cells; c++) {
        fits = (cell[c] = bcam_pool_strdup(&table->pool, csv->cell[c])) != NULL;
    }
    if (!fits) {
        return bcam_fail_memory(err, csv->text.length, csv->text.path);
    }
    table->cells[row] = csv->cells;
    table->line[row] = csv->line;
    table->cell[row] = cell;
    table->rows++;
    return BCAM_OK;
}

bcam_status bcam_table_read(const char *path, char separator, bcam_table *out, bcam_error *err)
{
    bcam_csv csv;
    rooms room = {0};
    bool end = false;
    memset(out, 0, sizeof(*out));
    bcam_status status = bcam_csv_open(&csv, path, separator, err);
    while (status == BCAM_OK && !end) {
        status = bcam_csv_next(&csv, &end, err);
        if (status == BCAM_OK && !end) {
            status = add_row(out, &room, &csv, err);
        }
    }
    bcam_csv_close(&csv);
    if (status != BCAM_OK) {
        bcam_table_fini(out);
    }
    return status;
}

void bcam_table_fini(bcam_table *table)
{
    bcam_free(table->cell);
    bcam_free(table->cells);
    bcam_free(table->line);
    bcam_pool_fini(&table->pool);
    memset(table, 0, sizeof(*table));
}
