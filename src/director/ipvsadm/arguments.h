/* ipvsadm's command line: what is asked for, or the words in which ipvsadm refuses it.
 *
 * The commands, options, defaults, messages and exit statuses are those of ipvsadm 1.31 (its manual page, and what it
 * does when it is run: tests/kernel compares).  Ours beside them: --full-nat, --dscp N, --tun-type vxlan with --tun-vni
 * N, which the kernel's IPVS does not have. */
#ifndef WEFT_DIRECTOR_IPVSADM_ARGUMENTS_H
#define WEFT_DIRECTOR_IPVSADM_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "weft/director/service.h"

/* Exit statuses: of a command line that makes no sense; of one that cannot be done, or not be read at all. */
#define IPVSADM_BAD_OPTIONS 2
#define IPVSADM_FAILED 255

enum ipvsadm_command {
    IPVSADM_ADD_SERVICE,
    IPVSADM_EDIT_SERVICE,
    IPVSADM_DELETE_SERVICE,
    IPVSADM_CLEAR,
    IPVSADM_RESTORE,
    IPVSADM_SAVE,
    IPVSADM_ADD_SERVER,
    IPVSADM_EDIT_SERVER,
    IPVSADM_DELETE_SERVER,
    IPVSADM_LIST,
    IPVSADM_ZERO,
    IPVSADM_SET,
    IPVSADM_START_DAEMON,
    IPVSADM_STOP_DAEMON,
    IPVSADM_HELP,
    IPVSADM_VERSION,
    N_IPVSADM_COMMANDS,
};

/* In the order in which ipvsadm complains about them. */
enum ipvsadm_option {
    OPTION_NUMERIC,
    OPTION_CONNECTION,
    OPTION_SERVICE,
    OPTION_SCHEDULER,
    OPTION_PERSISTENT,
    OPTION_NETMASK,
    OPTION_SERVER,
    OPTION_FORWARD,
    OPTION_WEIGHT,
    OPTION_UPPER,
    OPTION_LOWER,
    OPTION_MCAST_INTERFACE,
    OPTION_TIMEOUT,
    OPTION_DAEMON,
    OPTION_STATS,
    OPTION_RATE,
    OPTION_THRESHOLDS,
    OPTION_PERSISTENT_CONN,
    OPTION_NOSORT,
    OPTION_SYNCID,
    OPTION_EXACT,
    OPTION_OPS,
    OPTION_ENGINE,
    OPTION_FLAGS,
    OPTION_SYNC_MAXLEN,
    OPTION_MCAST_GROUP,
    OPTION_MCAST_PORT,
    OPTION_MCAST_TTL,
    OPTION_TUN_INFO,
    OPTION_TUN_TYPE,
    OPTION_TUN_PORT,
    OPTION_TUN_NOCSUM,
    OPTION_TUN_CSUM,
    OPTION_TUN_REMCSUM,
    OPTION_TUN_VNI,
    OPTION_DSCP,
    N_IPVSADM_OPTIONS,
};

struct ipvsadm_call {
    enum ipvsadm_command command;
    uint64_t options;               /* Bits by enum ipvsadm_option: what was given. */
    struct virtual_service service; /* Its key; of -A and -E everything that ipvsadm can say. */
    const char *flags;              /* -b, as it was given; borrowed from the words. */
    bool is_known;                  /* False: the scheduler or the persistence engine is none that there is. */
    struct real_server server;
    bool has_server_port;                /* Else it is the service's. */
    struct connection_timeouts timeouts; /* --set; 0 keeps. */
};

struct ipvsadm_refusal {
    int status;
    char text[512]; /* Without its last newline. */
};

static inline bool ipvsadm_has(const struct ipvsadm_call *call, enum ipvsadm_option option)
{
    return call->options >> option & 1;
}

/* 'argv' is NULL-terminated, argv[0] the program, which messages name.  Names of hosts and ports are looked up, which
 * may wait.  0, or -EINVAL with '*ret_refusal'. */
int ipvsadm_parse(char *const *argv, struct ipvsadm_call *ret_call, struct ipvsadm_refusal *ret_refusal);

/* The names of a scheduler's flags, by which the listings show them and -b takes them: "sh-port", "flag-2". */
const char *ipvsadm_flag_name(enum scheduler scheduler, uint32_t flag);

/* What -h prints. */
extern const char ipvsadm_help[];

#endif
