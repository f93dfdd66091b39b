#include "weft/agent/log-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weft/base/buffer.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

struct log_file {
    uv_loop_t *loop;
    uv_work_t work;
    char *path;
    bool is_working;          /* 'work' is under way: 'fd', 'writing' and what it says are the thread's. */
    bool is_stopped;
    bool wants_reopen;
    struct buffer waiting;
    uint64_t n_lost_unsaid;
    struct log_file_counters counters;

    int fd;                   /* -1: not open. */
    bool closes_first;
    struct buffer writing;
    size_t n_done;            /* Bytes of it that are in the file: whole lines. */
    int error;                /* 0, or why no more. */
};

static uint64_t count_lines(const char *text, size_t size)
{
    uint64_t n = 0;

    for (size_t i = 0; i < size; i++)
        n += text[i] == '\n';
    return n;
}

/* ---- in the thread -------------------------------------------------------------------------------------------------------- */

static int make_folder_of(const char *path)
{
    char folder[512];

    if (string_copy(folder, sizeof(folder), path) < 0 || !strrchr(folder, '/'))
        return -ENAMETOOLONG;
    *strrchr(folder, '/') = 0;
    return folder[0] && mkdir(folder, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int open_file(struct log_file *file)
{
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    int r;

    file->fd = open(file->path, flags, 0640);
    if (file->fd >= 0 || errno != ENOENT)
        return file->fd < 0 ? -errno : 0;
    if ((r = make_folder_of(file->path)) < 0)
        return r;
    file->fd = open(file->path, flags, 0640);
    return file->fd < 0 ? -errno : 0;
}

static void close_file(struct log_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

/* A disk that is full may take the half of a line: it is taken back, so that the file holds nothing but lines. */
static void take_back_half_line(struct log_file *file)
{
    size_t whole = file->n_done;
    off_t end;

    while (whole > 0 && file->writing.data[whole - 1] != '\n')
        whole--;
    end = lseek(file->fd, 0, SEEK_END);
    if (whole < file->n_done && (end < (off_t)(file->n_done - whole) || ftruncate(file->fd, end - (off_t)(file->n_done - whole)) < 0))
        return;
    file->n_done = whole;
}

static void write_all(struct log_file *file)
{
    file->error = 0;
    file->n_done = 0;
    if (file->closes_first)
        close_file(file);
    if (file->writing.size && file->fd < 0 && (file->error = open_file(file)) < 0)
        return;
    while (file->n_done < file->writing.size) {
        ssize_t size = write(file->fd, file->writing.data + file->n_done, file->writing.size - file->n_done);

        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0) {
            file->error = -errno;
            take_back_half_line(file);
            return;
        }
        file->n_done += (size_t)size;
    }
}

static void work(uv_work_t *request)
{
    write_all(request->data);
}

/* ---- in the loop ------------------------------------------------------------------------------------------------------------ */

static void account(struct log_file *file)
{
    uint64_t n_written = count_lines(file->writing.data, file->n_done);
    uint64_t n_lost = count_lines(file->writing.data + file->n_done, file->writing.size - file->n_done);

    file->counters.n_written += n_written;
    file->counters.n_lost += n_lost;
    file->n_lost_unsaid += n_lost;
    if (file->error < 0)
        log_warning("network log: %llu lines cannot be written to '%s': %s; lost so far: %llu", (unsigned long long)n_lost, file->path,
                    strerror(-file->error), (unsigned long long)file->counters.n_lost);
    file->writing.size = 0;
}

static void begin(struct log_file *file);

static void worked(uv_work_t *request, int status)
{
    struct log_file *file = request->data;

    file->is_working = false;
    account(file);
    begin(file);
}

static void take_waiting(struct log_file *file)
{
    struct buffer empty = file->writing;

    file->writing = file->waiting;
    file->waiting = empty;
    file->closes_first = file->wants_reopen;
    file->wants_reopen = false;
}

static void begin(struct log_file *file)
{
    if (file->is_working || file->is_stopped || (!file->waiting.size && !file->wants_reopen))
        return;
    take_waiting(file);
    file->is_working = true;
    file->work.data = file;
    if (uv_queue_work(file->loop, &file->work, work, worked) < 0) {
        file->is_working = false;
        file->n_done = 0;
        file->error = -EAGAIN;
        account(file);
    }
}

int log_file_new(uv_loop_t *loop, const char *path, struct log_file **ret)
{
    struct log_file *file = calloc(1, sizeof(*file));

    if (!file || !(file->path = strdup(path))) {
        free(file);
        return -ENOMEM;
    }
    file->loop = loop;
    file->fd = -1;
    *ret = file;
    return 0;
}

bool log_file_append(struct log_file *file, const char *line, size_t size)
{
    if (file->waiting.size + size > LOG_FILE_MAX_WAITING || buffer_append(&file->waiting, line, size) < 0) {
        file->counters.n_lost++;
        file->n_lost_unsaid++;
        return false;
    }
    begin(file);
    return true;
}

void log_file_reopen(struct log_file *file)
{
    file->wants_reopen = true;
    begin(file);
}

const struct log_file_counters *log_file_counters(const struct log_file *file)
{
    return &file->counters;
}

uint64_t log_file_take_lost(struct log_file *file)
{
    uint64_t n = file->n_lost_unsaid;

    if (file->is_working || file->error < 0)
        return 0;
    file->n_lost_unsaid = 0;
    return n;
}

void log_file_stop(struct log_file *file)
{
    if (file)
        file->is_stopped = true;
}

void log_file_free(struct log_file *file)
{
    if (!file)
        return;
    if (!file->is_working && file->waiting.size) {
        take_waiting(file);
        write_all(file);
        account(file);
    }
    close_file(file);
    buffer_clear(&file->waiting);
    buffer_clear(&file->writing);
    free(file->path);
    free(file);
}
