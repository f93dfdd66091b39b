#include "weft/director/notices.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/cleanup.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/director/question.h"
#include "weft/director/service.h"

extern char **environ;

#define VARIABLES_MAX 3

struct task {
    struct task *next;
    char **arguments;
    char variables[VARIABLES_MAX][SERVICE_TEXT_SIZE + 16];
    unsigned n_variables;
};

struct notices {
    uv_loop_t *loop;
    uv_process_t process;
    uv_timer_t deadline;
    struct task *first, **last; /* The first one runs, if one does. */
    size_t n;
    uint32_t limit_ms;
    bool is_running, is_closing, is_late;
    void (*closed)(void *context), *closed_context;
};

static void run_first(struct notices *notices);

static void free_task(struct task *task)
{
    if (task)
        free(task->arguments);
    free(task);
}
DEFINE_CLEANUP(struct task *, free_task);

static void drop_first(struct notices *notices)
{
    struct task *task = notices->first;

    notices->first = task->next;
    if (!notices->first)
        notices->last = &notices->first;
    notices->n--;
    free_task(task);
}

static void deadline_closed(uv_handle_t *handle)
{
    struct notices *notices = handle->data;

    if (notices->closed)
        notices->closed(notices->closed_context);
    free(notices);
}

static void close_rest(struct notices *notices)
{
    while (notices->first)
        drop_first(notices);
    uv_close((uv_handle_t *)&notices->deadline, deadline_closed);
}

static void process_closed(uv_handle_t *handle)
{
    struct notices *notices = handle->data;

    notices->is_running = false;
    drop_first(notices);
    if (notices->is_closing)
        close_rest(notices);
    else
        run_first(notices);
}

static void exited(uv_process_t *process, int64_t status, int by_signal)
{
    struct notices *notices = process->data;
    const char *program = notices->first->arguments[0];

    uv_timer_stop(&notices->deadline);
    if (notices->is_late)
        log_warning("%s: killed after %u ms", program, notices->limit_ms);
    else if (by_signal)
        log_warning("%s: ended by signal %d (%s)", program, by_signal, strsignal(by_signal));
    else if (status)
        log_warning("%s: exit status %d", program, (int)status);
    uv_close((uv_handle_t *)process, process_closed);
}

static void late(uv_timer_t *timer)
{
    struct notices *notices = timer->data;

    notices->is_late = true;
    kill(-notices->process.pid, SIGKILL); /* The number is the group's until its exit is seen. */
}

/* This program's, and the task's.  The caller frees the array; NULL without memory. */
static char **environment_of(struct task *task)
{
    size_t n = 0;
    char **all;

    while (environ[n])
        n++;
    all = calloc(n + VARIABLES_MAX + 1, sizeof(*all));
    for (size_t i = 0; all && i < n; i++)
        all[i] = environ[i];
    for (size_t i = 0; all && i < task->n_variables; i++)
        all[n + i] = task->variables[i];
    return all;
}

static void run_first(struct notices *notices)
{
    uv_stdio_container_t nothing[3] = {{.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
    struct task *task = notices->first;
    _cleanup_(freep) char **environment = NULL;
    int result;

    if (!task || notices->is_running)
        return;
    environment = environment_of(task);
    uv_process_options_t options = {.exit_cb = exited, .file = task->arguments[0], .args = task->arguments, .env = environment, .cwd = "/",
                                    .flags = UV_PROCESS_DETACHED, .stdio_count = ARRAY_SIZE(nothing), .stdio = nothing};
    notices->is_running = true;
    notices->is_late = false;
    result = uv_spawn(notices->loop, &notices->process, &options); /* Without memory for more: with this program's environment. */
    notices->process.data = notices;
    if (result < 0) {
        log_warning("cannot start %s: %s", task->arguments[0], strerror(-result));
        uv_close((uv_handle_t *)&notices->process, process_closed);
        return;
    }
    uv_timer_start(&notices->deadline, late, notices->limit_ms, 0);
}

static void add_variable(struct task *task, const char *name, const char *value)
{
    if (value)
        snprintf(task->variables[task->n_variables++], sizeof(task->variables[0]), "%s=%s", name, value);
}

int notices_new(uv_loop_t *loop, uint32_t limit_ms, struct notices **ret)
{
    struct notices *notices = calloc(1, sizeof(*notices));

    if (!notices)
        return -ENOMEM;
    notices->loop = loop;
    notices->limit_ms = limit_ms;
    notices->last = &notices->first;
    uv_timer_init(loop, &notices->deadline);
    notices->deadline.data = notices;
    *ret = notices;
    return 0;
}

void notices_add(struct notices *notices, const struct notice *notice)
{
    _cleanup_(free_taskp) struct task *task = notices->n < NOTICES_MAX ? calloc(1, sizeof(*task)) : NULL;
    int result = task ? command_split(notice->command, &task->arguments) : notices->n < NOTICES_MAX ? -ENOMEM : -ENOBUFS;

    if (notices->is_closing)
        return;
    if (result < 0) {
        log_warning("%s: %s is told to nobody: %s", notice->service, notice->event, strerror(-result));
        return;
    }
    add_variable(task, "WEFT_EVENT", notice->event);
    add_variable(task, "WEFT_SERVICE", notice->service);
    add_variable(task, "WEFT_SERVER", notice->server);
    *notices->last = task;
    notices->last = &task->next;
    notices->n++;
    task = NULL;
    run_first(notices);
}

void notices_close(struct notices *notices, void (*closed)(void *context), void *context)
{
    notices->is_closing = true;
    notices->closed = closed;
    notices->closed_context = context;
    if (!notices->is_running)
        close_rest(notices);
    else if (uv_is_active((uv_handle_t *)&notices->process))
        kill(-notices->process.pid, SIGKILL);
}
