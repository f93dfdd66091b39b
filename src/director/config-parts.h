/* The parts of a director's file: for config.c and its neighbours only. */
#ifndef WEFT_DIRECTOR_CONFIG_PARTS_H
#define WEFT_DIRECTOR_CONFIG_PARTS_H

#include <jansson.h>

#include "weft/base/error.h"
#include "weft/director/service.h"

/* As members_decode_array's 'decode': into a zeroed element, which is to be cleared after a failure, too. */
int virtual_service_decode(const json_t *json, void *element, const void *context, struct error *error);
int health_check_decode(const json_t *json, void *element, const void *context, struct error *error);
int mark_rule_decode(const json_t *json, void *element, const void *context, struct error *error);

/* New references, or NULL without memory. */
json_t *virtual_service_encode(const struct virtual_service *service);
json_t *health_check_encode(const struct health_check *check);
json_t *mark_rule_encode(const struct mark_rule *rule);

/* What must hold within one check of a server of such a service. */
int health_check_check(const struct health_check *check, struct error *error);
int mark_rule_check(const struct mark_rule *rule, struct error *error);

/* The members that tell services apart, with a NULL at the end. */
extern const char *const service_key_names[];

#endif
