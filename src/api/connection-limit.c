#include "weft/api/connection-limit.h"

#include "weft/base/util.h"

enum aim {
    AIM_ONE,    /* One more than it has, if it is full. */
    AIM_MORE,   /* Twice what it uses, if it was full. */
    AIM_DOUBLE, /* The same, if that is more than half. */
    AIM_EVEN,
};

struct division {
    struct limit_share *hosts;
    size_t n;
    uint32_t limit, even;
};

static uint64_t sum_held(const struct division *division)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < division->n; i++)
        sum += division->hosts[i].held;
    return sum;
}

static uint64_t sum_shares(const struct division *division)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < division->n; i++)
        sum += division->hosts[i].share;
    return sum;
}

static bool somebody_waits(const struct division *division)
{
    for (size_t i = 0; i < division->n; i++)
        if (division->hosts[i].waits)
            return true;
    return false;
}

static bool is_full(const struct limit_share *host)
{
    return host->is_heard && !host->leaves && host->active >= host->share && (host->waits || host->was_refused);
}

/* What the host's share is to be, at least. */
static uint32_t aim_at(const struct division *division, const struct limit_share *host, enum aim aim)
{
    uint64_t wanted = 0;

    if (!host->is_heard || host->leaves)
        return host->share;
    if (aim == AIM_ONE)
        wanted = is_full(host) ? (uint64_t)MAX(host->share, host->active) + 1 : 0;
    else if (aim == AIM_MORE)
        wanted = host->was_given ? 2 * (uint64_t)host->active : 0;
    else if (aim == AIM_DOUBLE)
        wanted = host->share && host->active >= host->share / 2 ? 2 * (uint64_t)host->active : 0;
    else
        wanted = division->even;
    return (uint32_t)MIN(MAX(wanted, host->share), MAX(division->limit, host->share));
}

/* Gives all, in equal parts, what they are to have, as far as it goes. */
static void give(const struct division *division, enum aim aim)
{
    uint64_t held = sum_held(division), left = held < division->limit ? division->limit - held : 0;
    size_t n_wanting = 0;

    for (size_t i = 0; i < division->n; i++) {
        division->hosts[i].aim = aim_at(division, &division->hosts[i], aim);
        n_wanting += division->hosts[i].aim > division->hosts[i].share;
    }
    while (left > 0 && n_wanting > 0) {
        uint64_t part = MAX(left / n_wanting, 1);

        n_wanting = 0;
        for (size_t i = 0; i < division->n && left > 0; i++) {
            struct limit_share *host = &division->hosts[i];
            uint32_t room = MAX(host->held, host->share); /* What it holds anyway costs nobody anything. */
            uint32_t given = host->aim > room ? (uint32_t)MIN(MIN(part, left), host->aim - room) : 0;

            if (host->aim <= host->share)
                continue;
            host->share = MIN(host->aim, room + given);
            host->was_given = true;
            host->held = MAX(host->held, host->share);
            left -= given;
            n_wanting += host->aim > host->share;
        }
    }
}

/* Those who are full have got one each, or wait. */
static void serve_full(const struct division *division)
{
    for (size_t i = 0; i < division->n; i++)
        if (division->hosts[i].is_heard)
            division->hosts[i].waits = is_full(&division->hosts[i]);
    give(division, AIM_ONE);
    for (size_t i = 0; i < division->n; i++)
        if (division->hosts[i].is_heard)
            division->hosts[i].waits = division->hosts[i].aim > division->hosts[i].share;
}

static void give_back(const struct division *division)
{
    for (size_t i = 0; i < division->n; i++) {
        struct limit_share *host = &division->hosts[i];

        if (host->is_heard && !host->was_given && host->share > host->active)
            host->share -= (host->share - host->active + 1) / 2;
    }
}

static void lower(const struct division *division, uint64_t sum)
{
    for (size_t i = 0; i < division->n; i++) {
        struct limit_share *host = &division->hosts[i];

        if (host->is_heard)
            host->share = (uint32_t)((uint64_t)host->share * division->limit / sum);
    }
}

void connection_limit_divide(uint32_t limit, struct limit_share *hosts, size_t n)
{
    size_t n_staying = 0;
    struct division division = {.hosts = hosts, .n = n, .limit = limit};

    for (size_t i = 0; i < n; i++) {
        if (hosts[i].is_heard)
            hosts[i].held = MAX(hosts[i].share, hosts[i].active);
        if (hosts[i].is_heard && hosts[i].leaves)
            hosts[i].share = 0;
        hosts[i].was_given = false;
        n_staying += !hosts[i].leaves;
    }
    division.even = n_staying ? (uint32_t)(limit / n_staying) : 0;
    serve_full(&division);
    uint64_t sum = sum_shares(&division);
    if (sum > limit) {
        lower(&division, sum);
    } else if (somebody_waits(&division)) {
        give_back(&division);
    } else {
        give(&division, AIM_MORE);
        give(&division, AIM_DOUBLE);
        give(&division, AIM_EVEN);
    }
}
