/* What a request of weft-api has beyond any other (weft/http/request.h): the program, who asks, and the store.
 *
 * Before a handler runs, the replica has reached the store's revision (a read sees every write acknowledged before it, on any
 * server), and the credential has been checked against the route's policy.  A handler may also end by request_commit, whose
 * 'done' then ends it, or by request_retry. */
#ifndef WEFT_API_REQUEST_H
#define WEFT_API_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "weft/api/lines.h"
#include "weft/api/replica.h"
#include "weft/http/request.h"
#include "weft/store/store.h"

struct api;

#define REQUEST_MAX_RETRIES 16

/* Which credential a route wants: the 'policy' of a struct route.  What is missing: 401; what does not suffice: 403. */
enum policy {
    POLICY_PUBLIC,  /* None; one that is sent is not looked at. */
    POLICY_TOKEN,   /* A valid token, also one without a project. */
    POLICY_PROJECT, /* A token scoped to a project, any role (reader suffices). */
    POLICY_WRITE,   /* A token scoped to a project, role member or admin. */
    POLICY_ADMIN,   /* Role admin. */
    POLICY_HOST,    /* "Authorization: Bearer", the credential of the host named by the pattern's {name}. */
};

enum role { ROLE_READER = 1, ROLE_MEMBER = 2, ROLE_ADMIN = 4 };

/* Who asks. */
struct auth_context {
    char user_id[64];
    char project_id[64];  /* Empty for a token without a project. */
    char host_id[37];     /* Of the agent, with POLICY_HOST. */
    uint32_t roles;       /* Bits of enum role, in the token's project. */
    bool is_admin;        /* Sees and changes what belongs to other projects. */
    void *token;          /* identity's own. */
};

/* What request->own is. */
struct api_request {
    struct auth_context auth;
    struct request *request;
    struct replica_wait barrier;
    struct line_member line;
    unsigned n_retries;
    void (*committed)(struct request *request, const struct store_result *result);
};

static inline struct api *request_api(const struct request *request)
{
    return request->context;
}

static inline struct auth_context *request_auth(const struct request *request)
{
    return &((struct api_request *)request->own)->auth;
}

/* Commits 'transaction' (taken over) and calls 'done' on the loop when the outcome is durable and, on success, the
 * replica has it: what 'done' looks up in the replica is the new state.  result->status: see store.h. */
void request_commit(struct request *request, struct store_transaction *transaction,
                    void (*done)(struct request *request, const struct store_result *result));

/* Runs the route's handler again once the replica has caught up: the answer to -EAGAIN, when a comparison failed because
 * somebody else was quicker.  After REQUEST_MAX_RETRIES it answers 503 instead. */
void request_retry(struct request *request);

#endif
