//! What a step of the journey looks at: an echo, a tick, a reference id.

use std::time::Duration;

use anyhow::Context;
use anyhow::ensure;
use futures_util::StreamExt;
use jiff::Timestamp;
use serde_json::Value;

use crate::demo::client::Answer;
use crate::demo::client::Socket;

/// What the echo application says it received.
pub(super) struct Seen {
    pub(super) instance: String,
    headers: Vec<(String, String)>,
}

impl Seen {
    pub(super) fn by(answer: &Answer) -> anyhow::Result<Self> {
        ensure!(answer.status.is_success(), "{}", answer.brief());
        let body: Value = serde_json::from_str(&answer.body).context("the echo is not JSON")?;
        let field = |name: &str| {
            body.get(name)
                .cloned()
                .with_context(|| format!("no {name}"))
        };
        Ok(Self {
            instance: serde_json::from_value(field("instance")?)?,
            headers: serde_json::from_value(field("headers")?)?,
        })
    }

    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        let found = self.headers.iter().filter(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str()).collect()
    }
}

pub(super) async fn tick(socket: &mut Socket) -> anyhow::Result<Timestamp> {
    let message = tokio::time::timeout(TICK_TIMEOUT, socket.next())
        .await
        .context("no message came")?
        .context("the WebSocket was closed")??;
    ensure!(message.is_text(), "an unexpected message: {message:?}");
    Ok(message.into_text()?.parse()?)
}

/// The id that a user can read out to an administrator: the first long run of hexadecimal digits.
pub(super) fn reference(page: &str) -> Option<&str> {
    page.split(|c: char| !c.is_ascii_hexdigit())
        .find(|run| run.len() >= 16)
}

pub(super) fn distinct(names: &[String]) -> String {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names.join(", ")
}

const TICK_TIMEOUT: Duration = Duration::from_secs(10);
