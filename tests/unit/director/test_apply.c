/* From plans to tables, over memory: what happens when there is no room. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <sodium.h>

#include "weft/base/util.h"
#include "weft/director/apply.h"
#include "weft/director/peer-rows.h"

#define ROOM 4096
#define SERVERS_MAX 500

/* ---- tables in memory, in the place of the kernel's ----------------------------------------------------------------------------- */

static struct lb_service_record services[ROOM];
static struct lb_server_record servers[ROOM];
static struct lb_rows rows[ROOM];
static struct lb_member members[ROOM];
static struct lb_server_load loads[ROOM];
static struct lb_counters counters_before[2][ROOM];
static struct lb_settings settings;
static struct lb_local locals[LB_LOCALS];
static unsigned n_keys;
static int key_error;

void lb_write_service(struct lb_tables *tables, uint32_t number, const struct lb_service *content)
{
    assert_true(number < tables->sizes.n_services);
    tables->services[number].copy[0] = *content;
}

void lb_write_server(struct lb_tables *tables, uint32_t number, const struct lb_server *content)
{
    assert_true(number < tables->sizes.n_servers);
    tables->servers[number].copy[0] = *content;
}

void lb_write_row(struct lb_tables *tables, uint32_t first_block, uint32_t row, struct lb_row content)
{
    assert_true(first_block + (row >> LB_ROWS_SHIFT) < tables->sizes.n_blocks);
    tables->rows[first_block + (row >> LB_ROWS_SHIFT)].row[row & (LB_ROWS_BLOCK - 1)] = content;
}

int lb_put_key(struct lb_tables *tables, const struct lb_key *key, uint32_t service)
{
    n_keys += !key_error;
    return key_error;
}

int lb_delete_key(struct lb_tables *tables, const struct lb_key *key)
{
    n_keys--;
    return 0;
}

static unsigned n_addresses;

int lb_put_address(struct lb_tables *tables, const struct lb_key *key)
{
    n_addresses = 1; /* All have the same. */
    return 0;
}

int lb_delete_address(struct lb_tables *tables, const struct lb_key *key)
{
    n_addresses = 0;
    return 0;
}

static struct lb_mark_rule mark_rules[ROOM];
static struct {
    struct lb_mark_key key;
    struct lb_mark_list list;
} mark_lists[8];
static unsigned n_mark_puts;

int lb_put_marks(struct lb_tables *tables, const struct lb_mark_key *key, struct lb_mark_list list)
{
    size_t place = 0;

    while (mark_lists[place].list.n && memcmp(&mark_lists[place].key, key, sizeof(*key)) != 0)
        assert_in_range(++place, 0, ARRAY_SIZE(mark_lists) - 1);
    assert_true(list.first + list.n <= tables->sizes.n_marks);
    mark_lists[place].key = *key;
    mark_lists[place].list = list;
    n_mark_puts++;
    return 0;
}

int lb_next_marks(const struct lb_tables *tables, const struct lb_mark_key *before, struct lb_mark_key *ret, struct lb_mark_list *ret_list)
{
    bool is_behind = !before;

    for (size_t i = 0; i < ARRAY_SIZE(mark_lists); i++) {
        if (is_behind && mark_lists[i].list.n) {
            *ret = mark_lists[i].key;
            *ret_list = mark_lists[i].list;
            return 0;
        }
        is_behind = is_behind || (mark_lists[i].list.n && memcmp(&mark_lists[i].key, before, sizeof(*before)) == 0);
    }
    return -ENOENT;
}

int lb_delete_marks(struct lb_tables *tables, const struct lb_mark_key *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(mark_lists); i++)
        if (memcmp(&mark_lists[i].key, key, sizeof(*key)) == 0)
            memset(&mark_lists[i], 0, sizeof(mark_lists[i]));
    return 0;
}

int lb_read_service(const struct lb_tables *tables, uint32_t number, struct lb_service_use *ret)
{
    *ret = (struct lb_service_use){0};
    return 0;
}

int lb_read_server(const struct lb_tables *tables, uint32_t number, struct lb_counters *ret)
{
    *ret = (struct lb_counters){0};
    return 0;
}

/* ---- services ------------------------------------------------------------------------------------------------------------------- */

static struct real_server reals[2][SERVERS_MAX];
static struct virtual_service virtuals[2];
static struct director_config config = {.services = virtuals};

static struct ip_address none(const struct ip_address *address, void *context)
{
    return (struct ip_address){0};
}

/* Two hash services with so many servers, whose rows others get when they have weight 0. */
static void set_services(size_t first, size_t second)
{
    size_t n[] = {first, second};

    config.n_services = second ? 2 : 1;
    for (uint32_t i = 0; i < 2; i++) {
        virtuals[i] = (struct virtual_service){.protocol = 6, .address = ip_from_v4(0xc0000201), .port = (uint16_t)(80 + i),
                                               .scheduler = SCHEDULER_MH, .scheduler_flags = SCHEDULER_FALLBACK, .servers = reals[i], .n_servers = n[i]};
        for (uint32_t j = 0; j < n[i]; j++)
            reals[i][j] = (struct real_server){.address = ip_from_v4(0x0a000000 + i * 4096 + j), .port = 80, .weight = 1, .forwarding = FORWARD_DIRECT};
    }
}

static int apply_now(struct applied *applied)
{
    static uint64_t now_ms;
    _cleanup_(plan_freep) struct plan *plan = plan_new(&config);
    struct error error = {0};

    assert_non_null(plan);
    return apply(applied, plan, none, NULL, now_ms += 1000, &error);
}

static struct lb_tables memory(struct lb_sizes sizes)
{
    return (struct lb_tables){.sizes = sizes, .services = services, .servers = servers, .rows = rows, .members = members, .server_load = loads,
                              .server_before = counters_before[0], .service_before = counters_before[1], .settings = &settings,
                              .mark_rules = mark_rules, .locals = locals};
}

static struct lb_sizes sizes_now(const struct applied *applied)
{
    _cleanup_(plan_freep) struct plan *plan = plan_new(&config);

    return applied_sizes(applied, plan);
}

static void a_service_without_room_does_not_stop_the_others(void **state)
{
    struct lb_tables tables = memory((struct lb_sizes){.n_services = 2, .n_servers = 8, .n_blocks = 64, .n_members = 64});
    _cleanup_(applied_freep) struct applied *applied = applied_new(&tables);
    const struct applied_server *unplaced = NULL;

    n_keys = 0;
    set_services(20, 2); /* The first has too many. */
    assert_int_equal(-ENOSPC, apply_now(applied));
    assert_int_equal(0, n_keys); /* Its servers took all that there were. */
    HASHMAP_FOREACH(node, &applied_find(applied, &virtuals[0])->servers)
        if (CONTAINER_OF(node, struct applied_server, by_id)->number == LB_NONE)
            unplaced = CONTAINER_OF(node, struct applied_server, by_id);
    assert_non_null(unplaced);
    assert_int_equal(0, applied_server_total(applied, unplaced).connections);
    set_services(6, 2); /* The first's places are free after this, */
    apply_now(applied);
    assert_int_equal(0, apply_now(applied)); /* at the latest. */
    assert_int_equal(2, n_keys);
    set_services(1, 7); /* Too many: who gives places away does so all the same. */
    apply_now(applied);
    assert_int_equal(0, apply_now(applied));
}

