/* Two CPUs begin the same connections in a small table of a director, while its sweeper takes out those of before and slots are used again: each is there once, and in
 * the end none is left. */
#ifndef WEFT_TESTS_BPF_DIRECTOR_RACE_H
#define WEFT_TESTS_BPF_DIRECTOR_RACE_H

#include <stdint.h>

/* In the network namespace of the device, whose neighbors 10.0.0.1 and 10.0.0.2 are.  Ends the process if it finds something. */
void director_race(uint32_t device);

#endif
