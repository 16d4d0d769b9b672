//! One engine among several, beside a peer whose answers the test writes: what it tells, takes over and
//! waits for.

use super::*;
use crate::config::mdc::SkewLimits;
use crate::decision::adoption::AdoptionPolicy;
use crate::decision::adoption::Anchor;
use crate::decision::adoption::Hop;
use crate::decision::adoption::OnMissing;
use crate::decision::adoption::OnSilence;
use crate::decision::adoption::Retrieval;
use crate::engine::federation::FederationSettings;
use crate::engine::following::Followed;
use crate::model::claim::Hint;
use crate::model::id::AdoptionId;
use crate::model::peer::Answer;
use crate::model::peer::Data;
use crate::model::peer::Question;
use crate::model::peer::Rest;
use crate::model::peer::Silence;
use crate::model::session::Generation;
use crate::model::session::Holder;
use crate::model::session::Rank;
use crate::model::session::Release;
use crate::model::session::SessionState;
use crate::ports::peer_channel::PeerChannel;
use crate::ports::peer_service::PeerService;

mod clock_tests;
mod store_name_tests;
mod surplus_tests;

/// Puts a record in the place of one that says the same.
fn rewrite(store: &MemoryStore, sso: &SsoId) {
    let Found::Record(standing) = store.find(sso) else {
        panic!("it is gone")
    };
    let replaced = store.replace_if_version(Session::clone(&standing));
    replaced.now_or_never().unwrap().unwrap();
}

/// The peer holds a session, in the generation after.
fn moved_to_peer(session: &Session) -> End {
    End::Moved {
        sso: session.facts.sso,
        holder: Rank {
            generation: Generation(session.facts.generation.0 + 1),
            cluster: peer(),
        },
        expires: session.facts.expires,
    }
}

#[tokio::test]
async fn the_visited_hosts_are_told_though_the_end_was_read_before_it_was_told_of_mdc_logout_1() {
    let world = World::beside(Peer::default());
    let session = world.sign_in("alice").await;
    let claim = claim(&session);
    world.visit(&claim, "app.test").await;
    let end = End::Tombstone {
        sso: session.facts.sso,
        cause: EndCause::LoggedOut,
        expires: session.facts.expires,
    };
    world.peer().will_say(Ok(Answer::Ends {
        incarnation: Incarnation([7; 16]),
        ends: vec![(Position(1), end.clone())],
        rest: Rest::Complete,
    }));
    assert_eq!(world.engine.follow(&peer()).await, Followed::Complete);
    assert_eq!(world.refusal(&claim), Some(NotLive::Ended));
    let push = Question::PushEnds { ends: vec![end] };
    let answer = world.engine.answer(&peer(), push.clone()).await;
    let visited = vec![host("app.test")];
    assert_eq!(answer, Answer::Noted { visited });
    world.pass(MINUTE);
    let answer = world.engine.answer(&peer(), push).await;
    let visited = Vec::new();
    assert_eq!(answer, Answer::Noted { visited }, "nobody waits now");
}

#[tokio::test]
async fn a_move_is_not_noted_while_the_record_that_is_to_give_way_keeps_changing_s_4() {
    let world = World::beside(Peer::default());
    let session = world.sign_in("alice").await;
    let sso = session.facts.sso;
    for _ in 0..16 {
        let rewrite = move |store: &MemoryStore| rewrite(store, &sso);
        world.store.before_replace(Meanwhile::new(rewrite));
    }
    let ends = vec![moved_to_peer(&session)];
    let push = Question::PushEnds { ends };
    let answer = world.engine.answer(&peer(), push.clone()).await;
    assert_eq!(answer, Answer::NotDurable);
    assert!(world.engine.is_standing(&sso));
    let answer = world.engine.answer(&peer(), push).await;
    let visited = Vec::new();
    assert_eq!(answer, Answer::Noted { visited });
    assert!(!world.engine.is_standing(&sso));
}

