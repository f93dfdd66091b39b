#include "weft/director/host-settings.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weft/base/cleanup.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

/* What is there may be read where it must not be written, so it is opened for what is to be done.  A descriptor or -errno. */
static int open_setting(const char *interface, const char *family, const char *name, int flags)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, interface, name);
    fd = open(path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* The first digit of a number, or -errno. */
static int get(const char *interface, const char *family, const char *name)
{
    _cleanup_(closep) int fd = open_setting(interface, family, name, O_RDONLY);
    char digit;

    if (fd < 0)
        return fd;
    return read(fd, &digit, 1) == 1 ? digit : -errno;
}

/* 1 or -errno. */
static int set(const char *interface, const char *family, const char *name, int digit)
{
    _cleanup_(closep) int fd = open_setting(interface, family, name, O_WRONLY);
    char value = (char)digit;

    if (fd < 0)
        return fd;
    return write(fd, &value, 1) == 1 ? 1 : -errno;
}

/* 'value' where 'before' is.  1: so it was; 0: something else is there; or -errno. */
static int replace(const char *interface, const char *family, const char *name, int before, int value)
{
    int is = get(interface, family, name);

    return is == before ? set(interface, family, name, value) : MIN(is, 0);
}

/* Where IPv6 forwarding is turned on, be it of one interface, the kernel forgets the default routes that any interface has by router advertisements, unless
 * its "accept_ra" is 2; and where it is on, only 2 believes them.  So it is 2 meanwhile, and stays so at the interface.  If we end in between it stays 2
 * elsewhere, too, which is what 1 is where nothing is forwarded. */
static int enable_ipv6(const char *interface, int value)
{
    struct if_nameindex *all = if_nameindex();
    size_t n = 0;
    _cleanup_(freep) bool *held = NULL;
    int result;

    while (all && all[n].if_index)
        n++;
    held = calloc(n + 1, sizeof(*held));
    for (size_t i = 0; held && i < n; i++)
        held[i] = replace(all[i].if_name, "ipv6", "accept_ra", '1', '2') == 1;
    result = all && held ? replace(interface, "ipv6", "forwarding", '0', value) : -ENOMEM;
    for (size_t i = 0; held && i < n; i++)
        if (held[i] && !(result == 1 && streq(all[i].if_name, interface)))
            replace(all[i].if_name, "ipv6", "accept_ra", '2', '1');
    if (all)
        if_freenameindex(all);
    return result;
}

int lb_enable_forwarding(const char *interface, bool ipv6, enum lb_forwarding whose)
{
    int before = get(interface, ipv6 ? "ipv6" : "ipv4", "forwarding");

    if (before != '0')
        return MIN(before, 0);
    return ipv6 ? enable_ipv6(interface, (int)whose) : set(interface, "ipv4", "forwarding", (int)whose);
}

void lb_restore_forwarding(const char *interface, enum lb_forwarding whose)
{
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        int result = replace(interface, ipv6 ? "ipv6" : "ipv4", "forwarding", (int)whose, '0');

        if (result == 1)
            log_info("interface %s: IPv%d forwarding turned off again", interface, ipv6 ? 6 : 4);
        else if (result < 0 && result != -ENOENT) /* The kernel may be without IPv6. */
            log_warning("interface %s: cannot turn IPv%d forwarding off again: %s", interface, ipv6 ? 6 : 4, strerror(-result));
    }
}

static int no_redirects(const char *interface)
{
    int before = get(interface, "ipv4", "send_redirects");

    return before < 0 || before == '0' ? MIN(before, 0) : set(interface, "ipv4", "send_redirects", '0');
}

int lb_no_redirects(const char *interface)
{
    int all = no_redirects("all"), own = no_redirects(interface);

    return all < 0 ? all : own;
}
