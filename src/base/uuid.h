/* Random UUIDs (RFC 9562, version 4) in their canonical text form. */
#ifndef WEFT_BASE_UUID_H
#define WEFT_BASE_UUID_H

#include <stdbool.h>
#include <stddef.h>

#define UUID_TEXT_SIZE 37 /* 36 characters and the end. */

void uuid_generate(char text[UUID_TEXT_SIZE]);
void uuid_generate_hex(char text[33]);  /* 32 hexadecimal digits: Keystone's form for projects and users. */
bool uuid_is_valid(const char *text);   /* 8-4-4-4-12 hexadecimal digits, either case. */
void random_bytes(void *bytes, size_t size); /* getrandom(2); never fails once the system is up. */

#endif
