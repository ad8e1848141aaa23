/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* Which regular file an open one is, whatever names lead to it. */
#ifndef PERFMAP_REGULAR_H
#define PERFMAP_REGULAR_H

#include "kernel.h"

struct super_block {
	u32 s_dev;
} CORE;
struct inode___regular {
	u16 i_mode;
	unsigned long i_ino;
	s64 i_size;
	struct super_block *i_sb;
} CORE;
struct file___opened {
	struct inode___regular *f_inode;
	unsigned int f_mode;
} CORE;

/* The device's number as the kernel writes it; *inode is 0 for what is no regular file. */
static __always_inline u32 regular_of(struct file *file, u64 *inode, u64 *size) {
	struct file___opened *opened = (void *)file;
	struct inode___regular *node = BPF_CORE_READ(opened, f_inode);
	*inode = *size = 0;
	if ((BPF_CORE_READ(node, i_mode) & 0170000) != 0100000)
		return 0;
	*inode = BPF_CORE_READ(node, i_ino);
	*size = BPF_CORE_READ(node, i_size);
	return BPF_CORE_READ(node, i_sb, s_dev);
}

/* Of one that was seen to be regular; 0 where it cannot be read. */
static __always_inline u64 size_of(struct file *file) {
	struct file___opened *opened = (void *)file;
	s64 size = BPF_CORE_READ(opened, f_inode, i_size);
	return size > 0 ? size : 0;
}

#endif