#[tokio::test]
async fn a_holder_that_ranks_below_one_that_is_known_gives_way_whatever_the_disk_says_s_4() {
    let world = World::beside(Peer::default());
    let session = world.sign_in("alice").await;
    let moved = world.store.inner.append(moved_to_peer(&session)).await;
    moved.unwrap();
    world.store.ends_are(Ends::Failing);
    assert!(world.engine.is_standing(&session.facts.sso));
    let announced = Rank {
        generation: session.facts.generation,
        cluster: world.engine.cluster.clone(),
    };
    let facts = &session.facts;
    world.engine.yield_to_higher(facts, Some(announced)).await;
    assert!(!world.engine.is_standing(&facts.sso));
}

#[tokio::test]
async fn a_promise_that_the_disk_does_not_take_is_not_given_and_the_session_serves_on_s_6() {
    let world = World::beside(Peer::default());
    let session = world.sign_in("alice").await;
    world.pass(MINUTE);
    world.engine.touch(&session.facts.sso, world.now());
    world.store.replaces_are(Writes::Failing);
    let question = Question::Reserve {
        facts: session.facts.clone(),
        adoption: AdoptionId::from_bytes([1; 16]),
        data: Data::All,
    };
    let answer = world.engine.answer(&peer(), question).await;
    assert_eq!(answer, Answer::NotDurable);
    assert!(world.serves(&session));
}

#[tokio::test]
async fn a_peer_that_is_there_and_will_not_speak_makes_no_session_s_8() {
    for (said, expected) in [
        (Silence::Unreachable, None),
        (Silence::Protocol, Some(NotLive::Unanswered)),
    ] {
        let world = World::beside(Peer::default());
        let theirs = world.foreign();
        world.have_read_the_peer().await;
        world.peer().will_always_say(said);
        let found = world.engine.resolve(&theirs, world.now()).await;
        let refusal = match found {
            Lookup::NotLive(why) => Some(why),
            Lookup::Live(_) | Lookup::Unknown => None,
        };
        assert_eq!(refusal, expected, "{said:?}");
    }
}

/// The refusal of a claim as it is judged at a place, and how long that took.
async fn judged_at(world: &World, place: Place, claim: &Claim) -> (Option<NotLive>, Duration) {
    let mut claim = claim.clone();
    claim.presented.at = place;
    let begun = world.now();
    let refusal = match world.engine.judge(&claim, begun).await {
        Lookup::NotLive(why) => Some(why),
        Lookup::Live(_) | Lookup::Unknown => None,
    };
    (refusal, world.now().since(begun))
}

#[tokio::test]
async fn a_page_that_leads_to_the_collector_waits_for_a_silent_data_centre_once_s_7() {
    let policy = AdoptionPolicy {
        on_silence: OnSilence::Challenge,
        ..POLICY
    };
    let unanswered = Some(NotLive::Unanswered);
    let world = World::adopting_by(policy, Peer::default());
    let theirs = world.foreign();
    world.have_read_the_peer().await;
    // What fails at once is tried again: it may be there by now.
    let before = world.peer().asked();
    for place in [Place::Application, Place::Collector] {
        let judged = judged_at(&world, place, &theirs).await;
        assert_eq!(judged, (unanswered, Duration::ZERO));
    }
    assert_eq!(world.peer().asked(), before + 2);
    world.pass(MINUTE);
    world.peer().hangs(&world);
    let judged = judged_at(&world, Place::Application, &theirs).await;
    assert_eq!(judged, (unanswered, policy.attempt_limit));
    let judged = judged_at(&world, Place::Collector, &theirs).await;
    assert_eq!(judged, (unanswered, Duration::ZERO));
    assert_eq!(world.peer().asked(), before + 3);
    world.pass(Duration::from_secs(2));
    let judged = judged_at(&world, Place::Collector, &theirs).await;
    assert_eq!(judged, (unanswered, policy.attempt_limit), "after a while");
}

