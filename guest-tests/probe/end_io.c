// SPDX-License-Identifier: GPL-2.0
/*
 * Where a bio ends: in which context, in which order, how often, and with what.
 */
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>

#include "irqstorm_trace.h"
#include "probe.h"

static DEFINE_MUTEX(sleep_mutex);

/* The 64-bit golden ratio: neighbouring sectors get unlike patterns. */
#define PATTERN_STEP	0x9e3779b97f4a7c15ULL

static u64 pattern(sector_t sector, u32 seed, unsigned int word)
{
	return (sector * 64 + word + 1) * PATTERN_STEP ^ ((u64)seed << 32);
}

void probe_fill(struct probe_slot *slot)
{
	u64 *words = page_address(slot->page);
	unsigned int i;

	for (i = 0; i < slot->run->arg.bytes / sizeof(u64); i++)
		words[i] = pattern(slot->sector + i / 64, slot->run->arg.seed, i % 64);
}

static u64 bad_sectors(struct probe_slot *slot)
{
	u64 *words = page_address(slot->page);
	unsigned int i, word;
	u64 bad = 0;

	for (i = 0; i < slot->run->arg.bytes / SECTOR_SIZE; i++) {
		for (word = 0; word < 64; word++) {
			if (words[i * 64 + word] !=
			    pattern(slot->sector + i, slot->run->arg.seed, word)) {
				bad++;
				break;
			}
		}
	}
	return bad;
}

/* Whether bi_end_io may sleep here: what BIO_COMPLETE_IN_TASK promises. */
static bool may_sleep_here(void)
{
	if (!in_task() || irqs_disabled() || rcu_preempt_depth() > 0)
		return false;
	return !IS_ENABLED(CONFIG_PREEMPT_COUNT) || preempt_count() == 0;
}

static void count_context(struct probe_slot *slot, enum probe_context context)
{
	struct probe_cpu __percpu *cpus = slot->run->cpus;
	int class = slot->tagged;

	switch (slot->endio_context) {
	case PROBE_HARDIRQ:
		this_cpu_inc(cpus->count.endio_hardirq[class]);
		break;
	case PROBE_SOFTIRQ:
		this_cpu_inc(cpus->count.endio_softirq[class]);
		break;
	case PROBE_TASK:
		this_cpu_inc(cpus->count.endio_task[class]);
		if (slot->endio_atomic)
			this_cpu_inc(cpus->count.endio_task_atomic[class]);
		break;
	case PROBE_NOWHERE:
		break;
	}
	if (slot->endio_context != PROBE_NOWHERE && slot->endio_cpu != slot->submitter->cpu)
		this_cpu_inc(cpus->count.endio_away[class]);
	if (context == PROBE_HARDIRQ)
		this_cpu_inc(cpus->count.end_hardirq[class]);
	else if (context == PROBE_SOFTIRQ)
		this_cpu_inc(cpus->count.end_softirq[class]);
	else if (may_sleep_here())
		this_cpu_inc(cpus->count.end_task[class]);
	else
		this_cpu_inc(cpus->count.end_task_atomic[class]);
}

/* A bio that ended elsewhere than its bio_endio() was called. */
static void count_deferral(struct probe_slot *slot, u64 now)
{
	struct probe_run *run = slot->run;
	u64 latency = now - slot->endio_ns;
	struct probe_cpu *cpu;
	u64 last;

	last = atomic64_xchg(&run->last_ended[slot->endio_cpu], slot->endio_seq);
	if (last > slot->endio_seq)
		this_cpu_inc(run->cpus->count.out_of_order);
	this_cpu_add(run->cpus->count.latency_ns_sum, latency);

	cpu = get_cpu_ptr(run->cpus);
	if (slot->endio_cpu != smp_processor_id())
		cpu->count.migrated++;
	if (latency > cpu->count.latency_ns_max)
		cpu->count.latency_ns_max = latency;
	put_cpu_ptr(run->cpus);
}

