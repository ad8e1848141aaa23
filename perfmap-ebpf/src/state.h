/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* What the probes remember between two events, and the maps that hold it. task.bpf.c owns the maps (it defines
 * MAPS_ARE_HERE); elsewhere they are weak, and the linker makes them one. */
#ifndef PERFMAP_STATE_H
#define PERFMAP_STATE_H

#include "kernel.h"
#include "wire.h"

#ifdef MAPS_ARE_HERE
#define SHARED SEC(".maps")
const volatile struct settings settings = {
	.wait_threshold_ns = 100000,
	.short_waits_every_ns = 10000000,
	.file_io_every_ns = 10000000,
};
#else
#define SHARED SEC(".maps") __attribute__((weak))
extern const volatile struct settings settings;
#endif

/* File I/O of one task and direction that is not written out yet, and the call site it belongs to. */
struct file_sum {
	u64 first, last, bytes, calls;
	u64 site; /* 0: none */
	u64 ip, sp;
	u64 checked; /* when the whole stack was last looked at */
	u64 caller;  /* what a cheap look at the caller said */
	u64 file;    /* kernel address of the struct file, and what it is */
	u32 object;
	u32 syscall;
	s32 descriptor;
	u32 unchecked; /* calls of a storm that may still go by without a look */
	u64 inode, size; /* of a regular file, else 0 */
	u32 device;
	u32 reserved;
};

/* The call into a TLS library that a task is in. */
struct tls_call {
	u64 connection; /* the library's object; 0: in none */
	u64 buffer, length;
	u64 moved; /* where the _ex functions leave the number of bytes */
	u64 sp;	   /* at the entry, and again at the return */
	u64 began;
	u64 socket; /* of the last transfer in it; 0: none yet */
	u64 function;
};

struct task_state {
	/* off the CPU */
	u64 off;  /* switched out, 0 while running */
	u64 fault; /* when the stack of a block outside system calls was last taken */
	u64 wake; /* made runnable */
	u32 state;
	u32 woken_after_switch; /* the wake was stamped after the switch-out: final */
	u32 waker_pid, waker_tid;
	s32 waker_syscall, waker_descriptor;
	char waker_comm[16];
	u64 waker_goroutine;
	u32 holder; /* of the lock it sleeps on, where the lock says */
	u32 holds_interpreter; /* that lock is the interpreter's */
	u32 throttled; /* by its cgroup's quota when it became runnable without a CPU */
	s32 call; /* the system call that it blocked in */
	/* it gave a block device work: which, and when */
	u32 device, device_reserved;
	u64 device_at;
	u32 blocks; /* block records since the last return from a system call */
	/* waits below the threshold */
	u32 short_due;
	u64 short_from, short_run_queue, short_blocked[WAIT_CLASSES], short_count;
	/* a socket program saw the current call: it is not file I/O */
	u32 on_socket;
	/* an event loop's poll blocked: what it resumes is looked at when the next ones return, so many yet */
	u32 polled;
	u64 looked; /* when a poll that did not block was last followed by a look */
	u64 main_looked; /* when where the loop's main coroutine waits was last read */
	/* the interpreter's thread state, once a walk has found it */
	u64 python_thread;
	/* transfers and bytes (received, sent) of the Unix socket used last, where it is opaque: not yet in its sums */
	u64 opaque_socket, opaque_messages[2], opaque_bytes[2];
	struct file_sum io[2];
	struct tls_call tls;
	u64 accepted; /* 1: a connection was taken, and nobody has made a handle since */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_state);
} tasks SHARED;

/* Calls into Go's TLS: a goroutine may end on another thread, and on another stack, than it began on. */
struct goroutine {
	u64 address;
	u32 pid, zero;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct goroutine);
	__type(value, struct tls_call);
} go_calls SHARED;
/* Not 0 as soon as there was one: without, no transfer looks for its goroutine. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} go_seen SHARED;

/* Processes to follow from their next execve on. Key tgid. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u32);
} roots SHARED;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, struct python_layout);
} python_processes SHARED;

/* Programs of Go whose goroutines can be told. Key tgid. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, struct go_layout);
} go_processes SHARED;
/* Where a goroutine was last seen to wait, mixed to one number, and the count of its runs then. */
struct go_wait {
	u64 place;
	u32 runs, zero;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct goroutine);
	__type(value, struct go_wait);
} go_waits SHARED;

