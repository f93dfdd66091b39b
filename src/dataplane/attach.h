/* Putting the programs where packets pass, preparing interfaces, and taking everything away again.
 *
 * Everything is in the network namespace of the calling process.  Programs are tc classifiers (clsact) with a handle and
 * priority of our own, so that those of others on the same device stay; replacing one is atomic.
 * References: tc-bpf(8), rtnetlink(7). */
#ifndef WEFT_DATAPLANE_ATTACH_H
#define WEFT_DATAPLANE_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include "weft/base/error.h"

#define TUNNEL_DEVICE "weft-tun"

/* A bridge that is never up, so that it forwards nothing.  The kernel leaves as much room in front of each frame that a port of
 * a bridge brings as its most demanding port needs; with the tunnel device in it that is the tunnel's header.  Without, each
 * small datagram is copied to get the room (4 to 10 % of the CPU of a packet between hosts, measured).  And a frame that no program takes ends
 * there, not in the host's stack.  A kernel without bridges does without. */
#define ROOM_DEVICE "weft-room"

/* Where the agent's metadata service listens (tables.h): one end of a veth pair, which has a carrier for as long as the other end is up.
 * Nothing passes through the pair: the programs put requests into this end and take answers out of it. */
#define METADATA_DEVICE "weft-meta"
#define METADATA_PEER "weft-meta-peer"

/* Finds or creates it, up, with the agent's addresses; '*ret_has_ipv6' says whether it has both.  Returns 0, or -errno with '*error'. */
int attach_metadata_device(uint32_t *ret_ifindex, uint8_t ret_mac[6], bool *ret_has_ipv6, struct error *error);

/* Finds or creates the device that owns the tunnel's UDP port: an external VXLAN device, up, without addresses.
 * One with another port is replaced. */
int attach_tunnel_device(uint16_t udp_port, uint32_t *ret_ifindex, struct error *error);

/* Attaches the program, in place of an earlier one of ours.  Returns 0 or -errno (-ENODEV: the interface is gone). */
int attach_program(uint32_t ifindex, bool egress, int program_fd);

/* The same for from_uplink: at the ingress, behind from_underlay where the interface is both. */
int attach_uplink(uint32_t ifindex, int program_fd);
int attach_remove_uplink(uint32_t ifindex); /* That one alone. */

/* Is a program of ours there (but from_uplink), of whatever run? */
bool attach_is_there(uint32_t ifindex, bool egress);

/* Takes our programs away from both directions, and clsact too when nobody else uses it; and the interface out of ROOM_DEVICE. */
int attach_remove(uint32_t ifindex);

/* The host's end of a workload's interface: up, no addresses or ARP of its own, MTU 'mtu' (0: as it is), in ROOM_DEVICE unless it has
 * another master. */
int attach_prepare(uint32_t ifindex, const char *name, uint16_t mtu);

/* Removes every program of ours from every interface, the devices of ours, and all pins below 'pin_path', also of other
 * layouts.  Goes on after a failure; returns the first.  '*ret_n_interfaces' (may be NULL) counts interfaces freed. */
int attach_remove_all(const char *pin_path, unsigned *ret_n_interfaces, struct error *error);

/* Removes the pins of other layouts than 'layout', once nothing attached uses them any more.  What fails stays. */
void attach_remove_other_layouts(const char *pin_path, unsigned layout);

#endif
