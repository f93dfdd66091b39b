/* Commands as data: the one table (commands.c, commands/) from which parsing, help, completion and the man page's check come.
 *
 *     argv -> command_parse -> struct call -> call->command->run(call) -> exit status
 *
 * A command is named by one to three words ("port plug").  Flags may stand anywhere behind it, as --name=VALUE or
 * --name VALUE; the global ones (--output, --os-...) anywhere at all.  "--" ends flags. */
#ifndef WEFT_CLI_COMMAND_H
#define WEFT_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "weft/base/error.h"

/* Exit statuses, as in weft(1). */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,       /* The request was refused or went wrong. */
    EXIT_USAGE = 2,        /* The command line is wrong; nothing was sent. */
    EXIT_NOT_FOUND = 3,
    EXIT_DENIED = 4,       /* Not authenticated, or not allowed. */
    EXIT_UNREACHABLE = 5,  /* Nobody answers at the API's, the agent's or weft-fabric's address. */
};

/* What a shell offers for an argument or a flag's value. */
enum completion {
    COMPLETE_NOTHING,
    COMPLETE_CHOICES,      /* The words of 'choices'. */
    COMPLETE_FILE,
    COMPLETE_INTERFACE,    /* A network device of this namespace. */
    COMPLETE_NETNS,        /* A name of /run/netns. */
    COMPLETE_NETWORK,      /* From here on: names the API lists. */
    COMPLETE_SUBNET,
    COMPLETE_PORT,
    COMPLETE_ROUTER,
    COMPLETE_FLOATING_IP,
    COMPLETE_HOST,
    COMPLETE_PROJECT,
    COMPLETE_USER,
    COMPLETE_ROLE,
    COMPLETE_SECURITY_GROUP,
    COMPLETE_SECURITY_GROUP_RULE,
    COMPLETE_ADDRESS_GROUP,
    COMPLETE_ADDRESS_SCOPE,
    COMPLETE_SUBNET_POOL,
    COMPLETE_DEFAULT_RULE,
    COMPLETE_FIREWALL_GROUP,
    COMPLETE_FIREWALL_POLICY,
    COMPLETE_FIREWALL_RULE,
    COMPLETE_LOG,
    COMPLETE_LOAD_BALANCER,
    COMPLETE_LISTENER,
    COMPLETE_POOL,
    COMPLETE_HEALTH_MONITOR,
    COMPLETE_FABRIC_SWITCH, /* From here on: names weft-fabric lists. */
    COMPLETE_FABRIC_HOST,
    COMPLETE_FABRIC_END,    /* A host or a switch. */
    COMPLETE_FABRIC_SLICE,
};

/* How a flag's text becomes a value of the request (request.h).  ENCODE_NONE: the command itself reads it. */
enum encoding {
    ENCODE_NONE,
    ENCODE_STRING,
    ENCODE_STRING_OR_NULL, /* "none" is null. */
    ENCODE_NUMBER,
    ENCODE_TRUE,           /* The flag takes no value. */
    ENCODE_FALSE,
    ENCODE_BOOLEAN,        /* "true" or "false". */
    ENCODE_NULL,           /* The flag takes no value. */
    ENCODE_EMPTY_LIST,     /* The same. */
    ENCODE_STRING_ITEM,    /* One more item of a list. */
    ENCODE_NETWORK,        /* A name or id, sent as id. */
    ENCODE_SUBNET,
    ENCODE_PORT,
    ENCODE_ROUTER,
    ENCODE_PROJECT,
    ENCODE_SECURITY_GROUP,
    ENCODE_SECURITY_GROUP_ITEM, /* One more item of a list of ids. */
    ENCODE_ADDRESS_GROUP,
    ENCODE_ADDRESS_SCOPE,  /* "none" is null. */
    ENCODE_SUBNET_POOL,
    ENCODE_PORT_ITEM,      /* One more item of a list of ids, as the next. */
    ENCODE_FIREWALL_RULE_ITEM,
    ENCODE_FIREWALL_POLICY,
    ENCODE_FIREWALL_GROUP,
    ENCODE_LOAD_BALANCER,
    ENCODE_LISTENER,
    ENCODE_LB_POOL,        /* A load balancer's pool of servers. */
    ENCODE_POOL,           /* FIRST-LAST */
    ENCODE_HOST_ROUTE,     /* DESTINATION=NEXTHOP */
    ENCODE_FIXED_IP,       /* ADDRESS, or subnet=S[,ip=A] */
    ENCODE_FIXED_IP_FILTER, /* ADDRESS, as the list filter ip_address=ADDRESS. */
    ENCODE_ADDRESS_PAIR,   /* PREFIX[=MAC] */
    ENCODE_DHCP_OPTION,    /* NAME=VALUE[,ip-version=N] */
};

