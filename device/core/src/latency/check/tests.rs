// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Which latencies are read, pass and come back as they were.

use super::*;

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Scenario {
    latency: Latency,
}

fn read(text: &str) -> Result<Scenario, toml::de::Error> {
    toml::from_str(&format!("latency = {{ {text} }}"))
}

fn fault(text: &str) -> BadValue {
    read(text)
        .unwrap()
        .latency
        .check("rule[1].latency")
        .unwrap_err()
}

#[test]
fn every_latency_passes_and_comes_back_as_it_was() {
    for text in [
        "fixed = '80us'",
        "uniform = { min = '0us', max = '600s' }",
        "normal = { mean = '80us', sd = '1us' }",
        "normal = { mean = '80us', sd = '1us', min = '70us', max = '90us' }",
        "lognormal = { median = '80us', sigma = 0.5 }",
        "lognormal = { median = '80us', sigma = 1, max = '80us' }",
        "lognormal = { p50 = '80us', p99 = '600us' }",
        "lognormal = { p50 = '80us', p99 = '80us', max = '1ms' }",
        "exponential = { mean = '80us' }",
        "exponential = { mean = '80us', max = '1us' }",
        "pareto = { min = '80us', shape = 1.5 }",
        "pareto = { min = '80us', shape = 2, max = '1ms' }",
        "mixture = [{ share = '33.3333333333%', latency = { fixed = '1us' } },
                    { share = '66.6666666667%', latency = { exponential = { mean = '2us' } } }]",
        "percentiles = [['0%', '0us'], ['100%', '600s']]",
        "trace = { values = ['80us', '0us'] }",
    ] {
        let scenario = read(text).unwrap();
        assert_eq!(scenario.latency.check("latency"), Ok(()), "{text}");
        let toml = toml::to_string(&scenario).unwrap();
        assert_eq!(
            toml::from_str::<Scenario>(&toml).unwrap(),
            scenario,
            "{toml}"
        );
        let json = serde_json::to_string(&scenario).unwrap();
        assert_eq!(
            serde_json::from_str::<Scenario>(&json).unwrap(),
            scenario,
            "{json}"
        );
    }
}

#[test]
fn latencies_with_files_come_back_as_they_were_but_do_not_pass() {
    for (text, key) in [
        (
            "histogram = { file = 'a.hgrm', unit = 'us' }",
            "histogram.file",
        ),
        (
            "histogram = { file = 'a.json', operation = 'read' }",
            "histogram.file",
        ),
        ("trace = { file = 'a.log' }", "trace.file"),
        (
            "trace = { file = 'a.log', operation = 'flush' }",
            "trace.file",
        ),
    ] {
        let scenario = read(text).unwrap();
        let toml = toml::to_string(&scenario).unwrap();
        assert_eq!(
            toml::from_str::<Scenario>(&toml).unwrap(),
            scenario,
            "{toml}"
        );
        let fault = fault(text);
        assert_eq!(fault.key, format!("rule[1].latency.{key}"));
        assert!(fault.allowed.contains("read from a file"), "{fault:?}");
    }
}

