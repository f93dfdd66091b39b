/* Numbers for random projects' objects, each series in turn too short for them: who has any has all, and who has is what a naive division gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "projects.h"
#include "weft/base/util.h"
#include "weft/compiler/numbers.h"

#define N_PROJECTS 4
#define N_MAX 512
#define PLENTY 4000

enum { GROUP, ROUTER, BALANCER }; /* What has its numbers together. */

struct owner {
    const struct object *object;
    unsigned project, kind;
    size_t n[N_NUMBER_SPACES], n_got[N_NUMBER_SPACES];
};

/* As the agent's: who has a number keeps it while he asks for it each time; others get one of those that are free. */
static struct {
    char ids[N_NUMBER_SPACES][N_MAX * 8][UUID_TEXT_SIZE];
    bool asked[N_NUMBER_SPACES][N_MAX * 8], was_there[N_NUMBER_SPACES][N_MAX * 8], is_taken_back[N_NUMBER_SPACES][N_MAX * 8];
} given;

static struct {
    struct router routers[N_MAX];
    struct load_balancer balancers[N_MAX];
    struct listener listeners[N_MAX];
    struct pool pools[N_MAX];
    struct pool_member members[N_MAX];
    struct security_group groups[N_MAX];
    struct address_group address_groups[N_MAX];
    struct port ports[N_MAX];
    struct compile_port port_array[N_MAX];
    struct compile_router router_array[N_MAX];
    const struct load_balancer *balancer_array[N_MAX];
    struct compile_listener listener_array[N_MAX];
    struct compile_pool pool_array[N_MAX];
    struct compile_member member_array[N_MAX];
    struct compile_security_group group_array[N_MAX];
    struct compile_address_group address_group_array[N_MAX];
    struct snapshot whole, snapshot;
    struct owner owners[4 * N_MAX];
    size_t n_owners;
    unsigned n_objects;
    struct rows shortages, left_out;
    struct numbering numbering;
} world;

static char device_ids[N_MAX][64];

static void name(struct object *object, unsigned p)
{
    name_object(object, p, ++world.n_objects);
}

static struct owner *add_owner(unsigned kind, const struct object *object, unsigned p)
{
    world.owners[world.n_owners] = (struct owner){.object = object, .project = p, .kind = kind};
    return &world.owners[world.n_owners++];
}

static void add_group(unsigned p)
{
    size_t i = world.whole.n_security_groups++, k = world.whole.n_address_groups++;

    name(&world.groups[i].object, p);
    name(&world.address_groups[k].object, p);
    world.group_array[i].group = &world.groups[i];
    world.address_group_array[k].group = &world.address_groups[k];
    add_owner(GROUP, &world.groups[i].object, p)->n[NUMBERS_GROUPS] = 1;
    add_owner(GROUP, &world.address_groups[k].object, p)->n[NUMBERS_GROUPS] = 1;
}

static struct compile_port *add_port(unsigned p, const char *owner, const char *prefix, const char *id)
{
    size_t i = world.whole.n_ports++;

    name(&world.ports[i].object, p);
    world.ports[i].device_owner = (char *)owner;
    world.ports[i].device_id = device_ids[i];
    snprintf(device_ids[i], sizeof(device_ids[i]), "%s%s", prefix, id);
    world.port_array[i] = (struct compile_port){.port = &world.ports[i]};
    return &world.port_array[i];
}

static void add_router(unsigned p, unsigned n_ports)
{
    size_t i = world.whole.n_routers++;
    struct owner *owner;

    name(&world.routers[i].object, p);
    world.router_array[i].router = &world.routers[i];
    owner = add_owner(ROUTER, &world.routers[i].object, p);
    owner->n[NUMBERS_ROUTERS] = 1;
    owner->n[NUMBERS_ROUTER_PORTS] = n_ports;
    for (unsigned k = 0; k < n_ports; k++)
        add_port(p, DEVICE_ROUTER_INTERFACE, "", owner->object->id)->is_routers = true;
}

