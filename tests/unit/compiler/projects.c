/* Random projects: see projects.h. */
#include "projects.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "weft/base/util.h"

void random_begin(int argc, char **argv)
{
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : (unsigned)time(NULL);

    printf("seed %u\n", seed);
    srand(seed);
}

unsigned below(unsigned n)
{
    return (unsigned)rand() % n;
}

void name_object(struct object *object, unsigned p, uint64_t last)
{
    snprintf(object->id, sizeof(object->id), "%08x-0000-4000-8000-%012llx", below(1u << 30), (unsigned long long)last);
    snprintf(object->project_id, sizeof(object->project_id), "p%u", p);
    object->created_at_s = below(5);
}

void copy_id(char ret[UUID_TEXT_SIZE], const struct object *object)
{
    string_copy(ret, UUID_TEXT_SIZE, object->id);
}

void give_one_by_one(const size_t *wanted, size_t n_projects, size_t room, size_t *ret_given)
{
    bool goes_on = true;

    memset(ret_given, 0, n_projects * sizeof(*ret_given));
    while (goes_on) {
        goes_on = false;
        for (size_t p = 0; p < n_projects && room; p++)
            if (ret_given[p] < wanted[p]) {
                ret_given[p]++;
                room--;
                goes_on = true;
            }
    }
}
