//! Validators of FOCUS, and a reader of Parquet, in other processes. Findings are counted: the
//! exit codes of validators do not report them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rust_decimal::Decimal;
use serde_json::Value;
use tokio::process::Command;

/// The virtual environment with `focus-data-toolkit` and pyarrow.
const TOOLKIT: &str = env!("ARCADIA_FOCUS_TOOLKIT_DIR");
/// The virtual environment with `focus-validator`.
const OFFICIAL: &str = env!("ARCADIA_FOCUS_VALIDATOR_DIR");

/// The rules that an account at DigitalOcean supports.
const CRITERIA: &str = "ACCOUNT_NAMING_SUPPORTED,USAGE_MEASUREMENT_SUPPORTED,UNIT_PRICING_SUPPORTED,\
    SUB_ACCOUNT_SUPPORTED,BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED,\
    RESOURCE_TYPE_ASSIGNMENT_SUPPORTED,REGION_SUPPORTED,TAGGING_SUPPORTED";

/// Findings that are errors of the rules (docs/exports.md).
const KNOWN: [&str; 3] = [
    "EffectiveCost-C-005-C",
    "InvoiceId-C-004-C",
    "InvoiceId-C-005-C",
];

async fn output(mut command: Command) -> String {
    let output = command.output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// Checks the merged files by the toolkit for FOCUS 1.4.
pub(super) async fn toolkit(directory: &Path) {
    let program = Path::new(TOOLKIT).join("bin/focus-toolkit");
    let mut checked = 0;
    for (file, dataset) in [
        ("cost-and-usage", "cost-and-usage"),
        ("cost-and-usage-estimate", "cost-and-usage"),
        ("invoice-detail", "invoice-detail"),
        ("billing-period", "billing-period"),
    ] {
        let path = directory.join(format!("{file}.csv"));
        if !path.exists() {
            continue;
        }
        let mut command = Command::new(&program);
        command.args(["validate", "--dataset", dataset]);
        command
            .args(["--supports", "SupportsUnitPricing"])
            .arg(&path);
        let found = output(command).await;
        assert!(!found.contains("violation"), "{file}: {found}");
        assert!(
            found.contains("lint OK (STRUCTURAL_VALID, SEMANTIC_VALID)"),
            "{file}: {found}"
        );
        checked += 1;
    }
    assert!(checked >= 3);
    let mut command = Command::new(&program);
    command.arg("validate-bundle");
    for dataset in ["cost-and-usage", "invoice-detail", "billing-period"] {
        command.arg(format!("--{dataset}"));
        command.arg(directory.join(format!("{dataset}.csv")));
    }
    let found = output(command).await;
    assert!(found.contains("bundle validation: OK"), "{found}");
}

/// Checks the merged files by the official validator for FOCUS 1.2.
pub(super) async fn official(directory: &Path) {
    for file in ["cost-and-usage", "cost-and-usage-estimate"] {
        let path = directory.join(format!("{file}.csv"));
        if !path.exists() {
            continue;
        }
        let mut command = Command::new(Path::new(OFFICIAL).join("bin/focus-validator"));
        command
            // It opens a file of its package relative to the working directory.
            .current_dir(site_packages())
            .arg("--data-file")
            .arg(&path)
            .args([
                "--validate-version",
                "1.2.0.1",
                "--block-download",
                "--show-violations",
            ])
            .args(["--applicability-criteria", CRITERIA]);
        let found = output(command).await;
        let rules = |result: &str| -> BTreeSet<&str> {
            let lines = found.lines().filter(|line| line.contains(result));
            lines
                .filter_map(|line| line.split(':').next()?.split(' ').nth(1))
                .collect()
        };
        let unknown: Vec<_> = rules(": FAIL")
            .into_iter()
            .filter(|rule| !KNOWN.contains(rule))
            .collect();
        let sample = found.split("--- Failures ---").nth(1);
        assert!(unknown.is_empty(), "{file}: {unknown:?}: {sample:?}");
        let passed = rules(": PASS").len();
        assert!(passed > 150, "{file}: {passed} rules passed: {found}");
    }
}

fn site_packages() -> PathBuf {
    let mut versions = fs::read_dir(Path::new(OFFICIAL).join("lib")).unwrap();
    let version = versions.next().unwrap().unwrap();
    version.path().join("site-packages")
}

/// Returns the total of each invoice in the Parquet files of all months, as pyarrow reads them.
pub(super) async fn totals_of_parquet(directory: &Path) -> BTreeMap<String, Decimal> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/parquet/totals.py");
    let months = fs::read_dir(directory).unwrap();
    let files = months.map(|month| month.unwrap().path().join("cost-and-usage.parquet"));
    let files: Vec<PathBuf> = files.filter(|file| file.exists()).collect();
    assert!(!files.is_empty());
    let mut command = Command::new(Path::new(TOOLKIT).join("bin/python"));
    command.arg(script).args(files);
    let found = output(command).await;
    let read: Value = serde_json::from_str(&found).unwrap_or_else(|_| panic!("{found}"));
    let totals = read["totals"].as_object().unwrap().iter();
    totals
        .map(|(invoice, total)| (invoice.clone(), total.as_str().unwrap().parse().unwrap()))
        .collect()
}