static void add_balancer(unsigned p, bool is_outside, unsigned n_listeners, unsigned n_pools, unsigned n_members)
{
    size_t i = world.whole.n_load_balancers++;
    struct owner *owner;

    name(&world.balancers[i].object, p);
    world.balancer_array[i] = &world.balancers[i];
    owner = add_owner(BALANCER, &world.balancers[i].object, p);
    owner->n[NUMBERS_ROUTER_PORTS] = is_outside;
    owner->n[NUMBERS_LISTENERS] = n_listeners;
    owner->n[NUMBERS_POOLS] = n_pools;
    owner->n[NUMBERS_MEMBERS] = n_members;
    if (is_outside)
        add_port(p, DEVICE_LOAD_BALANCER, DEVICE_LOAD_BALANCER_ID, owner->object->id);
    for (unsigned k = 0; k < n_listeners; k++) {
        struct listener *listener = &world.listeners[world.whole.n_listeners];

        name(&listener->object, p);
        copy_id(listener->load_balancer_id, owner->object);
        world.listener_array[world.whole.n_listeners++].listener = listener;
    }
    for (unsigned k = 0; k < n_pools; k++) {
        struct pool *pool = &world.pools[world.whole.n_pools];

        name(&pool->object, p);
        copy_id(pool->load_balancer_id, owner->object);
        world.pool_array[world.whole.n_pools++].pool = pool;
    }
    for (unsigned k = 0; k < n_members; k++) {
        struct pool_member *member = &world.members[world.whole.n_members];

        name(&member->object, p);
        copy_id(member->load_balancer_id, owner->object);
        world.member_array[world.whole.n_members++].member = member;
    }
}

static void begin(void)
{
    rows_clear(&world.shortages);
    rows_clear(&world.left_out);
    memset(&world, 0, sizeof(world));
    memset(&given, 0, sizeof(given));
    rows_init(&world.shortages, sizeof(struct shortage_key), sizeof(struct shortage));
    rows_init(&world.left_out, sizeof(struct left_out_key), sizeof(uint32_t));
}

static uint32_t give(enum number_space space, const struct object *object, void *context)
{
    const struct numbering *numbering = &world.numbering;
    uint32_t number, free = 0;

    for (number = 1; number <= numbering->room[space] && number < ARRAY_SIZE(given.ids[space]); number++) {
        if (streq(given.ids[space][number], object->id))
            break;
        if (!free && !given.ids[space][number][0])
            free = number;
    }
    if (number > numbering->room[space] || number == ARRAY_SIZE(given.ids[space]))
        number = free;
    if (number) {
        copy_id(given.ids[space][number], object);
        given.asked[space][number] = true;
    }
    return number;
}

static bool had(enum number_space space, const struct object *object, void *context)
{
    for (size_t i = 0; i < ARRAY_SIZE(given.ids[space]); i++)
        if (streq(given.ids[space][i], object->id))
            return given.was_there[space][i];
    return false;
}

static void take_back(enum number_space space, const struct object *object, void *context)
{
    for (size_t i = 0; i < ARRAY_SIZE(given.ids[space]); i++)
        given.is_taken_back[space][i] |= streq(given.ids[space][i], object->id);
}

/* As after an update: what was not asked for is free. */
static void sweep(void)
{
    for (int space = 0; space < N_NUMBER_SPACES; space++)
        for (size_t i = 0; i < ARRAY_SIZE(given.ids[space]); i++) {
            if (!given.asked[space][i])
                given.ids[space][i][0] = '\0';
            given.was_there[space][i] = given.ids[space][i][0] != '\0' && (given.was_there[space][i] || !given.is_taken_back[space][i]);
            given.asked[space][i] = given.is_taken_back[space][i] = false;
        }
}

static struct owner *owner_of(const char *id)
{
    for (size_t i = 0; i < world.n_owners; i++)
        if (streq(world.owners[i].object->id, id))
            return &world.owners[i];
    return NULL;
}

static void count(enum number_space space, const char *owner, uint32_t number)
{
    if (number) {
        assert_true(number <= world.numbering.room[space]);
        owner_of(owner)->n_got[space]++;
    }
}

