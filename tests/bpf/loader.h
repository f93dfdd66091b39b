/* What the tests of the loader share. */
#ifndef WEFT_TESTS_LOADER_H
#define WEFT_TESTS_LOADER_H

#include "weft/dataplane/maps.h"

/* Opens the maps at the test's pin path, with 64 elements in each array; ends the test when that fails. */
struct maps *loader_open(void);

/* Applies, with sweep, until nothing is held back by the grace of records.  Time is given, so nobody waits. */
void loader_apply(struct maps *maps, const struct desired *desired, uint64_t *now_ms);

/* main() of a program that is called as PROGRAM PIN-PATH [SEED [TEST]].  'tests' is an array of struct CMUnitTest. */
int loader_main(int argc, char **argv, const void *tests, size_t n_tests);

#endif
