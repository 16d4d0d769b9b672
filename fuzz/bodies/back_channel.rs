//! The messages of the back-channel: bytes of a peer are a message that is written and read again to the same
//! bytes, or nothing.

use portway::backchannel::probe;
use portway::model::id::AdoptionId;
use portway::model::id::SessionId;
use portway::model::id::SsoId;
use portway::model::peer::Question;
use portway::model::session::Generation;
use portway::model::time::Timestamp;
use serde::Serialize;

/// Reads bytes as each kind of message.
pub fn run(data: &[u8]) {
    if let Err(unstable) = probe::kinds(data) {
        panic!("{unstable}");
    }
}

#[derive(Serialize)]
struct Envelope {
    version: u16,
    from: &'static str,
    to: &'static str,
    sent: Timestamp,
    valid_until: Timestamp,
    body: Question,
}

/// Questions, as a peer writes them.
pub fn seeds() -> Vec<Vec<u8>> {
    let facts = super::claims::facts();
    let (sso, adoption) = (SsoId::from_bytes([1; 16]), AdoptionId::from_bytes([2; 16]));
    let session = SessionId::from_bytes([3; 16]);
    let questions = [
        Question::Fetch {
            facts: facts.clone(),
            session,
        },
        Question::LastAccess { facts },
        Question::Abort { sso, adoption },
        Question::Commit {
            sso,
            adoption,
            version: 4,
            generation: Generation(5),
            session,
        },
    ];
    let written = questions.into_iter().map(|body| {
        let envelope = Envelope {
            version: 1,
            from: "portway://nydc",
            to: "portway://ldc",
            sent: Timestamp::from_millis(1_795_357_506_000),
            valid_until: Timestamp::from_millis(1_795_357_507_000),
            body,
        };
        let mut bytes = Vec::new();
        ciborium::into_writer(&envelope, &mut bytes).expect("it can be written");
        bytes
    });
    written.collect()
}
