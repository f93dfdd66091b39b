/* OpenFlow 1.0 (wire version 0x01) and 1.3 (0x04): messages <-> bytes.  No sockets, no clock, no allocation when decoding.
 *
 * One vocabulary serves both versions; it is 1.3's where they differ (32-bit ports, "multipart", "experimenter").  What a version
 * cannot say is -EPROTONOSUPPORT when encoding.  Both directions are complete: a controller encodes what a switch decodes and the
 * other way round, so that emulated switches use the same code.
 *
 *     bytes -> of_frame (one whole message?) -> of_decode -> struct of_message, a view of the bytes
 *     struct of_message -> of_encode -> bytes appended to a buffer
 *
 * Lists of variable length (actions, buckets, ports, statistics) stay in wire form, as 'struct of_bytes', with one function that takes
 * the next element off the front and one that appends an element to a writer.  of_decode checks each list to its end, so that a
 * message that decodes holds only well-formed elements: 'next' on them returns 1 or 0, never an error.
 *
 * Standards: OpenFlow Switch Specification 1.0.0 (wire protocol 0x01) and 1.3.5 (0x04), Open Networking Foundation; for roles in 1.0 and
 * hashing actions, the Nicira extensions as Open vSwitch documents them (openflow/nicira-ext.h).
 *
 * Nothing here keeps state; everything may be called from any thread. */
#ifndef WEFT_FABRIC_OPENFLOW_OPENFLOW_H
#define WEFT_FABRIC_OPENFLOW_OPENFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"
#include "weft/base/buffer.h"
#include "weft/base/bytes.h"
#include "weft/base/error.h"

enum of_version { OF10 = 0x01, OF13 = 0x04 };

#define OF_HEADER_SIZE 8
#define OF_MESSAGE_MAX_SIZE 65535
#define OF_NO_BUFFER 0xffffffffu /* OFP_NO_BUFFER. */
#define OF_NO_TABLE 0xff         /* No goto_table. */
#define OF_ALL_TABLES 0xff       /* OFPTT_ALL. */
#define OF_NO_VLAN 0xffff        /* of_match.vlan_vid: matches frames without a tag. */

/* Reserved ports, in 1.3's numbers; 1.0's 16-bit ones (0xff00 is the last real port) are translated both ways. */
enum of_port_number {
    OFPP_MAX = 0xffffff00,
    OFPP_IN_PORT = 0xfffffff8,
    OFPP_TABLE = 0xfffffff9,
    OFPP_NORMAL = 0xfffffffa,
    OFPP_FLOOD = 0xfffffffb,
    OFPP_ALL = 0xfffffffc,
    OFPP_CONTROLLER = 0xfffffffd,
    OFPP_LOCAL = 0xfffffffe,
    OFPP_ANY = 0xffffffff, /* OFPP_NONE in 1.0. */
};

#define OFPG_MAX 0xffffff00u
#define OFPG_ALL 0xfffffffcu
#define OFPG_ANY 0xffffffffu

struct of_bytes {
    const uint8_t *data;
    size_t size;
};

enum of_kind {
    OF_HELLO = 1,
    OF_ERROR,
    OF_ECHO_REQUEST,
    OF_ECHO_REPLY,
    OF_EXPERIMENTER,
    OF_FEATURES_REQUEST,
    OF_FEATURES_REPLY,
    OF_GET_CONFIG_REQUEST,
    OF_GET_CONFIG_REPLY,
    OF_SET_CONFIG,
    OF_PACKET_IN,
    OF_FLOW_REMOVED,
    OF_PORT_STATUS,
    OF_PACKET_OUT,
    OF_FLOW_MOD,
    OF_GROUP_MOD,
    OF_PORT_MOD,
    OF_TABLE_MOD,
    OF_MULTIPART_REQUEST,
    OF_MULTIPART_REPLY,
    OF_BARRIER_REQUEST,
    OF_BARRIER_REPLY,
    OF_QUEUE_GET_CONFIG_REQUEST,
    OF_QUEUE_GET_CONFIG_REPLY,
    OF_ROLE_REQUEST,   /* In 1.0 the Nicira extension's. */
    OF_ROLE_REPLY,
    OF_GET_ASYNC_REQUEST,
    OF_GET_ASYNC_REPLY,
    OF_SET_ASYNC,
    OF_METER_MOD,
    N_OF_KINDS,
};

