//! `quadrille dead-letters job`: has the service replay or discard many letters by itself, and shows how far it is.

use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};
use service_kit::dead_letters::{GroupId, Reason};
use tokio::time::sleep;
use uuid::Uuid;

use super::remote::Remote;
use crate::service::Service;
use crate::table::{aligned, line};

/// How often a job is asked for while it is watched.
const LOOK: Duration = Duration::from_secs(1);

/// What to do with a job, and whose.
#[derive(Debug, Subcommand)]
pub(super) enum JobAction {
    /// Has the service work at letters, and shows how far it is until it ends or stops.
    Start(StartArgs),
    /// Lists a service's jobs, the newest first.
    List {
        /// Whose.
        service: Service,
    },
    /// Shows how far a job is until it ends, stops or is paused. Ending this ends no job.
    Watch(OneArgs),
    /// Pauses it after the letter that is under way.
    Pause(OneArgs),
    /// Has one go on that was paused, or that has stopped at a letter, which is tried again.
    Resume(OneArgs),
    /// Cancels it; what it has done stays done.
    Cancel(OneArgs),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// Has letters tried again, each with all that waits behind it.
    Replay,
    /// Drops them for good.
    Discard,
}

/// What is to be done, to which letters and why.
#[derive(Debug, Args)]
pub(super) struct StartArgs {
    service: Service,
    what: What,
    /// The letters of one cause, as `groups` names it.
    #[arg(long, conflicts_with_all = ["key", "ids"], required_unless_present_any = ["key", "ids"])]
    group: Option<GroupId>,
    /// Those of one key.
    #[arg(long, conflicts_with = "ids")]
    key: Option<String>,
    /// These; may be given several times.
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<i64>,
    /// Why; it stays on record.
    #[arg(long)]
    reason: Reason,
    /// Goes on when a letter fails; else the job stops there.
    #[arg(long)]
    keep_going: bool,
    /// Doesn't wait for its end.
    #[arg(long)]
    detach: bool,
}

/// A job, and whose.
#[derive(Debug, Args)]
pub(super) struct OneArgs {
    service: Service,
    /// Its id, as `job list` shows it.
    job: Uuid,
}

impl JobAction {
    pub const fn service(&self) -> Service {
        match self {
            Self::Start(StartArgs { service, .. }) | Self::List { service } => *service,
            Self::Watch(one) | Self::Pause(one) | Self::Resume(one) | Self::Cancel(one) => one.service,
        }
    }
}

/// Does it. Fails if a job that is watched stops at a letter.
pub(super) async fn job(remote: &Remote, action: &JobAction, out: &mut impl Write) -> anyhow::Result<()> {
    match action {
        JobAction::Start(start) => {
            let job = remote.ask(Method::POST, "/jobs", Some(&start.body())).await?;
            let id = job["id"].as_str().unwrap_or_default().to_owned();
            writeln!(out, "job {id}: {} letters", job["total"])?;
            if start.detach { Ok(()) } else { watch(remote, &id, out).await }
        }
        JobAction::List { .. } => list(&remote.ask(Method::GET, "/jobs", None).await?, out),
        JobAction::Watch(one) => watch(remote, &one.job.to_string(), out).await,
        JobAction::Pause(one) => turn(remote, one, "pause", out).await,
        JobAction::Resume(one) => turn(remote, one, "resume", out).await,
        JobAction::Cancel(one) => turn(remote, one, "cancel", out).await,
    }
}

impl StartArgs {
    fn body(&self) -> Value {
        let action = match self.what {
            What::Replay => "replay",
            What::Discard => "discard",
        };
        let mut body = json!({"action": action, "reason": self.reason.to_string(), "keep_going": self.keep_going});
        match (&self.group, &self.key) {
            (Some(group), _) => body["group"] = json!(group.to_string()),
            (None, Some(key)) => body["key"] = json!(key),
            (None, None) => body["ids"] = json!(self.ids),
        }
        body
    }
}

async fn turn(remote: &Remote, one: &OneArgs, turn: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let job = remote.ask(Method::POST, &format!("/jobs/{}/{turn}", one.job), None).await?;
    Ok(writeln!(out, "{}", progress(&job))?)
}

async fn watch(remote: &Remote, id: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let mut shown = String::new();
    loop {
        let job = remote.ask(Method::GET, &format!("/jobs/{id}"), None).await?;
        let progress = progress(&job);
        if progress != shown {
            writeln!(out, "{progress}")?;
            out.flush()?;
            shown = progress;
        }
        match job["state"].as_str() {
            Some("running") => sleep(LOOK).await,
            Some("stopped") => bail!("the job has stopped at dead letter {}: {}", job["failed_letter"], job["error"]),
            _ => {
                let next = next_step(&job, remote.service());
                return next.map_or(Ok(()), |next| Ok(writeln!(out, "{next}")?));
            }
        }
    }
}

/// One line that says how far it is.
fn progress(job: &Value) -> String {
    let number = |name: &str| job[name].as_i64().unwrap_or_default();
    let behind = match number("behind") {
        0 => String::new(),
        behind => format!(", and {behind} that waited behind them"),
    };
    let state = job["state"].as_str().unwrap_or_default();
    let (done, total, failed, left) = (number("done"), number("total"), number("failed"), number("left"));
    let left_behind = match number("left_behind") {
        0 => String::new(),
        keys => format!("; in {keys} keys more is left, which waited behind them"),
    };
    format!("{state}: {done} of {total} done, {failed} failed, {left} left{behind}{left_behind}")
}

/// How what a job has left behind goes on, if it has left something behind.
fn next_step(job: &Value, service: Service) -> Option<String> {
    let name = service.name();
    (job["left_behind"].as_i64() > Some(0)).then(|| {
        format!(
            "what waited behind them was not tried and keeps its key parked: `quadrille dead-letters groups {name}` shows it \
             by cause, \"it was never tried\"; `quadrille dead-letters job start {name} replay --group GROUP` has it tried"
        )
    })
}

fn list(page: &Value, out: &mut impl Write) -> anyhow::Result<()> {
    let jobs = page["items"].as_array().map_or(&[][..], Vec::as_slice);
    if jobs.is_empty() {
        return Ok(writeln!(out, "there are no jobs")?);
    }
    let mut rows = vec![line(["JOB", "ACTION", "OF", "BY", "SINCE", "PROGRESS", "REASON"])];
    for job in jobs {
        let text = |name: &str| job[name].as_str().unwrap_or("-").to_owned();
        let named = job["group"].as_str().or_else(|| job["key"].as_str()).unwrap_or("letters");
        let (by, since) = (text("made_by"), text("made_at"));
        rows.push(vec![text("id"), text("action"), named.to_owned(), by, since, progress(job), text("reason")]);
    }
    Ok(aligned(&rows, out)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_one_line() {
        let mut job = json!({"state": "running", "total": 200, "done": 41, "failed": 1, "left": 158, "behind": 0});
        assert_eq!(progress(&job), "running: 41 of 200 done, 1 failed, 158 left");
        job["behind"] = json!(3);
        assert!(progress(&job).ends_with("left, and 3 that waited behind them"));
        assert_eq!(next_step(&job, Service::StockSvc), None);
        job["left_behind"] = json!(2);
        assert!(progress(&job).ends_with("them; in 2 keys more is left, which waited behind them"));
        let next = next_step(&job, Service::StockSvc).unwrap();
        assert!(next.contains("`quadrille dead-letters job start stock-svc replay --group GROUP`"), "{next}");
    }
}
