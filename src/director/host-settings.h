/* Settings of the host without which the programs on interfaces cannot do their work, and their way back.  Those of the network namespace. */
#ifndef WEFT_DIRECTOR_HOST_SETTINGS_H
#define WEFT_DIRECTOR_HOST_SETTINGS_H

#include <stdbool.h>

/* Who turned forwarding on is what the setting says: for the kernel any number but 0 is on, an operator's is 1.  So what is to be undone needs no
 * record, which a crash would lose, and what anybody else wrote since is not undone. */
enum lb_forwarding { LB_FORWARDING_DIRECTOR = '2', LB_FORWARDING_REAL_SERVER = '3', LB_FORWARDING_OURS = '1' /* A device of our own: never to be undone. */ };

/* Makes the host answer questions about its routes for packets that come in by the interface ("forwarding" of IPv4 or IPv6), unless it does.  Where IPv6
 * was configured by router advertisements it goes on being so.  1: it was not so before; 0: nothing to do; or -errno. */
int lb_enable_forwarding(const char *interface, bool ipv6, enum lb_forwarding whose);

/* Turns IPv4's and IPv6's off where they are on by a call with the same 'whose'.  Logs that, and what cannot be turned off. */
void lb_restore_forwarding(const char *interface, enum lb_forwarding whose);

/* The host is not to send servers the way past it, of the interface and of all ("send_redirects" of IPv4, of which the kernel takes either): their answers
 * would come to the client untranslated.  1: it was not so before; 0: nothing to do; or -errno. */
int lb_no_redirects(const char *interface);

#endif
