// SPDX-License-Identifier: GPL-2.0
/*
 * Something comes in between, at one instruction of the deferral: its windows
 * are hit on purpose, one after the other, instead of by luck.
 *
 * A kprobe at the instruction raises an interrupt on its own CPU, which comes
 * right after the instruction or, where interrupts are off, as soon as they are
 * on again: as a device's would. What follows from it is the kind of window.
 * The user goes through all offsets of the function.
 */
#include <linux/cpu.h>
#include <linux/irq_work.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <uapi/linux/sched/types.h>

#include "probe.h"

/* Where a preemptible caller's bio is deferred; no such thing before 7.3. */
#define CALLEE		"__bio_complete_in_task"

#define MAX_TIMEOUT_MS	10000U

/* The window under way: probe_window() is called by one at a time. */
static struct {
	u32 what;
	int cpu;
	int other_cpu;
	struct kprobe probe;
	/* At the instruction. */
	struct irq_work interrupt;
	atomic_t armed;
	bool hit;
	struct probe_loose *first;
	struct probe_loose *second;
	bool second_completed;
	/* Callers only. */
	struct task_struct *caller;
	struct completion move;
	struct completion moved;
	/* Brings the worker. */
	struct irq_work bring;
	/* The works of both CPUs, as their workers saw them. */
	struct work_struct *work;
	struct work_struct *other_work;
} window;

/* In a context as an NMI's. */
static int on_instruction(struct kprobe *probe, struct pt_regs *regs)
{
	if (raw_smp_processor_id() != window.cpu)
		return 0;
	if (window.caller && window.caller != current)
		return 0;
	if (atomic_xchg(&window.armed, 0)) {
		WRITE_ONCE(window.hit, true);
		irq_work_queue(&window.interrupt);
	}
	return 0;
}

/* Makes the kernel keep the breakpoint: a jump would come at another time. */
static void after_instruction(struct kprobe *probe, struct pt_regs *regs,
			      unsigned long flags)
{
}

static void on_interrupt(struct irq_work *work)
{
	switch (window.what) {
	case IRQSTORM_INTERRUPT_WORKER:
		window.second_completed = true;
		probe_loose_endio(window.second);
		break;
	case IRQSTORM_MOVE_CALLER:
		complete(&window.move);
		break;
	case IRQSTORM_PREEMPT_CALLER:
		/* The worker is due already, and comes on the way back. */
		break;
	}
}

static void on_bring(struct irq_work *work)
{
	probe_loose_endio(window.first);
}

static void raise_bring(void *unused)
{
	irq_work_queue(&window.bring);
}

/* Completes window.first in hardirq on a CPU. */
static int bring_worker(int cpu)
{
	int err = smp_call_function_single(cpu, raise_bring, NULL, 1);

	irq_work_sync(&window.bring);
	return err;
}

/* Which work is a CPU's: told by a bio that is deferred there in hardirq. */
static int learn_work(int cpu, struct work_struct **work)
{
	int err;

	window.first = probe_loose_make();
	if (!window.first)
		return -ENOMEM;
	err = bring_worker(cpu);
	if (err)
		return err;
	if (!probe_loose_wait(window.first, MAX_TIMEOUT_MS))
		return -ETIMEDOUT;
	*work = window.first->work;
	probe_loose_free(window.first);
	return 0;
}

static int interrupt_worker(void)
{
	atomic_set(&window.armed, 1);
	return bring_worker(window.cpu);
}

/*
 * The caller is the least of tasks, and has the worker made ready while it
 * cannot be preempted; it lets go of that without giving way, so that the next
 * interrupt, or the callee if it gives way itself, brings the worker.
 */
static int preempt_caller_fn(void *unused)
{
	const struct sched_attr idle = { .sched_policy = SCHED_IDLE };
	int err;

	err = sched_setattr_nocheck(current, &idle);
	if (err)
		return err;
	window.caller = current;
	rcu_read_lock();
	preempt_disable();
	probe_loose_endio(window.first);
	atomic_set(&window.armed, 1);
	barrier();
	preempt_count_dec();
	window.second_completed = true;
	probe_loose_endio(window.second);
	atomic_set(&window.armed, 0);
	rcu_read_unlock();
	return 0;
}

static int mover_fn(void *unused)
{
	sched_set_fifo(current);
	wait_for_completion(&window.move);
	if (READ_ONCE(window.hit))
		set_cpus_allowed_ptr(window.caller, cpumask_of(window.other_cpu));
	kthread_complete_and_exit(&window.moved, 0);
	return 0;
}

static int move_caller_fn(void *unused)
{
	struct task_struct *mover;

	mover = kthread_create(mover_fn, NULL, "irqstorm_mover");
	if (IS_ERR(mover))
		return PTR_ERR(mover);
	kthread_bind(mover, window.cpu);
	wake_up_process(mover);
	/* It has to be asleep by then. */
	while (task_is_running(mover))
		schedule_timeout_uninterruptible(1);

	window.caller = current;
	rcu_read_lock();
	atomic_set(&window.armed, 1);
	probe_loose_endio(window.first);
	atomic_set(&window.armed, 0);
	rcu_read_unlock();
	complete(&window.move);
	wait_for_completion(&window.moved);
	return 0;
}

