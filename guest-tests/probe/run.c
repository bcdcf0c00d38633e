// SPDX-License-Identifier: GPL-2.0
/*
 * A run: bios submitted from threads bound to their CPUs, waited for, counted.
 */
#include <linux/blkdev.h>
#include <linux/cpumask.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "probe.h"

#define MAX_BIOS	4000000ULL
#define MAX_BYTES	65536U
#define MAX_DEPTH	1024U
#define MAX_CHAIN	16U
#define MAX_TIMEOUT_MS	600000U
/* What no-starvation goes up to on a host that is slow itself. */
#define MAX_BUSY_NS	(4U * NSEC_PER_MSEC)
/* All pages of a run together. */
#define MAX_MEMORY	(256ULL << 20)

/*
 * The last run, kept until the next: a bio that is ended once more after its
 * run is over finds its slot, instead of memory that is somebody else's.
 */
static struct probe_run *kept;

/* What counts beside others' bios, and since when; no run meanwhile. */
static struct probe_run *counting;
static u64 counting_since;

/* Children of chains come from here, and from nowhere else. */
struct bio_set probe_children;

/* Runs are freed here: the last bio may end where nothing can be freed. */
static struct workqueue_struct *free_wq;

static void free_run(struct probe_run *run)
{
	unsigned int i;

	if (run->slots) {
		for (i = 0; i < run->nr_slots; i++) {
			if (!run->slots[i].page)
				continue;
			bio_uninit(&run->slots[i].bio);
			__free_pages(run->slots[i].page, get_order(run->arg.bytes));
		}
	}
	kvfree(run->slots);
	kvfree(run->submitters);
	kvfree(run->last_ended);
	free_percpu(run->cpus);
	if (run->file)
		bdev_fput(run->file);
	kvfree(run);
}

static void free_work_fn(struct work_struct *work)
{
	free_run(container_of(work, struct probe_run, free_work));
	module_put(THIS_MODULE);
}

static void release_run(struct kref *kref)
{
	struct probe_run *run = container_of(kref, struct probe_run, kref);

	queue_work(free_wq, &run->free_work);
}

void probe_run_put(struct probe_run *run)
{
	kref_put(&run->kref, release_run);
}

static int check(struct irqstorm_run *arg)
{
	if (strnlen(arg->disk, sizeof(arg->disk)) == sizeof(arg->disk))
		return -EINVAL;
	if (!arg->bios || arg->bios > MAX_BIOS || arg->op > 1 ||
	    !arg->depth || arg->depth > MAX_DEPTH ||
	    !arg->timeout_ms || arg->timeout_ms > MAX_TIMEOUT_MS)
		return -EINVAL;
	if (!arg->bytes || arg->bytes % SECTOR_SIZE || arg->bytes > MAX_BYTES ||
	    arg->span_sectors < arg->bytes / SECTOR_SIZE)
		return -EINVAL;
	if (arg->end_io_busy_ns > MAX_BUSY_NS ||
	    arg->end_io_sleep_us > USEC_PER_SEC || arg->pause_us > USEC_PER_SEC)
		return -EINVAL;
	if (arg->flags & ~(IRQSTORM_VERIFY | IRQSTORM_CALLS | IRQSTORM_TAG_CHILDREN |
			   IRQSTORM_BURSTS) ||
	    arg->reserved)
		return -EINVAL;
	/* Children are read into their parent's page. */
	if (arg->chain > MAX_CHAIN ||
	    (arg->chain && (arg->op || (arg->flags & IRQSTORM_VERIFY))))
		return -EINVAL;
#ifndef IRQSTORM_HAVE_FLAG
	if (arg->tag_every || (arg->flags & IRQSTORM_TAG_CHILDREN))
		return -EOPNOTSUPP;
#endif
	return 0;
}

