/* A request over HTTP or HTTPS for each URL in turn, and its status (and the body's digest and text).  libcurl speaks (RFC 9110, RFC 9112). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "weft/base/util.h"
#include "weft/health/probe-state.h"
#include "weft/health/socket-address.h"

#define ADDRESS_TEXT_SIZE (IP_TEXT_SIZE + 16) /* "[2001:db8::1]:65535". */

static const struct health_url *url_of(const struct health_probe *probe)
{
    return &probe->asked->http.urls[probe->http.url];
}

/* "10.0.0.5:80", "[2001:db8::5]:80" */
static void format_address(const struct ip_address *ip, uint16_t port, char text[ADDRESS_TEXT_SIZE])
{
    char address[IP_TEXT_SIZE];
    bool is_v4 = ip_is_v4(ip);

    snprintf(text, ADDRESS_TEXT_SIZE, "%s%s%s:%u", is_v4 ? "" : "[", ip_format(ip, address), is_v4 ? "" : "]", port);
}

/* ---- what comes back --------------------------------------------------------------------------------------------------------- */

static bool is_expected(const struct health_url *url, long status)
{
    if (url->n_codes == 0)
        return status >= 200 && status <= 299;
    for (size_t i = 0; i < url->n_codes; i++)
        if (status >= url->codes[i].first && status <= url->codes[i].last)
            return true;
    return false;
}

static const char *expected_text(const struct health_url *url, char *text, size_t size)
{
    size_t length = 0;

    if (url->n_codes == 0)
        return "200-299";
    *text = '\0';
    for (size_t i = 0; i < url->n_codes && length < size; i++) {
        const struct health_codes *codes = &url->codes[i];

        length += (size_t)snprintf(text + length, size - length, codes->first == codes->last ? "%s%u" : "%s%u-%u", i ? "," : "", codes->first, codes->last);
    }
    return text;
}

static bool has_use_for_body(const struct health_url *url)
{
    return *url->digest || url->compiled;
}

/* The head is all that is wanted, unless the URL says more: no body is waited for. */
static size_t take_head(char *bytes, size_t one, size_t size, void *context)
{
    struct health_probe *probe = context;
    long status = 0;

    if (size > 2 || bytes[0] == ' ') { /* Not the empty line. */
        if (size >= 5 && strncasecmp(bytes, "HTTP/", 5) == 0)
            probe->http.has_location = false;
        else if (size >= 9 && strncasecmp(bytes, "Location:", 9) == 0)
            probe->http.has_location = true;
        return size;
    }
    curl_easy_getinfo(probe->http.easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return size; /* Another head follows (RFC 9110, 15.2). */
    if (probe->asked->http.follow_redirects && status >= 300 && status <= 399 && probe->http.has_location)
        return size; /* Likewise. */
    probe->http.has_head = true;
    return has_use_for_body(url_of(probe)) && is_expected(url_of(probe), status) ? size : 0;
}

static size_t take_body(char *bytes, size_t one, size_t size, void *context)
{
    struct health_probe *probe = context;
    struct http_probe *http = &probe->http;

    if (http->digest && EVP_DigestUpdate(http->digest, bytes, size) != 1)
        return 0;
    if (url_of(probe)->compiled && !http->is_cut) {
        size_t kept = MIN(size, HEALTH_BODY_MAX - http->body.size);

        if (buffer_append(&http->body, bytes, kept) < 0)
            return 0;
        http->is_cut = kept < size;
    }
    return http->digest || !http->is_cut ? size : 0; /* Of what is cut, the rest is read for the digest only. */
}

static void digest_text(struct health_probe *probe, char ret[HEALTH_DIGEST_SIZE])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    EVP_DigestFinal_ex(probe->http.digest, digest, &size);
    for (unsigned i = 0; i < size && i < (HEALTH_DIGEST_SIZE - 1) / 2; i++)
        snprintf(ret + (size_t)2 * i, 3, "%02x", digest[i]);
}

