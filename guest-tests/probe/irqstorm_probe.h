/* SPDX-License-Identifier: GPL-2.0 */
/*
 * irqstorm_probe.h - what the probe and the agent say to each other
 *
 * One misc device, /dev/irqstorm_probe, for the agent alone (CAP_SYS_ADMIN).
 * guest-tests/agent/src/guest/probe.rs has the same structures; whoever changes
 * one raises IRQSTORM_PROBE_ABI and changes the other.
 */
#ifndef IRQSTORM_PROBE_H
#define IRQSTORM_PROBE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define IRQSTORM_PROBE_ABI	1

#define IRQSTORM_MAX_BIOS	4000000
#define IRQSTORM_MAX_RECORDS	65536
#define IRQSTORM_MAX_BYTES	65536
#define IRQSTORM_MAX_DEPTH	1024
#define IRQSTORM_MAX_BUSY_NS	1000000
#define IRQSTORM_MAX_SLEEP_US	100000
#define IRQSTORM_MAX_PAUSE_US	1000000
#define IRQSTORM_MAX_TIMEOUT_MS	600000
#define IRQSTORM_MAX_BLOCK_MS	30000

/* irqstorm_run.op */
#define IRQSTORM_READ		0
#define IRQSTORM_WRITE		1

/* irqstorm_run.flags */
#define IRQSTORM_FUA		(1U << 0)	/* writes only */
/* Writes fill each sector with a pattern of its number and the seed, reads check it. */
#define IRQSTORM_VERIFY		(1U << 1)
/* Keep a struct irqstorm_record for each bio; IRQSTORM_MAX_RECORDS bounds the run. */
#define IRQSTORM_RECORD		(1U << 2)
/* Say might_sleep() in bi_end_io of tagged bios, for CONFIG_DEBUG_ATOMIC_SLEEP. */
#define IRQSTORM_MIGHT_SLEEP	(1U << 3)
/* Count calls that ask for the worker, by kprobe: queue_work_calls. */
#define IRQSTORM_COUNT_CALLS	(1U << 4)
#define IRQSTORM_ALL_FLAGS	((1U << 5) - 1)

/* Contexts, from the strictest. */
#define IRQSTORM_HARDIRQ	0
#define IRQSTORM_SOFTIRQ	1
#define IRQSTORM_TASK		2
#define IRQSTORM_UNSEEN		255	/* bio_endio() was not seen: no tracepoint */

/* Indices of the pairs below. */
#define IRQSTORM_UNTAGGED	0
#define IRQSTORM_TAGGED		1

/* What a run counted: 64-bit counters only. */
struct irqstorm_summary {
	__u64 submitted[2];
	__u64 ended[2];
	__u64 errors[2];		/* ended with a bi_status */
	/* Where bio_endio() was called; all 0 without the tracepoint. */
	__u64 endio_hardirq[2];
	__u64 endio_softirq[2];
	__u64 endio_task[2];
	/*
	 * Where bi_end_io() ran. end_task: preemption and interrupts on, no RCU
	 * read section; end_task_atomic: a task without one of these.
	 */
	__u64 end_hardirq[2];
	__u64 end_softirq[2];
	__u64 end_task_atomic[2];
	__u64 end_task[2];
	__u64 deferred[2];		/* bi_end_io() ran elsewhere than bio_endio() */
	__u64 ended_again;		/* bi_end_io() of a bio that had ended */
	__u64 never_ended;		/* still in flight when the run returned */
	__u64 slept;			/* end_io_sleep_us honoured */
	__u64 sleep_refused;		/* ... and not, because of the context */
	__u64 bad_sectors;		/* IRQSTORM_VERIFY */
	__u64 out_of_order;		/* deferred, against bio_endio()'s order on that CPU */
	__u64 migrated;			/* deferred, ended on another CPU than deferred on */
	__u64 queue_work_calls;		/* IRQSTORM_COUNT_CALLS: asked for the worker */
	__u64 works_queued;		/* ... and it was not pending already */
	__u64 worker_runs;
	__u64 worker_runs_empty;	/* runs that ended no bio */
	__u64 worker_bios;		/* bios that runs ended */
	__u64 worker_bios_max;		/* most in one run */
	__u64 switches;			/* context switches, all CPUs, all tasks */
	__u64 switches_to_worker;	/* ... to start a run or to go on with one */
	__u64 latency_ns_sum;		/* deferred: bio_endio() to bi_end_io() */
	__u64 latency_ns_max;
	__u64 elapsed_ns;
};

/*
 * A run of bios. Bio i covers `bytes` at
 * first_sector + i * (bytes / 512) % span_sectors, and is tagged with
 * BIO_COMPLETE_IN_TASK if tag_every is not 0 and divides i.
 */
struct irqstorm_run {
	char disk[32];			/* "/dev/vda", with its NUL */
	__u64 bios;			/* 1 .. IRQSTORM_MAX_BIOS */
	__u64 first_sector;		/* 512 bytes each */
	__u64 span_sectors;
	__u64 cpus;			/* mask of CPUs that submit; 0: all online */
	__u32 bytes;			/* multiple of the disk's block */
	__u32 depth;			/* in flight for each submitting CPU */
	__u32 op;
	__u32 tag_every;
	__u32 end_io_busy_ns;		/* spin in bi_end_io() */
	/* Tagged bios take a mutex and sleep in bi_end_io(), where that is allowed. */
	__u32 end_io_sleep_us;
	__u32 flags;
	__u32 seed;			/* of the pattern */
	__u32 timeout_ms;		/* without a bio ending, the run gives up */
	__u32 pause_us;			/* between submissions of one CPU */
	struct irqstorm_summary summary;	/* out, also of a run that failed */
};

/* One bio, in the order of first ends; read(2) after a run with IRQSTORM_RECORD. */
struct irqstorm_record {
	__u64 bio;
	__u64 submitted_ns;		/* CLOCK_MONOTONIC */
	__u64 endio_ns;
	__u64 end_ns;
	__u64 endio_seq;		/* of bio_endio() on endio_cpu */
	__u32 endio_cpu;
	__u32 end_cpu;
	__u32 preempt_count;		/* at bi_end_io() */
	__u16 status;			/* bi_status */
	__u8 tagged;
	__u8 endio_context;
	__u8 end_context;
	__u8 irqs_off;
	__u8 rcu_depth;
	__u8 deferred;
	__u32 reserved;
};

struct irqstorm_info {
	__u32 abi;
	__u32 has_flag;			/* the kernel has BIO_COMPLETE_IN_TASK */
	__u32 has_endio_trace;		/* bio_endio() is seen */
	__u32 has_work_trace;		/* workqueues and context switches are seen */
	char worker_function[64];	/* of the deferral; "" until one was seen */
};

/*
 * Keep the per-CPU workers of a CPU busy for `ms`, or, for 0, no longer. While
 * it lasts no other work starts there; see block.c for its limits.
 */
struct irqstorm_block {
	__u32 cpu;
	__u32 ms;
};

/*
 * Blocks until the run has ended, timed out (ETIMEDOUT) or was interrupted
 * (EINTR); one at a time (EBUSY). Bios that never ended stay in memory, and the
 * module in the kernel, until they do.
 */
#define IRQSTORM_RUN	_IOWR('q', 1, struct irqstorm_run)
#define IRQSTORM_INFO	_IOR('q', 2, struct irqstorm_info)
#define IRQSTORM_BLOCK	_IOW('q', 3, struct irqstorm_block)

#endif /* IRQSTORM_PROBE_H */
