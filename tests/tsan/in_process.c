/* in_process.c - runs Criterion's tests without Criterion's own runner, whose way of making processes does not go together with
 * ThreadSanitizer: each test in a process made by fork, one after the other, failed where it says so, dies, or races.
 *   EXECUTABLE [SUITE/TEST] */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SKIPPED = 77 };

/* What the linker makes of Criterion's section of tests. */
extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];

static int failures; /* of the test in this process */

/* ---- what the macros call, in the place of the library's own ---- */

void criterion_internal_test_setup(void)
{
}

void criterion_internal_test_main(void (*test)(void))
{
    test();
}

void criterion_internal_test_teardown(void)
{
}

void cri_asserts_passed_incr(void)
{
}

void criterion_send_assert(struct criterion_assert_stats *stats)
{
    if (!stats->passed)
        fprintf(stderr, "%s:%u: %s\n", stats->file, stats->line, stats->message);
    failures += !stats->passed;
}

void criterion_continue_test(void)
{
}

void criterion_abort_test(void)
{
    exit(1);
}

void criterion_skip_test(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    putc('\n', stderr);
    exit(SKIPPED);
}

/* ---- one after the other ---- */

/* 0: passed. */
static int run(const struct criterion_test *test)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        test->test();
        exit(failures != 0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 1;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    bool good = code == 0 || code == SKIPPED;
    printf("%s %s/%s\n", code == SKIPPED ? "skipped" : good ? "passed " : "FAILED ", test->category, test->name);
    fflush(stdout);
    return !good;
}

int main(int argc, char **argv)
{
    int failed = 0, count = 0;
    for (struct criterion_test **at = __start_cr_tst; at < __stop_cr_tst; at++) {
        char name[256];
        if (!*at)
            continue;
        snprintf(name, sizeof name, "%s/%s", (*at)->category, (*at)->name);
        if (argc > 1 && strcmp(argv[1], name) != 0)
            continue;
        failed += run(*at);
        count++;
    }
    printf("%d of %d tests failed\n", failed, count);
    return failed || !count;
}
