/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* At the return of a system call: the stack of a wait that lay in it, and file I/O summed by call site.
 *
 * There is no program at sys_enter: orig_ax still holds the call's number, the registers its arguments, and the times
 * of a wait come from the scheduler. That halves what every system call of a followed task costs. */
#include "call.h"
#include "file_sum.h"
#include "off_cpu.h"
#include "regular.h"
#include "resumed.h"

#define SYS_CLOSE 3
#define SYS_OPEN 2
#define SYS_OPENAT 257
#define SYS_ACCEPT 43
#define SYS_ACCEPT4 288
/* How long a sum goes on before the whole stack is looked at again: two callers of one library function look alike to
 * the cheap look. */
#define SITE_RECHECK_NS 200000
/* Calls closer together than this on average are a storm: after one that was looked at, up to 63 are added to its sum
 * where call, descriptor and instruction are the same; how many is random, because a fixed number would always look at
 * the same one of two functions that take turns. Bytes stay exact, and functions get their part on average. */
#define STORM_NS 4000
#define STORM_CALLS 63
/* So many calls of one site have to come that close together before it is one. */
#define STORM_SEEN 64

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, u64);
	__type(value, u32);
} sites SEC(".maps");

static __always_inline u64 mix(u64 hash, u64 word) {
	hash ^= word;
	hash *= 0x9E3779B97F4A7C15ull;
	return hash ^ hash >> 29;
}

struct site_hash {
	u64 hash;
	u32 context;
};
static long hash_one(u32 index, struct site_hash *site) {
	u32 key = site->context;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &key);
	if (!scratch || index >= MAX_PYTHON_FRAMES)
		return 1;
	site->hash = mix(mix(site->hash, scratch->python[index].code), scratch->python[index].instruction);
	return 0;
}

/* A cheap look at the caller: of Python the innermost frame and its code, because calls between Python functions do
 * not move the C stack; else the words on top of the stack, among them the first return addresses. Values near the
 * stack pointer and small numbers are left out: they differ within one site. */
static __always_inline u64 caller_of(struct task_state *state, struct pt_regs *regs, u32 pid) {
	u64 hash = regs->sp, top[4] = {};
	if (state->python_thread) {
		struct python_layout *layout = bpf_map_lookup_elem(&python_processes, &pid);
		u64 frame = 0, code = 0;
		if (layout) {
			bpf_probe_read_user(&frame, 8, (void *)(state->python_thread + layout->thread_frame));
			if (layout->has_cframe)
				bpf_probe_read_user(&frame, 8, (void *)(frame + layout->cframe_current));
			bpf_probe_read_user(&code, 8, (void *)(frame + layout->frame_code));
			return mix(mix(hash, frame), code);
		}
	}
	bpf_probe_read_user(top, sizeof(top), (void *)regs->sp);
	for (u32 i = 0; i < 4; i++)
		if (top[i] > 0x10000 && top[i] + (16 << 20) - regs->sp > 32 << 20)
			hash = mix(hash, top[i]);
	return hash;
}

/* Identity of the call site: process, call, instruction and stack pointer, caller, and the whole Python stack. */
static __always_inline u64 site_of(struct pt_regs *regs, u64 caller, u32 pid, u32 call, u32 python) {
	struct site_hash site = {.hash = mix(mix(mix(mix(pid, call), regs->ip), regs->sp), caller), .context = CONTEXT_CALL};
	bpf_loop(python, hash_one, &site, 0);
	return site.hash | 1;
}

#include "opened.h"

static __always_inline void add(struct file_sum *sum, u64 bytes, u64 now) {
	if (!sum->calls++)
		sum->first = now;
	sum->bytes += bytes;
	sum->last = now;
}

/* One more call of a storm. In the program itself: on processors whose returns are made safe a call of a function costs as
 * much as all that is done here. */
