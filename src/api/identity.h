/* Identity v3 (Keystone's API), built in: one domain, projects, users, roles, assignments, tokens, the catalogue.
 *
 *     identity.c            what the store holds, in memory; who a token is
 *     identity-tokens.c     /auth/...
 *     identity-failures.c   how many wrong passwords lately
 *     identity-resources.c  /domains, /projects, /users, /roles, /services, /endpoints
 *     identity-roles.c      /projects/{p}/users/{u}/roles/{r}, /role_assignments
 *     identity-bootstrap.c  the first start
 *
 * Passwords are argon2id hashes; a token is 32 random bytes of which only a hash is stored.  What a token may do is looked up
 * when it is used, so that taking a role away, disabling a user or changing a password works at once. */
#ifndef WEFT_API_IDENTITY_H
#define WEFT_API_IDENTITY_H

#include <stdint.h>

#include "weft/api/api.h"
#include "weft/api/password.h"
#include "weft/api/request.h"

struct identity;

struct identity_options {
    struct password_cost cost;
    uint64_t token_seconds;     /* How long a token lives. */
    const char *bootstrap_file; /* Its first line is the administrator's first password; NULL generates one. */
};

/* Registers its routes and follows its keys; before replica_start. */
int identity_new(struct api *api, const struct identity_options *options, struct identity **ret_identity);
void identity_free(struct identity *identity);  /* Before the loop's last run. */
DEFINE_CLEANUP(struct identity *, identity_free);

/* After replica_start: in an empty store creates the domain, the roles, the project and the user 'admin'.  A generated password is
 * printed once on standard output.  Returns 0, or an error that names the file. */
int identity_bootstrap(struct identity *identity, struct error *error);

/* Who 'token' (the value of X-Auth-Token, may be NULL) is.  0 or -EACCES with '*error'.  With --no-auth: the administrator. */
int identity_authenticate(struct identity *identity, const char *token, struct auth_context *auth, struct error *error);

/* Whether there is such a project: "" and unknown ids are not. */
bool identity_project_exists(const struct identity *identity, const char *project_id);

struct identity_counters {
    size_t n_tokens;
    uint64_t n_logins, n_failed_logins;
};
struct identity_counters identity_counters(const struct identity *identity);

#endif
