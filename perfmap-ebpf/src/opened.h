/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* What a call that opens, makes or closes something tells: the name under which a file was first opened, files and
 * directories that were made, and descriptors from WATCHED_FROM on with where they were opened. Part of syscall.bpf.c. */
#ifndef PERFMAP_OPENED_H
#define PERFMAP_OPENED_H

#include "regular.h"
#include "watched.h"

#define FMODE_CREATED 0x100000
#define F_DUPFD 0
#define F_DUPFD_CLOEXEC 1030
#define MAX_PATH_BYTES 256
/* Python frames that tell one opener from another. */
#define OPENER_FRAMES 4

struct file_identity {
	u64 inode;
	u32 device, zero;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct file_identity);
	__type(value, u32);
} named SEC(".maps");

/* How many descriptors a site has opened that were watched. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, u32);
} openers SEC(".maps");

/* The user's address of the path, 0 where the call has none. */
static __always_inline u64 path_argument(struct pt_regs *regs, u32 call) {
	switch (call) {
	case 2: case 83: case 85: /* open mkdir creat */
		return regs->di;
	case 257: case 258: case 437: /* openat mkdirat openat2 */
		return regs->si;
	}
	return 0;
}

/* Not the whole Python stack, which takes microseconds to walk: the innermost frames and their code. */
static __always_inline u64 opener_of(struct task_state *state, struct pt_regs *regs, u32 pid) {
	u64 hash = mix(mix(pid, regs->orig_ax), regs->ip);
	struct python_layout *layout = bpf_map_lookup_elem(&python_processes, &pid);
	if (!layout || !state->python_thread)
		return mix(hash, caller_of(state, regs, pid)) | 1;
	u64 frame = 0, code = 0;
	bpf_probe_read_user(&frame, 8, (void *)(state->python_thread + layout->thread_frame));
	if (layout->has_cframe)
		bpf_probe_read_user(&frame, 8, (void *)(frame + layout->cframe_current));
	for (u32 i = 0; i < OPENER_FRAMES; i++) {
		if (!frame)
			break;
		bpf_probe_read_user(&code, 8, (void *)(frame + layout->frame_code));
		hash = mix(mix(hash, code), i ? 0 : frame);
		if (bpf_probe_read_user(&frame, 8, (void *)(frame + layout->frame_back)))
			break;
	}
	return hash | 1;
}

static __noinline int emit_opened(struct pt_regs *regs, struct opened_record *record, struct scratch *scratch) {
	u32 context = CONTEXT_CALL, call = regs->orig_ax, length = 0;
	u64 path = path_argument(regs, call);
	struct code_text *text = bpf_map_lookup_elem(&code_texts, &context);
	if (!record || !scratch || !text)
		return 1;
	if (path) {
		long read = bpf_probe_read_user_str(text->name, MAX_PATH_BYTES, (void *)path);
		length = read > 1 ? read - 1 : 0;
	}
	BOUND(length, MAX_PATH_BYTES);
	record->path_bytes = length;
	return emit_with_stack(record, sizeof(*record), &record->stack, scratch, CONTEXT_CALL, text->name, length,
			       LOSS_RING_FILE);
}

/* Something was opened or made: a descriptor, or (-1) a directory. Global, so that the verifier looks at it by itself:
 * as a part of its caller it is beyond the million instructions that it walks through. */
