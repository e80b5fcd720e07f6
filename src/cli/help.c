/* help.c - help as text, 79 columns wide. The parser stands on it, and the table of commands above both: whoever has the table hands it in. */
#include <string.h>

#include "help.h"

enum { WIDTH = 79, OPTION_COLUMN = 29 };

const cli_option cli_common_options[2] = {
    [CLI_COMMON_SHORT] = {'h', NULL, NULL, NULL, "show the options in short", NULL, NULL, NULL, 0},
    [CLI_COMMON_LONG] = {0, "help", NULL, NULL, "explain the command and every option, with examples", NULL, NULL, NULL,
                         0},
};

const char cli_about[] =
    "batchcam explains every photo of a data set: a Grad-CAM heatmap per photo and class, an index, a report.";

const char *const cli_exit_statuses[][2] = {
    {"0", "done: every photo has its row (photos that cannot be read included)"},
    {"1", "the job could not be done"},
    {"2", "wrong usage"},
    {"75", "stopped, but worth running again: a signal, a full disk, a device lost, a folder in use"},
    {NULL, NULL},
};

/* Writes text with lines broken at WIDTH and `indent` spaces before each; the first line goes on at column `at`. A line break in the text begins
 * a new line; a line that begins with a space is left as it is. */
static void wrap(FILE *file, const char *text, int indent, int at)
{
    for (const char *p = text; *p;) {
        size_t line = strcspn(p, "\n");
        const char *end = p + line;
        if (*p == ' ')
            fprintf(file, "%*s%.*s", indent, "", (int)line, p);
        else
            while (p < end) {
                size_t word = strcspn(p, " \n");
                if (at + (int)word + 1 > WIDTH && at > indent) {
                    putc('\n', file);
                    at = 0;
                }
                at += at < indent ? fprintf(file, "%*s", indent - at, "") : at > indent ? fprintf(file, " ") : 0;
                at += fprintf(file, "%.*s", (int)word, p);
                p += word;
                p += strspn(p, " ");
            }
        putc('\n', file);
        p = end + (*end == '\n');
        at = 0;
    }
}

static void option_title(const cli_option *option, char *out, size_t size)
{
    if (!option->name)
        snprintf(out, size, "  -%c", option->letter);
    else
        snprintf(out, size, "  %s--%s%s%s", option->letter ? (char[]){'-', option->letter, ',', ' ', 0} : "    ",
                 option->name, option->argument ? " " : "", option->argument ? option->argument : "");
}

static void short_row(FILE *file, const cli_option *option)
{
    char title[96], text[512];
    option_title(option, title, sizeof title);
    snprintf(text, sizeof text, "%s%s%s%s", option->brief, option->fallback ? " (default: " : "",
             option->fallback ? option->fallback : "", option->fallback ? ")" : "");
    int at = fprintf(file, "%s", title);
    if (at + 2 > OPTION_COLUMN) {
        putc('\n', file);
        at = 0;
    }
    fprintf(file, "%*s", OPTION_COLUMN - at, "");
    wrap(file, text, OPTION_COLUMN, OPTION_COLUMN);
}

static void long_row(FILE *file, const cli_option *option)
{
    char title[96];
    option_title(option, title, sizeof title);
    fprintf(file, "%s\n", title);
    char text[2048];
    snprintf(text, sizeof text, "%s.%s%s", option->brief, option->teach ? " " : "", option->teach ? option->teach : "");
    wrap(file, text, 10, 0);
    if (option->fallback)
        fprintf(file, "%10sDefault: %s.\n", "", option->fallback);
    putc('\n', file);
}

static void usage_line(FILE *file, const cli_command *command)
{
    fprintf(file, "Usage: batchcam %s%s%s%s\n\n", command->name, command->option_count ? " [options]" : "",
            *command->usage ? " " : "", command->usage);
}

void cli_help_short(FILE *file, const cli_command *command)
{
    usage_line(file, command);
    fprintf(file, "%s.\n\n", command->brief);
    for (size_t i = 0; i < command->option_count; i++)
        short_row(file, &command->options[i]);
    for (size_t i = 0; i < CLI_COUNT(cli_common_options); i++)
        short_row(file, &cli_common_options[i]);
}

void cli_help_long(FILE *file, const cli_command *command)
{
    usage_line(file, command);
    fprintf(file, "%s.\n\n", command->brief);
    wrap(file, command->teach, 0, 0);
    fprintf(file, "\nOptions\n\n");
    for (size_t i = 0; i < command->option_count; i++)
        long_row(file, &command->options[i]);
    for (size_t i = 0; i < CLI_COUNT(cli_common_options); i++)
        long_row(file, &cli_common_options[i]);
    if (command->examples) {
        fprintf(file, "Examples\n\n");
        for (const char *const *e = command->examples; *e; e += 2)
            fprintf(file, "  %s\n    %s\n\n", e[0], e[1]);
    }
    fprintf(file, "Exit status\n\n");
    for (size_t i = 0; cli_exit_statuses[i][0]; i++)
        fprintf(file, "  %2s  %s\n", cli_exit_statuses[i][0], cli_exit_statuses[i][1]);
}

void cli_help_all(FILE *file, const cli_command *const *commands, size_t count)
{
    fprintf(file, "Usage: batchcam COMMAND [options] ...\n\n");
    wrap(file, cli_about, 0, 0);
    fprintf(file, "\nCommands:\n");
    for (size_t i = 0; i < count; i++)
        fprintf(file, "  %-10s %s\n", commands[i]->name, commands[i]->brief);
    fprintf(file, "\n'batchcam COMMAND -h' lists a command's options, 'batchcam COMMAND --help' explains them.\n");
}
