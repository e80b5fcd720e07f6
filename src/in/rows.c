/* rows.c - lists of photos: tables (.csv, .tsv) with a file and perhaps a label, and lines (.txt) as Caffe and DALI write them. */
#include <string.h>
#include <strings.h>

#include "in/rows.h"
#include "in/suffix.h"

#define MAX_BYTES ((size_t)1 << 30)

static bool is_word(const char *text, const char *const *words)
{
    while (*words && strcasecmp(*words, text) != 0) {
        words++;
    }
    return *words != NULL;
}

/** Whether row 0 names the columns, and which they are; without names the file is the first and the label the second. */
static bool find_columns(const bcam_table *table, size_t *file, size_t *label)
{
    static const char *const file_words[] = {"path", "file", "filename", "image", NULL};
    static const char *const label_words[] = {"label", "class", "target", NULL};
    *file = 0;
    *label = 1;
    if (!is_word(table->cell[0][0], file_words)) {
        return false;
    }
    for (size_t c = 1; c < table->cells[0]; c++) {
        if (is_word(table->cell[0][c], label_words)) {
            *label = c;
            break;
        }
    }
    return true;
}

static bcam_status read_table(const char *path, char separator, bcam_rows *out, bcam_error *err)
{
    size_t file, label;
    bcam_status status = bcam_table_read(path, separator, &out->table, err);
    if (status != BCAM_OK || out->table.rows == 0) {
        return status;
    }
    const bcam_table *table = &out->table;
    out->row = bcam_alloc(table->rows, sizeof(*out->row));
    if (!out->row) {
        return bcam_fail_memory(err, table->rows * sizeof(*out->row), path);
    }
    for (size_t r = find_columns(table, &file, &label) ? 1 : 0; r < table->rows; r++) {
        const char *name = table->cell[r][file], *text = label < table->cells[r] ? table->cell[r][label] : NULL;
        if (name[0] == 0) {
            return bcam_fail(err, BCAM_E_INPUT, "'%s', line %zu names no file", path, table->line[r]);
        }
        out->row[out->count++] = (bcam_row){name, text && *text ? text : NULL};
    }
    return BCAM_OK;
}

/** "file label" or "file": what follows the last space is the label, unless it ends like a photo ("my photo.jpg"). Cut in place. */
static bcam_row parse_line(char *line)
{
    char *space = strrchr(line, ' '), *tab = strrchr(line, '\t');
    char *cut = !space || (tab && tab > space) ? tab : space;
    if (!cut || bcam_is_photo_name(cut + 1)) {
        return (bcam_row){line, NULL};
    }
    char *end = cut;
    while (end > line && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    *end = 0;
    return (bcam_row){line, cut + 1};
}

static bcam_status read_lines(const char *path, bcam_rows *out, bcam_error *err)
{
    size_t bytes = 0, capacity = 0;
    bcam_status status = bcam_file_read(path, MAX_BYTES, &out->text, &bytes, err);
    if (status != BCAM_OK) {
        return status;
    }
    if (memchr(out->text, 0, bytes)) {
        return bcam_fail(err, BCAM_E_INPUT, "'%s' is not a text file: it holds zero bytes", path);
    }
    char *at = out->text + (strncmp(out->text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0), *end = out->text + bytes;
    while (at < end) {
        char *line = at + strspn(at, " \t"), *stop = strchr(at, '\n');
        stop = stop ? stop : end;
        at = stop + 1;
        while (stop > line && strchr(" \t\r", stop[-1])) {
            stop--;
        }
        if (stop <= line) {
            continue;
        }
        *stop = 0;
        if (!bcam_grow(&out->row, &capacity, out->count, sizeof(*out->row))) {
            return bcam_fail_memory(err, capacity * 2 * sizeof(*out->row), path);
        }
        out->row[out->count++] = parse_line(line);
    }
    return BCAM_OK;
}

bcam_status bcam_rows_read(const char *path, bcam_rows *out, bcam_error *err)
{
    const char *dot = strrchr(path, '.');
    if (dot && strcasecmp(dot, ".txt") == 0) {
        return read_lines(path, out, err);
    }
    return read_table(path, dot && strcasecmp(dot, ".tsv") == 0 ? '\t' : ',', out, err);
}

void bcam_rows_fini(bcam_rows *rows)
{
    bcam_free(rows->row);
    bcam_free(rows->text);
    bcam_table_fini(&rows->table);
    memset(rows, 0, sizeof(*rows));
}
