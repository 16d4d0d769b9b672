//! What a gateway and its successor write to each other, and how: letters of JSON with their length before them,
//! and descriptors beside a byte of their own.

use std::io;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::io::Read;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvAncillaryMessage;
use rustix::net::RecvFlags;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::engine::remembered::Remembered;
use crate::model::end::End;
use crate::model::name::ListenerName;
use crate::model::session::Session;

/// What the successor writes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromSuccessor {
    /// It has read the configuration and could serve by it. The first letter of all, the same in every version.
    Hello {
        /// The version of everything that is written after it.
        protocol: u32,
        /// Portway's version.
        version: String,
    },
    /// It does not serve this configuration.
    Refused {
        /// What is wrong with it, as `portway check` shows it.
        text: String,
    },
    /// It has the sockets.
    Ready,
    /// It owns the sessions, and could accept connections.
    Able {
        /// Its process id.
        process_id: u32,
    },
    /// It cannot go on.
    Failed {
        /// Why.
        why: String,
    },
}

/// What the predecessor writes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromPredecessor {
    /// It does not know that protocol.
    Unknown {
        /// The one that it knows.
        protocol: u32,
    },
    /// The sockets that come next, in this order.
    Offer(Offer),
    /// A piece of what is known in memory only.
    Piece(Piece),
    /// The sessions are the successor's.
    Yours,
    /// Nothing is taken back any more.
    Go,
}

/// What is handed over first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Offer {
    pub(super) state_dir: PathBuf,
    pub(super) keeping: Keeping,
    /// Each has one descriptor.
    pub(super) listeners: Vec<OfferedSocket>,
    /// Where the ops listener was configured, which has one descriptor; none where there is none.
    pub(super) ops: Option<std::net::SocketAddr>,
    /// The same of the listener for other data centres and gates.
    pub(super) back_channel: Option<std::net::SocketAddr>,
    /// Where a service manager listens besides, each with one descriptor.
    pub(super) passed: Vec<OfferedPlace>,
    // Two descriptors more are the control socket and its lock.
}

/// A listener.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OfferedSocket {
    pub(super) name: ListenerName,
    pub(super) place: OfferedPlace,
}

/// Where a listener was configured to be.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum OfferedPlace {
    Tcp(std::net::SocketAddr),
    Unix { path: PathBuf, mode: u32 },
}

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Keeping {
    /// At other nodes.
    Elsewhere,
    /// In a file below the state directory.
    OnDisk,
    /// In memory, and what has ended in a file.
    EndsOnDisk,
    /// In memory.
    InMemory,
}

/// A piece of what is known in memory only.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Piece {
    Ends(Vec<End>),
    Engine(Remembered),
    Sessions(Vec<Session>),
}

/// Why nothing was heard from the other process.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    #[error("the other process has ended")]
    Gone,
    #[error("the other process took too long")]
    Late,
    #[error("the other process cannot be understood")]
    Garbled(#[source] serde_json::Error),
    #[error("the other process wrote too much at once")]
    TooLong,
    #[error("the way to the other process is broken")]
    Broken(#[source] io::Error),
}

/// The way to the other process.
#[derive(Debug)]
pub(super) struct Channel(UnixStream);

impl Channel {
    pub(super) const fn new(stream: UnixStream) -> Self {
        Self(stream)
    }

    pub(super) fn send(&mut self, letter: &impl Serialize) -> Result<(), Silence> {
        let bytes = serde_json::to_vec(letter).map(Zeroizing::new);
        let bytes = bytes.map_err(Silence::Garbled)?;
        let length = u32::try_from(bytes.len()).map_err(|_| Silence::TooLong)?;
        let limit = self.0.set_write_timeout(Some(WRITTEN_WITHIN));
        let sent = limit.and_then(|()| self.0.write_all(&length.to_be_bytes()));
        sent.and_then(|()| self.0.write_all(&bytes))
            .map_err(silence)
    }

    /// The next letter; `limit` is for each piece of it, so a long one may take longer.
    pub(super) fn receive<T: DeserializeOwned>(&mut self, limit: Duration) -> Result<T, Silence> {
        self.0.set_read_timeout(Some(limit)).map_err(silence)?;
        let mut length = [0; 4];
        self.0.read_exact(&mut length).map_err(silence)?;
        let length = u32::from_be_bytes(length);
        if length > LETTER_BYTES_MAX {
            return Err(Silence::TooLong);
        }
        let mut bytes = Zeroizing::new(Vec::new());
        let read = (&mut self.0).take(length.into()).read_to_end(&mut bytes);
        if read.map_err(silence)? < length as usize {
            return Err(Silence::Gone);
        }
        serde_json::from_slice(&bytes).map_err(Silence::Garbled)
    }

    /// Sends a descriptor, which stays open here as well.
    pub(super) fn send_descriptor(&self, descriptor: BorrowedFd<'_>) -> Result<(), Silence> {
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut room);
        let descriptors = [descriptor];
        if !beside.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(Silence::TooLong);
        }
        let byte = [IoSlice::new(&[0])];
        let sent = rustix::net::sendmsg(&self.0, &byte, &mut beside, SendFlags::NOSIGNAL);
        match sent {
            Ok(1..) => Ok(()),
            Ok(0) => Err(Silence::Gone),
            Err(error) => Err(silence(error.into())),
        }
    }

    /// Receives a descriptor. Other programs that are started do not get it.
    pub(super) fn receive_descriptor(&self) -> Result<OwnedFd, Silence> {
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut room);
        let mut byte = [0];
        let mut bytes = [IoSliceMut::new(&mut byte)];
        let received =
            rustix::net::recvmsg(&self.0, &mut bytes, &mut beside, RecvFlags::CMSG_CLOEXEC);
        received.map_err(|error| silence(error.into()))?;
        let descriptors = beside.drain().filter_map(|message| {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                Some(descriptors)
            } else {
                None
            }
        });
        descriptors.flatten().next().ok_or(Silence::Gone)
    }
}

