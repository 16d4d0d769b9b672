//! Release between three data centres over a network that doubles, delays and reorders whatever is said:
//! never two holders, never none once every outcome is known, no generation given away twice (S-4, S-6).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::time::Duration;

use portway::decision::release::Change;
use portway::decision::release::Commit;
use portway::decision::release::Holding;
use portway::decision::release::Known;
use portway::decision::release::Reply;
use portway::decision::release::Reserve;
use portway::decision::release::abort;
use portway::decision::release::commit;
use portway::decision::release::fetch;
use portway::decision::release::moved;
use portway::decision::release::reserve;
use portway::model::id::AdoptionId;
use portway::model::id::SessionId;
use portway::model::id::SsoId;
use portway::model::identity::AuthLevel;
use portway::model::identity::Identity;
use portway::model::name::ClusterId;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::peer::Answer;
use portway::model::peer::Data;
use portway::model::session::Attributes;
use portway::model::session::Generation;
use portway::model::session::Rank;
use portway::model::session::Release;
use portway::model::session::Session;
use portway::model::session::SessionState;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use super::cases;

const NODES: usize = 3;
const BEGAN: Timestamp = Timestamp::from_millis(1_000_000);
const HOLD: Duration = Duration::from_millis(250);
const LAPSE: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_hours(1);

/// What happens next; numbers are taken modulo what there is.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A request without a session here comes to `who`, whose cookie names `whom`.
    Adopt { who: usize, whom: usize },
    /// Whoever serves tells another that it does.
    Announce { to: usize },
    /// A message arrives; it may arrive again.
    Deliver(usize),
    /// The latest message arrives.
    DeliverLatest,
    /// No answer to a reservation came in time.
    GiveUp { who: usize },
    /// Time passes.
    Pass(u64),
    /// What waits for an answer is said again.
    Repeat { who: usize },
    /// A request is permitted by whoever serves.
    Touch,
    /// The record of whoever serves changes.
    Visit,
}

fn event() -> impl Strategy<Value = Event> {
    let node = || 0..NODES;
    prop_oneof![
        3 => (node(), node()).prop_map(|(who, whom)| Event::Adopt { who, whom }),
        1 => node().prop_map(|to| Event::Announce { to }),
        3 => any::<usize>().prop_map(Event::Deliver),
        6 => Just(Event::DeliverLatest),
        1 => node().prop_map(|who| Event::GiveUp { who }),
        2 => (0_u64..12_000).prop_map(Event::Pass),
        1 => node().prop_map(|who| Event::Repeat { who }),
        1 => Just(Event::Touch),
        1 => Just(Event::Visit),
    ]
}

#[derive(Clone, Debug)]
enum Said {
    Abort(AdoptionId),
    Commit(Commit),
    Moved(Rank),
    Reserve(SsoFacts, AdoptionId),
}

/// Which question of which adoption an answer belongs to.
#[derive(Clone, Copy, Debug)]
enum About {
    Commit(AdoptionId),
    Reserve(AdoptionId),
}

#[derive(Clone, Debug)]
enum Message {
    Answer {
        to: usize,
        about: About,
        answer: Answer,
    },
    Question {
        from: usize,
        to: usize,
        said: Said,
    },
}

struct Node {
    record: Option<Session>,
    last_access: Timestamp,
    /// The reservation that an answer is waited for, and whom it was asked of.
    waiting: Option<(AdoptionId, usize)>,
    /// The highest generation heard of.
    seen: Generation,
}

struct World {
    now: Timestamp,
    nodes: Vec<Node>,
    /// Everything ever said: any of it may arrive, and arrive again.
    said: Vec<Message>,
    adoptions: u8,
    given_away: BTreeMap<Generation, AdoptionId>,
    last_touch: Timestamp,
}

