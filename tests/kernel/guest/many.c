/* LD_PRELOAD for a program that is to be run hundreds of times on an emulated machine, where linking it takes nearly all the time: it is linked
 * once, and each run is a fork of it that begins at its main().
 *
 * Standard input: for each run its arguments, each with a newline behind it, a NUL, what it is to read, a NUL.  Standard output: for each run what it
 * wrote to standard output, a NUL, to standard error, a NUL, its exit status in decimal, a NUL. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX 64

typedef int main_function(int argc, char **argv, char **environment);
typedef int start_function(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

static main_function *program;

static int split(char *text, char *name, char **arguments)
{
    int n = 0;

    arguments[n++] = name;
    for (char *end; n < ARGUMENTS_MAX && (end = strchr(text, '\n')); text = end + 1) {
        *end = '\0';
        arguments[n++] = text;
    }
    arguments[n] = NULL;
    return n;
}

static int file_with(const char *text)
{
    int fd = memfd_create("many", 0);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || lseek(fd, 0, SEEK_SET) < 0)
        abort();
    return fd;
}

static void pass_on(int fd)
{
    char part[4096];
    ssize_t size;

    for (off_t offset = 0; (size = pread(fd, part, sizeof(part), offset)) > 0; offset += size)
        fwrite(part, 1, (size_t)size, stdout);
    putchar('\0');
    close(fd);
}

static int run_each(int argc, char **argv, char **environment)
{
    char *text = NULL, *typed = NULL, *arguments[ARGUMENTS_MAX + 1];
    size_t text_room = 0, typed_room = 0;
    int status;

    (void)argc;
    while (getdelim(&text, &text_room, '\0', stdin) > 0 && getdelim(&typed, &typed_room, '\0', stdin) > 0) {
        int fds[] = {file_with(typed), file_with(""), file_with("")}, n = split(text, argv[0], arguments);

        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            fclose(stdin); /* With what it has read ahead. */
            for (int i = 0; i < 3; i++)
                if (dup2(fds[i], i) < 0)
                    abort();
            stdin = fdopen(0, "r");
            exit(program(n, arguments, environment));
        }
        if (child < 0 || waitpid(child, &status, 0) != child)
            abort();
        close(fds[0]);
        pass_on(fds[1]);
        pass_on(fds[2]);
        printf("%d", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        putchar('\0');
    }
    return 0;
}

int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    start_function *start = (start_function *)dlsym(RTLD_NEXT, "__libc_start_main");

    program = main;
    unsetenv("LD_PRELOAD");
    return start(run_each, argc, argv, init, fini, rtld_fini, stack_end);
}
