//! The virtio-blk front-end of irqstorm: descriptor chains, used rings and call fds over vhost-user.