/* Where a redirect leads elsewhere, the way to the server does not. */
static bool is_target(const struct health_probe *probe, const struct curl_sockaddr *address)
{
    struct sockaddr_storage target;
    socklen_t size = socket_address(&probe->target.address, probe->target.port, &target);

    return address->family == target.ss_family && address->addrlen >= size && memcmp(&address->addr, &target, size) == 0;
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct health_probe *probe = context;
    int type = address->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = is_target(probe, address) ? probe_open(&probe->target, type) : socket(address->family, type, 0);

    probe->http.socket_error = MIN(fd, 0);
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int prepare_socket(void *context, curl_socket_t fd, curlsocktype purpose)
{
    struct health_probe *probe = context;
    const char *what;

    probe->http.socket_error = probe_prepare_socket(&probe->target, fd, &what);
    return probe->http.socket_error < 0 ? CURL_SOCKOPT_ERROR : CURL_SOCKOPT_OK;
}

/* ---- requests ---------------------------------------------------------------------------------------------------------------- */

static bool add_header(struct health_probe *probe, const char *text)
{
    struct curl_slist *headers = curl_slist_append(probe->http.headers, text);

    if (headers)
        probe->http.headers = headers;
    return headers;
}

static void clear_request(struct health_probe *probe)
{
    struct http_probe *http = &probe->http;

    if (http->is_added)
        curl_multi_remove_handle(probe->prober->curl.multi, http->easy);
    curl_easy_cleanup(http->easy);
    curl_slist_free_all(http->headers);
    curl_slist_free_all(http->connect_to);
    EVP_MD_CTX_free(http->digest);
    buffer_clear(&http->body);
    *http = (struct http_probe){.url = http->url};
}

static bool set_ends(struct health_probe *probe)
{
    char address[ADDRESS_TEXT_SIZE], connect_to[ADDRESS_TEXT_SIZE + 2], text[2 * HEALTH_TEXT_MAX + 64];
    const struct health_url *url = url_of(probe);
    bool is_tls = probe->asked->kind == HEALTH_HTTPS;

    format_address(&probe->target.address, probe->target.port, address);
    if (url->host) {
        /* The name is in the URL, so that TLS says it too; but nobody is asked for its address. */
        size_t name = strcspn(url->host, ":");

        snprintf(connect_to, sizeof(connect_to), "::%s", address);
        probe->http.connect_to = curl_slist_append(NULL, connect_to);
        snprintf(text, sizeof(text), "Host: %s", url->host);
        if (!probe->http.connect_to || !add_header(probe, text))
            return false;
        curl_easy_setopt(probe->http.easy, CURLOPT_CONNECT_TO, probe->http.connect_to);
        snprintf(text, sizeof(text), "%s://%.*s:%u%s", is_tls ? "https" : "http", (int)name, url->host, probe->target.port, url->path);
    } else {
        if (!ip_is_zero(&probe->target.called)) {
            char called[ADDRESS_TEXT_SIZE];

            format_address(&probe->target.called, probe->target.port, called);
            snprintf(text, sizeof(text), "Host: %s", called);
            if (!add_header(probe, text))
                return false;
        }
        snprintf(text, sizeof(text), "%s://%s%s", is_tls ? "https" : "http", address, url->path);
    }
    return curl_easy_setopt(probe->http.easy, CURLOPT_URL, text) == CURLE_OK;
}

static bool set_request(struct health_probe *probe)
{
    const struct health_http *http = &probe->asked->http;
    CURL *easy = probe->http.easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, probe);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, http->version == 10 ? (long)CURL_HTTP_VERSION_1_0 : (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "weft");
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L); /* Whether it takes connections is the question. */
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, (long)http->follow_redirects);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 10L);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, prepare_socket);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, probe);
    if (probe->target.open) {
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, probe);
    }
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_head);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, probe);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, probe);
    if (http->method && strcasecmp(http->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (http->method && curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, http->method) != CURLE_OK)
        return false;
    if (*url_of(probe)->digest) {
        probe->http.digest = EVP_MD_CTX_new();
        if (!probe->http.digest || EVP_DigestInit_ex(probe->http.digest, EVP_md5(), NULL) != 1)
            return false;
    }
    if (!add_header(probe, "Connection: close") || !set_ends(probe))
        return false;
    return curl_easy_setopt(easy, CURLOPT_HTTPHEADER, probe->http.headers) == CURLE_OK;
}

