/* cache.c - the plan cache: the keys of problems, and entries on disk, one small file each, in $XDG_CACHE_HOME/batchcam/plans or ~/.cache/batchcam/plans.
 *
 *   batchcam plan 1
 *   the key                  one line
 *   what is fused            a number
 *   the engine               one line
 *   bytes and checksum of what follows
 *   cuDNN's own description of the plan
 *
 * An entry is taken only where all of it fits: the key is compared in full, since file names are a hash of it. Entries are written under another
 * name first, so that no half of one is ever seen. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cuda/cudnn.h"

/* ---- the key: everything that the choice depends on ---- */

static size_t put_tensor(char *text, size_t size, const char *name, const bcam_tensor *t)
{
    if (!t->data)
        return (size_t)snprintf(text, size, " %s -", name);
    size_t used = (size_t)snprintf(text, size, " %s %s@%d", name, bcam_dtype_name(t->dtype),
                                   (int)bcam_address_alignment(t->data));
    for (int a = 0; a < t->rank && used < size; a++)
        used += (size_t)snprintf(text + used, size - used, "%c%lld:%lld", a ? ',' : ' ', (long long)t->dim[a],
                                 (long long)t->stride[a]);
    return used;
}

/* What a step has beside its tensors. */
static void put_attributes(char *text, size_t size, const bcam_step *step)
{
    const bcam_conv_attr *a = &step->u.conv;
    const bcam_pool_attr *q = &step->u.pool;
    bool pool = bcam_is_pool(step->verb);
    const int64_t *stride = pool ? q->stride : a->stride, *dilation = pool ? q->dilation : a->dilation,
                  *begin = pool ? q->pad_begin : a->pad_begin, *end = pool ? q->pad_end : a->pad_end;
    size_t used = 0;
    if (pool)
        used = (size_t)snprintf(text, size, "%s %lldx%lld ",
                                q->max         ? "max"
                                : q->count_pad ? "average of all"
                                               : "average",
                                (long long)q->kernel[0], (long long)q->kernel[1]);
    snprintf(text + used, size - used, "stride %lld,%lld dilation %lld,%lld pad %lld,%lld,%lld,%lld",
             (long long)stride[0], (long long)stride[1], (long long)dilation[0], (long long)dilation[1],
             (long long)begin[0], (long long)begin[1], (long long)end[0], (long long)end[1]);
}

char *bcam_conv_key(const bcam_cudnn *dnn, const bcam_conv_problem *p)
{
    const bcam_unary_attr *act = &p->step->act;
    char text[1024], attributes[256];
    size_t used = 0, size = sizeof text;
    const bcam_tensor *const tensors[] = {&p->x, &p->w, &p->y, &p->bias, &p->residual};
    static const char *const names[] = {"x", "w", "y", "bias", "residual"};
    for (size_t i = 0; i < BCAM_COUNT(tensors) && used < size; i++)
        used += put_tensor(text + used, size - used, names[i], tensors[i]);
    put_attributes(attributes, sizeof attributes, p->step);
    return bcam_format("%s%s%s%s; %s; act %s %a %a; %s", bcam_verb_name(p->step->verb), p->strict ? " strict" : "",
                       dnn->deterministic ? " untimed" : "", text, attributes, bcam_unary_name(act->kind),
                       (double)act->alpha, (double)act->beta, dnn->identity);
}

/* ---- entries ---- */

static const char magic[] = "batchcam plan 1";
enum { MOST_BYTES = 16 << 20 };

static uint64_t checksum(const char *data, size_t bytes)
{
    uint64_t sum = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < bytes; i++)
        sum = (sum ^ (unsigned char)data[i]) * 0x100000001b3u;
    return sum;
}

/* The entry's file, allocated; `make`: with the folders on the way. NULL where there is no home for a cache. */
static char *entry_path(const char *key, bool make)
{
    char name[32];
    snprintf(name, sizeof name, "plans/%016" PRIx64 ".plan", checksum(key, strlen(key)));
    return bcam_cache_path(name, make);
}

/* Cuts a line off the front of *text; NULL where there is none. */
static char *take_line(char **text)
{
    char *line = *text, *end = strchr(line, '\n');
    if (!end)
        return NULL;
    *end = 0;
    *text = end + 1;
    return line;
}

static bool read_entry(char *text, size_t bytes, const char *key, bcam_plan_entry *entry)
{
    char *end = text + bytes, *head[5];
    uint64_t sum = 0;
    size_t json_bytes = 0;
    int used = 0;
    for (size_t i = 0; i < BCAM_COUNT(head); i++)
        if (!(head[i] = take_line(&text)))
            return false;
    if (strcmp(head[0], magic) != 0 || strcmp(head[1], key) != 0 ||
        sscanf(head[2], "%u%n", &entry->fused, &used) != 1 || head[2][used] ||
        sscanf(head[4], "%zu %" SCNx64 "%n", &json_bytes, &sum, &used) != 2 || head[4][used])
        return false;
    if (json_bytes == 0 || json_bytes != (size_t)(end - text) || checksum(text, json_bytes) != sum ||
        !(entry->json = bcam_alloc(json_bytes + 1, 1)))
        return false;
    memcpy(entry->json, text, json_bytes);
    entry->json_bytes = json_bytes;
    snprintf(entry->text, sizeof entry->text, "%s", head[3]);
    return true;
}

bool bcam_plan_cache_find(const char *key, bcam_plan_entry *entry)
{
    char *path = entry_path(key, false), *text = NULL;
    size_t bytes = 0;
    *entry = (bcam_plan_entry){0};
    bool found =
        path && bcam_file_read(path, MOST_BYTES, &text, &bytes, NULL) == BCAM_OK && read_entry(text, bytes, key, entry);
    bcam_free(text);
    bcam_free(path);
    return found;
}

void bcam_plan_cache_keep(const char *key, const bcam_plan_entry *entry)
{
    char *path = entry_path(key, true), *part = path ? bcam_format("%s.%ld", path, (long)getpid()) : NULL;
    FILE *file = part ? fopen(part, "wb") : NULL;
    if (file) {
        bool good = fprintf(file, "%s\n%s\n%u\n%s\n%zu %016" PRIx64 "\n", magic, key, entry->fused, entry->text,
                            entry->json_bytes, checksum(entry->json, entry->json_bytes)) > 0;
        good &= fwrite(entry->json, 1, entry->json_bytes, file) == entry->json_bytes;
        good &= fclose(file) == 0;
        if (!good || rename(part, path) != 0)
            unlink(part);
    }
    bcam_free(part);
    bcam_free(path);
}
