//! What is handed out: the table, everything as JSON, a picture; and, when they are to be renewed, the blocks of the documents.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::machine::Manifest;
use crate::results::{Results, median};
use crate::targets::{self, Row, short};
use crate::{Bench, sizing, svg};

/// A target that is missed by more fails a smoke run: an order of magnitude, of a debug build three times as much.
const TOO_FAR: f64 = if cfg!(debug_assertions) { 30.0 } else { 10.0 };
/// Rows that the README shows.
const IN_README: [&str; 5] =
    ["whole shop, sustained", "placed to confirmed, one at a time, p50", "32 connections", "drain : raw", "fifty SKUs"];

/// The whole of `results.json`.
#[derive(Serialize, Deserialize)]
pub struct Report {
    pub manifest: Manifest,
    pub results: Results,
}

/// Writes and prints it all; says whether the run counts as failed.
pub fn write(bench: &Bench, results: &Results) -> anyhow::Result<bool> {
    let report = Report { manifest: bench.manifest.clone(), results: results.clone() };
    let json = serde_json::to_vec_pretty(&report)?;
    // As whoever reads the file does: a number that is read can differ from the one that was written in its last digit.
    let report: Report = serde_json::from_slice(&json)?;
    let out = &bench.arguments.out;
    fs::create_dir_all(out)?;
    let rows = targets::rows(&report.results);
    report.write_files(out, &json)?;
    let mut stdout = std::io::stdout();
    stdout.write_all(report.page(&rows).as_bytes())?;
    if let Some(root) = &bench.arguments.write_docs {
        report.write_docs(root, &json)?;
    }
    let missed = if bench.arguments.smoke { far_off(&rows) } else { Vec::new() };
    for row in &missed {
        writeln!(
            stdout,
            "FAILED: {} is {}, more than {TOO_FAR} times off its target {}",
            row.what, row.now, row.target
        )?;
    }
    Ok(!missed.is_empty() || !results.faults.is_empty())
}

fn far_off(rows: &[Row]) -> Vec<&Row> {
    let far = |row: &&Row| row.figure.zip(row.bound).is_some_and(|(figure, bound)| bound.missed_by(figure) > TOO_FAR);
    rows.iter().filter(far).collect()
}

impl Report {
    fn write_files(&self, folder: &Path, json: &[u8]) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        let rows = targets::rows(&self.results);
        fs::write(folder.join("results.json"), json)?;
        fs::write(folder.join("results.md"), self.page(&rows))?;
        fs::write(folder.join("results.svg"), svg::draw(&rows, &self.machine()))?;
        Ok(())
    }

    /// The machine in one line.
    pub fn machine(&self) -> String {
        let Manifest { cores, processor, memory_gib, kernel, postgresql, kafka, build, commit, at, .. } =
            &self.manifest;
        format!(
            "{cores} cores ({processor}), {memory_gib:.0} GiB, {kernel}, {postgresql}, Apache Kafka {kafka}, {build} build, \
             commit {commit}, {at}"
        )
    }

    /// The table with all that belongs to it.
    pub fn page(&self, rows: &[Row]) -> String {
        let (minutes, Manifest { arguments, load_before, .. }) = (self.results.took_seconds / 60.0, &self.manifest);
        let mut page = format!("On {}. `quadrille-bench {arguments}` took {minutes:.0} minutes; ", self.machine());
        _ = writeln!(page, "medians over its rounds. The machine's load before it was {load_before}.\n");
        page.push_str("| what | before | now | target | |\n|---|---|---|---|---|\n");
        for Row { what, before, now, target, met, .. } in rows {
            let met = met.map_or("", |met| if met { "met" } else { "**missed**" });
            _ = writeln!(page, "| {what} | {before} | {now} | {target} | {met} |");
        }
        for skipped in &self.results.skipped {
            _ = writeln!(page, "\nNot run: {skipped}");
        }
        for fault in &self.results.faults {
            _ = writeln!(page, "\nFAULT: {fault}");
        }
        page
    }

    /// The same for docs/PERFORMANCE.md.
    fn page_with_picture(&self) -> String {
        let page = self.page(&targets::rows(&self.results));
        let told = "Bars to the right are better than the target, to the left worse; each step is ten times.";
        format!("{page}\n{told}\n\n![each row with a target, and how far it is from it](performance/results.svg)\n")
    }

    /// Every value that was measured, with its spread.
    fn every_value(&self) -> String {
        let mut page = "| what | median | least | most | rounds |\n|---|---|---|---|---|\n".to_owned();
        for (name, values) in &self.results.values {
            let (least, most) = (self.results.smallest(name), self.results.largest(name));
            let [median, least, most] = [median(values), least, most].map(|value| value.map(short).unwrap_or_default());
            _ = writeln!(page, "| {name} | {median} | {least} | {most} | {} |", values.len());
        }
        page
    }

    /// The tables of docs/SCALING.md.
    fn sizes(&self) -> String {
        sizing::tables(&self.results)
    }

    /// The README's short table.
    fn short_table(&self) -> String {
        let rows = targets::rows(&self.results);
        let shown = IN_README.iter().filter_map(|name| rows.iter().find(|row| row.what.contains(name)));
        let cells: Vec<_> = shown.map(|row| format!("{}: **{}**", row.what, row.now)).collect();
        let link = "[all figures](docs/PERFORMANCE.md)";
        format!("{} · {link}, {} cores, everything on the one machine.\n", cells.join(" · "), self.manifest.cores)
    }

    /// Renews the blocks between `<!-- bench:NAME -->` and `<!-- /bench -->`, and the files beside docs/PERFORMANCE.md.
    fn write_docs(&self, root: &Path, json: &[u8]) -> anyhow::Result<()> {
        self.write_files(&root.join("docs/performance"), json)?;
        let page = root.join("docs/PERFORMANCE.md");
        renew(&page, "table", &self.page_with_picture())?;
        renew(&page, "values", &self.every_value())?;
        renew(&root.join("docs/SCALING.md"), "sizing", &self.sizes())?;
        renew(&root.join("README.md"), "short", &self.short_table())
    }
}

