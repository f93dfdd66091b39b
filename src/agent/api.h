/* The agent's side of docs/agent-protocol.md: joins, keeps one watch stream open to one of several API servers, sends
 * reports and answers.  One libuv loop; nothing blocks. */
#ifndef WEFT_AGENT_API_H
#define WEFT_AGENT_API_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "weft/base/error.h"

struct api;

struct api_options {
    const char *urls;            /* "http://a:9696,http://b:9696" */
    const char *host;
    const char *credential_path; /* Kept there between starts. */
    const char *join_token_path; /* NULL: none; needed while there is no credential. */
    const char *ca_path;         /* NULL: the system's certificates. */
};

struct api_events {
    /* The body of a join and the digest of a watch, asked for when needed: new references. */
    json_t *(*join_facts)(void *context);
    json_t *(*digest)(void *context);
    /* A line of the stream, without its newline.  A negative return makes the client connect anew. */
    int (*line)(const char *line, size_t size, void *context);
    /* The watch stream began or ended. */
    void (*connected)(bool connected, void *context);
    void *context;
};

int api_new(uv_loop_t *loop, const struct api_options *options, const struct api_events *events, struct api **ret_api,
            struct error *error);
void api_free(struct api *api);

/* Sends a request with a JSON body ('body' is consumed); 'done' (may be NULL) gets the HTTP status, or 0 when no server
 * answered.  Paths are below the API's URL. */
void api_send(struct api *api, const char *method, const char *path, json_t *body, void (*done)(int status, void *context),
              void *context);

bool api_is_connected(const struct api *api);
/* The address of the server of the present or last watch stream; zero before the first. */
struct ip_address;
void api_server_address(const struct api *api, struct ip_address *ret);
const char *api_url(const struct api *api);        /* The server in use or tried at present. */
const char *api_last_failure(const struct api *api); /* Why there is no connection; empty while there is one. */

/* The address this host has towards the API, for a tunnel address that nobody configured.  0 or -errno. */
int api_local_address(const char *urls, struct ip_address *ret);

#endif