enum flag_type {
    FLAG_PRESENT,          /* Takes no value. */
    FLAG_VALUE,            /* The last one given counts. */
    FLAG_REPEATED,
};

struct flag {
    const char *name;      /* Without the dashes. */
    char letter;           /* "-o", or 0. */
    enum flag_type type;
    const char *placeholder; /* NULL for FLAG_PRESENT. */
    const char *help;      /* One line, no full stop. */
    enum completion completion;
    const char *choices;   /* Words with single spaces between, or NULL. */
    enum encoding encoding;
    const char *attribute; /* The API's name of what it sets, "a.b" for b in the object a; NULL with ENCODE_NONE. */
};

struct argument {
    const char *name;      /* "PORT" */
    bool is_optional;
    bool is_rest;          /* This and all that follow. */
    bool is_program;       /* A command of its own: what follows its first word is not ours to read. */
    enum completion completion;
    const char *choices;
};

#define COMMAND_MAX_ARGUMENTS 3
#define COMMAND_MAX_FLAG_GROUPS 6

struct call;
struct resource;

struct command {
    const char *name;      /* Words with single spaces between. */
    const char *help;      /* One line. */
    struct argument arguments[COMMAND_MAX_ARGUMENTS];
    const struct flag *flags[COMMAND_MAX_FLAG_GROUPS]; /* Arrays that end with a NULL name. */
    int (*run)(struct call *call); /* Returns 0 or -errno, with call->error set. */
    const struct resource *resource;
    const char *details;   /* Paragraphs for --help, or NULL. */
    bool is_offline;       /* Needs no API; 'fabric' has weft-fabric instead. */
};

extern const struct command *const command_tables[]; /* Ends with NULL; each with a NULL name. */

/* All commands; the body may 'continue', not 'break'. */
#define COMMAND_FOREACH(each)                                                                                          \
    for (const struct command *const *each##_table = command_tables; *each##_table; each##_table++)                    \
        for (const struct command *each = *each##_table; each->name; each++)

extern const struct flag global_flags[];

struct flag_value {
    const struct flag *flag;
    const char *text;      /* Borrowed from argv; "" for FLAG_PRESENT. */
};

#define CALL_MAX_VALUES 256

struct session;

/* A command line, understood.  Strings are borrowed from argv. */
struct call {
    const struct command *command;
    const char *const *arguments;
    size_t n_arguments;
    struct flag_value values[CALL_MAX_VALUES];
    size_t n_values;
    bool wants_help;
    bool wants_version;
    char *words[CALL_MAX_VALUES];  /* What is neither a flag nor its value. */
    size_t n_words;
    struct session *session;       /* session.h; set before run. */
    struct error error;
};

/* Fills '*call'.  With wants_help or wants_version set, 'command' may be NULL and the arguments are not checked.
 * Returns 0, or -EINVAL with call->error naming what is wrong and, for a misspelt word, the nearest right one. */
int command_parse(int argc, char **argv, struct call *call);

/* The text of a flag's last occurrence, NULL when it was not given; "" for a present FLAG_PRESENT. */
const char *call_flag(const struct call *call, const char *name);

/* An argument, or NULL when it was left out. */
const char *call_argument(const struct call *call, size_t index);

/* Help for the words given so far: a command, a group of commands ("port"), or everything when 'n_words' is 0. */
void command_help(FILE *out, char *const *words, size_t n_words);

/* Whether 'name' begins with the words given; 'n_words' 0 is always true. */
bool command_has_words(const struct command *command, char *const *words, size_t n_words);
size_t command_n_words(const struct command *command);

/* Calls 'visit' for each flag of 'command' (may be NULL), then for the global ones. */
void command_each_flag(const struct command *command, void (*visit)(const struct flag *flag, void *data), void *data);

/* Edits (insert, delete, replace, swap of neighbours) that make 'a' into 'b'; for suggestions. */
size_t edit_distance(const char *a, const char *b);

#endif