static __always_inline bool goes_by(struct file_sum *sum, struct pt_regs *regs, u32 call, s32 descriptor, u64 bytes) {
	if (!sum->unchecked || sum->ip != regs->ip || sum->sp != regs->sp || sum->syscall != call ||
	    sum->descriptor != descriptor)
		return 0;
	sum->unchecked--;
	sum->calls++;
	sum->bytes += bytes;
	return 1;
}

/* Every other one. `state` is the running task's. */
APART int look_at_file_io(struct task_state *state, u32 operation, s32 descriptor, u64 bytes) {
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	if (!state)
		return 0;
	u32 call = regs->orig_ax;
	struct file_sum *sum = operation == WRITE ? &state->io[1] : &state->io[0];
	sum->unchecked = 0;
	struct file *file = file_of(descriptor);
	if (!file)
		return 0;
	if ((u64)file != sum->file || descriptor != sum->descriptor) {
		u64 identity = 0;
		flush_sum(operation, sum);
		sum->site = 0;
		sum->object = object_of(file, &identity);
		sum->device = regular_of(file, &sum->inode, &sum->size);
		sum->file = (u64)file;
		sum->descriptor = descriptor;
	}
	if (sum->object != OBJECT_FILE)
		return 0;
	/* A file that is written anew stays as small as it is; one that is added to grows by all that is written. */
	if (operation == WRITE && sum->inode) {
		u64 size = size_of(file);
		sum->size = size > sum->size ? size : sum->size;
	}
	u64 now = bpf_ktime_get_ns();
	u32 pid = current_pid();
	bool same = sum->site && sum->ip == regs->ip && sum->sp == regs->sp && sum->syscall == call;
	u64 caller = sum->caller;
	if (same && !settings.counting_only) {
		caller = caller_of(state, regs, pid);
		same = caller == sum->caller && now - sum->checked < SITE_RECHECK_NS;
	}
	if (same) {
		add(sum, bytes, now);
		if (sum->calls >= STORM_SEEN && now - sum->first < sum->calls * STORM_NS)
			sum->unchecked = bpf_get_prandom_u32() & STORM_CALLS;
		if (now - sum->first > settings.file_io_every_ns)
			flush_sum(operation, sum);
		return 0;
	}
	u64 site = 1;
	struct scratch *scratch = scratch_of(CONTEXT_CALL);
	if (!scratch)
		return 0;
	struct file_io_record *record = &scratch->record.file_io;
	if (!settings.counting_only) {
		record->stack.python = walk_python(CONTEXT_CALL, pid);
		record->stack.flags = scratch->walk.flags;
		record->stack.coroutine = scratch->walk.coroutine;
		state->python_thread = scratch->walk.thread;
		caller = caller_of(state, regs, pid);
		site = site_of(regs, caller, pid, call, record->stack.python);
	}
	if (site != sum->site)
		flush_sum(operation, sum);
	sum->ip = regs->ip;
	sum->sp = regs->sp;
	sum->syscall = call;
	sum->site = site;
	sum->caller = caller;
	sum->checked = now;
	add(sum, bytes, now);
	if (settings.counting_only || bpf_map_lookup_elem(&sites, &site))
		return 0;
	u32 one = 1;
	if (bpf_map_update_elem(&sites, &site, &one, BPF_ANY))
		lose(LOSS_SITE_TABLE);
	fill_file_io(record, operation, sum);
	record->has_stack = 1;
	record->stack.kernel = 0;
	read_registers(record->stack.registers);
	record->stack.user = copy_user_stack(CONTEXT_CALL, record->stack.registers[7], stack_limit());
	if (emit_with_stack(record, sizeof(*record), &record->stack, scratch, CONTEXT_CALL, 0, 0, LOSS_RING_FILE)) {
		/* No room: the sum is kept, and the site is sent at its next call. */
		bpf_map_delete_elem(&sites, &site);
		sum->site = 0;
		return 0;
	}
	sum->calls = 0;
	sum->bytes = 0;
	return 0;
}