const char *of_kind_name(enum of_kind kind); /* "packet_in"; static text, "unknown" when out of range. */

/* ---- match ------------------------------------------------------------------------------------------------------- */

/* Which fields of a match count.  A masked field has its mask beside it; a bare one is exact.
 *
 * A field needs those that give it a meaning, as OpenFlow 1.3 lists them: IP_SRC an ETH_TYPE of IPv4 or IPv6, TP_SRC an IP_PROTO of
 * TCP, UDP or SCTP, and so on.  Without them encoding is -EINVAL and decoding "OFPBMC_BAD_PREREQ"; in 1.0, where a switch ignores such
 * fields, they are left out when decoding.  A mask of zero is -EINVAL when encoding, so that a forgotten one does not match everything;
 * decoding leaves such a field out. */
enum of_match_field {
    OFM_IN_PORT = 1 << 0,
    OFM_METADATA = 1 << 1,   /* 1.3; masked. */
    OFM_ETH_DST = 1 << 2,    /* Masked in 1.3; exact in 1.0. */
    OFM_ETH_SRC = 1 << 3,
    OFM_ETH_TYPE = 1 << 4,
    OFM_VLAN_VID = 1 << 5,   /* A VID 0..4095 of a tagged frame, or OF_NO_VLAN. */
    OFM_VLAN_PCP = 1 << 6,
    OFM_IP_DSCP = 1 << 7,    /* 6 bits. */
    OFM_IP_PROTO = 1 << 8,
    OFM_IP_SRC = 1 << 9,     /* 'ip_src' in its family, from ETH_TYPE; masked.  In 1.0 prefixes of IPv4 only. */
    OFM_IP_DST = 1 << 10,
    OFM_TP_SRC = 1 << 11,    /* Of TCP, UDP or SCTP, by IP_PROTO. */
    OFM_TP_DST = 1 << 12,
    OFM_ICMP_TYPE = 1 << 13, /* ICMP or ICMPv6, by IP_PROTO. */
    OFM_ICMP_CODE = 1 << 14,
    OFM_ARP_OP = 1 << 15,    /* In 1.0 at most 255. */
    OFM_ARP_SPA = 1 << 16,   /* Kept in ip_src with its mask; in 1.0 likewise nw_src. */
    OFM_ARP_TPA = 1 << 17,   /* ip_dst. */
    OFM_ND_TARGET = 1 << 18,
    OFM_IP_ECN = 1 << 19,
    OFM_TUNNEL_ID = 1 << 20, /* Masked. */
    OFM_MPLS_LABEL = 1 << 21,
    OFM_IN_PHY_PORT = 1 << 22,
    OFM_OTHER = 1 << 23,     /* Decoding only: fields that this struct does not hold were there ('others' has them). */
};

struct of_match {
    uint32_t fields; /* Bits of enum of_match_field.  What is not set is zero when decoded, ignored when encoded. */
    uint32_t in_port, in_phy_port, mpls_label;
    uint64_t metadata, metadata_mask, tunnel_id, tunnel_id_mask;
    struct mac_address eth_dst, eth_dst_mask, eth_src, eth_src_mask; /* A mask of all ones is exact. */
    uint16_t eth_type, vlan_vid, tp_src, tp_dst, arp_op;
    uint8_t vlan_pcp, ip_dscp, ip_ecn, ip_proto, icmp_type, icmp_code;
    struct ip_address ip_src, ip_src_mask, ip_dst, ip_dst_mask; /* IPv4 in its mapped form; a mask's first 96 bits are then ones. */
    struct ip_address nd_target;
    struct of_bytes others; /* 1.3: a stretch of OXM entries that has those which are not above.  They are encoded again as they are;
                             * entries between them that the fields above hold are passed over. */
};

/* Fills the masks for exact matches of the fields that are set: for callers who only match exactly. */
void of_match_make_exact(struct of_match *match);