static void count_all(void)
{
    for (size_t i = 0; i < world.n_owners; i++)
        memset(world.owners[i].n_got, 0, sizeof(world.owners[i].n_got));
    for (size_t i = 0; i < world.whole.n_security_groups; i++) {
        count(NUMBERS_GROUPS, world.groups[i].object.id, world.group_array[i].number);
        count(NUMBERS_GROUPS, world.address_groups[i].object.id, world.address_group_array[i].number);
    }
    for (size_t i = 0; i < world.whole.n_routers; i++)
        count(NUMBERS_ROUTERS, world.routers[i].object.id, world.router_array[i].number);
    for (size_t i = 0; i < world.whole.n_ports; i++) {
        const struct compile_port *entry = &world.port_array[i];

        count(NUMBERS_ROUTER_PORTS, entry->is_routers ? entry->port->device_id : port_load_balancer_id(entry->port),
              entry->is_routers ? entry->router_port : entry->vip_port);
    }
    for (size_t i = 0; i < world.whole.n_listeners; i++)
        count(NUMBERS_LISTENERS, world.listeners[i].load_balancer_id, world.listener_array[i].number);
    for (size_t i = 0; i < world.whole.n_pools; i++)
        count(NUMBERS_POOLS, world.pools[i].load_balancer_id, world.pool_array[i].number);
    for (size_t i = 0; i < world.whole.n_members; i++)
        count(NUMBERS_MEMBERS, world.members[i].load_balancer_id, world.member_array[i].number);
}

/* One update: from no numbers in the snapshot to those of this time. */
static void update(void)
{
    struct numbering *numbering = &world.numbering;

    world.snapshot = world.whole;
    world.snapshot.n_load_balancers = world.whole.n_load_balancers;
    for (size_t i = 0; i < world.whole.n_load_balancers; i++)
        world.balancer_array[i] = &world.balancers[i];
    for (size_t i = 0; i < world.whole.n_ports; i++) {
        struct compile_port *entry = &world.port_array[i];

        entry->router_port = entry->is_routers ? NUMBER_WANTED : 0;
        entry->vip_port = entry->is_routers ? 0 : NUMBER_WANTED;
    }
    rows_reset(&world.shortages);
    rows_reset(&world.left_out);
    numbering->snapshot = &world.snapshot;
    numbering->ports = world.port_array;
    numbering->security_groups = world.group_array;
    numbering->address_groups = world.address_group_array;
    numbering->routers = world.router_array;
    numbering->load_balancers = world.balancer_array;
    numbering->listeners = world.listener_array;
    numbering->pools = world.pool_array;
    numbering->members = world.member_array;
    numbering->give = give;
    numbering->had = had;
    numbering->take_back = take_back;
    numbering->shortages = &world.shortages;
    numbering->left_out = &world.left_out;
    numbering->waits = false;
    assert_int_equal(0, numbers_give(numbering));
    assert_int_equal(0, rows_sort(&world.left_out));
    count_all();
    sweep();
}

static bool has_all(const struct owner *owner)
{
    for (int space = 0; space < N_NUMBER_SPACES; space++)
        if (owner->n_got[space] != owner->n[space])
            return false;
    return true;
}

static bool has_any(const struct owner *owner)
{
    for (int space = 0; space < N_NUMBER_SPACES; space++)
        if (owner->n_got[space])
            return true;
    return false;
}

static void expect_whole(void)
{
    size_t n_balancers = 0;

    for (size_t i = 0; i < world.n_owners; i++) {
        const struct owner *owner = &world.owners[i];
        struct left_out_key key = {{0}};
        bool is_there = false;

        string_copy(key.id, sizeof(key.id), owner->object->id);
        assert_true(has_all(owner) || !has_any(owner));
        if (!world.numbering.waits)
            assert_int_equal(has_all(owner), rows_find(&world.left_out, &key) == NULL);
        for (size_t k = 0; owner->kind == BALANCER && k < world.snapshot.n_load_balancers; k++)
            is_there |= &world.balancer_array[k]->object == owner->object;
        if (owner->kind == BALANCER)
            assert_int_equal(has_all(owner), is_there);
        n_balancers += is_there;
    }
    assert_int_equal(n_balancers, world.snapshot.n_load_balancers);
}

static void expect_shares(enum number_space space)
{
    size_t wanted[N_PROJECTS] = {0}, got[N_PROJECTS] = {0}, fair[N_PROJECTS], share = SIZE_MAX, n_got = 0, room = world.numbering.room[space];

    for (size_t i = 0; i < world.n_owners; i++) {
        wanted[world.owners[i].project] += world.owners[i].n[space];
        got[world.owners[i].project] += world.owners[i].n_got[space];
        n_got += world.owners[i].n_got[space];
    }
    give_one_by_one(wanted, N_PROJECTS, room, fair);
    for (unsigned p = 0; p < N_PROJECTS; p++)
        if (wanted[p] > fair[p])
            share = MIN(share, fair[p]);
    for (unsigned p = 0; p < N_PROJECTS; p++)
        if (wanted[p] <= share)
            assert_int_equal(wanted[p], got[p]);
    assert_true(n_got <= room);
    for (size_t i = 0; i < world.n_owners; i++)
        if (world.owners[i].n[space] && !world.owners[i].n_got[space])
            assert_true(world.owners[i].n[space] > room - n_got);
}

