// SPDX-License-Identifier: GPL-2.0
/*
 * irqstorm_probe: submits bios, tagged BIO_COMPLETE_IN_TASK and not, side by
 * side, and tells where and how each of them ended.
 *
 * /dev/irqstorm_probe takes one run at a time. See irqstorm_probe.h.
 */
#include <linux/capability.h>
#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "probe.h"

#define MAX_BLOCK_MS	30000U

static DEFINE_MUTEX(run_mutex);

/*
 * A work on the system's per-CPU workqueue that does not end: a CPU's pool
 * starts no second worker while one of its workers is running, so that what is
 * queued behind this one waits. The kernel takes a work for CPU intensive, and
 * starts a second worker all the same, after the module parameter
 * workqueue.cpu_intensive_thresh_us: who wants to block for longer raises it.
 */
static struct work_struct block_work;
static DEFINE_MUTEX(block_mutex);
static unsigned long block_until;
static bool block_stop;
static DECLARE_COMPLETION(block_started);

static void block_work_fn(struct work_struct *work)
{
	complete(&block_started);
	while (!READ_ONCE(block_stop) && time_before(jiffies, block_until))
		cpu_relax();
}

static void unblock(void)
{
	WRITE_ONCE(block_stop, true);
	flush_work(&block_work);
}

static int block(const struct irqstorm_block *arg)
{
	int err = 0;

	if (arg->ms > MAX_BLOCK_MS || arg->cpu >= nr_cpu_ids)
		return -EINVAL;
	mutex_lock(&block_mutex);
	unblock();
	if (arg->ms) {
		block_until = jiffies + msecs_to_jiffies(arg->ms);
		WRITE_ONCE(block_stop, false);
		reinit_completion(&block_started);
		cpus_read_lock();
		if (cpu_online(arg->cpu))
			schedule_work_on(arg->cpu, &block_work);
		else
			err = -ENODEV;
		cpus_read_unlock();
		/* Not before it runs does it keep anything else from running. */
		if (!err && !wait_for_completion_timeout(&block_started, 10 * HZ))
			err = -ETIMEDOUT;
	}
	mutex_unlock(&block_mutex);
	return err;
}

static long ioctl_run(void __user *user)
{
	struct irqstorm_run *arg;
	long err;

	arg = memdup_user(user, sizeof(*arg));
	if (IS_ERR(arg))
		return PTR_ERR(arg);
	if (mutex_trylock(&run_mutex)) {
		err = probe_run(arg);
		mutex_unlock(&run_mutex);
	} else {
		err = -EBUSY;
	}
	/* A run that gave up has its counts as well. */
	if (copy_to_user(user, arg, sizeof(*arg)))
		err = -EFAULT;
	kfree(arg);
	return err;
}

static long ioctl_info(void __user *user)
{
	struct irqstorm_info info = {
		.abi		 = IRQSTORM_PROBE_ABI,
#ifdef IRQSTORM_HAVE_FLAG
		.has_flag	 = 1,
#endif
		.has_endio_trace = probe_has_endio_trace(),
		.has_work_trace	 = probe_has_work_trace(),
	};

	probe_worker_name(info.worker_function, sizeof(info.worker_function));
	return copy_to_user(user, &info, sizeof(info)) ? -EFAULT : 0;
}

static long ioctl_latencies(void __user *user)
{
	struct irqstorm_latencies *latencies;
	long err = -EBUSY;

	latencies = kcalloc(1, sizeof(*latencies), GFP_KERNEL);
	if (!latencies)
		return -ENOMEM;
	if (mutex_trylock(&run_mutex)) {
		err = probe_latencies(latencies);
		mutex_unlock(&run_mutex);
	}
	if (!err && copy_to_user(user, latencies, sizeof(*latencies)))
		err = -EFAULT;
	kfree(latencies);
	return err;
}

static long ioctl_block(void __user *user)
{
	struct irqstorm_block arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	return block(&arg);
}

static long ioctl_endio(void __user *user)
{
	struct irqstorm_endio arg;
	long err = -EBUSY;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (mutex_trylock(&run_mutex)) {
		err = probe_endio(&arg);
		mutex_unlock(&run_mutex);
	}
	return copy_to_user(user, &arg, sizeof(arg)) ? -EFAULT : err;
}

