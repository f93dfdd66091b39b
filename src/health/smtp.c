/* A mail server's greeting, and its answer to HELO (RFC 5321, 3.1, 3.2 and 4.2). */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "weft/health/probe-state.h"

static void start(struct health_probe *probe)
{
    if (probe_socket(probe, SOCK_STREAM) == 0 && probe_connect(probe) == 0)
        probe_watch(probe, UV_WRITABLE);
}

static bool say(struct health_probe *probe, const char *text)
{
    /* So few bytes always fit into the socket's buffer. */
    return send(probe->fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* The last line of an answer: a code, and no '-' behind it. */
static void take_line(struct health_probe *probe, const char *line, size_t length)
{
    const char *expected = probe->smtp.has_greeted ? "250" : "220";
    char text[HEALTH_TEXT_MAX + 16];
    int shown = 0;

    if (length > 3 && line[3] == '-')
        return;
    if (length < 3 || strncmp(line, expected, 3) != 0) {
        while (shown < 40 && shown < (int)length && isprint((unsigned char)line[shown]))
            shown++;
        probe_finish(probe, false, "expected %s, got '%.*s'", expected, shown, line);
    } else if (probe->smtp.has_greeted) {
        say(probe, "QUIT\r\n"); /* Its answer is not waited for. */
        probe_finish(probe, true, "answered HELO");
    } else {
        probe->smtp.has_greeted = true;
        snprintf(text, sizeof(text), "HELO %s\r\n", probe->asked->smtp.name ? probe->asked->smtp.name : "localhost");
        if (!say(probe, text))
            probe_fail_errno(probe, ECONNRESET, NULL);
    }
}

static void take_lines(struct health_probe *probe)
{
    struct smtp_probe *smtp = &probe->smtp;
    char *end;

    while (!probe->is_over && (end = memchr(smtp->line, '\n', smtp->size))) {
        size_t size = (size_t)(end - smtp->line) + 1;

        take_line(probe, smtp->line, size - 1);
        smtp->size -= size;
        memmove(smtp->line, smtp->line + size, smtp->size);
    }
    if (!probe->is_over && smtp->size == sizeof(smtp->line))
        probe_finish(probe, false, "a line of more than %zu bytes", sizeof(smtp->line));
}

static void ready(struct health_probe *probe)
{
    struct smtp_probe *smtp = &probe->smtp;
    int error = probe_connect_error(probe);
    ssize_t size;

    if (error) {
        probe_fail_errno(probe, error, NULL);
        return;
    }
    probe_watch(probe, UV_READABLE);
    size = recv(probe->fd, smtp->line + smtp->size, sizeof(smtp->line) - smtp->size, 0);
    if (size < 0 && errno != EAGAIN && errno != EINTR)
        probe_fail_errno(probe, errno, NULL);
    else if (size == 0)
        probe_finish(probe, false, "connection closed without %s", smtp->has_greeted ? "an answer to HELO" : "a greeting");
    else if (size > 0) {
        smtp->size += (size_t)size;
        take_lines(probe);
    }
}

const struct probe_kind probe_smtp = {.start = start, .ready = ready};
