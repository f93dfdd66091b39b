/* Errors a person will see.
 *
 * Libraries return 0 or a negative errno.  Where the cause is a person's input, they also fill a
 * 'struct error' with the field, written as the person wrote it ("port.fixed_ips[0].ip_address"), and a
 * message that quotes the offending value.  Programs print it once. */
#ifndef WEFT_BASE_ERROR_H
#define WEFT_BASE_ERROR_H

struct error {
    int code;          /* Negative errno, 0 while nothing went wrong. */
    char type[64];     /* A name for programs ("NetworkNotFound"), or empty. */
    char field[160];   /* Path of the offending field, or empty. */
    char message[512]; /* A sentence for people; names the field and the value. */
};

/* Fills '*error' (NULL is allowed) and returns 'code', so that a caller can write
 * 'return error_set(error, -EINVAL, "mtu", "'%s' is not a number", text);'.
 * 'field' may be NULL.  Only the first error is kept: one already set is not overwritten. */
int error_set(struct error *error, int code, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* As error_set, and names the kind of error for programs. */
int error_set_type(struct error *error, int code, const char *type, const char *field, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Puts 'prefix' in front of the field of an error that is set: "fixed_ips[0]" + "ip_address". */
void error_prefix_field(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
