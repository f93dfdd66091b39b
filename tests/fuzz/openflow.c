/* The OpenFlow codec under any message.  The first byte chooses the version (1: 1.3) and whether the header's version and length are
 * put right (unless 2).  What is accepted has well-formed lists only; made anew and encoded it decodes to the same message, and encodes
 * to the same bytes again.  What is refused has a reason that OpenFlow has a number for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_refusal(enum of_version version, const struct error *error)
{
    uint16_t type, code;
    char text[OF_ERROR_TEXT_SIZE];
    require(error->code < 0 && error->message[0]);
    require(of_error_reply(version, error, &type, &code) == 0);
    of_error_text(version, &(struct of_error){.type = type, .code = code}, text);
    require(text[0] && !strstr(text, "type "));
}

/* 1.0's shortest vendor messages grow by a word, and a hello that names no version has no bytes of ours. */
static bool may_not_encode(const struct of_message *message, int result)
{
    return (message->kind == OF_HELLO && message->hello.versions == 0 && result == -EINVAL) ||
           (message->kind == OF_EXPERIMENTER && result == -EMSGSIZE);
}

static void check_message(enum of_version version, const struct of_message *message)
{
    struct buffer first = {0}, second = {0}, text = {0}, text_again = {0};
    struct of_message again;
    describe(version, message, &text);
    int r = rebuild(version, message, &first);
    if (r < 0) {
        require(may_not_encode(message, r));
        buffer_clear(&first);
        buffer_clear(&text);
        return;
    }
    require(of_frame(first.data, first.size) == (int)first.size);
    require(of_decode(version, first.data, first.size, &again, NULL) == 0);
    describe(version, &again, &text_again);
    require(strcmp(text.data, text_again.data) == 0);
    require(of_encode(version, &again, &second) == 0);
    require(second.size == first.size && memcmp(second.data, first.data, first.size) == 0);
    buffer_clear(&first);
    buffer_clear(&second);
    buffer_clear(&text);
    buffer_clear(&text_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > OF_MESSAGE_MAX_SIZE)
        return 0;
    enum of_version version = data[0] & 1 ? OF13 : OF10;
    size_t message_size = size - 1;
    uint8_t *bytes = malloc(message_size ? message_size : 1);
    require(bytes);
    memcpy(bytes, data + 1, message_size);
    if (!(data[0] & 2) && message_size >= OF_HEADER_SIZE) {
        bytes[0] = (uint8_t)version;
        put_be16(bytes + 2, (uint16_t)message_size);
    }
    require(of_frame(bytes, message_size) >= 0 || message_size >= OF_HEADER_SIZE);

    struct of_message message;
    struct error error = {0};
    if (of_decode(version, bytes, message_size, &message, &error) < 0)
        check_refusal(version, &error);
    else
        check_message(version, &message);
    free(bytes);
    return 0;
}
