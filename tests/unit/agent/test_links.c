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
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "weft/agent/links.h"
#include "weft/agent/underlay.h"

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
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

#define N_BURST 30 /* Far more than the smallest buffer has room for. */

static void shrink_buffer(struct netlink_watch *watch)
{
    int size = 1; /* The kernel makes it the least that it allows. */

    assert_int_equal(setsockopt(mnl_socket_get_fd(watch->socket), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
}

/* libuv stops watching a socket that has an error; and what was in the buffer when it was full is older than what is listed then: the
 * message that an interface is there, of one whose end was lost. */
static void interfaces_are_followed_after_messages_were_lost(void **state)
{
    struct error error = {0};
    unsigned n_batches = 0;
    struct links links;
    char name[16];
    uv_loop_t loop;

    if (unshare(CLONE_NEWNET) < 0) /* Needs root. */
        skip();
    alarm(60); /* It would wait for ever. */
    uv_loop_init(&loop);
    assert_int_equal(links_open(&links, &loop, count, &n_batches, &error), 0);
    shrink_buffer(&links.watch);
    for (int round = 0; round < 2; round++) { /* It can happen again. */
        shell("(for i in $(seq 0 29); do echo link add lost$i group 7 type bridge; done; echo link del lost0; echo link del lost1) | ip -batch -");
        read_batch(&loop, &n_batches);
        for (int i = 0; i < N_BURST; i++) {
            snprintf(name, sizeof(name), "lost%d", i);
            if (!links_find_name(&links, name) != (i < 2))
                fail_msg("round %d: '%s' is %s", round, name, i < 2 ? "still there" : "missing");
        }
        shell("ip link add later group 7 type bridge");
        while (!links_find_name(&links, "later"))
            uv_run(&loop, UV_RUN_ONCE);
        shell("ip link del group 7");
        while (links_find_name(&links, "later") || links_find_name(&links, "lost29"))
            uv_run(&loop, UV_RUN_ONCE);
    }
    links_close(&links);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    alarm(0);
}

static bool is_known(struct underlay *underlay, const char *text)
{
    struct host_config host = {0};
    struct ip_address address, none = {0};

    assert_int_equal(ip_parse(text, &address), 0);
    underlay_resolve(underlay, &none, &address, &host);
    return host.flags & HOST_MAC_KNOWN;
}

/* Asking for one that is not known would have the kernel forget what it was told of it. */
static void wait_for_neighbors(uv_loop_t *loop, const struct underlay *underlay, size_t n)
{
    while (underlay->neighbors.n_nodes != n)
        uv_run(loop, UV_RUN_ONCE);
}

static void neighbors_are_followed_after_messages_were_lost(void **state)
{
    unsigned n_batches = 0, n_links = 0;
    struct error error = {0};
    struct underlay underlay;
    struct links links;
    uv_loop_t loop;

    if (unshare(CLONE_NEWNET) < 0) /* Needs root. */
        skip();
    alarm(60);
    shell("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; ip link add tapa type veth peer name tapb && ip link set tapa up && ip link set tapb up && ip addr add 10.9.0.1/24 dev tapa");
    uv_loop_init(&loop);
    assert_int_equal(links_open(&links, &loop, count, &n_links, &error), 0);
    assert_int_equal(underlay_open(&underlay, &loop, &links, count, &n_batches, &error), 0);
    shrink_buffer(&underlay.watch);
    for (int round = 0; round < 2; round++) {
        shell("(for i in $(seq 11 40); do echo neigh add 10.9.0.$i lladdr 02:00:00:00:00:$i dev tapa nud permanent; done;"
              " echo neigh del 10.9.0.11 dev tapa) | ip -batch -");
        wait_for_neighbors(&loop, &underlay, N_BURST - 1);
        assert_true(is_known(&underlay, "10.9.0.12"));
        shell("ip neigh add 10.9.0.50 lladdr 02:00:00:00:00:50 dev tapa nud permanent");
        wait_for_neighbors(&loop, &underlay, N_BURST);
        assert_true(is_known(&underlay, "10.9.0.50"));
        shell("ip neigh flush dev tapa nud permanent");
        wait_for_neighbors(&loop, &underlay, 0);
    }
    underlay_close(&underlay);
    links_close(&links);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    alarm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_that_changes_is_read_to_its_end),
        cmocka_unit_test(an_interface_that_comes_back_is_another_one),
        cmocka_unit_test(interfaces_are_followed_after_messages_were_lost),
        cmocka_unit_test(neighbors_are_followed_after_messages_were_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
