/* The compilation as a whole: see compiler.h. */
#include "weft/compiler/compiler.h"

#include <errno.h>

#include "weft/compiler/admission.h"
#include "weft/compiler/layers.h"

static int compile_projects(const struct snapshot *snapshot, struct desired *desired)
{
    for (size_t i = 0; i < snapshot->n_projects; i++)
        if (rows_add(&desired->tables[TABLE_PROJECTS], &snapshot->projects[i].index, &snapshot->projects[i].limits) < 0)
            return -ENOMEM;
    return 0;
}

static int append(const struct rows *from, struct rows *to)
{
    for (size_t i = 0; from && i < from->n; i++)
        if (rows_add(to, rows_key(from, i), rows_value(from, i)) < 0)
            return -ENOMEM;
    return 0;
}

static int add_what_has_no_number(const struct snapshot *snapshot, struct desired *desired)
{
    return append(snapshot->shortages, &desired->shortages) < 0 ? -ENOMEM : append(snapshot->left_out, &desired->left_out);
}

static int compile_all(const struct snapshot *snapshot, struct desired *ret)
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
        error = add_what_has_no_number(snapshot, ret);
    if (error == 0)
        error = rows_sort(&ret->shortages);
    if (error == 0)
        error = rows_sort(&ret->left_out);

    compile_index_clear(&index);
    if (error < 0)
        desired_clear(ret);
    return error;
}

/* What 'all' is without what finds no room. */
static int compile_what_fits(const struct snapshot *snapshot, const struct desired *all, struct desired *ret)
{
    struct narrowed narrowed;
    struct rows shortages;
    int error;

    rows_init(&shortages, sizeof(struct shortage_key), sizeof(struct shortage));
    error = admission_narrow(snapshot, all, &shortages, &narrowed);
    if (error == 0)
        error = compile_all(&narrowed.snapshot, ret);
    if (error == 0)
        error = admission_restrict(&narrowed, ret);
    if (error == 0)
        error = append(&shortages, &ret->shortages);
    if (error == 0)
        error = rows_sort(&ret->shortages);
    if (error < 0)
        desired_clear(ret);
    rows_clear(&shortages);
    narrowed_clear(&narrowed);
    return error;
}

int compile(const struct snapshot *snapshot, struct desired *ret)
{
    int error = compile_all(snapshot, ret);

    if (error == 0 && admission_is_over(snapshot, ret)) {
        struct desired all = *ret;

        desired_init(ret);
        error = compile_what_fits(snapshot, &all, ret);
        desired_clear(&all);
    }
    return error;
}
