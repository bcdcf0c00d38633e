// SPDX-License-Identifier: GPL-2.0
/*
 * Tagged bios of no device: whoever calls bio_endio() for them chooses where
 * they complete.
 */
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "probe.h"

#define MAX_BIOS	100000U
#define PATIENCE_MS	5000U

static void loose_end_io(struct bio *bio)
{
	struct probe_loose *loose = container_of(bio, struct probe_loose, bio);

	loose->in_call = READ_ONCE(loose->calling) && loose->caller == current;
	loose->cpu = raw_smp_processor_id();
	loose->work = current_work();
	complete(&loose->ended);
}

struct probe_loose *probe_loose_make(void)
{
	struct probe_loose *loose = kzalloc(sizeof(*loose), GFP_KERNEL);

	if (!loose)
		return NULL;
	bio_init(&loose->bio, NULL, NULL, 0, REQ_OP_READ);
	loose->bio.bi_end_io = loose_end_io;
#ifdef IRQSTORM_HAVE_FLAG
	bio_set_flag(&loose->bio, BIO_COMPLETE_IN_TASK);
#endif
	init_completion(&loose->ended);
	return loose;
}

/* Completes the bio here and now. */
void probe_loose_endio(struct probe_loose *loose)
{
	loose->caller = current;
	WRITE_ONCE(loose->calling, true);
	bio_endio(&loose->bio);
	WRITE_ONCE(loose->calling, false);
}

/* Whether the bio has ended; if not, it is never freed. */
bool probe_loose_wait(struct probe_loose *loose, unsigned int timeout_ms)
{
	if (wait_for_completion_timeout(&loose->ended, msecs_to_jiffies(timeout_ms)))
		return true;
	/* It may end yet, and needs this module's code then. */
	__module_get(THIS_MODULE);
	return false;
}

/* Of one that has ended, or was never completed; may be NULL. */
void probe_loose_free(struct probe_loose *loose)
{
	if (loose)
		bio_uninit(&loose->bio);
	kfree(loose);
}

struct on_cpu {
	struct completion done;
	int (*fn)(void *data);
	void *data;
	int cpu;
	int err;
};

static int on_cpu_fn(void *data)
{
	struct on_cpu *on = data;

	on->err = set_cpus_allowed_ptr(current, cpumask_of(on->cpu));
	if (!on->err)
		on->err = on->fn(on->data);
	kthread_complete_and_exit(&on->done, 0);
	return 0;
}

/* Runs a function to its end in a thread that is on the CPU, but may be moved. */
int probe_on_cpu(unsigned int cpu, int (*fn)(void *data), void *data)
{
	struct on_cpu on = { .fn = fn, .data = data, .cpu = cpu };
	struct task_struct *task;

	if (cpu >= nr_cpu_ids || !cpu_online(cpu))
		return -EINVAL;
	init_completion(&on.done);
	task = kthread_run(on_cpu_fn, &on, "irqstorm_on/%u", cpu);
	if (IS_ERR(task))
		return PTR_ERR(task);
	wait_for_completion(&on.done);
	return on.err;
}

static struct task_struct *endio_task;
static u64 endio_calls;

static void on_queue_call(struct work_struct *work)
{
	if (current == READ_ONCE(endio_task))
		endio_calls++;
}

static int endio_fn(void *data)
{
	struct irqstorm_endio *arg = data;
	struct probe_loose *loose;
	unsigned int i;

	for (i = 0; i < arg->bios; i++) {
		loose = probe_loose_make();
		if (!loose)
			return -ENOMEM;
		WRITE_ONCE(endio_task, current);
		probe_loose_endio(loose);
		WRITE_ONCE(endio_task, NULL);
		if (!probe_loose_wait(loose, PATIENCE_MS)) {
			arg->never_ended++;
			break;
		}
		if (loose->in_call)
			arg->ended_in_call++;
		else
			arg->ended_elsewhere++;
		probe_loose_free(loose);
	}
	return 0;
}

int probe_endio(struct irqstorm_endio *arg)
{
	int err;

#ifndef IRQSTORM_HAVE_FLAG
	return -EOPNOTSUPP;
#endif
	if (!arg->bios || arg->bios > MAX_BIOS)
		return -EINVAL;
	arg->ended_in_call = 0;
	arg->ended_elsewhere = 0;
	arg->never_ended = 0;
	endio_calls = 0;
	err = probe_calls_start(on_queue_call);
	if (err)
		return err;
	err = probe_on_cpu(arg->cpu, endio_fn, arg);
	probe_calls_stop();
	arg->queue_calls = endio_calls;
	return err;
}