impl World {
    fn new() -> Self {
        let node = |at: usize| Node {
            record: (at == 0).then(record),
            last_access: BEGAN,
            waiting: None,
            seen: Generation(0),
        };
        Self {
            now: BEGAN.after(HOLD),
            nodes: (0..NODES).map(node).collect(),
            said: Vec::new(),
            adoptions: 0,
            given_away: BTreeMap::new(),
            last_touch: BEGAN,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Adopt { who, whom } => self.adopt(who, whom),
            Event::Announce { to } => {
                if let Some(from) = self.serving() {
                    let generation = self.record(from).facts.generation;
                    let cluster = cluster(from);
                    let rank = Rank {
                        generation,
                        cluster,
                    };
                    self.say(from, to, Said::Moved(rank));
                }
            }
            Event::Deliver(which) => {
                if !self.said.is_empty() {
                    let which = which % self.said.len();
                    self.deliver(self.said[which].clone());
                }
            }
            Event::DeliverLatest => {
                if let Some(message) = self.said.last().cloned() {
                    self.deliver(message);
                }
            }
            Event::GiveUp { who } => {
                if let Some((adoption, whom)) = self.nodes[who].waiting.take() {
                    self.say(who, whom, Said::Abort(adoption));
                }
            }
            Event::Pass(millis) => self.now = self.now.after(Duration::from_millis(millis)),
            Event::Repeat { who } => self.repeat(who),
            Event::Touch => {
                if let Some(who) = self.serving() {
                    self.nodes[who].last_access = self.now;
                    self.last_touch = self.now;
                }
            }
            Event::Visit => {
                if let Some(who) = self.serving() {
                    self.nodes[who].record.as_mut().unwrap().version += 1;
                }
            }
        }
        self.check();
    }

    fn adopt(&mut self, who: usize, whom: usize) {
        let node = &self.nodes[who];
        let serves_later = matches!(&node.record, Some(record)
            if matches!(record.state, SessionState::Live | SessionState::Pending(_)));
        if who == whom || serves_later || node.waiting.is_some() {
            return;
        }
        self.adoptions += 1;
        let adoption = AdoptionId::from_bytes([self.adoptions; 16]);
        self.nodes[who].waiting = Some((adoption, whom));
        self.repeat(who);
    }

    fn repeat(&mut self, who: usize) {
        if let Some((adoption, whom)) = self.nodes[who].waiting {
            let facts = SsoFacts {
                generation: self.nodes[who].seen,
                ..facts()
            };
            self.say(who, whom, Said::Reserve(facts, adoption));
        }
        if let Some((question, from)) = self.open_commit(who) {
            self.say(who, from, Said::Commit(question));
        }
    }

    /// What a pending copy has to ask, and of whom.
    fn open_commit(&self, who: usize) -> Option<(Commit, usize)> {
        let record = self.nodes[who].record.as_ref()?;
        let SessionState::Pending(release) = &record.state else {
            return None;
        };
        let question = Commit {
            adoption: release.adoption,
            version: release.version,
            generation: record.facts.generation,
            session: record.id,
        };
        let from = (0..NODES).find(|at| cluster(*at) == release.from)?;
        Some((question, from))
    }

