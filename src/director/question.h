/* A check of the configuration as a probe's question, its target and its rules (health/question.h, health/monitor.h). */
#ifndef WEFT_DIRECTOR_QUESTION_H
#define WEFT_DIRECTOR_QUESTION_H

#include "weft/director/service.h"
#include "weft/health/monitor.h"
#include "weft/health/question.h"

/* A URL's regular expression, whose texts it borrows. */
static inline struct health_regex_options check_url_regex(const struct check_url *url)
{
    return (struct health_regex_options){
        .pattern = url->regex,
        .options = url->regex_options,
        .min_offset = url->regex_min_offset,
        .max_offset = url->regex_max_offset,
    };
}

/* The caller owns a reference.  0, -EINVAL or -ENOMEM, with '*error'. */
int check_question(const struct health_check *check, struct health_question **ret, struct error *error);
struct health_target check_target(const struct virtual_service *service, const struct real_server *server, const struct health_check *check);
/* Does it ask the virtual address, by the way of the traffic?  With CHECK_PATH_AUTO: whenever that can be. */
bool check_goes_by_traffic(const struct virtual_service *service, const struct real_server *server, const struct health_check *check);
/* Does it, besides, go in GUE with a chain, as packets to a server with second chances do once their row has a history? */
bool check_goes_in_chain(const struct virtual_service *service, const struct real_server *server, const struct health_check *check);
/* The target of one that does; who opens its sockets is the caller's to fill in. */
struct health_target check_traffic_target(const struct virtual_service *service, const struct health_check *check);
struct health_rules check_rules(const struct health_check *check);

/* Splits a command line at blanks; "..." and '...' keep them, a backslash outside of '...' takes the next character as it is.  Stores an array
 * that ends with NULL, whose elements are in the same block: free(3) frees all.  0, -EINVAL (an open quote, nothing), -ENOMEM. */
int command_split(const char *line, char ***ret_arguments);

#endif