static void a_key_that_could_not_be_put_is_put_later(void **state)
{
    struct lb_tables tables = memory((struct lb_sizes){.n_services = 2, .n_servers = 8, .n_blocks = 64, .n_members = 64});
    _cleanup_(applied_freep) struct applied *applied = applied_new(&tables);

    n_keys = 0;
    key_error = -ENOMEM;
    set_services(2, 2);
    assert_int_equal(-ENOMEM, apply_now(applied));
    key_error = 0;
    assert_int_equal(0, apply_now(applied));
    assert_int_equal(2, n_keys);
    assert_int_equal(0, apply_now(applied));
    assert_int_equal(2, n_keys);
    set_services(2, 0);
    assert_int_equal(0, apply_now(applied));
    assert_int_equal(1, n_keys);
    assert_int_equal(1, n_addresses); /* The other one has it still. */
    config.n_services = 0;
    assert_int_equal(0, apply_now(applied));
    assert_int_equal(0, n_addresses);
}

static void a_service_that_shrank_keeps_its_rows_and_has_room_for_them(void **state)
{
    struct lb_tables tables = memory((struct lb_sizes){.n_services = 2, .n_servers = 600, .n_blocks = 8, .n_members = 2048});
    _cleanup_(applied_freep) struct applied *applied = applied_new(&tables);
    struct lb_sizes sizes;

    set_services(400, 0);
    assert_int_equal(-ENOSPC, apply_now(applied)); /* 257 blocks of rows. */
    set_services(2, 0);
    sizes = sizes_now(applied);
    assert_int_equal((1024 + 257) * 5 / 4, sizes.n_blocks);
}

/* The marks of the list for that prefix, one digit each. */
static const char *marks_for(const char *text)
{
    static char digits[16];
    struct ip_prefix prefix;

    assert_int_equal(0, prefix_parse(text, &prefix));
    digits[0] = 0;
    for (size_t i = 0; i < ARRAY_SIZE(mark_lists); i++) {
        const struct lb_mark_list *list = &mark_lists[i].list;

        if (!list->n || mark_lists[i].key.length != (uint32_t)prefix_bits(&prefix) || memcmp(mark_lists[i].key.destination, prefix.address.bytes, 16) != 0)
            continue;
        for (uint32_t j = 0; j < list->n; j++)
            digits[j] = (char)('0' + mark_rules[list->first + j].mark);
        digits[list->n] = 0;
    }
    return digits;
}

static void rules_are_in_the_lists_of_all_prefixes_they_cover(void **state)
{
    struct lb_tables tables = memory((struct lb_sizes){.n_services = 2, .n_servers = 8, .n_blocks = 64, .n_members = 64, .n_marks = 64});
    _cleanup_(applied_freep) struct applied *applied = applied_new(&tables);
    static const char *const destinations[] = {"192.0.2.1/32", "192.0.2.0/24", "0.0.0.0/0", "192.0.2.1/32", "::/0"};
    struct mark_rule rules[ARRAY_SIZE(destinations)];
    struct applied *restored;

    memset(mark_lists, 0, sizeof(mark_lists));
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        rules[i] = mark_rule_default();
        rules[i].mark = (uint32_t)(1 + i);
        rules[i].has_destination = true;
        rules[i].ipv6 = i == 4;
        assert_int_equal(0, prefix_parse(destinations[i], &rules[i].destination));
    }
    rules[2].has_destination = false;
    config.mark_rules = rules;
    config.n_mark_rules = ARRAY_SIZE(rules);
    set_services(1, 0);
    assert_int_equal(0, apply_now(applied));
    assert_string_equal("1234", marks_for("192.0.2.1/32"));
    assert_string_equal("23", marks_for("192.0.2.0/24"));
    assert_string_equal("3", marks_for("0.0.0.0/0"));
    assert_string_equal("5", marks_for("::/0"));
    assert_int_equal(1, settings.has_marks);
    n_mark_puts = 0;
    assert_int_equal(0, apply_now(applied)); /* Nothing has changed. */
    assert_int_equal(0, n_mark_puts);
    string_copy(rules[2].interface, sizeof(rules[2].interface), "nosuch0"); /* Waits for it. */
    assert_int_equal(0, apply_now(applied));
    assert_string_equal("124", marks_for("192.0.2.1/32"));
    assert_string_equal("", marks_for("0.0.0.0/0"));
    restored = applied_restore(&tables, 0); /* Another process: the lists as they were, whatever it has in its file. */
    assert_non_null(restored);
    n_mark_puts = 0;
    assert_int_equal(0, apply_now(restored));
    assert_int_not_equal(0, n_mark_puts);
    assert_string_equal("124", marks_for("192.0.2.1/32"));
    assert_string_equal("5", marks_for("::/0"));
    applied_free(applied);
    applied_free(restored);
    config.n_mark_rules = 0; /* While nobody looked. */
    applied = applied_restore(&tables, 0);
    assert_non_null(applied);
    assert_int_equal(0, apply_now(applied));
    assert_string_equal("", marks_for("::/0"));
    assert_int_equal(0, settings.has_marks);
    assert_string_equal("", marks_for("192.0.2.1/32"));
    config.mark_rules = NULL;
}

/* Where each row of the first service leads, by the server's address. */
static void owners(const struct lb_tables *tables, uint32_t n_rows, uint8_t ret[][16])
{
    const struct lb_service *service = &tables->services[0].copy[0];

    assert_int_equal(n_rows, service->n_rows);
    for (uint32_t i = 0; i < n_rows; i++) {
        uint16_t owner = tables->rows[service->rows + (i >> LB_ROWS_SHIFT)].row[i & (LB_ROWS_BLOCK - 1)].owner;

        memcpy(ret[i], tables->servers[tables->members[service->members + owner].server].copy[0].address, 16);
    }
}

static unsigned n_different(uint8_t a[][16], uint8_t b[][16], uint32_t n)
{
    unsigned different = 0;

    for (uint32_t i = 0; i < n; i++)
        different += memcmp(a[i], b[i], 16) != 0;
    return different;
}

/* As often as one likes, in whatever order servers come and go: the rows are those that the process before would have gone on with, and a change
 * after the restart moves no more than it would have moved. */
static void a_restart_goes_on_where_the_process_before_was(void **state)
{
    struct lb_tables tables = memory((struct lb_sizes){.n_services = 8, .n_servers = 64, .n_blocks = 64, .n_members = 128});
    static uint8_t before[1021][16], after[1021][16];
    static struct lb_rows whole[4];
    unsigned seed = (unsigned)time(NULL);
    struct applied *applied;
    uint64_t now_ms = 0;
    uint32_t first_block;

    print_message("seed %u\n", seed);
    srand(seed);
    memset(services, 0, sizeof(services));
    memset(servers, 0, sizeof(servers));
    memset(members, 0, sizeof(members));
    set_services(12, 3);
    virtuals[1].scheduler = SCHEDULER_WRR;
    applied = applied_new(&tables);
    assert_int_equal(0, apply_now(applied));
    for (int i = 0; i < 30; i++) {
        uint32_t numbers[2] = {applied_find(applied, &virtuals[0])->number, applied_find(applied, &virtuals[1])->number}, incarnations[12];
        unsigned moved;

        for (size_t j = 0; j < 12; j++)
            incarnations[j] = reals[0][j].weight ? applied_find_server(applied_find(applied, &virtuals[0]), &reals[0][j])->incarnation : 0;
        owners(&tables, 1021, before);
        first_block = tables.services[0].copy[0].rows;
        memcpy(whole, &tables.rows[first_block], sizeof(whole));
        applied_free(applied);
        applied = applied_restore(&tables, now_ms += 1000);
        assert_non_null(applied);
        assert_int_equal(0, apply_now(applied)); /* The same as before: nothing moves, nothing is renamed, nobody who had a row is forgotten. */
        assert_memory_equal(whole, &tables.rows[first_block], sizeof(whole));
        owners(&tables, 1021, after);
        assert_int_equal(0, n_different(before, after, 1021));
        assert_int_equal(numbers[0], applied_find(applied, &virtuals[0])->number);
        assert_int_equal(numbers[1], applied_find(applied, &virtuals[1])->number);
        for (size_t j = 0; j < 12; j++)
            if (reals[0][j].weight)
                assert_int_equal(incarnations[j], applied_find_server(applied_find(applied, &virtuals[0]), &reals[0][j])->incarnation);
        /* One server comes or goes; of twelve, none has more than a third. */
        reals[0][1 + rand() % 11].weight ^= 1;
        virtuals[1].n_servers = (size_t)(1 + rand() % 3);
        assert_int_equal(0, apply_now(applied));
        owners(&tables, 1021, after);
        moved = n_different(before, after, 1021);
        assert_true(moved > 0 && moved <= 1021 / 2 + 1);
    }
    applied_free(applied);
}