#[tokio::test]
async fn an_access_that_a_silent_data_centre_may_know_of_is_asked_for_once_for_a_page_s_7_s_20() {
    let world = World::beside(Peer::default());
    world.have_read_the_peer().await;
    let session = world.sign_in("alice").await;
    let mut claim = claim(&session);
    claim.hints.push(Hint {
        holder: Holder {
            cluster: peer(),
            session: session.id,
        },
        last_access: world.now(),
    });
    world.pass(IDLE);
    world.have_read_the_peer().await;
    world.peer().hangs(&world);
    let unanswered = Some(NotLive::Unanswered);
    let judged = judged_at(&world, Place::Application, &claim).await;
    assert_eq!(judged, (unanswered, POLICY.attempt_limit));
    let judged = judged_at(&world, Place::Collector, &claim).await;
    assert_eq!(judged, (unanswered, Duration::ZERO));
}

#[tokio::test]
async fn a_session_whose_cookie_names_an_unheard_data_centre_is_honoured_while_the_lease_lasts_s_16_r2()
 {
    let world = World::beside(Peer::default());
    world.have_read_the_peer().await;
    let session = world.sign_in("alice").await;
    let own = claim(&session);
    let mut hopped = own.clone();
    hopped.hints.push(Hint {
        holder: Holder {
            cluster: peer(),
            session: session.id,
        },
        last_access: world.now(),
    });
    let mut issued_there = own.clone();
    issued_there.cluster = peer();
    for claim in [&own, &hopped, &issued_there] {
        assert_eq!(world.request(claim), None);
    }
    // The record knows nothing of the peer: it went on from the cookie there.
    for _ in 0..3 {
        world.pass(IDLE / 2);
        assert_eq!(world.request(&own), None);
    }
    for claim in [&hopped, &issued_there] {
        assert_eq!(world.request(claim), Some(NotLive::LeaseOver));
    }
    world.have_read_the_peer().await;
    assert_eq!(world.request(&hopped), None);
}

#[tokio::test]
async fn a_session_that_went_with_its_user_is_told_to_peers_as_ended_s_7_mdc_adopt_2() {
    let world = World::beside(Peer::default());
    let session = world.sign_in("alice").await;
    world
        .engine
        .end_all(&staff(), &user("alice"))
        .await
        .unwrap();
    let facts = session.facts.clone();
    let session = session.id;
    for question in [
        Question::Fetch {
            facts: facts.clone(),
            session,
        },
        Question::LastAccess { facts },
    ] {
        assert_eq!(world.engine.answer(&peer(), question).await, Answer::Ended);
    }
}

#[tokio::test]
async fn a_cut_off_reaches_sessions_of_a_clock_that_is_as_far_ahead_as_is_honoured_s_15_s_22() {
    let world = World::beside(Peer::default());
    world.have_read_the_peer().await;
    world
        .engine
        .end_all(&staff(), &user("alice"))
        .await
        .unwrap();
    let mut ahead = world.foreign();
    ahead.facts.first_authenticated = world.now().after(Duration::from_secs(100));
    assert_eq!(world.refusal(&ahead), Some(NotLive::Ended));
}

#[tokio::test]
async fn a_copy_that_waits_for_its_release_answers_a_lower_holder_with_its_own_rank_s_4_s_14() {
    let world = World::beside(Peer::default());
    let session = world.sign_in("alice").await;
    let mut pending = Session::clone(&session);
    pending.facts.generation = Generation(2);
    pending.state = SessionState::Pending(Release {
        adoption: AdoptionId::from_bytes([1; 16]),
        from: peer(),
        generation: Generation(1),
        version: 0,
    });
    world.store.inner.replace_if_version(pending).await.unwrap();
    let end = End::Moved {
        sso: session.facts.sso,
        holder: Rank {
            generation: Generation(1),
            cluster: ClusterId::parse("east").unwrap(),
        },
        expires: session.facts.expires,
    };
    let push = Question::PushEnds { ends: vec![end] };
    world.engine.answer(&peer(), push).await;
    let own = world.log().into_iter().any(|end| {
        matches!(end, End::Moved { holder, .. } if holder.cluster == cluster() && holder.generation == Generation(2))
    });
    assert!(own, "{:?}", world.log());
}

#[tokio::test]
async fn a_peer_that_is_not_configured_is_told_nothing_s_7() {
    let world = World::beside(Peer::default());
    let session = world.sign_in("alice").await;
    let facts = session.facts.clone();
    let stranger = ClusterId::parse("east").unwrap();
    let question = Question::LastAccess { facts };
    let answer = world.engine.answer(&stranger, question).await;
    assert!(matches!(answer, Answer::Refused(_)), "{answer:?}");
}