static long ioctl_window(void __user *user)
{
	struct irqstorm_window arg;
	long err = -EBUSY;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (mutex_trylock(&run_mutex)) {
		err = probe_window(&arg);
		mutex_unlock(&run_mutex);
	}
	return copy_to_user(user, &arg, sizeof(arg)) ? -EFAULT : err;
}

/* Beside a run, as ioctl_block() is. */
static long ioctl_hog(void __user *user)
{
	struct irqstorm_hog arg;
	long err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	mutex_lock(&block_mutex);
	err = probe_hog(&arg);
	mutex_unlock(&block_mutex);
	return err;
}

static long ioctl_saturate(void __user *user)
{
	struct irqstorm_saturate arg;
	long err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	mutex_lock(&block_mutex);
	err = probe_saturate(&arg);
	mutex_unlock(&block_mutex);
	return copy_to_user(user, &arg, sizeof(arg)) ? -EFAULT : err;
}

static long ioctl_watch(void __user *user)
{
	struct irqstorm_watch arg;
	long err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	mutex_lock(&block_mutex);
	err = probe_watch(&arg);
	mutex_unlock(&block_mutex);
	return copy_to_user(user, &arg, sizeof(arg)) ? -EFAULT : err;
}

static long ioctl_count(void __user *user)
{
	struct irqstorm_count *arg;
	long err = -EBUSY;

	arg = memdup_user(user, sizeof(*arg));
	if (IS_ERR(arg))
		return PTR_ERR(arg);
	if (mutex_trylock(&run_mutex)) {
		err = probe_count(arg);
		mutex_unlock(&run_mutex);
	}
	if (!err && copy_to_user(user, arg, sizeof(*arg)))
		err = -EFAULT;
	kfree(arg);
	return err;
}

static long probe_ioctl(struct file *file, unsigned int command, unsigned long user)
{
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	switch (command) {
	case IRQSTORM_RUN:
		return ioctl_run((void __user *)user);
	case IRQSTORM_INFO:
		return ioctl_info((void __user *)user);
	case IRQSTORM_BLOCK:
		return ioctl_block((void __user *)user);
	case IRQSTORM_LATENCIES:
		return ioctl_latencies((void __user *)user);
	case IRQSTORM_ENDIO:
		return ioctl_endio((void __user *)user);
	case IRQSTORM_WINDOW:
		return ioctl_window((void __user *)user);
	case IRQSTORM_HOG:
		return ioctl_hog((void __user *)user);
	case IRQSTORM_SATURATE:
		return ioctl_saturate((void __user *)user);
	case IRQSTORM_WATCH:
		return ioctl_watch((void __user *)user);
	case IRQSTORM_COUNT:
		return ioctl_count((void __user *)user);
	default:
		return -ENOTTY;
	}
}

/* With whoever used the probe goes what it left. */
static int probe_release(struct inode *inode, struct file *file)
{
	mutex_lock(&block_mutex);
	unblock();
	probe_load_stop();
	probe_watch_stop();
	mutex_unlock(&block_mutex);
	mutex_lock(&run_mutex);
	probe_run_forget();
	mutex_unlock(&run_mutex);
	return 0;
}

static const struct file_operations probe_fops = {
	.owner		= THIS_MODULE,
	.release	= probe_release,
	.unlocked_ioctl	= probe_ioctl,
};

static struct miscdevice probe_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "irqstorm_probe",
	.mode	= 0600,
	.fops	= &probe_fops,
};

static int __init probe_init(void)
{
	int err;

	INIT_WORK(&block_work, block_work_fn);
	probe_trace_init();
	err = probe_run_init();
	if (err)
		return err;
	err = misc_register(&probe_device);
	if (err)
		probe_run_exit();
	return err;
}

static void __exit probe_exit(void)
{
	misc_deregister(&probe_device);
	unblock();
	probe_run_exit();
}

module_init(probe_init);
module_exit(probe_exit);

MODULE_DESCRIPTION("Where and how tagged and untagged bios end");
MODULE_LICENSE("GPL");
