/* Who waits for what costs hosts much.  See hosts-state.h. */
#include <stdlib.h>
#include <string.h>

#include "weft/api/hosts-state.h"
#include "weft/base/util.h"

#define MAX_REQUESTS 8  /* Of a project at a time, */
#define MAX_HOSTS_ASKED 512 /* and hosts that these have to ask, over all; a single request may be larger. */

struct asker {
    struct hashmap_node node;
    char project_id[64];
    size_t n_requests, n_hosts;
};

static struct asker *find(struct hosts *hosts, const char *project_id)
{
    struct hashmap_node *node = hashmap_find(&hosts->askers, project_id, strlen(project_id));

    return node ? CONTAINER_OF(node, struct asker, node) : NULL;
}

static struct asker *add(struct hosts *hosts, const char *project_id)
{
    struct asker *asker = calloc(1, sizeof(*asker));

    if (!asker)
        return NULL;
    string_copy(asker->project_id, sizeof(asker->project_id), project_id);
    if (hashmap_insert(&hosts->askers, &asker->node, asker->project_id, strlen(asker->project_id)) == 0)
        return asker;
    free(asker);
    return NULL;
}

bool askers_enter(struct request *request, size_t n_hosts)
{
    struct hosts *hosts = request_api(request)->hosts;
    const struct auth_context *auth = request_auth(request);
    struct asker *asker;

    if (auth->is_admin)
        return true;
    asker = find(hosts, auth->project_id);
    if (asker && (asker->n_requests >= MAX_REQUESTS || asker->n_hosts + n_hosts > MAX_HOSTS_ASKED)) {
        request_fail(request, HTTP_TOO_MANY_REQUESTS, "TooManyQuestions", "The project waits for %zu answers about connections already.",
                     asker->n_requests);
        return false;
    }
    if (!asker && !(asker = add(hosts, auth->project_id))) {
        request_fail(request, HTTP_UNAVAILABLE, NULL, "out of memory");
        return false;
    }
    asker->n_requests++;
    asker->n_hosts += n_hosts;
    return true;
}

void askers_leave(struct request *request, size_t n_hosts)
{
    struct hosts *hosts = request_api(request)->hosts;
    struct asker *asker = request_auth(request)->is_admin ? NULL : find(hosts, request_auth(request)->project_id);

    if (!asker)
        return;
    asker->n_hosts -= n_hosts;
    if (--asker->n_requests > 0)
        return;
    hashmap_remove(&hosts->askers, &asker->node);
    free(asker);
}
