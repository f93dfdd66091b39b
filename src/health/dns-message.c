/* See dns-message.h.  Names are encoded and walked by the C library's resolver (ns_name_pton, ns_initparse and their like of
 * arpa/nameser.h). */
#include "weft/health/dns-message.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <resolv.h>
#include <string.h>
#include <strings.h>

#include "weft/base/bytes.h"
#include "weft/base/util.h"

#define HEAD_SIZE 12
#define FLAG_RECURSION_DESIRED 0x0100

int dns_write_query(uint8_t ret_query[DNS_QUERY_MAX], uint16_t id, const char *name, uint16_t type)
{
    uint8_t *at = ret_query + HEAD_SIZE;
    int n;

    if (!*name || ns_name_pton(name, at, NS_MAXCDNAME) < 0)
        return -EINVAL;
    n = dn_skipname(at, at + NS_MAXCDNAME);
    if (n < 0)
        return -EINVAL;
    memset(ret_query, 0, HEAD_SIZE);
    put_be16(ret_query, id);
    put_be16(ret_query + 2, FLAG_RECURSION_DESIRED);
    put_be16(ret_query + 4, 1); /* Questions. */
    put_be16(at + n, type);
    put_be16(at + n + 2, ns_c_in);
    return HEAD_SIZE + n + 4;
}

int dns_read_answer(const uint8_t *message, size_t size, const uint8_t *query, size_t query_size)
{
    ns_msg answer, own;
    ns_rr repeated, question;

    if (size < HEAD_SIZE || size > DNS_MESSAGE_MAX)
        return -EBADMSG;
    if (ns_initparse(query, (int)query_size, &own) < 0 || ns_parserr(&own, ns_s_qd, 0, &question) < 0)
        return -EBADMSG;
    /* ns_initparse walks all records: what is not whole is no answer.  One that is cut on purpose (TC) is whole. */
    if (ns_initparse(message, (int)size, &answer) < 0 || ns_msg_id(answer) != ns_msg_id(own) || !ns_msg_getflag(answer, ns_f_qr) ||
        ns_msg_getflag(answer, ns_f_opcode) != ns_o_query)
        return -EBADMSG;
    /* Servers repeat the question, but for errors about its form. */
    if (ns_msg_count(answer, ns_s_qd) == 0)
        return ns_msg_getflag(answer, ns_f_rcode) == ns_r_noerror ? -EBADMSG : (int)ns_msg_getflag(answer, ns_f_rcode);
    if (ns_msg_count(answer, ns_s_qd) != 1 || ns_parserr(&answer, ns_s_qd, 0, &repeated) < 0 || ns_rr_type(repeated) != ns_rr_type(question) ||
        ns_rr_class(repeated) != ns_rr_class(question) || strcasecmp(ns_rr_name(repeated), ns_rr_name(question)) != 0)
        return -EBADMSG;
    return (int)ns_msg_getflag(answer, ns_f_rcode);
}

const char *dns_rcode_name(int rcode)
{
    static const char *const names[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"};

    return rcode >= 0 && rcode < (int)ARRAY_SIZE(names) ? names[rcode] : NULL;
}
