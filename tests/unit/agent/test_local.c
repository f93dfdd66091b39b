/* Slots and plugs, and what of them outlives the process. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "weft/agent/local.h"
#include "weft/base/util.h"

#define PORT_A "aaaaaaaa-0000-4000-8000-000000000001"
#define PORT_B "bbbbbbbb-0000-4000-8000-000000000002"

static char path[] = "/tmp/weft-local-XXXXXX";
static const uint32_t limits[N_SLOT_KINDS] = {16, 16, 16, 16, 16, 16};

static void reopen(struct local *local, bool first)
{
    struct error error = {0};

    if (!first)
        local_close(local);
    if (local_open(local, path, limits, &error) < 0)
        fail_msg("%s", error.message);
}

static int fresh(void **state)
{
    return unlink(path) < 0 && errno != ENOENT ? -1 : 0;
}

static void a_slot_is_the_same_after_a_restart(void **state)
{
    struct local local;
    uint32_t a, b;

    reopen(&local, true);
    a = local_slot(&local, SLOT_PORT, PORT_A)->number;
    b = local_slot(&local, SLOT_PORT, PORT_B)->number;
    assert_int_not_equal(a, b);
    assert_int_not_equal(0, a);
    assert_true(local_find(&local, SLOT_PORT, PORT_A)->is_new);
    assert_int_equal(1, local_slot(&local, SLOT_HOST, "h2")->number); /* Kinds are apart. */
    reopen(&local, false);
    assert_int_equal(b, local_slot(&local, SLOT_PORT, PORT_B)->number);
    assert_int_equal(a, local_slot(&local, SLOT_PORT, PORT_A)->number);
    assert_false(local_find(&local, SLOT_PORT, PORT_A)->is_new);
    local_close(&local);
}

static void the_secret_is_this_hosts_own_and_stays(void **state)
{
    struct local local;
    uint64_t secret;

    reopen(&local, true);
    secret = local.secret;
    assert_true(secret != 0);
    reopen(&local, false);
    assert_true(local.secret == secret);
    assert_int_equal(0, local_new_secret(&local));
    assert_true(local.secret != 0 && local.secret != secret);
    secret = local.secret;
    reopen(&local, false);
    assert_true(local.secret == secret);
    local_close(&local);
    unlink(path); /* Another host. */
    reopen(&local, true);
    assert_true(local.secret != 0 && local.secret != secret);
    local_close(&local);
}

static void a_freed_slot_is_the_last_to_be_given_out(void **state)
{
    struct local local;
    uint32_t a;
    char name[UUID_TEXT_SIZE];

    reopen(&local, true);
    a = local_slot(&local, SLOT_PORT, PORT_A)->number;
    local_sweep(&local, SLOT_PORT); /* Marked: stays. */
    assert_non_null(local_find(&local, SLOT_PORT, PORT_A));
    local_sweep(&local, SLOT_PORT);
    assert_null(local_find(&local, SLOT_PORT, PORT_A));
    for (unsigned i = 0; i < 15; i++) {
        const struct slot *slot;

        snprintf(name, sizeof(name), "cccccccc-0000-4000-8000-%012u", i);
        slot = local_slot(&local, SLOT_PORT, name);
        assert_non_null(slot);
        assert_int_equal(i == 14, slot->number == a);
    }
    assert_null(local_slot(&local, SLOT_PORT, PORT_B)); /* All are taken. */
    reopen(&local, false);
    assert_null(local_slot(&local, SLOT_PORT, PORT_B));
    local_close(&local);
}

static void a_forced_plug_is_remembered_as_such(void **state)
{
    struct local local;

    reopen(&local, true);
    assert_int_equal(0, local_plug(&local, "eth7", PORT_A, true));
    reopen(&local, false); /* Read from the journal as it was appended, */
    assert_true(local_plug_of_port(&local, PORT_A)->forced);
    reopen(&local, false); /* and as it was written anew. */
    assert_true(local_plug_of_port(&local, PORT_A)->forced);
    assert_int_equal(0, local_plug(&local, "eth7", PORT_A, false));
    reopen(&local, false);
    assert_false(local_plug_of_port(&local, PORT_A)->forced);
    local_close(&local);
}

static uint64_t use(enum slot_kind kind, uint32_t number, void *context)
{
    return kind == SLOT_LISTENER ? ((const uint32_t *)context)[number] : 0;
}

static void a_number_that_something_counts_under_is_given_out_last(void **state)
{
    static const uint32_t few[N_SLOT_KINDS] = {4, 4, 4, 4, 4, 4, 4, 4, 4};
    struct error error = {0};
    struct local local;
    uint32_t counts[5] = {0, 0, 7, 0, 0};

    assert_int_equal(local_open(&local, path, few, &error), 0);
    local.use = use;
    local.use_context = counts;
    assert_int_equal(local_slot(&local, SLOT_LISTENER, "a")->number, 1);
    assert_int_equal(local_slot(&local, SLOT_LISTENER, "b")->number, 3);
    assert_int_equal(local_slot(&local, SLOT_POOL, "p")->number, 1);
    assert_int_equal(local_slot(&local, SLOT_POOL, "q")->number, 2); /* Only listeners count. */
    assert_int_equal(local_slot(&local, SLOT_LISTENER, "c")->number, 2); /* Nobody keeps a number from others by connections of what is gone. */
    assert_null(local_slot(&local, SLOT_LISTENER, "d"));
    counts[1] = 9;
    counts[2] = 3;
    counts[3] = 5;
    local_unmark(&local, SLOT_LISTENER);
    local_sweep(&local, SLOT_LISTENER);
    assert_int_equal(local_slot(&local, SLOT_LISTENER, "d")->number, 2); /* The one with the fewest. */
    local_close(&local);
}