APART int emit_short_waits(struct task_state *state) {
	u32 pid = current_pid();
	struct scratch *scratch = scratch_of(CONTEXT_CALL);
	if (!scratch || !state)
		return 0;
	struct short_waits_record *record = &scratch->record.short_waits;
	fill_header_current(&record->header, KIND_SHORT_WAITS, bpf_ktime_get_ns());
	record->from = state->short_from;
	record->run_queue = state->short_run_queue;
	for (u32 i = 0; i < WAIT_CLASSES; i++)
		record->blocked[i] = state->short_blocked[i];
	record->count = state->short_count;
	state->short_due = 0;
	take_stack(&record->stack, CONTEXT_CALL, pid);
	/* Where there is no room the sums go on. */
	if (emit_with_stack(record, sizeof(*record), &record->stack, scratch, CONTEXT_CALL, 0, 0, LOSS_RING_WAIT))
		return 0;
	for (u32 i = 0; i < WAIT_CLASSES; i++)
		state->short_blocked[i] = 0;
	state->short_run_queue = 0;
	state->short_count = 0;
	return 0;
}

/* Apart, because it is rare, and the deepest calls of the program below leave it no place on the stack. */
APART int came_back_unseen(struct task_state *state) {
	if (state)
		came_unseen(bpf_get_current_task_btf(), state, bpf_ktime_get_ns());
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long result) {
	struct task_state *state = state_of(bpf_get_current_task_btf());
	if (!state)
		return 0;
	u32 call = regs->orig_ax;
	if ((call == SYS_ACCEPT4 || call == SYS_ACCEPT) && result >= 0)
		state->accepted = 1;
	if (state->on_socket) {
		state->on_socket = 0;
		if (call == 40 && result > 0) /* sendfile to a socket: the file was read */
			look_at_file_io(state, READ, regs->si, result);
	} else {
		switch (call) {
		case SYS_CLOSE: case SYS_OPEN: case SYS_OPENAT:
		case 33: case 85: case 292: case 436: case 437: /* dup2 creat dup3 close_range openat2 */
			/* The struct file's memory is used again at once: what is cached about it ends here. */
			state->io[0].file = state->io[0].unchecked = 0;
			state->io[1].file = state->io[1].unchecked = 0;
			/* fallthrough */
		case 22: case 32: case 41: case 72: case 83: case 258: case 293:
		case SYS_ACCEPT: case SYS_ACCEPT4: /* pipe dup socket fcntl mkdir mkdirat pipe2 */
			descriptors_changed(regs, result);
			break;
		case 0: case 17: case 19: case 295: case 327: /* read pread64 readv preadv preadv2 */
			if (result > 0 && !goes_by(&state->io[0], regs, call, regs->di, result))
				look_at_file_io(state, READ, regs->di, result);
			break;
		case 1: case 18: case 20: case 296: case 328: /* write pwrite64 writev pwritev pwritev2 */
			if (result > 0 && !goes_by(&state->io[1], regs, call, regs->di, result))
				look_at_file_io(state, WRITE, regs->di, result);
			break;
		case 40: /* sendfile: out di, in si */
			if (result > 0) {
				look_at_file_io(state, READ, regs->si, result);
				look_at_file_io(state, WRITE, regs->di, result);
			}
			break;
		case 326: case 275: /* copy_file_range, splice: in di, out dx */
			if (result > 0) {
				look_at_file_io(state, READ, regs->di, result);
				look_at_file_io(state, WRITE, regs->dx, result);
			}
			break;
		}
	}
	if (state->off)
		came_back_unseen(state);
	if (state->blocks) {
		state->blocks = 0;
		emit_call(result);
		if (polls(call)) {
			state->polled = RESUMED_ROUNDS;
			state->main_looked = bpf_ktime_get_ns();
			awaited_by_main();
		}
	} else if (polls(call)) {
		polled(state, regs->r10);
	}
	if (state->short_due)
		emit_short_waits(state);
	return 0;
}
