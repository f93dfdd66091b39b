/* Ownership bound to scope.
 *
 *     _cleanup_(freep) char *text = strdup("x");      freed at the end of the scope
 *     *ret_text = TAKE_PTR(text);                     handed over instead
 */
#ifndef WEFT_BASE_CLEANUP_H
#define WEFT_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

#define TAKE_PTR(pointer)                                                                                    \
    ({                                                                                                       \
        __typeof__(pointer) taken_ = (pointer);                                                              \
        (pointer) = NULL;                                                                                    \
        taken_;                                                                                              \
    })

#define TAKE_FD(fd)                                                                                          \
    ({                                                                                                       \
        int taken_ = (fd);                                                                                   \
        (fd) = -1;                                                                                           \
        taken_;                                                                                              \
    })

/* Defines 'static inline void NAMEp(TYPE *p)' for use with _cleanup_. */
#define DEFINE_CLEANUP(type, function)                                                                       \
    static inline void function##p(type *pointer)                                                            \
    {                                                                                                        \
        if (*pointer)                                                                                        \
            function(*pointer);                                                                              \
    }                                                                                                        \
    struct cleanup_semicolon_

static inline void freep(void *pointer)
{
    free(*(void **)pointer);
}

static inline void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

#endif
