#include "weft/cli/director.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/director/config.h"
#include "weft/director/import/import.h"

#define GUESS_SIZE 4096

/* What the file looks like; one that cannot be read is found out about later. */
static enum import_format guess(const char *path)
{
    FILE *file = fopen(path, "re");
    char text[GUESS_SIZE + 1];
    size_t n = file ? fread(text, 1, GUESS_SIZE, file) : 0;

    if (file)
        fclose(file);
    text[n] = 0;
    return import_format_guess(text);
}

static void print_report(const struct import_report *report)
{
    for (size_t i = 0; i < report->n_notes; i++)
        fprintf(stderr, "%s\n", report->notes[i]);
    if (report->n_dropped)
        fprintf(stderr, "and %zu lines more\n", report->n_dropped);
}

/* Into the file 'target', beside what it has. */
static int import_into(const char *source, enum import_format format, const char *config_id, const char *target,
                       struct import_report *report, struct error *error)
{
    _cleanup_(director_config_freep) struct director_config *config = NULL;
    _cleanup_(closep) int lock = -1;
    int result = director_config_lock(target, &lock, error);

    if (result < 0)
        return result;
    result = director_config_read(target, &config, error);
    if (result == -ENOENT) {
        *error = (struct error){0};
        config = director_config_new();
        result = config ? 0 : -ENOMEM;
    }
    if (result == 0)
        result = import_file(source, format, config_id, config, report, error);
    return result < 0 ? result : director_config_write(target, config, error);
}

static int print_imported(const char *source, enum import_format format, const char *config_id,
                          struct import_report *report, struct error *error)
{
    _cleanup_(director_config_freep) struct director_config *config = director_config_new();
    _cleanup_(freep) char *text = NULL;
    int result = config ? import_file(source, format, config_id, config, report, error) : -ENOMEM;

    if (result == 0)
        result = director_config_check(config, error);
    if (result < 0)
        return result;
    text = director_config_format(config);
    if (!text)
        return -ENOMEM;
    fputs(text, stdout);
    return 0;
}

int run_lb_import(struct call *call)
{
    const char *source = call_argument(call, 0), *target = call_flag(call, "to"),
               *format_name = call_flag(call, "format");
    const char *config_id = call_flag(call, "config-id");
    struct import_report report = {0};
    enum import_format format = guess(source);
    int result;

    if (format_name && import_format_parse(format_name, &format) < 0)
        return error_set(&call->error, -EINVAL, "format",
                         "format: '%s' is not one of keepalived, ipvsadm, iptables, nft", format_name);
    result = target ? import_into(source, format, config_id, target, &report, &call->error)
                    : print_imported(source, format, config_id, &report, &call->error);
    print_report(&report);
    import_report_clear(&report);
    return result;
}
