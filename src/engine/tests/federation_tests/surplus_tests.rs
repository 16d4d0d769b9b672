//! More sessions than a user may have: what counts, what does not, and when the oldest go (S-21, R8).

use super::*;
use crate::model::identity::Identity;
use crate::model::session::Attributes;

const SECOND: Duration = Duration::from_secs(1);

impl World {
    /// Has a session come here that a user began in the other data centre a moment ago.
    async fn bring_along(&self, name: &str, number: u8) -> Claim {
        self.pass(SECOND);
        let mut claim = self.foreign();
        claim.facts.sso = SsoId::from_bytes([number; 16]);
        claim.facts.subject = user(name);
        let theirs = held_by_the_peer(&claim);
        self.peer().will_say(Ok(Answer::Session(Box::new(theirs))));
        let found = self.engine.resolve(&claim, self.now()).await;
        assert!(matches!(found, Lookup::Live(_)), "{found:?}");
        claim
    }

    async fn have_missed_the_peer(&self) {
        assert_eq!(self.engine.follow(&peer()).await, Followed::Failed);
    }

    fn evicted(&self) -> Vec<SsoId> {
        let evicted = self.log().into_iter().filter_map(|end| match end {
            End::Tombstone { sso, cause, .. } => {
                assert_eq!(cause, EndCause::Evicted);
                Some(sso)
            }
            End::Moved { .. } | End::UserCutOff { .. } | End::ProviderCutOff { .. } => None,
        });
        evicted.collect()
    }
}

fn held_by_the_peer(claim: &Claim) -> Session {
    Session {
        id: claim.session,
        facts: claim.facts.clone(),
        state: SessionState::Live,
        identity: Identity {
            store: staff(),
            subject: claim.facts.subject.clone(),
            name: None,
            email: None,
            groups: Vec::new(),
            attributes: Default::default(),
        },
        last_access: claim.facts.first_authenticated,
        client_address: ADDRESS,
        held_since: claim.facts.first_authenticated,
        reserved: None,
        provider_session: None,
        attributes: Attributes::Known,
        noted: Default::default(),
        aliases: Vec::new(),
        visited: Vec::new(),
        version: 0,
    }
}

#[tokio::test]
async fn what_users_bring_along_goes_once_a_peer_is_heard_of_again_the_oldest_first_s_21_r8() {
    let world = World::beside(Peer::default());
    world.have_read_the_peer().await;
    let mut brought = Vec::new();
    for number in 1..=5 {
        brought.push(world.bring_along("alice", number).await);
    }
    for number in 11..=13 {
        brought.push(world.bring_along("bob", number).await);
    }
    world.have_read_the_peer().await;
    // A reading that failed for once is no parting.
    world.have_missed_the_peer().await;
    world.pass(SECOND);
    world.have_read_the_peer().await;
    assert!(world.evicted().is_empty(), "adoption never evicts");
    for claim in &brought {
        assert_eq!(world.request(claim), None);
    }
    for _ in 0..3 {
        world.have_missed_the_peer().await;
        world.pass(5 * SECOND);
    }
    assert!(world.evicted().is_empty(), "nobody has been heard of");
    world.have_read_the_peer().await;
    let oldest = [1, 2].map(|number| SsoId::from_bytes([number; 16]));
    assert_eq!(world.evicted(), oldest);
    for (claim, is_old) in brought.iter().zip([true, true, false, false, false, false]) {
        let expected = is_old.then_some(NotLive::Ended);
        assert_eq!(world.request(claim), expected);
    }
    world.have_missed_the_peer().await;
    world.pass(MINUTE);
    world.have_read_the_peer().await;
    assert_eq!(world.evicted().len(), 2, "that is all");
}

#[tokio::test]
async fn a_session_that_is_held_elsewhere_counts_there_mdc_time_3_x_16() {
    let world = World::beside(Peer::default());
    world.have_read_the_peer().await;
    let first = world.sign_in("alice").await;
    for _ in 1..PER_USER_MAX {
        world.sign_in("alice").await;
    }
    let moved = End::Moved {
        sso: first.facts.sso,
        holder: Rank {
            generation: Generation(1),
            cluster: peer(),
        },
        expires: first.facts.expires,
    };
    let push = Question::PushEnds { ends: vec![moved] };
    world.engine.answer(&peer(), push).await;
    world.sign_in("alice").await;
    assert!(world.evicted().is_empty());
    // The next one is too many here, and what stands elsewhere is not ended for it.
    world.sign_in("alice").await;
    let evicted = world.evicted();
    assert_eq!(evicted.len(), 1);
    assert!(!evicted.contains(&first.facts.sso));
}
