/* fake_cudart.c - the stand-in run time's bookkeeping: its lock, counted calls, planned failures, errors, what is alive. */
#include "fake_cudart.h"

enum { MOST_PLANNED = 16, MOST_NAMES = 256 };

static pthread_mutex_t mutex;
static struct {
    char call[64];
    long left; /* calls until it fails; 0: it has */
    int code;
    bool async;
} planned[MOST_PLANNED];
static int planned_count;
static struct {
    char name[64];
    unsigned long calls;
} counts[MOST_NAMES];
static int name_count;
static char failed[64];
static int misuses;
static long alive[BCAM_FAKE_KINDS];
static _Thread_local cudaError_t last;

cudaError_t bcam_fake_sticky;
bool bcam_fake_eager;
int bcam_fake_devices = 1;
size_t bcam_fake_memory;

/* CALL:N[:CODE], CALL@:N[:CODE] */
static void plan_from_text(const char *text)
{
    char call[64];
    long nth = 1;
    int code = 0;
    if (sscanf(text, "%63[^:]:%ld:%d", call, &nth, &code) < 1)
        return;
    size_t n = strlen(call);
    bool async = n > 1 && call[n - 1] == '@';
    if (async)
        call[n - 1] = '\0';
    bcam_fake_fail(call, nth, code, async);
}

__attribute__((constructor)) static void setup(void)
{
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&mutex, &recursive);
    const char *s = getenv("BCAM_FAKE_MODE");
    bcam_fake_eager = s && strcmp(s, "eager") == 0;
    if ((s = getenv("BCAM_FAKE_MEMORY")) != NULL)
        bcam_fake_memory = strtoull(s, NULL, 0);
    if ((s = getenv("BCAM_FAKE_DEVICES")) != NULL)
        bcam_fake_devices = atoi(s);
    if ((s = getenv("BCAM_FAKE_FAIL")) != NULL)
        plan_from_text(s);
}

__attribute__((destructor)) static void report(void)
{
    char text[512];
    if (getenv("BCAM_FAKE_REPORT"))
        fprintf(stderr, "stand-ins: %lu calls, alive: %s\n", bcam_fake_calls(NULL),
                bcam_fake_live(text, sizeof text) ? text : "nothing");
}

void bcam_fake_lock(void)
{
    pthread_mutex_lock(&mutex);
}

cudaError_t bcam_fake_leave(cudaError_t status)
{
    if (status != cudaSuccess)
        last = status;
    pthread_mutex_unlock(&mutex);
    return status;
}

static void count(const char *name, const char *suffix)
{
    char key[64];
    int i = 0;
    snprintf(key, sizeof key, "%s%s", name, suffix);
    while (i < name_count && strcmp(counts[i].name, key) != 0)
        i++;
    if (i == MOST_NAMES) {
        fprintf(stderr, "stand-ins: more than %d names of calls\n", MOST_NAMES);
        abort();
    }
    if (i == name_count)
        memcpy(counts[name_count++].name, key, sizeof key);
    counts[i].calls++;
}

static int planned_failure(const char *call, bool async, int usual)
{
    int code = 0;
    for (int i = 0; i < planned_count; i++) {
        bool hit =
            planned[i].async == async && (strcmp(planned[i].call, call) == 0 || strcmp(planned[i].call, "*") == 0);
        if (!hit || planned[i].left == 0 || --planned[i].left > 0)
            continue;
        code = planned[i].code ? planned[i].code : usual;
        snprintf(failed, sizeof failed, "%s", call);
    }
    return code;
}

int bcam_fake_enter(const char *call, int usual)
{
    bcam_fake_lock();
    count(call, "");
    int code = planned_failure(call, false, usual);
    pthread_mutex_unlock(&mutex);
    return code;
}

cudaError_t bcam_fake_begin(const char *call, cudaError_t usual)
{
    bcam_fake_lock();
    count(call, "");
    int code = planned_failure(call, false, (int)usual);
    return bcam_fake_sticky != cudaSuccess ? bcam_fake_sticky : (cudaError_t)code;
}

