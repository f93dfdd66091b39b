/* Reads /proc/PID/task/TID/schedstat: exact run time, where getrusage() of another process cannot be had. */
#include "account.h"

#include <ctype.h>
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t process_ns(long pid)
{
    char path[512];
    uint64_t total = 0;

    snprintf(path, sizeof(path), "/proc/%ld/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        return 0;
    struct dirent *task;
    while ((task = readdir(tasks))) {
        if (!isdigit((unsigned char)task->d_name[0]))
            continue;
        snprintf(path, sizeof(path), "/proc/%ld/task/%s/schedstat", pid, task->d_name);
        FILE *file = fopen(path, "re");
        unsigned long long run = 0;
        if (!file)
            continue;
        if (fscanf(file, "%llu", &run) == 1)
            total += run;
        fclose(file);
    }
    closedir(tasks);
    return total;
}

/* Kernel threads named ksoftirqd/N; looked up once. */
static uint64_t softirq_threads_ns(void)
{
    static long pids[256];
    static int n = -1;
    uint64_t total = 0;

    if (n < 0) {
        DIR *proc = opendir("/proc");
        struct dirent *entry;
        n = 0;
        while (proc && n < 256 && (entry = readdir(proc))) {
            char path[300], name[64] = "";
            if (!isdigit((unsigned char)entry->d_name[0]))
                continue;
            snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
            FILE *file = fopen(path, "re");
            if (!file)
                continue;
            if (fgets(name, sizeof(name), file) && strncmp(name, "ksoftirqd/", 10) == 0)
                pids[n++] = atol(entry->d_name);
            fclose(file);
        }
        if (proc)
            closedir(proc);
    }
    for (int i = 0; i < n; i++)
        total += process_ns(pids[i]);
    return total;
}

uint64_t account_cpu_ns(const char *pids)
{
    uint64_t total = softirq_threads_ns();

    for (const char *at = pids; at && *at;) {
        char *end;
        long pid = strtol(at, &end, 10);
        if (end == at)
            break;
        total += process_ns(pid);
        at = *end == ',' ? end + 1 : end;
    }
    return total;
}

uint64_t account_own_ns(void)
{
    return process_ns(getpid());
}

uint64_t clock_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void account_pin(int cpu)
{
    cpu_set_t set;

    if (cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) < 0) {
        perror("sched_setaffinity");
        exit(1);
    }
}
