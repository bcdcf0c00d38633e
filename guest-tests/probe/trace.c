// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel's tracepoints tell: where bio_endio() is called, what the
 * deferral's worker does, and who gets the CPU. The tracepoints are looked up
 * by name, so that a kernel without one costs that figure and no more.
 */
#include <linux/blk-mq.h>
#include <linux/interrupt.h>
#include <linux/kallsyms.h>
#include <linux/ktime.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/tracepoint.h>

#include "probe.h"

#define CREATE_TRACE_POINTS
#include "irqstorm_trace.h"

struct pool_workqueue;

static struct probe_run *traced;

/* The function of the deferral's work: learned from the first deferred bio. */
static work_func_t deferral;

/* The task that last ran the deferral's work on each CPU. */
static DEFINE_PER_CPU(struct task_struct *, deferral_task);

enum probe_context probe_context(void)
{
	if (in_hardirq())
		return PROBE_HARDIRQ;
	if (in_serving_softirq())
		return PROBE_SOFTIRQ;
	return PROBE_TASK;
}

static void saw_child(struct bio *child)
{
	struct bio *parent = child->bi_private;
	struct probe_slot *slot = container_of(parent, struct probe_slot, bio);
	struct irqstorm_summary __percpu *count = &slot->run->cpus->count;

	this_cpu_inc(count->children);
	if (in_hardirq())
		this_cpu_inc(count->children_hardirq);
	if (slot->submitter->cpu != raw_smp_processor_id())
		this_cpu_inc(count->children_away);
}

/* The bio completes in the handler that began last on this CPU. */
static void saw_interrupt_of(struct probe_slot *slot)
{
	struct probe_cpu *cpu = this_cpu_ptr(slot->run->cpus);

	slot->interrupt_ns = cpu->interrupt_ns;
	if (!cpu->interrupt_ns || cpu->interrupt_counted)
		return;
	cpu->interrupt_counted = true;
	cpu->count.interrupts++;
}

#ifdef IRQSTORM_HAVE_FLAG
/* Of a bio that was split, the last part alone is what may be deferred. */
static bool is_tagged(struct bio *bio)
{
	return bio_flagged(bio, BIO_COMPLETE_IN_TASK) &&
	       (!bio_flagged(bio, BIO_CHAIN) || atomic_read(&bio->__bi_remaining) == 1);
}
#else
static bool is_tagged(struct bio *bio)
{
	return false;
}
#endif

static void count_tagged(struct bio *bio)
{
	struct irqstorm_summary __percpu *count = &traced->cpus->count;

	if (!is_tagged(bio))
		return;
	if (in_hardirq())
		this_cpu_inc(count->tagged_hardirq);
	else
		this_cpu_inc(count->tagged_elsewhere);
}

/* bio_endio() is called for this bio, here and now. */
static void saw_endio(struct bio *bio)
{
	struct probe_slot *slot;

	count_tagged(bio);
	if (bio->bi_pool == &probe_children)
		saw_child(bio);
	if (bio->bi_end_io != probe_end_io)
		return;
	slot = container_of(bio, struct probe_slot, bio);
	slot->endio_context = probe_context();
	slot->endio_task = current;
	/* Without the preemption count: a tracepoint's own may be in it. */
	slot->endio_atomic = irqs_disabled() || softirq_count() ||
			     rcu_preempt_depth() > 0;
	slot->endio_ns = ktime_get_ns();
	/* In hardirq, the context that counts, nothing comes in between. */
	slot->endio_cpu = raw_smp_processor_id();
	slot->endio_seq = this_cpu_inc_return(slot->run->cpus->endio_seq);
	slot->interrupt_ns = 0;
	if (slot->endio_context == PROBE_HARDIRQ)
		saw_interrupt_of(slot);
	if (!READ_ONCE(slot->submitter->first_endio_ns))
		WRITE_ONCE(slot->submitter->first_endio_ns, slot->endio_ns);
	WRITE_ONCE(slot->submitter->last_endio_ns, slot->endio_ns);
}

/* Disks without requests: within bio_endio(), before any deferral. */
static void on_bio_complete(void *data, struct request_queue *q, struct bio *bio)
{
	saw_endio(bio);
}

/* Disks with requests: just before bio_endio() of each of the request's bios. */
static void on_rq_complete(void *data, struct request *rq, blk_status_t error,
			   unsigned int nr_bytes)
{
	struct bio *bio;

	for (bio = rq->bio; bio; bio = bio->bi_next)
		saw_endio(bio);
}

static void on_queue_work(void *data, int req_cpu, struct pool_workqueue *pwq,
			  struct work_struct *work)
{
	if (work->func == READ_ONCE(deferral))
		this_cpu_inc(traced->cpus->count.queue_work_calls);
}

static void on_queue_call(struct work_struct *work)
{
	if (work->func == READ_ONCE(deferral))
		this_cpu_inc(traced->cpus->count.queue_calls);
}

