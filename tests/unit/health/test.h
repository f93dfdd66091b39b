/* cmocka in its order of includes, and a printed seed. */
#ifndef TESTS_HEALTH_TEST_H
#define TESTS_HEALTH_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline unsigned test_seed(const char *test)
{
    const char *given = getenv("WEFT_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL) ^ (unsigned)getpid() << 16;

    print_message("%s: WEFT_TEST_SEED=%u\n", test, seed);
    return seed;
}

static inline uint32_t test_random(unsigned *seed)
{
    return (uint32_t)rand_r(seed) << 16 ^ (uint32_t)rand_r(seed);
}

#endif
