#include "vfs-unsynced.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512

/* One file's content as the process sees it, shared by all who have it open. */
struct image {
    struct image *next;
    char *path;
    int n_users;
    unsigned char *bytes;
    sqlite3_int64 size, capacity;
    sqlite3_int64 real_size; /* Of the file on disk. */
    unsigned char *dirty;    /* A byte a sector. */
};

struct file {
    sqlite3_file base;
    struct image *image;
    sqlite3_file *real; /* Behind this struct. */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* Of all images. */
static struct image *images;
static sqlite3_file *crash_files[8]; /* One real file an image, to write to when the power goes. */
static bool ignores_sync, fails_sync; /* Under 'lock'. */
static sqlite3_vfs *real_vfs;

static struct file *file_of(sqlite3_file *file)
{
    return (struct file *)file;
}

static int reserve(struct image *image, sqlite3_int64 size)
{
    sqlite3_int64 capacity = image->capacity ? image->capacity : 1 << 20;
    unsigned char *bytes, *dirty;

    if (size <= image->capacity)
        return SQLITE_OK;
    while (capacity < size)
        capacity *= 2;
    bytes = realloc(image->bytes, capacity);
    if (!bytes)
        return SQLITE_IOERR_NOMEM;
    image->bytes = bytes;
    dirty = realloc(image->dirty, capacity / SECTOR);
    if (!dirty)
        return SQLITE_IOERR_NOMEM;
    image->dirty = dirty;
    memset(bytes + image->capacity, 0, capacity - image->capacity);
    memset(dirty + image->capacity / SECTOR, 0, (capacity - image->capacity) / SECTOR);
    image->capacity = capacity;
    return SQLITE_OK;
}

static int load(struct image *image, sqlite3_file *real)
{
    int r = real->pMethods->xFileSize(real, &image->size);

    image->real_size = image->size;
    if (r == SQLITE_OK)
        r = reserve(image, image->size);
    if (r == SQLITE_OK && image->size)
        r = real->pMethods->xRead(real, image->bytes, image->size, 0);
    return r;
}

static void release(struct image *image)
{
    struct image **link = &images;

    if (--image->n_users > 0)
        return;
    while (*link != image)
        link = &(*link)->next;
    *link = image->next;
    free(image->path);
    free(image->bytes);
    free(image->dirty);
    free(image);
}

static int vfs_close(sqlite3_file *base)
{
    struct file *file = file_of(base);

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < sizeof crash_files / sizeof *crash_files; i++)
        if (crash_files[i] == base)
            crash_files[i] = NULL;
    if (file->image)
        release(file->image);
    pthread_mutex_unlock(&lock);
    return file->real->pMethods->xClose(file->real);
}

static int vfs_read(sqlite3_file *base, void *bytes, int size, sqlite3_int64 offset)
{
    struct image *image = file_of(base)->image;
    sqlite3_int64 n;

    pthread_mutex_lock(&lock);
    n = offset >= image->size ? 0 : image->size - offset < size ? image->size - offset : size;
    if (n) /* An image that is empty has no bytes to point into. */
        memcpy(bytes, image->bytes + offset, n);
    pthread_mutex_unlock(&lock);
    memset((char *)bytes + n, 0, size - n);
    return n == size ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *base, const void *bytes, int size, sqlite3_int64 offset)
{
    struct image *image = file_of(base)->image;
    int r;

    pthread_mutex_lock(&lock);
    r = reserve(image, offset + size);
    if (r == SQLITE_OK) {
        memcpy(image->bytes + offset, bytes, size);
        for (sqlite3_int64 sector = offset / SECTOR; sector <= (offset + size - 1) / SECTOR; sector++)
            image->dirty[sector] = 1;
        if (image->size < offset + size)
            image->size = offset + size;
    }
    pthread_mutex_unlock(&lock);
    return r;
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct image *image = file_of(base)->image;

    pthread_mutex_lock(&lock);
    if (size < image->size) {
        memset(image->bytes + size, 0, image->size - size);
        image->size = size;
    }
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

static int write_sector(struct image *image, sqlite3_file *real, sqlite3_int64 sector)
{
    sqlite3_int64 offset = sector * SECTOR, size = image->size - offset < SECTOR ? image->size - offset : SECTOR;

    return size > 0 ? real->pMethods->xWrite(real, image->bytes + offset, size, offset) : SQLITE_OK;
}

static int vfs_sync(sqlite3_file *base, int flags)
{
    struct file *file = file_of(base);
    struct image *image = file->image;
    int r = SQLITE_OK;

    (void)flags; /* The page cache outlives a kill: the real file needs no fsync. */
    pthread_mutex_lock(&lock);
    if (ignores_sync || fails_sync) {
        r = fails_sync ? SQLITE_IOERR_FSYNC : SQLITE_OK;
        pthread_mutex_unlock(&lock);
        return r;
    }
    if (image->size < image->real_size)
        r = file->real->pMethods->xTruncate(file->real, image->size);
    for (sqlite3_int64 sector = 0; sector * SECTOR < image->size && r == SQLITE_OK; sector++)
        if (image->dirty[sector]) {
            r = write_sector(image, file->real, sector);
            image->dirty[sector] = 0;
        }
    image->real_size = image->size;
    pthread_mutex_unlock(&lock);
    return r;
}

static int vfs_file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    pthread_mutex_lock(&lock);
    *size = file_of(base)->image->size;
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

#define REAL(base) (file_of(base)->real)

static int vfs_lock(sqlite3_file *f, int kind) { return REAL(f)->pMethods->xLock(REAL(f), kind); }
static int vfs_unlock(sqlite3_file *f, int kind) { return REAL(f)->pMethods->xUnlock(REAL(f), kind); }
static int vfs_check_lock(sqlite3_file *f, int *ret) { return REAL(f)->pMethods->xCheckReservedLock(REAL(f), ret); }
static int vfs_sector_size(sqlite3_file *f) { (void)f; return SECTOR; }
static void vfs_shm_barrier(sqlite3_file *f) { REAL(f)->pMethods->xShmBarrier(REAL(f)); }
static int vfs_shm_unmap(sqlite3_file *f, int remove) { return REAL(f)->pMethods->xShmUnmap(REAL(f), remove); }

/* No promise about the order or the atomicity of writes. */
static int vfs_characteristics(sqlite3_file *f) { (void)f; return 0; }

/* Size hints and the like would touch the real file. */
static int vfs_control(sqlite3_file *f, int operation, void *argument)
{
    (void)f, (void)operation, (void)argument;
    return SQLITE_NOTFOUND;
}

static int vfs_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
    return REAL(f)->pMethods->xShmMap(REAL(f), page, size, extend, ret);
}

