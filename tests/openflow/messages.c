/* The codec as a filter, for comparisons with other decoders:
 *
 *   openflow-messages encode 1.3 SEED N    N random messages of each kind, a line each: bytes in hexadecimal, a tab, JSON
 *   openflow-messages decode 1.3           of each line of bytes on standard input: JSON; {"refused":...} when they are no message
 *   openflow-messages decode-stream 1.3    the same for raw bytes, until the end or the first that cannot be framed
 *   openflow-messages errors 1.3           type, code and text of each error */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "describe.h"

static int usage(void)
{
    fprintf(stderr, "usage: openflow-messages encode 1.0|1.3 SEED N | decode 1.0|1.3 | decode-stream 1.0|1.3 | errors 1.0|1.3\n");
    return 2;
}

static int encode(enum of_version version, uint64_t seed, unsigned n)
{
    static struct arena arena;
    struct random random = {seed};
    for (enum of_kind kind = OF_HELLO; kind < N_OF_KINDS; kind++)
        for (unsigned i = 0; i < n && version_has(version, kind); i++) {
            struct of_message message;
            struct buffer bytes = {0}, text = {0};
            random_message(&random, version, kind, &arena, &message);
            if (of_encode(version, &message, &bytes) < 0)
                return 1;
            describe(version, &message, &text);
            for (size_t at = 0; at < bytes.size; at++)
                printf("%02x", (uint8_t)bytes.data[at]);
            printf("\t%s\n", text.data);
            buffer_clear(&bytes);
            buffer_clear(&text);
        }
    return 0;
}

static void decode_one(enum of_version version, const void *bytes, size_t size)
{
    struct of_message message;
    struct error error = {0};
    struct buffer text = {0};
    int r = of_decode(version, bytes, size, &message, &error);
    if (r == 0) {
        describe(version, &message, &text);
        printf("%s\n", text.data);
    } else {
        uint16_t type = 0, code = 0;
        int known = of_error_reply(version, &error, &type, &code);
        printf("{\"refused\":%d,\"name\":\"%s\",\"field\":\"%s\",\"message\":\"%s\",\"type\":%d,\"code\":%d}\n", r, error.type,
               error.field, error.message, known < 0 ? -1 : type, known < 0 ? -1 : code);
    }
    buffer_clear(&text);
}

static int decode(enum of_version version)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        size_t size = strspn(line, "0123456789abcdef") / 2;
        uint8_t *bytes = malloc(size ? size : 1);
        if (!bytes)
            return 1;
        for (size_t i = 0; i < size; i++) {
            unsigned value = 0;
            sscanf(line + 2 * i, "%2x", &value);
            bytes[i] = (uint8_t)value;
        }
        decode_one(version, bytes, size);
        free(bytes);
    }
    free(line);
    return 0;
}

static int decode_stream(enum of_version version)
{
    struct buffer stream = {0};
    char chunk[4096];
    ssize_t n;
    while ((n = read(0, chunk, sizeof(chunk))) > 0)
        if (buffer_append(&stream, chunk, (size_t)n) < 0)
            return 1;
    while (stream.size) {
        int size = of_frame(stream.data, stream.size);
        if (size <= 0 || (size_t)size > stream.size)
            break;
        decode_one(version, stream.data, (size_t)size);
        buffer_consume(&stream, (size_t)size);
    }
    size_t left = stream.size;
    buffer_clear(&stream);
    return left != 0;
}

static int errors(enum of_version version)
{
    char text[OF_ERROR_TEXT_SIZE];
    for (uint16_t type = 0; type < 20; type++)
        for (uint16_t code = 0; code < 20; code++)
            printf("%u %u %s\n", type, code, of_error_text(version, &(struct of_error){type, code, {0}}, text));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return usage();
    enum of_version version = strcmp(argv[2], "1.0") == 0 ? OF10 : OF13;
    if (strcmp(argv[1], "encode") == 0 && argc == 5)
        return encode(version, strtoull(argv[3], NULL, 10), (unsigned)atoi(argv[4]));
    if (strcmp(argv[1], "decode") == 0)
        return decode(version);
    if (strcmp(argv[1], "decode-stream") == 0)
        return decode_stream(version);
    if (strcmp(argv[1], "errors") == 0)
        return errors(version);
    return usage();
}