static int open_disk(struct probe_run *run)
{
	u64 end;

	run->file = bdev_file_open_by_path(run->arg.disk,
					   BLK_OPEN_READ | BLK_OPEN_WRITE, NULL, NULL);
	if (IS_ERR(run->file)) {
		int err = PTR_ERR(run->file);

		run->file = NULL;
		return err;
	}
	run->bdev = file_bdev(run->file);
	if (check_add_overflow(run->arg.first_sector, run->arg.span_sectors, &end) ||
	    end > bdev_nr_sectors(run->bdev))
		return -ENOSPC;
	return 0;
}

static int make_submitters(struct probe_run *run)
{
	unsigned int i, nr = 0;
	int cpu;

	for_each_online_cpu(cpu)
		nr += probe_submits(run, cpu);
	if (!nr)
		return -EINVAL;
	run->nr_slots = nr * run->arg.depth;
	if ((u64)run->nr_slots * PAGE_ALIGN(run->arg.bytes) > MAX_MEMORY)
		return -EINVAL;
	run->submitters = kvcalloc(nr, sizeof(*run->submitters), GFP_KERNEL);
	run->slots = kvcalloc(run->nr_slots, sizeof(*run->slots), GFP_KERNEL);
	if (!run->submitters || !run->slots)
		return -ENOMEM;
	for_each_online_cpu(cpu) {
		struct probe_submitter *submitter = &run->submitters[run->nr_submitters];

		/* One may have come online meanwhile. */
		if (!probe_submits(run, cpu) || run->nr_submitters == nr)
			continue;
		submitter->run = run;
		submitter->cpu = cpu;
		submitter->slots = &run->slots[run->nr_submitters * run->arg.depth];
		init_waitqueue_head(&submitter->wait);
		run->nr_submitters++;
	}
	for (i = 0; i < run->nr_slots; i++) {
		struct probe_slot *slot = &run->slots[i];

		slot->run = run;
		slot->submitter = &run->submitters[i / run->arg.depth];
		slot->page = alloc_pages(GFP_KERNEL | __GFP_ZERO, get_order(run->arg.bytes));
		if (!slot->page)
			return -ENOMEM;
		bio_init(&slot->bio, run->bdev, &slot->vec, 1, REQ_OP_READ);
	}
	return 0;
}

/* One that has its counts, and no bios yet. */
static struct probe_run *make_counts(void)
{
	struct probe_run *run = kvcalloc(1, sizeof(*run), GFP_KERNEL);

	if (!run)
		return NULL;
	kref_init(&run->kref);
	init_waitqueue_head(&run->wait);
	INIT_WORK(&run->free_work, free_work_fn);
	run->cpus = alloc_percpu(struct probe_cpu);
	if (run->cpus)
		return run;
	kvfree(run);
	return NULL;
}

static struct probe_run *make_run(struct irqstorm_run *arg)
{
	struct probe_run *run = make_counts();
	int err = -ENOMEM;

	if (!run)
		return ERR_PTR(-ENOMEM);
	run->arg = *arg;
	memset(&run->arg.summary, 0, sizeof(run->arg.summary));
	run->last_ended = kvcalloc(nr_cpu_ids, sizeof(*run->last_ended), GFP_KERNEL);
	if (run->last_ended)
		err = open_disk(run);
	if (!err)
		err = make_submitters(run);
	if (err) {
		free_run(run);
		return ERR_PTR(err);
	}
	return run;
}

static bool is_over(struct probe_run *run)
{
	return !atomic_read(&run->submitting) && !atomic_read(&run->in_flight);
}

/* Waits for all bios, or until none has ended for the time that was given. */
static int wait_for_bios(struct probe_run *run)
{
	unsigned long patience = msecs_to_jiffies(run->arg.timeout_ms);
	u64 before;
	long left;

	do {
		before = atomic64_read(&run->ended);
		left = wait_event_killable_timeout(run->wait, is_over(run), patience);
	} while (!left && atomic64_read(&run->ended) != before);

	WRITE_ONCE(run->stop, true);
	if (left > 0)
		return 0;
	for (unsigned int i = 0; i < run->nr_submitters; i++)
		wake_up(&run->submitters[i].wait);
	return left < 0 ? -EINTR : -ETIMEDOUT;
}

