/* Options by name and text, as users set them on ports: "VERSION NAME=VALUE". */
#include <stdlib.h>
#include <string.h>

#include "weft/services/dhcp/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dhcp_option option;
    struct error error = {0};
    if (size < 2)
        return 0;
    char *text = malloc(size + 1), *value;
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    value = strchr(text + 1, '=');
    if (value) {
        *value++ = '\0';
        int result = dhcp_option_encode(text[0] == '6' ? 6 : 4, text + 1, value, &option, &error);
        if (result < 0 ? !*error.field || !*error.message : option.size > DHCP_OPTION_MAX || option.code == 0)
            abort();
    }
    free(text);
    return 0;
}
