//! The guest side of irqstorm: the report protocol, the test catalogue and PID 1.
