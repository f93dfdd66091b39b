/* keepalived's configuration as a tree of statements: a line's words, and the statements in the braces behind it.
 *
 *     virtual_server 192.0.2.1 80 {        words "virtual_server" "192.0.2.1" "80", and below it
 *         delay_loop 6                         words "delay_loop" "6"
 *         real_server 10.0.0.1 80 {            ...
 *
 * Done on the way, as keepalived.conf(5) describes it: comments, quotes and escapes, include and its variants,
 * conditional lines ('@id',
 * '@^id'), definitions ('$NAME=...', also of several lines) and their use, sequences (sequence.h). */
#ifndef WEFT_DIRECTOR_KEEPALIVED_TREE_H
#define WEFT_DIRECTOR_KEEPALIVED_TREE_H

#include <stddef.h>

#include "weft/base/buffer.h"
#include "weft/base/error.h"
#include "weft/director/import/report.h"

#define KEEPALIVED_WORDS_MAX 64 /* Of a statement. */
#define KEEPALIVED_STATEMENTS_MAX 500000
#define KEEPALIVED_DEPTH_MAX 16 /* Of includes, of definitions in definitions, of sequences in sequences, of braces. */
#define KEEPALIVED_TURNS_MAX 100000 /* Of all sequences together. */
#define KEEPALIVED_FILE_MAX (64u << 20)
#define KEEPALIVED_DEFINED_MAX (2u << 20) /* Bytes of lines with definitions put in, all together. */

struct statement {
    const char *file; /* The tree's. */
    unsigned line;
    char **words; /* At least one, except of the root. */
    size_t n_words;
    struct statement *parent, *first, *last, *next;
};

/* Where text comes from. */
struct keepalived_source {
    /* Appends the file's text.  0 or -errno. */
    int (*read)(const char *path, struct buffer *text, void *context);
    /* Calls 'found' for each file of a pattern, in order; stops at and returns what is negative. */
    int (*expand)(const char *pattern, int (*found)(const char *path, void *found_context), void *found_context,
                  void *context);
    void *context;
    const char *config_id; /* '@' lines; NULL: none is that. */
};

/* Files on disk, patterns as glob(7) has them. */
extern const struct keepalived_source keepalived_files;

struct keepalived_tree;

/* Reads 'path' and what it includes.  0 with the tree, the caller's; or -errno of the file itself, -EINVAL (braces that
 * do not match; the message has file and line), -E2BIG (one of the limits), -ENOMEM.  What is left out is reported. */
int keepalived_tree_read(const char *path, const struct keepalived_source *source, struct import_report *report,
                         struct keepalived_tree **ret_tree, struct error *error);
void keepalived_tree_free(struct keepalived_tree *tree);
DEFINE_CLEANUP(struct keepalived_tree *, keepalived_tree_free);

const struct statement *keepalived_tree_root(const struct keepalived_tree *tree);

#endif
