// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm report`: what results folders say, in any format.

use std::fs;
use std::io;
use std::path::Path;

use crate::cli::{ReportArguments, ReportFormat};
use crate::failure::{Exit, Failure, io_failure};
use crate::output;
use crate::study::{Study, csv, gather, html, text};

/// Each format with its file's name.
const FILES: [(ReportFormat, &str); 4] = [
    (ReportFormat::Text, "report.txt"),
    (ReportFormat::Html, "report.html"),
    (ReportFormat::Json, "report.json"),
    (ReportFormat::Csv, "report.csv"),
];

/// Renders the folders.
pub(crate) fn run(arguments: &ReportArguments) -> Result<Exit, Failure> {
    let samples = gather(&arguments.folders, arguments.experiment.as_deref())?;
    let study = Study::of(&samples, None);
    match &arguments.write {
        Some(folder) => {
            fs::create_dir_all(folder).map_err(io_failure("create folder", folder))?;
            write(&study, folder)?;
            eprintln!("report in {}", folder.display());
        }
        None => output::line(formatted(&study, arguments.format)?.trim_end())?,
    }
    Ok(Exit::Passed)
}

/// Writes it in every format.
pub(super) fn write(study: &Study, folder: &Path) -> Result<(), Failure> {
    for (format, name) in FILES {
        let path = folder.join(name);
        fs::write(&path, formatted(study, format)?).map_err(io_failure("write", &path))?;
    }
    Ok(())
}

/// A study in a format.
pub(super) fn formatted(study: &Study, format: ReportFormat) -> Result<String, Failure> {
    match format {
        ReportFormat::Text => Ok(text(study)),
        ReportFormat::Csv => Ok(csv(study)),
        ReportFormat::Html => html(study).map_err(|error| unwritten(io::Error::other(error))),
        ReportFormat::Json => serde_json::to_string_pretty(study)
            .map(|text| text + "\n")
            .map_err(|error| unwritten(error.into())),
    }
}

fn unwritten(error: io::Error) -> Failure {
    io_failure("write", "the report".as_ref())(error)
}
