/* A director's file, and ipvsadm's command lines on it.
 *
 * The first byte says which: JSON (what is read holds, and is written and read again to the same), or lines of commands
 * (the table holds after each, and what -S writes makes the same table). */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/director/config.h"
#include "weft/director/import/import.h"
#include "weft/director/ipvsadm/edit.h"
#include "weft/director/ipvsadm/list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MAX 32

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

static void check_json(const char *text, size_t size)
{
    _cleanup_(director_config_freep) struct director_config *config = NULL, *again = NULL;
    _cleanup_(freep) char *first = NULL, *second = NULL;
    struct error error = {0};

    if (director_config_parse(text, size, &config, &error) < 0) {
        REQUIRE(error.code < 0 && error.message[0]);
        return;
    }
    REQUIRE(director_config_check(config, NULL) == 0);
    first = director_config_format(config);
    REQUIRE(first && director_config_parse(first, strlen(first), &again, NULL) == 0);
    second = director_config_format(again);
    REQUIRE(second && streq(first, second));
}

/* Names of hosts are not asked for: in place of the C library's. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
    return EAI_NONAME;
}

static char *save(const struct director_config *config)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    REQUIRE(out && ipvsadm_save(out, config, true) == 0);
    fclose(out);
    return text;
}

static void list(const struct director_config *config, const struct ipvsadm_call *call)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int result;

    REQUIRE(out);
    result = ipvsadm_list(out, config, NULL, call);
    REQUIRE(result == 0 || result == -ENOENT);
    fclose(out);
    free(text);
}

static void run_line(struct director_config *config, char *line)
{
    char *argv[WORDS_MAX + 1] = {(char *)"ipvsadm"}, *position;
    struct ipvsadm_refusal refusal = {0};
    struct ipvsadm_call call;
    size_t n = 1;

    for (char *word = strtok_r(line, " ", &position); word && n < WORDS_MAX; word = strtok_r(NULL, " ", &position))
        argv[n++] = word;
    argv[n] = NULL;
    if (ipvsadm_parse(argv, &call, &refusal) < 0) {
        REQUIRE(refusal.text[0] && (refusal.status == IPVSADM_BAD_OPTIONS || refusal.status == IPVSADM_FAILED));
        return;
    }
    if (call.command == IPVSADM_LIST) {
        call.options |= UINT64_C(1) << OPTION_NUMERIC;
        list(config, &call);
    }
    if (ipvsadm_edit(config, &call, &refusal) < 0)
        REQUIRE(refusal.text[0] && refusal.status == IPVSADM_FAILED);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In any order: that of services is ipvsadm's, which is none where addresses are far from each other (director/ipvsadm/order.c). */
static bool same_lines(char *first, char *second)
{
    char *texts[2] = {first, second}, **lines[2], *position;
    size_t n[2] = {0};
    bool same;

    for (size_t i = 0; i < 2; i++) {
        lines[i] = calloc(strlen(texts[i]) + 1, sizeof(**lines));
        REQUIRE(lines[i]);
        for (char *line = strtok_r(texts[i], "\n", &position); line; line = strtok_r(NULL, "\n", &position))
            lines[i][n[i]++] = line;
        qsort(lines[i], n[i], sizeof(**lines), compare_lines);
    }
    same = n[0] == n[1];
    for (size_t i = 0; same && i < n[0]; i++)
        same = streq(lines[0][i], lines[1][i]);
    free(lines[0]);
    free(lines[1]);
    return same;
}

static void check_commands(char *text)
{
    _cleanup_(director_config_freep) struct director_config *config = director_config_new(),
                                                            *again = director_config_new();
    _cleanup_(freep) char *first = NULL, *copy = NULL, *second = NULL;
    struct import_report report = {0};
    char *position;

    REQUIRE(config && again);
    for (char *line = strtok_r(text, "\n", &position); line; line = strtok_r(NULL, "\n", &position))
        run_line(config, line);
    for (size_t i = 0; i < config->n_services; i++)
        for (size_t j = 0; j < config->services[i].n_servers; j++)
            if (config->services[i].servers[j].forwarding == FORWARD_FULL_NAT)
                return; /* It needs a local address, which ipvsadm has no word for. */
    REQUIRE(director_config_check(config, NULL) == 0);
    first = save(config);
    copy = strdup(first);
    REQUIRE(copy && import_ipvsadm(copy, "saved", again, &report) == 0);
    REQUIRE(report.n_notes == 0);
    second = save(again);
    REQUIRE(same_lines(first, second));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(freep) char *text = size ? strndup((const char *)data + 1, size - 1) : NULL;

    if (!size)
        return 0;
    REQUIRE(text);
    if (data[0] == 'j')
        check_json((const char *)data + 1, size - 1);
    else
        check_commands(text);
    return 0;
}
