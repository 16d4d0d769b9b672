//! Records as builds wrote them that knew of one data centre only, and what they are to this one. None of
//! those was released; whoever runs one keeps its sessions.
//!
//! Nothing writes them. The names of the fields are those in the files.

use std::net::IpAddr;

use serde::Deserialize;

use crate::model::attribute::AttributeSet;
use crate::model::id::SessionId;
use crate::model::identity::Identity;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::session::Attributes;
use crate::model::session::Generation;
use crate::model::session::Holder;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

/// A record of such a build.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    id: SessionId,
    facts: SsoFacts,
    state: State,
    identity: Identity,
    last_access: Timestamp,
    client_address: IpAddr,
    aliases: Vec<(ClusterId, SessionId)>,
    visited: Vec<HostName>,
    version: u64,
}

/// Its state. A pending one did not say what it waited for; none was ever written.
#[derive(Debug, Deserialize)]
enum State {
    Ended,
    Live,
    Moved {
        to: ClusterId,
        generation: Generation,
    },
}

impl Record {
    /// The record as this release has it. Such a build served one data centre, which has held
    /// the session ever since it began.
    pub(super) fn migrate(self) -> Session {
        let state = match self.state {
            State::Ended => SessionState::Ended,
            State::Live => SessionState::Live,
            State::Moved { to, generation } => SessionState::Moved {
                to,
                generation,
                adoption: None,
            },
        };
        let held = |(cluster, session)| Holder { cluster, session };
        Session {
            id: self.id,
            held_since: self.facts.first_authenticated,
            facts: self.facts,
            state,
            identity: self.identity,
            last_access: self.last_access,
            client_address: self.client_address,
            reserved: None,
            provider_session: None,
            attributes: Attributes::Known,
            noted: Some(AttributeSet::default()),
            aliases: self.aliases.into_iter().map(held).collect(),
            visited: self.visited,
            version: self.version,
        }
    }
}

/// Records as such a build wrote them, behind a seal that is the sum of their bytes.
#[cfg(test)]
pub(in crate::store) mod example {
    /// A live one.
    pub(in crate::store) fn live() -> Vec<u8> {
        bytes_of(LIVE)
    }

    /// The same, moved.
    pub(in crate::store) fn moved() -> Vec<u8> {
        bytes_of(MOVED)
    }

    fn bytes_of(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    const LIVE: &str = concat!(
        "01000000000000271069a96269649001010101010101010101010101010101656661637473a86373736f",
        "9001010101010101010101010101010101677375626a65637465616c6963656573746f72656573746166",
        "667366697273745f61757468656e74696361746564186467657870697265731927106a67656e65726174",
        "696f6e00656c6576656c18636d6c6576656c5f726561636865641864657374617465644c697665686964",
        "656e74697479a56573746f7265657374616666677375626a65637465616c696365646e616d65f665656d",
        "61696c72616c696365406578616d706c652e746573746667726f757073806b6c6173745f616363657373",
        "18646e636c69656e745f61646472657373a162563484187f00000167616c69617365738182656e6f7274",
        "689008080808080808080808080808080808677669736974656481706170702e6578616d706c652e7465",
        "73746776657273696f6e05",
    );
    const MOVED: &str = concat!(
        "01000000000000271085a96269649001010101010101010101010101010101656661637473a86373736f",
        "9001010101010101010101010101010101677375626a65637465616c6963656573746f72656573746166",
        "667366697273745f61757468656e74696361746564186467657870697265731927106a67656e65726174",
        "696f6e00656c6576656c18636d6c6576656c5f726561636865641864657374617465a1654d6f766564a2",
        "62746f656e6f7274686a67656e65726174696f6e02686964656e74697479a56573746f72656573746166",
        "66677375626a65637465616c696365646e616d65f665656d61696c72616c696365406578616d706c652e",
        "746573746667726f757073806b6c6173745f61636365737318646e636c69656e745f61646472657373a1",
        "62563484187f00000167616c69617365738182656e6f7274689008080808080808080808080808080808",
        "677669736974656481706170702e6578616d706c652e746573746776657273696f6e05",
    );
}
