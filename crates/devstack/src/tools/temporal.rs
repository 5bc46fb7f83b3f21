//! Finds the Temporal CLI, which includes the dev server, or downloads or builds it.

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use flate2::read::GzDecoder;
use tokio::process::Command;

use super::{cache_directory, lock_installation, path_directories};
use crate::log::last_lines;
use crate::{Error, Progress};

/// The URL of the newest release, from <https://docs.temporal.io/cli/setup-cli>.
const DOWNLOAD: &str = "https://temporal.download/cli/archive/latest";
/// The newest version that `go install` accepts: later ones have a `replace` directive.
const GO_MODULE: &str = "github.com/temporalio/cli/cmd/temporal@v1.5.1";
const PROGRAM: &str = "temporal";
/// Short, so that a machine without a network proceeds to the alternatives soon.
const CONNECT_LIMIT: Duration = Duration::from_secs(8);
/// The longest pause within a download.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// A build takes 4 to 6 minutes on two cores; a slow machine gets several times that.
const BUILD_LIMIT: Duration = Duration::from_mins(40);

/// Finds a working Temporal CLI, or installs one.
pub(crate) async fn find_or_install(progress: &Progress) -> Result<PathBuf, Error> {
    let cache = cache_directory();
    let mut directories = path_directories();
    directories.push(cache.clone());
    directories.extend(go_binary_directories());
    for directory in directories {
        let program = directory.join(PROGRAM);
        if program.is_file() && runs(&program).await {
            return Ok(program);
        }
    }
    let _lock = lock_installation(&cache, PROGRAM, progress).await?;
    let program = cache.join(PROGRAM);
    if program.is_file() && runs(&program).await {
        return Ok(program);
    }
    let mut tried = vec!["`temporal` is not on PATH".to_owned()];
    match download(&download_address(), &cache, progress).await {
        Ok(program) => return Ok(program),
        Err(reason) => tried.push(reason),
    }
    match build(&cache, progress).await {
        Ok(program) => return Ok(program),
        Err(reason) => tried.push(reason),
    }
    Err(Error::NoTemporal { tried })
}

/// Returns the directories into which `go install` installs programs.
fn go_binary_directories() -> Vec<PathBuf> {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let go_path = set("GOPATH").or_else(|| Some(dirs::home_dir()?.join("go")));
    set("GOBIN")
        .into_iter()
        .chain(go_path.map(|path| path.join("bin")))
        .collect()
}

/// Returns true if `program` runs and is the Temporal CLI, not another program of that name.
async fn runs(program: &Path) -> bool {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .await;
    output.is_ok_and(|output| output.stdout.starts_with(b"temporal version"))
}

fn download_address() -> String {
    let platform = if env::consts::OS == "macos" {
        "darwin"
    } else {
        env::consts::OS
    };
    let architecture = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{DOWNLOAD}?platform={platform}&arch={architecture}")
}

/// Downloads the archive at `address` and installs the program in it into `cache`.
async fn download(address: &str, cache: &Path, progress: &Progress) -> Result<PathBuf, String> {
    let refused = |error: reqwest::Error| format!("the download failed: {}", root_cause(&error));
    let broken = |error: std::io::Error| format!("the download cannot be used: {error}");
    // Fails if the process has a provider already, which serves as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(READ_LIMIT)
        .build()
        .map_err(refused)?;
    progress.step(format!("Looking for the Temporal CLI at {address}"));
    let request = client
        .get(address)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    let mut response = request.map_err(refused)?;
    let task = progress.download("Downloading the Temporal CLI", response.content_length());
    let mut archive = tempfile::tempfile_in(cache).map_err(broken)?;
    while let Some(chunk) = response.chunk().await.map_err(refused)? {
        archive.write_all(&chunk).map_err(broken)?;
        task.advance(chunk.len() as u64);
    }
    let unpacked = tempfile::tempdir_in(cache).map_err(broken)?;
    let target = unpacked.path().join(PROGRAM);
    let unpack = move || unpack_program(archive, &target);
    tokio::task::spawn_blocking(unpack)
        .await
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(broken)?;
    let program = install(&unpacked.path().join(PROGRAM), cache).await?;
    task.done();
    Ok(program)
}