/* ---- the tests -------------------------------------------------------------------------------------------------------------------------- */

static size_t wanted_of(enum number_space space)
{
    size_t n = 0;

    for (size_t i = 0; i < world.n_owners; i++)
        n += world.owners[i].n[space];
    return n;
}

static void set_room(uint32_t room)
{
    for (int space = 0; space < N_NUMBER_SPACES; space++)
        world.numbering.room[space] = room;
}

static void each_series_is_divided_and_who_has_any_has_all(void **state)
{
    for (unsigned round = 0; round < 30; round++) {
        begin();
        for (unsigned p = 0; p < N_PROJECTS; p++)
            for (unsigned j = 0, n = 1 + below(below(8) + 1); j < n; j++) {
                add_group(p);
                add_router(p, below(5));
                add_balancer(p, below(2), below(4), below(4), below(6));
            }
        set_room(PLENTY);
        update();
        assert_int_equal(0, world.shortages.n);
        expect_whole();
        for (int space = 0; space < N_NUMBER_SPACES; space++) {
            size_t n = wanted_of(space), room = 1 + below((unsigned)n + 1);

            set_room(PLENTY);
            world.numbering.room[space] = (uint32_t)room;
            memset(&given, 0, sizeof(given));
            update();
            assert_false(world.numbering.waits);
            assert_int_equal(n > room, world.shortages.n > 0);
            expect_whole();
            expect_shares(space);
        }
        for (int space = 0; space < N_NUMBER_SPACES; space++) /* All at once. */
            world.numbering.room[space] = 1 + below((unsigned)wanted_of(space) + 1);
        memset(&given, 0, sizeof(given));
        update();
        expect_whole();
    }
}

/* Of each series: who has taken all gives back what another has a right to, within two updates, and keeps the rest. */
static void expect_the_small_one_is_whole(enum number_space space, uint32_t room)
{
    size_t n_before, n_greedy = 0;

    set_room(PLENTY);
    world.numbering.room[space] = room;
    update();
    n_before = world.n_owners;
    assert_true(wanted_of(space) >= room);
    for (size_t i = 0; i < n_before; i++)
        n_greedy += has_all(&world.owners[i]);
    assert_true(n_greedy > 0);
    add_group(1);
    add_router(1, 2);
    add_balancer(1, true, 2, 2, 2);
    update();
    expect_whole();
    assert_true(world.numbering.waits); /* What the other has is not free yet. */
    update();
    assert_false(world.numbering.waits);
    expect_whole();
    n_greedy = 0;
    for (size_t i = 0; i < n_before; i++)
        n_greedy += world.owners[i].n[space] && !has_all(&world.owners[i]);
    assert_true(n_greedy > 0);
    for (size_t i = n_before; i < world.n_owners; i++)
        assert_true(has_all(&world.owners[i]));
    assert_int_equal(1, world.shortages.n);
    assert_int_equal(SHORTAGE_OF_NUMBERS + space, ((const struct shortage_key *)rows_key(&world.shortages, 0))->table);
    assert_string_equal("p0", ((const struct shortage_key *)rows_key(&world.shortages, 0))->project_id);
    assert_int_equal(n_greedy, ((const struct shortage *)rows_value(&world.shortages, 0))->n_left_out);
}

static void the_greedy_one_leaves_groups(void **state)
{
    begin();
    for (unsigned i = 0; i < 50; i++)
        add_group(0);
    expect_the_small_one_is_whole(NUMBERS_GROUPS, 60);
}

static void the_greedy_one_leaves_routers(void **state)
{
    begin();
    for (unsigned i = 0; i < 50; i++)
        add_router(0, 1);
    expect_the_small_one_is_whole(NUMBERS_ROUTERS, 50);
}

static void the_greedy_one_leaves_ports_of_routers(void **state)
{
    begin();
    for (unsigned i = 0; i < 20; i++)
        add_router(0, 5);
    expect_the_small_one_is_whole(NUMBERS_ROUTER_PORTS, 100);
}

static void the_greedy_one_leaves_listeners(void **state)
{
    begin();
    for (unsigned i = 0; i < 20; i++)
        add_balancer(0, false, 5, 1, 1);
    expect_the_small_one_is_whole(NUMBERS_LISTENERS, 100);
}

