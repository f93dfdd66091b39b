#include "weft/api/readiness.h"

bool readiness_check(struct readiness *readiness, uint64_t replica_revision, uint64_t store_revision, uint64_t now_ms)
{
    if (replica_revision >= readiness->target) {
        readiness->target = store_revision;
        readiness->since_ms = now_ms;
    }
    return replica_revision >= readiness->target || now_ms - readiness->since_ms < READINESS_BEHIND_MAX_MS;
}
