/* tar.c - photos and their labels in WebDataset's layout. A member's key is its path up to the first dot of its base name, its extension what follows;
 * neighbours of one key are a sample. A label may stand behind its photo, so that a sample is read as a whole before its photos are given out; what
 * one may hold is limited, for names like "photo.0001.jpg" make one sample of all. */
#include "in/tar.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "in/archive.h"
#include "in/json.h"
#include "in/photo.h"
#include "in/suffix.h"

enum { MOST_PHOTOS = 64 };                 /* of a sample, before its label */
#define MOST_BYTES ((size_t)256 << 20)     /* of them; one may be larger */
#define MAX_PHOTO_BYTES ((int64_t)1 << 30) /* as for files */
#define FIRST_BYTES ((size_t)16 << 20)     /* of a photo, that room is made for at once */
#define MAX_LABEL_BYTES ((int64_t)4096)    /* of a .cls */
#define MAX_JSON_BYTES ((int64_t)16 << 20)

typedef struct photo {
    char *name;
    uint8_t *data; /* kept from sample to sample */
    size_t capacity, bytes;
    bool held; /* data has the bytes */
} photo;

struct bcam_tar {
    bcam_archive *archive;
    bool skim;
    bcam_list_counts *counts;
    bcam_member member; /* the first of the next sample */
    bool ahead;         /* there is one */
    char *key;          /* of the sample at hand */
    size_t key_length;
    char *label;              /* NULL: none yet */
    bool has_class, has_json; /* .cls, .json */
    photo photos[MOST_PHOTOS];
    size_t count, at, bytes;
    uint8_t *text; /* of a .cls or .json */
    size_t text_capacity;
    bool ended; /* nothing comes behind the photos at hand, and this is why */
    bcam_status status;
    bcam_error why;
};

bcam_status bcam_tar_open(const char *path, bool skim, bcam_list_counts *counts, bcam_tar **out, bcam_error *err)
{
    bcam_tar *tar = *out = bcam_alloc(1, sizeof(*tar));
    if (!tar) {
        return bcam_fail_memory(err, sizeof(*tar), path);
    }
    tar->skim = skim;
    tar->counts = counts;
    bcam_status status = bcam_archive_open(path, skim, &tar->archive, err);
    if (status != BCAM_OK) {
        bcam_tar_close(out);
    }
    return status;
}

void bcam_tar_close(bcam_tar **tar)
{
    if (*tar) {
        for (size_t i = 0; i < MOST_PHOTOS; i++) {
            bcam_free((*tar)->photos[i].name);
            bcam_free((*tar)->photos[i].data);
        }
        bcam_archive_close(&(*tar)->archive);
        bcam_free((*tar)->key);
        bcam_free((*tar)->label);
        bcam_free((*tar)->text);
        bcam_free(*tar);
        *tar = NULL;
    }
}

/* ---- members ---- */

/** The extension: behind the first dot of the base name; NULL where there is none. */
static const char *extension(const char *name)
{
    const char *dot = strchr(bcam_path_base(name), '.');
    return dot ? dot + 1 : NULL;
}

/** Hidden, or WebDataset's own notes about a shard ("__name__", and what lies below a folder of such a name). */
static bool is_hidden(const char *name)
{
    size_t first = strcspn(name, "/");
    return bcam_path_base(name)[0] == '.' ||
           (first >= 4 && strncmp(name, "__", 2) == 0 && strncmp(name + first - 2, "__", 2) == 0);
}

typedef enum part { PART_NONE, PART_PHOTO, PART_CLASS, PART_JSON } part;

/** What a member is to its sample; counts what is left out. */
static part part_of(const bcam_member *member, bcam_list_counts *counts)
{
    const char *tail = extension(member->name);
    if (member->kind == BCAM_MEMBER_FOLDER) {
        return PART_NONE;
    }
    if (is_hidden(member->name)) {
        counts->left_out_hidden++;
    } else if (member->kind == BCAM_MEMBER_OTHER) {
        counts->left_out_special++;
    } else if (tail && strcasecmp(tail, "cls") == 0) {
        return PART_CLASS;
    } else if (tail && strcasecmp(tail, "json") == 0) {
        return PART_JSON;
    } else if (bcam_is_photo_name(member->name)) {
        return PART_PHOTO;
    } else {
        counts->left_out_type++;
    }
    return PART_NONE;
}

