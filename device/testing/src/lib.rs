//! Fake driver, fake clock and the conformance suites that every store, pattern and front-end must pass.
