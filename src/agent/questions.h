/* Questions of the API that walk the whole table of connections.  They wait in line: one walk per turn of the loop, so that frames of workloads, commits
 * and reports come in between, however many ask.  Whom the API has given up waiting for is not worked for. */
#ifndef WEFT_AGENT_QUESTIONS_H
#define WEFT_AGENT_QUESTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define QUESTION_MAX_AGE_MS 3000 /* The API waits as long. */
#define QUESTIONS_MAX 4096       /* In line. */

struct questions;

/* Does the operation walk the table? */
bool question_is_long(const char *operation);

/* 'answer' is called from the loop; the request is the queue's.  NULL when out of memory. */
struct questions *questions_new(uv_loop_t *loop, void (*answer)(const json_t *request, void *context), void *context);
/* What waits is forgotten.  The loop has to run once more before it is closed.  NULL is let pass. */
void questions_free(struct questions *questions);

/* Takes a reference.  'came_ms' is clock_monotonic_ms() of when it came.  0, -ENOBUFS when too many wait, -ENOMEM. */
int questions_add(struct questions *questions, json_t *request, uint64_t came_ms);

#endif