cudaError_t bcam_fake_planned_work(const char *what)
{
    count(what, "@");
    return (cudaError_t)planned_failure(what, true, (int)cudaErrorIllegalAddress);
}

/* ---- errors, as CUDA keeps them: one a thread that reading clears, and one that stays ---- */

cudaError_t cudaGetLastError(void)
{
    bcam_fake_lock();
    cudaError_t was = bcam_fake_sticky != cudaSuccess ? bcam_fake_sticky : last;
    last = cudaSuccess;
    pthread_mutex_unlock(&mutex);
    return was;
}

cudaError_t cudaPeekAtLastError(void)
{
    bcam_fake_lock();
    cudaError_t was = bcam_fake_sticky != cudaSuccess ? bcam_fake_sticky : last;
    pthread_mutex_unlock(&mutex);
    return was;
}

/* ---- for tests ---- */

void bcam_fake_fail(const char *call, long nth, int code, bool async)
{
    bcam_fake_lock();
    if (planned_count < MOST_PLANNED && nth > 0) {
        snprintf(planned[planned_count].call, sizeof planned[0].call, "%s", call);
        planned[planned_count].left = nth;
        planned[planned_count].code = code;
        planned[planned_count++].async = async;
    }
    pthread_mutex_unlock(&mutex);
}

const char *bcam_fake_failed(void)
{
    return *failed ? failed : NULL;
}

void bcam_fake_reset(void)
{
    bcam_fake_lock();
    planned_count = name_count = misuses = 0;
    memset(counts, 0, sizeof counts);
    bcam_fake_sticky = last = cudaSuccess;
    *failed = '\0';
    bcam_fake_memory = 0;
    pthread_mutex_unlock(&mutex);
}

unsigned long bcam_fake_calls(const char *call)
{
    unsigned long all = 0;
    bcam_fake_lock();
    for (int i = 0; i < name_count; i++)
        if (call ? strcmp(call, counts[i].name) == 0 : !strchr(counts[i].name, '@'))
            all += counts[i].calls;
    pthread_mutex_unlock(&mutex);
    return all;
}

const char *bcam_fake_name(int i)
{
    bcam_fake_lock();
    const char *name = i >= 0 && i < name_count ? counts[i].name : NULL;
    pthread_mutex_unlock(&mutex);
    return name;
}

void bcam_fake_count(bcam_fake_kind kind, int change)
{
    bcam_fake_lock();
    alive[kind] += change;
    pthread_mutex_unlock(&mutex);
}

size_t bcam_fake_live(char *text, size_t size)
{
    static const char *const names[BCAM_FAKE_KINDS] = {
        "device block",     "pinned block", "stream",           "event",        "graph",
        "executable graph", "cuDNN handle", "cuDNN descriptor", "cuBLAS handle"};
    size_t all = 0, used = 0;
    bcam_fake_lock();
    if (text && size)
        *text = '\0';
    for (int i = 0; i < BCAM_FAKE_KINDS; i++) {
        all += (size_t)alive[i];
        if (text && alive[i] && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%ld %s%s", used ? ", " : "", alive[i], names[i],
                                     alive[i] == 1 ? "" : "s");
    }
    pthread_mutex_unlock(&mutex);
    return all;
}

void bcam_fake_misuse(const char *what)
{
    fprintf(stderr, "stand-ins: %s\n", what);
    bcam_fake_lock();
    misuses++;
    pthread_mutex_unlock(&mutex);
}

int bcam_fake_misuses(void)
{
    return misuses;
}

void bcam_fake_set_eager(bool eager)
{
    bcam_fake_eager = eager;
}

void bcam_fake_set_memory(size_t bytes)
{
    bcam_fake_memory = bytes;
}

void bcam_fake_set_devices(int devices)
{
    bcam_fake_devices = devices;
}
