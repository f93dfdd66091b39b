/* Random projects and what is each one's fair part: for tests of what divides something that is too small. */
#ifndef WEFT_TESTS_PROJECTS_H
#define WEFT_TESTS_PROJECTS_H

#include <stddef.h>
#include <stdint.h>

#include "weft/model/objects.h"

/* Prints the seed, the first argument if there is one, and begins with it. */
void random_begin(int argc, char **argv);
unsigned below(unsigned n);

/* An id that ends with 'last', which is nobody else's and less than 1 << 48; project 'p'; an age of few, so that some have the same. */
void name_object(struct object *object, unsigned p, uint64_t last);
void copy_id(char ret[UUID_TEXT_SIZE], const struct object *object);

/* One for each project that wants more, in turn, while there are any. */
void give_one_by_one(const size_t *wanted, size_t n_projects, size_t room, size_t *ret_given);

#endif
