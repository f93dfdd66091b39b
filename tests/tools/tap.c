/* A workload behind a tap instead of a veth: makes the tap NAME in the present network namespace and a second one, eth0, in the
 * namespace PATH, and carries frames between the two, as a virtual machine's monitor carries them to its guest.
 *
 *     tap NAME PATH MAC
 *
 * Runs until it is killed; the interfaces go with it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static int make_tap(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        fail("/dev/net/tun");
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        fail(name);
    return fd;
}

static void set_mac(const char *name, const char *text)
{
    struct ifreq request = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};
    unsigned char *mac = (unsigned char *)request.ifr_hwaddr.sa_data;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) != 6 ||
        ioctl(fd, SIOCSIFHWADDR, &request) < 0)
        fail(text);
    close(fd);
}

static void carry(int from, int to)
{
    char frame[65536];
    ssize_t size = read(from, frame, sizeof(frame));

    if (size > 0 && write(to, frame, (size_t)size) < 0 && errno != EIO && errno != EINVAL) /* EIO: it is down. */
        fail("write");
}

int main(int argc, char **argv)
{
    int outside, inside, netns;

    if (argc != 4) {
        fprintf(stderr, "usage: tap NAME NAMESPACE-PATH MAC\n");
        return 1;
    }
    outside = make_tap(argv[1]);
    netns = open(argv[2], O_RDONLY | O_CLOEXEC);
    if (netns < 0 || setns(netns, CLONE_NEWNET) < 0)
        fail(argv[2]);
    inside = make_tap("eth0");
    set_mac("eth0", argv[3]);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        struct pollfd fds[2] = {{outside, POLLIN, 0}, {inside, POLLIN, 0}};

        if (poll(fds, 2, -1) < 0)
            fail("poll");
        if (fds[0].revents)
            carry(outside, inside);
        if (fds[1].revents)
            carry(inside, outside);
    }
}