/* The last that came has left; its connections may still be there, in its place. */
static void a_server_after_a_restart_is_not_taken_for_one_that_left_before(void **state)
{
    struct lb_tables tables = memory((struct lb_sizes){.n_services = 8, .n_servers = 64, .n_blocks = 64, .n_members = 128});
    uint32_t number, incarnation;
    struct applied_server *server;
    struct applied *applied;

    memset(services, 0, sizeof(services));
    memset(servers, 0, sizeof(servers));
    memset(members, 0, sizeof(members));
    set_services(2, 0);
    applied = applied_new(&tables);
    assert_int_equal(0, apply_now(applied));
    set_services(3, 0);
    assert_int_equal(0, apply_now(applied));
    server = applied_find_server(applied_find(applied, &virtuals[0]), &reals[0][2]);
    number = server->number;
    incarnation = server->incarnation;
    set_services(2, 0);
    assert_int_equal(0, apply_now(applied));
    assert_int_equal(LB_METHOD_NONE, servers[number].copy[servers[number].active & 1].method);
    applied_free(applied);
    applied = applied_restore(&tables, 0);
    assert_non_null(applied);
    assert_int_equal(0, apply_now(applied));
    set_services(4, 0);
    assert_int_equal(0, apply_now(applied));
    for (size_t i = 2; i < 4; i++)
        assert_true(applied_find_server(applied_find(applied, &virtuals[0]), &reals[0][i])->incarnation > incarnation);
    applied_free(applied);
}

static void what_is_half_written_is_made_anew(void **state)
{
    struct lb_tables tables = memory((struct lb_sizes){.n_services = 8, .n_servers = 64, .n_blocks = 64, .n_members = 128});
    struct applied *applied;
    static uint8_t after[1021][16];

    memset(services, 0, sizeof(services));
    memset(servers, 0, sizeof(servers));
    set_services(3, 0);
    applied = applied_new(&tables);
    assert_int_equal(0, apply_now(applied));
    applied_free(applied);
    tables.rows[services[0].copy[0].rows].row[7].owner = 99;
    applied = applied_restore(&tables, 0);
    assert_non_null(applied);
    assert_null(applied_find(applied, &virtuals[0])->rows);
    assert_int_equal(0, apply_now(applied));
    owners(&tables, 1021, after);
    for (uint32_t i = 0; i < 1021; i++)
        assert_int_equal(after[i][12], 10);
    applied_free(applied);
}

/* ---- a pair of directors --------------------------------------------------------------------------------------------------------- */

/* Tables beside those of memory(). */
static struct lb_tables memory_beside(struct lb_sizes sizes)
{
    struct lb_tables tables = memory(sizes);

    tables.services += ROOM / 2;
    tables.servers += ROOM / 2;
    tables.rows += ROOM / 2;
    tables.members += ROOM / 2;
    tables.server_load += ROOM / 2;
    tables.server_before += ROOM / 2;
    tables.service_before += ROOM / 2;
    return tables;
}

static const struct lb_sizes pair_sizes = {.n_services = 8, .n_servers = 64, .n_blocks = 256, .n_members = 256};

static void forget_tables(void)
{
    memset(services, 0, sizeof(services));
    memset(servers, 0, sizeof(servers));
    memset(members, 0, sizeof(members));
}

/* The other director's rows, as a test has them. */
struct given {
    uint8_t *bytes;
    uint32_t size;
    uint64_t digest;
};

static bool give(const struct lb_key *key, struct applied_base *ret, void *context)
{
    const struct given *given = context;

    if (!given->bytes || key->port != htons(80))
        return false;
    *ret = (struct applied_base){given->bytes, given->size, given->digest};
    return true;
}

static void encode(const struct applied *applied, size_t i, uint8_t **ret, uint32_t *ret_size)
{
    assert_int_equal(0, applied_rows_encode(applied_find(applied, &virtuals[i]), ret, ret_size));
}

