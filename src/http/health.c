#include "weft/http/health.h"

#include <stdio.h>
#include <stdlib.h>

#include "weft/base/util.h"
#include "weft/http/http.h"
#include "weft/http/prometheus.h"
#include "weft/http/request.h"

static void healthz(struct request *request)
{
    request_respond_text(request, HTTP_OK, "ok\n");
}

static void readyz(struct request *request)
{
    const char *reason = request->service->not_ready ? request->service->not_ready(request->context) : NULL;
    char text[200];

    if (!reason) {
        request_respond_text(request, HTTP_OK, "ready\n");
        return;
    }
    snprintf(text, sizeof(text), "%s\n", reason);
    request_respond_text(request, HTTP_UNAVAILABLE, text);
}

static void metrics(struct request *request)
{
    struct buffer buffer = {0};

    if (request->service->write_metrics && request->service->write_metrics(request->context, &buffer) < 0) {
        buffer_clear(&buffer);
        request_fail(request, HTTP_UNAVAILABLE, NULL, "out of memory");
        return;
    }
    request_respond_bytes(request, HTTP_OK, PROMETHEUS_CONTENT_TYPE, buffer.data, buffer.size);
}

int health_add(struct routes *routes)
{
    static const struct route table[] = {
        {"GET", "/healthz", .handle = healthz, .skips_hooks = true},
        {"GET", "/readyz", .handle = readyz, .skips_hooks = true},
    };

    return routes_add(routes, table, ARRAY_SIZE(table));
}

int health_add_metrics(struct routes *routes)
{
    static const struct route table[] = {{"GET", "/metrics", .handle = metrics, .skips_hooks = true}};

    return routes_add(routes, table, ARRAY_SIZE(table));
}
