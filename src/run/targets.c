/* targets.c - which classes of a photo are explained: ranks, the label, given classes, a CSV's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/job.h"

static bcam_status out_of_memory(bcam_error *err)
{
    return bcam_fail(err, BCAM_E_MEMORY, "out of memory while reading the targets");
}

static bcam_status fail_class(const char *text, const bcam_names *names, const char *where, bcam_error *err)
{
    char near[512];
    bcam_nearest(text, (const char *const *)names->name, names->count, near, sizeof near);
    return bcam_fail(
        err, BCAM_E_CLASS,
        "%sthere is no class '%s'%s%s%s targets are top1, top5, label, a class's name or number (0 to %zu), or a .csv file",
        where, text, *near ? "; did you mean " : "", near, *near ? "?" : ";", names->count - 1);
}

/* ---- a CSV: file,class[,class…] ---- */

static bool is_header(const bcam_table *table)
{
    static const char *const words[] = {"file", "path", "image", "filename", "name"};
    for (size_t i = 0; table->rows && i < BCAM_COUNT(words); i++)
        if (strcasecmp(table->cell[0][0], words[i]) == 0)
            return true;
    return false;
}

static int by_path(const void *a, const void *b)
{
    const bcam_target_row *x = a, *y = b;
    int order = strcmp(x->path, y->path);
    return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

static void count_most(bcam_targets *t)
{
    int same = 0;
    for (size_t i = 0; i < t->row_count; i++) {
        same = i && strcmp(t->rows[i].path, t->rows[i - 1].path) == 0 ? same + 1 : 1;
        t->row_most = same > t->row_most ? same : t->row_most;
    }
}

/* The classes of one row of the table; empty cells are passed over. */
static bcam_status add_row(bcam_targets *t, const char *file, const bcam_table *table, size_t r,
                           const bcam_names *names, bcam_error *err)
{
    char where[300];
    size_t before = t->row_count;
    snprintf(where, sizeof where, "'%.200s', line %zu: ", file, table->line[r]);
    for (size_t c = 1; c < table->cells[r]; c++) {
        const char *text = table->cell[r][c];
        int id = bcam_names_find(names, text);
        if (!*text)
            continue;
        if (id < 0)
            return fail_class(text, names, where, err);
        if (!bcam_grow(&t->rows, &t->row_capacity, t->row_count, sizeof *t->rows))
            return out_of_memory(err);
        t->rows[t->row_count] = (bcam_target_row){
            .path = table->cell[r][0], .file = file, .class_id = id, .line = table->line[r], .order = t->row_count};
        t->row_count++;
    }
    return t->row_count > before ? BCAM_OK
                                 : bcam_fail(err, BCAM_E_INPUT, "%sa row is a file and at least one class", where);
}

static bcam_status read_csv(bcam_targets *t, const char *file, const bcam_names *names, bcam_error *err)
{
    if (!bcam_grow(&t->tables, &t->table_capacity, t->table_count, sizeof *t->tables))
        return out_of_memory(err);
    bcam_table *table = &t->tables[t->table_count];
    *table = (bcam_table){0};
    bcam_status status = bcam_table_read(file, ',', table, err);
    if (status != BCAM_OK)
        return status;
    t->table_count++;
    size_t first = is_header(table);
    if (table->rows <= first)
        status = bcam_fail(err, BCAM_E_INPUT, "'%s' names no photo and no class", file);
    for (size_t r = first; status == BCAM_OK && r < table->rows; r++)
        status = add_row(t, file, table, r, names, err);
    if (status != BCAM_OK)
        return status;
    qsort(t->rows, t->row_count, sizeof *t->rows, by_path);
    count_most(t);
    return BCAM_OK;
}

/* ---- one target ---- */

static bool ends_with(const char *text, const char *suffix)
{
    size_t length = strlen(text), tail = strlen(suffix);
    return length >= tail && strcasecmp(text + length - tail, suffix) == 0;
}

/* A file's name may hold commas, but "top1,file.csv" is more likely meant as two. */
static bool is_csv(const char *text)
{
    return ends_with(text, ".csv") && (!strchr(text, ',') || access(text, F_OK) == 0);
}

/* "top5" is 5; -1 where it is not of that form. */
static int rank_count(const char *text, size_t classes)
{
    char *end;
    if (strncasecmp(text, "top", 3) != 0 || text[3] < '0' || text[3] > '9')
        return -1;
    long k = strtol(text + 3, &end, 10);
    return *end || k < 1 || k > 1 << 20 ? -1 : k > (long)classes ? (int)classes : (int)k;
}

static bcam_status add_class(bcam_targets *t, int id, bcam_error *err)
{
    for (size_t i = 0; i < t->class_count; i++)
        if (t->classes[i] == id)
            return BCAM_OK;
    if (!bcam_grow(&t->classes, &t->class_capacity, t->class_count, sizeof *t->classes))
        return out_of_memory(err);
    t->classes[t->class_count++] = id;
    return BCAM_OK;
}

static bcam_status read_one(bcam_targets *t, const char *text, const bcam_names *names, bcam_error *err);

/* A class's name may hold commas ("tench, Tinca tinca"); only what is no target as a whole is a list. */
static bcam_status read_parts(bcam_targets *t, const char *text, const bcam_names *names, bcam_error *err)
{
    char *copy = bcam_strdup(text), *rest = copy;
    bcam_status status = copy ? BCAM_OK : out_of_memory(err);
    for (char *part; status == BCAM_OK && (part = strsep(&rest, ",")) != NULL;) {
        part += strspn(part, " ");
        status = ends_with(part, ".csv")
                     ? bcam_fail(err, BCAM_E_ARGUMENT, "name the CSV file '%s' in a target of its own", part)
                     : read_one(t, part, names, err);
    }
    bcam_free(copy);
    return status;
}

static bcam_status read_one(bcam_targets *t, const char *text, const bcam_names *names, bcam_error *err)
{
    int ranks = rank_count(text, names->count), id = bcam_names_find(names, text);
    if (ranks > 0) {
        t->ranks = ranks > t->ranks ? ranks : t->ranks;
        return BCAM_OK;
    }
    if (strcmp(text, "label") == 0 && id < 0) {
        t->label = true;
        return BCAM_OK;
    }
    if (id >= 0)
        return add_class(t, id, err);
    return strchr(text, ',') ? read_parts(t, text, names, err) : fail_class(text, names, "", err);
}

bcam_status bcam_targets_read(const char *const *specs, int count, const bcam_names *names, bcam_targets *out,
                              bcam_error *err)
{
    *out = (bcam_targets){.ranks = count ? 0 : 1};
    bcam_status status = BCAM_OK;
    for (int i = 0; status == BCAM_OK && i < count; i++)
        status = is_csv(specs[i]) ? read_csv(out, specs[i], names, err) : read_one(out, specs[i], names, err);
    return status;
}

void bcam_targets_fini(bcam_targets *t)
{
    for (size_t i = 0; i < t->table_count; i++)
        bcam_table_fini(&t->tables[i]);
    bcam_free(t->tables);
    bcam_free(t->rows);
    bcam_free(t->classes);
    *t = (bcam_targets){0};
}

int bcam_targets_most(const bcam_targets *t)
{
    return t->ranks + t->label + (int)t->class_count + t->row_most;
}

/* The first row of a photo, or NULL. */
static bcam_target_row *rows_of(const bcam_targets *t, const char *shown)
{
    size_t low = 0, high = t->row_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(t->rows[middle].path, shown) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < t->row_count && strcmp(t->rows[low].path, shown) == 0 ? &t->rows[low] : NULL;
}

bool bcam_targets_fill(bcam_targets *t, const char *shown, int label, int32_t *places)
{
    int at = 0, most = bcam_targets_most(t);
    for (int r = 0; r < t->ranks; r++)
        places[at++] = BCAM_CLASS_RANK(r);
    if (t->label)
        places[at++] = label >= 0 ? label : BCAM_CLASS_NONE;
    for (size_t i = 0; i < t->class_count; i++)
        places[at++] = t->classes[i];
    const bcam_target_row *end = t->rows + t->row_count;
    for (bcam_target_row *row = rows_of(t, shown); row && row < end && strcmp(row->path, shown) == 0; row++)
        places[at++] = row->class_id;
    while (at < most)
        places[at++] = BCAM_CLASS_NONE;
    return label >= 0 || !t->label || most > 1;
}

bcam_status bcam_targets_check(bcam_targets *t, const char *shown, bcam_error *err)
{
    if (!t->row_count)
        return BCAM_OK;
    bcam_target_row *row = rows_of(t, shown);
    if (!row)
        return bcam_fail(
            err, BCAM_E_CLASS,
            "'%s'%s no row for photo '%s'; there must be one for every photo, under the name that stands in the index",
            t->rows[0].file, t->table_count > 1 ? " and the other CSV files have" : " has", shown);
    for (; row < t->rows + t->row_count && strcmp(row->path, shown) == 0; row++)
        row->used = true;
    return BCAM_OK;
}

bcam_status bcam_targets_check_rows(const bcam_targets *t, bcam_error *err)
{
    const bcam_target_row *first = NULL;
    for (size_t i = 0; i < t->row_count; i++)
        if (!t->rows[i].used && (!first || t->rows[i].order < first->order))
            first = &t->rows[i];
    if (!first)
        return BCAM_OK;
    return bcam_fail(err, BCAM_E_CLASS, "'%s', line %zu: photo '%s' is not among the photos given", first->file,
                     first->line, first->path);
}
