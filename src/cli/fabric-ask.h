/* What the commands of 'weft fabric' share: asking weft-fabric, reading what a person wrote, and writing for people.  Inside fabric.c and
 * fabric-slices.c only. */
#ifndef WEFT_CLI_FABRIC_ASK_H
#define WEFT_CLI_FABRIC_ASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "weft/cli/command.h"
#include "weft/cli/output.h"
#include "weft/cli/session.h"

#define ID_TEXT_SIZE 19
#define PORT_MAX 0xfffffeffu   /* OFPP_MAX - 1 of OpenFlow 1.3; 1.0 has fewer. */

/* As session_request, of a path that is printed. */
int fabric_ask(struct call *call, const char *method, const json_t *body, json_t **ret, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The part of an answer that must be there, a new reference; of a GET of 'path'.  0 or a code with the error. */
int fabric_part_of(const json_t *answer, const char *key, json_t **ret, struct error *error);
int fabric_get_part(struct call *call, const char *key, json_t **ret, const char *path);

/* 'what' is how the message calls it.  0 or -EINVAL with the error. */
int fabric_read_id(const char *what, const char *text, uint64_t *ret, struct error *error);
int fabric_read_number(const char *what, const char *text, uint64_t minimum, uint64_t maximum, uint64_t *ret, struct error *error);

/* A host's MAC or address, or a switch's id, for a query: owned by the caller. */
int fabric_read_end(struct call *call, const char *what, const char *text, bool may_be_switch, char **ret);

bool fabric_wants_json(const struct call *call);
const char *fabric_short_id(const char *id, char text[ID_TEXT_SIZE]); /* "0x00000000000000e5" -> "0xe5". */
json_int_t fabric_number_of(const json_t *object, const char *key);

json_t *fabric_for_people(const json_t *value); /* A copy with short ids, and ports as one word; NULL when out of memory. */

/* As output_list and output_object; for people with short ids, and ports as one word. */
int fabric_print_list(struct call *call, const json_t *list, const struct column *columns);
int fabric_print_object(struct call *call, const json_t *object);

#endif