/* 1.3: matches the sender's MAC in ARP, or in ND's link-layer address option; zeros: ND without the option.  Of which of them, eth_type and
 * icmp_type say.  It is the match's others, kept in 'room'. */
#define OF_HARDWARE_SIZE 10
void of_match_hardware(struct of_match *match, const struct mac_address *mac, uint8_t room[OF_HARDWARE_SIZE]);

/* The next OXM entry of 'others' that the fields of the struct do not hold: its header, value and mask.  1, or 0 at the end. */
int of_match_other_next(struct of_bytes *others, struct of_bytes *ret_entry);

/* ---- actions ------------------------------------------------------------------------------------------------------ */

enum of_action_kind {
    OFA_OUTPUT = 1,   /* port, max_len (of what goes to the controller; 0xffff: all of it). */
    OFA_GROUP,        /* id; 1.3. */
    OFA_PUSH_VLAN,    /* ethertype; 1.3. */
    OFA_POP_VLAN,     /* strip_vlan in 1.0. */
    OFA_SET_VLAN_VID, /* In 1.3 a set_field (the frame has a tag); in 1.0 it adds a tag where none is. */
    OFA_SET_VLAN_PCP,
    OFA_SET_ETH_SRC,
    OFA_SET_ETH_DST,
    OFA_SET_IP_SRC,   /* ip; in 1.0 IPv4 only. */
    OFA_SET_IP_DST,
    OFA_SET_IP_DSCP,
    OFA_SET_TP_SRC,   /* number, and 'protocol' (6, 17, 132) says of which in 1.3. */
    OFA_SET_TP_DST,
    OFA_SET_QUEUE,    /* id; enqueue in 1.0, with port. */
    OFA_DEC_TTL,
    OFA_BUNDLE,       /* Nicira: hash to one live port of 'ports' by highest random weight; symmetric L3/L4 with UDP ports. */
    OFA_OTHER,        /* What is not above: 'wire' holds it, and is appended again as it is. */
};

struct of_action {
    enum of_action_kind kind;
    uint32_t port;
    uint16_t max_len;
    uint32_t id;
    uint16_t number; /* VID, ethertype, L4 port. */
    uint8_t byte;    /* PCP, DSCP. */
    uint8_t protocol;
    struct mac_address mac;
    struct ip_address ip;
    const uint16_t *ports; /* OFA_BUNDLE, encoding; borrowed.  16-bit port numbers.  Decoded: NULL, see of_bundle_port. */
    size_t n_ports;
    uint16_t basis;
    struct of_bytes wire; /* The action as it came, header included. */
};

/* The next action of a list; 1, 0 at the end, -EBADMSG (never on lists of a decoded message). */
int of_action_next(enum of_version version, struct of_bytes *list, struct of_action *ret);
/* Appends; -EPROTONOSUPPORT when the version has no such action, -ENOBUFS when it does not fit. */
int of_action_put(enum of_version version, struct writer *list, const struct of_action *action);

/* Port 'index' < n_ports of a decoded OFA_BUNDLE.  A decoded one is appended again with the ports of its 'wire'. */
uint16_t of_bundle_port(const struct of_action *bundle, size_t index);

/* ---- messages ------------------------------------------------------------------------------------------------------ */

struct of_hello {
    uint32_t versions; /* Bit N: wire version N.  From the bitmap element; without one, all up to the header's version. */
};

struct of_error {
    uint16_t type, code; /* As on the wire of this version. */
    struct of_bytes data;
};

/* "flow_mod_failed/table_full"; in a static or 'text' buffer.  Names both numbers when unknown. */
#define OF_ERROR_TEXT_SIZE 64
const char *of_error_text(enum of_version version, const struct of_error *error, char text[OF_ERROR_TEXT_SIZE]);

/* What an OpenFlow error message about a message that of_decode refused would say.  What 1.0 has no number for becomes its nearest.
 * Returns 0, or -ENOENT, with both untouched, when 'error->type' names no OpenFlow error. */
int of_error_reply(enum of_version version, const struct error *error, uint16_t *ret_type, uint16_t *ret_code);

