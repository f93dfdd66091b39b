#include "weft/api/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "weft/api/metrics.h"
#include "weft/api/replica.h"
#include "weft/api/request.h"
#include "weft/api/routes.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"

#define BEHIND_MAX_MS 5000

static void respond_text(struct request *request, int status, const char *text)
{
    request_respond_bytes(request, status, "text/plain; charset=utf-8", strdup(text), strlen(text));
}

static void metrics(struct request *request)
{
    struct buffer buffer = {0};
    char *bytes;
    size_t size;

    if (metrics_write(request->api, &buffer) < 0) {
        buffer_clear(&buffer);
        request_fail(request, HTTP_UNAVAILABLE, NULL, "out of memory");
        return;
    }
    size = buffer.size;
    bytes = TAKE_PTR(buffer.data);
    request_respond_bytes(request, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", bytes, size);
}

/* Alive: the loop turns. */
static void healthz(struct request *request)
{
    respond_text(request, HTTP_OK, "ok\n");
}

/* Ready: reads are answered from what the store has, give or take some seconds. */
static void readyz(struct request *request)
{
    static uint64_t target, since_ms; /* A revision that was not reached when somebody asked, and when that was. */
    uint64_t revision = replica_revision(request->api->replica), now_ms = clock_monotonic_ms();

    if (revision >= target) {
        target = store_revision(request->api->store);
        since_ms = now_ms;
    }
    if (revision >= target || now_ms - since_ms < BEHIND_MAX_MS)
        respond_text(request, HTTP_OK, "ready\n");
    else
        respond_text(request, HTTP_UNAVAILABLE, "the replica does not follow the store\n");
}

static const struct route routes[] = {
    {"GET", "/metrics", POLICY_METRICS, metrics},
    {"GET", "/healthz", POLICY_HEALTH, healthz},
    {"GET", "/readyz", POLICY_HEALTH, readyz},
};

int health_register(struct api *api)
{
    return routes_add(api->routes, routes, ARRAY_SIZE(routes));
}

void notify_service_manager(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
        perror("NOTIFY_SOCKET");
    close(fd);
}
