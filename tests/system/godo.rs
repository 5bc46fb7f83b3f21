//! Reads the simulator with godo, DigitalOcean's own Go client.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use simulator::{Account, DEMO_TOKEN, Simulator};
use tokio::process::Command;

fn go(arguments: &[&str]) -> Command {
    let mut command = Command::new("go");
    command
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/godo"))
        .stdin(Stdio::null());
    command
}

#[tokio::test]
#[cfg_attr(missing_go, ignore = "needs go")]
async fn godo_reads_the_whole_demo_account() {
    let simulator = Simulator::start(Account::demo()).await.unwrap();
    let output = go(&["run", "."])
        .env("DIGITALOCEAN_API_URL", simulator.url())
        .env("DIGITALOCEAN_TOKEN", DEMO_TOKEN)
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = json!({
        "account_status": "active",
        "project_resources": 12,
        "resources_by_kind": { "droplet": 5, "domain": 7 },
        "gpu_droplets": [],
        "invoices": 137,
        "oldest_period": "2014-12",
        "newest_period": "2026-04",
        "april_2026_lines": 33,
        "april_2026_sum": "86.92",
        "newest_csv_rows": 33,
        "invoices_whose_items_do_not_sum_to_the_header": [],
        "invoices_whose_summary_differs_from_the_header": [],
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&read[field], value, "{field} in {read}");
    }
    let length = |field: &str| read[field].as_array().map(Vec::len);
    let lengths = ["projects", "droplets", "domains"].map(length);
    assert_eq!(lengths, [Some(4), Some(5), Some(7)], "{read}");
}
