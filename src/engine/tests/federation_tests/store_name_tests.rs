//! Identity stores that are called differently in two data centres (MDC-ADOPT-8, M-044).

use super::*;
use crate::engine::following::Stores;
use crate::model::peer::Greeting;
use crate::model::peer::Refusal;

impl World {
    /// Greets the peer, which has these identity stores.
    async fn hear_of(&self, stores: &[&str]) -> Option<Stores> {
        let stores = stores.iter().map(|name| StoreName::parse(name).unwrap());
        self.peer().will_say(Ok(Answer::Hello(Greeting {
            cluster: peer(),
            incarnation: Incarnation([7; 16]),
            version: "1".to_owned(),
            now: self.now(),
            keys: Vec::new(),
            seals: None,
            stores: stores.collect(),
        })));
        assert_eq!(self.engine.greet(&peer()).await, Followed::Complete);
        self.engine.peers().first().and_then(|peer| peer.stores)
    }
}

#[tokio::test]
async fn each_hello_tells_whether_identity_stores_have_the_same_name_mdc_adopt_8_m_044() {
    let world = World::beside(Peer::default());
    let known = world.engine.peers().first().and_then(|peer| peer.stores);
    assert_eq!(known, None, "before the first hello");
    for (named, expected) in [
        (&["staff"][..], Stores::Same),
        (&["people"], Stores::Differ),
        (&[], Stores::Differ),
        (&["staff", "people"], Stores::Differ),
        (&["staff"], Stores::Same),
    ] {
        assert_eq!(world.hear_of(named).await, Some(expected), "{named:?}");
    }
}

#[tokio::test]
async fn a_session_of_an_unknown_store_is_refused_with_that_reason_on_both_sides_mdc_adopt_8() {
    let world = World::beside(Peer::default());
    world.have_read_the_peer().await;
    let mut theirs = world.foreign();
    let refused = Answer::Refused(Refusal::UnknownStore);
    world.peer().will_say(Ok(refused.clone()));
    let found = world.engine.resolve(&theirs, world.now()).await;
    assert!(
        matches!(found, Lookup::NotLive(NotLive::UnknownStore)),
        "{found:?}"
    );
    let outcomes = world.engine.adoptions().into_iter();
    let outcomes: Vec<_> = outcomes.filter(|(_, count)| *count > 0).collect();
    assert_eq!(outcomes, [("unknown_store", 1)]);
    theirs.facts.store = StoreName::parse("people").unwrap();
    for question in [
        Question::Fetch {
            facts: theirs.facts.clone(),
            session: theirs.session,
        },
        Question::Reserve {
            facts: theirs.facts.clone(),
            adoption: AdoptionId::from_bytes([1; 16]),
            data: Data::All,
        },
    ] {
        assert_eq!(world.engine.answer(&peer(), question).await, refused);
    }
}
