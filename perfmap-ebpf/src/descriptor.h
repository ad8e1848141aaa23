/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* What a descriptor of the running task is. */
#ifndef PERFMAP_DESCRIPTOR_H
#define PERFMAP_DESCRIPTOR_H

#include "emit.h"

static __always_inline struct file *file_of(u32 descriptor) {
	struct task_struct *task = bpf_get_current_task_btf();
	struct files_struct *files = task->files;
	if (!files)
		return 0;
	struct fdtable *table = files->fdt;
	if (!table || descriptor >= table->max_fds)
		return 0;
	struct file **slots = table->fd, *file = 0;
	/* A pointer to pointers is a plain number for the verifier: its target has to be read, not loaded. */
	bpf_probe_read_kernel(&file, sizeof(file), &slots[descriptor]);
	return file;
}

/* The object's kind, from the inode's mode (socket_file_ops is not in kallsyms without KALLSYMS_ALL). *identity: the
 * kernel address of a socket or anonymous object, the inode number of a pipe, which both its ends share. */
static __always_inline u32 object_of(struct file *file, u64 *identity) {
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	u16 mode = BPF_CORE_READ(inode, i_mode);
	switch (mode & 0170000) {
	case 0140000: {
		struct socket *socket = BPF_CORE_READ(file, private_data);
		*identity = (u64)BPF_CORE_READ(socket, sk);
		return OBJECT_SOCKET;
	}
	case 0010000:
		*identity = BPF_CORE_READ(inode, i_ino);
		return OBJECT_PIPE;
	case 0100000:
	case 0040000:
	case 0060000:
	case 0020000: /* character devices: /dev/zero, and terminals */
		*identity = BPF_CORE_READ(inode, i_ino);
		return OBJECT_FILE;
	case 0:
		*identity = (u64)BPF_CORE_READ(file, private_data);
		return OBJECT_ANONYMOUS;
	}
	return OBJECT_OTHER;
}

#endif
