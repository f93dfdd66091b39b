/* From plans to tables, over memory: what happens when there is no room. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "weft/director/apply.h"

#define ROOM 4096
#define SERVERS_MAX 500

/* ---- tables in memory, in the place of the kernel's ----------------------------------------------------------------------------- */

static struct lb_service_record services[ROOM];
static struct lb_server_record servers[ROOM];
static struct lb_rows rows[ROOM];
static struct lb_member members[ROOM];
static struct lb_server_load loads[ROOM];
static struct lb_settings settings;
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

/* Two hash services with so many servers. */
static void set_services(size_t first, size_t second)
{
    size_t n[] = {first, second};

    config.n_services = second ? 2 : 1;
    for (uint32_t i = 0; i < 2; i++) {
        virtuals[i] = (struct virtual_service){.protocol = 6, .address = ip_from_v4(0xc0000201), .port = (uint16_t)(80 + i),
                                               .scheduler = SCHEDULER_MH, .servers = reals[i], .n_servers = n[i]};
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
                              .settings = &settings, .mark_rules = mark_rules};
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
    config.n_mark_rules = 0;
    assert_int_equal(0, apply_now(applied));
    assert_int_equal(0, settings.has_marks);
    assert_string_equal("", marks_for("192.0.2.1/32"));
    config.mark_rules = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_in_the_lists_of_all_prefixes_they_cover),
        cmocka_unit_test(a_service_without_room_does_not_stop_the_others),
        cmocka_unit_test(a_key_that_could_not_be_put_is_put_later),
        cmocka_unit_test(a_service_that_shrank_keeps_its_rows_and_has_room_for_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
