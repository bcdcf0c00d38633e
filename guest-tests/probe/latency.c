// SPDX-License-Identifier: GPL-2.0
/*
 * How long bios take to their bi_end_io(): counts in buckets, so that any
 * quantile can be had of them, and none of the bios is left out.
 */
#include <linux/bits.h>
#include <linux/log2.h>
#include <linux/minmax.h>

#include "probe.h"

/* Each power of two has so many buckets, as a power of two itself. */
#define SHIFT	4
#define PARTS	BIT(SHIFT)

static unsigned int bucket(u64 ns)
{
	unsigned int shift;

	if (ns < PARTS)
		return ns;
	shift = ilog2(ns) - SHIFT;
	return min((shift + 1) * PARTS + (unsigned int)((ns >> shift) % PARTS),
		   IRQSTORM_BUCKETS - 1);
}

/* Once for each bio that was seen to complete, where it ends. */
void probe_count_latencies(struct probe_slot *slot, u64 now)
{
	struct irqstorm_latencies __percpu *latencies = &slot->run->cpus->latencies;

	this_cpu_inc(latencies->completion[bucket(now - slot->endio_ns)]);
	if (slot->interrupt_ns)
		this_cpu_inc(latencies->interrupt[bucket(now - slot->interrupt_ns)]);
}

void probe_sum_latencies(struct probe_run *run, struct irqstorm_latencies *sum)
{
	unsigned int i;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct irqstorm_latencies *part = &per_cpu_ptr(run->cpus, cpu)->latencies;

		for (i = 0; i < IRQSTORM_BUCKETS; i++) {
			sum->interrupt[i] += part->interrupt[i];
			sum->completion[i] += part->completion[i];
		}
	}
}
