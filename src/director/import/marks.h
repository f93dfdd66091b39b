/* Firewall marks as mark rules of our own: from what iptables-save and 'nft list ruleset' print.
 *
 * A director's programs see packets before netfilter does, so a service by mark goes by rules of the director's file.
 * Taken over are rules for packets that come in (PREROUTING), which set the whole mark and match protocol, addresses,
 * ports and interface.  In netfilter the last rule that matches counts, in a director's file the first: so the order is
 * turned round.  Everything else that sets a mark is reported. */
#ifndef WEFT_DIRECTOR_IMPORT_MARKS_H
#define WEFT_DIRECTOR_IMPORT_MARKS_H

#include "weft/director/config.h"
#include "weft/director/import/report.h"

/* Add the rules of a text, which is changed on the way, in front of those that 'config' has.  'file' is its name in the
 * report.  0, -E2BIG (more than a director has) or -ENOMEM. */
int import_iptables(char *text, const char *file, struct director_config *config, struct import_report *report);
int import_nft(char *text, const char *file, struct director_config *config, struct import_report *report);

#endif
