/* Elements of variable length, which say it themselves. */
#include "weft/fabric/openflow/wire.h"

int of_element_take(struct of_bytes *list, size_t offset, size_t minimum, bool padded, struct of_bytes *ret)
{
    if (list->size < minimum || list->size < offset + 2)
        return -EBADMSG;
    size_t size = get_be16(list->data + offset);
    size_t whole = padded ? of_padded(size) : size;
    if (size < minimum || whole > list->size)
        return -EBADMSG;
    *ret = of_bytes_of(list->data, size);
    *list = of_bytes_of(list->data + whole, list->size - whole);
    return 0;
}