static int act(void)
{
	switch (window.what) {
	case IRQSTORM_INTERRUPT_WORKER:
		return interrupt_worker();
	case IRQSTORM_PREEMPT_CALLER:
		/* Without a count it could not be kept from giving way. */
		if (!IS_ENABLED(CONFIG_PREEMPTION))
			return -EOPNOTSUPP;
		return probe_on_cpu(window.cpu, preempt_caller_fn, NULL);
	default:
		return probe_on_cpu(window.cpu, move_caller_fn, NULL);
	}
}

/* Waits for a bio and takes it to the account; it is gone then. */
static void settle(struct probe_loose *loose, struct irqstorm_window *arg)
{
	if (!probe_loose_wait(loose, arg->timeout_ms)) {
		arg->never_ended++;
		return;
	}
	arg->deferred += !loose->in_call;
	if (loose->work && loose->work == window.work)
		arg->elsewhere += loose->cpu != window.cpu;
	else if (loose->work && loose->work == window.other_work)
		arg->elsewhere += loose->cpu != window.other_cpu;
	probe_loose_free(loose);
}

/* The address of the function that has the windows, and its size. */
static int find_function(struct irqstorm_window *arg, kprobe_opcode_t **addr)
{
	struct kprobe probe = { .symbol_name = CALLEE };
	char name[KSYM_SYMBOL_LEN], *size;
	int err;

	if (arg->what == IRQSTORM_INTERRUPT_WORKER) {
		*addr = (kprobe_opcode_t *)probe_deferral();
	} else {
		err = register_kprobe(&probe);
		if (err)
			return err;
		*addr = probe.addr;
		unregister_kprobe(&probe);
	}
	if (!*addr)
		return -ENOENT;
	/* As "name+0x0/0xd0": the only one to tell a module the size. */
	snprintf(name, sizeof(name), "%pS", *addr);
	size = strrchr(name, '/');
	return size ? kstrtou32(size + 1, 0, &arg->size) : -ENOENT;
}

static int prepare(struct irqstorm_window *arg)
{
	int err;

	memset(&window, 0, sizeof(window));
	window.what = arg->what;
	window.cpu = arg->cpu;
	window.other_cpu = arg->other_cpu;
	window.interrupt = IRQ_WORK_INIT_HARD(on_interrupt);
	window.bring = IRQ_WORK_INIT_HARD(on_bring);
	init_completion(&window.move);
	init_completion(&window.moved);
	err = learn_work(arg->cpu, &window.work);
	if (!err)
		err = learn_work(arg->other_cpu, &window.other_work);
	if (err)
		return err;
	window.first = probe_loose_make();
	window.second = probe_loose_make();
	if (window.first && window.second)
		return 0;
	probe_loose_free(window.first);
	probe_loose_free(window.second);
	return -ENOMEM;
}

static int check(const struct irqstorm_window *arg)
{
#ifndef IRQSTORM_HAVE_FLAG
	return -EOPNOTSUPP;
#endif
	if (arg->what > IRQSTORM_MOVE_CALLER || arg->cpu == arg->other_cpu ||
	    arg->cpu >= nr_cpu_ids || !cpu_online(arg->cpu) ||
	    arg->other_cpu >= nr_cpu_ids || !cpu_online(arg->other_cpu) ||
	    arg->timeout_ms > MAX_TIMEOUT_MS)
		return -EINVAL;
	return 0;
}

int probe_window(struct irqstorm_window *arg)
{
	kprobe_opcode_t *addr;
	int err;

	err = check(arg);
	if (!err)
		err = find_function(arg, &addr);
	if (err)
		return err;
	if (arg->offset >= arg->size)
		return -EILSEQ;
	err = prepare(arg);
	if (err)
		return err;
	window.probe.addr = addr + arg->offset;
	window.probe.pre_handler = on_instruction;
	window.probe.post_handler = after_instruction;
	err = register_kprobe(&window.probe);
	if (err) {
		probe_loose_free(window.first);
		probe_loose_free(window.second);
		/* Not all instructions can be stopped at: indirect calls cannot. */
		return -EILSEQ;
	}
	arg->deferred = 0;
	arg->never_ended = 0;
	arg->elsewhere = 0;
	err = act();
	if (err) {
		/* Whether they were completed is not known: they stay. */
		unregister_kprobe(&window.probe);
		return err;
	}
	settle(window.first, arg);
	/* The worker goes on a little after its bio has ended. */
	flush_work(window.work);
	unregister_kprobe(&window.probe);
	irq_work_sync(&window.interrupt);
	if (window.second_completed)
		settle(window.second, arg);
	else
		probe_loose_free(window.second);
	arg->hit = window.hit;
	return 0;
}
