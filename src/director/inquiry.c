/* See inquiry.h. */
#include "weft/director/inquiry.h"

#include <stdlib.h>

#include "weft/director/runtime-state.h"

#define RESTARTS_MAX 3 /* Where the configuration changes all the time, the rest is gathered at once. */

struct inquiry *inquiry_new(const struct director *director, const struct inquiry_kind *kind, const struct virtual_service *only)
{
    struct inquiry *inquiry = calloc(1, sizeof(*inquiry));

    if (!inquiry)
        return NULL;
    inquiry->kind = kind;
    inquiry->config_number = director->config_number;
    if (only) {
        inquiry->has_only = true;
        inquiry->only = *only;
    }
    return inquiry;
}

static void clear(struct inquiry *inquiry)
{
    director_state_clear(&inquiry->state);
    director_connections_clear(&inquiry->connections);
    for (size_t i = 0; i < inquiry->n_rows; i++)
        free(inquiry->rows[i].of_servers);
    free(inquiry->rows);
    inquiry->rows = NULL;
    inquiry->n_rows = 0;
    inquiry->service = inquiry->server = 0;
    inquiry->is_within = false;
}

void inquiry_free(struct inquiry *inquiry)
{
    if (!inquiry)
        return;
    clear(inquiry);
    free(inquiry);
}

const struct virtual_service *inquiry_service(const struct director *director, struct inquiry *inquiry)
{
    const struct director_config *config = director->applied ? director->config : NULL;

    for (; config && inquiry->service < config->n_services; inquiry->service++)
        if (!inquiry->has_only || virtual_service_same_key(&inquiry->only, &config->services[inquiry->service]))
            return &config->services[inquiry->service];
    return NULL;
}

void inquiry_next(struct inquiry *inquiry)
{
    inquiry->service++;
    inquiry->server = 0;
    inquiry->is_within = false;
}

int inquiry_gather(struct director *director, struct inquiry *inquiry)
{
    int result;

    if (inquiry->kind->is_of_config && inquiry->config_number != director->config_number) {
        clear(inquiry);
        inquiry->config_number = director->config_number;
        inquiry->n_restarts++;
    }
    do
        result = inquiry->kind->gather(director, inquiry);
    while (result > 0 && inquiry->n_restarts >= RESTARTS_MAX);
    return result;
}

char *inquiry_text(const struct inquiry *inquiry)
{
    json_t *json = inquiry->kind->encode(inquiry);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    return text;
}
