//! irqstorm: boots guest kernels on a scripted disk and settles what their completions do.

fn main() {}