static void start(struct health_probe *probe)
{
    probe->http.easy = curl_easy_init();
    if (!probe->http.easy || !set_request(probe) || curl_multi_add_handle(probe->prober->curl.multi, probe->http.easy) != CURLM_OK) {
        probe_fail_errno(probe, ENOMEM, "no request");
        return;
    }
    probe->http.is_added = true;
}

static void next_url(struct health_probe *probe, long status)
{
    if (probe->http.url + 1 == probe->asked->http.n_urls) {
        probe_finish(probe, true, "got %ld", status);
        return;
    }
    clear_request(probe);
    probe->http.url++;
    start(probe);
}

static void fail(struct health_probe *probe, CURLcode result)
{
    long error = 0;

    curl_easy_getinfo(probe->http.easy, CURLINFO_OS_ERRNO, &error);
    if (probe->http.socket_error < 0)
        probe_fail_errno(probe, -probe->http.socket_error, "cannot use the source address, device or mark");
    else if (result == CURLE_COULDNT_CONNECT && error)
        probe_fail_errno(probe, (int)error, NULL);
    else if (result == CURLE_OUT_OF_MEMORY)
        probe_fail_errno(probe, ENOMEM, "no request");
    else if (result == CURLE_GOT_NOTHING)
        probe_finish(probe, false, "connection closed without an answer");
    else
        probe_finish(probe, false, "no HTTP answer: %s", curl_easy_strerror(result));
}

/* Whether the body has what it must have, or not what it must not; else the probe has ended. */
static bool search_body(struct health_probe *probe, const struct health_url *url)
{
    const struct http_probe *http = &probe->http;
    char reason[120];

    switch (health_regex_search(url->compiled, http->body.data ? http->body.data : "", http->body.size, http->is_cut, reason)) {
    case HEALTH_REGEX_FOUND:
        if (url->regex_no_match)
            probe_finish(probe, false, "the body matches '%.80s'", url->regex.pattern);
        return !url->regex_no_match;
    case HEALTH_REGEX_NOT_FOUND:
        if (http->is_cut)
            probe_finish(probe, false, "no match of '%.80s' in %u bytes, and the body is longer", url->regex.pattern, HEALTH_BODY_MAX);
        else if (!url->regex_no_match)
            probe_finish(probe, false, "the body does not match '%.80s'", url->regex.pattern);
        return !http->is_cut && url->regex_no_match;
    default:
        probe_finish(probe, false, "the search for '%.80s' failed: %s", url->regex.pattern, reason);
        return false;
    }
}

void probe_http_finished(CURL *easy, CURLcode result, void *context)
{
    struct health_probe *probe = NULL;
    const struct health_url *url;
    char expected[96], digest[HEALTH_DIGEST_SIZE] = "";
    long status = 0;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&probe);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    url = url_of(probe);
    if (!probe->http.has_head) {
        fail(probe, result);
        return;
    }
    if (!is_expected(url, status)) {
        probe_finish(probe, false, "expected %s, got %ld", expected_text(url, expected, sizeof(expected)), status);
        return;
    }
    if (has_use_for_body(url) && result != CURLE_OK && (probe->http.digest || !probe->http.is_cut)) {
        probe_finish(probe, false, "the body broke off: %s", curl_easy_strerror(result));
        return;
    }
    if (*url->digest) {
        digest_text(probe, digest);
        if (strcasecmp(digest, url->digest) != 0) {
            probe_finish(probe, false, "expected digest %s, got %s", url->digest, digest);
            return;
        }
    }
    if (!url->compiled || search_body(probe, url))
        next_url(probe, status);
}

const struct probe_kind probe_http = {.start = start, .stop = clear_request};
