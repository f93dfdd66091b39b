/* What was acknowledged survives, and nothing is half there.
 *
 *     parent ---- fork ----> child: 4 threads commit transactions of several keys
 *       ^                       |
 *       +---- pipe: "thread t committed its round n" ----+
 *
 * Each thread's round n writes the keys t/0 .. t/3 with the value n and adds a key t/n; at a random moment the child is killed
 * (or its disk's cache is lost).  The parent opens the file again: for each thread all four keys say the same
 * round, which is at least the last acknowledged one, and every t/n up to it is there. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backends.h"
#include "vfs-unsynced.h"
#include "weft/base/clock.h"

#define N_WRITERS 4
#define N_KEYS 4
#define N_ROUNDS_OF_CRASHES 10
#define VALUE_PADDING 600 /* So that a transaction covers more than one page. */

enum crash { KILL, KILL_UNSYNCED, TORN, LYING_DISK };

struct writer {
    struct store *store;
    int id;
    unsigned long round;
    int pipe_fd;
};

struct acknowledgement {
    int id;
    unsigned long round;
};

static void *write_rounds(void *argument)
{
    struct writer *writer = argument;
    char key[32], value[VALUE_PADDING + 32];

    while (true) {
        struct store_transaction *transaction;
        struct acknowledgement done = {writer->id, ++writer->round};

        if (store_transaction_new(&transaction) < 0)
            _exit(3);
        memset(value, 'x', sizeof value);
        value[snprintf(value, 32, "%lu ", writer->round)] = 'x';
        for (int i = 0; i < N_KEYS; i++) {
            snprintf(key, sizeof key, "%d/%d", writer->id, i);
            store_put(transaction, key, strlen(key), value, sizeof value, 0);
        }
        snprintf(key, sizeof key, "%d/round/%lu", writer->id, writer->round);
        store_put(transaction, key, strlen(key), "", 0, 0);
        if (store_commit(writer->store, transaction).status != 0)
            _exit(4);
        if (write(writer->pipe_fd, &done, sizeof done) != sizeof done)
            _exit(5);
    }
    return NULL;
}

static void sleep_ms(unsigned ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&pause, NULL);
}

static void run_child(const char *path, enum crash crash, const unsigned long *rounds, int pipe_fd, unsigned seed)
{
    struct writer writers[N_WRITERS];
    pthread_t threads[N_WRITERS];
    struct store *store;

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* Also when the parent's test fails. */
    if (crash != KILL)
        vfs_unsynced_register();
    vfs_unsynced_ignore_sync(crash == LYING_DISK);
    if (store_sqlite_open(path, crash == KILL ? NULL : VFS_UNSYNCED, &store, NULL) < 0)
        _exit(2);
    for (int i = 0; i < N_WRITERS; i++) {
        writers[i] = (struct writer){.store = store, .id = i, .round = rounds[i], .pipe_fd = pipe_fd};
        pthread_create(&threads[i], NULL, write_rounds, &writers[i]);
    }
    if (crash == TORN) {
        sleep_ms(20 + rand_r(&seed) % 150);
        vfs_unsynced_crash(seed);
    }
    sleep_ms(120000);
    _exit(6);
}

/* Reads acknowledgements until the child is gone; kills it after 'delay_ms' from the first one unless it ends itself. */
static void follow_child(pid_t child, int fd, bool kills, unsigned delay_ms, unsigned long *acknowledged, int *status)
{
    struct acknowledgement done;
    uint64_t kill_at = 0;
    ssize_t n;

    while (true) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        uint64_t now = clock_monotonic_ms();

        if (kills && kill_at && now >= kill_at) {
            kill(child, SIGKILL);
            kills = false;
        }
        if (poll(&poller, 1, kills && kill_at ? (int)(kill_at - now) : 60000) == 0) {
            if (kills && kill_at)
                continue;
            kill(child, SIGKILL);
            fail_msg("the child neither writes nor ends");
        }
        n = read(fd, &done, sizeof done);
        if (n == 0)
            break;
        assert_int_equal(n, sizeof done);
        if (done.round > acknowledged[done.id])
            acknowledged[done.id] = done.round;
        if (!kill_at)
            kill_at = clock_monotonic_ms() + delay_ms;
    }
    assert_int_equal(waitpid(child, status, 0), child);
}

/* Returns the round that all keys of a writer agree on. */
static unsigned long read_round(struct store *store, int id)
{
    unsigned long round = 0;
    char key[32];

    for (int i = 0; i < N_KEYS; i++) {
        char *value;
        unsigned long this_round;

        snprintf(key, sizeof key, "%d/%d", id, i);
        value = get_value(store, key);
        this_round = value ? strtoul(value, NULL, 10) : 0;
        if (value)
            assert_int_equal(strspn(strchr(value, 'x'), "x"), VALUE_PADDING + 32 - (strchr(value, 'x') - value));
        free(value);
        if (i > 0 && this_round != round)
            fail_msg("half a transaction: %d/0 is of round %lu, %s of round %lu", id, round, key, this_round);
        round = this_round;
    }
    return round;
}

