/* Files that outlive a loss of power. */
#ifndef WEFT_BASE_FILE_H
#define WEFT_BASE_FILE_H

/* Puts the file 'path', written to its end and open as 'fd', in the place of 'target' in the same folder.  After a loss
 * of power at any moment 'target' is the old file or the new one, whole; once this has returned 0, the new one.  Waits for
 * the disk.  Returns 0 or -errno; 'fd' stays open. */
int file_replace(int fd, const char *path, const char *target);

#endif
