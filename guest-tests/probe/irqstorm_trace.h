/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the probe adds to the kernel's own trace: where a bio has ended. The
 * kernel has no tracepoint there, since bi_end_io is its owner's.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM irqstorm

#if !defined(IRQSTORM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define IRQSTORM_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(irqstorm_bio_end,

	TP_PROTO(u64 sector, bool write, bool tagged),

	TP_ARGS(sector, write, tagged),

	TP_STRUCT__entry(
		__field(u64, sector)
		__field(bool, write)
		__field(bool, tagged)
	),

	TP_fast_assign(
		__entry->sector = sector;
		__entry->write = write;
		__entry->tagged = tagged;
	),

	TP_printk("sector=%llu write=%d tagged=%d", __entry->sector,
		  __entry->write, __entry->tagged)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE irqstorm_trace
#include <trace/define_trace.h>
