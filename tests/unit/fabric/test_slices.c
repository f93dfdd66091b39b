/* Slices against a list of bindings that is searched from the most exact to the least. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/frame.h"
#include "weft/fabric/slices.h"

static const struct slice_binding by_port = {.has_port = true, .datapath_id = 1, .port = 2};
static const struct slice_binding by_vlan = {.has_port = true, .has_vlan = true, .datapath_id = 1, .port = 2, .vlan = 10};
static const struct slice_binding by_both = {.has_port = true, .has_mac = true, .datapath_id = 1, .port = 2, .mac = {{2, 0, 0, 0, 0, 1}}};
static const struct slice_binding by_mac = {.has_mac = true, .mac = {{2, 0, 0, 0, 0, 1}}};

static void the_most_exact_binding_wins(void **state)
{
    const struct mac_address bound = {{2, 0, 0, 0, 0, 1}}, other = {{2, 0, 0, 0, 0, 9}};
    struct slices *slices;
    struct error error = {0};

    assert_int_equal(slices_new(&slices), 0);
    assert_int_equal(slices_find(slices, 1, 2, 10, &bound), SLICE_ALL);
    assert_int_equal(slices_set(slices, "mac", &by_mac, 1, &error), 0);
    assert_string_equal(slices_name(slices, slices_find(slices, 1, 2, 10, &bound)), "mac");
    assert_int_equal(slices_find(slices, 1, 2, 10, &other), SLICE_NONE);
    assert_int_equal(slices_set(slices, "port", &by_port, 1, &error), 0);
    assert_string_equal(slices_name(slices, slices_find(slices, 1, 2, FRAME_NO_VLAN, &bound)), "port");
    assert_int_equal(slices_set(slices, "vlan", &by_vlan, 1, &error), 0);
    assert_string_equal(slices_name(slices, slices_find(slices, 1, 2, 10, &bound)), "vlan");
    assert_int_equal(slices_set(slices, "both", &by_both, 1, &error), 0);
    assert_string_equal(slices_name(slices, slices_find(slices, 1, 2, 10, &bound)), "both");
    assert_string_equal(slices_name(slices, slices_find(slices, 1, 2, 10, &other)), "vlan");
    assert_string_equal(slices_name(slices, slices_find(slices, 7, 7, 10, &bound)), "mac");
    slices_free(slices);
}

static void a_refused_change_changes_nothing(void **state)
{
    struct slice_binding twice[] = {by_mac, by_port, by_mac}, wrong[] = {{.has_port = true, .has_vlan = true, .has_mac = true}, {.has_vlan = true}, {0}};
    struct slices *slices;
    struct error error = {0};
    uint32_t number;

    assert_int_equal(slices_new(&slices), 0);
    assert_int_equal(slices_set(slices, "a", &by_mac, 1, NULL), 0);
    number = slices_find(slices, 0, 0, 0, &by_mac.mac);
    assert_int_equal(slices_set(slices, "a", twice, 3, &error), -EEXIST);
    assert_int_equal(slices_find(slices, 0, 0, 0, &by_mac.mac), number);
    assert_int_equal(slices_find(slices, 1, 2, 0, &(struct mac_address){{0}}), SLICE_NONE);
    error = (struct error){0};
    assert_int_equal(slices_set(slices, "b", &by_mac, 1, &error), -EEXIST);
    assert_non_null(strstr(error.message, "'a'"));
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(slices_set(slices, "b", &wrong[i], 1, NULL), -EINVAL);
    assert_int_equal(slices_set(slices, "", &by_port, 1, NULL), -EINVAL);
    assert_int_equal(slices_set(slices, "with space", &by_port, 1, NULL), -EINVAL);
    assert_int_equal(slices_remove(slices, "b"), -ENOENT);
    /* Changed as a whole, it keeps its number; removed, everybody is free again. */
    assert_int_equal(slices_set(slices, "a", &by_port, 1, NULL), 0);
    assert_int_equal(slices_find(slices, 1, 2, 0, &by_mac.mac), number);
    assert_int_equal(slices_remove(slices, "a"), 0);
    assert_int_equal(slices_find(slices, 1, 2, 0, &by_mac.mac), SLICE_ALL);
    slices_free(slices);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_exact_binding_wins),
        cmocka_unit_test(a_refused_change_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