/// Writes the one program in a gzipped tar `archive` to `target`.
fn unpack_program(mut archive: File, target: &Path) -> std::io::Result<()> {
    use std::io::{Error, Seek as _};
    archive.rewind()?;
    for entry in tar::Archive::new(GzDecoder::new(archive)).entries()? {
        let mut entry = entry?;
        if entry
            .path()?
            .file_name()
            .is_some_and(|name| name == PROGRAM)
        {
            entry.unpack(target)?;
            return Ok(());
        }
    }
    Err(Error::other("the archive contains no program `temporal`"))
}

/// Builds the CLI with Go.
async fn build(cache: &Path, progress: &Progress) -> Result<PathBuf, String> {
    let has_go = Command::new("go")
        .arg("version")
        .stdin(Stdio::null())
        .output()
        .await;
    if !has_go.is_ok_and(|output| output.status.success()) {
        return Err("it cannot be built, because Go is not installed".to_owned());
    }
    let task = progress.spinner(format!(
        "Building {GO_MODULE} with Go, which takes 4 to 6 minutes"
    ));
    let broken = |error: std::io::Error| format!("`go install {GO_MODULE}` failed: {error}");
    let directory = tempfile::tempdir_in(cache).map_err(broken)?;
    let build = Command::new("go")
        .args(["install", GO_MODULE])
        .env("GOBIN", directory.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(BUILD_LIMIT, build)
        .await
        .map_err(|_| {
            format!(
                "`go install` took longer than {} min",
                BUILD_LIMIT.as_secs() / 60
            )
        })?
        .map_err(broken)?;
    if !output.status.success() {
        let errors = last_lines(&String::from_utf8_lossy(&output.stderr), 3);
        return Err(format!("`go install {GO_MODULE}` failed: {errors}"));
    }
    let program = install(&directory.path().join(PROGRAM), cache).await?;
    task.done();
    Ok(program)
}

/// Moves a working program to its final path atomically.
async fn install(program: &Path, cache: &Path) -> Result<PathBuf, String> {
    if !runs(program).await {
        return Err("the installed Temporal CLI does not run on this machine".to_owned());
    }
    let installed = cache.join(PROGRAM);
    fs::rename(program, &installed)
        .map_err(|error| format!("cannot install {}: {error}", installed.display()))?;
    Ok(installed)
}

/// Returns the root cause of an error: the errors around it only repeat the address.
fn root_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::time::Instant;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// Starts a server that returns a gzipped tar of `files` to one request, and returns its URL.
    fn serve(files: &[(&str, &str)]) -> String {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o755);
            archive
                .append_data(&mut header, name, text.as_bytes())
                .unwrap();
        }
        let body = archive.into_inner().unwrap().finish().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/latest", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            connection.write_all(head.as_bytes()).unwrap();
            connection.write_all(&body).unwrap();
        });
        address
    }

    #[tokio::test]
    async fn the_program_in_a_downloaded_archive_is_installed() {
        let cache = tempfile::tempdir().unwrap();
        let script = "#!/bin/sh\necho temporal version 9.9.9\n";
        let address = serve(&[("LICENSE", "MIT"), ("temporal", script)]);
        let program = download(&address, cache.path(), &Progress::quiet())
            .await
            .unwrap();
        assert_eq!(program, cache.path().join("temporal"));
        assert!(runs(&program).await);
        assert_eq!(
            fs::read_dir(cache.path()).unwrap().count(),
            1,
            "no other file remains"
        );
    }

    #[tokio::test]
    async fn a_download_that_does_not_run_is_not_installed() {
        let cache = tempfile::tempdir().unwrap();
        let address = serve(&[("temporal", "#!/bin/sh\necho something else\n")]);
        download(&address, cache.path(), &Progress::quiet())
            .await
            .unwrap_err();
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn an_unreachable_host_fails_soon_with_the_cause() {
        let cache = tempfile::tempdir().unwrap();
        let started = Instant::now();
        let address = "https://temporal-download.invalid/latest";
        let reason = download(address, cache.path(), &Progress::quiet())
            .await
            .unwrap_err();
        assert!(reason.starts_with("the download failed: "), "{reason}");
        assert!(started.elapsed() < CONNECT_LIMIT + Duration::from_secs(5));
    }

    #[tokio::test]
    #[ignore = "builds Temporal for minutes"]
    async fn the_program_is_built_if_go_is_installed() {
        let cache = tempfile::tempdir().unwrap();
        let program = build(cache.path(), &Progress::terminal()).await.unwrap();
        assert!(runs(&program).await);
    }
}
