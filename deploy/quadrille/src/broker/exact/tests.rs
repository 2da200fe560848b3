//! What the coordinator of groups does with a store that puts its groups right.

use std::{collections::BTreeMap, time::Duration};
use tansu_broker::coordinator::group::{Coordinator, administrator::Controller};

use tansu_sans_io::{
    Body, ErrorCode, JoinGroupResponse, SyncGroupResponse, join_group_request::JoinGroupRequestProtocol,
    sync_group_request::SyncGroupRequestAssignment,
};
use tansu_storage::StorageContainer;
use url::Url;

use service_kit::testing::eventually;

use super::Exact;

const GROUP: &str = "order-svc";
/// In milliseconds: after so long without a heartbeat a member is given up. Whoever joins and isn't the leader is kept
/// waiting three seconds.
const SESSION: i32 = 5_500;

async fn groups() -> Controller<Exact> {
    let builder = StorageContainer::builder().node_id(1).cluster_id("quadrille").silent(true);
    let (listener, memory) = ("tcp://127.0.0.1:9092", "memory://quadrille/");
    let builder = builder.advertised_listener(Url::parse(listener).unwrap()).storage(Url::parse(memory).unwrap());
    Controller::with_storage(Exact::new(builder.build().await.unwrap())).unwrap()
}

/// A member that owns these partitions asks to be let in.
async fn join(groups: &mut Controller<Exact>, member: &str, owned: &'static str) -> JoinGroupResponse {
    let protocol = JoinGroupRequestProtocol::default().name("cooperative-sticky".to_owned()).metadata(owned.into());
    let answer = groups
        .join(Some("client"), GROUP, SESSION, Some(30_000), member, None, "consumer", Some(&[protocol]), None)
        .await;
    match answer.unwrap() {
        Body::JoinGroupResponse(answer) => answer,
        other => panic!("{other:?}"),
    }
}

/// A new member, under the name that it is given.
async fn newcomer(groups: &mut Controller<Exact>) -> String {
    let named = join(groups, "", "").await.member_id;
    join(groups, &named, "").await;
    named
}

/// What a member that shares these out is answered; who shares nothing out follows.
async fn sync(
    groups: &mut Controller<Exact>,
    member: &str,
    generation: i32,
    shares: &BTreeMap<&str, &'static str>,
) -> SyncGroupResponse {
    let share = |(member, share): (&&str, &&'static str)| {
        SyncGroupRequestAssignment::default().member_id((*member).to_owned()).assignment((*share).into())
    };
    let shares: Vec<_> = shares.iter().map(share).collect();
    let kind = (Some("consumer"), Some("cooperative-sticky"));
    match groups.sync(GROUP, generation, member, None, kind.0, kind.1, Some(&shares)).await.unwrap() {
        Body::SyncGroupResponse(answer) => answer,
        other => panic!("{other:?}"),
    }
}

/// What a member hears that says it is alive.
async fn heartbeat(groups: &mut Controller<Exact>, member: &str, generation: i32) -> i16 {
    match groups.heartbeat(GROUP, generation, member, None).await.unwrap() {
        Body::HeartbeatResponse(answer) => answer.error_code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn whoever_comes_after_a_member_that_died_is_given_what_it_had() {
    let mut groups = groups().await;
    let dead = newcomer(&mut groups).await;
    let joined = join(&mut groups, &dead, "").await;
    let whole = sync(&mut groups, &dead, joined.generation_id, &BTreeMap::from([(dead.as_str(), "all")])).await;
    assert_eq!(&whole.assignment[..], b"all");

    // it joins while the other is not given up yet, and follows it
    let next = newcomer(&mut groups).await;
    let generation = join(&mut groups, &dead, "").await.generation_id;
    assert_eq!(heartbeat(&mut groups, &next, generation).await, i16::from(ErrorCode::None));
    let joined = join(&mut groups, &next, "").await;
    assert_eq!((joined.error_code, joined.leader.as_str()), (i16::from(ErrorCode::None), dead.as_str()));
    let nothing = sync(&mut groups, &next, joined.generation_id, &BTreeMap::new()).await;
    assert_eq!(nothing.error_code, i16::from(ErrorCode::RebalanceInProgress), "it isn't left with nothing");

    let joined = join(&mut groups, &next, "").await;
    assert_eq!((joined.leader.as_str(), joined.members.map(|all| all.len())), (next.as_str(), Some(1)));
    let whole = sync(&mut groups, &next, joined.generation_id, &BTreeMap::from([(next.as_str(), "all")])).await;
    assert_eq!(&whole.assignment[..], b"all");
}

#[tokio::test]
async fn what_a_dead_member_had_is_shared_out_among_those_who_are_left() {
    let mut groups = groups().await;
    let first = newcomer(&mut groups).await;
    let second = newcomer(&mut groups).await;
    let joined = join(&mut groups, &first, "").await;
    let halves = BTreeMap::from([(first.as_str(), "one half"), (second.as_str(), "the other")]);
    let half = sync(&mut groups, &first, joined.generation_id, &halves).await;
    assert_eq!(&half.assignment[..], b"one half");

    eventually("the dead one is missed", Duration::from_secs(30), async || {
        heartbeat(&mut groups.clone(), &first, joined.generation_id).await == i16::from(ErrorCode::RebalanceInProgress)
    })
    .await;
    let joined = join(&mut groups, &first, "").await;
    assert_eq!((joined.leader.as_str(), joined.members.map(|all| all.len())), (first.as_str(), Some(1)));
    let whole = sync(&mut groups, &first, joined.generation_id, &BTreeMap::from([(first.as_str(), "all")])).await;
    assert_eq!(&whole.assignment[..], b"all");
}

#[tokio::test]
async fn when_the_leader_leaves_in_the_middle_of_a_rebalance_the_next_to_join_leads() {
    let mut groups = groups().await;
    let first = newcomer(&mut groups).await;
    let second = newcomer(&mut groups).await;
    assert_eq!(join(&mut groups, &first, "").await.leader, first);
    groups.leave(GROUP, Some(&first), None).await.unwrap();
    let answer = join(&mut groups, &second, "").await;
    assert_eq!(answer.leader, second);
    let members: Vec<_> = answer.members.unwrap().into_iter().map(|member| member.member_id).collect();
    assert_eq!(members, [second]);
}
