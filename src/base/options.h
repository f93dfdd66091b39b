/* One table of settings for a program: command-line flags and its configuration file share names and parsers.
 *
 * "--public-url=X", "--public-url X" and, in the file, "public-url = X" set the same thing; flags win over the file.
 * '#' starts a comment line.  '--help' prints the table and '--version' the version; both exit. */
#ifndef WEFT_BASE_OPTIONS_H
#define WEFT_BASE_OPTIONS_H

#include <stddef.h>

#include "weft/base/error.h"

enum option_type { OPTION_STRING, OPTION_NUMBER, OPTION_FLAG };

struct option_spec {
    const char *name;          /* "listen", written --listen. */
    enum option_type type;
    void *value;               /* char ** (owned, freed by options_clear), uint64_t *, or bool *. */
    const char *placeholder;   /* "ADDRESS", for the help; NULL for a flag. */
    const char *help;          /* One line. */
};

/* 'specs' ends with a NULL name.  Reads the file named by --config (default 'config_path'; a missing default file is
 * fine), then the flags.  What is not an option is left in '*ret_arguments' (borrowed from 'argv', NULL-terminated
 * by count '*ret_n').  Returns 0 or -EINVAL, -ENOENT with '*error' naming option, value and, in a file, its line. */
int options_parse(const struct option_spec *specs, const char *config_path, const char *usage, int argc, char **argv,
                  char ***ret_arguments, int *ret_n, struct error *error);
void options_clear(const struct option_spec *specs);

#endif
