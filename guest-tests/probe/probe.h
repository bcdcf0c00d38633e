/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of the probe share.
 *
 * A run owns slots, each a bio with its page; a submitter takes its slots in
 * turn, so that a slot rests as long as it can before it is used again and a
 * bio that is ended twice is noticed. Whoever may still touch a run holds a
 * reference to it: the ioctl, each submitter, each bio in flight. A bio that
 * the device never completes thus keeps its memory for good.
 */
#ifndef IRQSTORM_PROBE_INTERNAL_H
#define IRQSTORM_PROBE_INTERNAL_H

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/percpu.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "irqstorm_probe.h"

enum probe_context {
	PROBE_NOWHERE,
	PROBE_HARDIRQ,
	PROBE_SOFTIRQ,
	PROBE_TASK,
};

/* States of a slot. */
enum {
	SLOT_FREE,
	SLOT_IN_FLIGHT,
	SLOT_ENDING,
};

struct probe_run;

struct probe_slot {
	struct bio bio;
	struct bio_vec vec;
	struct page *page;
	struct probe_run *run;
	struct probe_submitter *submitter;
	atomic_t state;
	sector_t sector;
	int tagged;
	/* Written where bio_endio() is called. */
	enum probe_context endio_context;
	struct task_struct *endio_task;
	bool endio_atomic;
	int endio_cpu;
	u64 endio_seq;
	u64 endio_ns;
	/* When the interrupt came that completed it; 0 if none did. */
	u64 interrupt_ns;
};

struct probe_submitter {
	struct probe_run *run;
	int cpu;
	struct probe_slot *slots;
	wait_queue_head_t wait;
	atomic_t in_flight;
	/* Of the burst under way: the first and last bio_endio(), the last end. */
	u64 first_endio_ns;
	u64 last_endio_ns;
	u64 last_end_ns;
};

/* One CPU's part of a run. */
struct probe_cpu {
	struct irqstorm_summary count;
	struct irqstorm_latencies latencies;
	u64 endio_seq;
	u64 run_bios;
	/* When the last interrupt came, and whether a bio has completed in it. */
	u64 interrupt_ns;
	bool interrupt_counted;
	u64 switched_ns;
};

struct probe_run {
	struct irqstorm_run arg;
	struct file *file;
	struct block_device *bdev;
	struct probe_slot *slots;
	unsigned int nr_slots;
	struct probe_submitter *submitters;
	unsigned int nr_submitters;
	struct probe_cpu __percpu *cpus;
	/* Per CPU: the number that its last deferred bio to end had. */
	atomic64_t *last_ended;
	atomic64_t next_bio;
	atomic64_t ended;
	atomic_t in_flight;
	atomic_t submitting;
	bool stop;
	wait_queue_head_t wait;
	struct kref kref;
	struct work_struct free_work;
};

static inline bool probe_submits(const struct probe_run *run, int cpu)
{
	return cpu < 64 && (!run->arg.cpus || (run->arg.cpus & BIT_ULL(cpu)));
}

/* run.c */
extern struct bio_set probe_children;
int probe_run(struct irqstorm_run *arg);
int probe_count(struct irqstorm_count *arg);
void probe_run_put(struct probe_run *run);
void probe_run_forget(void);
int probe_latencies(struct irqstorm_latencies *latencies);
int probe_run_init(void);
void probe_run_exit(void);

/* submit.c */
void probe_start_submitters(struct probe_run *run);

/* end_io.c */
void probe_end_io(struct bio *bio);
void probe_fill(struct probe_slot *slot);

/* latency.c */
void probe_count_latencies(struct probe_slot *slot, u64 now);
void probe_sum_latencies(struct probe_run *run, struct irqstorm_latencies *sum);

/* trace.c */
enum probe_context probe_context(void);
void probe_trace_init(void);
int probe_trace_start(struct probe_run *run);
void probe_trace_stop(void);
bool probe_has_endio_trace(void);
bool probe_has_work_trace(void);
void probe_worker_name(char *buffer, size_t size);
bool probe_in_deferral(bool deferred);
work_func_t probe_deferral(void);

/* calls.c */
int probe_calls_start(void (*seen)(struct work_struct *work));
void probe_calls_stop(void);

/*
 * loose.c. A bio of no device. Its end_io, wherever it runs, is the last that
 * touches it; one that never ends is never freed, nor is the module.
 */
struct probe_loose {
	struct bio bio;
	struct completion ended;
	struct task_struct *caller;
	bool calling;
	/* Written where it ends. */
	bool in_call;
	int cpu;
	struct work_struct *work;
};

struct probe_loose *probe_loose_make(void);
void probe_loose_endio(struct probe_loose *loose);
bool probe_loose_wait(struct probe_loose *loose, unsigned int timeout_ms);
void probe_loose_free(struct probe_loose *loose);
int probe_on_cpu(unsigned int cpu, int (*fn)(void *data), void *data);
int probe_endio(struct irqstorm_endio *arg);

/* window.c */
int probe_window(struct irqstorm_window *arg);

/* load.c */
int probe_hog(const struct irqstorm_hog *arg);
int probe_saturate(struct irqstorm_saturate *arg);
void probe_load_stop(void);

/* watch.c */
int probe_watch(struct irqstorm_watch *arg);
void probe_watch_stop(void);

#endif