static int vfs_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return REAL(f)->pMethods->xShmLock(REAL(f), offset, n, flags);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* No xFetch: nobody maps the real file. */
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_file_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_check_lock,
    .xFileControl = vfs_control,
    .xSectorSize = vfs_sector_size,
    .xDeviceCharacteristics = vfs_characteristics,
    .xShmMap = vfs_shm_map,
    .xShmLock = vfs_shm_lock,
    .xShmBarrier = vfs_shm_barrier,
    .xShmUnmap = vfs_shm_unmap,
};

/* 'lock' is held. */
static int share_image(const char *path, struct file *file)
{
    struct image *image = images;

    while (image && strcmp(image->path, path) != 0)
        image = image->next;
    if (image) {
        image->n_users++;
        file->image = image;
        return SQLITE_OK;
    }
    image = calloc(1, sizeof *image);
    if (!image)
        return SQLITE_NOMEM;
    image->path = strdup(path);
    image->n_users = 1;
    image->next = images;
    images = image;
    file->image = image;
    return load(image, file->real);
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *ret_flags)
{
    struct file *file = file_of(base);
    int r;

    memset(file, 0, sizeof *file);
    file->real = (sqlite3_file *)(file + 1);
    r = real_vfs->xOpen(real_vfs, path, file->real, flags, ret_flags);
    if (r != SQLITE_OK)
        return r;
    if (!path || !(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)))
        abort(); /* Temporary files are not used by the store. */
    base->pMethods = &methods;
    pthread_mutex_lock(&lock);
    r = share_image(path, file);
    for (size_t i = 0; i < sizeof crash_files / sizeof *crash_files && !(flags & SQLITE_OPEN_READONLY); i++)
        if (!crash_files[i]) {
            crash_files[i] = base;
            break;
        }
    pthread_mutex_unlock(&lock);
    if (r != SQLITE_OK) {
        vfs_close(base);
        base->pMethods = NULL;
    }
    return r;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    return real_vfs->xDelete(real_vfs, path, sync);
}

void vfs_unsynced_register(void)
{
    static sqlite3_vfs vfs;

    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs; /* What has nothing to do with content is the real one's. */
    vfs.pNext = NULL;
    vfs.zName = VFS_UNSYNCED;
    vfs.szOsFile = sizeof(struct file) + real_vfs->szOsFile;
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    sqlite3_vfs_register(&vfs, 0);
}

void vfs_unsynced_ignore_sync(bool ignore)
{
    pthread_mutex_lock(&lock);
    ignores_sync = ignore;
    pthread_mutex_unlock(&lock);
}

void vfs_unsynced_fail_sync(bool fail)
{
    pthread_mutex_lock(&lock);
    fails_sync = fail;
    pthread_mutex_unlock(&lock);
}

void vfs_unsynced_crash(unsigned seed)
{
    pthread_mutex_lock(&lock); /* For good: nobody writes or syncs any more. */
    for (size_t i = 0; i < sizeof crash_files / sizeof *crash_files; i++) {
        struct file *file = crash_files[i] ? file_of(crash_files[i]) : NULL;
        int percent = rand_r(&seed) % 101;

        if (!file)
            continue;
        for (sqlite3_int64 sector = 0; sector * SECTOR < file->image->size; sector++)
            if (file->image->dirty[sector] && rand_r(&seed) % 100 < percent)
                write_sector(file->image, file->real, sector);
    }
    _exit(77);
}
