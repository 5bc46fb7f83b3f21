//! The directory of an exported month: its files, and `metadata.json`, which is written last and
//! removed first. So a month with metadata is complete.

use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use domain::focus::Dataset;
use export::{Format, Metadata};
use serde::{Deserialize, Serialize};

pub(super) const METADATA: &str = "metadata.json";

/// The extension of files that are being written.
const PARTIAL: &str = "partial";

/// A file of a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MonthFile {
    pub(super) name: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Returns the name of the file of a dataset.
pub(super) fn file_name(dataset: Dataset, is_estimate: bool, format: Format) -> String {
    let suffix = if is_estimate { "-estimate" } else { "" };
    format!("{}{suffix}.{}", dataset.as_str(), format.extension())
}

/// The content of `metadata.json` that decides whether a month is exported again.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    /// Changes with the data and with the options of the export.
    pub(super) stamp: String,
    pub(super) files: Vec<MonthFile>,
}

impl Written {
    /// Returns the names of all files that an earlier export of the month may have left.
    pub(super) fn obsolete_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for dataset in Dataset::ALL {
            for format in Format::ALL {
                names.extend([false, true].map(|estimate| file_name(dataset, estimate, format)));
            }
        }
        names.retain(|name| !self.files.iter().any(|file| file.name == *name));
        names
    }
}

#[derive(Serialize)]
struct MetadataFile<'a> {
    #[serde(flatten)]
    metadata: &'a Metadata,
    #[serde(flatten)]
    written: &'a Written,
}

/// The directory of a month.
pub(super) struct MonthDirectory(PathBuf);

impl MonthDirectory {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the content of a complete month; `None` if there is none, or a file is missing or
    /// has another size.
    pub(super) fn written(&self) -> Option<Written> {
        let text = fs::read(self.0.join(METADATA)).ok()?;
        let written: Written = serde_json::from_slice(&text).ok()?;
        let is_complete = written.files.iter().all(|file| {
            let found = fs::metadata(self.0.join(&file.name));
            found.is_ok_and(|found| found.len() == file.bytes)
        });
        is_complete.then_some(written)
    }

    /// Returns true if an export of the month was complete or interrupted.
    pub(super) fn has_export(&self) -> bool {
        let mut names = Written::default().obsolete_names();
        names.push(METADATA.to_owned());
        names.iter().any(|name| self.0.join(name).exists())
    }

    /// Starts to replace the month: removes partial files of an interrupted export.
    pub(super) fn prepare(&self) -> anyhow::Result<()> {
        let path = self.0.display();
        fs::create_dir_all(&self.0).with_context(|| format!("cannot create {path}"))?;
        let entries = fs::read_dir(&self.0).with_context(|| format!("cannot list {path}"))?;
        for entry in entries {
            let file = entry?.path();
            if file
                .extension()
                .is_some_and(|extension| extension == PARTIAL)
            {
                remove(&file)?;
            }
        }
        Ok(())
    }

    /// Writes a file under its partial name.
    pub(super) fn write(
        &self,
        name: String,
        write: impl FnOnce(&mut BufWriter<File>) -> anyhow::Result<u64>,
    ) -> anyhow::Result<MonthFile> {
        let path = self.partial(&name);
        let written = || -> anyhow::Result<(u64, u64)> {
            let mut out = BufWriter::new(File::create(&path)?);
            let rows = write(&mut out)?;
            out.flush()?;
            // The name is given to a file that a crash of the machine cannot empty.
            let file = out.get_ref();
            file.sync_all()?;
            Ok((rows, file.metadata()?.len()))
        };
        let (rows, bytes) =
            written().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(MonthFile { name, rows, bytes })
    }

    /// Gives the files their names, removes those of earlier exports, and writes the metadata.
    pub(super) fn complete(&self, metadata: &Metadata, written: &Written) -> anyhow::Result<()> {
        let described = self.0.join(METADATA);
        remove(&described)?;
        for file in &written.files {
            self.rename(&file.name)?;
        }
        for name in written.obsolete_names() {
            remove(&self.0.join(name))?;
        }
        let content = MetadataFile { metadata, written };
        self.write(METADATA.to_owned(), |out| {
            serde_json::to_writer_pretty(&mut *out, &content)?;
            out.write_all(b"\n")?;
            Ok(0)
        })?;
        self.rename(METADATA)
    }

    fn partial(&self, name: &str) -> PathBuf {
        self.0.join(format!(".{name}.{PARTIAL}"))
    }

    fn rename(&self, name: &str) -> anyhow::Result<()> {
        let to = self.0.join(name);
        fs::rename(self.partial(name), &to)
            .with_context(|| format!("cannot replace {}", to.display()))
    }
}

/// Removes a file if it exists.
fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use domain::focus::{Rows, Version};
    use export::Recency;

    use super::*;

    const COSTS: &str = "cost-and-usage.parquet";
    const ESTIMATE: &str = "cost-and-usage-estimate.csv";

    fn metadata() -> Metadata {
        let recency = Recency {
            billing_period_start: "2026-04-01".parse().unwrap(),
            last_updated_at: Utc::now(),
            exported_at: Utc::now(),
            is_complete: true,
            reasons: Vec::new(),
            inventory_listed_at: None,
        };
        Metadata::new("0.1.0", Version::V1_4, Rows::Lines, recency)
    }

    fn export(directory: &MonthDirectory, stamp: &str, names: &[&str]) {
        directory.prepare().unwrap();
        let files = names.iter().map(|name| {
            let write = |out: &mut BufWriter<File>| {
                out.write_all(stamp.as_bytes())?;
                Ok(3)
            };
            directory.write((*name).to_owned(), write).unwrap()
        });
        let written = Written {
            stamp: stamp.to_owned(),
            files: files.collect(),
        };
        directory.complete(&metadata(), &written).unwrap();
        assert_eq!(directory.written().unwrap(), written);
    }

    fn names(directory: &MonthDirectory) -> Vec<String> {
        let entries = fs::read_dir(directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn an_export_replaces_the_files_of_the_earlier_one() {
        let root = tempfile::tempdir().unwrap();
        let directory = MonthDirectory::new(root.path().join("2026-04"));
        assert_eq!(directory.written(), None);
        export(&directory, "one", &[ESTIMATE, "billing-period.csv"]);
        fs::write(directory.path().join("notes.txt"), "by hand").unwrap();
        // As if the earlier export had been killed after it removed the metadata.
        fs::remove_file(directory.path().join(METADATA)).unwrap();
        export(&directory, "two", &[COSTS, "billing-period.csv"]);
        assert_eq!(
            names(&directory),
            ["billing-period.csv", COSTS, METADATA, "notes.txt"]
        );
        fs::write(directory.path().join(COSTS), "truncated").unwrap();
        assert_eq!(directory.written(), None);
        export(&directory, "three", &[]);
        assert_eq!(names(&directory), [METADATA, "notes.txt"]);
    }

    #[test]
    fn an_interrupted_export_leaves_the_earlier_one() {
        let root = tempfile::tempdir().unwrap();
        let directory = MonthDirectory::new(root.path().to_owned());
        export(&directory, "one", &[COSTS]);
        directory.prepare().unwrap();
        let failed = directory.write(COSTS.to_owned(), |out| {
            out.write_all(b"half")?;
            anyhow::bail!("interrupted")
        });
        assert!(failed.is_err());
        assert_eq!(directory.written().unwrap().stamp, "one");
        directory.prepare().unwrap();
        assert_eq!(names(&directory), [COSTS, METADATA]);
    }
}
