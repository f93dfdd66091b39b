/* The generic engine of the Networking API: list, show, create, update and delete of any resource, from its attribute
 * table and three hooks.  A further resource is a schema in src/model, a 'struct resource' here and its routes. */
#ifndef WEFT_API_RESOURCES_H
#define WEFT_API_RESOURCES_H

#include "weft/api/networking.h"
#include "weft/api/plan.h"
#include "weft/api/replica.h"
#include "weft/api/request.h"
#include "weft/base/buffer.h"
#include "weft/model/schema.h"

/* An attribute that is not stored but worked out when it is shown.  With ATTRIBUTE_POST or ATTRIBUTE_PUT in 'flags' requests may
 * give it: the hooks find it by change_value.  Of the other flags ATTRIBUTE_REQUIRED and ATTRIBUTE_ADMIN_WRITE count. */
struct computed {
    const char *name;
    bool admin_read, filter;
    int (*write)(const struct request *request, const struct object *object, struct buffer *buffer); /* NULL: it is never shown. */
    uint32_t flags;
};

/* A filter that compares something else than one attribute. */
struct special_filter {
    const char *name;
    int (*check)(const char *value, struct error *error);
    /* Does the object match, given all values of that name? */
    bool (*matches)(const struct object *object, const char *const *values, size_t n_values);
};

/* A filter for which the replica has an index. */
struct indexed_filter {
    const char *name;
    const struct replica_member *(*find)(const struct replica *replica, const char *value);
};

/* One object that a request creates, updates or deletes. */
struct change {
    struct request *request;
    struct networking *networking;
    struct plan *plan;
    const struct resource *resource;
    const struct object *owner;  /* Of a part of something that the same request creates: that (change_create_part).  Else NULL. */
    const struct object *before; /* NULL when created. */
    struct object *after;        /* NULL when deleted. */
    uint64_t given;              /* Bit i: row i of the attribute table was in the body. */
    bool is_more;                /* An update that changes something besides the object: it is committed even if that stays. */
    const json_t *body;          /* What the body says of it; borrowed. */
    struct error *error;
};

struct resource {
    const struct schema *schema;
    const struct computed *computed;          /* Ends with a NULL name. */
    const struct special_filter *special_filters; /* The same; may be NULL. */
    const struct indexed_filter *indexed_filters; /* The same; may be NULL. */
    const char *not_found;                    /* "PortNotFound" */
    const char *title;                        /* "Port": begins "Port X could not be found." */
    const char *quota_title;                  /* Of load balancing: what its quota is called; such a refusal is 403.  NULL: as Neutron says it. */

    /* Of a resource inside another one: its routes have {parent} for that one's id.  Who sees that one sees these too. */
    const struct resource *parent;
    const char *(*parent_id)(const struct object *object);
    const struct replica_member *(*of_parent)(const struct replica *replica, const char *parent_id);

    /* Beyond its owner and admins: who may see it, who may delete it.  May be NULL. */
    bool (*is_visible)(const struct request *request, const struct object *object);
    bool (*may_delete)(const struct request *request, const struct object *object);

    /* Visits at least all that somebody who is no admin may see, perhaps some twice, so that a tenant's list does not cost what
     * others have.  May be NULL: then everything is looked at. */
    void (*each_visible)(const struct request *request, void (*visit)(const struct object *object, void *context), void *context);

    /* Check and complete: 0, or a negative code with change->error set (see resource_error_*), or -EALREADY when the
     * failure is in the plan.  'after' of a create has been decoded, has its project and is the plan's already. */
    int (*create)(struct change *change);

    /* Says in its own words what is wrong with a value that the attribute's type does not take: a code with '*error' set, or 0 when
     * it has none.  May be NULL. */
    int (*refuse)(const char *attribute, const json_t *value, struct error *error);
    int (*update)(struct change *change);
    int (*delete)(struct change *change);
};

extern const struct resource network_resource, subnet_resource, port_resource, router_resource,
    floating_ip_resource, port_forwarding_resource;

/* Handlers; the route's data is the resource. */
void resource_list(struct request *request);
void resource_show(struct request *request);
void resource_create(struct request *request);
void resource_update(struct request *request);
void resource_delete(struct request *request);

bool resource_is_own(const struct request *request, const struct object *object); /* Or asked by an admin. */
bool resource_is_visible(const struct resource *resource, const struct request *request, const struct object *object);

/* Whose default objects a list shows, and makes first: those of the filter's project, or of the one that asks.  NULL: nobody's. */
const char *listed_project(const struct request *request);

/* The request's path names a parent that it may see (or the resource has none): else it has been answered. */
bool resource_check_parent(struct request *request);

/* For hooks. */
bool change_gives(const struct change *change, const char *attribute);

/* What the body says of a computed attribute; NULL when it says nothing, a json_null when it says null. */
const json_t *change_value(const struct change *change, const char *computed);

/* The object called 'id' as this request may see it; NULL with the resource's "not found" in the error. */
const struct object *resource_find(const struct resource *resource, const struct request *request, const char *id, struct error *error);

/* -EPERM with the error set, when the body gives an attribute that is for owners of the network, by someone who is not. */
int change_check_network_owner(struct change *change, const struct network *network);

/* The network called 'id' as this request may see it; NULL with the error NetworkNotFound. */
const struct network *change_find_network(struct change *change, const char *id);

/* Creates what the body of 'change' holds inside: as a request of its own would, in the same plan and for the same project.  'json' may be changed.
 * The error's field is inside the part. */
int change_create_part(struct change *change, const struct resource *resource, const struct object *owner, const json_t *json,
                       const struct object **ret_object);

/* A change of something else in the same plan, as an update of it would make it. */
int change_update_part(struct change *change, const struct resource *resource, const struct object *owner, const struct object *before,
                       const json_t *json);

void resource_new_id(const struct request *request, struct object *object); /* Of an object that is made beside the path's. */

/* For handlers beside the generic ones, whose route's data is the resource too.  resource_find_or_fail and change_begin have
 * answered when they give NULL or -1; 'before' may be NULL. */
const struct object *resource_find_or_fail(struct request *request);
int change_begin(struct change *change, struct request *request, const struct object *before, struct error *error);
void change_fail(struct request *request, int r, struct error *error, const char *where); /* 'where': "router"; before fields. */
void resource_updated(struct plan *plan, struct request *request); /* For plan_commit: answers with the path's object. */
void resource_respond(struct request *request, int status, const struct object *object);

/* Which attributes a request shows: all it may, or those of its fields=. */
struct view {
    uint64_t attributes, computed; /* Bit i: row i. */
    bool tenant_id;                /* project_id's old name. */
};
void view_prepare(struct view *view, const struct resource *resource, const struct request *request);
void view_prepare_whole(struct view *view, const struct resource *resource, const struct request *request); /* Whatever fields= says. */
int view_write(const struct view *view, const struct resource *resource, const struct request *request,
               const struct object *object, struct buffer *buffer); /* 0 or -ENOMEM. */

/* Answers with bytes, which are taken over; 503 if 'r' is negative. */
void respond_buffer(struct request *request, int status, struct buffer *buffer, int r);

#endif
