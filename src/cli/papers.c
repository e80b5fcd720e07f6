/* papers.c - the manual page (roff) and the completion script (bash), from the same tables as the help. */
#include <string.h>

#include "help.h"
#include "papers.h"

/* ---- manual page ---- */

/* Text to roff: a hyphen is a minus to copy, a backslash is itself, a line never begins with a request. Lines that begin with a space are
 * kept as they are. */
static void roff(FILE *file, const char *text)
{
    bool start = true, kept = false;
    for (const char *p = text; *p; p++) {
        if (start && *p == ' ' && !kept) {
            fputs(".nf\n", file);
            kept = true;
        } else if (start && *p != ' ' && kept) {
            fputs(".fi\n", file);
            kept = false;
        }
        if (start && *p == '\n')
            fputs(".PP", file);
        else if (start && (*p == '.' || *p == '\''))
            fputs("\\&", file);
        if (*p == '-')
            fputs("\\-", file);
        else if (*p == '\\')
            fputs("\\e", file);
        else
            putc(*p, file);
        start = *p == '\n';
    }
    putc('\n', file);
    if (kept)
        fputs(".fi\n", file);
}

static void man_option(FILE *file, const cli_option *option)
{
    fputs(".TP\n", file);
    if (option->letter)
        fprintf(file, "\\fB\\-%c\\fR%s", option->letter, option->name ? ", " : "");
    if (option->name) {
        fputs("\\fB\\-\\-", file);
        for (const char *p = option->name; *p; p++)
            fprintf(file, *p == '-' ? "\\-" : "%c", *p);
        fputs("\\fR", file);
    }
    if (option->argument)
        fprintf(file, " \\fI%s\\fR", option->argument);
    putc('\n', file);
    char text[2048];
    snprintf(text, sizeof text, "%s.%s%s%s%s%s", option->brief, option->teach ? " " : "",
             option->teach ? option->teach : "", option->fallback ? "\nDefault: " : "",
             option->fallback ? option->fallback : "", option->fallback ? "." : "");
    roff(file, text);
}

static void man_command(FILE *file, const cli_command *command)
{
    fprintf(file, ".SS batchcam %s\n", command->name);
    roff(file, command->brief);
    fputs(".PP\n", file);
    roff(file, command->teach);
    for (size_t i = 0; i < command->option_count; i++)
        man_option(file, &command->options[i]);
    for (size_t i = 0; i < CLI_COUNT(cli_common_options); i++)
        man_option(file, &cli_common_options[i]);
}

void cli_help_man(FILE *file, const cli_command *const *commands, size_t count)
{
    fprintf(
        file,
        ".TH BATCHCAM 1 \"\" \"batchcam %s\" \"User Commands\"\n.SH NAME\nbatchcam \\- explain every photo of a data set\n",
        bcam_version());
    fputs(".SH SYNOPSIS\n.nf\n", file);
    for (size_t i = 0; i < count; i++) {
        fprintf(file, "\\fBbatchcam %s\\fR%s ", commands[i]->name, commands[i]->option_count ? " [options]" : "");
        roff(file, commands[i]->usage);
    }
    fputs(".fi\n.SH DESCRIPTION\n", file);
    roff(file, cli_about);
    fputs(".SH COMMANDS\n", file);
    for (size_t i = 0; i < count; i++)
        man_command(file, commands[i]);
    fputs(".SH EXIT STATUS\n", file);
    for (size_t i = 0; cli_exit_statuses[i][0]; i++) {
        fprintf(file, ".TP\n.B %s\n", cli_exit_statuses[i][0]);
        roff(file, cli_exit_statuses[i][1]);
    }
    fputs(".SH EXAMPLES\n", file);
    for (size_t i = 0; i < count; i++)
        for (const char *const *e = commands[i]->examples; e && *e; e += 2) {
            fputs(".TP\n", file);
            roff(file, e[0]);
            fputs(".nf\n", file);
            roff(file, e[1]);
            fputs(".fi\n", file);
        }
}

/* ---- completion ---- */

static void bash_values(FILE *file, const cli_command *command)
{
    for (size_t i = 0; i < command->option_count; i++) {
        const cli_option *option = &command->options[i];
        if (!option->argument)
            continue;
        fprintf(file, "        %s/--%s", command->name, option->name);
        if (option->letter)
            fprintf(file, "|%s/-%c", command->name, option->letter);
        if (option->choices)
            fprintf(file, ") words=\"%s\" ;;\n", option->choices);
        else if (!strcmp(option->argument, "DIR"))
            fputs(") COMPREPLY=($(compgen -d -- \"$now\")); return ;;\n", file);
        else if (!strcmp(option->argument, "FILE"))
            fputs(") COMPREPLY=($(compgen -f -- \"$now\")); return ;;\n", file);
        else
            fputs(") return ;;\n", file);
    }
}

static void bash_names(FILE *file, const cli_command *command)
{
    fprintf(file, "        %s) words=\"-h --help", command->name);
    for (size_t i = 0; i < command->option_count; i++)
        fprintf(file, " --%s", command->options[i].name);
    fputs("\" ;;\n", file);
}

void cli_help_bash(FILE *file, const cli_command *const *commands, size_t count)
{
    fputs("# Completion of batchcam for bash, written by `batchcam help --bash`.\n"
          "_batchcam()\n{\n"
          "    local now=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words=\n"
          "    local IFS=$'\\n' # names of files may have spaces\n"
          "    compopt -o filenames 2>/dev/null\n"
          "    case $command/$last in\n",
          file);
    for (size_t i = 0; i < count; i++)
        bash_values(file, commands[i]);
    fputs("        help/help) words=\"", file);
    for (size_t i = 0; i < count; i++)
        fprintf(file, "%s ", commands[i]->name);
    fputs("--man --bash\" ;;\n    esac\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words=\"",
          file);
    for (size_t i = 0; i < count; i++)
        fprintf(file, "%s ", commands[i]->name);
    fputs("--help --version\"\n"
          "    elif [ -z \"$words\" ] && [[ $now == -* ]]; then\n        case $command in\n",
          file);
    for (size_t i = 0; i < count; i++) {
        fputs("    ", file);
        bash_names(file, commands[i]);
    }
    fputs("        esac\n    fi\n"
          "    if [ -n \"$words\" ]; then\n        COMPREPLY=($(compgen -W \"${words// /$'\\n'}\" -- \"$now\"))\n"
          "    else\n        COMPREPLY=($(compgen -f -- \"$now\"))\n    fi\n}\n"
          "complete -F _batchcam batchcam\n",
          file);
}
