// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Files that no tool wrote, or that were damaged since.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};
use irqstorm_core::latency::MAX_LATENCY;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{FIO, FIO_LOG, FIO_PLUS, hgrm, latency, recorded, refusal, resolve};

/// One packed histogram as a line of a log has it.
fn packed(histogram: &Histogram<u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    V2Serializer::new()
        .serialize(histogram, &mut bytes)
        .unwrap();
    bytes
}

fn line(bytes: &[u8]) -> String {
    format!("#comment\n0.0,1.0,5.0,{}\n", STANDARD.encode(bytes))
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    let refusal =
        |keys: &str, folder: &Path| latency(keys).resolve(folder).unwrap_err().to_string();
    let error = refusal("trace = { file = 'missing.log' }", folder.path());
    assert!(
        error.contains("trace.file") && error.contains("missing.log"),
        "{error}"
    );
    let error = refusal(
        "histogram = { file = 'folder', unit = 'us' }",
        folder.path(),
    );
    assert!(
        error.contains("histogram.file") && error.contains("regular"),
        "{error}"
    );
    let large = fs::File::create(folder.path().join("large")).unwrap();
    large.set_len((64 << 20) + 1).unwrap();
    let error = refusal("trace = { file = 'large' }", folder.path());
    assert!(error.contains("at most 67108864 bytes"), "{error}");
}

