//! Kafka's jars, which are fetched once from Maven Central, with the versions and checksums of `kafka.lock`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

const LOCK: &str = include_str!("../../kafka.lock");
const CONNECT_LOCK: &str = include_str!("../../connect.lock");
const MAVEN_CENTRAL: &str = "https://repo1.maven.org/maven2";
/// Names another Maven repository, which is asked directly over HTTP.
const URL_VARIABLE: &str = "QUADRILLE_MAVEN_URL";
const MVN_WITHIN: Duration = Duration::from_secs(600);
const ATTEMPTS: u32 = 4;
const AT_ONCE: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Jar {
    sha256: String,
    /// The path in a Maven repository: `group/parts/artifact/version/artifact-version.jar`.
    path: String,
}

impl Jar {
    fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    fn coordinates(&self) -> Option<(String, &str, &str)> {
        let (folder, _) = self.path.rsplit_once('/')?;
        let (folder, version) = folder.rsplit_once('/')?;
        let (group, artifact) = folder.rsplit_once('/')?;
        Some((group.replace('/', "."), artifact, version))
    }
}

/// The class path of Kafka's jars. Missing jars are fetched first.
pub(super) async fn class_path(folder: Option<&Path>) -> anyhow::Result<String> {
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => default_folder("kafka")?,
    };
    of_lock(LOCK, &folder).await
}

/// The class path of Kafka Connect with Debezium's connector, behind Kafka's own.
pub(super) async fn class_path_of_connect() -> anyhow::Result<String> {
    let kafka = class_path(None).await?;
    Ok(format!("{kafka}:{}", of_lock(CONNECT_LOCK, &default_folder("connect")?).await?))
}

async fn of_lock(lock: &str, folder: &Path) -> anyhow::Result<String> {
    let jars = parse(lock)?;
    if !is_complete(folder, &jars) {
        fetch(folder, &jars)
            .await
            .with_context(|| format!("fetching Apache Kafka's jars into {}", folder.display()))?;
    }
    let files: Vec<_> = jars.iter().map(|jar| folder.join(jar.file()).display().to_string()).collect();
    Ok(files.join(":"))
}

fn parse(lock: &str) -> anyhow::Result<Vec<Jar>> {
    lock.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| match line.split_once("  ") {
            Some((sha256, path)) if sha256.len() == 64 && path.ends_with(".jar") => {
                Ok(Jar { sha256: sha256.to_owned(), path: path.to_owned() })
            }
            _ => bail!("kafka.lock: expected a sha256 and a path, found {line:?}"),
        })
        .collect()
}

/// The version of Apache Kafka that the lock file names.
pub(super) fn version() -> anyhow::Result<String> {
    let jars = parse(LOCK)?;
    let mut coordinates = jars.iter().filter_map(Jar::coordinates);
    let kafka = coordinates.find(|(_, artifact, _)| artifact.starts_with("kafka_"));
    kafka.map(|(_, _, version)| version.to_owned()).context("kafka.lock names no Kafka")
}

/// `~/.cache/quadrille/NAME-VERSION`, the version being Kafka's
fn default_folder(name: &str) -> anyhow::Result<PathBuf> {
    let version = version()?;
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .context("no home folder to keep Kafka's jars in; set XDG_CACHE_HOME")?;
    Ok(cache.join("quadrille").join(format!("{name}-{version}")))
}

/// Whether all files are there. Their names are enough: the folder is moved into place as a whole, after every
/// checksum was verified.
fn is_complete(folder: &Path, jars: &[Jar]) -> bool {
    jars.iter().all(|jar| folder.join(jar.file()).exists())
}

async fn fetch(folder: &Path, jars: &[Jar]) -> anyhow::Result<()> {
    let parent = folder.parent().context("the folder for the jars has no parent")?;
    fs::create_dir_all(parent)?;
    let staging = parent.join(format!(".fetching-{}-{}", std::process::id(), rand::random::<u32>()));
    fs::create_dir(&staging)?;
    let outcome = fetch_into(&staging, jars).await.and_then(|()| move_into_place(&staging, folder, jars));
    fs::remove_dir_all(&staging).ok();
    outcome
}

/// Fetches the jars with `mvn` if there is one, because it knows the machine's proxies and mirrors. Fetches them
/// directly if there is none, if it fails, or if a repository is named.
async fn fetch_into(staging: &Path, jars: &[Jar]) -> anyhow::Result<()> {
    let named = env::var(URL_VARIABLE).ok();
    if named.is_none() && mvn_is_there().await {
        match fetch_with_mvn(staging, jars).await.and_then(|()| verify(staging, jars)) {
            Ok(()) => return Ok(()),
            Err(error) => tracing::warn!("mvn could not fetch Kafka's jars, trying directly: {error:#}"),
        }
    }
    fetch_over_http(staging, jars, named.as_deref().unwrap_or(MAVEN_CENTRAL)).await?;
    verify(staging, jars)
}

fn move_into_place(staging: &Path, folder: &Path, jars: &[Jar]) -> anyhow::Result<()> {
    match fs::rename(staging, folder) {
        Ok(()) => Ok(()),
        // Another run was faster.
        Err(_) if is_complete(folder, jars) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
            for jar in jars {
                fs::rename(staging.join(jar.file()), folder.join(jar.file()))?;
            }
            Ok(())
        }
        Err(error) => Err(error).context("moving the jars into place"),
    }
}

fn verify(folder: &Path, jars: &[Jar]) -> anyhow::Result<()> {
    jars.iter().try_for_each(|jar| {
        let bytes = fs::read(folder.join(jar.file())).with_context(|| format!("{} was not fetched", jar.path))?;
        check(jar, &bytes)
    })
}

