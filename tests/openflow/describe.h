/* What tests of the OpenFlow codec share: messages as text, lists built anew element by element, and random messages. */
#ifndef WEFT_TESTS_OPENFLOW_DESCRIBE_H
#define WEFT_TESTS_OPENFLOW_DESCRIBE_H

#include "weft/base/buffer.h"
#include "weft/fabric/openflow/openflow.h"

/* The message as one line of JSON that says everything which it holds, lists element by element: equal messages have equal text.
 * Aborts when a list of it is not well formed, which no decoded message's may be. */
void describe(enum of_version version, const struct of_message *message, struct buffer *ret);

/* Encodes the message after making each list of it anew, by taking every element off and putting it on.  As of_encode. */
int rebuild(enum of_version version, const struct of_message *message, struct buffer *buffer);

/* ---- random messages ------------------------------------------------------------------------------------------- */

/* Numbers that depend on the seed alone. */
struct random {
    uint64_t state;
};
uint64_t random_u64(struct random *random);
uint32_t random_below(struct random *random, uint32_t limit); /* 0 to limit - 1. */

/* Where the lists of a random message live. */
struct arena {
    uint8_t bytes[1 << 16];
    size_t used;
};

/* A message of this kind that the version can say; of a multipart kind, of a random type.  Borrows from 'arena', which it empties. */
void random_message(struct random *random, enum of_version version, enum of_kind kind, struct arena *arena,
                    struct of_message *ret);
bool version_has(enum of_version version, enum of_kind kind);

#endif