fn renew(file: &PathBuf, name: &str, text: &str) -> anyhow::Result<()> {
    let document = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let renewed =
        with_block(&document, name, text).with_context(|| format!("{} has no block {name}", file.display()))?;
    fs::write(file, renewed).with_context(|| format!("writing {}", file.display()))
}

fn with_block(document: &str, name: &str, text: &str) -> Option<String> {
    let opening = format!("<!-- bench:{name} -->\n");
    let (before, rest) = document.split_once(&opening)?;
    let (_, after) = rest.split_once("<!-- /bench -->")?;
    Some(format!("{before}{opening}{text}<!-- /bench -->{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_renewed_and_the_rest_of_the_document_stays() {
        let document = "a\n<!-- bench:table -->\nold\n<!-- /bench -->\nb\n";
        let expected = "a\n<!-- bench:table -->\nnew\n<!-- /bench -->\nb\n";
        assert_eq!(with_block(document, "table", "new\n").as_deref(), Some(expected));
        assert_eq!(with_block(document, "other", "new\n"), None);
    }

    #[test]
    fn a_smoke_run_fails_where_a_target_is_missed_by_an_order_of_magnitude_alone() {
        let mut results = Results::default();
        results.add("saturation/orders_per_second", 200.0 / TOO_FAR + 0.1);
        assert!(far_off(&targets::rows(&results)).is_empty());
        results.values.clear();
        results.add("saturation/orders_per_second", 200.0 / TOO_FAR - 0.1);
        assert_eq!(far_off(&targets::rows(&results)).len(), 1);
    }

    /// The documents show what the results beside them say, and nothing that was typed in: no figure where there are none.
    #[test]
    fn the_documents_show_the_figures_of_the_results_beside_them() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let report = fs::read(root.join("docs/performance/results.json")).ok();
        let report: Option<Report> = report.map(|report| serde_json::from_slice(&report).unwrap());
        let text = |of: fn(&Report) -> String| report.as_ref().map(of).unwrap_or_default();
        for (file, name, text) in [
            ("docs/PERFORMANCE.md", "table", text(Report::page_with_picture)),
            ("docs/PERFORMANCE.md", "values", text(Report::every_value)),
            ("docs/SCALING.md", "sizing", text(Report::sizes)),
            ("README.md", "short", text(Report::short_table)),
        ] {
            let document = fs::read_to_string(root.join(file)).unwrap();
            if std::env::var_os("UPDATE_DOCS").is_some() {
                fs::write(root.join(file), with_block(&document, name, &text).unwrap()).unwrap();
                continue;
            }
            assert_eq!(with_block(&document, name, &text).as_ref(), Some(&document), "{file}: run make docs");
        }
    }
}