enum of_port_config { OFPPC_PORT_DOWN = 1 << 0, OFPPC_NO_RECV = 1 << 2, OFPPC_NO_FWD = 1 << 5, OFPPC_NO_PACKET_IN = 1 << 6 };
enum of_port_state { OFPPS_LINK_DOWN = 1 << 0, OFPPS_BLOCKED = 1 << 1, OFPPS_LIVE = 1 << 2 };

struct of_port {
    uint32_t number;
    struct mac_address mac;
    char name[17]; /* Terminated; bytes that are not printable ASCII become '?'. */
    uint32_t config, state; /* Bits as above; 1.0's others are dropped, and it has no LIVE. */
    uint32_t current, advertised, supported, peer; /* OFPPF_ bits of 1.3. */
    uint32_t current_kbps, maximum_kbps;           /* 1.0: from 'current' and 'supported'. */
};
int of_port_next(enum of_version version, struct of_bytes *list, struct of_port *ret);
int of_port_put(enum of_version version, struct writer *list, const struct of_port *port);

struct of_features {
    uint64_t datapath_id;
    uint32_t n_buffers;
    uint8_t n_tables, auxiliary_id;
    uint32_t capabilities; /* OFPC_ bits, as the version has them. */
    uint32_t actions;      /* 1.0. */
    struct of_bytes ports; /* 1.0: of_port_next.  1.3: empty; ask for OFMP_PORT_DESC. */
};

struct of_config {
    uint16_t flags, miss_send_len;
};

enum of_packet_in_reason { OFPR_NO_MATCH = 0, OFPR_ACTION = 1, OFPR_INVALID_TTL = 2 };
struct of_packet_in {
    uint32_t buffer_id;
    uint16_t total_len;
    uint8_t reason, table_id;
    uint64_t cookie; /* 1.3; ~0 in 1.0. */
    uint32_t in_port;
    struct of_match match; /* 1.3; in 1.0 just the in_port. */
    struct of_bytes data;
};

struct of_packet_out {
    uint32_t buffer_id, in_port;
    struct of_bytes actions, data;
};

enum of_flow_command { OFPFC_ADD = 0, OFPFC_MODIFY, OFPFC_MODIFY_STRICT, OFPFC_DELETE, OFPFC_DELETE_STRICT };
enum of_flow_flag {
    OFPFF_SEND_FLOW_REM = 1 << 0,
    OFPFF_CHECK_OVERLAP = 1 << 1,
    OFPFF_RESET_COUNTS = 1 << 2,  /* This and the next two: 1.3. */
    OFPFF_NO_PKT_COUNTS = 1 << 3,
    OFPFF_NO_BYT_COUNTS = 1 << 4,
    OFPFF_EMERG = 1 << 15,        /* 1.0, where it is 1 << 2. */
};

/* What a flow does to a packet: instructions in 1.3, just 'apply_actions' in 1.0. */
struct of_instructions {
    struct of_bytes apply_actions, write_actions;
    bool clear_actions;
    uint8_t goto_table; /* OF_NO_TABLE: none.  So is 0, which no table may go to. */
    uint64_t metadata, metadata_mask; /* write_metadata when the mask is not 0. */
    uint32_t meter;     /* 0: none. */
    struct of_bytes others; /* A stretch that has the instructions of experimenters, as in struct of_match. */
};

struct of_flow_mod {
    uint64_t cookie, cookie_mask; /* The mask: 1.3 only. */
    uint8_t table_id;             /* 1.3; in 1.0 0 or OF_ALL_TABLES, which it does not say. */
    uint8_t command;
    uint16_t idle_timeout_s, hard_timeout_s, priority, flags;
    uint32_t buffer_id;
    uint32_t out_port, out_group; /* Of deletes: OFPP_ANY, OFPG_ANY are any.  Others have both at any, whatever they say here. */
    struct of_match match;
    struct of_instructions instructions; /* Deletes have none. */
};

enum of_flow_removed_reason { OFPRR_IDLE_TIMEOUT = 0, OFPRR_HARD_TIMEOUT, OFPRR_DELETE, OFPRR_GROUP_DELETE };
struct of_flow_removed {
    uint64_t cookie;
    uint16_t priority, idle_timeout_s, hard_timeout_s;
    uint8_t reason, table_id;
    uint32_t duration_s, duration_ns;
    uint64_t packets, bytes;
    struct of_match match;
};

