/* main.c - batchcam, the command, as a process: its locale at the start, and whether all that it wrote arrived at the end. */
#include <locale.h>
#include <stdio.h>

#include "commands.h"
#include "message.h"

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* what the terminal can show; numbers keep their decimal point */
    int status = cli_dispatch(argc, argv);
    if ((fflush(stdout) || ferror(stdout)) && status == CLI_DONE) {
        cli_message("could not write to standard output");
        status = CLI_FAILED;
    }
    return status;
}