    fn say(&mut self, from: usize, to: usize, said: Said) {
        self.said.push(Message::Question { from, to, said });
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::Answer { to, about, answer } => self.take(to, about, answer),
            Message::Question { from, to, said } => {
                if let Some((about, answer)) = self.answer(from, to, &said) {
                    self.said.push(Message::Answer {
                        to: from,
                        about,
                        answer,
                    });
                }
            }
        }
    }

    fn answer(&mut self, from: usize, to: usize, said: &Said) -> Option<(About, Answer)> {
        let asker = cluster(from);
        match said {
            Said::Abort(adoption) => {
                self.hold(to, |holding, known| {
                    abort(holding, known, &asker, *adoption)
                });
                None
            }
            Said::Commit(question) => {
                let answer = self.hold(to, |holding, known| {
                    commit(holding, known, &asker, question)
                });
                if let Answer::Committed(_) = answer {
                    let before = self
                        .given_away
                        .insert(question.generation, question.adoption);
                    assert!(
                        before.is_none_or(|before| before == question.adoption),
                        "generation {} was given away twice",
                        question.generation.0
                    );
                }
                Some((About::Commit(question.adoption), answer))
            }
            Said::Moved(holder) => {
                let own = cluster(to);
                self.hold(to, |_, known| Reply {
                    answer: Answer::Done,
                    change: moved(&own, known, holder),
                });
                None
            }
            Said::Reserve(facts, adoption) => {
                let question = Reserve {
                    facts,
                    adoption: *adoption,
                    data: Data::All,
                };
                let serves = self.serving() == Some(to);
                let answer = self.hold(to, |holding, known| {
                    reserve(holding, known, &asker, &question)
                });
                if let Answer::Session(_) = answer {
                    assert!(serves, "a record that serves nobody was given away");
                }
                Some((About::Reserve(*adoption), answer))
            }
        }
    }

    fn hold(&mut self, at: usize, judge: impl FnOnce(&Holding<'_>, &Known<'_>) -> Reply) -> Answer {
        let own = cluster(at);
        let holding = holding(&own, self.now);
        let node = &mut self.nodes[at];
        let known = match &node.record {
            None => Known::Absent,
            Some(session) => Known::Record {
                session,
                last_access: node.last_access,
            },
        };
        let Reply { answer, change } = judge(&holding, &known);
        store(&mut node.record, change);
        answer
    }

    /// What an asker makes of an answer: one that it does not wait for is none.
    fn take(&mut self, who: usize, about: About, answer: Answer) {
        match about {
            About::Commit(adoption) => self.take_outcome(who, adoption, answer),
            About::Reserve(adoption) => self.take_promise(who, adoption, answer),
        }
    }

    fn take_promise(&mut self, who: usize, adoption: AdoptionId, answer: Answer) {
        let node = &mut self.nodes[who];
        let Some((waiting, from)) = node.waiting else {
            return;
        };
        if waiting != adoption {
            return;
        }
        node.waiting = None;
        if let Answer::Moved { generation, .. } = answer {
            node.seen = node.seen.max(generation);
        } else if let Answer::Session(given) = answer
            && given.facts.generation >= node.seen
        {
            self.keep_pending(who, from, adoption, *given);
        }
    }

    fn take_outcome(&mut self, who: usize, adoption: AdoptionId, answer: Answer) {
        let node = &mut self.nodes[who];
        let Some(record) = &mut node.record else {
            return;
        };
        let SessionState::Pending(release) = record.state.clone() else {
            return;
        };
        if release.adoption != adoption {
            return;
        }
        if let Answer::Committed(newer) = answer {
            record.state = SessionState::Live;
            record.held_since = self.now;
            node.last_access = newer.map_or(record.last_access, |newer| newer.last_access);
            record.last_access = node.last_access;
        } else {
            assert_eq!(answer, Answer::Lapsed);
            record.facts.generation = release.generation;
            record.state = SessionState::Moved {
                to: release.from,
                generation: release.generation,
                adoption: None,
            };
        }
        record.version += 1;
    }

    fn keep_pending(&mut self, who: usize, from: usize, adoption: AdoptionId, given: Session) {
        let node = &mut self.nodes[who];
        node.seen = node.seen.max(given.facts.generation);
        let version = node.record.as_ref().map_or(0, |before| before.version + 1);
        let release = Release {
            adoption,
            from: cluster(from),
            generation: given.facts.generation,
            version: given.version,
        };
        node.last_access = given.last_access;
        let mut copy = given;
        copy.id = session_id(who);
        copy.state = SessionState::Pending(release);
        copy.facts.generation = node.seen.next();
        copy.version = version;
        node.record = Some(copy);
        self.repeat(who);
    }

    /// Asks for the outcome of every commit until it is known.
    fn settle(&mut self) {
        for who in 0..NODES {
            if let Some((question, from)) = self.open_commit(who) {
                let (about, answer) = self.answer(who, from, &Said::Commit(question)).unwrap();
                self.take(who, about, answer);
                self.check();
            }
        }
    }

    fn check(&self) {
        let serving: Vec<usize> = (0..NODES).filter(|at| self.serves(*at)).collect();
        assert!(serving.len() <= 1, "{serving:?} all serve");
    }

    fn serving(&self) -> Option<usize> {
        (0..NODES).find(|at| self.serves(*at))
    }

    fn serves(&self, at: usize) -> bool {
        let record = self.nodes[at].record.as_ref();
        record.is_some_and(|record| record.state == SessionState::Live)
    }

    fn record(&self, at: usize) -> &Session {
        self.nodes[at].record.as_ref().unwrap()
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    /// S-4, S-6, X-19, R7.
    #[test]
    fn one_data_centre_holds_a_session_whatever_the_network_does(
        events in vec(event(), 1..80),
    ) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        world.settle();
        let holder = world.serving().expect("nobody holds the session any more");
        let record = world.record(holder);
        let highest = world.given_away.keys().max().copied().unwrap_or_default();
        prop_assert_eq!(record.facts.generation, highest);
        // No request is forgotten on the way (S-4, R5), and the lifetime stays (MDC-ADOPT-7, R6).
        prop_assert_eq!(world.nodes[holder].last_access, world.last_touch);
        prop_assert_eq!(record.facts.expires, facts().expires);
        prop_assert_eq!(record.facts.first_authenticated, facts().first_authenticated);
    }

    /// S-6: a promise that is not taken up leaves everything as it was.
    #[test]
    fn promises_alone_take_nothing_away_and_lapse(
        steps in vec((0_usize..3, 0_u8..4, 1_usize..NODES, 0_u64..5_000), 0..40),
    ) {
        let mut world = World::new();
        for (kind, adoption, from, millis) in steps {
            let adoption = AdoptionId::from_bytes([adoption; 16]);
            let said = match kind {
                0 => Said::Abort(adoption),
                _ => Said::Reserve(facts(), adoption),
            };
            world.answer(from, 0, &said);
            world.happen(Event::Pass(millis));
            prop_assert_eq!(world.serving(), Some(0));
        }
        world.happen(Event::Pass(10_000));
        let another = Said::Reserve(facts(), AdoptionId::from_bytes([9; 16]));
        let answered = world.answer(1, 0, &another);
        prop_assert!(matches!(answered, Some((_, Answer::Session(_)))));
    }

    /// S-6: asked twice is asked once.
    #[test]
    fn a_question_asked_again_is_answered_again_and_changes_nothing(
        events in vec(event(), 0..40),
        kind in 0_usize..4,
        which in any::<usize>(),
    ) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        let adoption = AdoptionId::from_bytes([100; 16]);
        let at = which % NODES;
        let from = (at + 1) % NODES;
        let ask = |world: &mut World| -> Answer {
            let asker = cluster(from);
            match kind {
                0 => world.hold(at, |h, k| fetch(h, k, &asker, &facts(), session_id(from))),
                1 => world.hold(at, |h, k| abort(h, k, &asker, adoption)),
                _ => match world.answer(from, at, &Said::Reserve(facts(), adoption)) {
                    Some((_, answer)) => answer,
                    None => Answer::Done,
                },
            }
        };
        let first = ask(&mut world);
        let stands = world.nodes[at].record.clone();
        let mut second = ask(&mut world);
        if kind == 0 && let (Answer::Session(one), Answer::Session(two)) = (&first, &mut second) {
            // The alias that was noted in between is not the asker's matter.
            two.version = one.version;
        }
        prop_assert_eq!(first, second);
        prop_assert_eq!(&world.nodes[at].record, &stands);
    }
}

