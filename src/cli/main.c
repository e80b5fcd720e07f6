/* main.c - batchcam, the command, as a process: its locale at the start, and whether all that it wrote arrived at the end. */
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <unistd.h>

#include "commands.h"
#include "message.h"

/* Where one of the three was closed, the next file that is opened would get its place, and messages would be written into it. What takes the place
 * cannot be read or written, as if it were still closed. */
static void fill_closed(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return;
}

int main(int argc, char **argv)
{
    fill_closed();
    setlocale(LC_CTYPE, ""); /* what the terminal can show; numbers keep their decimal point */
    int status = cli_dispatch(argc, argv);
    if ((fflush(stdout) || ferror(stdout)) && status == CLI_DONE) {
        cli_message("could not write to standard output");
        status = CLI_FAILED;
    }
    return status;
}
