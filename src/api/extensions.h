/* GET /v2.0/extensions and /v2.0/extensions/{alias}. */
#ifndef WEFT_API_EXTENSIONS_H
#define WEFT_API_EXTENSIONS_H

#include "weft/api/request.h"

void extensions_list(struct request *request);
void extensions_show(struct request *request);

#endif
