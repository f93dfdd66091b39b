/* What an import did not take over, line by line. */
#ifndef WEFT_DIRECTOR_IMPORT_REPORT_H
#define WEFT_DIRECTOR_IMPORT_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#define IMPORT_NOTES_MAX 10000

struct import_report {
    char **notes; /* "keepalived.conf:12: notify_up: ..." */
    size_t n_notes;
    size_t n_dropped; /* Notes beyond the most, or without memory. */
    bool is_muted;    /* Says nothing: while something is done over again. */
};

void import_report_clear(struct import_report *report);

/* "FILE:LINE: " and the text. */
void import_note(struct import_report *report, const char *file, unsigned line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
