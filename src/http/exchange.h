/* Inside http only: one request of one connection, as libmicrohttpd's callbacks see it. */
#ifndef WEFT_HTTP_EXCHANGE_H
#define WEFT_HTTP_EXCHANGE_H

#include "weft/http/transport.h"

/* Callbacks of the daemon; 'context' is the struct http. */
void *exchange_request_line(void *context, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result exchange_receive(void *context, struct MHD_Connection *mhd, const char *url, const char *method, const char *version,
                                 const char *bytes, size_t *size, void **request_context);
void exchange_completed(void *context, struct MHD_Connection *mhd, void **request_context, enum MHD_RequestTerminationCode code);

/* Lets every suspended connection go on, as the library wants it before it is stopped; those without an answer are then refused. */
void exchange_resume_all(struct http *http);

#endif
