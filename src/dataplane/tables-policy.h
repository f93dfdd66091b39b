/* What security groups and firewall policies allow.  A part of tables.h, which says how tables may change. */
#ifndef WEFT_DATAPLANE_TABLES_H
#include "weft/dataplane/tables.h" /* Which includes this one in its place. */
#elif !defined(WEFT_DATAPLANE_TABLES_POLICY_H)
#define WEFT_DATAPLANE_TABLES_POLICY_H

/* ---- policies: what the security groups of a port allow ------------------------------------------------------------------- */

/* The two rule sets of a port, by enum policy_direction.  Read and written as one __u64, so that a change is one store; the port's epoch is
 * bumped after it.  Meant only where PORT_EGRESS_POLICY or PORT_INGRESS_POLICY is set.  Set 0 has no rules: nothing passes. */
enum policy_direction { POLICY_EGRESS, POLICY_INGRESS }; /* From the workload, to it. */
struct port_policy {
    __u32 rule_set[2];
};

/* A rule set never changes: another content is another set, named by a hash of its content.  What is in a set passes, in no order. */
#define RULE_SET_NO_ROOM 0xffffffffu /* In place of one that finds no room: no set has this name, so nothing passes. */
#define RULES_PER_BLOCK 15
#define RULE_BLOCKS_MAX 131072     /* Half of it is for what stays a moment longer: sets that others replace. */
struct rules_key {
    __u32 set;
    __u32 index;         /* From 0 without holes. */
};
#define RULE_IPV4 (1u << 0)        /* One of the two. */
#define RULE_IPV6 (1u << 1)
#define RULE_PROTOCOL (1u << 2)    /* 'protocol' must be the same. */
#define RULE_PORTS (1u << 3)       /* The destination port is in the range; ICMP: the type is port_min and, if port_max is no 0xffff, the code port_max. */
#define RULE_GROUP (1u << 4)       /* The other side's address is in 'members' for 'group', */
#define RULE_GROUP_PREFIXES (1u << 5) /* or in 'member_prefixes'. */
#define RULE_STATELESS (1u << 6)   /* No connection entry comes of it, so answers need a rule of their own.  Others that fit come first. */
#define RULE_LOG (1u << 8)         /* What it lets pass is logged at ports with PORT_LOG_RULES.  Such a rule comes before others that fit. */
struct rule {
    __u8 address[16];    /* The other side's; IPv4 mapped. */
    __u32 group;
    __u16 flags;         /* RULE_* */
    __u8 prefix_length;  /* 0..128 of 'address'; IPv4 adds 96.  0: any. */
    __u8 protocol;
    __u16 port_min, port_max; /* Host order. */
    __u32 number;        /* For people: the trace and the log name the rule that this is the first 32 bits of the id of. */
};
_Static_assert(sizeof(struct rule) == 32, "no implicit padding");
/* What all rules of a block have in common, so that a packet whose rule is elsewhere costs one look at it: the flags are the families that some of
 * them are for, and RULE_PROTOCOL and RULE_PORTS where each of them asks for that protocol and for a port (or ICMP type) within the range. */
struct rules_common {
    __u16 flags;         /* RULE_*; 0: nothing is known, look at each. */
    __u8 protocol;
    __u8 pad;
    __u16 port_min, port_max;
};
struct rules_block {
    __u32 set, index;    /* Repeat the key. */
    __u32 n;             /* Rules here; fewer than RULES_PER_BLOCK only in the last block. */
    struct rules_common common;
    __u32 pad[3];
    struct rule rules[RULES_PER_BLOCK];
};
_Static_assert(sizeof(struct rules_block) == 512, "no implicit padding");

/* Who is in a group (of ports, or of addresses): one row each, whatever rules name the group.  Groups have a number on each host. */
struct member_key {
    __u32 group;
    __u8 address[16];    /* IPv4 mapped. */
};
#define MEMBERS_MAX 1048576
#define MEMBER_PREFIXES_MAX 262144
struct member_prefix_key {
    __u32 prefix_length; /* 32 + 0..128; IPv4 adds 96. */
    __u32 group;
    __u8 address[16];
};
/* Values: the group again, as one __u64.  A short prefix of IPv6 covers IPv4's mapped addresses, which it does not mean: so the upper half of a
 * prefix's value is RULE_IPV4 or RULE_IPV6, or 0 where that does not matter. */

/* Firewall policies, at ports of routers: struct router_port_config names two sets.  As sets of rules above, but in order: the first rule that
 * fits decides, and what none fits is dropped.  Only packets that routers pass on are judged, as the router sees them: behind the translation of
 * their destination and before that of their source. */
#define FIREWALL_SOURCE_PORTS (1u << 9)      /* The port is in the range, */
#define FIREWALL_DESTINATION_PORTS (1u << 10) /* and this one. */
enum firewall_verdict { FIREWALL_DENIES, FIREWALL_PASSES, FIREWALL_REJECTS };
struct firewall_rule_row {
    __u8 source[16], destination[16]; /* IPv4 mapped. */
    __u8 source_length, destination_length; /* 0..128, IPv4 adds 96; 0: any. */
    __u16 flags;         /* RULE_IPV4, RULE_IPV6, RULE_PROTOCOL, and those above. */
    __u16 source_min, source_max, destination_min, destination_max; /* Host order. */
    __u8 protocol;
    __u8 verdict;        /* enum firewall_verdict */
    __u16 pad;
    __u32 number;        /* As in struct rule. */
};
_Static_assert(sizeof(struct firewall_rule_row) == 52, "no implicit padding");
#define FIREWALL_RULES_PER_BLOCK 8
#define FIREWALL_BLOCKS_MAX 131072 /* As RULE_BLOCKS_MAX. */
struct firewall_block {
    __u32 set, index;    /* Repeat the key. */
    __u32 n;             /* Rules here; less than FIREWALL_RULES_PER_BLOCK only in the last block, which may be empty. */
    __u32 is_last;
    struct firewall_rule_row rules[FIREWALL_RULES_PER_BLOCK];
};
_Static_assert(sizeof(struct firewall_block) == 432, "in 512 bytes, with its key and what the kernel puts in front");

#endif
