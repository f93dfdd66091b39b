/* A file of another balancer, or of its firewall, into a director's configuration. */
#ifndef WEFT_DIRECTOR_IMPORT_IMPORT_H
#define WEFT_DIRECTOR_IMPORT_IMPORT_H

#include "weft/director/config.h"
#include "weft/director/import/report.h"

enum import_format { IMPORT_KEEPALIVED, IMPORT_IPVSADM, IMPORT_IPTABLES, IMPORT_NFT, N_IMPORT_FORMATS };

const char *import_format_name(enum import_format format);          /* "keepalived", "ipvsadm", "iptables", "nft" */
int import_format_parse(const char *name, enum import_format *ret); /* 0 or -ENOENT. */

/* By the first line that says something: "-A -t ..." is ipvsadm-save's, "*mangle" iptables-save's, "table ..." nft's,
 * all else keepalived's. */
enum import_format import_format_guess(const char *text);

/* Lines of ipvsadm-save; a text that is changed on the way.  What IPVS would refuse is reported.  0 or -ENOMEM. */
int import_ipvsadm(char *text, const char *file, struct director_config *config, struct import_report *report);

/* Reads the file 'path' of 'format' into 'config', which may have something already; keepalived's includes are read,
 * too, its '@' lines go by 'config_id' (NULL: none).  0; -errno of reading; -EINVAL (keepalived's braces), -E2BIG,
 * -ENOMEM, with '*error'. */
int import_file(const char *path, enum import_format format, const char *config_id, struct director_config *config,
                struct import_report *report, struct error *error);

#endif
