/* See loader.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "loader.h"

static const char *pin_path;

struct maps *loader_open(void)
{
    static const struct maps_sizes sizes = {64, 64, 64, 64};
    struct error error = {0};
    struct maps *maps = NULL;

    if (maps_open(pin_path, &sizes, &maps, &error) < 0)
        fail_msg("%s", error.message);
    return maps;
}

void loader_apply(struct maps *maps, const struct desired *desired, uint64_t *now_ms)
{
    struct maps_changes changes;

    do {
        assert_int_equal(0, maps_apply(maps, desired, true, *now_ms, &changes));
        assert_int_equal(0, changes.n_failed);
        *now_ms += changes.retry_ms;
    } while (changes.retry_ms);
}

int loader_main(int argc, char **argv, const void *tests, size_t n_tests)
{
    unsigned seed = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : (unsigned)time(NULL);

    if (argc < 2) {
        fprintf(stderr, "usage: %s PIN-PATH [SEED [TEST]]\n", argv[0]);
        return 1;
    }
    pin_path = argv[1];
    printf("seed %u\n", seed);
    srand(seed);
    if (argc > 3)
        cmocka_set_test_filter(argv[3]);
    return _cmocka_run_group_tests("loader", tests, n_tests, NULL, NULL);
}
