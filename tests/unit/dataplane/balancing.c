#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "balancing.h"

int set_up_balancing(void **state)
{
    set_up(state);
    fixture_balancing(pipeline);
    return 0;
}

uint64_t in_use(const char *table, uint32_t number)
{
    return ((struct service_use *)pipeline_lookup(pipeline, table, &number))->n_connections;
}

struct service_counters *counters(uint32_t listener)
{
    return pipeline_lookup(pipeline, "service_counters", &listener);
}

void all_ends(void)
{
    all_connections_end();
    assert_int_equal(n_entries("balanced"), 0);
    assert_int_equal(n_entries("balanced_names"), 0);
    for (uint32_t number = 0; number <= 12; number++) {
        assert_int_equal(in_use("listener_use", number), 0);
        assert_int_equal(in_use("member_use", number), 0);
    }
}

void set_timeout(const char *vip, uint16_t port, uint32_t listener, uint32_t timeout_ms)
{
    struct service_key number = SERVICE_LISTENER_KEY(listener), key = {.vni = 7, .port = htons(port), .protocol = IPPROTO_TCP};
    struct service_value value = {.port = number.port, .listener = listener, .limit = timeout_ms}, *service;

    pipeline_update(pipeline, "services", &number, &value);
    frame_address(vip, key.address);
    service = pipeline_lookup(pipeline, "services", &key);
    service->flags |= SERVICE_IDLES;
}

void expect_stage(const char *stage)
{
    for (size_t i = 0; i < result.n_steps; i++)
        if (strcmp(result.steps[i].stage, stage) == 0)
            return;
    fail_msg("no step of stage '%s'", stage);
}

void expect_sent_from(uint32_t vni, uint32_t hops, uint32_t slot, const char *text)
{
    const uint8_t *vxlan;

    expect_host(1, text);
    vxlan = result.outputs[0].bytes + TUNNEL_OVERHEAD_IPV4 - 8;
    assert_int_equal((vxlan[1] & 15) << 16 | vxlan[2] << 8 | vxlan[3], slot);
    assert_int_equal(vxlan[7], TUNNEL_DIRECT_RETURN << 4 | hops);
    assert_int_equal(vxlan[4] << 16 | vxlan[5] << 8 | vxlan[6], vni);
}

void expect_sent(uint32_t hops, uint32_t slot, const char *text)
{
    expect_sent_from(7, hops, slot, text);
}