enum of_port_reason { OFPPR_ADD = 0, OFPPR_DELETE, OFPPR_MODIFY };
struct of_port_status {
    uint8_t reason;
    struct of_port port;
};

enum of_group_command { OFPGC_ADD = 0, OFPGC_MODIFY, OFPGC_DELETE };
enum of_group_type { OFPGT_ALL = 0, OFPGT_SELECT, OFPGT_INDIRECT, OFPGT_FF };
struct of_group_mod {
    uint16_t command;
    uint8_t type;
    uint32_t group_id;
    struct of_bytes buckets; /* of_bucket_next. */
};
struct of_bucket {
    uint16_t weight;
    uint32_t watch_port, watch_group; /* OFPP_ANY, OFPG_ANY: none. */
    struct of_bytes actions;
};
int of_bucket_next(enum of_version version, struct of_bytes *list, struct of_bucket *ret);
int of_bucket_put(enum of_version version, struct writer *list, const struct of_bucket *bucket);

struct of_port_mod {
    uint32_t number;
    struct mac_address mac;
    uint32_t config, mask, advertise;
};

struct of_table_mod {
    uint8_t table_id;
    uint32_t config;
};

enum of_multipart {
    OFMP_DESC = 0, OFMP_FLOW = 1, OFMP_AGGREGATE = 2, OFMP_TABLE = 3, OFMP_PORT_STATS = 4, OFMP_QUEUE = 5, OFMP_GROUP = 6,
    OFMP_GROUP_DESC = 7, OFMP_GROUP_FEATURES = 8, OFMP_METER = 9, OFMP_METER_CONFIG = 10, OFMP_METER_FEATURES = 11,
    OFMP_TABLE_FEATURES = 12, OFMP_PORT_DESC = 13, OFMP_EXPERIMENTER = 0xffff,
};
#define OFMPF_MORE 1

/* FLOW and AGGREGATE. */
struct of_flow_request {
    uint8_t table_id; /* OF_ALL_TABLES. */
    uint32_t out_port, out_group;
    uint64_t cookie, cookie_mask;
    struct of_match match;
};

struct of_multipart_request {
    uint16_t type, flags;
    struct of_flow_request flow; /* FLOW, AGGREGATE. */
    uint32_t port;               /* PORT_STATS, QUEUE: OFPP_ANY is all. */
    uint32_t id;                 /* GROUP: OFPG_ALL; QUEUE, METER: the id. */
    struct of_bytes body;        /* TABLE_FEATURES, EXPERIMENTER: as it is. */
};

struct of_desc {
    char manufacturer[257], hardware[257], software[257], serial[33], datapath[257]; /* Terminated, printable ASCII. */
};

struct of_multipart_reply {
    uint16_t type, flags; /* OFMPF_MORE. */
    struct of_bytes body; /* By type: of_desc_get, of_port_next (PORT_DESC), of_flow_stats_next, of_port_stats_next, ... */
};

int of_desc_get(struct of_bytes body, struct of_desc *ret); /* 0 or -EBADMSG. */
int of_desc_put(struct writer *body, const struct of_desc *desc);

struct of_flow_stats {
    uint8_t table_id;
    uint32_t duration_s, duration_ns;
    uint16_t priority, idle_timeout_s, hard_timeout_s, flags; /* Flags: 1.3. */
    uint64_t cookie, packets, bytes;
    struct of_match match;
    struct of_instructions instructions;
};
int of_flow_stats_next(enum of_version version, struct of_bytes *list, struct of_flow_stats *ret);
int of_flow_stats_put(enum of_version version, struct writer *list, const struct of_flow_stats *stats);

struct of_aggregate {
    uint64_t packets, bytes;
    uint32_t n_flows;
};
int of_aggregate_get(struct of_bytes body, struct of_aggregate *ret);
int of_aggregate_put(struct writer *body, const struct of_aggregate *aggregate);

struct of_table_stats {
    uint8_t table_id;
    uint32_t n_active;
    uint64_t lookups, matches;
    uint32_t n_max; /* 1.0; 0 in 1.3. */
};
int of_table_stats_next(enum of_version version, struct of_bytes *list, struct of_table_stats *ret);
int of_table_stats_put(enum of_version version, struct writer *list, const struct of_table_stats *stats);

