//! Jobs: many dead letters are replayed or discarded by the service itself.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
mod letters;

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::DateTime;
use common::{event, heard};
use diesel_async::SimpleAsyncConnection;
use letters::Desk;
use serde_json::{Value, json};
use service_kit::testing::{Running, eventually, prune_all};
use tokio::sync::Semaphore;

const SOON: Duration = Duration::from_secs(30);

/// How far a job is: done, failed, left, and behind.
fn counts(job: &Value) -> [i64; 4] {
    ["done", "failed", "left", "behind"].map(|name| job[name].as_i64().unwrap())
}

impl Desk {
    /// Makes so many letters of one cause, and returns its group.
    async fn fails_often(&self, letters: usize) -> String {
        for n in 0..letters {
            self.fails(&format!("k{n}"), &format!("poison {n} are left")).await;
        }
        let groups = self.get("/groups").await;
        assert_eq!(groups["items"][0]["letters"], json!(letters));
        groups["items"][0]["group"].as_str().unwrap().to_owned()
    }

    async fn heard_in_all(&self) -> i64 {
        self.db.count("heard").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_letters_are_replayed_once_each_through_a_death_and_a_pause() {
    let desk = Desk::open().await;
    let group = desk.fails_often(200).await;
    desk.notebook.cure();
    let gate = || desk.notebook.gate.get_or_init(|| Semaphore::new(50));
    gate();
    let job = desk.begins(json!({"action": "replay", "group": group})).await;

    // The worker dies in the middle of the 51st letter.
    let (dying, told) = (desk.desk.clone(), tokio_util::sync::CancellationToken::new());
    let worker = tokio::spawn(async move { dying.work_at_jobs(&told).await });
    let is_at = |saves: usize| desk.notebook.at_gate.load(Ordering::SeqCst) == saves;
    eventually("it is at the 51st", SOON, async || is_at(51)).await;
    worker.abort();
    assert!(worker.await.unwrap_err().is_cancelled());
    assert_eq!(counts(&desk.get(&job).await), [50, 0, 150, 0]);

    // Another goes on where it was, and is paused while it is at a letter, which it ends.
    let worker = desk.works();
    gate().add_permits(50);
    // the 51st was at it twice
    eventually("it is at the 101st", SOON, async || is_at(102)).await;
    let waits = "pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let (paused, ()) = tokio::join!(desk.post_to(&job, "pause"), async {
        eventually("the pause waits", SOON, async || desk.db.count(waits).await == 1).await;
        gate().add_permits(1);
    });
    assert_eq!((paused.0, &paused.1["state"]), (200, &json!("paused")), "{}", paused.1);
    assert_eq!(counts(&paused.1), [101, 0, 99, 0]);
    gate().add_permits(1_000);
    worker.end().await;
    assert_eq!(desk.heard_in_all().await, 101, "it did nothing more");

    let worker = desk.works();
    assert_eq!(desk.post_to(&job, "resume").await.0, 200);
    let done = desk.job_is(&job, "done").await;
    worker.end().await;
    assert_eq!(counts(&done), [200, 0, 0, 0]);
    assert!(done["started_at"].is_string() && done["finished_at"].is_string(), "{done}");
    let each_once = "(select key from heard group by key having count(*) = 1) once";
    assert_eq!((desk.heard_in_all().await, desk.db.count(each_once).await), (200, 200));
    assert_eq!((desk.db.count("dead_letters").await, desk.db.count("parked_keys").await), (0, 0));
}

