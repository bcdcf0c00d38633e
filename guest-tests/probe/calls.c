// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that queue a work, pending or not: the tracepoint in workqueue.c tells
 * only of those that find it idle, so these are seen where they are made.
 */
#include <linux/kprobes.h>

#include "probe.h"

static void (*on_call)(struct work_struct *work);

/* queue_work_on(cpu, wq, work) */
static int on_queue_work_on(struct kprobe *probe, struct pt_regs *regs)
{
	on_call((struct work_struct *)regs_get_kernel_argument(regs, 2));
	return 0;
}

/* queue_delayed_work_on(cpu, wq, dwork, delay) */
static int on_queue_delayed_work_on(struct kprobe *probe, struct pt_regs *regs)
{
	struct delayed_work *dwork = (void *)regs_get_kernel_argument(regs, 2);

	on_call(&dwork->work);
	return 0;
}

static struct {
	const char *name;
	kprobe_pre_handler_t handler;
	struct kprobe probe;
	bool registered;
} calls[] = {
	{ "queue_work_on", on_queue_work_on },
	{ "queue_delayed_work_on", on_queue_delayed_work_on },
};

/* Has all calls seen, in a context as an NMI's, until probe_calls_stop(). */
int probe_calls_start(void (*seen)(struct work_struct *work))
{
	int i, err;

	on_call = seen;
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		calls[i].probe = (struct kprobe) {
			.symbol_name = calls[i].name,
			.pre_handler = calls[i].handler,
		};
		err = register_kprobe(&calls[i].probe);
		if (err) {
			probe_calls_stop();
			return err;
		}
		calls[i].registered = true;
	}
	return 0;
}

void probe_calls_stop(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].registered)
			unregister_kprobe(&calls[i].probe);
		calls[i].registered = false;
	}
}
