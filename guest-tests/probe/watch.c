// SPDX-License-Identifier: GPL-2.0
/*
 * In which context functions of the kernel are called: how often a bio that is
 * not the probe's is taken to a task, and from where to where.
 */
#include <linux/kprobes.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/string.h>

#include "probe.h"

#define MAX_WATCHES	4

struct watch_count {
	u64 hardirq;
	u64 softirq;
	u64 task;
};

static struct watch {
	/* Empty if it is free. */
	char function[sizeof_field(struct irqstorm_watch, function)];
	struct kprobe probe;
	struct watch_count __percpu *count;
} watches[MAX_WATCHES];

/* In a context as an NMI's, which passes for a hardirq and hides the caller's. */
static int on_function(struct kprobe *probe, struct pt_regs *regs)
{
	struct watch *watch = container_of(probe, struct watch, probe);
	unsigned long hardirqs = hardirq_count();

	if (in_nmi())
		hardirqs -= HARDIRQ_OFFSET;
	if (hardirqs)
		this_cpu_inc(watch->count->hardirq);
	else if (in_serving_softirq())
		this_cpu_inc(watch->count->softirq);
	else
		this_cpu_inc(watch->count->task);
	return 0;
}

static struct watch *find(const char *function)
{
	int i;

	for (i = 0; i < MAX_WATCHES; i++)
		if (!strcmp(watches[i].function, function))
			return &watches[i];
	return NULL;
}

static int start(const char *function)
{
	struct watch *watch;
	int err;

	if (find(function))
		return -EEXIST;
	watch = find("");
	if (!watch)
		return -ENOSPC;
	watch->count = alloc_percpu(struct watch_count);
	if (!watch->count)
		return -ENOMEM;
	strscpy(watch->function, function, sizeof(watch->function));
	watch->probe = (struct kprobe) {
		.symbol_name = watch->function,
		.pre_handler = on_function,
	};
	err = register_kprobe(&watch->probe);
	if (err) {
		free_percpu(watch->count);
		watch->function[0] = '\0';
	}
	return err;
}

static void stop(struct watch *watch, struct irqstorm_watch *arg)
{
	int cpu;

	unregister_kprobe(&watch->probe);
	for_each_possible_cpu(cpu) {
		struct watch_count *count = per_cpu_ptr(watch->count, cpu);

		arg->hardirq += count->hardirq;
		arg->softirq += count->softirq;
		arg->task += count->task;
	}
	free_percpu(watch->count);
	watch->function[0] = '\0';
}

/* Counts calls from now on, or stops and tells what it counted. */
int probe_watch(struct irqstorm_watch *arg)
{
	struct watch *watch;

	if (!arg->function[0] ||
	    strnlen(arg->function, sizeof(arg->function)) == sizeof(arg->function))
		return -EINVAL;
	arg->hardirq = 0;
	arg->softirq = 0;
	arg->task = 0;
	if (arg->on)
		return start(arg->function);
	watch = find(arg->function);
	if (!watch)
		return -ENOENT;
	stop(watch, arg);
	return 0;
}

void probe_watch_stop(void)
{
	struct irqstorm_watch unused = {};
	int i;

	for (i = 0; i < MAX_WATCHES; i++)
		if (watches[i].function[0])
			stop(&watches[i], &unused);
}
