/* The compilation as a whole: see compiler.h. */
#include "weft/compiler/compiler.h"

#include <errno.h>

#include "weft/compiler/layers.h"

static int compile_projects(const struct snapshot *snapshot, struct desired *desired)
{
    for (size_t i = 0; i < snapshot->n_projects; i++)
        if (rows_add(&desired->tables[TABLE_PROJECTS], &snapshot->projects[i].index, &snapshot->projects[i].limits) < 0)
            return -ENOMEM;
    return 0;
}

int compile(const struct snapshot *snapshot, struct desired *ret)
{
    struct compile_index index;
    int error;

    desired_reset(ret);
    error = compile_index_build(snapshot, &index);
    if (error < 0) {
        desired_clear(ret);
        return error;
    }

    error = compile_projects(snapshot, ret);
    if (error == 0)
        error = compile_firewall(&index, ret);
    if (error == 0)
        error = compile_ports(&index, ret);
    if (error == 0)
        error = compile_security(&index, ret);
    if (error == 0)
        error = compile_routing(&index, ret);
    if (error == 0)
        error = compile_switching(&index, ret);
    if (error == 0)
        error = compile_services(&index, ret);
    if (error == 0)
        error = compile_balancing(&index, ret);
    if (error == 0)
        error = compile_nat(&index, ret);
    if (error == 0)
        error = compile_underlay(&index, ret);
    for (int i = 0; error == 0 && i < N_DESIRED_TABLES; i++)
        error = rows_sort(&ret->tables[i]);
    if (error == 0)
        error = rows_sort(&ret->shortages);

    compile_index_clear(&index);
    if (error < 0)
        desired_clear(ret);
    return error;
}
