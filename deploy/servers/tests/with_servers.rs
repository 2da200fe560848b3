//! Tests the program `with-servers` as `make test` uses it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail like tests")]

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn with_servers(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_with-servers"));
    command.env("TMPDIR", folder);
    command
}

/// A folder for temporary files that PostgreSQL's user can reach.
fn open_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

fn ended(mut child: Child) -> std::process::ExitStatus {
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    child.kill().unwrap();
    panic!("with-servers didn't end");
}

#[test]
fn on_apache_kafka_the_command_finds_both_servers_its_exit_code_is_handed_on_and_nothing_is_left() {
    let folder = open_folder();
    let check =
        r#"case "$TEST_DATABASE_URL $TEST_KAFKA_BOOTSTRAP" in postgres://*@127.0.0.1:*/*\ 127.0.0.1:*) exit 7;; esac"#;
    let status = with_servers(folder.path()).args(["--", "sh", "-c", check]).status().unwrap();
    assert_eq!(status.code(), Some(7));
    assert!(is_empty(folder.path()));
}

#[test]
fn on_apache_kafka_kept_servers_are_named_in_the_file_until_a_signal_ends_them() {
    let folder = open_folder();
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("test.env");
    let child = with_servers(folder.path()).arg("--keep").arg(&file).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !std::fs::read_to_string(&file).is_ok_and(|text| text.contains("TEST_KAFKA_BOOTSTRAP=127.0.0.1:")) {
        assert!(Instant::now() < until, "the file was not written");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(ended(child).success());
    assert!(!file.exists() && is_empty(folder.path()));
}
