/* csv.c - see csv.h. */
#include <string.h>

#include "in/csv.h"

bcam_status bcam_csv_open(bcam_csv *csv, const char *path, char separator, bcam_error *err)
{
    *csv = (bcam_csv){.separator = separator};
    return bcam_text_open(&csv->text, path, err);
}

void bcam_csv_close(bcam_csv *csv)
{
    bcam_text_close(&csv->text);
    bcam_free(csv->begin);
    bcam_free(csv->cell);
    memset(csv, 0, sizeof(*csv));
}

static bool at_line_end(bcam_text *text)
{
    int byte = bcam_text_peek(text, 0);
    if (byte == '\r') {
        byte = bcam_text_peek(text, 1);
    }
    return byte == '\n' || byte == BCAM_TEXT_END;
}

static void skip_line_end(bcam_text *text)
{
    if (bcam_text_peek(text, 0) == '\r') {
        bcam_text_step(text);
    }
    if (bcam_text_peek(text, 0) == '\n') {
        bcam_text_step(text);
    }
}

/** The part between two quotes, the first of which is next. */
static bcam_status read_quoted(bcam_csv *csv)
{
    bcam_text *text = &csv->text;
    size_t first_line = text->line;
    bcam_text_step(text);
    for (int byte; (byte = bcam_text_peek(text, 0)) != BCAM_TEXT_END;) {
        bcam_text_step(text);
        if (byte == '"' && bcam_text_peek(text, 0) != '"') {
            if (at_line_end(text) || bcam_text_peek(text, 0) == csv->separator) {
                return text->status;
            }
            return bcam_fail(text->err, BCAM_E_INPUT,
                             "'%s', line %zu: something stands behind a closing quote; double the quotes inside a cell",
                             text->path, text->line);
        }
        if (byte == '"') {
            bcam_text_step(text); /* a doubled quote stands for one, and is not the end */
        }
        if (!bcam_text_keep(text, (char)byte)) {
            return text->status;
        }
    }
    return text->status != BCAM_OK
               ? text->status
               : bcam_fail(text->err, BCAM_E_INPUT, "'%s', line %zu: a quote is opened and never closed", text->path,
                           first_line);
}

static bcam_status read_plain(bcam_csv *csv)
{
    bcam_text *text = &csv->text;
    while (!at_line_end(text) && bcam_text_peek(text, 0) != csv->separator) {
        if (!bcam_text_keep(text, (char)bcam_text_peek(text, 0))) {
            break;
        }
        bcam_text_step(text);
    }
    return text->status;
}

static bcam_status read_cell(bcam_csv *csv)
{
    bcam_text *text = &csv->text;
    if (!bcam_grow(&csv->begin, &csv->begin_capacity, csv->cells, sizeof(*csv->begin))) {
        return bcam_fail_memory(text->err, csv->begin_capacity * 2 * sizeof(*csv->begin), text->path);
    }
    csv->begin[csv->cells++] = text->length;
    bcam_status status = bcam_text_peek(text, 0) == '"' ? read_quoted(csv) : read_plain(csv);
    if (status == BCAM_OK) {
        bcam_text_keep(text, 0);
    }
    return status == BCAM_OK ? text->status : status;
}

/** The row moves while it grows; where its cells are is known behind its end. */
static bcam_status place_cells(bcam_csv *csv)
{
    while (csv->cell_capacity < csv->cells) {
        if (!bcam_grow(&csv->cell, &csv->cell_capacity, csv->cell_capacity, sizeof(*csv->cell))) {
            return bcam_fail_memory(csv->text.err, csv->cell_capacity * 2 * sizeof(*csv->cell), csv->text.path);
        }
    }
    for (size_t i = 0; i < csv->cells; i++) {
        csv->cell[i] = csv->text.row + csv->begin[i];
    }
    return BCAM_OK;
}

bcam_status bcam_csv_next(bcam_csv *csv, bool *end, bcam_error *err)
{
    bcam_text *text = &csv->text;
    text->err = err;
    while (bcam_text_peek(text, 0) != BCAM_TEXT_END && at_line_end(text)) {
        skip_line_end(text);
    }
    *end = bcam_text_peek(text, 0) == BCAM_TEXT_END;
    csv->cells = 0;
    csv->line = text->line;
    bcam_text_begin_row(text);
    bcam_status status = text->status;
    while (status == BCAM_OK && !*end) {
        status = read_cell(csv);
        if (status != BCAM_OK || at_line_end(text)) {
            break;
        }
        bcam_text_step(text); /* the separator */
    }
    return status == BCAM_OK && !*end ? place_cells(csv) : status;
}
