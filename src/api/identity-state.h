/* Inside identity-*.c only. */
#ifndef WEFT_API_IDENTITY_STATE_H
#define WEFT_API_IDENTITY_STATE_H

#include <jansson.h>

#include "weft/api/identity.h"
#include "weft/base/hashmap.h"

#define IDENTITY_ID_SIZE 64
#define TOKEN_TEXT_SIZE 44  /* 32 bytes in URL-safe base64, and the end. */
#define TOKEN_HASH_SIZE 32
#define MAX_RECORDS 100000  /* Of each kind. */
#define MAX_TOKENS_PER_USER 4096

enum record_kind { RECORD_DOMAIN, RECORD_PROJECT, RECORD_USER, RECORD_ROLE, RECORD_N_KINDS };

struct record_type {
    const char *name, *collection; /* "user", "users" */
    bool is_in_domain;             /* Names are unique in a domain; else everywhere. */
    size_t name_size;              /* Longest name in bytes. */
};
extern const struct record_type record_types[RECORD_N_KINDS];

/* A domain, project, user or role; what the API shows is 'json' without what begins with '_' ("_password", "_generation"). */
struct record {
    struct hashmap_node by_id, by_name;
    char id[IDENTITY_ID_SIZE];
    char *name_key; /* domain id, '/', name */
    json_t *json;
    uint64_t revision;
};

/* "scope/user/role" -> exists. */
struct assignment {
    struct hashmap_node node;
    char scope[IDENTITY_ID_SIZE], user[IDENTITY_ID_SIZE], role[IDENTITY_ID_SIZE];
    char key[];
};

struct token {
    struct hashmap_node node;
    uint8_t hash[TOKEN_HASH_SIZE];
    char user_id[IDENTITY_ID_SIZE], project_id[IDENTITY_ID_SIZE];
    int64_t issued_at_s, expires_at_s;
    uint64_t generation;     /* The user's when it was issued: a changed password ends it. */
    char audit_id[24];
    bool by_token;           /* Made from another token. */
    uint64_t epoch;          /* Of the identity state that 'roles' and 'is_valid' were computed from. */
    bool is_valid;
    uint32_t roles;
};

struct identity {
    struct api *api;
    struct identity_options options;
    struct hashmap records[RECORD_N_KINDS], names[RECORD_N_KINDS], assignments, tokens;
    uint64_t epoch;          /* Grows with each change that is not a token. */
    struct hashmap failures; /* Logins that failed lately, by user and address. */
    uv_timer_t sweep;
    struct identity_counters counters;
    struct route *routes;
};

struct record *record_find(const struct identity *identity, enum record_kind kind, const char *id);
struct record *record_find_name(const struct identity *identity, enum record_kind kind, const char *domain_id, const char *name);
const char *record_text(const struct record *record, const char *attribute); /* "" when it is not there. */
bool record_is_enabled(const struct record *record);
uint64_t user_generation(const struct record *user);

/* Role names of 'user' in 'scope' as bits. */
uint32_t assigned_roles(const struct identity *identity, const char *scope, const char *user_id);
bool assignment_exists(const struct identity *identity, const char *scope, const char *user_id, const char *role_id);

/* Whether the token counts now: not expired, user and project enabled, password not changed since. */
bool token_check(struct identity *identity, struct token *token);
struct token *token_find(struct identity *identity, const char *text);
void token_hash(const char *text, uint8_t hash[TOKEN_HASH_SIZE]);
void token_key(const uint8_t hash[TOKEN_HASH_SIZE], char key[100]);

/* Stores a record and, when it is new or renamed, its name. */
int record_put(struct store_transaction *transaction, enum record_kind kind, const char *id, json_t *json);
int record_claim_name(struct store_transaction *transaction, enum record_kind kind, const json_t *json);
int record_release_name(struct store_transaction *transaction, enum record_kind kind, const json_t *json);
void record_key(enum record_kind kind, const char *id, char key[160]);
int assignment_put(struct store_transaction *transaction, const char *scope, const char *user_id, const char *role_id);
int assignment_delete(struct store_transaction *transaction, const char *scope, const char *user_id, const char *role_id);

/* The record as the API shows it. */
json_t *record_show(struct request *request, enum record_kind kind, const struct record *record);

/* The shared ending of handlers that commit: -EAGAIN retries, a failure answers 503, success calls 'then'. */
bool commit_succeeded(struct request *request, const struct store_result *result);
int commit_failed_to_build(struct request *request, int code);

json_t *catalogue(struct request *request);

extern const struct route identity_token_routes[], identity_resource_routes[], identity_role_routes[];
extern const size_t n_identity_token_routes, n_identity_resource_routes, n_identity_role_routes;

/* identity-failures.c: wrong passwords, by user and client address. */
#define FAILURES_KEY_SIZE 400
void failures_key(const struct request *request, const char *user, char key[FAILURES_KEY_SIZE]);
bool failures_refuse(struct request *request, const char *key); /* Answers 429 when there were too many. */
void failures_count(struct identity *identity, const char *key);
void failures_forget(struct identity *identity, const char *key);
void failures_sweep(struct identity *identity);
void failures_clear(struct identity *identity);

#endif
