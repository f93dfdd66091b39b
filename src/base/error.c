#include "weft/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "weft/base/util.h"

static int set(struct error *error, int code, const char *type, const char *field, const char *format, va_list arguments)
{
    if (!error || error->code)
        return code;
    error->code = code;
    string_copy(error->type, sizeof error->type, type ? type : "");
    string_copy(error->field, sizeof error->field, field ? field : "");
    vsnprintf(error->message, sizeof error->message, format, arguments);
    return code;
}

int error_set(struct error *error, int code, const char *field, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    set(error, code, NULL, field, format, arguments);
    va_end(arguments);
    return code;
}

int error_set_type(struct error *error, int code, const char *type, const char *field, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    set(error, code, type, field, format, arguments);
    va_end(arguments);
    return code;
}

void error_prefix_field(struct error *error, const char *format, ...)
{
    char prefix[sizeof error->field], whole[2 * sizeof error->field];
    va_list arguments;

    if (!error || !error->code)
        return;
    va_start(arguments, format);
    vsnprintf(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    snprintf(whole, sizeof whole, "%s%s%s", prefix, error->field[0] && error->field[0] != '[' ? "." : "", error->field);
    string_copy(error->field, sizeof error->field, whole);
}
