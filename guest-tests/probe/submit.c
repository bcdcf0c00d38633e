// SPDX-License-Identifier: GPL-2.0
/*
 * Submitters: a thread for each CPU that submits, bound to it.
 */
#include <linux/blkdev.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>

#include "probe.h"

static int next_online(int cpu)
{
	cpu = cpumask_next(cpu, cpu_online_mask);
	return cpu < nr_cpu_ids ? cpu : cpumask_first(cpu_online_mask);
}

/* Each from the next CPU, as far as it stays online; the caller's comes last. */
static void submit_children(struct probe_run *run, struct probe_slot *slot, blk_opf_t opf)
{
	int cpu = slot->submitter->cpu;
	unsigned int i;

	for (i = 0; i < run->arg.chain; i++) {
		struct bio *child;

		child = bio_alloc_bioset(run->bdev, 1, opf, GFP_KERNEL, &probe_children);
		child->bi_iter.bi_sector = slot->sector;
		__bio_add_page(child, slot->page, run->arg.bytes, 0);
#ifdef IRQSTORM_HAVE_FLAG
		if (run->arg.flags & IRQSTORM_TAG_CHILDREN)
			bio_set_flag(child, BIO_COMPLETE_IN_TASK);
#endif
		bio_chain(child, &slot->bio);
		cpu = next_online(cpu);
		set_cpus_allowed_ptr(current, cpumask_of(cpu));
		submit_bio(child);
	}
	set_cpus_allowed_ptr(current, cpumask_of(slot->submitter->cpu));
}

static void submit(struct probe_run *run, struct probe_slot *slot, u64 number)
{
	u32 sectors = run->arg.bytes / SECTOR_SIZE;
	u64 pieces = run->arg.span_sectors / sectors;
	/* Merged bios would share a request, and its context. */
	blk_opf_t opf = REQ_NOMERGE |
			(run->arg.op ? REQ_OP_WRITE | REQ_SYNC : REQ_OP_READ);
	struct bio *bio = &slot->bio;

	bio_reset(bio, run->bdev, opf);
	slot->sector = run->arg.first_sector + (number % pieces) * sectors;
	bio->bi_iter.bi_sector = slot->sector;
	bio->bi_end_io = probe_end_io;
	__bio_add_page(bio, slot->page, run->arg.bytes, 0);
	if (run->arg.op && (run->arg.flags & IRQSTORM_VERIFY))
		probe_fill(slot);

	slot->endio_context = PROBE_NOWHERE;
	slot->tagged = run->arg.tag_every && number % run->arg.tag_every == 0;
#ifdef IRQSTORM_HAVE_FLAG
	if (slot->tagged)
		bio_set_flag(bio, BIO_COMPLETE_IN_TASK);
#endif
	this_cpu_inc(run->cpus->count.submitted[slot->tagged]);
	kref_get(&run->kref);
	atomic_inc(&run->in_flight);
	atomic_inc(&slot->submitter->in_flight);
	atomic_set_release(&slot->state, SLOT_IN_FLIGHT);
	if (run->arg.chain)
		submit_children(run, slot, opf);
	submit_bio(bio);
}

/* All of a burst has ended: what it took, and room for another. */
static void end_burst(struct probe_submitter *submitter)
{
	u64 first = READ_ONCE(submitter->first_endio_ns);
	struct probe_cpu *cpu;

	if (!first)
		return;
	cpu = get_cpu_ptr(submitter->run->cpus);
	cpu->count.bursts++;
	cpu->count.completing_ns += READ_ONCE(submitter->last_endio_ns) - first;
	cpu->count.draining_ns += READ_ONCE(submitter->last_end_ns) - first;
	put_cpu_ptr(submitter->run->cpus);
	WRITE_ONCE(submitter->first_endio_ns, 0);
}

static bool may_submit(struct probe_submitter *submitter, u64 turn)
{
	struct irqstorm_run *arg = &submitter->run->arg;
	struct probe_slot *slot = &submitter->slots[turn % arg->depth];

	if ((arg->flags & IRQSTORM_BURSTS) && turn % arg->depth == 0)
		return !atomic_read_acquire(&submitter->in_flight);
	return atomic_read_acquire(&slot->state) == SLOT_FREE;
}

static int submitter_fn(void *data)
{
	struct probe_submitter *submitter = data;
	struct probe_run *run = submitter->run;
	u64 turn, number;

	for (turn = 0; !READ_ONCE(run->stop); turn++) {
		struct probe_slot *slot = &submitter->slots[turn % run->arg.depth];

		wait_event_idle(submitter->wait,
				may_submit(submitter, turn) || READ_ONCE(run->stop));
		if (READ_ONCE(run->stop))
			break;
		if ((run->arg.flags & IRQSTORM_BURSTS) && turn % run->arg.depth == 0)
			end_burst(submitter);
		number = atomic64_inc_return(&run->next_bio) - 1;
		if (number >= run->arg.bios)
			break;
		submit(run, slot, number);
		if (run->arg.pause_us)
			usleep_range(run->arg.pause_us, run->arg.pause_us + 5);
		else
			cond_resched();
	}
	if (atomic_dec_and_test(&run->submitting))
		wake_up(&run->wait);
	probe_run_put(run);
	module_put_and_kthread_exit(0);
	return 0;
}

void probe_start_submitters(struct probe_run *run)
{
	unsigned int i;

	/* One for this function, so that none is the last before all are here. */
	atomic_set(&run->submitting, 1);
	for (i = 0; i < run->nr_submitters; i++) {
		struct probe_submitter *submitter = &run->submitters[i];
		struct task_struct *task;

		task = kthread_create(submitter_fn, submitter, "irqstorm/%d", submitter->cpu);
		if (IS_ERR(task))
			continue;
		__module_get(THIS_MODULE);
		kref_get(&run->kref);
		atomic_inc(&run->submitting);
		kthread_bind(task, submitter->cpu);
		wake_up_process(task);
	}
	if (atomic_dec_and_test(&run->submitting))
		wake_up(&run->wait);
}
