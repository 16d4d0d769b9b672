//! How a story tells what happened: who, at which data centre, with which cookie, what was decided and why.

use std::fmt;

use portway::model::claim::Place;
use portway::model::end::End;
use portway::model::peer::Answer;
use portway::model::peer::Question;
use portway::model::session::Session;
use portway::model::session::SessionState;

use crate::event::Event;
use crate::event::Link;
use crate::event::Took;
use crate::event::short;

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = fate(self)
            .or_else(|| between(self))
            .or_else(|| inside(self))
            .or_else(|| at_the_door(self));
        f.write_str(&told.unwrap_or_default())
    }
}

fn fate(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::Started(dc, start) => {
            let log = if start.has_its_log {
                "its log"
            } else {
                "an empty log"
            };
            let since = start.remembers_since;
            format!("{dc} starts with {log}, records since {since}")
        }
        Event::Crashed(dc) => format!("{dc} crashes"),
        Event::Froze(dc) => format!("{dc} is stopped"),
        Event::Thawed(dc) => format!("{dc} goes on"),
        Event::ClockSet(dc, skew) => format!("{dc}'s clock is off by {skew} ms"),
        Event::DiskFull(dc) => format!("{dc}'s disk is full"),
        Event::Disabled(user) => format!("{user} is disabled in the directory"),
        Event::Directory(dc, Link::Cut) => format!("{dc} does not reach the directory"),
        Event::Directory(dc, Link::Whole) => format!("{dc} reaches the directory"),
        Event::Linked(from, to, Link::Cut) => format!("nothing gets from {from} to {to}"),
        Event::Linked(from, to, Link::Whole) => format!("{from} reaches {to} again"),
        Event::Healed => "everything is healed".to_owned(),
        Event::Told(text) => text.clone(),
        _ => return None,
    })
}

fn between(event: &Event<'_>) -> Option<String> {
    let (asking, what) = match event {
        Event::Asked(asking, question) => (asking, format!("asks: {}", asked(question))),
        Event::Answered(asking, _, answer) => {
            (asking, format!("is answered: {}", answered(answer)))
        }
        Event::Returned(asking, _, Ok(answer)) => (asking, format!("hears: {}", answered(answer))),
        Event::Returned(asking, _, Err(why)) => (asking, format!("hears nothing: {why:?}")),
        _ => return None,
    };
    let (from, to, id) = (asking.from, asking.to, asking.id);
    Some(format!("{from} to {to} #{id} {what}"))
}

fn inside(event: &Event<'_>) -> Option<String> {
    let or_nothing = |session: &Option<&Session>| session.map_or("nothing".to_owned(), record);
    Some(match event {
        Event::Stored(dc, before, after) => {
            let (name, before, after) = (named(after), or_nothing(before), record(after));
            format!("{dc} stores {name}: {before} → {after}")
        }
        Event::Removed(dc, session) => {
            format!("{dc} drops {}: {}", named(session), record(session))
        }
        Event::TakenBack(dc, standing, undone) => {
            let (name, undone, standing) = (named(undone), record(undone), or_nothing(standing));
            format!("{dc} takes back {name}: {undone} → {standing}")
        }
        Event::Logged(dc, end) => format!("{dc} logs {}", ended(end)),
        Event::LogDurable(dc, end) => format!("{dc} has on disk: {}", ended(end)),
        _ => return None,
    })
}

fn at_the_door(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::Resolving(dc, claim) => {
            format!("{dc} looks further for {}", short(&claim.facts.sso))
        }
        Event::Judged(dc, claim, judgement) => {
            let place = match claim.presented.at {
                Place::Application => "application",
                Place::Arrival => "arrival",
                Place::Collector => "collector",
            };
            let found = match judgement.result {
                Ok(_) => "live".to_owned(),
                Err(Some(why)) => format!("not to serve: {why:?}"),
                Err(None) => "unknown here".to_owned(),
            };
            let took = match judgement.took {
                Took::Nothing => String::new(),
                Took::Time(span) => format!(", after {span:?}"),
            };
            let name = short(&claim.facts.sso);
            format!("{dc} at the {place} finds {name} {found}{took}")
        }
        Event::Visited(dc, claim, span) => {
            let name = short(&claim.facts.sso);
            format!("{dc} has looked after the visit of {name}, {span:?}")
        }
        Event::Touched(dc, sso) => format!("{dc} notes an access of {}", short(sso)),
        Event::GaveUp(dc, sso) => format!("{dc} is not waited for about {}", short(sso)),
        Event::SigningIn(dc) => format!("{dc} begins a sign-in"),
        Event::SignedIn(dc, None, _) => format!("{dc} refuses the sign-in"),
        Event::SignedIn(dc, Some(session), replaced) => {
            let old = replaced.map_or(String::new(), |old| {
                format!(", in place of {}", short(&old.sso))
            });
            let subject = &session.facts.subject;
            format!("{dc} signs {subject} in: {}{old}", named(session))
        }
        Event::EndAnswered(dc, facts, cause, durability) => {
            let name = short(&facts.sso);
            format!("{dc} has ended {name} ({cause:?}, {durability:?})")
        }
        Event::CutOffAnswered(dc, user, durability) => {
            format!("{dc} has cut {user} off ({durability:?})")
        }
        Event::Permitted(dc, cookie, session) => {
            format!(
                "{dc} serves {cookie}: {} {}",
                named(session),
                record(session)
            )
        }
        Event::Challenged(dc, cookie) => format!("{dc} asks {cookie} for a sign-in"),
        _ => return None,
    })
}

