/* curl's multi interface on a libuv loop: transfers run beside everything else.  One thread. */
#ifndef WEFT_HTTP_CURL_LOOP_H
#define WEFT_HTTP_CURL_LOOP_H

#include <curl/curl.h>
#include <uv.h>

struct curl_loop {
    CURLM *multi;    /* Add and remove easy handles here, not from inside curl's own callbacks. */
    uv_loop_t *loop;
    uv_timer_t timer;
    void (*finished)(CURL *easy, CURLcode result, void *context);
    void *context;
};

/* 'finished' is called for each transfer that has ended, and may remove and free it.  Returns 0 or -ENOMEM. */
int curl_loop_init(struct curl_loop *curl, uv_loop_t *loop, void (*finished)(CURL *easy, CURLcode result, void *context), void *context);

/* After all transfers were removed.  The timer closes in the loop; 'closed' (may be NULL) is called then, and '*curl' may be freed. */
void curl_loop_clear(struct curl_loop *curl, uv_close_cb closed);

#endif