impl Desk {
    async fn post_to(&self, job: &str, turn: &str) -> (u16, Value) {
        self.post(&format!("{job}/{turn}"), &json!({})).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_stops_at_the_first_failure_and_goes_on_from_there_once_that_is_mended() {
    let desk = Desk::open().await;
    let ids = [desk.fails("a", "poison").await, desk.fails("b", "unreadable").await, desk.fails("c", "poison").await];
    desk.notebook.cure();
    let worker = desk.works();
    let job = desk.begins(json!({"action": "replay", "ids": ids})).await;
    let stopped = desk.job_is(&job, "stopped").await;
    assert_eq!(counts(&stopped), [1, 1, 1, 0]);
    assert_eq!((&stopped["failed_letter"], &stopped["error"]), (&json!(ids[1]), &json!("it can't be read")));
    let letter = desk.get(&format!("/{}", ids[1])).await;
    assert_eq!((&letter["replays"], &letter["attempts"]), (&json!(1), &json!(2)));
    assert_eq!(desk.post_to(&job, "pause").await.0, 409);

    assert_eq!(desk.post_to(&job, "resume").await.0, 200);
    assert_eq!(counts(&desk.job_is(&job, "stopped").await), [1, 1, 1, 0], "it fails again");
    let edit = json!({"payload": {"n": 1}, "reason": "it could not be read"});
    assert_eq!(desk.post(&format!("/{}/edit", ids[1]), &edit).await.0, 200);
    assert_eq!(desk.post_to(&job, "resume").await.0, 200);
    assert_eq!(counts(&desk.job_is(&job, "done").await), [3, 0, 0, 0]);
    worker.end().await;
    assert_eq!(heard(&desk.db, &["a", "b", "c"]).await, ["poison", r#"{"n":1}"#, "poison"]);
    assert_eq!(desk.post_to(&job, "resume").await.0, 409);
    assert_eq!(desk.post_to(&job, "cancel").await.0, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_keeps_going_passes_over_what_fails() {
    let desk = Desk::open().await;
    let ids = [desk.fails("a", "unreadable").await, desk.fails("b", "poison").await];
    desk.notebook.cure();
    let worker = desk.works();
    let job = desk.begins(json!({"action": "replay", "ids": ids, "keep_going": true})).await;
    assert_eq!(counts(&desk.job_is(&job, "done").await), [1, 1, 0, 0]);
    worker.end().await;
    assert_eq!(desk.db.rows::<i64>("select id from dead_letters").await, [ids[0]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_fails_is_tried_once_however_many_of_the_job_wait_behind_it() {
    let desk = Desk::open().await;
    let head = desk.fails("k", "unreadable").await;
    for behind in ["second", "third"] {
        desk.hears("k", behind).await;
    }
    let behind: Vec<i64> = desk.db.rows(format!("select id from dead_letters where id > {head} order by id")).await;
    let other = desk.fails("other", "poison").await;
    desk.notebook.cure();
    let worker = desk.works();
    let whole = json!({"action": "replay", "ids": [head, behind[0], behind[1], other], "keep_going": true});
    let job = desk.begins(whole).await;
    let done = desk.job_is(&job, "done").await;
    assert_eq!((counts(&done), &done["left_out"], &done["failed_behind"]), ([1, 1, 0, 0], &json!(2), &json!(0)));
    let job = desk.begins(json!({"action": "replay", "ids": behind, "keep_going": true})).await;
    let done = desk.job_is(&job, "done").await;
    assert_eq!((counts(&done), &done["left_out"], &done["failed_behind"]), ([0, 0, 0, 0], &json!(2), &json!(1)));
    worker.end().await;
    assert_eq!(desk.get(&format!("/{head}")).await["replays"], 2, "once in each job");
    assert_eq!(desk.heard_in_all().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_hindered_says_so_and_after_a_while_stops_and_lets_the_next_go_on() {
    let desk = Desk::open().await;
    let (first, second) = (desk.fails("a", "poison").await, desk.fails("b", "poison").await);
    desk.notebook.cure();
    desk.notebook.out_of_ink.store(true, Ordering::SeqCst);
    let worker = desk.works();
    let hindered = desk.begins(json!({"action": "replay", "ids": [first]})).await;
    let says_so = async || desk.get(&hindered).await["failing"].as_str().is_some_and(|why| why.contains("out of ink"));
    eventually("it says so", SOON, says_so).await;
    assert_eq!(desk.get(&hindered).await["state"], "running");
    let next = desk.begins(json!({"action": "discard", "ids": [second]})).await;
    desk.db
        .run("update dead_letter_jobs set failing_since = now() - interval '6 minutes' where failing is not null")
        .await;
    let stopped = desk.job_is(&hindered, "stopped").await;
    assert!(stopped["error"].as_str().unwrap().contains("out of ink"), "{stopped}");
    assert_eq!((counts(&stopped), &stopped["failed_letter"]), ([0, 0, 1, 0], &Value::Null));
    desk.job_is(&next, "done").await;
    desk.notebook.out_of_ink.store(false, Ordering::SeqCst);
    assert_eq!(desk.post_to(&hindered, "resume").await.0, 200);
    let done = desk.job_is(&hindered, "done").await;
    worker.end().await;
    assert_eq!((counts(&done), &done["failing"], &done["error"]), ([1, 0, 0, 0], &Value::Null, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_behind_a_letter_is_replayed_after_it_and_counted_beside_it() {
    let desk = Desk::open().await;
    let id = desk.fails("k", "poison").await;
    for behind in ["second", "third"] {
        desk.hears("k", behind).await;
    }
    desk.fails("other", "poison").await;
    desk.notebook.cure();
    let worker = desk.works();
    let job = desk.begins(json!({"action": "replay", "ids": [id]})).await;
    assert_eq!(counts(&desk.job_is(&job, "done").await), [1, 0, 0, 2]);
    worker.end().await;
    assert_eq!(heard(&desk.db, &["k", "other"]).await, ["poison", "second", "third"]);
    assert_eq!(desk.db.rows::<String>("select key from parked_keys").await, ["other"]);
}

impl Desk {
    /// The only group that there is.
    async fn group(&self) -> Value {
        let groups = self.get("/groups").await;
        assert_eq!((groups["items"].as_array().unwrap().len(), &groups["ungrouped"]), (1, &Value::Null), "{groups}");
        groups["items"][0].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_behind_a_letter_that_is_discarded_is_a_group_of_its_own_and_goes_on_by_it() {
    let desk = Desk::open().await;
    let group = desk.fails_often(3).await;
    for (key, behind) in [("k0", "second"), ("k0", "third"), ("k1", "second")] {
        desk.hears(key, behind).await;
    }
    desk.notebook.cure();
    let worker = desk.works();
    let job = desk.begins(json!({"action": "discard", "group": group})).await;
    let done = desk.job_is(&job, "done").await;
    assert_eq!((counts(&done), &done["left_behind"]), ([3, 0, 0, 0], &json!(2)), "{done}");
    let left = desk.group().await;
    assert_eq!((&left["letters"], &left["keys"]), (&json!(2), &json!(2)), "the first of each key");
    assert!(left["cause"].as_str().unwrap().starts_with("it was never tried"), "{left}");
    let job = desk.begins(json!({"action": "replay", "group": left["group"]})).await;
    let done = desk.job_is(&job, "done").await;
    worker.end().await;
    assert_eq!((counts(&done), &done["left_behind"]), ([2, 0, 0, 1], &json!(0)));
    assert_eq!(heard(&desk.db, &["k0"]).await, ["second", "third"]);
    assert_eq!((desk.db.count("dead_letters").await, desk.db.count("parked_keys").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_discards_a_whole_key_leaves_nothing_behind() {
    let desk = Desk::open().await;
    let id = desk.fails("k", "poison").await;
    desk.hears("k", "second").await;
    desk.hears("k", "third").await;
    let worker = desk.works();
    let job = desk.begins(json!({"action": "discard", "ids": [id, id + 1]})).await;
    assert_eq!(desk.job_is(&job, "done").await["left_behind"], 1, "the third");
    let job = desk.begins(json!({"action": "discard", "key": "k"})).await;
    assert_eq!(desk.job_is(&job, "done").await["left_behind"], 0);
    worker.end().await;
    assert_eq!((desk.db.count("dead_letters").await, desk.db.count("parked_keys").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_the_queue_that_a_cancelled_job_was_at_is_a_group_of_its_own() {
    let desk = Desk::open().await;
    let id = desk.fails("k", "poison").await;
    desk.hears("k", "second").await;
    desk.hears("k", "third").await;
    desk.notebook.cure();
    let gate = desk.notebook.gate.get_or_init(|| Semaphore::new(1));
    let worker = desk.works();
    let job = desk.begins(json!({"action": "replay", "ids": [id]})).await;
    eventually("it is at the second", SOON, async || desk.notebook.at_gate.load(Ordering::SeqCst) == 2).await;
    let waits = "pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let (cancelled, ()) = tokio::join!(desk.post_to(&job, "cancel"), async {
        eventually("the cancel waits", SOON, async || desk.db.count(waits).await == 1).await;
        gate.add_permits(1);
    });
    assert_eq!(cancelled.0, 200, "{}", cancelled.1);
    worker.end().await;
    assert_eq!(heard(&desk.db, &["k"]).await, ["poison", "second"]);
    assert_eq!(desk.group().await["example"], id + 2, "the third, which nobody has tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_build_left_with_nothing_ahead_of_it_is_found_when_the_worker_begins() {
    let desk = Desk::open().await;
    let id = desk.fails("k", "poison").await;
    desk.hears("k", "second").await;
    desk.fails("other", "poison").await;
    desk.hears("other", "behind").await;
    desk.db.run(format!("delete from dead_letters where id = {id}")).await;
    let worker = desk.works();
    let told = "dead_letters where error like 'it was never tried%' and group_id is not null";
    eventually("it says so", SOON, async || desk.db.count(told).await == 1).await;
    worker.end().await;
    let letter = desk.get(&format!("/{}", id + 1)).await;
    assert_eq!(letter["cause"].as_str().unwrap().split_once(':').unwrap().0, "it was never tried");
    assert_eq!(desk.db.count("dead_letters where error is null").await, 1, "what waits behind another only waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_locked_while_causes_are_found_gets_its_cause_afterwards() {
    let desk = Desk::open().await;
    let locked = desk.fails("a", "poison").await;
    desk.fails("b", "poison").await;
    desk.db.run("update dead_letters set group_id = null, cause = null").await;
    assert_eq!(desk.get("/groups").await["ungrouped"], json!({"letters": 2, "keys": 2, "example": locked}));
    let mut holder = desk.db.conn().await;
    holder.batch_execute(&format!("begin; select from dead_letters where id = {locked} for update")).await.unwrap();
    let worker = desk.works();
    let one = async || desk.get("/groups").await["ungrouped"]["letters"] == 1;
    eventually("the other has its cause", SOON, one).await;
    let job = desk.begins(json!({"action": "discard", "key": "b"})).await;
    desk.job_is(&job, "done").await; // jobs go on meanwhile
    holder.batch_execute("commit").await.unwrap();
    eventually("so has this one", SOON, async || desk.get("/groups").await["ungrouped"] == Value::Null).await;
    worker.end().await;
    assert_eq!(desk.group().await["letters"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn for_how_long_a_job_was_hindered_before_its_worker_began_anew_stops_it_not() {
    let desk = Desk::open().await;
    let id = desk.fails("k", "poison").await;
    desk.notebook.cure();
    let job = desk.begins(json!({"action": "replay", "ids": [id]})).await;
    let hindered = "update dead_letter_jobs set failing = 'away', failing_since = now() - interval '1 hour'";
    desk.db.run(hindered).await;
    desk.notebook.out_of_ink.store(true, Ordering::SeqCst);
    let worker = desk.works();
    let says_so = async || desk.get(&job).await["failing"].as_str().is_some_and(|why| why.contains("out of ink"));
    eventually("it says so", SOON, says_so).await;
    assert_eq!(desk.get(&job).await["state"], "running", "at its first hiccup");
    desk.notebook.out_of_ink.store(false, Ordering::SeqCst);
    desk.job_is(&job, "done").await;
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_replay_that_fails_finds_its_failure_noted_and_may_ask_anew() {
    let desk = Desk::open().await;
    let id = desk.fails("k", "poison").await;
    desk.db.run("update dead_letters set value = 'too long'").await;
    desk.db.run("update dead_letters set replay_requested_at = now()").await;
    let gate = desk.notebook.gate.get_or_init(|| Semaphore::new(0));
    let replays = desk.desk.clone();
    let worker = Running::start(move |stop| async move { replays.carry_out_replays(&stop).await });
    eventually("it is tried", SOON, async || desk.notebook.at_gate.load(Ordering::SeqCst) == 1).await;
    let mut editor = desk.db.conn().await;
    let edit = editor.batch_execute(
        "begin; select key from parked_keys for update; update dead_letters set value = 'mended'; \
         update dead_letters set replay_requested_at = now(); commit",
    );
    let waits = "pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let (edited, ()) = tokio::join!(edit, async {
        eventually("the edit waits", SOON, async || desk.db.count(waits).await == 1).await;
        gate.add_permits(10);
    });
    edited.unwrap();
    eventually("what was asked for anew is done", SOON, async || desk.db.count("dead_letters").await == 0).await;
    worker.end().await;
    assert_eq!(heard(&desk.db, &["k"]).await, ["mended"]);
    let ended: Vec<(i64, String)> = desk.db.rows("select id, error from dead_letters_ended").await;
    assert_eq!(ended, [(id, "the page is too small".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_a_job_in_every_topic_and_what_comes_later_is_not_part_of_it() {
    let desk = Desk::open().await;
    for topic in ["t", "u"] {
        desk.hears_record(&event(topic, "k", "poison")).await;
    }
    let job = desk.begins(json!({"action": "discard", "key": "k"})).await;
    desk.hears_record(&event("v", "k", "poison")).await;
    let worker = desk.works();
    assert_eq!(counts(&desk.job_is(&job, "done").await), [2, 0, 0, 0]);
    worker.end().await;
    assert_eq!(desk.db.rows::<String>("select topic from dead_letters").await, ["v"]);
    let ended: Vec<(String, String)> = desk.db.rows("select how, reason from dead_letters_ended").await;
    assert_eq!(ended, vec![("discarded".to_owned(), "it is mended".to_owned()); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_do_each_letter_once_and_jobs_one_after_the_other() {
    let desk = Desk::open().await;
    let group = desk.fails_often(40).await;
    desk.notebook.cure();
    let first = desk.begins(json!({"action": "replay", "group": group})).await;
    let second = desk.begins(json!({"action": "replay", "group": group})).await;
    let workers = [desk.works(), desk.works()];
    let (first, second) = (desk.job_is(&first, "done").await, desk.job_is(&second, "done").await);
    for worker in workers {
        worker.end().await;
    }
    assert_eq!(desk.heard_in_all().await, 40);
    let time = |job: &Value, name: &str| DateTime::parse_from_rfc3339(job[name].as_str().unwrap()).unwrap();
    assert!(time(&first, "finished_at") <= time(&second, "started_at"), "{first} {second}");
    assert_eq!((counts(&first), counts(&second)), ([40, 0, 0, 0], [40, 0, 0, 0]), "what others have done is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_leaves_the_rest_and_is_forgotten_after_three_months() {
    let desk = Desk::open().await;
    desk.fails("k", "poison").await;
    let job = desk.begins(json!({"action": "discard", "key": "k"})).await;
    assert_eq!(desk.post_to(&job, "pause").await.1["state"], "paused");
    assert_eq!(desk.post_to(&job, "pause").await.0, 200, "again");
    let going_on = async |is: bool| {
        let listed = desk.get(&format!("/jobs?going_on={is}")).await["items"].clone();
        listed.as_array().unwrap().len()
    };
    assert_eq!((going_on(true).await, going_on(false).await), (1, 0), "one that is paused has not ended");
    assert_eq!(desk.post_to(&job, "cancel").await.1["state"], "cancelled");
    assert_eq!(desk.post_to(&job, "resume").await.0, 409);
    assert_eq!((going_on(true).await, going_on(false).await), (0, 1));
    assert_eq!(counts(&desk.get(&job).await), [0, 0, 1, 0]);
    let listed = desk.get("/jobs?limit=1").await;
    assert_eq!((&listed["items"][0]["key"], &listed["next_cursor"]), (&json!("k"), &Value::Null));
    desk.db.run("update dead_letter_jobs set finished_at = now() - interval '91 days'").await;
    assert_eq!(prune_all(&desk.db.pool, &service_kit::dead_letters::times_to_live()).await, 1);
    assert_eq!(desk.served.read(&job).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_on_nothing_or_without_a_reason_is_refused() {
    let desk = Desk::open().await;
    desk.fails("k", "poison").await;
    let reason = "it is mended";
    for (body, status, field) in [
        (json!({"action": "replay", "group": "0123456789abcdef", "reason": reason}), 409, Value::Null),
        (json!({"action": "replay", "reason": reason}), 422, json!("group")),
        (json!({"action": "replay", "key": "k", "ids": [1], "reason": reason}), 422, json!("group")),
        (json!({"action": "replay", "ids": [], "reason": reason}), 422, json!("ids")),
        (json!({"action": "replay", "ids": vec![1; 1_001], "reason": reason}), 422, json!("ids")),
        (json!({"action": "burn", "key": "k", "reason": reason}), 422, json!("action")),
        (json!({"action": "replay", "key": "k"}), 422, json!("reason")),
    ] {
        let (given, problem) = desk.post("/jobs", &body).await;
        assert_eq!((given, &problem["errors"][0]["field"]), (status, &field), "{body}: {problem}");
    }
    assert_eq!(desk.db.count("dead_letter_jobs").await, 0);
}