fn named(session: &Session) -> String {
    short(&session.facts.sso)
}

/// A record, in a word or two.
fn record(session: &Session) -> String {
    let generation = session.facts.generation.0;
    let state = match &session.state {
        SessionState::Ended => "ended".to_owned(),
        SessionState::Live => "live".to_owned(),
        SessionState::Moved { to, generation, .. } => format!("moved to {to} at g{}", generation.0),
        SessionState::Pending(release) => format!("pending from {}", release.from),
    };
    let reserved = match &session.reserved {
        Some(reservation) => format!(", reserved for {}", reservation.by),
        None => String::new(),
    };
    let chain: Vec<_> = session
        .aliases
        .iter()
        .map(|alias| alias.cluster.as_str())
        .collect();
    format!(
        "{state} g{generation} v{}{reserved} chain [{}]",
        session.version,
        chain.join(" ")
    )
}

fn ended(end: &End) -> String {
    match end {
        End::Tombstone { sso, cause, .. } => format!("the end of {} ({cause:?})", short(sso)),
        End::Moved { sso, holder, .. } => {
            format!(
                "{} is held by {} at g{}",
                short(sso),
                holder.cluster,
                holder.generation.0
            )
        }
        End::UserCutOff {
            subject,
            authenticated_before,
            ..
        } => {
            format!("{subject} is cut off before {authenticated_before}")
        }
        End::ProviderCutOff { session, .. } => format!("{session:?} is cut off"),
    }
}

fn asked(question: &Question) -> String {
    match question {
        Question::Hello(_) => "hello".to_owned(),
        Question::Fetch { facts, .. } => format!("fetch {}", short(&facts.sso)),
        Question::Reserve {
            facts, adoption, ..
        } => {
            format!(
                "reserve {} for {adoption:?}, seen g{}",
                short(&facts.sso),
                facts.generation.0
            )
        }
        Question::Commit {
            sso,
            adoption,
            version,
            generation,
            ..
        } => format!(
            "commit {} for {adoption:?}, read v{version}, to g{}",
            short(sso),
            generation.0
        ),
        Question::Abort { sso, adoption } => format!("abort {} for {adoption:?}", short(sso)),
        Question::LastAccess { facts } => format!("last access of {}", short(&facts.sso)),
        Question::PushEnds { ends } => {
            let ends: Vec<_> = ends.iter().map(ended).collect();
            format!("note: {}", ends.join("; "))
        }
        Question::PullEnds { after, .. } => format!("what ended since {}", after.0),
    }
}

fn answered(answer: &Answer) -> String {
    match answer {
        Answer::Session(session) => format!("here it is, {}", record(session)),
        Answer::Ends { ends, rest, .. } => {
            let ends: Vec<_> = ends
                .iter()
                .map(|(at, end)| format!("{}: {}", at.0, ended(end)))
                .collect();
            format!("[{}] {rest:?}", ends.join("; "))
        }
        Answer::Moved { to, generation } => format!("{to} holds it at g{}", generation.0),
        Answer::Committed(None) => "it is yours".to_owned(),
        Answer::Committed(Some(newer)) => format!("it is yours, but changed: {}", record(newer)),
        Answer::Hello(greeting) => format!("hello, my clock says {}", greeting.now),
        other @ (Answer::TooSoon(_)
        | Answer::Reserved
        | Answer::Lapsed
        | Answer::Ended
        | Answer::Idle
        | Answer::Expired
        | Answer::Missing
        | Answer::Unknown
        | Answer::Refused(_)
        | Answer::LastAccess(_)
        | Answer::Noted { .. }
        | Answer::NotDurable
        | Answer::Done) => format!("{other:?}"),
    }
}
