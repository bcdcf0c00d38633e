// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The tests by name: what each claims and needs. How each does it is in the
//! agent's `tests/`, one file a test.

mod info;
mod shape;
mod table;

pub use info::{ByDesign, Disks, Needs, TestInfo};
pub use shape::Shape;
pub use table::{CORE, TESTS};

/// A test by its name.
pub fn find(name: &str) -> Option<&'static TestInfo> {
    TESTS.iter().find(|test| test.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once() {
        for test in TESTS {
            assert_eq!(find(test.name), Some(test));
        }
    }

    #[test]
    fn a_design_is_broken_in_all_that_is_built_on_it() {
        let test = find("queue-calls").unwrap();
        for kernel in ["7.2+v4", "7.2+v4~lifo", "7.2+v4:debug", "7.2+v4~lifo:rt"] {
            assert!(test.fails_by_design(kernel).is_some(), "{kernel}");
        }
        for kernel in ["7.2+v44", "7.2", "7.3", "./7.2+v4/bzImage"] {
            assert_eq!(test.fails_by_design(kernel), None, "{kernel}");
        }
    }

    #[test]
    fn a_shape_takes_from_the_run_what_it_does_not_say() {
        let one_queue = Shape {
            queues: Some(1),
            ..Shape::RUN
        };
        assert_eq!((one_queue.cpus(3), one_queue.queues(3)), (3, 1));
        let four = Shape {
            cpus: Some(4),
            ..Shape::RUN
        };
        assert_eq!((four.cpus(3), four.queues(3)), (4, 4));
    }

    #[test]
    fn a_shape_is_named_by_what_sets_it_apart() {
        let shape = Shape {
            cpus: Some(4),
            queues: Some(1),
            online: Some(1),
            words: &["threadirqs"],
        };
        assert_eq!(
            shape.to_string(),
            "4 CPUs, 1 queue, 1 CPU at boot, threadirqs"
        );
        assert_eq!(Shape::RUN.to_string(), "");
    }

    #[test]
    fn no_machine_lacks_what_its_test_needs() {
        for test in TESTS {
            let machine = test.needs.machine;
            let at_boot = machine.online.or(machine.cpus).map(u32::from);
            assert!(
                at_boot.is_none_or(|cpus| cpus >= test.needs.cpus),
                "{}",
                test.name
            );
        }
    }
}
