//! irqstorm-device: a vhost-user block device whose completions and interrupts are scripted.

fn main() {}
