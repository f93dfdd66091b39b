/* A director's tables by hand, for the native tests: services, servers, routes; packets in and out. */
#ifndef WEFT_TESTS_DIRECTOR_WORLD_H
#define WEFT_TESTS_DIRECTOR_WORLD_H

#include "frames.h"
#include "weft/director/native.h"

#define WORLD_SIZE 64
#define CLIENT_DEVICE 7 /* Where clients' packets come in. */
#define SERVER_DEVICE 9

struct world {
    struct native_director *native;
};

int world_setup(void **state);
int world_teardown(void **state);

/* A service of hash scheduling in place 'number', whose rows are its servers' in turn. */
struct lb_service *world_service(struct world *world, uint32_t number, const char *address, uint16_t port, uint8_t protocol);
/* A server in place 'number', reached by SERVER_DEVICE, MTU 1500, from S (02:..:53) to R (02:..:52). */
struct lb_server *world_server(struct world *world, uint32_t number, const char *address, enum lb_method method);
/* Makes the servers from 'first' on the members of the service. */
void world_members(struct world *world, uint32_t service, uint32_t first, uint32_t n);
struct lb_member *world_member(struct world *world, uint32_t position);
struct lb_server_load *world_load(struct world *world, uint32_t server);
struct lb_service_load *world_service_load(struct world *world, uint32_t service);
void *world_place(struct world *world, enum native_lb_map map, uint32_t number); /* Of an array. */
struct lb_settings *world_settings(struct world *world);
size_t world_connections(struct world *world); /* Entries. */
struct native_route world_route(const char *address);

struct native_verdict world_run(struct world *world, const struct frame *frame);
struct native_verdict world_send(struct world *world, const char *text); /* The frame of that text. */
uint64_t world_drops(struct world *world, enum lb_drop_reason reason);
struct lb_server_use *world_server_use(struct world *world, uint32_t number);
struct lb_service_use *world_service_use(struct world *world, uint32_t number);

/* Sets the traffic class (DSCP and ECN) and mends all checksums, IPv6's too, that frames.h leaves to others. */
void frame_finish(struct frame *frame, uint8_t traffic_class);
/* Fails unless every checksum of the frame from its IP header at 'offset' on, tunnels included, is right. */
void assert_checksums(const uint8_t *frame, size_t size, size_t offset);
/* Fails unless the bytes are those in hexadecimal, where "." stands for any digit; blanks are skipped.  Returns how many were compared. */
size_t assert_bytes(const uint8_t *bytes, size_t size, const char *hex);

#endif
