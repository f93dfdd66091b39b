#include "weft/director/import/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "weft/base/buffer.h"

#define TEXT_SIZE 512

void import_report_clear(struct import_report *report)
{
    for (size_t i = 0; i < report->n_notes; i++)
        free(report->notes[i]);
    free(report->notes);
    *report = (struct import_report){0};
}

void import_note(struct import_report *report, const char *file, unsigned line, const char *format, ...)
{
    _cleanup_(buffer_clear) struct buffer buffer = {0};
    char text[TEXT_SIZE], **notes;
    va_list arguments;

    if (report->is_muted)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    notes =
        report->n_notes < IMPORT_NOTES_MAX ? reallocarray(report->notes, report->n_notes + 1, sizeof(*notes)) : NULL;
    if (notes)
        report->notes = notes;
    if (!notes || buffer_printf(&buffer, "%s:%u: %s", file, line, text) < 0 || !buffer_string(&buffer)) {
        report->n_dropped++;
        return;
    }
    notes[report->n_notes++] = TAKE_PTR(buffer.data);
    buffer.size = buffer.capacity = 0;
}
