/* Load on a Networking API: N clients, each with one keep-alive connection and one request under way.
 *
 *   api-load HOST:PORT create --network ID --count 1000 --ids FILE   makes ports, appends their ids to FILE
 *   api-load HOST:PORT get    --ids FILE --count 20000               gets them in turn
 *   api-load HOST:PORT list   --limit 200 --count 100                lists ports (0: all of them)
 *   api-load HOST:PORT delete --ids FILE                             deletes them all
 *
 * More: --clients N (8), --token TOKEN, --subnet ID (create: one address of it).  Speaks plain HTTP/1.1 on raw sockets, so that the
 * client costs little beside the server.  Prints one JSON line: rate, p50, p99 and maximum of the latency.  Exit 1 when any
 * answer was not what the operation expects. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 256
#define REQUEST_SIZE 2048
#define ID_SIZE 37

enum operation { CREATE, GET, LIST, DELETE };
static const char *const operations[] = {"create", "get", "list", "delete"};
static const int expected_status[] = {201, 200, 200, 204};

struct client {
    int fd;
    char request[REQUEST_SIZE];
    size_t request_size, sent;
    char *answer;
    size_t size, capacity;
    size_t head_size, body_size; /* Known once the head is there. */
    bool has_head;
    uint64_t started_ns;
};

static struct {
    enum operation operation;
    const char *host, *token, *network, *subnet, *ids_path;
    char (*ids)[ID_SIZE];
    size_t n_ids, n_clients, count, limit;
    FILE *ids_file;
    size_t n_started, n_done, n_wrong;
    double *latencies_ms;
    char first_wrong[400];
} load = {.n_clients = 8, .token = ""};

static uint64_t now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "api-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void read_ids(void)
{
    FILE *file = fopen(load.ids_path, "r");
    char line[64];

    if (!file)
        die(load.ids_path);
    while (fgets(line, sizeof line, file)) {
        if (strlen(line) < ID_SIZE - 1)
            continue;
        load.ids = realloc(load.ids, (load.n_ids + 1) * sizeof *load.ids);
        if (!load.ids)
            die("ids");
        snprintf(load.ids[load.n_ids++], ID_SIZE, "%.36s", line);
    }
    fclose(file);
}

static void compose(struct client *client)
{
    char body[512] = "", target[256], subnet[100] = "";
    size_t index = load.n_started;

    if (load.subnet)
        snprintf(subnet, sizeof subnet, ",\"fixed_ips\":[{\"subnet_id\":\"%s\"}]", load.subnet);
    switch (load.operation) {
    case CREATE:
        snprintf(target, sizeof target, "POST /v2.0/ports");
        snprintf(body, sizeof body, "{\"port\":{\"network_id\":\"%s\",\"name\":\"load-%zu\"%s}}", load.network, index, subnet);
        break;
    case GET:
        snprintf(target, sizeof target, "GET /v2.0/ports/%s", load.ids[index % load.n_ids]);
        break;
    case LIST:
        if (load.limit)
            snprintf(target, sizeof target, "GET /v2.0/ports?limit=%zu", load.limit);
        else
            snprintf(target, sizeof target, "GET /v2.0/ports");
        break;
    case DELETE:
        snprintf(target, sizeof target, "DELETE /v2.0/ports/%s", load.ids[index]);
    }
    client->request_size = (size_t)snprintf(client->request, sizeof client->request,
                                            "%s HTTP/1.1\r\nHost: %s\r\nX-Auth-Token: %s\r\nContent-Type: application/json\r\n"
                                            "Content-Length: %zu\r\n\r\n%s",
                                            target, load.host, load.token, strlen(body), body);
    if (client->request_size >= sizeof client->request) {
        fprintf(stderr, "api-load: the token is too long\n");
        exit(2);
    }
}

static void send_request(struct client *client)
{
    while (client->sent < client->request_size) {
        ssize_t n = send(client->fd, client->request + client->sent, client->request_size - client->sent, MSG_NOSIGNAL);

        if (n < 0)
            die("send");
        client->sent += (size_t)n;
    }
}

/* Starts the next request; false when all were started. */
static bool start(struct client *client)
{
    if (load.n_started == load.count)
        return false;
    compose(client);
    load.n_started++;
    client->sent = client->size = 0;
    client->has_head = false;
    client->started_ns = now_ns();
    send_request(client);
    return true;
}

static void finish(struct client *client)
{
    int status = atoi(client->answer + 9);
    const char *id = NULL;

    load.latencies_ms[load.n_done++] = (double)(now_ns() - client->started_ns) / 1e6;
    if (status != expected_status[load.operation]) {
        if (load.n_wrong++ == 0)
            snprintf(load.first_wrong, sizeof load.first_wrong, "%.390s", client->answer);
        return;
    }
    if (load.operation == CREATE && load.ids_file) {
        id = strstr(client->answer + client->head_size, "\"id\":\"");
        if (id)
            fprintf(load.ids_file, "%.36s\n", id + 6);
    }
}

