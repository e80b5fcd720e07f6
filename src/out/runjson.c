/* runjson.c - run.json: building it, stamping it, recognising it. The only file of out/ that knows cJSON. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "out/writer.h"

#define FORMAT 1 /* of run.json and of the run directory; goes up when something is renamed or changes its meaning */

struct bcam_runjson {
    cJSON *root;
    bool failed;
};

bcam_runjson *bcam_runjson_open(void)
{
    bcam_runjson *json = bcam_alloc(1, sizeof *json);
    if (json && !(json->root = cJSON_CreateObject())) {
        bcam_free(json);
        json = NULL;
    }
    return json;
}

static bool is_number(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return digits > 0 && digits < 7 && name[digits] == '\0';
}

/* What an object has under a name, or an array at a number; NULL: nothing yet, or the one where the other belongs. */
static cJSON *look_up(const cJSON *at, const char *key)
{
    if (is_number(key))
        return cJSON_IsArray(at) ? cJSON_GetArrayItem(at, atoi(key)) : NULL;
    return cJSON_IsObject(at) ? cJSON_GetObjectItemCaseSensitive(at, key) : NULL;
}

/* Takes `value` over where it returns true. What was there is replaced; an array grows by one element at a time. */
static bool set(cJSON *at, const char *key, cJSON *value)
{
    if (is_number(key)) {
        int index = atoi(key), count = cJSON_IsArray(at) ? cJSON_GetArraySize(at) : -1;
        return index < count ? cJSON_ReplaceItemInArray(at, index, value)
                             : index == count && cJSON_AddItemToArray(at, value);
    }
    if (!cJSON_IsObject(at))
        return false;
    cJSON_DeleteItemFromObjectCaseSensitive(at, key);
    return cJSON_AddItemToObject(at, key, value);
}

/* The array (where the next part of the path is a number) or object under a name, made where it is missing. */
static cJSON *enter(cJSON *at, const char *key, bool array)
{
    cJSON *inner = look_up(at, key);
    if (inner)
        return (array ? cJSON_IsArray(inner) : cJSON_IsObject(inner)) ? inner : NULL;
    inner = array ? cJSON_CreateArray() : cJSON_CreateObject();
    if (inner && !set(at, key, inner)) {
        cJSON_Delete(inner);
        inner = NULL;
    }
    return inner;
}

/* The object or array that "a.0.b" lies in; *key receives "b". Those on the way are made. */
static cJSON *descend(bcam_runjson *json, const char *path, const char **key)
{
    cJSON *at = json->root;
    for (const char *dot; at && (dot = strchr(path, '.')); path = dot + 1) {
        size_t next = strcspn(dot + 1, ".");
        char *name = bcam_strndup(path, (size_t)(dot - path)), *after = bcam_strndup(dot + 1, next);
        at = name && after ? enter(at, name, is_number(after)) : NULL;
        bcam_free(name);
        bcam_free(after);
    }
    *key = path;
    return at;
}

/* Takes `value` over. A second value for a path replaces the first. */
static void put(bcam_runjson *json, const char *path, cJSON *value)
{
    const char *key;
    cJSON *at = value && json ? descend(json, path, &key) : NULL;
    if (!at || !set(at, key, value)) {
        cJSON_Delete(value);
        if (json)
            json->failed = true;
    }
}

/* JSON is UTF-8 and names may be any bytes. */
static cJSON *make_string(const char *value)
{
    bcam_text text = {0};
    bcam_text_utf8(&text, value);
    cJSON *string = text.failed ? NULL : cJSON_CreateString(text.data ? text.data : "");
    bcam_text_fini(&text);
    return string;
}

void bcam_runjson_string(bcam_runjson *json, const char *path, const char *value)
{
    if (json)
        put(json, path, value ? make_string(value) : cJSON_CreateNull());
}

void bcam_runjson_number(bcam_runjson *json, const char *path, double value)
{
    if (json)
        put(json, path, cJSON_CreateNumber(value));
}

void bcam_runjson_bool(bcam_runjson *json, const char *path, bool value)
{
    if (json)
        put(json, path, cJSON_CreateBool(value));
}

void bcam_runjson_append(bcam_runjson *json, const char *path, const char *value)
{
    if (!json)
        return;
    const char *key;
    cJSON *at = descend(json, path, &key);
    cJSON *array = at ? cJSON_GetObjectItemCaseSensitive(at, key) : NULL;
    if (at && !array)
        array = cJSON_AddArrayToObject(at, key);
    cJSON *string = cJSON_IsArray(array) ? make_string(value) : NULL;
    if (!string || !cJSON_AddItemToArray(array, string)) {
        cJSON_Delete(string);
        json->failed = true;
    }
}

static char *print(const cJSON *root)
{
    char *printed = cJSON_Print(root);
    char *text = printed ? bcam_format("%s\n", printed) : NULL;
    cJSON_free(printed);
    return text;
}

char *bcam_runjson_text(const bcam_runjson *json)
{
    return json && !json->failed ? print(json->root) : NULL;
}

void bcam_runjson_close(bcam_runjson **json)
{
    if (!json || !*json)
        return;
    cJSON_Delete((*json)->root);
    bcam_free(*json);
    *json = NULL;
}

bool bcam_runjson_is_ours(const char *text)
{
    cJSON *root = cJSON_Parse(text);
    const cJSON *program = cJSON_GetObjectItemCaseSensitive(root, "program");
    bool ours = cJSON_IsObject(root) && cJSON_IsString(program) && strcmp(program->valuestring, "batchcam") == 0;
    cJSON_Delete(root);
    return ours;
}

/* Moves the members of `from` behind those of `to`, but for names that are there already. */
static bool move_members(cJSON *from, cJSON *to)
{
    while (from->child) {
        cJSON *member = cJSON_DetachItemViaPointer(from, from->child);
        if (cJSON_GetObjectItemCaseSensitive(to, member->string) ||
            !cJSON_AddItemToObject(to, member->string, member)) {
            bool double_name = cJSON_GetObjectItemCaseSensitive(to, member->string) != NULL;
            cJSON_Delete(member);
            if (!double_name)
                return false;
        }
    }
    return true;
}

char *bcam_runjson_stamp(const char *text, const char *failure)
{
    char *stamped = NULL;
    cJSON *from = cJSON_Parse(text), *to = cJSON_CreateObject();
    if (!cJSON_IsObject(from) || !to)
        goto out;
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(from, "status");
    const char *said = cJSON_IsString(status) ? status->valuestring : "complete";
    if (strcmp(said, "failed") == 0) /* and what failed first is said there */
        failure = NULL;
    said = failure ? "failed" : said;
    bool made = cJSON_AddStringToObject(to, "program", "batchcam") && cJSON_AddNumberToObject(to, "format", FORMAT) &&
                cJSON_AddStringToObject(to, "version", BCAM_VERSION_STRING) &&
                cJSON_AddStringToObject(to, "status", said);
    cJSON *message = failure ? make_string(failure) : NULL;
    if (failure && (!message || !cJSON_AddItemToObject(to, "message", message))) {
        cJSON_Delete(message);
        goto out;
    }
    if (made && move_members(from, to))
        stamped = print(to);
out:
    cJSON_Delete(from);
    cJSON_Delete(to);
    return stamped;
}
