//! The sessions of the node.
//!
//! `GET /v1/sessions?user=&store=&address=&idle_longer_than=&limit=` lists them, the span in seconds, as
//! [`crate::ports::sessions::SessionList`]. `GET /v1/sessions/show?session=`, or `?user=&store=`, tells all
//! there is about some. `POST /v1/sessions/end` ends those that its body names, as
//! [`crate::ports::sessions::Doomed`].

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use ipnet::IpNet;

use crate::admin::Desk;
use crate::admin::reply::Reply;
use crate::admin::verbs::Question;
use crate::admin::verbs::parameters::Parameters;
use crate::admin::verbs::parameters::misread;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::ports::sessions::Chosen;
use crate::ports::sessions::Doomed;
use crate::ports::sessions::SESSIONS_MAX;
use crate::ports::sessions::SessionFilter;
use crate::ports::sessions::SessionsError;
use crate::ports::sessions::ShortHash;
use crate::ports::sessions::Subject;

pub(super) async fn list(desk: &Desk, query: Option<&str>) -> Reply {
    let known = ["user", "store", "address", "idle_longer_than", "limit"];
    let filter = Parameters::read(query, &known).and_then(|asked| asked.filter());
    match filter {
        Ok(filter) => answer(desk.sessions.list(&filter).await),
        Err(refused) => refused,
    }
}

pub(super) async fn show(desk: &Desk, query: Option<&str>) -> Reply {
    let known = ["session", "user", "store"];
    let chosen = Parameters::read(query, &known).and_then(|asked| asked.chosen());
    match chosen {
        Ok(chosen) => answer(desk.sessions.show(&chosen).await),
        Err(refused) => refused,
    }
}

pub(super) async fn end(desk: &Desk, question: &Question) -> Reply {
    match serde_json::from_slice::<Doomed>(&question.body) {
        Ok(doomed) => {
            let given = question.given("sessions end");
            desk.audit.note(match &doomed {
                Doomed::All => given.with("all", "yes"),
                Doomed::Session(hash) => given.with("session", hash.as_str()),
                Doomed::Subject(Subject { user, store }) => {
                    let store = store.as_ref().map_or("", StoreName::as_str);
                    given.user(user).with("store", store)
                }
            });
            answer(desk.sessions.end(&doomed).await)
        }
        Err(error) => misread(&error),
    }
}

fn answer<T: serde::Serialize>(told: Result<T, SessionsError>) -> Reply {
    match told {
        Ok(told) => Reply::ok(&told),
        Err(error) => {
            let status = match error {
                SessionsError::BrokeOff => StatusCode::INTERNAL_SERVER_ERROR,
                SessionsError::HandingOver => StatusCode::SERVICE_UNAVAILABLE,
                SessionsError::Loading => StatusCode::SERVICE_UNAVAILABLE,
                SessionsError::NoEngine | SessionsError::NoStore => StatusCode::CONFLICT,
                SessionsError::Unknown(_) => StatusCode::NOT_FOUND,
            };
            Reply::refused(status, &error)
        }
    }
}

impl Parameters {
    fn filter(&self) -> Result<SessionFilter, Reply> {
        let limit: Option<usize> = self.number("limit")?;
        Ok(SessionFilter {
            subject: self.subject()?,
            network: self.parsed("address", network)?,
            idle_longer_than: self.number("idle_longer_than")?.map(Duration::from_secs),
            limit: limit.unwrap_or(SESSIONS_MAX).min(SESSIONS_MAX),
        })
    }

    fn chosen(&self) -> Result<Chosen, Reply> {
        match (self.parsed("session", ShortHash::parse)?, self.subject()?) {
            (Some(session), None) => Ok(Chosen::Session(session)),
            (None, Some(subject)) => Ok(Chosen::Subject(subject)),
            (None, None) | (Some(_), Some(_)) => Err(misread("name either a session or a user")),
        }
    }

    fn subject(&self) -> Result<Option<Subject>, Reply> {
        let store = self.parsed("store", StoreName::parse)?;
        match self.parsed("user", UserName::parse)? {
            Some(user) => Ok(Some(Subject { user, store })),
            None if store.is_some() => Err(misread("a store is named without a user")),
            None => Ok(None),
        }
    }
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    let alone = text.parse::<IpAddr>().ok().map(IpNet::from);
    alone
        .or_else(|| text.parse().ok())
        .ok_or("it is neither an address nor a network such as 10.0.0.0/8")
}