/* Reads what is there; true when the answer is whole. */
static bool receive(struct client *client)
{
    ssize_t n;

    if (client->size + 65536 + 1 > client->capacity) {
        client->capacity = 2 * (client->size + 65536 + 1);
        client->answer = realloc(client->answer, client->capacity);
        if (!client->answer)
            die("answer");
    }
    n = recv(client->fd, client->answer + client->size, client->capacity - client->size - 1, 0);
    if (n <= 0) {
        if (n == 0)
            errno = ECONNRESET;
        die("recv");
    }
    client->size += (size_t)n;
    client->answer[client->size] = '\0';
    if (!client->has_head) {
        const char *end = strstr(client->answer, "\r\n\r\n"), *length;

        if (!end)
            return false;
        client->has_head = true;
        client->head_size = (size_t)(end + 4 - client->answer);
        length = strcasestr(client->answer, "\r\ncontent-length:");
        client->body_size = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
    }
    return client->size >= client->head_size + client->body_size;
}

static int connect_to(const char *host)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char text[64];
    const char *colon = strrchr(host, ':');
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (!colon || (size_t)(colon - host) >= sizeof text) {
        fprintf(stderr, "api-load: '%s' is not ADDRESS:PORT\n", host);
        exit(2);
    }
    snprintf(text, sizeof text, "%.*s", (int)(colon - host), host);
    address.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, text, &address.sin_addr) != 1) {
        fprintf(stderr, "api-load: '%s' is not an IPv4 address\n", text);
        exit(2);
    }
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die(host);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void usage(void)
{
    fprintf(stderr, "usage: api-load ADDRESS:PORT create|get|list|delete [--clients N] [--count N] [--token T] [--network ID]"
                    " [--subnet ID] [--ids FILE] [--limit N]\n");
    exit(2);
}

static void parse(int argc, char **argv)
{
    bool found = false;

    if (argc < 3)
        usage();
    load.host = argv[1];
    for (int i = 0; i < 4; i++)
        if (!strcmp(argv[2], operations[i])) {
            load.operation = (enum operation)i;
            found = true;
        }
    if (!found || argc % 2 == 0)
        usage();
    for (int i = 3; i < argc; i += 2) {
        if (!strcmp(argv[i], "--clients"))
            load.n_clients = strtoul(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--count"))
            load.count = strtoul(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--limit"))
            load.limit = strtoul(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--token"))
            load.token = argv[i + 1];
        else if (!strcmp(argv[i], "--network"))
            load.network = argv[i + 1];
        else if (!strcmp(argv[i], "--subnet"))
            load.subnet = argv[i + 1];
        else if (!strcmp(argv[i], "--ids"))
            load.ids_path = argv[i + 1];
        else
            usage();
    }
    if (load.n_clients < 1 || load.n_clients > CLIENTS_MAX || (load.operation == CREATE && !load.network) ||
        ((load.operation == GET || load.operation == DELETE) && !load.ids_path))
        usage();
}

int main(int argc, char **argv)
{
    struct client *clients;
    uint64_t started_ns;
    double seconds;
    int epoll_fd;

    parse(argc, argv);
    if (load.operation == GET || load.operation == DELETE)
        read_ids();
    if (load.operation == DELETE)
        load.count = load.n_ids;
    if (load.operation == CREATE && load.ids_path && !(load.ids_file = fopen(load.ids_path, "a")))
        die(load.ids_path);
    if (load.count == 0 || (load.operation == GET && load.n_ids == 0)) {
        fprintf(stderr, "api-load: nothing to do\n");
        return 2;
    }
    clients = calloc(load.n_clients, sizeof *clients);
    load.latencies_ms = calloc(load.count, sizeof *load.latencies_ms);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!clients || !load.latencies_ms || epoll_fd < 0)
        die("start");
    for (size_t i = 0; i < load.n_clients; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};

        clients[i].fd = connect_to(load.host);
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, clients[i].fd, &event) < 0)
            die("epoll");
    }

    started_ns = now_ns();
    for (size_t i = 0; i < load.n_clients; i++)
        start(&clients[i]);
    while (load.n_done < load.count) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll_fd, events, 64, 30000);

        if (n == 0) {
            fprintf(stderr, "api-load: no answer in 30 s\n");
            return 1;
        }
        for (int i = 0; i < n; i++) {
            struct client *client = events[i].data.ptr;

            if (receive(client)) {
                finish(client);
                start(client);
            }
        }
    }
    seconds = (double)(now_ns() - started_ns) / 1e9;

    qsort(load.latencies_ms, load.n_done, sizeof *load.latencies_ms, compare);
    printf("{\"operation\":\"%s\",\"clients\":%zu,\"requests\":%zu,\"seconds\":%.3f,\"per_second\":%.0f,\"p50_ms\":%.3f,"
           "\"p99_ms\":%.3f,\"max_ms\":%.3f,\"wrong\":%zu}\n",
           operations[load.operation], load.n_clients, load.n_done, seconds, (double)load.n_done / seconds,
           load.latencies_ms[load.n_done / 2], load.latencies_ms[load.n_done * 99 / 100], load.latencies_ms[load.n_done - 1],
           load.n_wrong);
    if (load.n_wrong)
        fprintf(stderr, "api-load: %zu unexpected answers, the first: %s\n", load.n_wrong, load.first_wrong);
    if (load.ids_file)
        fclose(load.ids_file);
    return load.n_wrong != 0;
}
