/* cmocka in its order of includes, and a printed seed. */
#ifndef TESTS_BALANCE_TEST_H
#define TESTS_BALANCE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static inline unsigned test_seed(const char *test)
{
    const char *given = getenv("WEFT_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL) ^ (unsigned)getpid() << 16;

    print_message("%s: WEFT_TEST_SEED=%u\n", test, seed);
    return seed;
}

#endif
