#include "test.h"

#include "servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "weft/base/util.h"
#include "weft/health/socket-address.h"

/* Root of a user namespace, for those who are not root. */
static bool write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    return file && (fputs(text, file) >= 0) + (fclose(file) == 0) == 2;
}

static bool enter_as_user(void)
{
    char uids[64], gids[64];

    snprintf(uids, sizeof(uids), "0 %u 1", getuid());
    snprintf(gids, sizeof(gids), "0 %u 1", getgid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 && write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/uid_map", uids) &&
           write_file("/proc/self/gid_map", gids);
}

bool servers_enter_namespace(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd;

    if (unshare(CLONE_NEWNET) < 0 && !enter_as_user()) {
        print_message("no network namespace of our own: %s\n", strerror(errno));
        return false;
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0) {
        print_message("the loopback cannot be set up: %s\n", strerror(errno));
        return false;
    }
    close(fd);
    return true;
}

void servers_run(const char *command)
{
    int status = system(command);

    if (status != 0)
        fail_msg("%s: status %d", command, status);
}

static struct ip_address address_of(const struct sockaddr *from)
{
    struct ip_address address;

    if (from->sa_family == AF_INET)
        return ip_from_v4(ntohl(((const struct sockaddr_in *)from)->sin_addr.s_addr));
    memcpy(address.bytes, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
    return address;
}

struct client {
    uv_tcp_t tcp;
    struct server *server;
    char bytes[4096];
    size_t size;
    uv_write_t write;
};

static void client_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void client_close(struct client *client)
{
    if (!uv_is_closing((uv_handle_t *)&client->tcp))
        uv_close((uv_handle_t *)&client->tcp, client_closed);
}

static void give_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    struct client *client = handle->data;

    *buffer = uv_buf_init(client->bytes + client->size, (unsigned)(sizeof(client->bytes) - 1 - client->size));
}

static void written(uv_write_t *write, int status)
{
    client_close(write->handle->data);
}

static void received(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct client *client = stream->data;
    struct server *server = client->server;

    if (size < 0) {
        client_close(client);
        return;
    }
    client->size += (size_t)size;
    client->bytes[client->size] = '\0';
    snprintf(server->request, sizeof(server->request), "%s", client->bytes);
    if (!server->answer || (!server->answer_size && !strstr(client->bytes, "\r\n\r\n")))
        return;
    size_t answer_size = server->answer_size ? server->answer_size : strlen(server->answer);
    uv_buf_t answer = uv_buf_init((char *)server->answer, (unsigned)answer_size);
    uv_read_stop(stream);
    if (!answer_size || uv_write(&client->write, stream, &answer, 1, written) < 0)
        client_close(client);
}

static void connected(uv_stream_t *stream, int status)
{
    struct server *server = stream->data;
    struct client *client = calloc(1, sizeof(*client));
    struct sockaddr_storage peer;
    int size = sizeof(peer);

    assert_non_null(client);
    client->server = server;
    uv_tcp_init(server->loop, &client->tcp);
    client->tcp.data = client;
    server->n_clients++;
    if (uv_accept(stream, (uv_stream_t *)&client->tcp) < 0 || uv_tcp_getpeername(&client->tcp, (struct sockaddr *)&peer, &size) < 0) {
        client_close(client); /* It was reset already. */
        return;
    }
    server->peer = address_of((struct sockaddr *)&peer);
    if (server->greeting) {
        uv_buf_t greeting = uv_buf_init((char *)server->greeting, (unsigned)strlen(server->greeting));

        assert_int_equal(uv_try_write((uv_stream_t *)&client->tcp, &greeting, 1), strlen(server->greeting));
    }
    uv_read_start((uv_stream_t *)&client->tcp, give_room, received);
}

static void read_name(struct server *server, const struct sockaddr_storage *name)
{
    server->address = address_of((const struct sockaddr *)name);
    server->port = ntohs(((const struct sockaddr_in *)name)->sin_port); /* The same place in both families. */
}

void server_start_tcp(struct server *server, uv_loop_t *loop, const char *address)
{
    server_start_tcp_at(server, loop, address, 0);
}

void server_start_tcp_at(struct server *server, uv_loop_t *loop, const char *address, uint16_t port)
{
    struct sockaddr_storage name;
    struct ip_address ip;
    int size = sizeof(name);

    *server = (struct server){.loop = loop};
    assert_int_equal(ip_parse(address, &ip), 0);
    socket_address(&ip, port, &name);
    assert_int_equal(uv_tcp_init(loop, &server->tcp), 0);
    server->tcp.data = server;
    assert_int_equal(uv_tcp_bind(&server->tcp, (struct sockaddr *)&name, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&server->tcp, 128, connected), 0);
    assert_int_equal(uv_tcp_getsockname(&server->tcp, (struct sockaddr *)&name, &size), 0);
    read_name(server, &name);
}

static void give_datagram_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    static char room[65536];

    *buffer = uv_buf_init(room, sizeof(room));
}

static void datagram_received(uv_udp_t *udp, ssize_t size, const uv_buf_t *buffer, const struct sockaddr *from, unsigned flags)
{
    struct server *server = udp->data;
    uint8_t bytes[4096];

    if (size < 0 || !from)
        return;
    server->n_clients++;
    server->peer = address_of(from);
    snprintf(server->request, sizeof(server->request), "%.*s", (int)size, buffer->base);
    size_t answer_size = server->answer_datagram ? server->answer_datagram((const uint8_t *)buffer->base, (size_t)size, bytes) : 0;
    uv_buf_t answer = uv_buf_init((char *)bytes, (unsigned)answer_size);
    if (answer_size)
        assert_int_equal(uv_udp_try_send(udp, &answer, 1, from), (int)answer_size);
}

void server_start_udp(struct server *server, uv_loop_t *loop, const char *address)
{
    struct sockaddr_storage name;
    struct ip_address ip;
    int size = sizeof(name);

    *server = (struct server){.loop = loop, .is_udp = true};
    assert_int_equal(ip_parse(address, &ip), 0);
    socket_address(&ip, 0, &name);
    assert_int_equal(uv_udp_init(loop, &server->udp), 0);
    server->udp.data = server;
    assert_int_equal(uv_udp_bind(&server->udp, (struct sockaddr *)&name, 0), 0);
    assert_int_equal(uv_udp_getsockname(&server->udp, (struct sockaddr *)&name, &size), 0);
    assert_int_equal(uv_udp_recv_start(&server->udp, give_datagram_room, datagram_received), 0);
    read_name(server, &name);
}

static void server_closed(uv_handle_t *handle)
{
    *(bool *)handle->data = true;
}

static void close_clients(uv_handle_t *handle, void *context)
{
    struct client *client = handle->data;

    if (handle->type == UV_TCP && handle != context && client->server == ((uv_handle_t *)context)->data)
        client_close(client);
}

void server_stop(struct server *server)
{
    uv_handle_t *handle = server->is_udp ? (uv_handle_t *)&server->udp : (uv_handle_t *)&server->tcp;
    bool is_closed = false;

    if (!server->is_udp)
        uv_walk(server->loop, close_clients, handle);
    handle->data = &is_closed;
    uv_close(handle, server_closed);
    while (!is_closed)
        uv_run(server->loop, UV_RUN_ONCE);
}
