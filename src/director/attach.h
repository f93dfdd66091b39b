/* The director's program on interfaces, and the second chance's of physical servers: XDP in the driver where it can, else in the kernel's generic way, which is slower and needs GRO off. */
#ifndef WEFT_DIRECTOR_ATTACH_H
#define WEFT_DIRECTOR_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

/* Whose program is it?  Of that name, with a map that nobody else's program of that name has. */
struct lb_identity {
    const char *program, *map;
};
extern const struct lb_identity lb_director, lb_second_chance;

enum lb_attachment { LB_ATTACH_NONE, LB_ATTACH_NATIVE, LB_ATTACH_GENERIC };

/* Puts the program onto the interface, in the place of an earlier one of the same identity in one step.  0 with '*ret'; -EBUSY: somebody
 * else's program is there; or -errno. */
int lb_attach(const struct lb_identity *identity, uint32_t ifindex, int program_fd, enum lb_attachment *ret);

/* Takes a program of that identity off.  1; 0: there was none; or -errno. */
int lb_detach(const struct lb_identity *identity, uint32_t ifindex);

/* A descriptor of the identity's map, of the program that is there; -ENOENT, or -errno. */
int lb_attached_map(const struct lb_identity *identity, uint32_t ifindex);

/* The interface's MAC.  0 or -errno. */
int lb_mac(const char *interface, uint8_t ret_mac[6]);

/* Have its packets a header of Ethernet? */
bool lb_is_ethernet(const char *interface);

/* What the interface's packets may have in bytes.  More than 0, or -errno. */
int lb_mtu(const char *interface);

/* Turns off what glues packets together before the program sees them.  0 or -errno. */
int lb_no_gro(const char *interface);

#endif
