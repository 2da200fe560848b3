//! What the coordinator of groups does with a store that puts its groups right.

use tansu_broker::coordinator::group::{Coordinator, administrator::Controller};
use tansu_sans_io::{Body, JoinGroupResponse, join_group_request::JoinGroupRequestProtocol};
use tansu_storage::StorageContainer;
use url::Url;

use super::Exact;

const GROUP: &str = "order-svc";

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
        .join(Some("client"), GROUP, 6_000, Some(30_000), member, None, "consumer", Some(&[protocol]), None)
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
