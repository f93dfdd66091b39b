#include "weft/cli/agent-socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "weft/base/buffer.h"
#include "weft/base/cleanup.h"
#include "weft/base/util.h"
#include "weft/cli/session.h"

#define WAIT_S 10
#define MAX_ANSWER (16u << 20)

static int open_socket(const char *path, int *ret_fd, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = WAIT_S};
    _cleanup_(closep) int fd = -1;

    if (string_copy(address.sun_path, sizeof address.sun_path, path) < 0)
        return error_set(error, -EINVAL, "agent-socket", "agent-socket: '%s' is too long for a socket's path", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return error_set(error, errno == EACCES ? -EACCES : -ECONNREFUSED, "agent-socket", "no agent answers at '%s': %s",
                         path, strerror(errno));
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static int read_line(int fd, struct buffer *line)
{
    char part[4096];

    for (;;) {
        ssize_t n = recv(fd, part, sizeof part, 0);
        char *end;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        if (n == 0)
            return line->size ? 0 : -ECONNRESET;
        end = memchr(part, '\n', (size_t)n);
        if (buffer_append(line, part, end ? (size_t)(end - part) : (size_t)n) < 0 || line->size > MAX_ANSWER)
            return -ENOMEM;
        if (end)
            return 0;
    }
}

int agent_ask(const char *path, const json_t *request, json_t **ret_answer, struct error *error)
{
    _cleanup_(freep) char *text = json_dumps(request, JSON_COMPACT);
    _cleanup_(buffer_clear) struct buffer line = {0};
    _cleanup_(json_decrefp) json_t *answer = NULL;
    _cleanup_(closep) int fd = -1;
    const char *refusal;
    int r;

    if (!text)
        return -ENOMEM;
    r = open_socket(path, &fd, error);
    if (r < 0)
        return r;
    r = send_all(fd, text, strlen(text));
    if (r >= 0)
        r = send_all(fd, "\n", 1);
    if (r >= 0)
        r = read_line(fd, &line);
    if (r < 0)
        return error_set(error, r, "agent-socket", "the agent at '%s' did not answer: %s", path, strerror(-r));
    answer = buffer_string(&line) ? json_loads(line.data, 0, NULL) : NULL;
    if (!answer)
        return error_set(error, -EREMOTEIO, "agent-socket", "the agent at '%s' answered what is not JSON", path);
    refusal = json_string_value(json_object_get(answer, "error"));
    if (refusal)
        return error_set(error, -EINVAL, NULL, "%s", refusal);
    *ret_answer = TAKE_PTR(answer);
    return 0;
}
