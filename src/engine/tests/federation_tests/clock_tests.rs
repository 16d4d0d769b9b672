//! The clock of a peer: measured in each hello, and what it leads to (S-22, MDC-TIME-2).

use super::*;
use crate::decision::following::skew::Offset;
use crate::decision::following::skew::Side;
use crate::decision::following::skew::Skew;
use crate::model::peer::Greeting;

impl World {
    /// Greets the peer, whose clock is this far ahead.
    async fn greet(&self, ahead: Duration) -> Followed {
        self.peer().will_say(Ok(Answer::Hello(Greeting {
            cluster: peer(),
            incarnation: Incarnation([7; 16]),
            version: "1".to_owned(),
            now: self.now().after(ahead),
            keys: Vec::new(),
            seals: None,
            stores: vec![staff()],
        })));
        self.engine.greet(&peer()).await
    }

    fn measured(&self) -> Option<(Offset, Skew)> {
        self.engine.peers().first().and_then(|peer| peer.clock)
    }
}

#[tokio::test]
async fn each_hello_measures_the_clock_of_the_peer_s_22_mdc_time_2() {
    let world = World::beside(Peer::default());
    assert_eq!(world.measured(), None, "before the first hello");
    for (seconds, skew) in [
        (0, Skew::Within),
        (30, Skew::Within),
        (31, Skew::Allowed),
        (120, Skew::Allowed),
        (121, Skew::Beyond),
        (5, Skew::Within),
    ] {
        let size = Duration::from_secs(seconds);
        assert_eq!(world.greet(size).await, Followed::Complete);
        let side = Side::Ahead;
        assert_eq!(world.measured(), Some((Offset { size, side }, skew)));
    }
    // A hello that gets no answer measures nothing, and what was measured stands.
    assert_eq!(world.engine.greet(&peer()).await, Followed::Failed);
    assert!(matches!(world.measured(), Some((_, Skew::Within))));
}

#[tokio::test]
async fn beyond_the_hard_limit_sessions_do_not_move_and_ends_do_s_22_s_8() {
    let world = World::beside(Peer::default());
    world.have_read_the_peer().await;
    let session = world.sign_in("alice").await;
    world.greet(Duration::from_secs(121)).await;

    // Nothing is adopted, not even from the cookie: this is no silence.
    let theirs = world.foreign();
    let found = world.engine.resolve(&theirs, world.now()).await;
    assert!(matches!(found, Lookup::NotLive(NotLive::Skew)), "{found:?}");
    let refused = world.engine.adoptions().into_iter();
    let refused: Vec<_> = refused.filter(|(_, count)| *count > 0).collect();
    assert_eq!(refused, [("clock_skew", 1)]);
    // Nothing is given either.
    let fetch = Question::Fetch {
        facts: session.facts.clone(),
        session: session.id,
    };
    let answer = world.engine.answer(&peer(), fetch).await;
    assert_eq!(answer, Answer::Refused(crate::model::peer::Refusal::Skew));
    // An end is an end (S-15).
    let end = End::Tombstone {
        sso: session.facts.sso,
        cause: EndCause::LoggedOut,
        expires: session.facts.expires,
    };
    let push = Question::PushEnds { ends: vec![end] };
    let answer = world.engine.answer(&peer(), push).await;
    assert!(matches!(answer, Answer::Noted { .. }), "{answer:?}");
    let claim = claim(&session);
    assert_eq!(world.refusal(&claim), Some(NotLive::Ended));
}

#[tokio::test]
async fn a_clock_that_was_put_right_lets_sessions_move_again_s_22() {
    let world = World::beside(Peer::default());
    let session = world.sign_in("alice").await;
    let asked = || Question::LastAccess {
        facts: session.facts.clone(),
    };
    world.greet(Duration::from_secs(121)).await;
    let answer = world.engine.answer(&peer(), asked()).await;
    assert!(matches!(answer, Answer::Refused(_)), "{answer:?}");
    world.greet(Duration::from_secs(1)).await;
    let answer = world.engine.answer(&peer(), asked()).await;
    assert!(matches!(answer, Answer::LastAccess(_)), "{answer:?}");
}

#[tokio::test]
async fn what_a_peer_has_not_read_of_the_end_log_is_pending_s_15() {
    let world = World::beside(Peer::default());
    let pending = || world.engine.peers().first().unwrap().ends_pending;
    assert_eq!(pending(), 0);
    for name in ["alice", "bob"] {
        let session = world.sign_in(name).await;
        world.end(&session).await;
    }
    assert_eq!(pending(), 2);
    let entries = world.store.since(Position::default(), usize::MAX);
    let pull = |after| Question::PullEnds {
        incarnation: world.store.incarnation(),
        after,
    };
    world
        .engine
        .answer(&peer(), pull(Position::default()))
        .await;
    assert_eq!(pending(), 2, "read is what it says to have read");
    world.engine.answer(&peer(), pull(entries[0].0)).await;
    assert_eq!(pending(), 1);
    world.engine.answer(&peer(), pull(entries[1].0)).await;
    assert_eq!(pending(), 0);
}