static void a_plug_is_of_one_port_and_one_interface(void **state)
{
    struct local local;

    reopen(&local, true);
    assert_int_equal(0, local_plug(&local, "eth7", PORT_A, false));
    assert_int_equal(0, local_plug(&local, "eth8", PORT_A, false)); /* Moved. */
    assert_null(local_plug_of_interface(&local, "eth7"));
    assert_string_equal("eth8", local_plug_of_port(&local, PORT_A)->interface);
    assert_int_equal(0, local_plug(&local, "eth8", PORT_B, false)); /* Taken over. */
    assert_null(local_plug_of_port(&local, PORT_A));
    reopen(&local, false);
    assert_string_equal("eth8", local_plug_of_port(&local, PORT_B)->interface);
    assert_int_equal(0, local_unplug(&local, "eth8"));
    assert_int_equal(-ENOENT, local_unplug(&local, "eth8"));
    reopen(&local, false);
    assert_null(local_plug_of_port(&local, PORT_B));
    assert_int_equal(-EINVAL, local_plug(&local, "a name too long for Linux", PORT_A, false));
    assert_int_equal(-EINVAL, local_plug(&local, "eth 7", PORT_A, false));
    assert_int_equal(-EINVAL, local_plug(&local, "eth7", "nonsense", false));
    local_close(&local);
}

/* Whatever a crash or a person leaves in the journal: the lines that make sense count. */
static void a_damaged_journal_is_read_as_far_as_it_makes_sense(void **state)
{
    FILE *file = fopen(path, "w");
    struct local local;

    assert_non_null(file);
    fprintf(file, "port 3 %s\nnonsense\nport 999 x\nport 0 zero\nport -1 y\nport 3 other\nfree port 99\nfree host\nplug eth1\n"
                  "plug eth9 %s\nhost 5 h5\nport 4 %s", PORT_A, PORT_A, PORT_B); /* The last line has no end. */
    fclose(file);
    reopen(&local, true);
    assert_int_equal(3, local_find(&local, SLOT_PORT, PORT_A)->number);
    assert_null(local_find(&local, SLOT_PORT, "other"));
    assert_null(local_find(&local, SLOT_PORT, "zero"));
    assert_null(local_find(&local, SLOT_PORT, PORT_B));
    assert_int_equal(5, local_find(&local, SLOT_HOST, "h5")->number);
    assert_string_equal("eth9", local_plug_of_port(&local, PORT_A)->interface);
    local_close(&local);
}

/* Else what is remembered from then on would be in a file that nobody reads. */
static void a_journal_that_cannot_be_rewritten_goes_on(void **state)
{
    struct local local;
    char new_path[256];

    reopen(&local, true);
    snprintf(new_path, sizeof(new_path), "%s.new", path);
    assert_int_equal(0, mkdir(new_path, 0700));
    local.n_lines = 1000000;
    local_sweep(&local, SLOT_PORT);
    assert_int_equal(0, local_plug(&local, "eth7", PORT_A, false));
    assert_int_equal(0, rmdir(new_path));
    reopen(&local, false);
    assert_string_equal("eth7", local_plug_of_port(&local, PORT_A)->interface);
    local_close(&local);
}

static void random_histories_are_the_same_after_a_restart(void **state)
{
    uint32_t naive[24] = {0}; /* Slot of each of 24 names; 0: none. */
    struct local local;

    reopen(&local, true);
    for (unsigned step = 0; step < 3000; step++) {
        char name[UUID_TEXT_SIZE];
        unsigned which = (unsigned)rand() % ARRAY_SIZE(naive);

        snprintf(name, sizeof(name), "dddddddd-0000-4000-8000-%012u", which);
        if (rand() % 3) {
            const struct slot *slot = local_slot(&local, SLOT_PORT, name);

            if (naive[which]) {
                assert_int_equal(naive[which], slot->number);
            } else if (slot) {
                for (size_t i = 0; i < ARRAY_SIZE(naive); i++)
                    assert_int_not_equal(naive[i], slot->number);
                naive[which] = slot->number;
            }
        } else if (rand() % 2) { /* Everything but one name is kept. */
            local_unmark(&local, SLOT_PORT);
            for (unsigned i = 0; i < ARRAY_SIZE(naive); i++) {
                snprintf(name, sizeof(name), "dddddddd-0000-4000-8000-%012u", i);
                if (i != which && naive[i])
                    local_slot(&local, SLOT_PORT, name);
            }
            local_sweep(&local, SLOT_PORT);
            naive[which] = 0;
        } else {
            reopen(&local, false);
        }
    }
    local_close(&local);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_slot_is_the_same_after_a_restart, fresh),
        cmocka_unit_test_setup(the_secret_is_this_hosts_own_and_stays, fresh),
        cmocka_unit_test_setup(a_freed_slot_is_the_last_to_be_given_out, fresh),
        cmocka_unit_test_setup(a_number_that_something_counts_under_is_given_out_last, fresh),
        cmocka_unit_test_setup(a_plug_is_of_one_port_and_one_interface, fresh),
        cmocka_unit_test_setup(a_forced_plug_is_remembered_as_such, fresh),
        cmocka_unit_test_setup(a_damaged_journal_is_read_as_far_as_it_makes_sense, fresh),
        cmocka_unit_test_setup(a_journal_that_cannot_be_rewritten_goes_on, fresh),
        cmocka_unit_test_setup(random_histories_are_the_same_after_a_restart, fresh),
    };
    unsigned seed = (unsigned)time(NULL);
    int fd = mkstemp(path), failed;

    if (fd < 0)
        return 1;
    close(fd);
    printf("seed %u\n", seed);
    srand(seed);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