static int count_item(const struct store_item *item, void *context)
{
    ++*(unsigned long *)context;
    return 0;
}

/* Opens what the crash left; returns how many acknowledged rounds are missing. */
static unsigned long check_file(const char *path, const unsigned long *acknowledged, unsigned long *rounds)
{
    struct error error = {};
    struct store *store;
    unsigned long n_lost = 0;

    if (store_sqlite_open(path, NULL, &store, &error) < 0)
        fail_msg("%s", error.message);
    for (int id = 0; id < N_WRITERS; id++) {
        unsigned long n = 0;
        char from[32], to[32];

        rounds[id] = read_round(store, id);
        if (rounds[id] < acknowledged[id])
            n_lost += acknowledged[id] - rounds[id];
        snprintf(from, sizeof from, "%d/round/", id);
        snprintf(to, sizeof to, "%d/round0", id);
        assert_int_equal(store_list(store, from, strlen(from), to, strlen(to), count_item, &n, NULL), 0);
        assert_int_equal(n, rounds[id]);
    }
    store_close(store);
    return n_lost;
}

/* One file through several lives; each ends in a crash.  Returns how many acknowledged rounds were lost. */
static unsigned long crash_repeatedly(enum crash crash, int n_crashes, const char *name)
{
    unsigned seed = test_seed(name);
    unsigned long acknowledged[N_WRITERS] = {}, rounds[N_WRITERS] = {}, n_lost = 0, total = 0;
    char folder[64], path[96];

    folder_make(folder);
    snprintf(path, sizeof path, "%s/store", folder);
    for (int i = 0; i < n_crashes; i++) {
        unsigned child_seed = rand_r(&seed), delay_ms = rand_r(&seed) % 200;
        int fds[2], status;
        pid_t child;

        assert_int_equal(pipe(fds), 0);
        child = fork();
        if (child == 0) {
            close(fds[0]);
            run_child(path, crash, rounds, fds[1], child_seed);
        }
        assert_true(child > 0);
        close(fds[1]);
        follow_child(child, fds[0], crash != TORN, delay_ms, acknowledged, &status);
        close(fds[0]);
        if (crash == TORN)
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 77);
        else
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        n_lost += check_file(path, acknowledged, rounds);
        if (crash == LYING_DISK)
            memcpy(acknowledged, rounds, sizeof acknowledged);
    }
    for (int id = 0; id < N_WRITERS; id++)
        total += acknowledged[id];
    print_message("%s: %d crashes, %lu acknowledged transactions, %lu lost\n", name, n_crashes, total, n_lost);
    folder_remove(folder);
    return n_lost;
}

static void kill_loses_nothing_acknowledged(void **state)
{
    assert_int_equal(crash_repeatedly(KILL, N_ROUNDS_OF_CRASHES, __func__), 0);
}

static void lost_disk_cache_loses_nothing_acknowledged(void **state)
{
    assert_int_equal(crash_repeatedly(KILL_UNSYNCED, N_ROUNDS_OF_CRASHES, __func__), 0);
}

static void torn_writes_lose_nothing_acknowledged(void **state)
{
    assert_int_equal(crash_repeatedly(TORN, N_ROUNDS_OF_CRASHES, __func__), 0);
}

/* The tests above can fail: a disk that ignores sync does lose what was acknowledged. */
static void lying_disk_is_noticed(void **state)
{
    assert_int_not_equal(crash_repeatedly(LYING_DISK, 3, __func__), 0);
}

/* After a failed fsync the kernel may have dropped the pages and report success the next time. */
static void failed_sync_refuses_all_further_commits(void **state)
{
    char folder[64], path[96], *value;
    struct store *store;

    folder_make(folder);
    snprintf(path, sizeof path, "%s/store", folder);
    vfs_unsynced_register();
    assert_int_equal(store_sqlite_open(path, VFS_UNSYNCED, &store, NULL), 0);
    assert_int_equal(put_one(store, "a", "before").status, 0);
    vfs_unsynced_fail_sync(true);
    assert_int_equal(put_one(store, "a", "failed").status, -EIO);
    vfs_unsynced_fail_sync(false);
    assert_int_equal(put_one(store, "a", "after").status, -EIO);
    assert_int_equal(store_revision(store), 1);
    value = get_value(store, "a");
    assert_string_equal(value, "before");
    free(value);
    store_close(store);

    assert_int_equal(store_sqlite_open(path, VFS_UNSYNCED, &store, NULL), 0);
    assert_int_equal(put_one(store, "a", "opened again").status, 0);
    store_close(store);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_loses_nothing_acknowledged),
        cmocka_unit_test(lost_disk_cache_loses_nothing_acknowledged),
        cmocka_unit_test(torn_writes_lose_nothing_acknowledged),
        cmocka_unit_test(lying_disk_is_noticed),
        cmocka_unit_test(failed_sync_refuses_all_further_commits), /* Last: it registers the VFS in this process. */
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
