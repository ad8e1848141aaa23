/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* Where goroutines wait that no thread runs. Such a wait is no system call: nothing that the kernel sees tells it. But a
 * thread that finds no work goes to sleep in one, and by then what waits lies in the runtime's own list, each goroutine with
 * the stack pointer, instruction and frame that it will go on with. One that was there at the last look as well, and has not
 * run since (the runtime counts its runs, in one byte), is not told again.
 *
 * A structure counts as a goroutine only where it names itself (g.sched.g) and its stack pointer lies in its own stack. */
#ifndef PERFMAP_GO_WAITS_H
#define PERFMAP_GO_WAITS_H

#include "stack.h"

/* Goroutines that are looked at when a thread goes to sleep; of more, the next ones at the next time. */
#define MAX_LOOKED_AT 256
/* So long for each goroutine between two looks at many: a twentieth of one CPU, at 100 ns each. */
#define LOOK_EACH_NS 2000
#define FEW_GOROUTINES 32
/* Records of one look: a stack is copied for each, with interrupts off. What is left is found by the next one. */
#define MAX_TOLD 16
/* Of a stack that waits: its callers lie at its top. */
#define MAX_WAITING_STACK 8192

/* The goroutine in whose time the running thread wakes another one: it makes that ready on the scheduler's stack. */
APART u64 goroutine_that_wakes(u32 pid) {
	struct go_layout *layout = go_layout_of(pid);
	if (!layout)
		return 0;
	u64 g = user_word(bpf_get_current_task_btf()->thread.fsbase + layout->thread_local_g);
	return g ? goroutine_of_thread(layout, g) : 0;
}

static __always_inline u64 go_mix(u64 hash, u64 word) {
	hash ^= word;
	hash *= 0x9E3779B97F4A7C15ull;
	return hash ^ hash >> 29;
}

struct go_look {
	u64 array, count;
	u32 from, told, pid, reserved;
};

/* Not 0: there was no room. */
APART int tell_wait(u64 goroutine, u32 reason, u32 frame) {
	struct scratch *scratch = scratch_of(CONTEXT_SWITCH);
	if (!scratch)
		return 1;
	struct goroutine_record *record = &scratch->record.goroutine;
	u64 sp = scratch->g[G_SP], room = scratch->g[G_STACK_HIGH] - sp;
	fill_goroutine(record, goroutine, GOROUTINE_WAITS);
	record->reason = reason;
	record->connection = scratch->g[G_SELF];
	record->stack.registers[6] = frame < GO_G_BYTES / 8 ? scratch->g[frame] : 0;
	record->stack.registers[7] = sp;
	record->stack.registers[16] = scratch->g[G_PC];
	record->stack.user = copy_user_stack(CONTEXT_SWITCH, sp, room < MAX_WAITING_STACK ? room : MAX_WAITING_STACK);
	return emit_with_stack(record, sizeof(*record), &record->stack, scratch, CONTEXT_SWITCH, 0, 0, LOSS_RING_WAIT);
}

static long look_at_one(u32 index, struct go_look *look) {
	struct scratch *scratch = scratch_of(CONTEXT_SWITCH);
	struct go_layout *layout = go_layout_of(look->pid);
	if (!scratch || !layout || index >= look->count || look->told >= MAX_TOLD)
		return 1;
	u64 *g = scratch->g, at = look->from + index;
	u64 address = user_word(look->array + (at < look->count ? at : at - look->count) * 8);
	if (address < 4096 || bpf_probe_read_user(g, GO_G_BYTES, (void *)address) || g[G_SELF] != address)
		return 0;
	u32 at_status = layout->g_status, at_id = layout->g_id, at_reason = layout->g_reason;
	BOUND(at_status, GO_G_BYTES - 4);
	BOUND(at_id, GO_G_BYTES - 8);
	BOUND(at_reason, GO_G_BYTES - 1);
	u32 status = *(u32 *)((u8 *)g + at_status) & ~G_SCANNED, reason = *((u8 *)g + at_reason);
	struct goroutine key = {.address = *(u64 *)((u8 *)g + at_id), .pid = look->pid};
	u32 at_runs = layout->g_runs;
	BOUND(at_runs, GO_G_BYTES - 1);
	struct goroutine_record *record = &scratch->record.goroutine;
	struct go_wait *before = bpf_map_lookup_elem(&go_waits, &key);
	if (status != G_WAITING) {
		if (!before)
			return 0;
		fill_goroutine(record, key.address, status == G_DEAD ? GOROUTINE_ENDED : GOROUTINE_GOES_ON);
		if (bpf_ringbuf_output(&events, record, sizeof(*record), BPF_RB_NO_WAKEUP))
			lose(LOSS_RING_WAIT);
		else
			bpf_map_delete_elem(&go_waits, &key);
		return 0;
	}
	if (g[G_SP] <= g[G_STACK_LOW] || g[G_SP] >= g[G_STACK_HIGH])
		return 0;
	struct go_wait now = {.place = go_mix(go_mix(go_mix(reason, g[G_SP]), g[G_PC]), address)};
	now.runs = at_runs ? *((u8 *)g + at_runs) : 0;
	if (before && before->place == now.place) {
		if (before->runs == now.runs)
			return 0;
		fill_goroutine(record, key.address, GOROUTINE_WAITS_AGAIN);
		if (bpf_ringbuf_output(&events, record, sizeof(*record), BPF_RB_NO_WAKEUP))
			lose(LOSS_RING_WAIT);
		else
			before->runs = now.runs;
		return 0;
	}
	look->told++;
	if (!tell_wait(key.address, reason, layout->g_frame / 8))
		bpf_map_update_elem(&go_waits, &key, &now, BPF_ANY);
	return 0;
}

/* Whether a thread of Go's that has no work sleeps in this system call: futex epoll_pwait nanosleep. */
static __always_inline bool rests_in(s32 call) {
	return call == 202 || call == 281 || call == 35;
}

/* The running thread goes to sleep in one of these. */
APART int look_at_goroutines(u32 pid) {
	struct go_layout *layout = go_layout_of(pid);
	if (!layout)
		return 0;
	u64 now = bpf_ktime_get_ns();
	struct go_look look = {
		.array = user_word(layout->goroutines),
		.count = user_word(layout->goroutines + 8),
		.pid = pid,
	};
	u64 many = look.count < MAX_LOOKED_AT ? look.count : MAX_LOOKED_AT;
	if (!look.array || look.count >> 32 || (many > FEW_GOROUTINES && now - layout->looked < many * LOOK_EACH_NS))
		return 0;
	layout->looked = now;
	look.from = layout->from < look.count ? layout->from : 0;
	if (look.count <= MAX_LOOKED_AT)
		look.from = 0;
	bpf_loop(many, look_at_one, &look, 0);
	layout->from = look.from + many;
	return 0;
}

#endif
