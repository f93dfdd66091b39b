/* Passwords: hashed with argon2id (RFC 9106, through libsodium) on threads of the loop's pool, for a hash is made to be slow. */
#ifndef WEFT_API_PASSWORD_H
#define WEFT_API_PASSWORD_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define PASSWORD_MAX_SIZE 1024
#define PASSWORD_MAX_WAITING 128 /* Jobs; beyond them a login is told to come back. */
#define PASSWORD_HASH_SIZE 128   /* crypto_pwhash_STRBYTES. */

/* What a new hash costs; the parameters of an old one are in its text. */
struct password_cost {
    uint64_t operations; /* Passes over the memory. */
    uint64_t memory_kib;
};
#define PASSWORD_COST_DEFAULT ((struct password_cost){.operations = 3, .memory_kib = 12288})

/* Hashes on this thread: for the start of the program.  0 or -ENOMEM. */
int password_hash_now(const char *password, struct password_cost cost, char hash[PASSWORD_HASH_SIZE]);

/* Hashes 'password' (copied, wiped afterwards) and calls 'done' on the loop with 0 and the hash, or -ENOMEM.
 * Returns 0 or -EAGAIN when too many wait, -ENOMEM; then 'done' is not called. */
int password_hash(uv_loop_t *loop, const char *password, struct password_cost cost,
                  void (*done)(int status, const char *hash, void *context), void *context);

/* Compares.  'hash' NULL takes as long as a wrong password does, for users that do not exist.  'done' gets 0 or -EACCES. */
int password_verify(uv_loop_t *loop, const char *password, const char *hash, struct password_cost cost,
                    void (*done)(int status, const char *hash, void *context), void *context);

#endif
