#include "weft/agent/questions.h"

#include <errno.h>
#include <stdlib.h>

#include "weft/base/clock.h"
#include "weft/base/util.h"

struct question {
    struct question *next;
    json_t *request;
    uint64_t came_ms;
};

struct questions {
    uv_idle_t idle; /* Runs while somebody waits: once a turn, before the loop looks at what came. */
    struct question *first, **last;
    size_t n;
    void (*answer)(const json_t *request, void *context);
    void *context;
};

bool question_is_long(const char *operation)
{
    return streq(operation, "connections") || streq(operation, "delete_connections") || streq(operation, "flows");
}

static struct question *take_first(struct questions *questions)
{
    struct question *question = questions->first;

    if (!question)
        return NULL;
    questions->first = question->next;
    if (!questions->first)
        questions->last = &questions->first;
    questions->n--;
    return question;
}

static void question_free(struct question *question)
{
    json_decref(question->request);
    free(question);
}

static void turn(uv_idle_t *idle)
{
    struct questions *questions = idle->data;
    uint64_t now_ms = clock_monotonic_ms();
    struct question *question = take_first(questions);

    while (question && now_ms - question->came_ms >= QUESTION_MAX_AGE_MS) {
        question_free(question);
        question = take_first(questions);
    }
    if (question) {
        questions->answer(question->request, questions->context);
        question_free(question);
    }
    if (!questions->first)
        uv_idle_stop(idle);
}

struct questions *questions_new(uv_loop_t *loop, void (*answer)(const json_t *request, void *context), void *context)
{
    struct questions *questions = calloc(1, sizeof(*questions));

    if (!questions)
        return NULL;
    questions->last = &questions->first;
    questions->answer = answer;
    questions->context = context;
    uv_idle_init(loop, &questions->idle);
    questions->idle.data = questions;
    return questions;
}

static void closed(uv_handle_t *handle)
{
    free(handle->data);
}

void questions_free(struct questions *questions)
{
    struct question *question;

    if (!questions)
        return;
    while ((question = take_first(questions)))
        question_free(question);
    uv_close((uv_handle_t *)&questions->idle, closed);
}

int questions_add(struct questions *questions, json_t *request, uint64_t came_ms)
{
    struct question *question;

    if (questions->n >= QUESTIONS_MAX)
        return -ENOBUFS;
    question = calloc(1, sizeof(*question));
    if (!question)
        return -ENOMEM;
    question->request = json_incref(request);
    question->came_ms = came_ms;
    *questions->last = question;
    questions->last = &question->next;
    questions->n++;
    return uv_idle_start(&questions->idle, turn);
}
