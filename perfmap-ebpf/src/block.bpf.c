/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* Which block device a followed task gave work to last: what it then waits for is there. Runs in the task's own context,
 * once for each piece of work; stacked devices (LVM, RAID, dm-crypt) hand it on in the same call, to the disk at the end. */
#include "state.h"

SEC("tp_btf/block_bio_queue")
int BPF_PROG(on_block_io, struct bio *bio) {
	struct task_state *state = state_of(bpf_get_current_task_btf());
	if (!state)
		return 0;
	struct block_device *device = bio->bi_bdev;
	state->device = device ? device->bd_dev : 0;
	state->device_at = bpf_ktime_get_ns();
	return 0;
}
