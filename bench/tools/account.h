/* CPU time of other programs: what a path costs is what its sender, its receiver, the kernel's ksoftirqd threads and any
 * user-space switch used together.  Network interrupts that run on top of a process count as that process's time on this
 * kernel (no CONFIG_IRQ_TIME_ACCOUNTING); the orchestrator refuses to compare runs of different kernels. */
#ifndef BENCH_ACCOUNT_H
#define BENCH_ACCOUNT_H

#include <stdint.h>

/* 'pids' is a list "12,34" (NULL: none).  Returns the nanoseconds all their threads have run so far, with all ksoftirqd
 * threads; a process that is gone counts nothing. */
uint64_t account_cpu_ns(const char *pids);

/* Of the calling process, all threads. */
uint64_t account_own_ns(void);

uint64_t clock_now_ns(void);

/* Pins the calling thread (and those it starts later) to 'cpu'; a negative number leaves it free. */
void account_pin(int cpu);

#endif
