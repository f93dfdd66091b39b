/* Quorum, hysteresis, sorry servers and inhibition: scenes with their outcome written out, and properties that hold at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "weft/base/util.h"
#include "weft/director/judge.h"

#define SERVERS 4

struct scene {
    struct virtual_service service;
    struct real_server servers[SERVERS];
    struct judged_server judged_servers[SERVERS + 1];
    struct judged_service judged;
};

/* Servers of weight 1 that are up; 'up' is "1" or "0" for each. */
static void scene_set(struct scene *scene, size_t n, const char *up)
{
    *scene = (struct scene){.service = {.quorum = 1, .n_servers = n}};
    scene->service.servers = scene->servers;
    scene->judged.servers = scene->judged_servers;
    for (size_t i = 0; i < n; i++) {
        scene->servers[i].weight = 1;
        scene->judged_servers[i].is_up = up[i] == '1';
    }
}

static bool turn(struct scene *scene, const char *up)
{
    for (size_t i = 0; i < scene->service.n_servers; i++)
        scene->judged_servers[i].is_up = up[i] == '1';
    return service_judge(&scene->service, &scene->judged, false);
}

/* "1 - 0": the weight of each that is used. */
static void assert_use(const struct scene *scene, bool has_quorum, const char *expected)
{
    char text[128] = "", *at = text;

    for (size_t i = 0; i < scene->service.n_servers + scene->service.has_sorry_server; i++) {
        const struct judged_server *server = &scene->judged_servers[i];

        if (i)
            *at++ = ' ';
        at += server->is_used ? sprintf(at, "%u", server->weight) : sprintf(at, "-");
    }
    assert_string_equal(text, expected);
    assert_int_equal(scene->judged.has_quorum, has_quorum);
}

static void a_server_that_is_down_is_out_or_has_weight_0(void **state)
{
    struct scene scene;

    scene_set(&scene, 3, "111");
    scene.servers[2].inhibit_on_failure = true;
    assert_true(service_judge(&scene.service, &scene.judged, true));
    assert_use(&scene, true, "1 1 1");
    assert_true(turn(&scene, "101"));
    assert_use(&scene, true, "1 - 1");
    assert_true(turn(&scene, "100"));
    assert_use(&scene, true, "1 - 0");
    assert_false(turn(&scene, "100"));
    assert_true(turn(&scene, "111"));
    assert_use(&scene, true, "1 1 1");
}

static void quorum_has_hysteresis(void **state)
{
    struct scene scene;

    scene_set(&scene, 4, "1111");
    scene.service.quorum = 3;
    scene.service.hysteresis = 1;
    service_judge(&scene.service, &scene.judged, true);
    assert_use(&scene, true, "1 1 1 1");
    turn(&scene, "1100"); /* 2 is not below 3 - 1. */
    assert_use(&scene, true, "1 1 - -");
    turn(&scene, "1000");
    assert_use(&scene, false, "1 - - -"); /* No sorry server: who is left answers. */
    turn(&scene, "1110"); /* 3 is less than 3 + 1. */
    assert_use(&scene, false, "1 1 1 -");
    turn(&scene, "1111");
    assert_use(&scene, true, "1 1 1 1");
}

static void the_sorry_server_answers_alone_without_a_quorum(void **state)
{
    struct scene scene;

    scene_set(&scene, 3, "111");
    scene.service.quorum = 2;
    scene.service.has_sorry_server = true;
    scene.service.sorry_server.weight = 1;
    scene.servers[1].inhibit_on_failure = true;
    service_judge(&scene.service, &scene.judged, true);
    assert_use(&scene, true, "1 1 1 -");
    turn(&scene, "100");
    assert_use(&scene, false, "- 0 - 1");
    turn(&scene, "000");
    assert_use(&scene, false, "- 0 - 1");
    turn(&scene, "011");
    assert_use(&scene, true, "- 1 1 -");
}

static void a_service_without_anybody_has_no_quorum(void **state)
{
    struct scene scene;

    scene_set(&scene, 1, "1");
    scene.service.quorum = 1;
    scene.service.hysteresis = 1;
    scene.servers[0].weight = 2;
    service_judge(&scene.service, &scene.judged, true);
    assert_use(&scene, true, "2");
    turn(&scene, "0"); /* 0 is not below 1 - 1, but nobody is there. */
    assert_use(&scene, false, "-");
}

static void a_weight_that_a_check_chose_counts(void **state)
{
    struct scene scene;

    scene_set(&scene, 2, "11");
    scene.service.quorum = 5;
    scene.judged_servers[1].has_weight = true;
    scene.judged_servers[1].chosen_weight = 4;
    service_judge(&scene.service, &scene.judged, true);
    assert_use(&scene, true, "1 4");
    scene.judged_servers[1].chosen_weight = 0; /* Quiet, not down. */
    assert_true(service_judge(&scene.service, &scene.judged, false));
    assert_use(&scene, false, "1 0");
}

static void what_follows_depends_on_the_scene_alone(void **state)
{
    const char *given = getenv("WEFT_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL) ^ (unsigned)getpid() << 16;

    print_message("judge: WEFT_TEST_SEED=%u\n", seed);
    for (int round = 0; round < 20000; round++) {
        char up[SERVERS + 1] = "0000";
        struct scene scene;
        uint64_t sum = 0;
        bool had;

        scene_set(&scene, SERVERS, up);
        scene.service.quorum = 1 + (uint32_t)rand_r(&seed) % 12;
        scene.service.hysteresis = (uint32_t)rand_r(&seed) % scene.service.quorum;
        scene.service.has_sorry_server = rand_r(&seed) & 1;
        scene.service.sorry_server.weight = 1;
        had = scene.judged.has_quorum = rand_r(&seed) & 1;
        for (size_t i = 0; i < SERVERS; i++) {
            scene.servers[i].weight = (uint32_t)rand_r(&seed) % 6;
            scene.servers[i].inhibit_on_failure = rand_r(&seed) & 1;
            up[i] = rand_r(&seed) & 1 ? '1' : '0';
            sum += up[i] == '1' ? scene.servers[i].weight : 0;
        }
        turn(&scene, up);
        assert_false(turn(&scene, up)); /* Judged once more, nothing changes: the state is stable. */
        if (sum >= scene.service.quorum + scene.service.hysteresis)
            assert_true(scene.judged.has_quorum);
        else if (sum == 0 || sum + scene.service.hysteresis < scene.service.quorum)
            assert_false(scene.judged.has_quorum);
        else
            assert_int_equal(scene.judged.has_quorum, had);
        for (size_t i = 0; i < SERVERS; i++) {
            const struct judged_server *server = &scene.judged_servers[i];

            assert_true(server->is_used || server->weight == 0);
            assert_true(up[i] == '1' || server->weight == 0);
            assert_true(up[i] == '1' || server->is_used == scene.servers[i].inhibit_on_failure);
            if (up[i] == '1')
                assert_int_equal(server->is_used, scene.judged.has_quorum || !scene.service.has_sorry_server);
        }
        assert_int_equal(scene.judged_servers[SERVERS].is_used, !scene.judged.has_quorum && scene.service.has_sorry_server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_is_down_is_out_or_has_weight_0),
        cmocka_unit_test(quorum_has_hysteresis),
        cmocka_unit_test(the_sorry_server_answers_alone_without_a_quorum),
        cmocka_unit_test(a_service_without_anybody_has_no_quorum),
        cmocka_unit_test(a_weight_that_a_check_chose_counts),
        cmocka_unit_test(what_follows_depends_on_the_scene_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
