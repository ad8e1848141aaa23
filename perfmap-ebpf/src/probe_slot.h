/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* Programs at probes of user code can be preempted, and the next one on this CPU must not write over what they hold: each takes
 * one of the CPU's two places while it makes a record. */
#ifndef PERFMAP_PROBE_SLOT_H
#define PERFMAP_PROBE_SLOT_H

#include "state.h"

#define PROBE_CONTEXTS 2
struct probe_slots {
	u64 taken[PROBE_CONTEXTS];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct probe_slots);
} probe_slots SHARED;

/* The number of the place; PROBE_CONTEXTS where both are taken. */
static __always_inline u32 take_slot(struct probe_slots *slots) {
	if (!__sync_val_compare_and_swap(&slots->taken[0], 0, 1))
		return 0;
	if (!__sync_val_compare_and_swap(&slots->taken[1], 0, 1))
		return 1;
	return PROBE_CONTEXTS;
}

#endif
