// SPDX-License-Identifier: GPL-2.0
/*
 * What keeps a deferral's worker from its CPU or from its workqueue: a thread
 * of higher priority, and works of others that wait.
 */
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "probe.h"

#define MAX_HOG_US	USEC_PER_SEC

/* So many works of a workqueue run at a time on a CPU; this is one more. */
#define WORKS		(WQ_DFL_ACTIVE + 1)

/* Without another work begun for so long, there are no more to come. */
#define BEGUN_WITHIN	(2 * HZ)

static struct task_struct *hog;
static struct irqstorm_hog hog_arg;

static int hog_fn(void *unused)
{
	sched_set_fifo(current);
	while (!kthread_should_stop()) {
		u64 until = ktime_get_ns() + hog_arg.busy_us * (u64)NSEC_PER_USEC;

		while (ktime_get_ns() < until)
			cpu_relax();
		usleep_range(hog_arg.sleep_us, hog_arg.sleep_us + 10);
	}
	return 0;
}

static void stop_hog(void)
{
	if (hog)
		kthread_stop(hog);
	hog = NULL;
}

int probe_hog(const struct irqstorm_hog *arg)
{
	struct task_struct *task;

	if (arg->cpu >= nr_cpu_ids || arg->busy_us > MAX_HOG_US ||
	    arg->sleep_us > MAX_HOG_US || (arg->busy_us && !arg->sleep_us))
		return -EINVAL;
	stop_hog();
	if (!arg->busy_us)
		return 0;
	hog_arg = *arg;
	task = kthread_create(hog_fn, NULL, "irqstorm_hog/%u", arg->cpu);
	if (IS_ERR(task))
		return PTR_ERR(task);
	kthread_bind(task, arg->cpu);
	hog = task;
	wake_up_process(task);
	return 0;
}

static struct work_struct *works;
static atomic_t running;
static bool let_go;
static DECLARE_WAIT_QUEUE_HEAD(works_wait);
static DECLARE_WAIT_QUEUE_HEAD(running_wait);

static void wait_work_fn(struct work_struct *work)
{
	atomic_inc(&running);
	wake_up(&running_wait);
	wait_event_idle(works_wait, READ_ONCE(let_go));
}

static void let_works_go(void)
{
	unsigned int i;

	if (!works)
		return;
	WRITE_ONCE(let_go, true);
	wake_up_all(&works_wait);
	for (i = 0; i < WORKS; i++)
		flush_work(&works[i]);
	kvfree(works);
	works = NULL;
}

int probe_saturate(struct irqstorm_saturate *arg)
{
	unsigned int i;
	int before;

	let_works_go();
	if (!arg->on)
		return 0;
	works = kvcalloc(WORKS, sizeof(*works), GFP_KERNEL);
	if (!works)
		return -ENOMEM;
	atomic_set(&running, 0);
	WRITE_ONCE(let_go, false);
	for (i = 0; i < WORKS; i++)
		INIT_WORK(&works[i], wait_work_fn);
	cpus_read_lock();
	if (arg->cpu < nr_cpu_ids && cpu_online(arg->cpu)) {
		for (i = 0; i < WORKS; i++)
			schedule_work_on(arg->cpu, &works[i]);
		arg->queued = WORKS;
	}
	cpus_read_unlock();
	do {
		before = atomic_read(&running);
		wait_event_timeout(running_wait, atomic_read(&running) != before,
				   BEGUN_WITHIN);
	} while (atomic_read(&running) != before);
	arg->running = atomic_read(&running);
	return arg->queued ? 0 : -EINVAL;
}

/* With whoever wanted it goes the load. */
void probe_load_stop(void)
{
	stop_hog();
	let_works_go();
}
