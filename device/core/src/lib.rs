//! When a block device completes and interrupts: requests, plans, held completions, storms, stores and events, with no transport.