fn silence(error: io::Error) -> Silence {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the kinds of I/O errors are not ours and grow"
    )]
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset => Silence::Gone,
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Silence::Late,
        _ => Silence::Broken(error),
    }
}

/// What this version writes. It grows with every change that an earlier one would misread.
pub(super) const PROTOCOL: u32 = 2;
const LETTER_BYTES_MAX: u32 = 128 << 20;
/// A successor reads nothing while it opens its store.
const WRITTEN_WITHIN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use super::*;

    fn pair() -> (Channel, Channel) {
        let (here, there) = UnixStream::pair().unwrap();
        (Channel::new(here), Channel::new(there))
    }

    #[test]
    fn letters_and_descriptors_arrive_in_their_order() {
        let (mut here, mut there) = pair();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let hello = FromSuccessor::Hello {
            protocol: PROTOCOL,
            version: "1".to_owned(),
        };
        here.send(&hello).unwrap();
        here.send_descriptor(socket.as_fd()).unwrap();
        here.send(&FromSuccessor::Ready).unwrap();
        let first: FromSuccessor = there.receive(Duration::from_secs(5)).unwrap();
        assert!(matches!(
            first,
            FromSuccessor::Hello {
                protocol: PROTOCOL,
                ..
            }
        ));
        let same = TcpListener::from(there.receive_descriptor().unwrap());
        assert_eq!(same.local_addr().unwrap(), socket.local_addr().unwrap());
        let last: FromSuccessor = there.receive(Duration::from_secs(5)).unwrap();
        assert!(matches!(last, FromSuccessor::Ready));
    }

    /// Whoever changes what is written here raises the number: an earlier version would misread it.
    #[test]
    fn the_letters_of_this_protocol_are_these() {
        let listener = OfferedSocket {
            name: ListenerName::parse("https").unwrap(),
            place: OfferedPlace::Tcp("127.0.0.1:443".parse().unwrap()),
        };
        let passed = OfferedPlace::Unix {
            path: "/run/http.sock".into(),
            mode: 0,
        };
        let offer = FromPredecessor::Offer(Offer {
            state_dir: "/state".into(),
            keeping: Keeping::InMemory,
            listeners: vec![listener],
            ops: None,
            back_channel: Some("127.0.0.1:7443".parse().unwrap()),
            passed: vec![passed],
        });
        let ends = FromPredecessor::Piece(Piece::Ends(Vec::new()));
        let letters = [offer, ends, FromPredecessor::Yours, FromPredecessor::Go];
        let written = letters.map(|letter| serde_json::to_string(&letter).unwrap());
        assert_eq!(
            written,
            [
                concat!(
                    r#"{"Offer":{"state_dir":"/state","keeping":"InMemory","#,
                    r#""listeners":[{"name":"https","place":{"Tcp":"127.0.0.1:443"}}],"#,
                    r#""ops":null,"back_channel":"127.0.0.1:7443","#,
                    r#""passed":[{"Unix":{"path":"/run/http.sock","mode":0}}]}}"#
                ),
                r#"{"Piece":{"Ends":[]}}"#,
                r#""Yours""#,
                r#""Go""#,
            ]
        );
        assert_eq!(PROTOCOL, 2);
    }

    #[test]
    fn an_end_a_pause_and_nonsense_are_told_apart() {
        let (here, mut there) = pair();
        let late = there.receive::<FromSuccessor>(Duration::from_millis(10));
        assert!(matches!(late, Err(Silence::Late)), "{late:?}");
        let Channel(mut stream) = here;
        stream.write_all(&[0, 0, 0, 2, b'{', b'x']).unwrap();
        let garbled = there.receive::<FromSuccessor>(Duration::from_secs(5));
        assert!(matches!(garbled, Err(Silence::Garbled(_))), "{garbled:?}");
        stream.write_all(&[0xff; 4]).unwrap();
        let long = there.receive::<FromSuccessor>(Duration::from_secs(5));
        assert!(matches!(long, Err(Silence::TooLong)), "{long:?}");
        stream.write_all(&[0, 0, 0, 9, b'1']).unwrap();
        drop(stream);
        let gone = there.receive::<FromSuccessor>(Duration::from_secs(5));
        assert!(matches!(gone, Err(Silence::Gone)), "{gone:?}");
        assert!(matches!(there.receive_descriptor(), Err(Silence::Gone)));
    }
}
