/* A SQLite VFS for crash tests: a disk whose cache is lost when the power goes.
 *
 * Writes stay in this process's memory, where every connection of the process reads them back; only xSync carries them
 * to the real file.  So kill -9 loses exactly what was not synced (a kill alone would keep the kernel's page cache).
 * Creating, deleting and locking files goes to the default VFS at once. */
#ifndef TESTS_STORE_VFS_UNSYNCED_H
#define TESTS_STORE_VFS_UNSYNCED_H

#include <stdbool.h>

#define VFS_UNSYNCED "unsynced"

void vfs_unsynced_register(void); /* Once a process; store_sqlite_open(path, VFS_UNSYNCED, ...) then uses it. */

/* A disk that lies: xSync returns success and does nothing. */
void vfs_unsynced_ignore_sync(bool ignore);

/* A disk that fails: xSync reports an error. */
void vfs_unsynced_fail_sync(bool fail);

/* The power goes, and the disk was just writing: a random part of the unsynced sectors, in no order, reaches the
 * files.  Does not return. */
void vfs_unsynced_crash(unsigned seed) __attribute__((noreturn));

#endif
