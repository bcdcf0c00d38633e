/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the probe and the agent say to each other over /dev/irqstorm_probe. The
 * agent has the same structures in guest-tests/agent/src/guest/probe.rs.
 */
#ifndef IRQSTORM_PROBE_H
#define IRQSTORM_PROBE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define IRQSTORM_PROBE_ABI	4

/* irqstorm_run.flags: writes carry a pattern of sector and seed, reads check it. */
#define IRQSTORM_VERIFY		2U
/* Each call that queues the deferral's work is counted, at some cost. */
#define IRQSTORM_CALLS		4U
/* Children of chains are tagged. */
#define IRQSTORM_TAG_CHILDREN	8U
/* A submitter waits until all that it has in flight has ended: depth at a time. */
#define IRQSTORM_BURSTS		16U

/* What was counted. Pairs are for untagged and tagged bios. */
struct irqstorm_summary {
	__u64 submitted[2];
	__u64 ended[2];
	__u64 errors[2];
	/* Where bio_endio() was called; all 0 if that cannot be seen. */
	__u64 endio_hardirq[2];
	__u64 endio_softirq[2];
	__u64 endio_task[2];
	/* Of endio_task: with irqs or softirqs off, or in an RCU reader. */
	__u64 endio_task_atomic[2];
	/* On another CPU than the submitter's. */
	__u64 endio_away[2];
	/* Where bi_end_io() ran; end_task is where it may sleep. */
	__u64 end_hardirq[2];
	__u64 end_softirq[2];
	__u64 end_task_atomic[2];
	__u64 end_task[2];
	__u64 ended_again;
	/* Bios of the run before this one that ended again after it was over. */
	__u64 ended_late;
	__u64 never_ended;
	__u64 slept;
	__u64 sleep_refused;
	__u64 bad_sectors;
	/* Bios that did not end with the error that the run said. */
	__u64 wrong_status;
	/* Children of chains: where their bio_endio() was called. */
	__u64 children;
	__u64 children_hardirq;
	__u64 children_away;
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
	/* With IRQSTORM_CALLS: calls that queue the work, pending or not. */
	__u64 queue_calls;
	/* Interrupts in whose handlers bios completed. */
	__u64 interrupts;
	/* On CPUs that submit: switches, and time in any task but the idle one. */
	__u64 switches_there;
	__u64 busy_ns;
	/*
	 * With IRQSTORM_BURSTS, of all bursts: how many, and the time from the
	 * first bio_endio() to the last one, and to the last bi_end_io().
	 */
	__u64 bursts;
	__u64 completing_ns;
	__u64 draining_ns;
	/* Tagged bios, whosever, by where their bio_endio() was called. */
	__u64 tagged_hardirq;
	__u64 tagged_elsewhere;
};

/*
 * Counts of times in ns. Bucket n has n itself up to 15, and above that a
 * sixteenth of each power of two.
 */
#define IRQSTORM_BUCKETS	608

/* How long the bios of the last run took to their bi_end_io(). */
struct irqstorm_latencies {
	/* From where the interrupt's handler began, of those it completed. */
	__u64 interrupt[IRQSTORM_BUCKETS];
	/* From bio_endio(). */
	__u64 completion[IRQSTORM_BUCKETS];
};

/* A run: see the checks in run.c for the bounds. */
struct irqstorm_run {
	char disk[32];
	__u64 bios;
	__u64 first_sector;
	__u64 span_sectors;
	__u64 cpus;
	/*
	 * The span in pieces of a bio's size: those whose number modulo 64 is a
	 * bit of these end with EIO and EOPNOTSUPP, the others without an error.
	 */
	__u64 io_error;
	__u64 unsupported;
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
	/* Children chained to each bio, submitted before it from other CPUs. */
	__u32 chain;
	__u32 reserved;
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

/* Tagged bios of no device, for which a preemptible task calls bio_endio(). */
struct irqstorm_endio {
	__u32 cpu;
	__u32 bios;
	__u64 ended_in_call;
	__u64 ended_elsewhere;
	__u64 never_ended;
	/* Works that the calls of bio_endio() queued, whosever. */
	__u64 queue_calls;
};

/* irqstorm_window.what: an interrupt in the worker, which defers a second bio; */
#define IRQSTORM_INTERRUPT_WORKER	0U
/* the worker, in a caller that defers the second bio; */
#define IRQSTORM_PREEMPT_CALLER		1U
/* another CPU under a caller. Callers are preemptible, and RCU readers. */
#define IRQSTORM_MOVE_CALLER		2U

/* One instruction, and what comes in between there: see window.c. */
struct irqstorm_window {
	__u32 what;
	__u32 cpu;
	__u32 other_cpu;
	/* From the function's begin; -EILSEQ if nothing there can be stopped at. */
	__u32 offset;
	__u32 timeout_ms;
	/* Of the function; -ENOENT if there is none. */
	__u32 size;
	/* Whether the instruction was reached. */
	__u32 hit;
	__u32 deferred;
	__u32 never_ended;
	/* Bios ended by the worker of one CPU on another. */
	__u32 elsewhere;
};

/* A SCHED_FIFO thread that runs and sleeps by turns; ends with busy_us 0. */
struct irqstorm_hog {
	__u32 cpu;
	__u32 busy_us;
	__u32 sleep_us;
};

/* Works that wait, more than the system's workqueue runs at a time on a CPU. */
struct irqstorm_saturate {
	__u32 cpu;
	/* 0 lets all of them go. */
	__u32 on;
	__u32 queued;
	__u32 running;
};

/* Calls of a function, -ENOENT if there is none, by where they come from. */
struct irqstorm_watch {
	char function[64];
	/* 0 ends it and tells the counts. */
	__u32 on;
	__u32 reserved;
	__u64 hardirq;
	__u64 softirq;
	__u64 task;
};

/* What happens while others submit: as a run counts it that has no bios. */
struct irqstorm_count {
	/* 0 ends it and tells the counts. */
	__u32 on;
	__u32 reserved;
	struct irqstorm_summary summary;
};

#define IRQSTORM_RUN	_IOWR('q', 1, struct irqstorm_run)
#define IRQSTORM_INFO	_IOR('q', 2, struct irqstorm_info)
#define IRQSTORM_BLOCK	_IOW('q', 3, struct irqstorm_block)
#define IRQSTORM_LATENCIES	_IOR('q', 4, struct irqstorm_latencies)
#define IRQSTORM_ENDIO		_IOWR('q', 16, struct irqstorm_endio)
#define IRQSTORM_WINDOW		_IOWR('q', 17, struct irqstorm_window)
#define IRQSTORM_HOG		_IOW('q', 18, struct irqstorm_hog)
#define IRQSTORM_SATURATE	_IOWR('q', 19, struct irqstorm_saturate)
#define IRQSTORM_WATCH		_IOWR('q', 20, struct irqstorm_watch)
#define IRQSTORM_COUNT		_IOWR('q', 21, struct irqstorm_count)

#endif
