/* The first start: an empty store gets its domain, roles, project and administrator. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "weft/api/identity-state.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"

static int read_password(const char *path, char password[PASSWORD_MAX_SIZE + 2], struct error *error)
{
    FILE *file = fopen(path, "re");
    struct stat info;

    if (!file)
        return error_set(error, -errno, "bootstrap-file", "'%s': %s", path, strerror(errno));
    if (!fgets(password, PASSWORD_MAX_SIZE + 2, file))
        password[0] = '\0';
    if (fstat(fileno(file), &info) == 0 && (info.st_mode & 077))
        log_warning("bootstrap-file: '%s' can be read by others (mode %o)", path, info.st_mode & 0777);
    fclose(file);
    password[strcspn(password, "\r\n")] = '\0';
    if (!password[0] || strlen(password) > PASSWORD_MAX_SIZE)
        return error_set(error, -EINVAL, "bootstrap-file", "'%s': its first line must be a password of 1 to %d bytes", path, PASSWORD_MAX_SIZE);
    return 0;
}

static int add(struct store_transaction *transaction, enum record_kind kind, json_t *json)
{
    int r = json ? record_put(transaction, kind, json_string_value(json_object_get(json, "id")), json) : -ENOMEM;

    if (r == 0)
        r = record_claim_name(transaction, kind, json);
    json_decref(json);
    return r;
}

static int build(struct store_transaction *transaction, const char *hash)
{
    static const char *const roles[] = {"admin", "member", "reader"};
    char project_id[33], user_id[33], role_id[33];
    int r;

    uuid_generate_hex(project_id);
    uuid_generate_hex(user_id);
    r = store_require_empty(transaction, "identity/", 9, "identity0", 9);
    if (r == 0)
        r = add(transaction, RECORD_DOMAIN, json_pack("{s:s,s:s,s:b,s:s,s:{}}", "id", "default", "name", "Default", "enabled", 1, "description",
                                                      "The default domain", "options"));
    if (r == 0)
        r = add(transaction, RECORD_PROJECT,
                json_pack("{s:s,s:s,s:s,s:b,s:s,s:b,s:s,s:[],s:{}}", "id", project_id, "name", "admin", "domain_id", "default", "enabled", 1, "description",
                          "Bootstrap project for initializing the cloud.", "is_domain", 0, "parent_id", "default", "tags", "options"));
    if (r == 0)
        r = add(transaction, RECORD_USER, json_pack("{s:s,s:s,s:s,s:b,s:s,s:i,s:s,s:{}}", "id", user_id, "name", "admin", "domain_id", "default",
                                                    "enabled", 1, "_password", hash, "_generation", 1, "default_project_id", project_id, "options"));
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(roles); i++) {
        uuid_generate_hex(role_id);
        r = add(transaction, RECORD_ROLE, json_pack("{s:s,s:s,s:n,s:s}", "id", role_id, "name", roles[i], "domain_id", "description", ""));
        if (r == 0)
            r = assignment_put(transaction, project_id, user_id, role_id);
    }
    return r;
}

int identity_bootstrap(struct identity *identity, struct error *error)
{
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    char password[PASSWORD_MAX_SIZE + 2] = "", hash[PASSWORD_HASH_SIZE];
    struct store_result result;
    int r = 0;

    if (identity->records[RECORD_DOMAIN].n_nodes > 0)
        return 0;
    if (identity->options.bootstrap_file) {
        r = read_password(identity->options.bootstrap_file, password, error);
    } else {
        unsigned char bytes[18];

        randombytes_buf(bytes, sizeof(bytes));
        sodium_bin2base64(password, sizeof(password), bytes, sizeof(bytes), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    }
    if (r == 0)
        r = password_hash_now(password, identity->options.cost, hash);
    if (r == 0)
        r = store_transaction_new(&transaction);
    if (r == 0)
        r = build(transaction, hash);
    if (r < 0)
        return error_set(error, r, NULL, "cannot create the administrator: %s", strerror(-r));

    result = store_commit(identity->api->store, TAKE_PTR(transaction));
    if (result.status < 0 && result.status != -EAGAIN)
        return error_set(error, result.status, NULL, "cannot store the administrator: %s", strerror(-result.status));
    if (result.status == 0 && !identity->options.bootstrap_file) {
        printf("The user 'admin' of the project 'admin' was created; the password, shown only now, is: %s\n", password);
        fflush(stdout);
    }
    sodium_memzero(password, sizeof(password));
    return 0;
}
