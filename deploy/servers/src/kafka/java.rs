//! Finds a Java runtime that is new enough.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::bail;

/// The oldest Java that Kafka 4's broker runs on.
const OLDEST: u32 = 17;

const HOW_TO_INSTALL: &str = "Install one (Debian, Ubuntu: apt-get install openjdk-17-jre-headless; macOS: brew install \
                              openjdk), name its folder in JAVA_HOME, or give a running Kafka in KAFKA_BOOTSTRAP_SERVERS";

/// The `java` to run: that of `JAVA_HOME`, else that on the PATH.
pub(super) fn find() -> anyhow::Result<PathBuf> {
    let java =
        env::var_os("JAVA_HOME").map_or_else(|| PathBuf::from("java"), |home| PathBuf::from(home).join("bin/java"));
    let output = match Command::new(&java).arg("-version").stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => {
            bail!(
                "Apache Kafka needs a Java runtime {OLDEST} or later; {} doesn't start ({error}). {HOW_TO_INSTALL}",
                java.display()
            )
        }
    };
    // `-version` prints to standard error.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match feature_version(&said) {
        Some(version) if version >= OLDEST => Ok(java),
        Some(version) => {
            bail!(
                "Apache Kafka needs a Java runtime {OLDEST} or later; {} is {version}. {HOW_TO_INSTALL}",
                java.display()
            )
        }
        None => bail!(
            "Apache Kafka needs a Java runtime {OLDEST} or later; {} says: {said}. {HOW_TO_INSTALL}",
            java.display()
        ),
    }
}

/// `openjdk version "17.0.15" 2025-04-15` is 17, `java version "1.8.0_392"` is 8, `openjdk version "21-ea"` is 21.
fn feature_version(said: &str) -> Option<u32> {
    let version = said.split('"').nth(1)?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match numbers.next()?.ok()? {
        1 => numbers.next()?.ok(),
        version => Some(version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feature_version_is_read_from_old_and_new_version_strings() {
        assert_eq!(feature_version("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK ..."), Some(17));
        assert_eq!(feature_version("java version \"1.8.0_392\""), Some(8));
        assert_eq!(feature_version("openjdk version \"21-ea\" 2023-09-19"), Some(21));
        assert_eq!(feature_version("The operation couldn't be completed."), None);
    }
}
