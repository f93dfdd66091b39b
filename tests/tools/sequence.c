/* Sequence-numbered UDP, to see what an event does to traffic.
 *
 *     sequence receive ADDRESS PORT IDLE_S            counts until nothing came for so long
 *     sequence send ADDRESS PORT RATE SECONDS         RATE packets a second, spread evenly; SIGTERM ends it sooner
 *
 * Both print one line of JSON: {"sent": n} or {"received": n, "missing": n, "duplicate": n, "reordered": n,
 * "longest_gap_ms": n}.  'missing' counts numbers below the highest one seen, and what the sender's last packets (sent three
 * times, a second after the others) say was sent beyond it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LAST UINT64_MAX /* In 'number': 'total' is how many were sent. */
#define MAX_PACKETS (64u << 20)

struct packet {
    uint64_t number, total;
};

static volatile sig_atomic_t is_over;

static void end(int signal_number)
{
    is_over = 1;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static struct addrinfo *resolve(const char *address, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *found;

    if (getaddrinfo(address, port, &hints, &found) != 0) {
        fprintf(stderr, "'%s' '%s' is not an address and a port\n", address, port);
        exit(1);
    }
    return found;
}

static int send_all(const struct addrinfo *to, uint64_t rate, double seconds)
{
    int fd = socket(to->ai_family, SOCK_DGRAM, 0);
    uint64_t start_ns, total = (uint64_t)((double)rate * seconds), failed = 0;

    if (fd < 0 || connect(fd, to->ai_addr, to->ai_addrlen) < 0)
        fail("connect");
    signal(SIGTERM, end);
    start_ns = now_ns();
    for (uint64_t i = 0; i < total; i++) {
        if (is_over) {
            total = i;
            break;
        }

        struct packet packet = {i, 0};
        uint64_t due_ns = start_ns + i * 1000000000u / rate, now = now_ns();

        if (due_ns > now + 200000) { /* Ahead: sleep, and send what is due by then in one go. */
            struct timespec pause = {0, (long)(due_ns - now)};

            nanosleep(&pause, NULL);
        }
        while (send(fd, &packet, sizeof(packet), 0) < 0) { /* ECONNREFUSED: the receiver is not there yet. */
            if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED)
                fail("send");
            failed++;
            usleep(50);
        }
    }
    sleep(1);
    for (int i = 0; i < 3; i++) {
        struct packet packet = {LAST, total};

        if (send(fd, &packet, sizeof(packet), 0) < 0)
            failed++;
        usleep(20000);
    }
    printf("{\"sent\": %llu, \"retried\": %llu}\n", (unsigned long long)total, (unsigned long long)failed);
    return 0;
}

static int receive_all(const struct addrinfo *at, long idle_s)
{
    int fd = socket(at->ai_family, SOCK_DGRAM, 0), size = 64 << 20;
    uint8_t *seen = calloc(MAX_PACKETS / 8, 1);
    uint64_t received = 0, duplicate = 0, reordered = 0, next = 0, total = 0, last_ns = 0, gap_ns = 0;
    struct timeval idle = {idle_s, 0};

    if (fd < 0 || !seen || bind(fd, at->ai_addr, at->ai_addrlen) < 0)
        fail("bind");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle)) < 0)
        fail("setsockopt");
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        struct packet packet;
        ssize_t got = recv(fd, &packet, sizeof(packet), 0);
        uint64_t now;

        if (got < 0)
            break;
        if (got != sizeof(packet))
            continue;
        if (packet.number == LAST) {
            total = packet.total;
            continue;
        }
        if (packet.number >= MAX_PACKETS)
            continue;
        now = now_ns();
        if (last_ns && now - last_ns > gap_ns)
            gap_ns = now - last_ns;
        last_ns = now;
        if (seen[packet.number / 8] & (1 << packet.number % 8)) {
            duplicate++;
            continue;
        }
        seen[packet.number / 8] |= (uint8_t)(1 << packet.number % 8);
        received++;
        if (packet.number < next)
            reordered++;
        else
            next = packet.number + 1;
    }
    if (total > next)
        next = total;
    printf("{\"received\": %llu, \"missing\": %llu, \"duplicate\": %llu, \"reordered\": %llu, \"longest_gap_ms\": %.1f}\n",
           (unsigned long long)received, (unsigned long long)(next - received), (unsigned long long)duplicate,
           (unsigned long long)reordered, (double)gap_ns / 1e6);
    free(seen);
    return total ? 0 : 2;
}

int main(int argc, char **argv)
{
    bool sends = argc == 6 && strcmp(argv[1], "send") == 0, receives = argc == 5 && strcmp(argv[1], "receive") == 0;
    struct addrinfo *address;
    int result;

    if (!sends && !receives) {
        fprintf(stderr, "usage: sequence receive ADDRESS PORT IDLE_S | send ADDRESS PORT RATE SECONDS\n");
        return 1;
    }
    address = resolve(argv[2], argv[3]);
    result = sends ? send_all(address, strtoull(argv[4], NULL, 10), strtod(argv[5], NULL))
                   : receive_all(address, strtol(argv[4], NULL, 10));
    freeaddrinfo(address);
    return result;
}
