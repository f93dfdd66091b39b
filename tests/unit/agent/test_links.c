/* Interfaces are read while they come and go, in a network namespace of the test's own. */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "weft/agent/links.h"

#define N_STEADY 600 /* More than one answer of the kernel holds. */

static void ignore(void *context)
{
}

static void make_links(void)
{
    FILE *ip = popen("ip -batch -", "w");

    assert_non_null(ip);
    for (int i = 0; i < N_STEADY; i++)
        fprintf(ip, "link add steady%d type bridge\n", i);
    assert_int_equal(pclose(ip), 0);
}

static pid_t begin_churn(void)
{
    pid_t child = fork();

    if (child == 0) {
        setpgid(0, 0); /* With its own children it is killed as one. */
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        FILE *ip = popen("exec ip -force -batch - >/dev/null 2>&1", "w");

        for (unsigned i = 0; ip && !ferror(ip); i++)
            fprintf(ip, "link add churn%u type bridge\nlink del churn%u\n", i % 8, i % 8);
        _exit(0);
    }
    return child;
}

static void a_list_that_changes_is_read_to_its_end(void **state)
{
    uv_loop_t loop;
    pid_t churn;

    if (unshare(CLONE_NEWNET) < 0) /* Needs root. */
        skip();
    make_links();
    churn = begin_churn();
    setpgid(churn, churn);
    alarm(40); /* It would wait for ever. */
    for (int round = 0; round < 40; round++) {
        struct links links;
        struct error error = {0};
        char name[16];

        uv_loop_init(&loop);
        assert_int_equal(links_open(&links, &loop, ignore, NULL, &error), 0);
        for (int i = 0; i < N_STEADY; i++) {
            snprintf(name, sizeof(name), "steady%d", i);
            if (!links_find_name(&links, name))
                fail_msg("round %d: '%s' is missing", round, name);
        }
        links_close(&links);
        uv_close((uv_handle_t *)&links.poll, NULL);
        uv_run(&loop, UV_RUN_DEFAULT);
        uv_loop_close(&loop);
    }
    kill(-churn, SIGTERM);
    waitpid(churn, NULL, 0);
}

static void shell(const char *command)
{
    if (system(command) != 0)
        fail_msg("'%s' failed", command);
}

static void count(void *context)
{
    ++*(unsigned *)context;
}

/* What the kernel said since the last time, in one batch. */
static void read_batch(uv_loop_t *loop, const unsigned *n_batches)
{
    unsigned before = *n_batches;

    while (*n_batches == before)
        uv_run(loop, UV_RUN_ONCE);
}

/* A program that was attached to the interface went with it: who compares index and name alone misses that. */
static void an_interface_that_comes_back_is_another_one(void **state)
{
    static const char *const changes[] = {
        /* A new one with the same index and name. */
        "printf 'link del tapx\nlink add tapx index 77 type bridge\n' | ip -batch -",
        /* The same one, that was in another namespace meanwhile. */
        "ip link set tapx netns elsewhere && ip -n elsewhere link set tapx netns $PPID",
    };
    struct error error = {0};
    unsigned n_batches = 0;
    struct links links;
    uv_loop_t loop;
    uint64_t before;

    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) /* Needs root. */
        skip();
    shell("mount --make-rprivate / && mkdir -p /run/netns && mount -t tmpfs none /run/netns && ip netns add elsewhere && "
          "ip link add peer index 78 type bridge && ip link add tapx index 77 type veth peer name tapy");
    uv_loop_init(&loop);
    assert_int_equal(links_open(&links, &loop, count, &n_batches, &error), 0);
    before = links_find_name(&links, "tapx")->incarnation;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        shell(i ? "ip link del tapx; ip link add tapx index 77 type veth peer name tapy" : "true");
        if (i) {
            read_batch(&loop, &n_batches);
            before = links_find_name(&links, "tapx")->incarnation;
        }
        shell("ip link set tapx mtu 1400"); /* A change of the same one. */
        read_batch(&loop, &n_batches);
        assert_int_equal(before, links_find_name(&links, "tapx")->incarnation);
        shell(changes[i]);
        read_batch(&loop, &n_batches);
        assert_int_equal(77, links_find_name(&links, "tapx")->ifindex);
        assert_int_not_equal(before, links_find_name(&links, "tapx")->incarnation);
    }
    links_close(&links);
    uv_close((uv_handle_t *)&links.poll, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_that_changes_is_read_to_its_end),
        cmocka_unit_test(an_interface_that_comes_back_is_another_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
