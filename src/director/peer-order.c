#include "weft/director/peer-order.h"

void peer_order_hear(struct peer_order *order, uint64_t ran_ms, const struct peer_order_word *word)
{
    bool is_older = ran_ms > word->ran_ms;

    if (order->is_heard && order->other_session == word->session)
        is_older = is_older && order->is_older; /* An earlier one may have come late, and none can come early. */
    order->is_heard = true;
    order->is_older = is_older;
    order->other_session = word->session;
    order->knows_us = word->heard_session == order->session;
    order->other_is_older = word->is_older;
}

bool peer_order_is_first(const struct peer_order *order)
{
    if (order->is_heard && order->knows_us && order->is_older == order->other_is_older)
        return order->session < order->other_session;
    return order->is_heard && order->is_older;
}