__noinline int tell_opened(s32 descriptor) {
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	struct task_state *state = state_of(task);
	u32 call = regs->orig_ax, pid = current_pid(), one = 1, flags = 0, object = OBJECT_FILE;
	struct file_identity is = {};
	struct file *file = 0;
	u64 size = 0, site = 0;
	if (!state)
		return 0;
	if (descriptor < 0) {
		flags = OPENED_CREATED | OPENED_DIRECTORY;
	} else {
		file = file_of(descriptor);
		if (!file)
			return 0;
	}
	if (file && path_argument(regs, call)) {
		struct file___opened *mode = (void *)file;
		is.device = regular_of(file, &is.inode, &size);
		if (is.inode && !bpf_map_lookup_elem(&named, &is)) {
			bpf_map_update_elem(&named, &is, &one, BPF_ANY);
			flags |= OPENED_NAMED;
		}
		if (is.inode && BPF_CORE_READ(mode, f_mode) & FMODE_CREATED)
			flags |= OPENED_CREATED;
	}
	if (descriptor >= WATCHED_FROM)
		flags |= OPENED_WATCHED;
	if (!flags)
		return 0;
	struct scratch *scratch = scratch_of(CONTEXT_CALL);
	if (!scratch)
		return 0;
	struct opened_record *record = &scratch->record.opened;
	record->stack.python = record->stack.kernel = record->stack.user = 0;
	if (flags & (OPENED_CREATED | OPENED_WATCHED)) {
		site = opener_of(state, regs, pid);
		if (!bpf_map_lookup_elem(&sites, &site)) {
			flags |= OPENED_STACK;
			bpf_map_update_elem(&sites, &site, &one, BPF_ANY);
			take_stack(&record->stack, CONTEXT_CALL, pid);
			state->python_thread = scratch->walk.thread;
		}
	}
	if (flags & OPENED_WATCHED) {
		u64 key = watched_key(pid, descriptor), identity = 0;
		object = object_of(file, &identity);
		u32 *count = bpf_map_lookup_elem(&openers, &site);
		u32 opened = count ? *count + 1 : 1;
		bpf_map_update_elem(&openers, &site, &opened, BPF_ANY);
		struct watched entry = {.file = (u64)file, .site = site, .since = bpf_ktime_get_ns(), .object = object,
					.opened = opened};
		bpf_map_update_elem(&watched_descriptors, &key, &entry, BPF_ANY);
	}
	if (!(flags & (OPENED_NAMED | OPENED_CREATED | OPENED_STACK)))
		return 0;
	fill_header_current(&record->header, KIND_OPENED, bpf_ktime_get_ns());
	record->inode = is.inode;
	record->size = size;
	record->site = site;
	record->device = is.device;
	record->flags = flags;
	record->descriptor = descriptor;
	record->object = object;
	record->reserved = 0;
	if (!emit_opened(regs, record, scratch))
		return 0;
	/* No room: it is said at the next time. */
	if (flags & OPENED_NAMED)
		bpf_map_delete_elem(&named, &is);
	if (flags & OPENED_STACK)
		bpf_map_delete_elem(&sites, &site);
	return 0;
}

static __noinline int closed(u32 descriptor) {
	u32 pid = current_pid();
	u64 key = watched_key(pid, descriptor);
	struct watched *known = bpf_map_lookup_elem(&watched_descriptors, &key);
	if (!known)
		return 0;
	emit_closed(known, pid, current_tid(), descriptor, 0);
	bpf_map_delete_elem(&watched_descriptors, &key);
	return 0;
}

static __always_inline void descriptors_changed(struct pt_regs *regs, long result) {
	u32 call = regs->orig_ax;
	s32 descriptor = result;
	if (settings.counting_only || result < 0)
		return;
	switch (call) {
	case 3: /* close */
		if (regs->di >= WATCHED_FROM)
			closed(regs->di);
		return;
	case 436: /* close_range: the end tells which of them are open */
		return;
	case 83: case 258: /* mkdir mkdirat */
		descriptor = -1;
		break;
	case 22: case 293: /* pipe pipe2: the end that is read from stands for both */
		bpf_probe_read_user(&descriptor, sizeof(descriptor), (void *)regs->di);
		break;
	case 72: /* fcntl */
		if (regs->si != F_DUPFD && regs->si != F_DUPFD_CLOEXEC)
			return;
	}
	if (descriptor >= WATCHED_FROM || path_argument(regs, call))
		tell_opened(descriptor);
}

#endif
