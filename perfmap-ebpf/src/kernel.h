/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* The few kernel structures that the probes read, with only the fields they read: CO-RE finds the offsets at load
 * time, so no generated vmlinux.h is needed and the object does not depend on the kernel it was built on. */
#ifndef PERFMAP_KERNEL_H
#define PERFMAP_KERNEL_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;
typedef u8 __u8;
typedef u16 __u16;
typedef u32 __u32;
typedef u64 __u64;
typedef signed char __s8;
typedef short __s16;
typedef s32 __s32;
typedef s64 __s64;
typedef u16 __be16;
typedef u32 __be32;
typedef u64 __be64;
typedef u16 __le16;
typedef u32 __le32;
typedef u64 __le64;
typedef u32 __wsum;
typedef _Bool bool;
typedef unsigned long size_t;

#define CORE __attribute__((preserve_access_index))

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};
enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
	BPF_RB_NO_WAKEUP = 1,
};

/* Opaque to us; 16 bytes as include/uapi/linux/bpf.h says. */
struct bpf_dynptr {
	u64 word[2];
} __attribute__((aligned(8)));

struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
} CORE;

struct inode {
	u16 i_mode;
	unsigned long i_ino;
} CORE;
struct file {
	struct inode *f_inode;
	void *private_data;
} CORE;
struct fdtable {
	unsigned int max_fds;
	struct file **fd;
} CORE;
struct files_struct {
	struct fdtable *fdt;
} CORE;
struct thread_struct {
	unsigned long fsbase;
} CORE;
struct rq {
	u64 clock;
} CORE;
struct cfs_rq {
	int throttle_count;
	struct rq *rq;
} CORE;
struct sched_info {
	u64 last_arrival, last_queued;
} CORE;
struct sched_entity {
	u64 sum_exec_runtime;
	struct cfs_rq *cfs_rq;
} CORE;
struct signal_struct {
	struct {
		int counter;
	} live;
} CORE;
struct mm_struct {
	unsigned long start_stack;
} CORE;
struct uprobe;
struct uprobe_task {
	unsigned long vaddr;
	struct uprobe *active_uprobe;
} CORE;
struct task_struct {
	unsigned int flags;
	unsigned int __state;
	int on_cpu;
	int pid;
	int tgid;
	int exit_code;
	struct mm_struct *mm;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	char comm[16];
	struct signal_struct *signal;
	struct files_struct *files;
	struct sched_entity se;
	struct sched_info sched_info;
	struct thread_struct thread;
	bool throttled;
	struct uprobe_task *utask;
} CORE;
struct linux_binprm;
struct bpf_iter__task {
	void *meta;
	struct task_struct *task;
} CORE;

struct in6_addr {
	u8 bytes[16];
};
struct ns_common {
	unsigned int inum;
} CORE;
struct net {
	struct ns_common ns;
} CORE;
typedef struct {
	struct net *net;
} possible_net_t;
struct block_device {
	u32 bd_dev;
} CORE;
struct bio {
	struct block_device *bi_bdev;
} CORE;
struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	volatile u8 skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	struct {
		s64 counter;
	} skc_cookie;
} CORE;
struct sock {
	struct sock_common __sk_common;
	u16 sk_type;
	u16 sk_protocol;
} CORE;
struct socket {
	struct sock *sk;
} CORE;
struct unix_address;
struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
} CORE;

#define __VMLINUX_H__ /* bpf_tracing.h: kernel register names */
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

/* Called, and verified by itself, once, whatever callers know: a static function is walked through anew at each call, and
 * three programs would be beyond the million instructions that kernel 6.1 walks through in one. Arguments are numbers, and
 * pointers to memory whose size the type tells (NULL must be asked for); a task is none, but the running one is at hand
 * everywhere. What several files call is in task.bpf.c, as the maps are. */
#define APART __noinline

/* One register, checked where it is used: without the barrier clang loads a value twice (or checks a copy), and the
 * verifier says "unbounded memory access". */
#define BOUND(value, limit)                                                                                            \
	do {                                                                                                           \
		barrier_var(value);                                                                                    \
		if ((value) > (limit))                                                                                 \
			(value) = (limit);                                                                             \
		barrier_var(value);                                                                                    \
	} while (0)

#endif