/* Counters that a switch does not have are ~0. */
struct of_port_stats {
    uint32_t number;
    uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, rx_dropped, tx_dropped, rx_errors, tx_errors, collisions;
    uint64_t rx_frame_errors, rx_overruns, rx_crc_errors;
    uint32_t duration_s; /* 1.3. */
};
int of_port_stats_next(enum of_version version, struct of_bytes *list, struct of_port_stats *ret);
int of_port_stats_put(enum of_version version, struct writer *list, const struct of_port_stats *stats);

/* GROUP_DESC. */
struct of_group_desc {
    uint8_t type;
    uint32_t group_id;
    struct of_bytes buckets;
};
int of_group_desc_next(enum of_version version, struct of_bytes *list, struct of_group_desc *ret);
int of_group_desc_put(enum of_version version, struct writer *list, const struct of_group_desc *desc);

/* GROUP. */
struct of_group_stats {
    uint32_t group_id, n_references, duration_s, duration_ns;
    uint64_t packets, bytes;
    struct of_bytes buckets; /* 16 bytes each: packets and bytes. */
};
int of_group_stats_next(enum of_version version, struct of_bytes *list, struct of_group_stats *ret);
int of_group_stats_put(enum of_version version, struct writer *list, const struct of_group_stats *stats);

enum of_role_kind { OFPCR_NOCHANGE = 0, OFPCR_EQUAL, OFPCR_MASTER, OFPCR_SLAVE }; /* 1.0 (Nicira): other 0, master 1, slave 2. */
struct of_role {
    uint32_t role;
    uint64_t generation_id; /* 1.3. */
};

/* Which asynchronous messages come: bits of reasons, [0] as master or equal, [1] as slave. */
struct of_async {
    uint32_t packet_in[2], port_status[2], flow_removed[2];
};

struct of_experimenter {
    uint32_t experimenter, type; /* 'type' is 0 when a 1.0 message has no room for it. */
    struct of_bytes data;        /* Behind both. */
};

struct of_message {
    enum of_kind kind;
    uint32_t xid;
    union {
        struct of_hello hello;
        struct of_error error;
        struct of_bytes echo;
        struct of_experimenter experimenter;
        struct of_features features;
        struct of_config config;
        struct of_packet_in packet_in;
        struct of_packet_out packet_out;
        struct of_flow_mod flow_mod;
        struct of_flow_removed flow_removed;
        struct of_port_status port_status;
        struct of_group_mod group_mod;
        struct of_port_mod port_mod;
        struct of_table_mod table_mod;
        struct of_multipart_request multipart_request;
        struct of_multipart_reply multipart_reply;
        struct of_role role;
        struct of_async async;
        struct of_bytes body; /* QUEUE_GET_CONFIG_*, METER_MOD: as it is. */
    };
};

/* How many bytes the message at the front of a stream has: its size (>= 8); 0 when fewer than 8 bytes are there;
 * -EBADMSG for a length below 8, which no stream recovers from. */
int of_frame(const void *bytes, size_t size);

/* Takes exactly one message apart.  The version is that of the connection: a message of another is -EPROTO, but for HELLO and ERROR,
 * which are read in any.  '*ret' borrows from 'bytes'.  Returns 0; -EBADMSG for lengths, paddings and lists that contradict each other,
 * -EPROTONOSUPPORT for a type that the version does not have; then '*error' (may be NULL) names message, field and value, and
 * 'error->type' is "OFPBRC_BAD_LEN" or the like: what an OpenFlow error message would say.  '*ret' then has its kind (0 if
 * unknown) and xid. */
int of_decode(enum of_version version, const void *bytes, size_t size, struct of_message *ret, struct error *error);

/* Appends one message.  Returns 0; -EPROTONOSUPPORT, -EMSGSIZE (longer than 65,535 bytes), -EINVAL (a value that has no
 * encoding), -ENOMEM: nothing was appended then. */
int of_encode(enum of_version version, const struct of_message *message, struct buffer *buffer);

#endif