static int expected_errno(struct probe_slot *slot)
{
	struct irqstorm_run *arg = &slot->run->arg;
	u64 piece = (slot->sector - arg->first_sector) / (arg->bytes / SECTOR_SIZE);

	if (arg->io_error & BIT_ULL(piece % 64))
		return -EIO;
	if (arg->unsupported & BIT_ULL(piece % 64))
		return -EOPNOTSUPP;
	return 0;
}

static void sleep_in_end_io(struct probe_slot *slot)
{
	struct probe_run *run = slot->run;

	if (!may_sleep_here()) {
		this_cpu_inc(run->cpus->count.sleep_refused);
		return;
	}
	mutex_lock(&sleep_mutex);
	usleep_range(run->arg.end_io_sleep_us, run->arg.end_io_sleep_us + 10);
	mutex_unlock(&sleep_mutex);
	this_cpu_inc(run->cpus->count.slept);
}

void probe_end_io(struct bio *bio)
{
	struct probe_slot *slot = container_of(bio, struct probe_slot, bio);
	struct probe_submitter *submitter = slot->submitter;
	struct probe_run *run = slot->run;
	enum probe_context context = probe_context();
	u64 now = ktime_get_ns();
	bool deferred;

	/*
	 * Best effort: the second end of a bio whose slot has been used again
	 * meanwhile passes for the next one's. Slots rest long for that reason.
	 */
	if (atomic_cmpxchg(&slot->state, SLOT_IN_FLIGHT, SLOT_ENDING) !=
	    SLOT_IN_FLIGHT) {
		this_cpu_inc(run->cpus->count.ended_again);
		return;
	}
	trace_irqstorm_bio_end(slot->sector, run->arg.op == 1, slot->tagged);
	count_context(slot, context);
	deferred = slot->endio_context != PROBE_NOWHERE && context == PROBE_TASK &&
		   (slot->endio_context != PROBE_TASK || slot->endio_task != current);
	/* Of a chain, the last part to complete is what was deferred: not known. */
	if (deferred && !run->arg.chain)
		count_deferral(slot, now);
	if (slot->endio_context != PROBE_NOWHERE && !run->arg.chain)
		probe_count_latencies(slot, now);
	if (probe_in_deferral(deferred)) {
		this_cpu_inc(run->cpus->count.worker_bios);
		this_cpu_inc(run->cpus->run_bios);
	}
	if (blk_status_to_errno(bio->bi_status) != expected_errno(slot))
		this_cpu_inc(run->cpus->count.wrong_status);
	if (bio->bi_status)
		this_cpu_inc(run->cpus->count.errors[slot->tagged]);
	else if (run->arg.op == 0 && (run->arg.flags & IRQSTORM_VERIFY))
		this_cpu_add(run->cpus->count.bad_sectors, bad_sectors(slot));
	if (run->arg.end_io_busy_ns)
		ndelay(run->arg.end_io_busy_ns);
	if (slot->tagged && run->arg.end_io_sleep_us)
		sleep_in_end_io(slot);

	this_cpu_inc(run->cpus->count.ended[slot->tagged]);
	atomic64_inc(&run->ended);
	/* Its link is its owner's by now, who might put it on a list or free it. */
	bio->bi_next = NULL;
	WRITE_ONCE(submitter->last_end_ns, ktime_get_ns());
	/* From here on the slot is its submitter's again. */
	atomic_set_release(&slot->state, SLOT_FREE);
	if (atomic_dec_and_test(&submitter->in_flight) ||
	    !(run->arg.flags & IRQSTORM_BURSTS))
		wake_up(&submitter->wait);
	/* Woken for each bio at depth 1, the waiter would be most of the switches. */
	if (atomic_dec_and_test(&run->in_flight) && !atomic_read(&run->submitting))
		wake_up(&run->wait);
	probe_run_put(run);
}
