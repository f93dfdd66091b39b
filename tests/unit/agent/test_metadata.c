/* The signature that Nova wants: HMAC-SHA256, checked with the cases of RFC 4231 whose keys are text, and others made with another implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "weft/agent/metadata.h"

static void an_instance_id_is_signed(void **state)
{
    static const struct {
        const char *secret, *id, *signature;
    } cases[] = {
        {"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"}, /* RFC 4231, 4.3 */
        {"", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
        /* A key longer than SHA-256's block. */
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "1", "73b18cc50c0222525faac0a2769a2bc6cfa36555861abbd7b69198de1323d087"},
    };
    char signature[METADATA_SIGNATURE_SIZE];

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        metadata_sign(cases[i].secret, cases[i].id, signature);
        assert_string_equal(signature, cases[i].signature);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_instance_id_is_signed)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
