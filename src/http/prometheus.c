#include "weft/http/prometheus.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

void prometheus_begin(struct buffer *buffer, const char *name, const char *type, const char *help)
{
    buffer_printf(buffer, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A backslash, a quote and a line's end are escaped in a label's value, and nothing else. */
static void append_escaped(struct buffer *buffer, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\\\"\n");

        buffer_append(buffer, text, n);
        text += n;
        if (*text)
            buffer_append_string(buffer, *text == '\n' ? "\\n" : *text == '"' ? "\\\"" : "\\\\");
        text += *text != '\0';
    }
}

void prometheus_sample(struct buffer *buffer, const char *name, double value, ...)
{
    bool is_whole = value >= -9007199254740992.0 && value <= 9007199254740992.0 && value == (double)(long long)value;
    const char *label, *separator = "{";
    va_list labels;

    buffer_append_string(buffer, name);
    va_start(labels, value);
    while ((label = va_arg(labels, const char *))) {
        buffer_printf(buffer, "%s%s=\"", separator, label);
        append_escaped(buffer, va_arg(labels, const char *));
        buffer_append_string(buffer, "\"");
        separator = ",";
    }
    va_end(labels);
    buffer_append_string(buffer, *separator == ',' ? "} " : " ");
    if (is_whole)
        buffer_printf(buffer, "%lld\n", (long long)value);
    else
        buffer_printf(buffer, "%.15g\n", value);
}

void prometheus_single(struct buffer *buffer, const char *name, const char *type, const char *help, double value)
{
    prometheus_begin(buffer, name, type, help);
    prometheus_sample(buffer, name, value, NULL);
}
