/* table.c - small text tables: CSV as RFC 4180 has it, with LF or CRLF.
 *
 * Cells are decoded in place: text only becomes shorter, so the file's own buffer holds them, and the first cell begins where the buffer does. */
#include <string.h>

#include "in/in.h"

#define MAX_BYTES ((size_t)1 << 30)

typedef struct reader {
    const char *path;
    char separator;
    char *from, *end, *to; /* what is read next, where the text ends, where the next decoded byte goes */
    size_t line;
    char **flat; /* all cells */
    size_t flat_count, flat_capacity, cells_capacity, line_capacity;
    bcam_error *err;
} reader;

static bool at_line_end(const reader *r)
{
    return r->from == r->end || *r->from == '\n' || (*r->from == '\r' && (r->from + 1 == r->end || r->from[1] == '\n'));
}

static void skip_line_end(reader *r)
{
    if (r->from < r->end && *r->from == '\r') {
        r->from++;
    }
    if (r->from < r->end) {
        r->from++;
    }
    r->line++;
}

/** The part between two quotes; `from` stands behind the first. */
static bcam_status read_quoted(reader *r)
{
    size_t first_line = r->line;
    for (;; r->from++) {
        if (r->from == r->end) {
            return bcam_fail(r->err, BCAM_E_INPUT, "'%s', line %zu: a quote is opened and never closed", r->path,
                             first_line);
        }
        if (*r->from == '"' && (++r->from == r->end || *r->from != '"')) {
            break; /* a doubled quote stands for one, and is not the end */
        }
        r->line += *r->from == '\n';
        *r->to++ = *r->from;
    }
    if (!at_line_end(r) && *r->from != r->separator) {
        return bcam_fail(r->err, BCAM_E_INPUT,
                         "'%s', line %zu: something stands behind a closing quote; double the quotes inside a cell",
                         r->path, r->line);
    }
    return BCAM_OK;
}

static bcam_status read_cell(reader *r)
{
    if (!bcam_grow(&r->flat, &r->flat_capacity, r->flat_count, sizeof(*r->flat))) {
        return bcam_fail_memory(r->err, r->flat_capacity * 2 * sizeof(*r->flat), r->path);
    }
    r->flat[r->flat_count++] = r->to;
    if (r->from < r->end && *r->from == '"') {
        r->from++;
        return read_quoted(r);
    }
    while (!at_line_end(r) && *r->from != r->separator) {
        *r->to++ = *r->from++;
    }
    return BCAM_OK;
}

/** One row that is not empty. The zero byte behind a cell is written over what ended it, once that has been read. */
static bcam_status read_row(reader *r, bcam_table *out)
{
    if (!bcam_grow(&out->cells, &r->cells_capacity, out->rows, sizeof(*out->cells)) ||
        !bcam_grow(&out->line, &r->line_capacity, out->rows, sizeof(*out->line))) {
        return bcam_fail_memory(r->err, r->cells_capacity * 2 * sizeof(*out->cells), r->path);
    }
    size_t before = r->flat_count;
    out->line[out->rows] = r->line;
    for (;;) {
        bcam_status status = read_cell(r);
        if (status != BCAM_OK) {
            return status;
        }
        bool last = at_line_end(r);
        if (last) {
            skip_line_end(r);
        } else {
            r->from++;
        }
        *r->to++ = 0;
        if (last) {
            break;
        }
    }
    out->cells[out->rows++] = r->flat_count - before;
    return BCAM_OK;
}

static bcam_status read_rows(reader *r, bcam_table *out)
{
    if (memchr(r->from, 0, (size_t)(r->end - r->from))) {
        return bcam_fail(r->err, BCAM_E_INPUT, "'%s' is not a text file: it holds zero bytes", r->path);
    }
    if (r->end - r->from >= 3 && memcmp(r->from, "\xEF\xBB\xBF", 3) == 0) {
        r->from += 3; /* byte order mark */
    }
    while (r->from < r->end) {
        if (at_line_end(r)) {
            skip_line_end(r);
            continue;
        }
        bcam_status status = read_row(r, out);
        if (status != BCAM_OK) {
            return status;
        }
    }
    return BCAM_OK;
}

bcam_status bcam_table_read(const char *path, char separator, bcam_table *out, bcam_error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    memset(out, 0, sizeof(*out));
    bcam_status status = bcam_file_read(path, MAX_BYTES, &text, &bytes, err);
    if (status != BCAM_OK) {
        return status;
    }
    reader r = {
        .path = path, .separator = separator, .from = text, .end = text + bytes, .to = text, .line = 1, .err = err};
    status = read_rows(&r, out);
    if (status == BCAM_OK && out->rows > 0) {
        out->cell = bcam_alloc(out->rows, sizeof(*out->cell));
        status = out->cell ? BCAM_OK : bcam_fail_memory(err, out->rows * sizeof(*out->cell), path);
    }
    if (status != BCAM_OK || out->rows == 0) {
        bcam_free(text);
        bcam_free(r.flat);
        bcam_table_fini(out);
        return status;
    }
    char **at = r.flat;
    for (size_t row = 0; row < out->rows; at += out->cells[row], row++) {
        out->cell[row] = at;
    }
    return BCAM_OK;
}

void bcam_table_fini(bcam_table *table)
{
    if (table->cell) {
        bcam_free(table->cell[0][0]); /* the text */
        bcam_free(table->cell[0]);    /* all cells */
    }
    bcam_free(table->cell);
    bcam_free(table->cells);
    bcam_free(table->line);
    memset(table, 0, sizeof(*table));
}
