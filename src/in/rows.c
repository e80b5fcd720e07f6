/* rows.c - lists of photos: tables (.csv, .tsv) with a file and perhaps a label, and lines (.txt) as Caffe and DALI write them. */
#include <string.h>
#include <strings.h>

#include "in/csv.h"
#include "in/rows.h"
#include "in/suffix.h"

struct bcam_rows {
    bool lines;         /* a .txt */
    bcam_csv csv;       /* of lines its text alone is used */
    size_t file, label; /* columns */
    bool begun;
};

bcam_status bcam_rows_open(const char *path, bcam_rows **out, bcam_error *err)
{
    const char *dot = strrchr(path, '.');
    bcam_rows *rows = *out = bcam_alloc(1, sizeof(*rows));
    if (!rows) {
        return bcam_fail_memory(err, sizeof(*rows), path);
    }
    rows->lines = dot && strcasecmp(dot, ".txt") == 0;
    bcam_status status = bcam_csv_open(&rows->csv, path, dot && strcasecmp(dot, ".tsv") == 0 ? '\t' : ',', err);
    if (status != BCAM_OK) {
        bcam_rows_close(out);
    }
    return status;
}

void bcam_rows_close(bcam_rows **rows)
{
    if (*rows) {
        bcam_csv_close(&(*rows)->csv);
        bcam_free(*rows);
        *rows = NULL;
    }
}

/* ---- tables ---- */

static bool is_word(const char *text, const char *const *words)
{
    while (*words && strcasecmp(*words, text) != 0) {
        words++;
    }
    return *words != NULL;
}

/** Whether the first row names the columns, and which they are; without names the file is the first and the label the second. */
static bool find_columns(bcam_rows *rows)
{
    static const char *const file_words[] = {"path", "file", "filename", "image", NULL};
    static const char *const label_words[] = {"label", "class", "target", NULL};
    const bcam_csv *csv = &rows->csv;
    rows->file = 0;
    rows->label = 1;
    if (!is_word(csv->cell[0], file_words)) {
        return false;
    }
    for (size_t c = 1; c < csv->cells; c++) {
        if (is_word(csv->cell[c], label_words)) {
            rows->label = c;
            break;
        }
    }
    return true;
}

static bcam_status next_of_table(bcam_rows *rows, bcam_row *row, bool *end, bcam_error *err)
{
    bcam_csv *csv = &rows->csv;
    bcam_status status = bcam_csv_next(csv, end, err);
    if (status == BCAM_OK && !*end && !rows->begun) {
        rows->begun = true;
        if (find_columns(rows)) {
            status = bcam_csv_next(csv, end, err);
        }
    }
    if (status != BCAM_OK || *end) {
        return status;
    }
    const char *name = csv->cell[rows->file], *label = rows->label < csv->cells ? csv->cell[rows->label] : NULL;
    if (name[0] == 0) {
        return bcam_fail(err, BCAM_E_INPUT, "'%s', line %zu names no file", csv->text.path, csv->line);
    }
    *row = (bcam_row){name, label && *label ? label : NULL};
    return BCAM_OK;
}

/* ---- lines ---- */

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

/** The next line into the text's row, without white space at its ends. */
static bcam_status read_line(bcam_text *text)
{
    int byte = BCAM_TEXT_END;
    bcam_text_begin_row(text);
    while (text->status == BCAM_OK && (byte = bcam_text_peek(text, 0)) != BCAM_TEXT_END && byte != '\n') {
        if (text->length > 0 || !strchr(" \t", byte)) {
            bcam_text_keep(text, (char)byte);
        }
        bcam_text_step(text);
    }
    if (byte == '\n') {
        bcam_text_step(text);
    }
    while (text->length > 0 && strchr(" \t\r", text->row[text->length - 1])) {
        text->length--;
    }
    return text->status;
}

static bcam_status next_line(bcam_rows *rows, bcam_row *row, bool *end, bcam_error *err)
{
    bcam_text *text = &rows->csv.text;
    bcam_status status = BCAM_OK;
    text->err = err;
    for (text->length = 0; status == BCAM_OK && text->length == 0;) {
        *end = bcam_text_peek(text, 0) == BCAM_TEXT_END;
        if (*end) {
            return text->status;
        }
        status = read_line(text);
    }
    if (status != BCAM_OK || !bcam_text_keep(text, 0)) {
        return text->status;
    }
    *row = parse_line(text->row);
    return BCAM_OK;
}

bcam_status bcam_rows_next(bcam_rows *rows, bcam_row *row, bool *end, bcam_error *err)
{
    return rows->lines ? next_line(rows, row, end, err) : next_of_table(rows, row, end, err);
}