#[tokio::test]
async fn what_is_idle_here_and_in_use_elsewhere_outlives_the_sweep_until_somebody_asks_s_20() {
    let world = World::beside(Peer::default());
    let session = world.sign_in("alice").await;
    let mut visited_elsewhere = Session::clone(&session);
    visited_elsewhere.note_alias(Holder {
        cluster: peer(),
        session: session.id,
    });
    let noted = world.store.replace_if_version(visited_elsewhere).await;
    assert!(matches!(noted, Ok(Replaced::Replaced)));
    let mut watch = world.engine.watch_ended();
    let claim = claim(&session);
    // What the check of a stream does: it judges, and is no access.
    let check = async || world.engine.judge(&claim, world.now()).await;
    world.pass(IDLE);
    world.have_read_the_peer().await;
    world.engine.sweep().await.unwrap();
    assert!(announced(&mut watch).is_empty(), "its streams go on");
    let used = world.now().before(MINUTE);
    world.peer().will_say(Ok(Answer::LastAccess(used)));
    assert!(matches!(check().await, Lookup::Live(_)));
    assert!(matches!(check().await, Lookup::Live(_)), "nobody is asked");
    world.pass(IDLE - MINUTE);
    world.have_read_the_peer().await;
    world.engine.sweep().await.unwrap();
    let silent = check().await;
    assert!(matches!(silent, Lookup::NotLive(NotLive::Unanswered)));
    assert!(world.record(&session).is_some());
    world.pass(MINUTE);
    world.engine.sweep().await.unwrap();
    assert_eq!(announced(&mut watch), [session.facts.sso]);
    assert!(world.record(&session).is_none() && world.log().is_empty());
}

#[tokio::test]
async fn what_went_for_want_of_requests_here_is_taken_up_from_where_it_was_last_mdc_adopt_5_mdc_fail_4()
 {
    let stranger = || ClusterId::parse("east").unwrap();
    for (issued_by, last_used_at, expected) in [
        (cluster(), peer(), None),
        // Nobody else has had it: whatever became of it here is the last word.
        (cluster(), cluster(), Some(NotLive::Missing)),
        (stranger(), peer(), Some(NotLive::Unanswered)),
    ] {
        let world = World::beside(Peer::default());
        let session = world.sign_in("alice").await;
        world.pass(IDLE + MINUTE);
        world.have_read_the_peer().await;
        world.engine.sweep().await.unwrap();
        assert!(world.record(&session).is_none());
        let used = world.now().before(MINUTE);
        let mut claim = claim(&session);
        claim.cluster = issued_by;
        claim.last_access = Some(used);
        claim.hints.push(Hint {
            holder: Holder {
                cluster: last_used_at.clone(),
                session: session.id,
            },
            last_access: used,
        });
        world.peer().will_always_say(Silence::Unreachable);
        let judged = judged_at(&world, Place::Collector, &claim).await;
        assert_eq!(judged.0, expected, "{} then {last_used_at}", claim.cluster);
        world.end(&session).await;
        let judged = judged_at(&world, Place::Application, &claim).await;
        assert_eq!(judged.0, Some(NotLive::Ended));
    }
}

#[tokio::test]
async fn a_log_read_beyond_its_end_was_put_back_and_is_told_anew_from_the_beginning_s_15() {
    let world = World::beside(Peer::default());
    let session = world.sign_in("alice").await;
    world.end(&session).await;
    let (own, entries) = (world.store.incarnation(), world.store.since(Position(0), 9));
    let pull = async |incarnation, after| {
        let question = Question::PullEnds { incarnation, after };
        let answer = world.engine.answer(&peer(), question).await;
        let Answer::Ends {
            incarnation, ends, ..
        } = answer
        else {
            panic!("{answer:?}");
        };
        (incarnation, ends)
    };
    let head = entries.last().unwrap().0;
    assert_eq!(pull(own, head).await, (own, Vec::new()));
    let (renewed, told) = pull(own, Position(head.0 + 1)).await;
    assert_ne!(renewed, own);
    assert_eq!(told, entries);
    for (incarnation, after, expected) in [
        (own, Position(head.0 + 1), entries),
        (renewed, head, Vec::new()),
    ] {
        assert_eq!(pull(incarnation, after).await, (renewed, expected));
    }
}