fn check(jar: &Jar, bytes: &[u8]) -> anyhow::Result<()> {
    let found: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if found != jar.sha256 {
        bail!("{} has sha256 {found}, expected {}", jar.path, jar.sha256);
    }
    Ok(())
}

async fn mvn_is_there() -> bool {
    let mut command = Command::new("mvn");
    command.arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

async fn fetch_with_mvn(staging: &Path, jars: &[Jar]) -> anyhow::Result<()> {
    let work = staging.join("mvn");
    fs::create_dir(&work)?;
    fs::write(work.join("pom.xml"), pom(jars))?;
    let mut command = Command::new("mvn");
    command.args(["-B", "dependency:copy-dependencies"]).arg(format!("-DoutputDirectory={}", staging.display()));
    command.current_dir(&work).kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().context("starting mvn")?;
    let mut lines = BufReader::new(child.stdout.take().context("mvn's output")?).lines();
    let (mut done, mut errors) = (0, Vec::new());
    let follow = async {
        while let Some(line) = lines.next_line().await? {
            if line.contains("Downloaded") && jars.iter().any(|jar| line.contains(jar.file())) {
                done += 1;
                show_progress(done, jars.len());
            } else if line.contains("ERROR") {
                errors.push(line);
            }
        }
        child.wait().await
    };
    let status = timeout(MVN_WITHIN, follow).await.context("mvn takes too long")??;
    fs::remove_dir_all(&work)?;
    if !status.success() {
        bail!("mvn failed ({status}): {}", errors.first().map_or("", String::as_str));
    }
    Ok(())
}

/// A project that depends on exactly these jars and not on their own dependencies.
fn pom(jars: &[Jar]) -> String {
    let dependencies: String = jars
        .iter()
        .filter_map(Jar::coordinates)
        .map(|(group, artifact, version)| {
            format!(
                "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>\
                 <exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>\n"
            )
        })
        .collect();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\n\
         <groupId>quadrille</groupId><artifactId>kafka-jars</artifactId><version>1</version>\n\
         <dependencies>\n{dependencies}</dependencies></project>\n"
    )
}

async fn fetch_over_http(staging: &Path, jars: &[Jar], base: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_secs(180))
        .build()
        .context("HTTP client")?;
    let base = base.trim_end_matches('/');
    // The futures are created before the stream: a closure in a stream that borrows would keep the whole future from
    // being `Send`.
    let downloads: Vec<_> = jars.iter().map(|jar| fetch_one(&client, base, jar, staging)).collect();
    let fetched = stream::iter(downloads).buffer_unordered(AT_ONCE);
    fetched
        .try_fold(0, |done, ()| async move {
            show_progress(done + 1, jars.len());
            Ok(done + 1)
        })
        .await?;
    Ok(())
}

async fn fetch_one(client: &reqwest::Client, base: &str, jar: &Jar, staging: &Path) -> anyhow::Result<()> {
    let url = format!("{base}/{}", jar.path);
    let mut attempt = 1;
    loop {
        match download(client, &url).await.and_then(|bytes| check(jar, &bytes).map(|()| bytes)) {
            Ok(bytes) => return Ok(tokio::fs::write(staging.join(jar.file()), bytes).await?),
            Err(error) if attempt == ATTEMPTS => return Err(error).with_context(|| format!("GET {url}")),
            Err(_) => {
                sleep(Duration::from_millis(250 * (1 << attempt) + u64::from(rand::random::<u8>()))).await;
                attempt += 1;
            }
        }
    }
}

async fn download(client: &reqwest::Client, url: &str) -> anyhow::Result<Vec<u8>> {
    Ok(client.get(url).send().await?.error_for_status()?.bytes().await?.to_vec())
}

/// Shows the progress on standard error, because the first fetch takes a while.
fn show_progress(done: usize, all: usize) {
    use std::io::Write;
    let end = if done == all { "\n" } else { "" };
    let mut out = std::io::stderr();
    write!(out, "\rfetching Apache Kafka: {done} of {all} jars{end}").and_then(|()| out.flush()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_lock_file_is_a_checksum_and_a_jar() {
        let jars = parse(LOCK).unwrap();
        assert!(parse(CONNECT_LOCK).unwrap().iter().all(|jar| jar.coordinates().is_some()));
        assert!(jars.iter().all(|jar| jar.coordinates().is_some()));
        assert!(jars.iter().any(|jar| jar.file().starts_with("kafka_2.13-4.")));
        assert!(parse("abc  some.jar").is_err());
    }

    #[test]
    fn a_path_says_group_artifact_and_version() {
        let jar =
            Jar { sha256: String::new(), path: "org/apache/kafka/kafka_2.13/4.1.2/kafka_2.13-4.1.2.jar".to_owned() };
        assert_eq!(jar.coordinates(), Some(("org.apache.kafka".to_owned(), "kafka_2.13", "4.1.2")));
        assert_eq!(jar.file(), "kafka_2.13-4.1.2.jar");
    }

    #[test]
    fn a_jar_with_another_checksum_is_refused_by_name() {
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        let jar = Jar { sha256, path: "a/b/1/b-1.jar".to_owned() };
        check(&jar, b"abc").unwrap();
        assert!(check(&jar, b"abd").unwrap_err().to_string().contains("b-1.jar"));
    }

    #[test]
    fn the_pom_takes_exactly_the_listed_jars() {
        let text = pom(&parse(LOCK).unwrap());
        assert_eq!(text.matches("<dependency>").count(), parse(LOCK).unwrap().len());
        assert_eq!(text.matches("<exclusion>").count(), text.matches("<dependency>").count());
    }
}