/* All counts are u64 and adjacent: the CPUs' are added up word by word. */
static void sum_up(struct probe_run *run, struct irqstorm_summary *sum)
{
	u64 *to = (u64 *)sum;
	u64 longest = 0, most = 0;
	unsigned int i;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct irqstorm_summary *count = &per_cpu_ptr(run->cpus, cpu)->count;
		u64 *from = (u64 *)count;

		for (i = 0; i < sizeof(*sum) / sizeof(u64); i++)
			to[i] += from[i];
		longest = max(longest, count->latency_ns_max);
		most = max(most, count->worker_bios_max);
	}
	sum->latency_ns_max = longest;
	sum->worker_bios_max = most;
	sum->never_ended = atomic_read(&run->in_flight);
}

static u64 ended_again(struct probe_run *run)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu_ptr(run->cpus, cpu)->count.ended_again;
	return sum;
}

int probe_run(struct irqstorm_run *arg)
{
	struct probe_run *run;
	u64 start;
	int err;

	if (counting)
		return -EBUSY;
	err = check(arg);
	if (err)
		return err;
	run = make_run(arg);
	if (IS_ERR(run))
		return PTR_ERR(run);
	/* Put by free_work_fn(). */
	__module_get(THIS_MODULE);
	err = probe_trace_start(run);
	if (!err) {
		start = ktime_get_ns();
		probe_start_submitters(run);
		err = wait_for_bios(run);
		memset(&arg->summary, 0, sizeof(arg->summary));
		arg->summary.elapsed_ns = ktime_get_ns() - start;
		probe_trace_stop();
		sum_up(run, &arg->summary);
		run->arg.summary = arg->summary;
		if (kept)
			arg->summary.ended_late =
				ended_again(kept) - kept->arg.summary.ended_again;
	}
	swap(kept, run);
	if (run)
		probe_run_put(run);
	return err;
}

static int start_counting(void)
{
	struct probe_run *run;
	int err;

	if (counting)
		return -EBUSY;
	run = make_counts();
	if (!run)
		return -ENOMEM;
	err = probe_trace_start(run);
	if (err) {
		free_run(run);
		return err;
	}
	counting_since = ktime_get_ns();
	counting = run;
	return 0;
}

static void stop_counting(struct irqstorm_summary *sum)
{
	sum->elapsed_ns = ktime_get_ns() - counting_since;
	probe_trace_stop();
	sum_up(counting, sum);
	free_run(counting);
	counting = NULL;
}

/* Counts what others do from now on, or stops and tells what it counted. */
int probe_count(struct irqstorm_count *arg)
{
	memset(&arg->summary, 0, sizeof(arg->summary));
	if (arg->on)
		return start_counting();
	if (!counting)
		return -ENODATA;
	stop_counting(&arg->summary);
	return 0;
}

/* Those of the last run. */
int probe_latencies(struct irqstorm_latencies *latencies)
{
	if (!kept)
		return -ENODATA;
	probe_sum_latencies(kept, latencies);
	return 0;
}

/* Lets go of the last run, which holds the module, and of what still counts. */
void probe_run_forget(void)
{
	struct irqstorm_summary unused = {};

	if (counting)
		stop_counting(&unused);
	if (kept)
		probe_run_put(kept);
	kept = NULL;
}

int probe_run_init(void)
{
	int err;

	err = bioset_init(&probe_children, BIO_POOL_SIZE, 0, BIOSET_NEED_BVECS);
	if (err)
		return err;
	free_wq = alloc_workqueue("irqstorm_probe", WQ_UNBOUND, 0);
	if (free_wq)
		return 0;
	bioset_exit(&probe_children);
	return -ENOMEM;
}

void probe_run_exit(void)
{
	destroy_workqueue(free_wq);
	bioset_exit(&probe_children);
}
