/* Requests to the API, as the user of the settings.
 *
 * The token comes from OS_TOKEN, else from the session's cache (token-cache.h), else from Identity v3 with name and
 * password; one refused with 401 that came from the cache is replaced once.  Nothing is sent before the first request.
 * weft-fabric has nothing to do with Identity: it is asked at its own URL, with its own token where it wants one. */
#ifndef WEFT_CLI_SESSION_H
#define WEFT_CLI_SESSION_H

#include <jansson.h>

#include "weft/base/cleanup.h"
#include "weft/base/error.h"
#include "weft/cli/settings.h"

enum service {
    SERVICE_NETWORK,  /* <endpoint>/v2.0 */
    SERVICE_IDENTITY, /* <auth url>/v3 */
    SERVICE_WEFT,     /* <endpoint>/weft/v1 */
    SERVICE_LOAD_BALANCER, /* <endpoint>/load-balancer/v2.0/lbaas */
    SERVICE_FABRIC,   /* <fabric url>/fabric/v1 */
};

struct session;

/* Takes over 'settings'.  With 'debug', each request and answer is shown on standard error, secrets left out. */
int session_new(struct settings_values *settings, bool debug, struct session **ret);
void session_free(struct session *session);
DEFINE_CLEANUP(struct session *, session_free);

/* 'path' begins with "/" and is escaped already (session_escape); 'body' (borrowed) may be NULL.
 * '*ret_answer' (owned by the caller; 'ret_answer' may be NULL) is NULL when the answer has no body.
 * Returns 0; -ECONNREFUSED when nobody answers, -EACCES for 401 and 403, -ENOENT for 404, -EEXIST for 409, -EINVAL for
 * other 4xx and -EREMOTEIO for 5xx or an answer that cannot be understood; '*error' has the server's own words. */
int session_request(struct session *session, enum service service, const char *method, const char *path,
                    const json_t *body, json_t **ret_answer, struct error *error);

/* As session_request with a header ("If-Match: ...") besides, and another timeout (0: 60 s). */
int session_request_with(struct session *session, enum service service, const char *method, const char *path,
                         const json_t *body, const char *header, long timeout_ms, json_t **ret_answer,
                         struct error *error);

/* The token in use, after authenticating if need be. */
int session_token(struct session *session, const char **ret_token, struct error *error);

/* Path of the local agent's socket. */
const char *session_agent_socket(const struct session *session);

/* 'text' for a path segment or a query value; owned by the caller, NULL when out of memory. */
char *session_escape(struct session *session, const char *text);

/* A link the API gave for the next page, as a path of 'service'; NULL when it is not one. */
const char *session_path_of_link(struct session *session, enum service service, const char *link);

#endif
