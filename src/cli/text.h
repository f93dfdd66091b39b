/* Text made to measure. */
#ifndef WEFT_CLI_TEXT_H
#define WEFT_CLI_TEXT_H

/* As asprintf, but '*ret' is NULL after a failure, so that a _cleanup_ may free it.  Returns 0 or -ENOMEM. */
int text_format(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
