/* Wrong passwords are counted for each user and client address, so that guessing is slow and nobody can lock another out: at logins, and
 * where a user proves to know the password once more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/identity-state.h"
#include "weft/base/address.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"

#define FAILURES_BURST 10        /* Wrong passwords in a row before waiting is asked for. */
#define FAILURES_REFILL_MS 6000  /* One more try each. */
#define FAILURES_MAX 10000       /* Pairs remembered. */

struct failures {
    struct hashmap_node node;
    uint64_t until_ms; /* When all failures are forgiven; the bucket's level as a time. */
    char key[];
};

static struct failures *failures_find(struct identity *identity, const char *key)
{
    struct hashmap_node *node = hashmap_find(&identity->failures, key, strlen(key));

    return node ? CONTAINER_OF(node, struct failures, node) : NULL;
}

static uint64_t failures_wait_ms(struct identity *identity, const char *key)
{
    struct failures *failures = failures_find(identity, key);
    uint64_t now_ms = clock_monotonic_ms();

    if (!failures || failures->until_ms <= now_ms + (FAILURES_BURST - 1) * FAILURES_REFILL_MS)
        return 0;
    return failures->until_ms - now_ms - (FAILURES_BURST - 1) * FAILURES_REFILL_MS;
}

void failures_count(struct identity *identity, const char *key)
{
    struct failures *failures = failures_find(identity, key);
    uint64_t now_ms = clock_monotonic_ms();

    if (!failures) {
        if (identity->failures.n_nodes >= FAILURES_MAX)
            return;
        failures = calloc(1, sizeof(*failures) + strlen(key) + 1);
        if (!failures)
            return;
        strcpy(failures->key, key);
        if (hashmap_insert(&identity->failures, &failures->node, failures->key, strlen(key)) < 0) {
            free(failures);
            return;
        }
    }
    failures->until_ms = MAX(failures->until_ms, now_ms) + FAILURES_REFILL_MS;
}

static void failures_free(struct identity *identity, struct failures *failures)
{
    if (!failures)
        return;
    hashmap_remove(&identity->failures, &failures->node);
    free(failures);
}

void failures_forget(struct identity *identity, const char *key)
{
    failures_free(identity, failures_find(identity, key));
}

/* An IPv6 client is its /64: whoever has one has 2^64 addresses. */
void failures_key(const struct request *request, const char *user, char key[FAILURES_KEY_SIZE])
{
    struct ip_prefix client = {.length = 64};
    const char *text = request_client_address(request);
    char network[IP_TEXT_SIZE];

    if (strchr(text, ':') && ip_parse(text, &client.address) == 0 && !ip_is_v4(&client.address)) {
        client.address = prefix_first(&client);
        text = ip_format(&client.address, network);
    }
    snprintf(key, FAILURES_KEY_SIZE, "%s %.300s", text, user);
}

bool failures_refuse(struct request *request, const char *key)
{
    uint64_t wait_ms = failures_wait_ms(request_api(request)->identity, key);
    char seconds[24];

    if (!wait_ms)
        return false;
    snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)wait_ms / 1000 + 1);
    request_add_header(request, "Retry-After", seconds);
    request_fail(request, HTTP_TOO_MANY_REQUESTS, NULL, "Too many failed logins: try again in %s s.", seconds);
    return true;
}

void failures_sweep(struct identity *identity)
{
    uint64_t now_ms = clock_monotonic_ms();

    HASHMAP_FOREACH(node, &identity->failures)
        if (CONTAINER_OF(node, struct failures, node)->until_ms < now_ms)
            failures_free(identity, CONTAINER_OF(node, struct failures, node));
}

void failures_clear(struct identity *identity)
{
    HASHMAP_FOREACH(node, &identity->failures)
        free(CONTAINER_OF(node, struct failures, node));
    hashmap_clear(&identity->failures);
}
