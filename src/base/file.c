#include "weft/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "weft/base/cleanup.h"
#include "weft/base/util.h"

/* A name is in its folder, which is synced apart from the file. */
static int sync_folder_of(const char *path)
{
    _cleanup_(closep) int fd = -1;
    char folder[PATH_MAX];
    char *slash;

    if (string_copy(folder, sizeof(folder), path) < 0)
        return -ENAMETOOLONG;
    slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int file_replace(int fd, const char *path, const char *target)
{
    if (fsync(fd) < 0 || rename(path, target) < 0)
        return -errno;
    return sync_folder_of(target);
}
