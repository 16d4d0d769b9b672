//! The pools of the node.
//!
//! `GET /v1/pools?pool=` tells of them as [`crate::ports::pools::PoolList`]. `POST /v1/pools/drain` takes the
//! upstream out that its body names, as [`crate::ports::pools::Draining`], and `POST /v1/pools/undrain` lets in
//! those of [`crate::ports::pools::Undraining`]. `GET /v1/pools/idle?pool=&upstream=&within=` waits until no
//! request runs at one, the span in milliseconds, and answers [`crate::ports::pools::Busy`].

use std::time::Duration;

use http::StatusCode;

use crate::admin::Desk;
use crate::admin::reply::Reply;
use crate::admin::verbs::Question;
use crate::admin::verbs::parameters::Parameters;
use crate::admin::verbs::parameters::misread;
use crate::ports::pools::Draining;
use crate::ports::pools::PoolsError;
use crate::ports::pools::Undraining;
use crate::ports::pools::UpstreamName;

pub(super) fn list(desk: &Desk, query: Option<&str>) -> Reply {
    match Parameters::read(query, &["pool"]) {
        Ok(asked) => answer(desk.pools.list(asked.text("pool"))),
        Err(refused) => refused,
    }
}

pub(super) async fn idle(desk: &Desk, query: Option<&str>) -> Reply {
    let asked = Parameters::read(query, &["pool", "upstream", "within"]).and_then(|asked| {
        let within = asked.number("within")?.map(Duration::from_millis);
        match (asked.text("pool"), asked.text("upstream")) {
            (Some(pool), Some(upstream)) => Ok((
                UpstreamName {
                    pool: pool.to_owned(),
                    upstream: upstream.to_owned(),
                },
                within.unwrap_or_default(),
            )),
            (_, None) | (None, _) => Err(misread("name a pool and an upstream")),
        }
    });
    match asked {
        Ok((which, within)) => answer(desk.pools.idle(&which, within).await),
        Err(refused) => refused,
    }
}

pub(super) async fn drain(desk: &Desk, question: &Question) -> Reply {
    match serde_json::from_slice::<Draining>(&question.body) {
        Ok(which) => {
            let UpstreamName { pool, upstream } = &which.which;
            let given = question.given("pool drain");
            let given = given.with("pool", pool).with("upstream", upstream);
            desk.audit.note(match which.even_if_last {
                true => given.with("even_if_last", "yes"),
                false => given,
            });
            answer(desk.pools.drain(&which).await)
        }
        Err(error) => misread(&error),
    }
}

pub(super) async fn undrain(desk: &Desk, question: &Question) -> Reply {
    match serde_json::from_slice::<Undraining>(&question.body) {
        Ok(which) => {
            let given = question.given("pool undrain").with("pool", &which.pool);
            desk.audit.note(match &which.upstream {
                Some(upstream) => given.with("upstream", upstream),
                None => given.with("all", "yes"),
            });
            answer(desk.pools.undrain(&which).await)
        }
        Err(error) => misread(&error),
    }
}

fn answer<T: serde::Serialize>(told: Result<T, PoolsError>) -> Reply {
    match told {
        Ok(told) => Reply::ok(&told),
        Err(error) => {
            let status = match error {
                PoolsError::BrokeOff | PoolsError::NotNoted(_) => StatusCode::INTERNAL_SERVER_ERROR,
                PoolsError::HandedOver
                | PoolsError::Last { .. }
                | PoolsError::WithItsName { .. } => StatusCode::CONFLICT,
                PoolsError::NoPool(_) | PoolsError::NoUpstream { .. } => StatusCode::NOT_FOUND,
            };
            Reply::refused(status, &error)
        }
    }
}