/* Who had each CPU, the last few times. */
#define RUNS 16
struct run {
	u64 from;
	u32 pid, tid; /* 0: nobody */
	char comm[16]; /* empty: a followed task */
};
struct runs {
	u64 count;
	struct run last[RUNS];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct runs);
} runs SHARED;

/* What user space thins while the target runs, where the probes cost too much. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct live_settings);
} live SHARED;

/* 8 MiB: at 999 Hz with full stack copies two CPUs fill it in 200 ms. It is drained every 10 ms, also while what starts is read
 * and probed. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} events SHARED;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSS_SLOTS);
	__type(key, u32);
	__type(value, u64);
} losses SHARED;

/* Where the walk is when it runs twice on one CPU: a sample's interrupt may hit a probe in the middle. */
enum context {
	CONTEXT_CALL,   /* in the task's own system call */
	CONTEXT_SAMPLE, /* in the sampling interrupt */
	CONTEXT_SWITCH, /* in the scheduler */
	CONTEXT_PROBE,	/* in a probe of user code, which can be preempted for another one */
	CONTEXT_PROBE_2,
	CONTEXT_MEMORY, /* where the kernel counts pages */
	CONTEXTS,
};

/* Frames grow no larger than this before the part that is read ends: 3.8's f_lasti at 104. */
#define FRAME_BYTES 112
/* A code object's fields, from the earliest first line to the last line table: one read. */
#define CODE_FROM 40
#define CODE_BYTES 112

/* The beginning of runtime.g, as far as it is read: the count of its runs is at 199 in 1.24. */
#define GO_G_BYTES 200

struct python_walk {
	u64 frame, thread, coroutine;
	u32 count, flags, pid, reserved;
	struct python_layout layout;
	u64 frame_words[FRAME_BYTES / 8];
	u64 code_words[CODE_BYTES / 8];
	struct python_code_record code;
};

/* All that does not fit on a BPF program's 512 bytes of stack. */
struct scratch {
	struct python_frame python[MAX_PYTHON_FRAMES];
	u64 kernel[MAX_KERNEL_FRAMES];
	struct python_walk walk;
	u32 ticks; /* of the sampling clock in a followed task */
	u32 reserved;
	union {
		struct sample_record sample;
		struct memory_record memory;
		struct call_record call;
		struct short_waits_record short_waits;
		struct message_record message;
		struct file_io_record file_io;
		struct plaintext_record plaintext;
		struct ask_record ask;
		struct resumed_record resumed;
		struct goroutine_record goroutine;
		struct opened_record opened;
	} record;
	u64 g[GO_G_BYTES / 8];
};
/* Apart, because no value of a per-CPU map may be larger than 32 KiB. */
struct user_stack {
	u8 bytes[MAX_STACK_BYTES];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CONTEXTS);
	__type(key, u32);
	__type(value, struct user_stack);
} user_stacks SHARED;
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CONTEXTS);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SHARED;

struct code_text {
	u8 name[MAX_STRING_BYTES];
	u8 file[MAX_STRING_BYTES];
	u8 table[MAX_LINE_TABLE_BYTES];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CONTEXTS);
	__type(key, u32);
	__type(value, struct code_text);
} code_texts SHARED;

struct code_identity {
	u64 code, name;
	u32 pid, first_line;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct code_identity);
	__type(value, u32);
} seen_codes SHARED;

static __always_inline void lose(u32 what) {
	u64 *count = bpf_map_lookup_elem(&losses, &what);
	if (count)
		(*count)++;
}

static __always_inline struct scratch *scratch_of(u32 context) {
	return bpf_map_lookup_elem(&scratches, &context);
}

static __always_inline struct task_state *state_of(struct task_struct *task) {
	return bpf_task_storage_get(&tasks, task, 0, 0);
}

/* Number of the system call that `task` is in, -1 where it is in none. The entry code leaves the number in orig_ax, but
 * exceptions from user mode (page faults) leave their error code there, which looks like a small number. SYSCALL itself
 * puts the return address into rcx, so in a system call, and hardly anywhere else, rcx equals the saved rip. */
static __always_inline s32 syscall_of(struct task_struct *task) {
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	s64 number = regs->orig_ax;
	return number >= 0 && number < 1024 && regs->cx == regs->ip ? number : -1;
}

#endif
