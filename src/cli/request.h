/* From flags to attributes of a request, by the encoding in the flag's table (command.h). */
#ifndef WEFT_CLI_REQUEST_H
#define WEFT_CLI_REQUEST_H

#include <jansson.h>

#include "weft/cli/command.h"

/* Sets the attributes of all flags of 'call' that name one in 'object'.  Names of other resources become ids by asking
 * the API.  Returns 0, or -EINVAL and others with call->error naming flag and value. */
int request_attributes(struct call *call, json_t *object);

/* The same as a query string, "name=a&name=b" (escaped, owned by the caller); "" when no flag names an attribute. */
int request_query_string(struct call *call, char **ret);

#endif
