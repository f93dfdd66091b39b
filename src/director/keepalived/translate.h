/* keepalived's virtual servers as a director's services. */
#ifndef WEFT_DIRECTOR_KEEPALIVED_TRANSLATE_H
#define WEFT_DIRECTOR_KEEPALIVED_TRANSLATE_H

#include "weft/director/config.h"
#include "weft/director/import/report.h"
#include "weft/director/keepalived/tree.h"

/* Adds the services of 'path' to 'config': virtual_server (of addresses, marks, groups) with everything below it that a
 * director knows, and lvs_timeouts.  Every other line about virtual servers is reported with its file and line; what is
 * keepalived's own (VRRP) stays with it and is reported once a block.  0, or as keepalived_tree_read. */
int keepalived_import(const char *path, const struct keepalived_source *source, struct director_config *config,
                      struct import_report *report, struct error *error);

#endif
