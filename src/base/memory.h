/* What becomes of memory that is given back. */
#ifndef WEFT_BASE_MEMORY_H
#define WEFT_BASE_MEMORY_H

#include <malloc.h>

/* Up to 64 MiB stay with the process instead of going back to the system.  For programs that take and give back some megabytes with each thing they
 * do: a page that comes back has to be cleared and is mapped by a fault, and that can cost more than what is done with it (bench-compile).  At the
 * start of main(), before other threads. */
static inline void memory_keep(void)
{
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* As far as glibc would let it grow by itself; setting either stops that. */
}

#endif
