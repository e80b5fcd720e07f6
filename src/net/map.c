/* map.c - names to numbers: a table with open addressing. */
#include <string.h>

#include "net/lower.h"

static size_t hash_of(const char *name)
{
    size_t h = 14695981039346656037u; /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 1099511628211u;
    return h;
}

static size_t slot_of(const bcam_name_map *map, const char *name)
{
    size_t at = hash_of(name) & (map->capacity - 1);
    while (map->names[at] && strcmp(map->names[at], name) != 0)
        at = (at + 1) & (map->capacity - 1);
    return at;
}

static bool map_grow(bcam_name_map *map)
{
    bcam_name_map larger = {.capacity = map->capacity ? map->capacity * 2 : 256};
    larger.names = bcam_alloc(larger.capacity, sizeof *larger.names);
    larger.values = bcam_alloc(larger.capacity, sizeof *larger.values);
    if (!larger.names || !larger.values) {
        bcam_map_fini(&larger);
        return false;
    }
    for (size_t i = 0; i < map->capacity; i++)
        if (map->names[i])
            bcam_map_put(&larger, map->names[i], map->values[i]);
    bcam_map_fini(map);
    *map = larger;
    return true;
}

bool bcam_map_put(bcam_name_map *map, const char *name, int value)
{
    if (2 * map->count >= map->capacity && !map_grow(map))
        return false;
    size_t at = slot_of(map, name);
    map->count += !map->names[at];
    map->names[at] = name;
    map->values[at] = value;
    return true;
}

int bcam_map_get(const bcam_name_map *map, const char *name)
{
    if (!map->capacity)
        return -1;
    size_t at = slot_of(map, name);
    return map->names[at] ? map->values[at] : -1;
}

void bcam_map_fini(bcam_name_map *map)
{
    bcam_free(map->names);
    bcam_free(map->values);
    *map = (bcam_name_map){0};
}
