#include "weft/cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static bool echo;

void process_set_echo(bool on)
{
    echo = on;
}

/* Output goes to files in memory, so that neither stream can block the other. */
static int read_back(int fd, struct buffer *buffer)
{
    struct stat status;
    off_t at = 0;

    if (fstat(fd, &status) < 0 || buffer_reserve(buffer, (size_t)status.st_size + 1) < 0)
        return -ENOMEM;
    while (at < status.st_size) {
        ssize_t n = pread(fd, buffer->data + buffer->size, (size_t)(status.st_size - at), at);

        if (n <= 0)
            break;
        buffer->size += (size_t)n;
        at += n;
    }
    return 0;
}

static int spawn(const char *const argv[], int out, int complaints, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    int r;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, complaints, 2);
    r = posix_spawnp(ret_pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static void show(const char *const argv[])
{
    fputc('+', stderr);
    for (; *argv; argv++)
        fprintf(stderr, " %s", *argv);
    fputc('\n', stderr);
}

static int failure(const char *const argv[], int complaints, struct error *error)
{
    _cleanup_(buffer_clear) struct buffer text = {0}, line = {0};
    const char *said = read_back(complaints, &text) == 0 ? buffer_string(&text) : NULL;

    for (size_t i = 0; argv[i]; i++)
        buffer_printf(&line, "%s%s", i ? " " : "", argv[i]);
    return error_set(error, -EIO, argv[0], "'%s' failed: %.*s", buffer_string(&line) ? line.data : argv[0],
                     said ? (int)strcspn(said, "\n") : 0, said ? said : "");
}

int process_run(const char *const argv[], struct buffer *output, struct error *error)
{
    _cleanup_(closep) int out = memfd_create("output", MFD_CLOEXEC), complaints = memfd_create("errors", MFD_CLOEXEC);
    int r, status;
    pid_t pid;

    if (out < 0 || complaints < 0)
        return -errno;
    if (echo)
        show(argv);
    r = spawn(argv, out, complaints, &pid);
    if (r < 0)
        return error_set(error, r, argv[0], "'%s' cannot be run: %s", argv[0], strerror(-r));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return failure(argv, complaints, error);
    return output ? read_back(out, output) : 0;
}