static void the_greedy_one_leaves_pools(void **state)
{
    begin();
    for (unsigned i = 0; i < 20; i++)
        add_balancer(0, false, 1, 5, 1);
    expect_the_small_one_is_whole(NUMBERS_POOLS, 100);
}

static void the_greedy_one_leaves_members(void **state)
{
    begin();
    for (unsigned i = 0; i < 20; i++)
        add_balancer(0, false, 1, 1, 5);
    expect_the_small_one_is_whole(NUMBERS_MEMBERS, 100);
}

/* A load balancer that is there goes on as it is until the number of its new listener is free. */
static void what_runs_waits_for_no_number(void **state)
{
    struct owner *small;
    struct listener *listener;

    begin();
    add_balancer(1, false, 1, 1, 1);
    for (unsigned i = 0; i < 33; i++)
        add_balancer(0, false, 3, 1, 1);
    set_room(PLENTY);
    world.numbering.room[NUMBERS_LISTENERS] = 100;
    update();
    small = &world.owners[0];
    assert_true(has_all(small));
    listener = &world.listeners[world.whole.n_listeners];
    name(&listener->object, 1);
    copy_id(listener->load_balancer_id, small->object);
    world.listener_array[world.whole.n_listeners++].listener = listener;
    small->n[NUMBERS_LISTENERS]++;
    update();
    assert_true(world.numbering.waits);
    assert_int_equal(1, small->n_got[NUMBERS_LISTENERS]);
    assert_int_equal(1, small->n_got[NUMBERS_MEMBERS]);
    update();
    assert_false(world.numbering.waits);
    assert_true(has_all(small));
    expect_whole();
}

/* Whoever makes and deletes others keeps what is new waiting, but half of it never is there: its other listeners would seem to be closed. */
static void what_waits_twice_is_there_as_a_whole(void **state)
{
    struct owner *waiting;

    begin();
    add_balancer(0, false, 2, 1, 1);
    waiting = &world.owners[0];
    set_room(PLENTY);
    world.numbering.room[NUMBERS_LISTENERS] = 2;
    for (int i = 0; i < 3; i++) {
        string_copy(given.ids[NUMBERS_LISTENERS][2], UUID_TEXT_SIZE, "deleted just now");
        update();
        assert_true(world.numbering.waits);
        assert_false(has_any(waiting));
        assert_int_equal(0, world.snapshot.n_load_balancers);
    }
    update();
    assert_false(world.numbering.waits);
    assert_true(has_all(waiting));
    update();
    string_copy(given.ids[NUMBERS_LISTENERS][2], UUID_TEXT_SIZE, "deleted just now"); /* Of what is there. */
    given.was_there[NUMBERS_LISTENERS][2] = true;
    update();
    assert_int_equal(1, waiting->n_got[NUMBERS_LISTENERS]);
}

/* Ports that say that they are a router's which is not there have no number that others want. */
static void what_hangs_on_nothing_takes_none(void **state)
{
    begin();
    for (unsigned i = 0; i < 30; i++)
        add_port(0, DEVICE_ROUTER_INTERFACE, "", "00000000-0000-4000-8000-000000000000")->is_routers = true;
    add_router(1, 5);
    set_room(PLENTY);
    world.numbering.room[NUMBERS_ROUTER_PORTS] = 5;
    update();
    assert_true(has_all(&world.owners[0]));
    assert_int_equal(0, world.shortages.n);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests_of_numbers[] = {
        cmocka_unit_test(each_series_is_divided_and_who_has_any_has_all),
        cmocka_unit_test(the_greedy_one_leaves_groups),
        cmocka_unit_test(the_greedy_one_leaves_routers),
        cmocka_unit_test(the_greedy_one_leaves_ports_of_routers),
        cmocka_unit_test(the_greedy_one_leaves_listeners),
        cmocka_unit_test(the_greedy_one_leaves_pools),
        cmocka_unit_test(the_greedy_one_leaves_members),
        cmocka_unit_test(what_runs_waits_for_no_number),
        cmocka_unit_test(what_waits_twice_is_there_as_a_whole),
        cmocka_unit_test(what_hangs_on_nothing_takes_none),
    };
    int result;

    random_begin(argc, argv);
    result = cmocka_run_group_tests(tests_of_numbers, NULL, NULL);
    rows_clear(&world.shortages);
    rows_clear(&world.left_out);
    return result;
}