#[test]
fn impossible_values_are_named_by_their_whole_key() {
    for (text, key, value) in [
        ("fixed = '601s'", "fixed", "601s"),
        (
            "uniform = { min = '2us', max = '1us' }",
            "uniform.min",
            "2us",
        ),
        (
            "uniform = { min = '2us', max = '601s' }",
            "uniform.max",
            "601s",
        ),
        ("normal = { mean = '1us', sd = '0us' }", "normal.sd", "0ns"),
        (
            "normal = { mean = '1us', sd = '1us', min = '2us' }",
            "normal.mean",
            "1us",
        ),
        (
            "normal = { mean = '3us', sd = '1us', max = '2us' }",
            "normal.mean",
            "3us",
        ),
        (
            "normal = { mean = '3us', sd = '1us', max = '700s' }",
            "normal.max",
            "700s",
        ),
        (
            "lognormal = { median = '0us', sigma = 1 }",
            "lognormal.median",
            "0ns",
        ),
        (
            "lognormal = { median = '1us', sigma = 0 }",
            "lognormal.sigma",
            "0",
        ),
        (
            "lognormal = { median = '1us', sigma = nan }",
            "lognormal.sigma",
            "NaN",
        ),
        (
            "lognormal = { median = '2us', sigma = 1, max = '1us' }",
            "lognormal.max",
            "1us",
        ),
        (
            "lognormal = { p50 = '0us', p99 = '1us' }",
            "lognormal.p50",
            "0ns",
        ),
        (
            "lognormal = { p50 = '2us', p99 = '1us' }",
            "lognormal.p50",
            "2us",
        ),
        (
            "lognormal = { p50 = '1us', p99 = '700s' }",
            "lognormal.p99",
            "700s",
        ),
        (
            "lognormal = { p50 = '1us', p99 = '3us', max = '2us' }",
            "lognormal.max",
            "2us",
        ),
        ("exponential = { mean = '0us' }", "exponential.mean", "0ns"),
        (
            "exponential = { mean = '1us', max = '0us' }",
            "exponential.max",
            "0ns",
        ),
        ("pareto = { min = '0us', shape = 1 }", "pareto.min", "0ns"),
        (
            "pareto = { min = '1us', shape = -1.5 }",
            "pareto.shape",
            "-1.5",
        ),
        (
            "pareto = { min = '1us', shape = inf }",
            "pareto.shape",
            "inf",
        ),
        (
            "pareto = { min = '2us', shape = 1, max = '1us' }",
            "pareto.max",
            "1us",
        ),
        ("mixture = []", "mixture", "0 latencies"),
        (
            "mixture = [{ share = '99%', latency = { fixed = '1us' } }]",
            "mixture[].share",
            "99%",
        ),
        (
            "mixture = [{ share = '100%', latency = { fixed = '1us' } },
                        { share = '0%', latency = { fixed = '1us' } }]",
            "mixture[1].share",
            "0%",
        ),
        (
            "mixture = [{ share = '100%', latency = { fixed = '700s' } }]",
            "mixture[0].latency.fixed",
            "700s",
        ),
        ("percentiles = []", "percentiles", "no points"),
        ("percentiles = [['0%', '1us']]", "percentiles", "1 points"),
        (
            "percentiles = [['1%', '1us'], ['100%', '1us']]",
            "percentiles[0][0]",
            "1%",
        ),
        (
            "percentiles = [['0%', '1us'], ['99%', '1us']]",
            "percentiles[1][0]",
            "99%",
        ),
        (
            "percentiles = [['0%', '1us'], ['50%', '1us'], ['40%', '1us'], ['100%', '1us']]",
            "percentiles[2][0]",
            "40%",
        ),
        (
            "percentiles = [['0%', '2us'], ['100%', '1us']]",
            "percentiles[1][1]",
            "1us",
        ),
        (
            "percentiles = [['0%', '2us'], ['100%', '601s']]",
            "percentiles[1][1]",
            "601s",
        ),
        ("trace = { values = [] }", "trace.values", "0 values"),
        (
            "trace = { values = ['1us', '601s'] }",
            "trace.values[1]",
            "601s",
        ),
    ] {
        let fault = fault(text);
        assert_eq!(fault.key, format!("rule[1].latency.{key}"), "{text}");
        assert_eq!(fault.value, value, "{text}");
        assert!(!fault.allowed.is_empty());
    }
}

#[test]
fn mixtures_in_mixtures_end_somewhere() {
    let nested = |depth| {
        let part = |latency| Part {
            share: Share::WHOLE,
            latency,
        };
        let wrap = |latency, _| Latency::Mixture([part(latency)].into());
        (0..depth).fold(Latency::default(), wrap)
    };
    assert_eq!(nested(MAX_DEPTH).check("latency"), Ok(()));
    let fault = nested(MAX_DEPTH + 1).check("latency").unwrap_err();
    assert!(fault.allowed.contains("8 deep"), "{fault:?}");
}

#[test]
fn more_values_than_allowed_are_refused() {
    let values = vec![Nanos(1); MAX_VALUES + 1];
    let latency = Latency::Trace(Trace::Values(values.into()));
    assert_eq!(
        latency.check("latency").unwrap_err().value,
        "1000001 values"
    );
}

#[test]
fn forms_that_do_not_go_together_are_refused_with_those_that_do() {
    for (text, words) in [
        (
            "lognormal = { median = '1us', p99 = '2us' }",
            ["median and sigma", "p50 and p99"],
        ),
        (
            "lognormal = { p50 = '1us' }",
            ["median and sigma", "p50 and p99"],
        ),
        (
            "lognormal = { p50 = '1us', p99 = '2us', mean = '1us' }",
            ["mean", "sigma"],
        ),
        (
            "trace = { file = 'x', values = ['1us'] }",
            ["file", "values"],
        ),
        (
            "trace = { values = ['1us'], operation = 'read' }",
            ["operation", "values"],
        ),
        ("trace = {}", ["file", "values"]),
        (
            "histogram = { file = 'x', unit = 'minutes' }",
            ["minutes", "us"],
        ),
        (
            "histogram = { file = 'x', operation = 'rename' }",
            ["rename", "read"],
        ),
        ("gamma = { mean = '1us' }", ["gamma", "lognormal"]),
        (
            "mixture = [{ share = '100', latency = { fixed = '1us' } }]",
            ["'100'", "percentage"],
        ),
    ] {
        let error = read(text).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
