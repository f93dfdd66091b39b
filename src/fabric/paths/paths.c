/* Modes by name and number; see paths.h. */
#include "weft/fabric/paths/paths.h"

#include <errno.h>

#include "weft/base/util.h"

typedef int find_paths(const struct graph *graph, uint32_t from, uint32_t to, size_t max_paths, struct path_list *ret);

static int find_reference(const struct graph *graph, uint32_t from, uint32_t to, size_t max_paths,
                          struct path_list *ret)
{
    return paths_reference(graph, from, to, max_paths, NULL, ret);
}

static const struct {
    const char *name;
    find_paths *find;
} modes[] = {
    [PATHS_REFERENCE] = {"reference", find_reference},
    [PATHS_EQUAL_COST] = {"equal-cost", paths_equal_cost},
    [PATHS_DISJOINT] = {"disjoint", paths_disjoint},
    [PATHS_K_SHORTEST] = {"k-shortest", paths_k_shortest},
};

const char *path_mode_name(enum path_mode mode)
{
    return modes[mode].name;
}

int path_mode_parse(const char *text, enum path_mode *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        if (streq(text, modes[i].name)) {
            *ret = (enum path_mode)i;
            return 0;
        }
    }
    return -EINVAL;
}

int paths_find(const struct graph *graph, enum path_mode mode, uint32_t from, uint32_t to, size_t max_paths,
               struct path_list *ret)
{
    return modes[mode].find(graph, from, to, max_paths, ret);
}
