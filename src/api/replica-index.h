/* Sets of objects with one property, for the lookups of replica.h.  A further one is a name in enum replica_property (replica.h) and
 * a line in each_property() of replica-index.c.
 *
 * An index is a map from a property's value to a group, and a group heads a doubly linked list of members that live in the places of
 * their objects, so that leaving is O(1) however many share the value. */
#ifndef WEFT_API_REPLICA_INDEX_H
#define WEFT_API_REPLICA_INDEX_H

#include "weft/api/replica.h"
#include "weft/base/hashmap.h"

struct replica_index {
    struct hashmap groups;
};

/* Where one object is in the index. */
struct replica_places {
    struct place *list; /* Owned. */
    size_t n;
};

/* Enters 'object', which must not change until it is removed.  0, or -ENOMEM: then it is partly in, and to be removed. */
int replica_index_add(struct replica_index *index, const struct object *object, struct replica_places *places);
void replica_index_remove(struct replica_index *index, struct replica_places *places); /* Empties 'places'; empty is fine. */

/* Who has this value of the property.  'kind' matters for the properties that several kinds have.  '*ret_count' (may be NULL): how many. */
const struct replica_member *replica_index_find(const struct replica_index *index, enum replica_property property, enum resource_kind kind,
                                                const void *value, size_t size, size_t *ret_count);

/* The value of REPLICA_PORT_BY_ADDRESS and REPLICA_MEMBERS_BY_ADDRESS. */
#define REPLICA_ADDRESS_SIZE (16 + UUID_TEXT_SIZE - 1)
void replica_index_address(const char *subnet_id, const struct ip_address *address, uint8_t value[REPLICA_ADDRESS_SIZE]);

#endif