/// S-6: the promise that a late question makes again is not the one that the late commit names; whoever
/// sent both has deleted its copy.
#[test]
fn the_late_copies_of_a_question_and_of_its_commit_leave_the_session_where_it_is() {
    let mut world = World::new();
    let question = 0;
    world.happen(Event::Adopt { who: 1, whom: 0 });
    world.happen(Event::DeliverLatest);
    world.happen(Event::DeliverLatest);
    let commit = world.said.len() - 1;
    world.happen(Event::Pass(10_000));
    world.happen(Event::Deliver(commit));
    world.happen(Event::DeliverLatest);
    world.happen(Event::Adopt { who: 2, whom: 0 });
    world.happen(Event::DeliverLatest);
    world.happen(Event::GiveUp { who: 2 });
    world.happen(Event::DeliverLatest);
    world.happen(Event::Deliver(question));
    world.happen(Event::Deliver(commit));
    assert_eq!(world.serving(), Some(0));
}

fn store(record: &mut Option<Session>, change: Change) {
    if let Change::Replace(mut session) = change {
        let standing = record.as_ref().unwrap();
        assert_eq!(session.version, standing.version, "not the version read");
        session.version += 1;
        *record = Some(*session);
    }
}

fn holding(own: &ClusterId, now: Timestamp) -> Holding<'_> {
    Holding {
        own,
        now,
        idle_timeout: IDLE,
        min_hold: HOLD,
        lapse: LAPSE,
        hard_skew: Duration::from_mins(2),
        remembers_since: Timestamp::from_millis(0),
    }
}

fn cluster(at: usize) -> ClusterId {
    ClusterId::parse(["a", "b", "c"][at]).unwrap()
}

fn session_id(at: usize) -> SessionId {
    SessionId::from_bytes([u8::try_from(at).unwrap(); 16])
}

fn facts() -> SsoFacts {
    SsoFacts {
        sso: SsoId::from_bytes([1; 16]),
        subject: UserName::parse("alice").unwrap(),
        store: StoreName::parse("local").unwrap(),
        first_authenticated: BEGAN,
        expires: BEGAN.after(Duration::from_hours(8)),
        generation: Generation(0),
        level: AuthLevel::new(10).unwrap(),
        level_reached: BEGAN,
    }
}

fn record() -> Session {
    Session {
        id: session_id(0),
        facts: facts(),
        state: SessionState::Live,
        identity: Identity {
            store: facts().store,
            subject: facts().subject,
            name: None,
            email: None,
            groups: Vec::new(),
            attributes: Default::default(),
        },
        last_access: BEGAN,
        client_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        held_since: BEGAN,
        reserved: None,
        provider_session: None,
        attributes: Attributes::Known,
        noted: Default::default(),
        aliases: Vec::new(),
        visited: Vec::new(),
        version: 0,
    }
}
