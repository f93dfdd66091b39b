/* The store's log rows are read back from disk: damaged ones must be refused, whole ones come out as they went in. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "weft/store/events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Encodes the decoded events again; the bytes can only be the same. */
static void encode_again(const uint8_t *data, size_t size, const struct store_item *events, size_t n)
{
    struct store_transaction *transaction;
    struct buffer buffer = {};

    if (store_transaction_new(&transaction) < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        const struct store_item *event = &events[i];
        int r = event->value ? store_put(transaction, event->key, event->key_size, event->value, event->value_size, 0)
                             : store_delete(transaction, event->key, event->key_size);

        if (r < 0)
            goto out; /* Such keys are never written. */
        transaction->writes[i]->changed = true;
        transaction->writes[i]->item.create_revision = event->create_revision;
    }
    if (events_encode(transaction, &buffer) == 0 && buffer.size != size)
        abort();
    for (size_t i = 0, offset = 0; i < n; i++) {
        /* Only the uncounted ends may differ. */
        offset += 16;
        if (memcmp(buffer.data + offset, data + offset, events[i].key_size) != 0)
            abort();
        offset += events[i].key_size + 1 + events[i].value_size + 1;
    }
out:
    buffer_clear(&buffer);
    store_transaction_free(transaction);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_item *events = NULL;
    size_t n = 0;
    int r = events_decode(data, size, 7, &events, &n);

    if (r == 0) {
        encode_again(data, size, events, n);
        free(events);
    } else if (r != -EBADMSG && r != -ENOMEM) {
        abort();
    }
    return 0;
}
