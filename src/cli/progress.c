/* progress.c - see progress.h. */
#include <inttypes.h>
#include <langinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "message.h"
#include "progress.h"

#define LINE_SECONDS 5.0 /* between lines where there is no terminal */
#define BAR_SECONDS 0.1
#define JSON_SECONDS 1.0

static volatile sig_atomic_t stop_asked; /* the one thing a signal handler may touch */

static const int stoppers[] = {SIGINT, SIGTERM};

/* The next one ends the process at once. */
static void on_signal(int number)
{
    struct sigaction now;
    (void)number;
    stop_asked = 1;
    for (size_t i = 0; i < CLI_COUNT(stoppers); i++)
        if (sigaction(stoppers[i], NULL, &now) == 0 && now.sa_handler == on_signal)
            signal(stoppers[i], SIG_DFL);
}

void cli_stop_on_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < CLI_COUNT(stoppers);
         i++) /* what the shell has ignored (Ctrl-C, in the background) stays so */
        if (sigaction(stoppers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(stoppers[i], &action, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is then an error of the write, with its sentence */
    signal(SIGPIPE, SIG_IGN); /* what a run makes is its folder: it goes on where nobody reads along */
}

static double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void cli_progress_init(cli_progress *progress, bool quiet, bool json)
{
    const char *term = getenv("TERM");
    double now = clock_seconds();
    *progress = (cli_progress){
        .quiet = quiet,
        .json = json,
        .terminal = isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0,
        .blocks = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
        .shown_at = now,
        .json_at = now,
        .last = {.total = -1},
    };
}

/* "0:07", "12:34", "3:02:01" */
static void duration(double seconds, char *out, size_t size)
{
    int64_t s = (int64_t)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, size, "%" PRId64 ":%02d:%02d", s / 3600, (int)(s / 60 % 60), (int)(s % 60));
    else
        snprintf(out, size, "%d:%02d", (int)(s / 60), (int)(s % 60));
}

static double share(const bcam_progress *p)
{
    return p->total > 0 ? (double)p->done / (double)p->total : 0.0;
}

/* "9.6/s, 2:35 left, 3 failed": the parts that are known, each after `between`. */
static void rate_text(const bcam_progress *p, const char *between, char *out, size_t size)
{
    size_t at = 0;
    double rate = p->seconds > 0 ? (double)p->done / p->seconds : 0;
    out[0] = 0;
    if (rate > 0) {
        char left[32];
        at += (size_t)snprintf(out + at, size - at, "%s%.*f/s", between, rate < 100 ? 1 : 0, rate);
        if (p->total > p->done && (double)(p->total - p->done) / rate < 1e7) {
            duration((double)(p->total - p->done) / rate, left, sizeof left);
            at += (size_t)snprintf(out + at, size - at, "%s%s left", between, left);
        }
    }
    if (p->failed > 0)
        snprintf(out + at, size - at, "%s%" PRId64 " failed", between, p->failed);
}

static void print_line(const bcam_progress *p)
{
    char rest[128];
    rate_text(p, ", ", rest, sizeof rest);
    if (p->total >= 0)
        cli_message("%" PRId64 " of %" PRId64 " photos (%d%%)%s", p->done, p->total, (int)(100 * share(p)), rest);
    else
        cli_message("%" PRId64 " photos%s", p->done, rest);
}

static void put_blocks(double part, int cells)
{
    static const char *const eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int full = (int)(part * cells * 8 + 1e-9);
    for (int i = 0; i < cells; i++, full -= 8)
        fputs(full >= 8 ? "█" : full > 0 ? eighths[full] : " ", stderr);
}

static void put_hashes(double part, int cells)
{
    int full = (int)(part * cells + 1e-9);
    for (int i = 0; i < cells; i++)
        putc(i < full ? '#' : '.', stderr);
}

static int terminal_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void draw(cli_progress *progress)
{
    enum { WIDEST = 40, NARROWEST = 8 };
    const bcam_progress *p = &progress->last;
    char text[256], rest[128];
    rate_text(p, "  ", rest, sizeof rest);
    if (p->total >= 0)
        snprintf(text, sizeof text, " %" PRId64 "/%" PRId64 "%s", p->done, p->total, rest);
    else
        snprintf(text, sizeof text, "%" PRId64 " photos%s", p->done, rest);
    int width = terminal_width() - 1; /* the last column makes some terminals begin a new line */
    int cells = width - (int)strlen(text) - 7;
    cells = cells > WIDEST ? WIDEST : cells;
    putc('\r', stderr);
    if (p->total >= 0 && cells >= NARROWEST) {
        fprintf(stderr, "%3d%% [", (int)(100 * share(p)));
        (progress->blocks ? put_blocks : put_hashes)(share(p), cells);
        putc(']', stderr);
    }
    fprintf(stderr, "%.*s\033[K", width > 0 ? width : 0, text);
    fflush(stderr);
    progress->drawn = true;
}

static void print_json(const bcam_progress *p)
{
    cli_json json;
    cli_json_begin(&json, stdout, "status");
    cli_json_int(&json, "done", p->done);
    if (p->total >= 0)
        cli_json_int(&json, "total", p->total);
    else
        cli_json_text(&json, "total", NULL);
    cli_json_int(&json, "ok", p->ok);
    cli_json_int(&json, "failed", p->failed);
    cli_json_real(&json, "seconds", p->seconds);
    cli_json_end(&json);
}

bool cli_progress_update(void *data, const bcam_progress *now)
{
    cli_progress *progress = data;
    double clock = clock_seconds();
    bool complete = now->total >= 0 && now->done >= now->total;
    progress->last = *now;
    if (progress->json && (complete || clock - progress->json_at >= JSON_SECONDS)) {
        print_json(now);
        progress->json_at = clock;
    }
    if (!progress->quiet) {
        double every = progress->terminal ? BAR_SECONDS : LINE_SECONDS;
        if (clock - progress->shown_at >= every || (progress->terminal && (complete || !progress->drawn))) {
            if (progress->terminal)
                draw(progress);
            else
                print_line(now);
            progress->shown_at = clock;
        }
    }
    return !stop_asked;
}

void cli_progress_log(void *data, bcam_log_level level, const char *line)
{
    cli_progress *progress = data;
    if (level == BCAM_LOG_INFO && progress->quiet)
        return;
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    cli_message("%s%s", level == BCAM_LOG_WARNING ? "warning: " : "", line);
    if (progress->drawn)
        draw(progress);
}

void cli_progress_finish(cli_progress *progress)
{
    if (!progress->drawn)
        return;
    draw(progress);
    putc('\n', stderr);
    progress->drawn = false;
}
