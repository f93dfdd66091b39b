// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How the pipeline tells its story: each step that decides something says so with TRACE(stage, format, ...), where the
 * stage is one word.  In BPF that is nothing at all; natively it is what 'weft trace' prints and what the fuzzer counts
 * as reached. */
#ifndef WEFT_BPF_TRACE_H
#define WEFT_BPF_TRACE_H

#include "weft/dataplane/bpf/world.h"

/* Every stage, once: TRACE accepts no other, and tests demand that each is reached. */
#define TRACE_STAGES(STAGE)                                                                                  \
    STAGE(port)                                                                                              \
    STAGE(parse)                                                                                             \
    STAGE(flow)                                                                                              \
    STAGE(security)                                                                                          \
    STAGE(policy)                                                                                            \
    STAGE(neighbor)                                                                                          \
    STAGE(punt)                                                                                              \
    STAGE(metadata)                                                                                          \
    STAGE(learn)                                                                                             \
    STAGE(switch)                                                                                            \
    STAGE(route)                                                                                             \
    STAGE(firewall)                                                                                          \
    STAGE(translate)                                                                                         \
    STAGE(balance)                                                                                           \
    STAGE(uplink)                                                                                            \
    STAGE(flood)                                                                                             \
    STAGE(deliver)                                                                                           \
    STAGE(encapsulate)                                                                                       \
    STAGE(decapsulate)                                                                                       \
    STAGE(drop)

#ifndef __bpf__
enum trace_stage {
#define TRACE_STAGE_ENUM(name) STAGE_##name,
    TRACE_STAGES(TRACE_STAGE_ENUM)
#undef TRACE_STAGE_ENUM
    N_STAGES
};
#endif

#endif