impl World {
    /// An engine that has a peer.
    fn beside(peer: Peer) -> Self {
        Self::adopting_by(POLICY, peer)
    }

    fn adopting_by(policy: AdoptionPolicy, peer: Peer) -> Self {
        let settings = FederationSettings {
            adoption: policy,
            partition_lease: IDLE,
            min_hold: Duration::from_millis(250),
            reservation_lapse: Duration::from_secs(10),
            skew: SkewLimits {
                allowance: Duration::from_secs(30),
                hard: Duration::from_secs(120),
            },
            adoptions_per_peer_max: 8,
            adoptions_per_address_max: 8,
            keys: Vec::new(),
        };
        Self::with(Arc::new(peer), Some(settings))
    }

    fn peer(&self) -> &Peer {
        &self.peer
    }

    /// A claim on a session that the peer holds.
    fn foreign(&self) -> Claim {
        let begun = self.now();
        Claim {
            facts: SsoFacts {
                sso: SsoId::from_bytes([5; 16]),
                subject: user("alice"),
                store: staff(),
                first_authenticated: begun,
                expires: begun.after(LIFETIME),
                generation: Generation::default(),
                level: level(20),
                level_reached: begun,
            },
            cluster: peer(),
            session: crate::model::id::SessionId::from_bytes([6; 16]),
            hints: Vec::new(),
            last_access: Some(begun),
            presented: Presented {
                at: Place::Application,
                client_address: ADDRESS,
                limits: HostLimits::NONE,
            },
        }
    }

    async fn have_read_the_peer(&self) {
        self.peer().will_say(Ok(Answer::Ends {
            incarnation: Incarnation([7; 16]),
            ends: Vec::new(),
            rest: Rest::Complete,
        }));
        assert_eq!(self.engine.follow(&peer()).await, Followed::Complete);
    }
}

const POLICY: AdoptionPolicy = AdoptionPolicy {
    anchor: Anchor::Free,
    retrieval: Retrieval::Fetch,
    hop: Hop::Silent,
    retries: 0,
    attempt_limit: Duration::from_secs(1),
    on_missing: OnMissing::Challenge,
    on_silence: OnSilence::Continue,
};
const MINUTE: Duration = Duration::from_secs(60);

fn peer() -> ClusterId {
    ClusterId::parse("south").unwrap()
}

/// A peer that says what the test wrote.
pub(super) struct Peer {
    name: Vec<ClusterId>,
    says: Mutex<VecDeque<Result<Answer, Silence>>>,
    always: Mutex<Silence>,
    /// What every question takes, on this clock.
    takes: Mutex<Option<(Arc<TestClock>, Duration)>>,
    asked: AtomicUsize,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            name: vec![peer()],
            says: Mutex::default(),
            always: Mutex::new(Silence::Unreachable),
            takes: Mutex::default(),
            asked: AtomicUsize::new(0),
        }
    }
}

impl Peer {
    fn will_say(&self, answer: Result<Answer, Silence>) {
        self.says.lock().push_back(answer);
    }

    /// What is said when nothing else was written.
    fn will_always_say(&self, silence: Silence) {
        *self.always.lock() = silence;
    }

    /// Accepts every question and lets the asker wait.
    fn hangs(&self, world: &World) {
        self.will_always_say(Silence::TimedOut);
        let clock = Arc::clone(&world.clock);
        *self.takes.lock() = Some((clock, POLICY.attempt_limit));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl PeerChannel for Peer {
    fn peers(&self) -> &[ClusterId] {
        &self.name
    }

    async fn ask(&self, _: &ClusterId, _: Question, _: Duration) -> Result<Answer, Silence> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some((clock, span)) = self.takes.lock().as_ref() {
            clock.set(clock.now().after(*span));
        }
        let next = self.says.lock().pop_front();
        next.unwrap_or_else(|| Err(*self.always.lock()))
    }
}
