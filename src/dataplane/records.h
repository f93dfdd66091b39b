/* The tables that are arrays in mapped memory: double records (tables.h) of ports, hosts and router ports, the words of policies, the limits of projects.  Rows
 * of 'struct desired' go in and come out.  Internal. */
#ifndef WEFT_DATAPLANE_RECORDS_H
#define WEFT_DATAPLANE_RECORDS_H

#include <stdbool.h>

#include "weft/base/error.h"
#include "weft/dataplane/desired.h"

struct maps;

struct records {
    uint8_t *memory;       /* Mapped. */
    size_t memory_size;    /* Of the mapping, in bytes. */
    uint32_t n;            /* Elements. */
    uint64_t *changed_ms;  /* Double records, by index: when this agent last wrote the record; 0: never. */
};

/* Maps the table's array into memory.  Returns 0 or an error that '*error' explains. */
int records_open(struct maps *maps, enum desired_table table, struct error *error);
void records_close(struct maps *maps, enum desired_table table);

/* Fills 'rows' with the elements that are in use.  Returns 0 or -ENOMEM. */
int records_read(const struct maps *maps, enum desired_table table, struct rows *rows);

/* Is there an element for the key?  Element 0 means none, except of projects. */
bool records_fit(const struct maps *maps, enum desired_table table, const void *key);

/* In so many ms the element may be written again; 0: now. */
uint64_t records_grace_ms(const struct maps *maps, enum desired_table table, const void *key, uint64_t now_ms);

/* Writes the rows; takes those out that were in use.  A freed double record keeps its generation, so that its next owner's is another one
 * also after a restart of the agent. */
void records_write(struct maps *maps, enum desired_table table, const struct rows *rows, uint64_t now_ms);
void records_remove(struct maps *maps, enum desired_table table, const struct rows *rows, uint64_t now_ms);

/* The generation that the record holds, also when it is free. */
uint32_t records_generation(const struct maps *maps, enum desired_table table, uint32_t index);

/* The project's record, with what the programs count. */
struct project_record *records_project(const struct maps *maps, uint32_t index);

/* A port's connection entries are evaluated again. */
void records_bump_epoch(struct maps *maps, uint32_t slot);

#endif