static void on_execute_start(void *data, struct work_struct *work)
{
	if (work->func != READ_ONCE(deferral))
		return;
	this_cpu_write(deferral_task, current);
	this_cpu_inc(traced->cpus->count.worker_runs);
	this_cpu_write(traced->cpus->run_bios, 0);
}

static void on_execute_end(void *data, struct work_struct *work, work_func_t func)
{
	struct probe_cpu *cpu;

	if (func != READ_ONCE(deferral))
		return;
	cpu = get_cpu_ptr(traced->cpus);
	if (cpu->run_bios > cpu->count.worker_bios_max)
		cpu->count.worker_bios_max = cpu->run_bios;
	put_cpu_ptr(traced->cpus);
}

static void on_switch(void *data, bool preempt, struct task_struct *prev,
		      struct task_struct *next, unsigned int prev_state)
{
	struct probe_cpu *cpu = this_cpu_ptr(traced->cpus);
	u64 now = ktime_get_ns();

	cpu->count.switches++;
	if (next == this_cpu_read(deferral_task))
		cpu->count.switches_to_worker++;
	if (!probe_submits(traced, smp_processor_id()))
		return;
	cpu->count.switches_there++;
	if (!is_idle_task(prev))
		cpu->count.busy_ns += now - cpu->switched_ns;
	cpu->switched_ns = now;
}

static void on_irq_entry(void *data, int irq, struct irqaction *action)
{
	struct probe_cpu *cpu = this_cpu_ptr(traced->cpus);

	cpu->interrupt_ns = ktime_get_ns();
	cpu->interrupt_counted = false;
}

enum {
	BIO_COMPLETE,
	RQ_COMPLETE,
	QUEUE_WORK,
	EXECUTE_START,
	EXECUTE_END,
	SWITCH,
	IRQ_ENTRY,
};

static struct {
	const char *name;
	void *probe;
	struct tracepoint *tp;
	bool registered;
} points[] = {
	[BIO_COMPLETE]	= { "block_bio_complete", on_bio_complete },
	[RQ_COMPLETE]	= { "block_rq_complete", on_rq_complete },
	[QUEUE_WORK]	= { "workqueue_queue_work", on_queue_work },
	[EXECUTE_START]	= { "workqueue_execute_start", on_execute_start },
	[EXECUTE_END]	= { "workqueue_execute_end", on_execute_end },
	[SWITCH]	= { "sched_switch", on_switch },
	[IRQ_ENTRY]	= { "irq_handler_entry", on_irq_entry },
};

bool probe_has_endio_trace(void)
{
	return points[BIO_COMPLETE].tp && points[RQ_COMPLETE].tp;
}

bool probe_has_work_trace(void)
{
	return points[QUEUE_WORK].tp && points[EXECUTE_START].tp;
}

/* Whether the deferral's worker ends this bio; learns its function if need be. */
bool probe_in_deferral(bool deferred)
{
	struct work_struct *work = current_work();
	work_func_t func = work ? work->func : NULL;

	if (deferred && func && !READ_ONCE(deferral))
		WRITE_ONCE(deferral, func);
	return func && func == READ_ONCE(deferral);
}

/* The function of the deferral's work; NULL as long as none has been seen. */
work_func_t probe_deferral(void)
{
	return READ_ONCE(deferral);
}

void probe_worker_name(char *buffer, size_t size)
{
	work_func_t func = READ_ONCE(deferral);

	snprintf(buffer, size, func ? "%ps" : "", func);
}

static void look_up(struct tracepoint *tp, void *data)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (!strcmp(tp->name, points[i].name))
			points[i].tp = tp;
}

void probe_trace_init(void)
{
	for_each_kernel_tracepoint(look_up, NULL);
}

int probe_trace_start(struct probe_run *run)
{
	u64 now = ktime_get_ns();
	int cpu, i, err;

	for_each_possible_cpu(cpu)
		per_cpu_ptr(run->cpus, cpu)->switched_ns = now;
	traced = run;
	for (i = 0; i < ARRAY_SIZE(points); i++) {
		if (!points[i].tp)
			continue;
		err = tracepoint_probe_register(points[i].tp, points[i].probe, NULL);
		if (err) {
			probe_trace_stop();
			return err;
		}
		points[i].registered = true;
	}
	if (!(run->arg.flags & IRQSTORM_CALLS))
		return 0;
	err = probe_calls_start(on_queue_call);
	if (err)
		probe_trace_stop();
	return err;
}

void probe_trace_stop(void)
{
	int i;

	probe_calls_stop();
	for (i = 0; i < ARRAY_SIZE(points); i++) {
		if (!points[i].registered)
			continue;
		tracepoint_probe_unregister(points[i].tp, points[i].probe, NULL);
		points[i].registered = false;
	}
	tracepoint_synchronize_unregister();
	traced = NULL;
}
