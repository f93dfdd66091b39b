/* A program, and its exit status. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/health/probe-state.h"

static void process_closed(uv_handle_t *handle)
{
    probe_handle_closed(handle->data);
}

static void close_process(struct health_probe *probe)
{
    if (!uv_is_closing((uv_handle_t *)&probe->misc.process))
        uv_close((uv_handle_t *)&probe->misc.process, process_closed);
}

static void exited(uv_process_t *process, int64_t status, int by_signal)
{
    struct health_probe *probe = process->data;

    probe->misc.is_running = false;
    close_process(probe);
    if (probe->is_over)
        return; /* Killed, its time is over. */
    if (by_signal) {
        probe_finish(probe, false, "ended by signal %d (%s)", by_signal, strsignal(by_signal));
        return;
    }
    probe->result.exit_status = (int)status;
    probe_finish(probe, status == 0 || (probe->asked->misc.may_set_weight && status >= 2 && status <= 255), "exit status %d", (int)status);
}

static void start(struct health_probe *probe)
{
    const struct health_misc *misc = &probe->asked->misc;
    uv_stdio_container_t nothing[3] = {{.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
    uv_process_options_t options = {
        .exit_cb = exited,
        .file = misc->arguments[0],
        .args = (char **)misc->arguments, /* Not written to. */
        .cwd = "/",
        .flags = UV_PROCESS_DETACHED | (misc->has_user ? UV_PROCESS_SETUID | UV_PROCESS_SETGID : 0), /* A session, so a group, of its own. */
        .stdio_count = ARRAY_SIZE(nothing),
        .stdio = nothing,
        .uid = misc->user,
        .gid = misc->group,
    };
    int r = uv_spawn(probe->prober->loop, &probe->misc.process, &options);

    probe->misc.has_handle = true; /* Also if it was not started. */
    probe->misc.process.data = probe;
    probe->misc.is_running = r == 0;
    probe_handle_added(probe);
    if (r < 0) {
        close_process(probe);
        probe_finish(probe, false, "cannot start %s: %s", misc->arguments[0], strerror(-r));
        probe->result.was_asked = r != -ENOMEM && r != -EAGAIN && r != -EMFILE && r != -ENFILE;
    }
}

/* The group's id is the pid, which stays the program's own until the exit is seen.  The handle stays until then, so that no zombie is left. */
static void stop(struct health_probe *probe)
{
    if (probe->misc.is_running)
        kill(-probe->misc.process.pid, SIGKILL);
}

void probe_misc_abandon(struct health_probe *probe)
{
    if (probe->misc.has_handle)
        close_process(probe);
}

const struct probe_kind probe_misc = {.start = start, .stop = stop};
