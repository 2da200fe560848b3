//! On what it was measured: figures of two machines can't be compared.

use std::{fs, process::Command};

use serde::{Deserialize, Serialize};

/// The machine, its programs, and what was asked of this one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    pub at: String,
    pub commit: String,
    pub cores: usize,
    pub processor: String,
    pub memory_gib: f64,
    pub kernel: String,
    pub postgresql: String,
    pub kafka: String,
    pub java: String,
    pub build: String,
    pub arguments: String,
    pub load_before: String,
}

impl Manifest {
    pub fn read() -> Self {
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kilobytes: f64 =
            memory.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse().ok()).unwrap_or_default();
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            at: chrono::Utc::now().format("%Y-%m-%d %H:%M UTC").to_string(),
            commit: said("git", &["describe", "--always", "--dirty"]),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: processor.map_or_else(String::new, |(_, name)| name.to_owned()),
            memory_gib: kilobytes / 1_048_576.0,
            kernel: said("uname", &["-sr"]),
            postgresql: said("pg_config", &["--version"]),
            kafka: quadrille_servers::kafka::version().unwrap_or_else(|error| error.to_string()),
            java: said("java", &["-version"]),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            arguments: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
            load_before: load(),
        }
    }
}

/// How many processes ran or wanted to, over the last minute.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// The first line that a program says.
fn said(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return "not known".to_owned() };
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).lines().next().unwrap_or("not known").trim().to_owned()
}
