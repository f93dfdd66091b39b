/* Where the table of commands is kept, a file for each field of it; and what they share: how flags are written down, and groups of flags that
 * most resources have.  commands.c puts them together. */
#ifndef WEFT_CLI_COMMANDS_TABLES_H
#define WEFT_CLI_COMMANDS_TABLES_H

#include "weft/cli/command.h"

/* A flag whose value is one attribute; one that takes no value; one that the command reads itself. */
#define ATTRIBUTE(name_, placeholder_, help_, encoding_, attribute_)                                                   \
    {.name = name_, .type = FLAG_VALUE, .placeholder = placeholder_, .help = help_, .encoding = encoding_,             \
     .attribute = attribute_}
#define NAMED(name_, placeholder_, help_, completion_, encoding_, attribute_)                                          \
    {.name = name_, .type = FLAG_VALUE, .placeholder = placeholder_, .help = help_, .completion = completion_,         \
     .encoding = encoding_, .attribute = attribute_}
#define CHOICE(name_, placeholder_, help_, choices_, encoding_, attribute_)                                            \
    {.name = name_, .type = FLAG_VALUE, .placeholder = placeholder_, .help = help_, .completion = COMPLETE_CHOICES,    \
     .choices = choices_, .encoding = encoding_, .attribute = attribute_}
#define ITEM(name_, placeholder_, help_, encoding_, attribute_)                                                        \
    {.name = name_, .type = FLAG_REPEATED, .placeholder = placeholder_, .help = help_, .encoding = encoding_,          \
     .attribute = attribute_}
#define SWITCH(name_, help_, encoding_, attribute_)                                                                    \
    {.name = name_, .type = FLAG_PRESENT, .help = help_, .encoding = encoding_, .attribute = attribute_}
#define OWN(name_, placeholder_, help_, completion_)                                                                   \
    {.name = name_, .type = FLAG_VALUE, .placeholder = placeholder_, .help = help_, .completion = completion_}
#define OWN_CHOICE(name_, placeholder_, help_, choices_)                                                               \
    {.name = name_, .type = FLAG_VALUE, .placeholder = placeholder_, .help = help_, .completion = COMPLETE_CHOICES,    \
     .choices = choices_}
#define OWN_SWITCH(name_, help_) {.name = name_, .type = FLAG_PRESENT, .help = help_}
#define END {.name = NULL}

/* Groups of flags. */
extern const struct flag common_attributes[]; /* description */
extern const struct flag state_attributes[];  /* admin_state_up */
extern const struct flag owner[];             /* Whose a new object is. */
extern const struct flag change[];            /* Of 'set'. */
extern const struct flag name_filter[];       /* Of 'list', as the next. */
extern const struct flag filters[];
extern const struct flag keep_binding[];  /* Of what takes a device from a port. */

#define SET_DETAILS "What is not given stays.  A list (a flag that repeats) is replaced as a whole."

/* The tables; each ends with a NULL name. */
extern const struct command commands_networks[], commands_ports[], commands_security[], commands_firewall[], commands_logs[],
    commands_routing[], commands_load_balancing[], commands_metadata[], commands_hosts[], commands_seeing[], commands_director[],
    commands_lab[], commands_identity[], commands_fabric[];

#endif
