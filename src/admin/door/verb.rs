//! `POST /v1/door`: answers the process that this one has followed, by the engine here.

use std::net::IpAddr;
use std::net::Ipv4Addr;

use http::StatusCode;

use crate::admin::Desk;
use crate::admin::door::DoorServices;
use crate::admin::door::wire::Answer;
use crate::admin::door::wire::Question;
use crate::admin::door::wire::asked::PostAsked;
use crate::admin::reply::Reply;
use crate::logbook::causes::with_causes;
use crate::ports::clock::Clock;

pub(in crate::admin) async fn answer(desk: &Desk, body: &[u8]) -> Reply {
    let Some(services) = &desk.door else {
        return Reply::refused(StatusCode::CONFLICT, "this node has no engine of its own");
    };
    match serde_json::from_slice(body) {
        Ok(question) => Reply::ok(&act(services, desk.clock.as_ref(), question).await),
        // What it says may be secret, so nothing of it is told.
        Err(_) => Reply::refused(StatusCode::BAD_REQUEST, "this cannot be understood here"),
    }
}

async fn act(services: &DoorServices, clock: &dyn Clock, question: Question) -> Answer {
    let engine = services.sessions.as_ref();
    match question {
        Question::ChangePassword(asked) => match engine.change_password(asked.into()).await {
            Ok(session) => Answer::Begun(Box::new((*session).clone())),
            Err(error) => Answer::NotChanged(error.into()),
        },
        Question::End { facts, cause } => engine.end(&facts, cause).await.into(),
        Question::EndAtProvider(over) => match engine.end_at_provider(over).await {
            Ok(()) => Answer::Done,
            Err(error) => Answer::NotNoted(with_causes(&error)),
        },
        Question::Judge(claim) => engine.judge(&claim, clock.now()).await.into(),
        Question::KeepPost(asked) => {
            let from = asked.from.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
            engine.keep_post(asked.id, asked.into_post(), from);
            Answer::Done
        }
        Question::Note { sso, attributes } => match engine.note(&sso, &attributes).await {
            Ok(()) => Answer::Done,
            Err(error) => Answer::NotNoted(with_causes(&error)),
        },
        Question::Peer { from, question } => {
            Answer::Peer(services.peers.answer(&from, *question).await)
        }
        Question::SignIn(asked) => match engine.sign_in(asked.into()).await {
            Ok(session) => Answer::Begun(Box::new((*session).clone())),
            Err(error) => Answer::NotBegun(error.into()),
        },
        Question::Spend { token, expires } => {
            Answer::Spent(engine.spend_once(token, expires).await)
        }
        Question::TakePost { id, nonces, host } => {
            let post = engine.take_post(id, &nonces, &host);
            Answer::Post(post.map(|post| Box::new(PostAsked::new(id, &post, None))))
        }
        Question::Touch(sessions) => {
            for (sso, when) in sessions {
                engine.touch(&sso, when);
            }
            Answer::Done
        }
        Question::Visit { claim, host } => engine.visit(&claim, &host).await.into(),
    }
}
