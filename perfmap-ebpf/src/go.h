/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* Which goroutine a thread of Go's runs. User space knows the layout by Go's version (go_processes); what is read counts as a
 * goroutine only where the stack pointer lies in its own stack. */
#ifndef PERFMAP_GO_H
#define PERFMAP_GO_H

#include "emit.h"

/* runtime.g, the same from 1.18 to 1.27. */
#define G_STACK_LOW 0
#define G_STACK_HIGH 1
#define G_SP 7
#define G_PC 8
#define G_SELF 9
#define G_THREAD 6
/* runtime._Gwaiting, _Gdead; the bit that the garbage collector adds. */
#define G_WAITING 4
#define G_DEAD 6
#define G_SCANNED 0x1000
static __always_inline struct go_layout *go_layout_of(u32 pid) {
	return settings.counting_only ? 0 : bpf_map_lookup_elem(&go_processes, &pid);
}

static __always_inline u64 user_word(u64 address) {
	u64 value = 0;
	if (address < 4096 || bpf_probe_read_user(&value, 8, (void *)address))
		return 0;
	return value;
}

/* The goroutine in whose time the thread works: on the scheduler's stack, a signal's, or C's only the thread's own record says so.
 * 0: the scheduler's. It counts only where the goroutine names that record. */
static __always_inline u64 goroutine_of_thread(struct go_layout *layout, u64 g) {
	u64 m = layout->m_running ? user_word(g + G_THREAD * 8) : 0;
	u64 running = m ? user_word(m + layout->m_running) : 0;
	if (!running || user_word(running + G_THREAD * 8) != m)
		return 0;
	return user_word(running + layout->g_id);
}

/* The running goroutine's number, 0 where the thread runs the scheduler; in *high where its stack ends, where the thread is
 * on it. */
#ifdef MAPS_ARE_HERE
APART u64 running_goroutine(u32 pid, u64 sp, u64 *high) {
	struct go_layout *layout = go_layout_of(pid);
	if (!layout || !high)
		return 0;
	u64 stack[2] = {};
	u64 g = user_word(bpf_get_current_task_btf()->thread.fsbase + layout->thread_local_g);
	if (g < 4096 || bpf_probe_read_user(stack, sizeof(stack), (void *)g))
		return 0;
	if (sp <= stack[0] || sp > stack[1])
		return goroutine_of_thread(layout, g);
	*high = stack[1];
	return user_word(g + layout->g_id);
}
#else
extern u64 running_goroutine(u32 pid, u64 sp, u64 *high);
#endif

static __always_inline void fill_goroutine(struct goroutine_record *record, u64 goroutine, u32 what) {
	__builtin_memset(record, 0, sizeof(*record));
	fill_header_current(&record->header, KIND_GOROUTINE, bpf_ktime_get_ns());
	record->goroutine = goroutine;
	record->what = what;
}

#endif
