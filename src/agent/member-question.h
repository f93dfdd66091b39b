/* What a health monitor asks the members of its pool, and what it makes of the answers: Octavia's words as the health library's.  Pure. */
#ifndef WEFT_AGENT_MEMBER_QUESTION_H
#define WEFT_AGENT_MEMBER_QUESTION_H

#include "weft/base/buffer.h"
#include "weft/health/monitor.h"
#include "weft/health/question.h"
#include "weft/model/objects.h"

/* The caller owns the question.  0, -EINVAL with '*error' (what no API should let pass), or -ENOMEM; '*ret' is untouched on failure. */
int member_question_new(const struct health_monitor *monitor, struct health_question **ret, struct error *error);

/* 'is_known': something is known of the member already, so that its first probe may wait for as long as any other. */
struct health_rules member_rules(const struct health_monitor *monitor, bool is_known);

/* All that decides what is asked, when, and what follows: two monitors of one text do the same.  Appends to 'text'; 0 or -ENOMEM. */
int member_question_text(const struct health_monitor *monitor, struct buffer *text);

const char *member_monitor_type(const struct health_monitor *monitor); /* "TCP", as in the API. */

#endif