static bcam_status fail_twice(const bcam_tar *tar, bcam_error *err)
{
    return bcam_fail(err, BCAM_E_INPUT, "%s holds '%s' twice in one sample (whose name is all up to the first dot)",
                     bcam_archive_called(tar->archive), tar->member.name);
}

/** The bytes of the photo at hand; room grows with what comes, not with what its header promises. */
static bcam_status read_photo(bcam_tar *tar, photo *p, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    for (size_t done = 0, now; status == BCAM_OK && done < p->bytes; done = now) {
        now = done < FIRST_BYTES ? FIRST_BYTES : done * 2;
        now = now < p->bytes ? now : p->bytes;
        uint8_t *grown = now > p->capacity ? bcam_realloc(p->data, now, 1) : p->data;
        if (!grown) {
            return BCAM_OK;
        }
        p->data = grown;
        p->capacity = now > p->capacity ? now : p->capacity;
        status = bcam_archive_read(tar->archive, p->data + done, now - done, err);
    }
    p->held = status == BCAM_OK;
    return status;
}

/** The photo at hand. One that there is no room for is given out without its bytes. */
static bcam_status add_photo(bcam_tar *tar, bcam_error *err)
{
    const bcam_member *member = &tar->member;
    for (size_t i = 0; i < tar->count; i++) {
        if (strcasecmp(tar->photos[i].name + tar->key_length, member->name + tar->key_length) == 0) {
            return fail_twice(tar, err);
        }
    }
    photo *p = &tar->photos[tar->count];
    bcam_free(p->name);
    p->name = bcam_strdup(member->name);
    if (!p->name) {
        return bcam_fail_memory(err, strlen(member->name), "a file name");
    }
    p->bytes = member->bytes > 0 ? (size_t)member->bytes : 0;
    p->held = false;
    bcam_status status = tar->skim || member->bytes > MAX_PHOTO_BYTES ? BCAM_OK : read_photo(tar, p, err);
    tar->bytes += p->held ? p->bytes : 0;
    tar->count += status == BCAM_OK;
    return status;
}

static bcam_status set_label(bcam_tar *tar, const char *text, bcam_error *err)
{
    size_t length = strlen(text);
    bcam_free(tar->label);
    tar->label = NULL;
    while (length > 0 && strchr(" \t\r\n", text[length - 1])) {
        length--;
    }
    if (length == 0) {
        return BCAM_OK;
    }
    tar->label = bcam_strndup(text, length);
    return tar->label ? BCAM_OK : bcam_fail_memory(err, length, "a label");
}

/** The text of the member at hand, with a zero byte behind it; *fits is false where it is too long to be what its name says. */
static bcam_status read_text(bcam_tar *tar, int64_t limit, bool *fits, bcam_error *err)
{
    size_t bytes = tar->member.bytes > 0 ? (size_t)tar->member.bytes : 0;
    *fits = tar->member.bytes <= limit;
    if (!*fits) {
        return BCAM_OK;
    }
    if (!bcam_buffer_reserve(&tar->text, &tar->text_capacity, bytes + 1)) {
        return bcam_fail_memory(err, bytes, "a label");
    }
    tar->text[bytes] = 0;
    return bcam_archive_read(tar->archive, tar->text, bytes, err);
}

static bcam_status add_class(bcam_tar *tar, bcam_error *err)
{
    bool fits = false;
    if (tar->has_class) {
        return fail_twice(tar, err);
    }
    tar->has_class = true;
    bcam_status status = tar->skim ? BCAM_OK : read_text(tar, MAX_LABEL_BYTES, &fits, err);
    const char *text = (const char *)tar->text;
    return status == BCAM_OK && fits ? set_label(tar, text + strspn(text, " \t\r\n"), err) : status;
}

