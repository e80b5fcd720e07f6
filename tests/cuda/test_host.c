/* The plug-in's host code where there is no card: what it says, and what the plan cache takes and refuses. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cuda/cuda.h"
#include "dev/plugin.h"

bcam_status bcam_plugin_open(const bcam_plugin_host *host, const bcam_device_api **out, bcam_error *err);

static bool has_card(void)
{
    return bcam_cuda_device.probe(NULL) == BCAM_OK;
}

Test(cuda_host, without_a_card_it_says_so)
{
    bcam_error err = {0};
    bcam_device *device = NULL;
    if (has_card())
        cr_skip_test("there is a card");
    cr_expect_eq(bcam_cuda_device.probe(&err), BCAM_E_DEVICE);
    cr_expect(strstr(err.message, "--device cpu"), "%s", err.message);
    cr_expect_eq(bcam_cuda_device.probe(NULL), BCAM_E_DEVICE);
    cr_expect_eq(bcam_cuda_device.open(&(bcam_device_options){0}, &device, &err), BCAM_E_DEVICE);
    cr_expect_null(device);
    cr_expect_eq(bcam_alloc_live(), 0);
}

Test(cuda_host, another_build_is_refused)
{
    bcam_error err = {0};
    const bcam_device_api *api = NULL;
    cr_expect_eq(bcam_plugin_open(&(bcam_plugin_host){BCAM_DEVICE_ABI, "another"}, &api, &err), BCAM_E_DEVICE);
    cr_expect(strstr(err.message, "one build"), "%s", err.message);
    cr_expect_null(api);
    cr_expect_eq(bcam_plugin_open(&(bcam_plugin_host){BCAM_DEVICE_ABI + 1, bcam_build_id()}, &api, &err),
                 BCAM_E_DEVICE);
    cr_expect_null(api);
    cr_expect_eq(bcam_plugin_open(&(bcam_plugin_host){BCAM_DEVICE_ABI, bcam_build_id()}, &api, &err), BCAM_OK, "%s",
                 err.message);
    cr_expect_eq(api, &bcam_cuda_device);
}

/* ---- the plan cache ---- */

static char folder[64];

/* The cache's home and what stands above it are not there yet: it makes them. */
static void make_cache(void)
{
    char home[80];
    strcpy(folder, "/tmp/batchcam-XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(home, sizeof home, "%s/not/yet", folder);
    setenv("XDG_CACHE_HOME", home, 1);
}

static void drop_cache(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_expect_eq(system(command), 0);
}

static const char key[] = "CONV x float16@16 8:64; a card";

static void keep(const char *json)
{
    bcam_plan_entry entry = {
        .fused = 5, .text = "cudnn 41 fused, timed", .json = (char *)(uintptr_t)json, .json_bytes = strlen(json)};
    bcam_plan_cache_keep(key, &entry);
}

/* The one file of the cache. */
static FILE *entry_file(const char *mode)
{
    char command[160], path[256];
    snprintf(command, sizeof command, "ls %s/not/yet/batchcam/plans/*", folder);
    FILE *list = popen(command, "r");
    cr_assert(list && fgets(path, sizeof path, list));
    pclose(list);
    path[strcspn(path, "\n")] = 0;
    FILE *file = fopen(path, mode);
    cr_assert(file);
    return file;
}

Test(cuda_cache, gives_back_what_it_keeps, .init = make_cache, .fini = drop_cache)
{
    bcam_plan_entry entry;
    cr_expect_not(bcam_plan_cache_find(key, &entry));
    keep("{\"a\": \"line\nand another\"}");
    cr_assert(bcam_plan_cache_find(key, &entry));
    cr_expect_eq(entry.fused, 5);
    cr_expect_str_eq(entry.text, "cudnn 41 fused, timed");
    cr_expect_str_eq(entry.json, "{\"a\": \"line\nand another\"}");
    bcam_free(entry.json);
    cr_expect_not(bcam_plan_cache_find("another key", &entry));
    keep("{}");
    cr_assert(bcam_plan_cache_find(key, &entry));
    cr_expect_str_eq(entry.json, "{}");
    bcam_free(entry.json);
    cr_expect_eq(bcam_alloc_live(), 0);
}

Test(cuda_cache, trusts_nothing_damaged, .init = make_cache, .fini = drop_cache)
{
    char whole[512];
    bcam_plan_entry entry;
    keep("{\"engine\": 41}");
    FILE *file = entry_file("rb");
    size_t bytes = fread(whole, 1, sizeof whole, file);
    fclose(file);
    for (size_t cut = 0; cut < bytes; cut++) { /* every length but the whole */
        file = entry_file("wb");
        fwrite(whole, 1, cut, file);
        fclose(file);
        cr_expect_not(bcam_plan_cache_find(key, &entry), "%zu of %zu bytes were taken", cut, bytes);
    }
    for (size_t at = 0; at < bytes; at++) { /* every byte changed; only the engine's name says nothing */
        char broken[512];
        memcpy(broken, whole, bytes);
        broken[at] ^= 1;
        file = entry_file("wb");
        fwrite(broken, 1, bytes, file);
        fclose(file);
        if (bcam_plan_cache_find(key, &entry)) {
            cr_expect(!strcmp(entry.json, "{\"engine\": 41}"), "byte %zu", at);
            bcam_free(entry.json);
        }
    }
    cr_expect_eq(bcam_alloc_live(), 0);
}

Test(cuda_cache, a_folder_that_cannot_be_made_is_no_error)
{
    bcam_plan_entry entry;
    setenv("XDG_CACHE_HOME", "/dev/null/nowhere", 1);
    keep("{}");
    cr_expect_not(bcam_plan_cache_find(key, &entry));
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    keep("{}");
    cr_expect_not(bcam_plan_cache_find(key, &entry));
}
