/* planted.c - races planted on purpose, and the same work without one: only planted.sh runs it, to show that the first are seen and that
 * OpenMP's own barriers and reductions are known.
 *   planted clean|openmp|threads */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 64 };

static int squares[COUNT], mirrored[COUNT], total;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Long enough that every thread of a team gets a part of the work. */
static void some_work(void)
{
    usleep(200);
}

static int in_openmp(int racing)
{
    int sum = 0;
#pragma omp parallel for schedule(dynamic) num_threads(4) reduction(+ : sum)
    for (int i = 0; i < COUNT; i++) {
        some_work();
        squares[i] = i * i;
        sum += i;
        if (racing)
            total += i;
    }
#pragma omp parallel for num_threads(4)
    for (int i = 0; i < COUNT; i++) /* reads what other threads wrote, behind the barrier */
        mirrored[i] = squares[COUNT - 1 - i];
    return sum;
}

static void *add(void *racing)
{
    for (int i = 0; i < COUNT; i++) {
        if (!racing)
            pthread_mutex_lock(&lock);
        total += i;
        if (!racing)
            pthread_mutex_unlock(&lock);
        some_work();
    }
    return NULL;
}

static void in_threads(void *racing)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, add, racing);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "clean";
    int sum = in_openmp(strcmp(what, "openmp") == 0);
    in_threads(strcmp(what, "threads") == 0 ? &total : NULL);
    printf("%d\n", sum);
    return 0;
}
