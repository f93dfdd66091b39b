/* An answer without an end, as a watch stream of JSON lines is. */
#ifndef WEFT_HTTP_STREAM_H
#define WEFT_HTTP_STREAM_H

#include <stddef.h>
#include <stdint.h>

/* 'read' is called when the connection can take bytes and returns how many it wrote, at most 'size'; 0 is "nothing now", and then it
 * is called again only after stream_wake; negative ends the connection.  'closed' is called once when the connection is gone; the
 * stream is its owner's, who may free it then. */
struct stream {
    void (*wake)(struct stream *stream); /* The transport's; use stream_wake. */
    void (*cut)(struct stream *stream);
    void *transport;
    int64_t (*read)(struct stream *stream, char *bytes, size_t size);
    void (*closed)(struct stream *stream);
    void *context;
};

/* There is something to read. */
static inline void stream_wake(struct stream *stream)
{
    if (stream->wake)
        stream->wake(stream);
}

/* Closes the connection soon; 'closed' follows from the loop. */
static inline void stream_cut(struct stream *stream)
{
    if (stream->cut)
        stream->cut(stream);
}

#endif