static bool same_rows(const struct applied *a, const struct applied *b, size_t i)
{
    uint8_t *bytes[2];
    uint32_t sizes[2];
    bool same;

    encode(a, i, &bytes[0], &sizes[0]);
    encode(b, i, &bytes[1], &sizes[1]);
    for (size_t j = 0; j < 2; j++)
        sizes[j] = applied_rows_common(bytes[j], sizes[j]);
    same = sizes[0] == sizes[1] && memcmp(bytes[0], bytes[1], sizes[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return same;
}

/* Servers of which the file has 'n' have each a weight or none. */
static void some_weights(unsigned n)
{
    for (unsigned i = 1; i < n; i++)
        reals[0][i].weight = rand() % 4 > 0;
}

static void rows_of_the_other_director_are_taken_by_who_their_servers_are(void **state)
{
    struct lb_tables tables = memory(pair_sizes), other = memory_beside(pair_sizes);
    static uint8_t wanted[1021][16], before[1021][16], after[1021][16];
    unsigned seed = (unsigned)time(NULL);
    struct applied *a, *b;
    struct given given = {.digest = 1};

    print_message("seed %u\n", seed);
    srand(seed);
    forget_tables();
    set_services(12, 0);
    a = applied_new(&tables);
    for (int i = 0; i < 10; i++) { /* Rows with a history. */
        some_weights(12);
        assert_int_equal(0, apply_now(a));
    }
    set_services(12, 0);
    assert_int_equal(0, apply_now(a));
    owners(&tables, 1021, wanted);
    encode(a, 0, &given.bytes, &given.size);
    b = applied_new(&other);
    reals[0][3].weight = 0;
    assert_int_equal(0, apply_now(b));
    reals[0][3].weight = 1;
    assert_int_equal(0, apply_now(b));
    assert_false(same_rows(a, b, 0));
    applied_follow(b, give, &given);
    assert_int_equal(0, apply_now(b));
    assert_true(same_rows(a, b, 0));
    owners(&other, 1021, after);
    assert_int_equal(0, n_different(wanted, after, 1021));

    set_services(10, 0); /* Two servers that this one has not: nothing of theirs, all else as it is. */
    assert_int_equal(0, apply_now(b));
    owners(&other, 1021, after);
    for (uint32_t row = 0; row < 1021; row++)
        if (wanted[row][15] < 10)
            assert_memory_equal(wanted[row], after[row], 16);
        else
            assert_true(after[row][15] < 10);
    set_services(12, 0);
    assert_int_equal(0, apply_now(b));
    assert_true(same_rows(a, b, 0));

    owners(&other, 1021, before); /* What is not sound is not taken. */
    for (int i = 0; i < 200; i++) {
        uint32_t at = (uint32_t)rand() % 8;
        uint8_t was = given.bytes[at];

        given.bytes[at] ^= (uint8_t)(1 + rand() % 255);
        given.digest++;
        assert_int_equal(0, apply_now(b));
        given.bytes[at] = was;
    }
    memset(given.bytes + given.size - 2, 0xff, 2);
    given.digest++;
    assert_int_equal(0, apply_now(b));
    owners(&other, 1021, after);
    assert_int_equal(0, n_different(before, after, 1021));
    free(given.bytes);
    given.bytes = NULL; /* The other one is silent: this one goes on from there. */
    assert_int_equal(0, apply_now(b));
    owners(&other, 1021, after);
    assert_int_equal(0, n_different(before, after, 1021));
    applied_free(a);
    applied_free(b);
}

/* A server that the other one finds down is well here, and one that is well there is out here: that is no reason for any row to move. */
/* What has no sense, or is cut off, is not used, or is somebody's row all the same; nothing is read that is not there. */
static void mangled_rows_do_no_harm(void **state)
{
    struct lb_tables tables = memory(pair_sizes), other = memory_beside(pair_sizes);
    struct given given = {.digest = 1};
    uint8_t *whole;
    uint32_t size;
    struct applied *a, *b;

    forget_tables();
    set_services(12, 0);
    a = applied_new(&tables);
    b = applied_new(&other);
    assert_int_equal(0, apply_now(a));
    reals[0][3].weight = 0;
    assert_int_equal(0, apply_now(a));
    encode(a, 0, &whole, &size);
    applied_follow(b, give, &given);
    for (uint32_t i = 0; i < 600; i++) {
        given.digest++;
        given.size = i % 3 ? size : (uint32_t)rand() % size;
        given.bytes = malloc(given.size + 1);
        assert_non_null(given.bytes);
        memcpy(given.bytes, whole, given.size);
        if (given.size)
            given.bytes[i % 3 == 1 ? (uint32_t)rand() % 8 : (uint32_t)rand() % given.size] ^= (uint8_t)(1u << rand() % 8);
        given.bytes = realloc(given.bytes, given.size ? given.size : 1);
        assert_int_equal(0, apply_now(b));
        assert_true(applied_find(b, &virtuals[0])->content.n_rows);
        free(given.bytes);
    }
    free(whole);
    applied_free(a);
    applied_free(b);
}

static void rows_that_the_other_director_cannot_know_stay(void **state)
{
    struct lb_tables tables = memory(pair_sizes), other = memory_beside(pair_sizes);
    static uint8_t before[1021][16], after[1021][16];
    struct given given = {.digest = 1};
    struct applied *a, *b;

    forget_tables();
    set_services(12, 0);
    a = applied_new(&tables);
    b = applied_new(&other);
    for (unsigned i = 0; i < 12; i++) /* Rows that depend on what happened. */
        for (unsigned j = 0; j < 2; j++) {
            reals[0][i].weight = j;
            assert_int_equal(0, apply_now(a));
        }
    encode(a, 0, &given.bytes, &given.size);
    applied_follow(b, give, &given);
    assert_int_equal(0, apply_now(b));
    reals[0][5].weight = 0;
    assert_int_equal(0, apply_now(b));
    reals[0][5].weight = 1;
    free(given.bytes);
    reals[0][3].weight = 0;
    assert_int_equal(0, apply_now(a));
    encode(a, 0, &given.bytes, &given.size);
    reals[0][3].weight = 1;
    reals[0][5].weight = 0;
    owners(&other, 1021, before);
    given.digest++;
    assert_int_equal(0, apply_now(b));
    owners(&other, 1021, after);
    assert_int_equal(0, n_different(before, after, 1021));
    free(given.bytes);

    reals[0][5].weight = 1; /* They come to be of one mind. */
    assert_int_equal(0, apply_now(a));
    encode(a, 0, &given.bytes, &given.size);
    given.digest++;
    assert_int_equal(0, apply_now(b));
    assert_true(same_rows(a, b, 0));
    free(given.bytes);

    given.bytes = NULL; /* A server with less than a row's share, that has kept one there, is no reason for a difference. */
    reals[0][7].weight = 0;
    assert_int_equal(0, apply_now(b));
    for (unsigned i = 0; i < 12; i++)
        reals[0][i].weight = i == 7 ? 1 : 1000;
    assert_int_equal(0, apply_now(a));
    encode(a, 0, &given.bytes, &given.size);
    given.digest++;
    assert_int_equal(0, apply_now(b));
    assert_true(same_rows(a, b, 0));
    free(given.bytes);
    applied_free(a);
    applied_free(b);
}

/* By the other one's rows, and by servers that it has and this one has not. */
static void all_rows_that_moved_are_counted(void **state)
{
    struct lb_tables tables = memory(pair_sizes), other = memory_beside(pair_sizes);
    static uint8_t before[1021][16], after[1021][16];
    struct given given = {.digest = 1};
    struct applied *a, *b;

    forget_tables();
    set_services(12, 0);
    a = applied_new(&tables);
    b = applied_new(&other);
    for (unsigned i = 0; i < 12; i++)
        for (unsigned j = 0; j < 2; j++) {
            reals[0][i].weight = j;
            assert_int_equal(0, apply_now(a));
        }
    encode(a, 0, &given.bytes, &given.size);
    set_services(10, 0);
    assert_int_equal(0, apply_now(b));
    set_services(11, 0);
    assert_int_equal(0, apply_now(b));
    set_services(10, 0);
    owners(&other, 1021, before);
    applied_follow(b, give, &given);
    assert_int_equal(0, apply_now(b));
    owners(&other, 1021, after);
    assert_in_range(applied_find(b, &virtuals[0])->n_moved, n_different(before, after, 1021), 1021);
    free(given.bytes);
    applied_free(a);
    applied_free(b);
}

struct half { /* Of a pair. */
    struct applied *applied;
    struct peer_rows *rows;
    size_t n_servers; /* That it has of the first service. */
    unsigned n_applied;
};

static void apply_half(struct half *half)
{
    virtuals[0].n_servers = half->n_servers;
    if (peer_rows_are_awaited(half->rows))
        return;
    applied_follow(half->applied, peer_rows_base, half->rows);
    assert_int_equal(0, apply_now(half->applied));
    peer_rows_changed(half->rows);
    half->n_applied++;
}

/* A tick of both, of 20 ms, in which each hears what the other one says, or not. */
static void tick_pair(struct half *a, struct half *b, bool is_heard, unsigned lost_of_10, uint64_t now_ms)
{
    static struct peer_message message;
    struct half *halves[] = {a, b};

    for (size_t i = 0; i < 2; i++) {
        if (peer_rows_tick(halves[i]->rows, is_heard, i == 0, now_ms))
            apply_half(halves[i]);
        for (unsigned n = 0; n < 16 && peer_rows_next(halves[i]->rows, &message, now_ms); n++)
            if ((unsigned)rand() % 10 >= lost_of_10 && peer_rows_heard(halves[!i]->rows, &message, now_ms))
                apply_half(halves[!i]);
    }
}

static void tick_until_they_agree(struct half *a, struct half *b, unsigned lost_of_10, uint64_t *now_ms)
{
    for (unsigned n = 0;; n++) {
        struct lb_key key = lb_key_of(&virtuals[0]);

        assert_true(n < 100000);
        tick_pair(a, b, true, lost_of_10, *now_ms += 20);
        if (applied_find(b->applied, &virtuals[0]) && same_rows(a->applied, b->applied, 0) && same_rows(a->applied, b->applied, 1) &&
            peer_rows_agree(a->rows, &key) == PEER_AGREES && peer_rows_agree(b->rows, &key) == PEER_AGREES)
            return;
    }
}

/* Datagrams get lost, servers come and go at both; the second always comes to the first one's rows. */
static void a_pair_comes_to_have_the_same_rows(void **state)
{
    struct lb_tables tables = memory(pair_sizes), other = memory_beside(pair_sizes);
    unsigned seed = (unsigned)time(NULL), n_before;
    struct half a = {.n_servers = 12}, b = {.n_servers = 12};
    struct lb_key key;
    uint64_t now_ms = 1000;

    print_message("seed %u\n", seed);
    srand(seed);
    forget_tables();
    set_services(12, 3);
    key = lb_key_of(&virtuals[0]);
    a.applied = applied_new(&tables);
    b.applied = applied_new(&other);
    a.rows = peer_rows_new(&a.applied);
    b.rows = peer_rows_new(&b.applied);
    for (int i = 0; i < 5; i++) {
        some_weights(12);
        apply_half(&a);
    }
    assert_int_equal(PEER_UNKNOWN, peer_rows_agree(a.rows, &key));
    peer_rows_wait(b.rows, now_ms);
    tick_until_they_agree(&a, &b, 0, &now_ms);
    assert_false(peer_rows_are_awaited(b.rows));
    assert_int_equal(1, b.n_applied); /* It laid out no rows of its own before. */
    for (unsigned lost = 0; lost < 8; lost++) {
        some_weights(12);
        apply_half(rand() & 1 ? &a : &b); /* Either sees it first, */
        for (unsigned n = (unsigned)rand() % 100; n; n--)
            tick_pair(&a, &b, true, lost, now_ms += 20);
        apply_half(&a);
        apply_half(&b);
        tick_until_they_agree(&a, &b, lost, &now_ms);
    }
    b.n_servers = 9; /* Other files. */
    for (unsigned n = 0; n < 500; n++)
        tick_pair(&a, &b, true, 0, now_ms += 20);
    set_services(12, 3);
    apply_half(&a);
    apply_half(&b);
    for (unsigned n = 0; n < 500; n++)
        tick_pair(&a, &b, true, 0, now_ms += 20);
    assert_int_equal(PEER_DIFFERS, peer_rows_agree(a.rows, &key));
    n_before = b.n_applied; /* It is known, and nothing goes on about it. */
    for (unsigned n = 0; n < 500; n++)
        tick_pair(&a, &b, true, 0, now_ms += 20);
    assert_int_equal(n_before, b.n_applied);
    b.n_servers = 12;
    apply_half(&b);
    tick_until_they_agree(&a, &b, 0, &now_ms);
    tick_pair(&a, &b, false, 0, now_ms += 20); /* Silence: the second goes on by itself, from those rows. */
    n_before = b.n_applied;
    apply_half(&b);
    assert_true(same_rows(a.applied, b.applied, 0));
    assert_int_equal(PEER_UNKNOWN, peer_rows_agree(b.rows, &key));
    peer_rows_free(a.rows);
    peer_rows_free(b.rows);
    applied_free(a.applied);
    applied_free(b.applied);
}

/* The second one of a pair can ask those who had a row as the first can, when the address moves to it. */
static void the_second_of_a_pair_knows_who_had_the_rows_before(void **state)
{
    struct lb_tables tables = memory(pair_sizes), other = memory_beside(pair_sizes);
    static struct balance_row before[1021];
    struct half a = {.n_servers = 12}, b = {.n_servers = 12};
    const struct balance_row *after;
    uint64_t now_ms = 1000;
    unsigned n_moved = 0;
    uint32_t n_rows;

    srand(1);
    forget_tables();
    set_services(12, 3);
    a.applied = applied_new(&tables);
    b.applied = applied_new(&other);
    a.rows = peer_rows_new(&a.applied);
    b.rows = peer_rows_new(&b.applied);
    apply_half(&a);
    peer_rows_wait(b.rows, now_ms);
    tick_until_they_agree(&a, &b, 0, &now_ms);
    after = balance_table_rows(applied_find(b.applied, &virtuals[0])->rows, &n_rows);
    assert_int_equal(ARRAY_SIZE(before), n_rows);
    memcpy(before, after, sizeof(before));
    reals[0][3].weight = 0;
    apply_half(&a);
    apply_half(&b);
    tick_until_they_agree(&a, &b, 0, &now_ms);
    after = balance_table_rows(applied_find(b.applied, &virtuals[0])->rows, &n_rows);
    for (uint32_t row = 0; row < n_rows; row++) {
        bool is_known = after[row].owner == before[row].owner;

        n_moved += !is_known;
        for (size_t i = 0; i < BALANCE_PREVIOUS; i++)
            is_known |= after[row].previous[i] == before[row].owner;
        assert_true(is_known);
    }
    assert_in_range(n_moved, 1021 / 12, 1021 / 12 + 1);
    peer_rows_free(a.rows);
    peer_rows_free(b.rows);
    applied_free(a.applied);
    applied_free(b.applied);
}

/* It was started anew, its machine too, and was not there when rows moved; the server that had most of them owns none any more. */
static void the_second_of_a_pair_is_told_who_had_the_rows_before_it_was_there(void **state)
{
    struct lb_tables tables = memory(pair_sizes), other = memory_beside(pair_sizes);
    struct half a = {.n_servers = 12}, b = {.n_servers = 12};
    const struct applied_service *at_a, *at_b;
    const struct balance_row *rows_a, *rows_b;
    unsigned n_histories = 0, n_differences = 0;
    uint64_t now_ms = 1000;
    uint32_t n_rows;

    forget_tables();
    set_services(12, 3);
    a.applied = applied_new(&tables);
    b.applied = applied_new(&other);
    a.rows = peer_rows_new(&a.applied);
    b.rows = peer_rows_new(&b.applied);
    apply_half(&a);
    for (size_t i = 3; i < 6; i++) {
        reals[0][i].weight = 0;
        apply_half(&a);
    }
    peer_rows_wait(b.rows, now_ms);
    tick_until_they_agree(&a, &b, 3, &now_ms);
    at_a = applied_find(a.applied, &virtuals[0]);
    at_b = applied_find(b.applied, &virtuals[0]);
    rows_a = balance_table_rows(at_a->rows, &n_rows);
    rows_b = balance_table_rows(at_b->rows, &n_rows);
    for (uint32_t row = 0; row < n_rows; row++)
        for (size_t i = 0; i < BALANCE_PREVIOUS; i++) {
            const char *id_a = balance_table_id(at_a->rows, rows_a[row].previous[i]), *id_b = balance_table_id(at_b->rows, rows_b[row].previous[i]);

            n_histories += id_a != NULL;
            n_differences += !id_a != !id_b || (id_a && strcmp(id_a, id_b) != 0);
        }
    assert_in_range(n_histories, 3 * (1021 / 12), 2 * 1021);
    assert_int_equal(0, n_differences);
    peer_rows_free(a.rows);
    peer_rows_free(b.rows);
    applied_free(a.applied);
    applied_free(b.applied);
}

static struct lb_server server_in(const struct lb_tables *tables, const struct applied *applied, size_t i)
{
    return tables->servers[applied_find_server(applied_find(applied, &virtuals[0]), &reals[0][i])->number].copy[0];
}

static void apply_at(struct applied *applied, uint64_t now_ms)
{
    _cleanup_(plan_freep) struct plan *plan = plan_new(&config);
    struct error error = {0};

    assert_non_null(plan);
    assert_int_equal(0, apply(applied, plan, none, NULL, now_ms, &error));
}

/* Rows in the tables that say who had them before; all of them are those that the balancer has. */
static unsigned with_history(const struct lb_tables *tables, const struct applied *applied)
{
    const struct applied_service *service = applied_find(applied, &virtuals[0]);
    uint32_t n_rows;
    const struct balance_row *expected = balance_table_rows(service->rows, &n_rows);
    unsigned n = 0;

    for (uint32_t i = 0; i < n_rows; i++) {
        const struct lb_row *row = &tables->rows[service->first_block + (i >> LB_ROWS_SHIFT)].row[i & (LB_ROWS_BLOCK - 1)];

        assert_memory_equal(row, &expected[i], sizeof(*row));
        n += row->previous[0] != LB_NOBODY;
    }
    return n;
}

static void rows_forget_who_had_them_when_the_time_is_over(void **state)
{
    struct lb_tables tables = memory((struct lb_sizes){.n_services = 8, .n_servers = 64, .n_blocks = 64, .n_members = 128});
    struct applied *applied = applied_new(&tables);
    unsigned moved_first, moved_then, after;

    forget_tables();
    set_services(6, 0);
    virtuals[0].history_s = 100;
    reals[0][4].weight = reals[0][5].weight = 0;
    apply_at(applied, 1000);
    reals[0][4].weight = 1; /* It gets rows of others, */
    apply_at(applied, 11000);
    moved_first = with_history(&tables, applied);
    assert_in_range(moved_first, 1021 / 5, 1021 / 5 + 1);
    reals[0][5].weight = 1; /* and so does this one. */
    apply_at(applied, 51000);
    moved_then = with_history(&tables, applied) - moved_first;
    assert_in_range(moved_then, 1, 1021 / 6 + 1);
    applied_age(applied, 110999);
    assert_int_equal(moved_first + moved_then, with_history(&tables, applied));
    applied_age(applied, 111000);
    after = with_history(&tables, applied);
    assert_true(after >= moved_then && after <= 1021 / 6 + 1 && after < moved_first + moved_then);
    applied_free(applied);
    applied = applied_restore(&tables, 112000); /* What was lost when is not known any more: as if it were now. */
    assert_non_null(applied);
    apply_at(applied, 112000);
    applied_age(applied, 211999);
    assert_int_equal(after, with_history(&tables, applied));
    virtuals[0].history_s = 200; /* Who may have it longer has it longer, */
    apply_at(applied, 211999);
    applied_age(applied, 311999);
    assert_int_equal(after, with_history(&tables, applied));
    virtuals[0].history_s = 0;
    apply_at(applied, 311999);
    applied_age(applied, UINT64_MAX - 1);
    assert_int_equal(after, with_history(&tables, applied));
    virtuals[0].history_s = 100; /* and who may not, not. */
    apply_at(applied, 311999);
    assert_int_equal(0, with_history(&tables, applied));
    reals[0][1].weight = 0; /* Of one that drains the time begins with that, whenever rows moved. */
    apply_at(applied, 400000);
    reals[0][2].weight = 0;
    apply_at(applied, 450000);
    assert_in_range(with_history(&tables, applied), 2 * 1021 / 6 - 1, 2 * 1021 / 6 + 2);
    applied_age(applied, 500000);
    assert_in_range(with_history(&tables, applied), 1021 / 6, 1021 / 4 + 1);
    applied_age(applied, 550000);
    assert_int_equal(0, with_history(&tables, applied));
    applied_free(applied);
}

/* Packets are handed on to whoever has an agent and may be there: also drained, but not down. */
static void second_chances_are_for_who_is_not_down(void **state)
{
    struct lb_tables tables = memory((struct lb_sizes){.n_services = 8, .n_servers = 64, .n_blocks = 64, .n_members = 128});
    struct applied *applied = applied_new(&tables);
    _cleanup_(plan_freep) struct plan *plan = NULL;
    struct error error = {0};

    forget_tables();
    set_services(4, 0);
    config.second_chance_port = 6081;
    for (size_t i = 1; i < 4; i++)
        reals[0][i].second_chance = true;
    reals[0][2].weight = 0;
    reals[0][3].inhibit_on_failure = true;
    assert_int_equal(0, apply_now(applied));
    assert_int_equal(htons(6081), settings.chain_port);
    assert_int_equal(0, server_in(&tables, applied, 0).flags);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(LB_SERVER_SECOND_CHANCE, server_in(&tables, applied, i).flags);
    plan = plan_new(&config);
    assert_non_null(plan);
    plan->services[0].servers[3].weight = 0;
    plan->services[0].servers[3].is_down = true;
    assert_int_equal(0, apply(applied, plan, none, NULL, 1000000, &error));
    assert_int_equal(LB_SERVER_SECOND_CHANCE, server_in(&tables, applied, 2).flags);
    assert_int_equal(0, server_in(&tables, applied, 3).flags);
    applied_free(applied);
}

/* All of a round: the services whose ports these are, of which the first has rows of one byte. */
static void hear_round(struct peer_rows *pair, const uint16_t *ports, size_t n)
{
    static struct peer_message message;
    uint8_t byte = 7, hash[crypto_generichash_BYTES_MIN];
    uint64_t digest;

    crypto_generichash(hash, sizeof(hash), &byte, 1, NULL, 0);
    memcpy(&digest, hash, sizeof(digest));
    message = (struct peer_message){.kind = PEER_SERVICES, .n_services = n, .flags = PEER_ROUND_ENDS};
    for (size_t i = 0; i < n; i++)
        message.services[i] = (struct peer_service){.service.port = ports[i], .digest = digest};
    assert_false(peer_rows_heard(pair, &message, 1000));
    message = (struct peer_message){.kind = PEER_ROWS, .piece = {.service.port = n ? ports[0] : 0, .digest = digest, .size = 1, .bytes = {byte}}};
    if (n)
        peer_rows_heard(pair, &message, 1000);
}

/* Not as soon as a datagram gets lost. */
static void what_the_other_director_has_no_more_is_forgotten(void **state)
{
    static uint16_t ports[2][20];
    struct applied *nothing = NULL;
    struct peer_rows *pair = peer_rows_new(&nothing);
    struct lb_key key = {.port = 1};
    struct applied_base base;

    for (uint16_t i = 0; i < 20; i++)
        ports[0][i] = ports[1][i] = (uint16_t)(1 + i);
    ports[1][0] = 100;
    peer_rows_tick(pair, true, false, 1000);
    for (unsigned i = 0; i < 10; i++) {
        hear_round(pair, ports[0], 20);
        hear_round(pair, ports[1], 20);
        assert_true(peer_rows_base(&key, &base, pair));
    }
    for (unsigned i = 0; i < 10; i++)
        hear_round(pair, ports[1], 20);
    assert_false(peer_rows_base(&key, &base, pair));
    key.port = 100;
    assert_true(peer_rows_base(&key, &base, pair));
    for (unsigned i = 0; i < 10; i++)
        hear_round(pair, NULL, 0);
    assert_false(peer_rows_base(&key, &base, pair));
    peer_rows_free(pair);
}

/* A director that starts does not wait for ever. */
static void rows_are_awaited_no_longer_than_said(void **state)
{
    static const struct {
        bool is_heard, is_first;
        unsigned ms;
    } cases[] = {{false, false, PEER_ROWS_UNHEARD_MS}, {true, false, PEER_ROWS_WAIT_MS}, {true, true, 0}};
    struct applied *nothing = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct peer_rows *pair = peer_rows_new(&nothing);

        peer_rows_wait(pair, 1000);
        if (cases[i].ms)
            assert_false(peer_rows_tick(pair, cases[i].is_heard, cases[i].is_first, 1000 + cases[i].ms - 1));
        assert_true(peer_rows_are_awaited(pair));
        assert_true(peer_rows_tick(pair, cases[i].is_heard, cases[i].is_first, 1000 + cases[i].ms));
        assert_false(peer_rows_are_awaited(pair));
        peer_rows_free(pair);
    }
}

/* The addresses that are given out to connections, by their last bytes. */
static const char *locals_given(unsigned family)
{
    static char digits[16];

    for (uint32_t i = 0; i < settings.n_locals[family]; i++)
        digits[i] = (char)('0' + locals[locals[i].given[family]].address[15]);
    digits[settings.n_locals[family]] = 0;
    return digits;
}

static void a_local_address_keeps_its_position(void **state)
{
    struct lb_tables tables = memory((struct lb_sizes){.n_services = 2, .n_servers = 8, .n_blocks = 64, .n_members = 64});
    _cleanup_(applied_freep) struct applied *applied = applied_new(&tables);
    struct ip_address wanted[] = {ip_from_v4(1), ip_from_v4(2), {.bytes = {0x20, 1, [15] = 7}}, ip_from_v4(3)};
    uint32_t second;

    set_services(1, 0);
    config.local_addresses = wanted;
    config.n_local_addresses = 4;
    assert_int_equal(0, apply_now(applied));
    assert_string_equal("123", locals_given(0));
    assert_string_equal("7", locals_given(1));
    second = locals[1].given[0];
    wanted[0] = ip_from_v4(4);
    assert_int_equal(0, apply_now(applied));
    assert_string_equal("423", locals_given(0));
    assert_int_equal(second, locals[1].given[0]);
    assert_int_equal(1, locals[0].address[15]); /* It keeps its place: connections may have it. */
    for (uint8_t round = 0; round < 250; round++) { /* More than there are places. */
        for (uint8_t i = 0; i < 4; i++)
            if (i != 1)
                wanted[i] = ip_from_v4(0x0a000000u + 256u * round + i);
        assert_int_equal(0, apply_now(applied));
        assert_int_equal(4, settings.n_locals[0]);
        assert_int_equal(second, locals[1].given[0]);
    }
    for (uint8_t i = 0; i < 150; i++) {
        for (uint8_t n = 0; n < 4; n++)
            wanted[n] = ip_from_v4(0x0b000000u + 256u * i + n);
        assert_int_equal(0, apply_now(applied));
    }
    config.n_local_addresses = 0;
    config.local_addresses = NULL;
}

/* So that SYNs without a client do not take all ports of the local addresses; what is configured counts whatever it is. */
static void half_open_connections_leave_ports_with_full_nat(void **state)
{
    struct lb_tables tables = memory((struct lb_sizes){.n_services = 2, .n_servers = 8, .n_blocks = 64, .n_members = 64});
    _cleanup_(applied_freep) struct applied *applied = applied_new(&tables);
    struct ip_address wanted[] = {ip_from_v4(1), {.bytes = {0x20, 1, [15] = 7}}, ip_from_v4(2), ip_from_v4(3)};
    static const uint32_t expected[] = {65536, 32256, 32256, 64512, 65536}; /* By how many addresses there are. */

    set_services(2, 1);
    virtuals[0].scheduler = virtuals[1].scheduler = SCHEDULER_WRR;
    reals[0][1].forwarding = FORWARD_FULL_NAT;
    config.local_addresses = wanted;
    for (size_t n = 0; n < ARRAY_SIZE(expected); n++) {
        config.n_local_addresses = n;
        assert_int_equal(0, apply_now(applied));
        assert_int_equal(expected[n], applied_find(applied, &virtuals[0])->content.half_open_limit);
        assert_int_equal(65536, applied_find(applied, &virtuals[1])->content.half_open_limit);
    }
    config.n_local_addresses = 1;
    virtuals[0].half_open_limit = 60000;
    assert_int_equal(0, apply_now(applied));
    assert_int_equal(60000, applied_find(applied, &virtuals[0])->content.half_open_limit);
    config.n_local_addresses = 0;
    config.local_addresses = NULL;
}

/* IPVS's sh, mh and dh without the flag. */
static void a_server_of_weight_0_keeps_its_rows_and_gets_nothing_new(void **state)
{
    static const enum scheduler schedulers[] = {SCHEDULER_SH, SCHEDULER_MH, SCHEDULER_DH};
    struct lb_tables tables = memory((struct lb_sizes){.n_services = 8, .n_servers = 64, .n_blocks = 64, .n_members = 128});
    static uint8_t before[1021][16], after[1021][16];

    for (size_t i = 0; i < ARRAY_SIZE(schedulers); i++) {
        struct applied *applied = applied_new(&tables);

        forget_tables();
        set_services(4, 0);
        virtuals[0].scheduler = schedulers[i];
        virtuals[0].scheduler_flags = schedulers[i] == SCHEDULER_DH ? SCHEDULER_FALLBACK : SCHEDULER_PORT; /* dh has none. */
        reals[0][2].weight = 30;
        reals[0][3].weight = 0; /* One that comes so has had no share. */
        assert_int_equal(0, apply_now(applied));
        owners(&tables, 1021, before);
        assert_int_equal(LB_SERVER_NO_NEW, server_in(&tables, applied, 3).flags);
        reals[0][2].weight = 0;
        for (int again = 0; again < 3; again++) {
            assert_int_equal(0, apply_now(applied));
            owners(&tables, 1021, after);
            assert_int_equal(0, n_different(before, after, 1021));
            assert_int_equal(LB_SERVER_NO_NEW, server_in(&tables, applied, 2).flags);
            assert_int_equal(0, server_in(&tables, applied, 1).flags);
            assert_int_equal(0, applied_find_server(applied_find(applied, &virtuals[0]), &reals[0][2])->weight);
            applied_free(applied);
            applied = applied_restore(&tables, 1000000);
            assert_non_null(applied);
            assert_int_equal(0, applied_find_server(applied_find(applied, &virtuals[0]), &reals[0][2])->weight);
        }
        reals[0][0].weight = reals[0][1].weight = 0; /* All of them. */
        assert_int_equal(0, apply_now(applied));
        assert_int_equal(1021, applied_find(applied, &virtuals[0])->content.n_rows);
        owners(&tables, 1021, after);
        assert_int_equal(0, n_different(before, after, 1021));
        reals[0][0].weight = reals[0][1].weight = 1;
        reals[0][2].weight = 30;
        assert_int_equal(0, apply_now(applied));
        owners(&tables, 1021, after);
        assert_int_equal(0, n_different(before, after, 1021));
        assert_int_equal(0, server_in(&tables, applied, 2).flags);
        reals[0][2].weight = 0;
        reals[0][2].second_chance = true; /* Established connections find it all the same. */
        assert_int_equal(0, apply_now(applied));
        owners(&tables, 1021, after);
        for (uint32_t row = 0; row < 1021; row++)
            assert_int_not_equal(2, after[row][15]);
        assert_int_equal(LB_SERVER_SECOND_CHANCE, server_in(&tables, applied, 2).flags);
        applied_free(applied);
    }
}

/* A director that begins while servers drain has the other one's rows all the same, theirs, too, and keeps them when it is left alone.  'was_alone': it did not
 * hear the other one in time, and laid out rows by itself, of which those servers have none. */
static void begin_while_servers_drain(bool was_alone)
{
    struct lb_tables tables = memory(pair_sizes), other = memory_beside(pair_sizes);
    struct half a = {.n_servers = 5}, b = {.n_servers = 5};
    uint64_t now_ms = 1000;

    forget_tables();
    set_services(5, 3);
    virtuals[0].scheduler_flags = virtuals[1].scheduler_flags = 0;
    reals[0][2].weight = 30;
    reals[0][3].weight = 7;
    a.applied = applied_new(&tables);
    b.applied = applied_new(&other);
    a.rows = peer_rows_new(&a.applied);
    b.rows = peer_rows_new(&b.applied);
    apply_half(&a);
    reals[0][2].weight = reals[0][3].weight = 0;
    reals[1][0].weight = 0;
    apply_half(&a);
    if (was_alone) {
        apply_half(&b);
        assert_false(same_rows(a.applied, b.applied, 0));
    } else {
        peer_rows_wait(b.rows, now_ms);
    }
    tick_until_they_agree(&a, &b, 0, &now_ms);
    for (unsigned n = 0; n < 100; n++)
        tick_pair(&a, &b, false, 0, now_ms += 100);
    apply_half(&b);
    assert_true(same_rows(a.applied, b.applied, 0) && same_rows(a.applied, b.applied, 1));
    assert_int_equal(LB_SERVER_NO_NEW, server_in(&other, b.applied, 2).flags);
    peer_rows_free(a.rows);
    peer_rows_free(b.rows);
    applied_free(a.applied);
    applied_free(b.applied);
}

static void the_second_of_a_pair_begins_while_a_server_drains(void **state)
{
    begin_while_servers_drain(false);
    begin_while_servers_drain(true);
}

/* All are down, with inhibit_on_failure: nobody is refused for the rows of who is down. */
static void the_sorry_server_has_all_rows(void **state)
{
    struct lb_tables tables = memory((struct lb_sizes){.n_services = 8, .n_servers = 64, .n_blocks = 64, .n_members = 128});
    _cleanup_(applied_freep) struct applied *applied = applied_new(&tables);
    _cleanup_(plan_freep) struct plan *plan = NULL;
    const struct applied_service *service;
    const struct balance_row *now;
    struct error error = {0};
    uint32_t n_rows;

    forget_tables();
    set_services(2, 0);
    virtuals[0].scheduler_flags = 0;
    virtuals[0].has_sorry_server = true;
    virtuals[0].sorry_server = reals[0][1];
    virtuals[0].sorry_server.address = ip_from_v4(0x0a000009);
    assert_int_equal(0, apply_now(applied));
    plan = plan_new(&config);
    assert_non_null(plan);
    for (size_t i = 0; i < 2; i++) {
        plan->services[0].servers[i].weight = 0;
        plan->services[0].servers[i].is_down = true;
    }
    assert_int_equal(3, plan->services[0].n_servers);
    plan->services[0].servers[2].is_used = true;
    assert_int_equal(0, apply(applied, plan, none, NULL, 1000000, &error));
    service = applied_find(applied, &virtuals[0]);
    now = balance_table_rows(service->rows, &n_rows);
    for (uint32_t row = 0; row < n_rows; row++)
        assert_string_equal("10.0.0.9:80", balance_table_id(service->rows, now[row].owner));
    assert_int_equal(0, server_in(&tables, applied, 0).flags);
    plan->services[0].servers[1].weight = 1; /* One is back. */
    plan->services[0].servers[2].is_used = false;
    assert_int_equal(0, apply(applied, plan, none, NULL, 1001000, &error));
    now = balance_table_rows(service->rows, &n_rows);
    for (uint32_t row = 0; row < n_rows; row++)
        assert_string_equal("10.0.0.1:80", balance_table_id(service->rows, now[row].owner));
}

/* With which IPVS begins: all servers, the last one first; then by weight. */
static void turns_begin_where_ipvs_begins(void **state)
{
    struct lb_tables tables = memory((struct lb_sizes){.n_services = 2, .n_servers = 8, .n_blocks = 64, .n_members = 64});
    _cleanup_(applied_freep) struct applied *applied = applied_new(&tables);
    const uint16_t expected[] = {0, 1, 2, 2, 1, 2}; /* Positions of members: the server of weight 3 is the third. */
    const struct applied_service *service;

    set_services(3, 0);
    virtuals[0].scheduler = SCHEDULER_WRR;
    for (unsigned i = 0; i < 3; i++)
        reals[0][i].weight = 9 - 3 * i;
    assert_int_equal(0, apply_now(applied));
    service = applied_find(applied, &virtuals[0]);
    assert_int_equal(ARRAY_SIZE(expected), service->content.n_rows);
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_int_equal(expected[i], rows[service->first_block].row[i].owner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_begin_where_ipvs_begins),
        cmocka_unit_test(a_local_address_keeps_its_position),
        cmocka_unit_test(half_open_connections_leave_ports_with_full_nat),
        cmocka_unit_test(rules_are_in_the_lists_of_all_prefixes_they_cover),
        cmocka_unit_test(a_service_without_room_does_not_stop_the_others),
        cmocka_unit_test(a_key_that_could_not_be_put_is_put_later),
        cmocka_unit_test(a_restart_goes_on_where_the_process_before_was),
        cmocka_unit_test(a_server_after_a_restart_is_not_taken_for_one_that_left_before),
        cmocka_unit_test(what_is_half_written_is_made_anew),
        cmocka_unit_test(a_service_that_shrank_keeps_its_rows_and_has_room_for_them),
        cmocka_unit_test(rows_of_the_other_director_are_taken_by_who_their_servers_are),
        cmocka_unit_test(rows_that_the_other_director_cannot_know_stay),
        cmocka_unit_test(mangled_rows_do_no_harm),
        cmocka_unit_test(all_rows_that_moved_are_counted),
        cmocka_unit_test(a_pair_comes_to_have_the_same_rows),
        cmocka_unit_test(the_second_of_a_pair_knows_who_had_the_rows_before),
        cmocka_unit_test(the_second_of_a_pair_is_told_who_had_the_rows_before_it_was_there),
        cmocka_unit_test(rows_forget_who_had_them_when_the_time_is_over),
        cmocka_unit_test(second_chances_are_for_who_is_not_down),
        cmocka_unit_test(a_server_of_weight_0_keeps_its_rows_and_gets_nothing_new),
        cmocka_unit_test(the_second_of_a_pair_begins_while_a_server_drains),
        cmocka_unit_test(the_sorry_server_has_all_rows),
        cmocka_unit_test(what_the_other_director_has_no_more_is_forgotten),
        cmocka_unit_test(rows_are_awaited_no_longer_than_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
