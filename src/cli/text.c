#include "weft/cli/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int text_format(char **ret, const char *format, ...)
{
    va_list arguments;
    int r;

    va_start(arguments, format);
    r = vasprintf(ret, format, arguments);
    va_end(arguments);
    if (r >= 0)
        return 0;
    *ret = NULL;
    return -ENOMEM;
}
