/* 'weft fabric ...': what weft-fabric, the OpenFlow controller, sees and is told, over its own HTTP interface (controller/status.h).
 *
 * -o json prints its answers as they are.  People get short ids (0xe5) and ports as 0xe5:3; both are taken wherever an id is. */
#ifndef WEFT_CLI_FABRIC_H
#define WEFT_CLI_FABRIC_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "weft/cli/command.h"

int run_fabric_show(struct call *call);
int run_fabric_switch_list(struct call *call);
int run_fabric_switch_show(struct call *call);
int run_fabric_link_list(struct call *call);
int run_fabric_host_list(struct call *call);
int run_fabric_paths(struct call *call);
int run_fabric_flow_list(struct call *call);
int run_fabric_statistics(struct call *call);
int run_fabric_slice_list(struct call *call);
int run_fabric_slice_show(struct call *call);
int run_fabric_slice_set(struct call *call);
int run_fabric_slice_delete(struct call *call);
int run_fabric_port_set(struct call *call);
int run_fabric_role_set(struct call *call);

struct session;

/* Every object of a list ("hosts"), over all its pages; 'query' ("switch=0xe1", escaped) may be NULL. */
int fabric_list(struct session *session, const char *collection, const char *query, json_t **ret, struct error *error);

/* "0x00000000000000e5", "0xe5" and "229".  Returns 0 or -EINVAL. */
int fabric_parse_id(const char *text, uint64_t *ret);

/* ---- fabric-show.c ------------------------------------------------------------------------------------------------ */

struct fabric_picture {
    const json_t *fabric, *switches, *links;
    const json_t *hosts;  /* NULL: too many to draw; switches are shown with their number. */
    size_t width;         /* Columns there are. */
    size_t max_switches;  /* More are listed, not drawn. */
    bool is_utf8, has_colour;
};

/* Draws the switches as boxes, one below the other, each port of a link at the right side of its box, and each link as a line between
 * its two ports.  Where a line passes another one it is interrupted, and it turns only at its ends.  What does not fit is listed instead.
 * What the answers lack is left out.  Returns 0 or -ENOMEM. */
int fabric_draw(FILE *out, const struct fabric_picture *picture);

#endif
