/* A number in a file of this host.  Read at once: a local file does not keep the loop waiting. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weft/health/probe-state.h"

#define TEXT_SIZE 64

/* Nothing but blanks is 0, as is a file that is not there.  0, -EINVAL or what the system says. */
static int read_value(const char *path, char text[TEXT_SIZE], int64_t *ret)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    ssize_t size;
    char *end;

    *ret = 0;
    *text = '\0';
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    size = fstat(fd, &status) < 0 ? -1 : S_ISREG(status.st_mode) ? read(fd, text, TEXT_SIZE - 1) : 0;
    if (size < 0) {
        int error = errno;

        close(fd);
        return -error;
    }
    close(fd);
    text[size] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    *ret = strtoll(text, &end, 10);
    return end[strspn(end, " \t\r")] || *ret < INT32_MIN || *ret > -(int64_t)INT32_MIN ? -EINVAL : 0;
}

static void start(struct health_probe *probe)
{
    const struct health_file *file = &probe->asked->file;
    char text[TEXT_SIZE];
    int64_t value, change;
    int r = read_value(file->path, text, &value);

    if (r == -EINVAL) {
        probe_finish(probe, false, "'%s' is not a number from -2147483648 to 2147483648", text);
        return;
    }
    if (r < 0) {
        probe_fail_errno(probe, -r, "cannot read the file");
        return;
    }
    change = value * file->weight * (file->reverse ? -1 : 1);
    probe->result.weight_change = change;
    probe_finish(probe, file->weight ? change > INT32_MIN : (value != 0) == file->reverse, "it has %" PRId64, value);
}

const struct probe_kind probe_file = {.start = start};