/** Its field `label`, else `cls`: a text or a number. One that is not valid JSON says nothing. */
static bcam_status add_json(bcam_tar *tar, bcam_error *err)
{
    bcam_json *document = NULL;
    bool fits = false;
    if (tar->has_json) {
        return fail_twice(tar, err);
    }
    tar->has_json = true;
    bcam_status status = tar->skim ? BCAM_OK : read_text(tar, MAX_JSON_BYTES, &fits, err);
    if (status != BCAM_OK || !fits || tar->has_class) {
        return status;
    }
    status = bcam_json_parse((const char *)tar->text, (size_t)tar->member.bytes, tar->member.name, &document, err);
    if (status == BCAM_E_INPUT) {
        return BCAM_OK;
    }
    const bcam_json *field = bcam_json_get(document, "label");
    double number;
    char digits[32];
    field = field ? field : bcam_json_get(document, "cls");
    if (status == BCAM_OK && bcam_json_text(field)) {
        status = set_label(tar, bcam_json_text(field), err);
    } else if (status == BCAM_OK && bcam_json_number(field, &number)) {
        snprintf(digits, sizeof(digits), "%.15g", number);
        status = set_label(tar, digits, err);
    }
    bcam_json_close(&document);
    return status;
}

/* ---- samples ---- */

static bcam_status begin_sample(bcam_tar *tar, size_t key_length, bcam_error *err)
{
    bcam_free(tar->key);
    bcam_free(tar->label);
    tar->label = NULL;
    tar->has_class = tar->has_json = false;
    tar->key_length = key_length;
    tar->key = bcam_strndup(tar->member.name, key_length);
    return tar->key ? BCAM_OK : bcam_fail_memory(err, key_length, "a file name");
}

/** Takes in the member at hand, unless it is the first of another sample than the photos that are held. */
static bcam_status take_member(bcam_tar *tar, part what, bool *taken, bcam_error *err)
{
    const char *name = tar->member.name;
    size_t length = (size_t)(extension(name) - name) - 1;
    bool same = tar->key && length == tar->key_length && strncmp(tar->key, name, length) == 0;
    *taken = same || tar->count == 0;
    if (!*taken) {
        return BCAM_OK;
    }
    bcam_status status = same ? BCAM_OK : begin_sample(tar, length, err);
    if (status != BCAM_OK) {
        return status;
    }
    return what == PART_PHOTO ? add_photo(tar, err) : what == PART_CLASS ? add_class(tar, err) : add_json(tar, err);
}

/** Reads on until a sample's photos are held. */
static void gather(bcam_tar *tar)
{
    bool taken = true;
    tar->count = tar->at = tar->bytes = 0;
    while (!tar->ended && taken && tar->count < MOST_PHOTOS && tar->bytes < MOST_BYTES) {
        if (!tar->ahead) {
            tar->status = bcam_archive_next(tar->archive, &tar->member, &tar->ended, &tar->why);
            tar->counts->broken |= tar->status == BCAM_E_INPUT;
        }
        part what = tar->status == BCAM_OK && !tar->ended ? part_of(&tar->member, tar->counts) : PART_NONE;
        if (what != PART_NONE) {
            tar->status = take_member(tar, what, &taken, &tar->why);
        }
        tar->ahead = !taken;
        tar->ended |= tar->status != BCAM_OK;
    }
}

bcam_status bcam_tar_next(bcam_tar *tar, bcam_item *item, bool *end, bcam_error *err)
{
    *end = false;
    if (tar->at == tar->count) {
        gather(tar);
    }
    if (tar->at == tar->count) {
        *end = tar->status == BCAM_OK;
        return *end ? BCAM_OK : bcam_fail(err, tar->status, "%s", tar->why.message);
    }
    const photo *p = &tar->photos[tar->at++];
    *item = (bcam_item){.shown = p->name, .folder = "", .label = tar->label, .bytes = p->bytes};
    item->data = p->held ? p->data : NULL;
    return BCAM_OK;
}
