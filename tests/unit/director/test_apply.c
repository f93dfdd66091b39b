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
                              .settings = &settings};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_without_room_does_not_stop_the_others),
        cmocka_unit_test(a_key_that_could_not_be_put_is_put_later),
        cmocka_unit_test(a_service_that_shrank_keeps_its_rows_and_has_room_for_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