#[test]
fn histograms_that_are_none_are_refused_with_what_is_allowed() {
    let us = "histogram = { file = 'x', unit = 'us' }";
    let fio = "histogram = { file = 'x' }";
    let read = "histogram = { file = 'x', operation = 'read' }";
    let without = FIO_PLUS
        .replace("\"bins\"", "\"b\"")
        .replace("\"percentile\"", "\"p\"");
    for (keys, content, words) in [
        (
            fio,
            "80.0 0.5 1 2.0\n",
            ["it does not say its unit", "unit = \"us\""],
        ),
        (
            read,
            "80.0 0.5 1 2.0\n",
            ["operation = \"read\"", "leave `operation` out"],
        ),
        (us, "", ["no percentiles", "TotalCount"]),
        (
            us,
            "Value Percentile\n80.0 half 1 2.0\n",
            ["line 2: '80.0 half 1 2.0'", "TotalCount"],
        ),
        (us, "80.0 1.5 1 2.0\n", ["line 1", "TotalCount"]),
        (us, "80.0 0.5\n", ["line 1", "TotalCount"]),
        (
            us,
            "80.0 0.5 1\n70.0 0.6 2\n",
            ["line 2", "no column falls"],
        ),
        (
            us,
            "80.0 0.5 2\n80.0 0.6 1\n",
            ["line 2", "no column falls"],
        ),
        (us, "80.0 0.5 0\n", ["nothing in it", "at least one"]),
        (us, "-1 0.5 1\n", ["-1 us", "at most 600s"]),
        (us, "nan 0.5 1\n", ["NaN us", "at most 600s"]),
        (us, "1e30 0.5 1\n", ["line 1", "at most 600s"]),
        (
            us,
            "#[Histogram log format version 1.3]\n",
            ["no values", "at least one"],
        ),
        (us, "#x\n0.0,1.0,5.0,HISTF!\n", ["line 2", "base64"]),
        (us, "#x\n0.0,1.0,5.0,HISTFAAAAA==\n", ["line 2", "unpacked"]),
        (us, "0.0,1.0,5.0,HISTEwAA\n", ["line 1", "cut short"]),
        (us, FIO, ["unit = \"us\"", "leave `unit` out"]),
        (
            fio,
            FIO,
            [
                "several kinds",
                "operation = \"read\" and operation = \"write\"",
            ],
        ),
        (
            "histogram = { file = 'x', operation = 'trim' }",
            FIO,
            ["no trim", "\"sync\""],
        ),
        (fio, "{\n\"jobs\": [}", ["line 2", "fio's JSON"]),
        (fio, "{}", ["line 1", "missing field `jobs`"]),
        (fio, "{\"jobs\": []}", ["no latency in any job", "I/O"]),
        (
            read,
            &without,
            ["job mixed: neither percentiles nor bins", "json+"],
        ),
        (
            read,
            &FIO.replace("1496874", "700000000000"),
            ["job mixed", "at most 600s"],
        ),
        (
            read,
            &FIO.replace("\"5.000000\"", "\"5x\""),
            ["percentile \"5x\"", "0 to 100"],
        ),
        (
            read,
            &FIO.replace("74240", "1"),
            ["a percentile below a smaller", "no percentile"],
        ),
        (
            read,
            &FIO_PLUS.replace("\"29056\"", "\"fast\""),
            ["bin \"fast\"", "nanoseconds"],
        ),
    ] {
        let error = refusal(keys, content.as_bytes());
        assert!(error.contains("histogram.file"), "{error}");
        for word in words {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}

#[test]
fn traces_that_are_none_are_refused_with_what_is_allowed() {
    let all = "trace = { file = 'x' }";
    let reads = "trace = { file = 'x', operation = 'read' }";
    for (keys, content, words) in [
        (all, "", ["no latency", "at least one"]),
        (all, "80us\n80\n", ["line 2: '80'", "80us"]),
        (all, "80us\n601s\n", ["line 2: 601s", "at most 600s"]),
        (
            reads,
            "80us\n",
            ["operation = \"read\"", "leave `operation` out"],
        ),
        (
            all,
            "1, 2, 0, 4096, 0\n1, 2, 3, 4096, 0\n",
            ["line 2", "fio's latency log"],
        ),
        (all, "1, 2\n", ["line 1", "fio's latency log"]),
        (
            all,
            "1, 2, 0, 1, 1, 1, 1, 1\n",
            ["line 1", "fio's latency log"],
        ),
        (
            all,
            "1, 700000000000, 0, 4096, 0\n",
            ["line 1: 700s", "at most 600s"],
        ),
        (all, "{\"at\":1}\n", ["line 1", "an event of this device"]),
    ] {
        let error = refusal(keys, content.as_bytes());
        assert!(error.contains("trace.file"), "{error}");
        for word in words {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
    let error = refusal(all, b"80us\n\xff\xfe\n");
    assert!(
        error.contains("line 2") && error.contains("UTF-8"),
        "{error}"
    );
    let error = refusal(all, "1us\n".repeat(1_000_001).as_bytes());
    assert!(
        error.contains("line 1000001") && error.contains("at most 1000000"),
        "{error}"
    );
}

#[test]
fn packed_histograms_that_lie_are_refused() {
    let us = "histogram = { file = 'x', unit = 'us' }";
    let honest = packed(&recorded());
    let changed = |at: usize, bytes: &[u8]| {
        let mut lying = honest.clone();
        lying[at..at + bytes.len()].copy_from_slice(bytes);
        lying
    };
    for (bytes, word) in [
        // Four gigabytes of counts.
        (changed(4, &[0xff; 4]), "cut short"),
        (changed(40, &[0xff; 9]), "impossible count"),
        // Significant digits, then the least and the greatest value.
        (changed(12, &[0, 0, 0, 200]), "parameters"),
        (changed(16, &[0; 8]), "parameters"),
        (changed(24, &[0; 8]), "parameters"),
        (honest[..30].to_vec(), "cut short"),
        (changed(3, &[0x10]), "cookie"),
    ] {
        let error = refusal(us, line(&bytes).as_bytes());
        assert!(
            error.contains("line 2") && error.contains(word),
            "{word}: {error}"
        );
    }
}

#[test]
fn a_small_log_that_unpacks_to_much_is_refused() {
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::copy(
        &mut std::io::Read::take(std::io::repeat(0), (64 << 20) + 1),
        &mut packer,
    )
    .unwrap();
    let mut bytes = 0x1c84_9314u32.to_be_bytes().to_vec();
    bytes.extend([0; 4]);
    bytes.extend(packer.finish().unwrap());
    let error = refusal(
        "histogram = { file = 'x', unit = 'us' }",
        line(&bytes).as_bytes(),
    );
    assert!(error.contains("more than 67108864 bytes"), "{error}");
}

/// A file that its tool wrote, in a few places overwritten.
fn damaged(honest: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let places = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    (places, any::<prop::sample::Index>(), any::<bool>()).prop_map(move |(places, end, cut)| {
        let mut bytes = honest.clone();
        for (place, byte) in places {
            *place.get_mut(&mut bytes) = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        bytes
    })
}

/// What a file gives, if anything, passes the check and can be drawn from.
fn assert_harmless(keys: &str, content: &[u8]) {
    if let Ok(latency) = resolve(keys, content) {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for nth in 0..100 {
            assert!(latency.draw(nth, &mut rng) <= MAX_LATENCY);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases / 4,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_damaged_text_does_harm(
        text in damaged(hgrm(&recorded()).into_bytes()),
        fio in damaged(FIO.as_bytes().to_vec()),
        plus in damaged(FIO_PLUS.as_bytes().to_vec()),
        log in damaged(FIO_LOG.as_bytes().to_vec()),
    ) {
        assert_harmless("histogram = { file = 'x', unit = 'us' }", &text);
        for operation in ["read", "sync"] {
            let keys = format!("histogram = {{ file = 'x', operation = '{operation}' }}");
            assert_harmless(&keys, &fio);
            assert_harmless(&keys, &plus);
        }
        assert_harmless("trace = { file = 'x' }", &log);
    }

    #[test]
    fn no_damaged_packed_histogram_does_harm(bytes in damaged(packed(&recorded()))) {
        assert_harmless("histogram = { file = 'x', unit = 'us' }", line(&bytes).as_bytes());
    }
}
