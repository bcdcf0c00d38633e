/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the probe and the agent say to each other over /dev/irqstorm_probe. The
 * agent has the same structures in guest-tests/agent/src/guest/probe.rs.
 */
#ifndef IRQSTORM_PROBE_H
#define IRQSTORM_PROBE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define IRQSTORM_PROBE_ABI	1

/* irqstorm_run.flags: writes carry a pattern of sector and seed, reads check it. */
#define IRQSTORM_VERIFY		2U

/* What was counted. Pairs are for untagged and tagged bios. */
struct irqstorm_summary {
	__u64 submitted[2];
	__u64 ended[2];
	__u64 errors[2];
	/* Where bio_endio() was called; all 0 if that cannot be seen. */
	__u64 endio_hardirq[2];
	__u64 endio_softirq[2];
	__u64 endio_task[2];
	/* Where bi_end_io() ran; end_task is where it may sleep. */
	__u64 end_hardirq[2];
	__u64 end_softirq[2];
	__u64 end_task_atomic[2];
	__u64 end_task[2];
	__u64 ended_again;
	__u64 never_ended;
	__u64 slept;
	__u64 sleep_refused;
	__u64 bad_sectors;
	/* Deferred bios that ended before an earlier one of their CPU. */
	__u64 out_of_order;
	/* Deferred bios that ended on another CPU. */
	__u64 migrated;
	__u64 queue_work_calls;
	__u64 worker_runs;
	__u64 worker_bios;
	__u64 worker_bios_max;
	__u64 switches;
	__u64 switches_to_worker;
	/* From bio_endio() to bi_end_io(), of deferred bios. */
	__u64 latency_ns_sum;
	__u64 latency_ns_max;
	__u64 elapsed_ns;
};

/* A run: see the checks in run.c for the bounds. */
struct irqstorm_run {
	char disk[32];
	__u64 bios;
	__u64 first_sector;
	__u64 span_sectors;
	__u64 cpus;
	__u32 bytes;
	__u32 depth;
	__u32 op;
	__u32 tag_every;
	__u32 end_io_busy_ns;
	__u32 end_io_sleep_us;
	__u32 flags;
	__u32 seed;
	__u32 timeout_ms;
	__u32 pause_us;
	struct irqstorm_summary summary;
};

struct irqstorm_info {
	__u32 abi;
	__u32 has_flag;
	__u32 has_endio_trace;
	__u32 has_work_trace;
	char worker_function[64];
};

struct irqstorm_block {
	__u32 cpu;
	__u32 ms;
};

#define IRQSTORM_RUN	_IOWR('q', 1, struct irqstorm_run)
#define IRQSTORM_INFO	_IOR('q', 2, struct irqstorm_info)
#define IRQSTORM_BLOCK	_IOW('q', 3, struct irqstorm_block)

#endif
