//! Guest kernels and initramfs: fetch, patch, configure, build, cache.
