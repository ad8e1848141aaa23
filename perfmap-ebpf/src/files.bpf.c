/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* What is left behind: descriptors that are open when their process ends (or the recording does), and bytes that came
 * over a connection which was closed before anybody took them. */
#include "watched.h"

/* Words of 64 descriptors that are looked at, and so many descriptors. */
#define WATCHED_WORDS 64
#define WORD 64

struct fdtable___open {
	unsigned int max_fds;
	struct file **fd;
	unsigned long *open_fds;
} CORE;

struct walk {
	struct fdtable___open *table;
	u64 bits;
	u32 word, pid, tid, words;
};

static long one_descriptor(u32 bit, struct walk *walk) {
	u32 descriptor = walk->word * WORD + bit;
	if (!(walk->bits >> bit & 1))
		return 0;
	u64 key = watched_key(walk->pid, descriptor), file = 0;
	struct watched *known = bpf_map_lookup_elem(&watched_descriptors, &key);
	if (!known)
		return 0;
	struct fdtable___open *table = walk->table;
	struct file **slots = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, 8, &slots[descriptor]);
	if (file == known->file)
		emit_closed(known, walk->pid, walk->tid, descriptor, 1);
	bpf_map_delete_elem(&watched_descriptors, &key);
	return 0;
}

static long one_word(u32 word, struct walk *walk) {
	if (word >= walk->words)
		return 1;
	struct fdtable___open *table = walk->table;
	u64 *bits = (u64 *)BPF_CORE_READ(table, open_fds);
	walk->bits = 0;
	bpf_probe_read_kernel(&walk->bits, 8, &bits[word]);
	if (!word)
		walk->bits &= -1ull << WATCHED_FROM;
	walk->word = word;
	if (walk->bits)
		bpf_loop(WORD, one_descriptor, walk, 0);
	return 0;
}

static __always_inline void left_open(struct task_struct *task) {
	struct files_struct *files = BPF_CORE_READ(task, files);
	if (!files)
		return;
	struct fdtable___open *table = (void *)BPF_CORE_READ(files, fdt);
	struct walk walk = {.table = table, .pid = pid_of(task), .tid = tid_of(task)};
	walk.words = BPF_CORE_READ(table, max_fds) / WORD;
	bpf_loop(WATCHED_WORDS, one_word, &walk, 0);
}

/* The files are given up after this event. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit_files, struct task_struct *task) {
	if (!settings.counting_only && task->signal->live.counter == 0 && state_of(task))
		left_open(task);
	return 0;
}

SEC("iter/task")
int on_end_files(struct bpf_iter__task *context) {
	struct task_struct *task = context->task;
	if (task && !settings.counting_only && task->pid == task->tgid && state_of(task))
		left_open(task);
	return 0;
}

struct tcp_sock {
	u32 rcv_nxt, copied_seq;
} CORE;

/* A connection that is closed with bytes in it is reset and ends at once, in its closer's context. What it has beyond one
 * byte is more than the other side's end. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(on_unread, struct sock *sk) {
	struct tcp_sock *tcp = (void *)sk;
	u32 bytes = BPF_CORE_READ(tcp, rcv_nxt) - BPF_CORE_READ(tcp, copied_seq);
	if (bytes <= 1 || bytes > 1u << 31 || !state_of(bpf_get_current_task_btf()))
		return 0;
	struct unread_record record = {};
	fill_header_current(&record.header, KIND_UNREAD, bpf_ktime_get_ns());
	record.socket = bpf_get_socket_cookie(sk);
	record.bytes = bytes;
	emit(&record, sizeof(record), LOSS_RING_MESSAGE);
	return 0;
}
