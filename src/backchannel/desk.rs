//! Where questions are received: size, signature, sender, addressee and time are checked here, in this
//! order, before anybody is asked for an answer (R11, MDC-SEC-4).
//!
//! A caller that is turned away learns a short code; the whole reason goes to the log. What the answer is,
//! is said by the port `PeerService`, or by the verbs for gates.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::header::CONTENT_LENGTH;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use http_body_util::LengthLimitError;
use http_body_util::Limited;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

use self::checks::is_bound_to_time;
use self::checks::is_in_time;
use self::checks::other_sender;
use self::checks::signed;
use self::checks::unreadable;
use self::reply::Answered;
use self::reply::Reply;
use self::reply::run;
pub use self::services::Services;
use crate::backchannel::answers::AnswerBody;
use crate::backchannel::answers::Next;
use crate::backchannel::server::KnownCaller;
use crate::backchannel::server::Server;
use crate::backchannel::standing::ProvenCaller;
use crate::backchannel::standing::Standing;
use crate::backchannel::standing::TurnedAway;
use crate::backchannel::wire;
use crate::backchannel::wire::Code;
use crate::backchannel::wire::Letterhead;
use crate::backchannel::wire::Signature;
use crate::crypto::peer_proof::Message;
use crate::crypto::peer_proof::Side;
use crate::crypto::pki::node_name::NodeName;
use crate::model::name::ClusterId;
use crate::model::peer::Answer;
use crate::model::peer::Question;
use crate::model::peer::Refusal;

mod checks;
mod opening;
mod reply;
pub(super) mod services;

/// Receives the questions of all connections.
pub(super) struct Desk {
    server: Arc<Server>,
    services: Services,
}

/// A question on its way through the checks.
struct Received {
    caller: Arc<ProvenCaller>,
    path: Path,
    counter: u64,
    body: Bytes,
    head: Letterhead,
    /// Kept while a large question is in memory.
    large: Option<OwnedSemaphorePermit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Ask,
    Gate,
    Open,
    Prove,
}

impl Desk {
    pub(super) const fn new(server: Arc<Server>, services: Services) -> Self {
        Self { server, services }
    }

    pub(super) const fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Answers one request of a connection, or turns it away.
    pub(super) async fn receive(
        &self,
        standing: &Standing,
        address: IpAddr,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, Infallible> {
        let answered = self.answer(standing, request).await;
        Ok(answered.map_or_else(
            |turned| self.turn_away(standing, address, &turned),
            |reply| {
                let answers = standing.answers();
                let mut response = message(answers.send(reply.body, reply.place, Next::Question));
                if let Some(signature) = reply.signature {
                    signature.write(response.headers_mut());
                }
                response
            },
        ))
    }

    fn turn_away(
        &self,
        standing: &Standing,
        address: IpAddr,
        turned: &TurnedAway,
    ) -> Response<AnswerBody> {
        let now = self.server.clock.now();
        let known = standing.proven(now).ok();
        let known = known.and_then(|caller| self.server.known.get(&caller.node));
        let served = known.map_or(&self.server.strangers, |known| &known.served);
        served.turned_away.fetch_add(1, Ordering::Relaxed);
        let complaints = &self.server.complaints;
        complaints.tell(address, Some(turned.code), &turned.why, now);
        let next = if standing.is_turned() {
            Next::Farewell
        } else {
            Next::Question
        };
        let code = wire::enclose_code(turned.code);
        let mut response = message(standing.answers().send(code, None, next));
        *response.status_mut() = turned.code.status();
        response
    }

    async fn answer(
        &self,
        standing: &Standing,
        request: Request<Incoming>,
    ) -> Result<Reply, TurnedAway> {
        let path = path(&request)?;
        match path {
            Path::Open => self.open(standing, request).await,
            Path::Prove => self.prove(standing, request).await,
            Path::Ask | Path::Gate => {
                let received = self.check(standing, path, request).await?;
                self.answer_checked(received).await
            }
        }
    }

    /// Reads a question and makes sure of its sender and addressee.
    async fn check(
        &self,
        standing: &Standing,
        path: Path,
        request: Request<Incoming>,
    ) -> Result<Received, TurnedAway> {
        let caller = standing.proven(self.server.clock.now())?;
        let known = self.known(&caller)?;
        let (parts, body) = request.into_parts();
        let (body, large) = self.read_question(known, &parts.headers, body).await?;
        let counter = signed(&caller, path, &parts.headers, &body)?;
        let head = wire::letterhead(&body).map_err(|error| unreadable(&error))?;
        if head.from != caller.node {
            return Err(other_sender(&caller, &head.from));
        }
        if head.to != self.server.own {
            return Err(self.not_here(&head.from, &head.to));
        }
        Ok(Received {
            caller,
            path,
            counter,
            body,
            head,
            large,
        })
    }

    async fn answer_checked(&self, received: Received) -> Result<Reply, TurnedAway> {
        let now = self.server.clock.now();
        let head = Letterhead {
            from: self.server.own.clone(),
            to: received.head.from.clone(),
            sent: now,
            valid_until: now,
        };
        let caller = Arc::clone(&received.caller);
        let known = self.known(&caller)?;
        let (path, counter) = (received.path, received.counter);
        let answered = match (path, caller.node.clone()) {
            (Path::Ask, NodeName::Engine(from)) => {
                self.answer_peer(known, from, received, &head).await?
            }
            (Path::Gate, NodeName::Gate(gate)) => {
                self.answer_gate(known, gate, received, head).await?
            }
            (Path::Ask | Path::Gate | Path::Open | Path::Prove, node) => {
                let why = format!("{node} may not ask at {}", path.as_str());
                return Err(TurnedAway::new(Code::NotPermitted, why));
            }
        };
        known.served.answered.fetch_add(1, Ordering::Relaxed);
        let signature = caller.keys.as_ref().map(|claimed| {
            let from = Side::Listener;
            let said = Message {
                from,
                counter,
                path: path.as_str(),
                body: &answered.body,
            };
            let tag = claimed.keys.sign(&said);
            Signature { counter, tag }
        });
        Ok(Reply {
            body: answered.body,
            signature,
            place: answered.place,
        })
    }

    async fn answer_peer(
        &self,
        known: &KnownCaller,
        from: ClusterId,
        received: Received,
        head: &Letterhead,
    ) -> Result<Answered, TurnedAway> {
        let question: Question = wire::body(&received.body).map_err(|error| unreadable(&error))?;
        if let Question::Hello(greeting) = &question
            && greeting.cluster != from
        {
            let why = format!("{from} greets as {}", greeting.cluster);
            return Err(TurnedAway::new(Code::WrongSender, why));
        }
        let is_in_time = is_in_time(&received.head, head.sent, self.server.limits.hard_skew);
        if !is_in_time && is_bound_to_time(&question) {
            // Its clock, or the message, is too far off: an answer, and no silence (S-8, S-22).
            let refused = Answer::Refused(Refusal::Skew);
            let body = wire::enclose(head, &refused).map_err(|error| unreadable(&error))?;
            return Ok(Answered { body, place: None });
        }
        let service = Arc::clone(&self.services.peers);
        let answer = async move { service.answer(&from, question).await };
        let (answer, place) = run(known, received.large, answer).await?;
        let body = wire::enclose(head, &answer).map_err(|error| unreadable(&error))?;
        Ok(Answered { body, place })
    }

    async fn answer_gate(
        &self,
        known: &KnownCaller,
        gate: ClusterId,
        received: Received,
        head: Letterhead,
    ) -> Result<Answered, TurnedAway> {
        let none = || TurnedAway::new(Code::NotPermitted, "gates are not answered here");
        let gates = self.services.gates.clone().ok_or_else(none)?;
        if !is_in_time(&received.head, head.sent, self.server.limits.hard_skew) {
            let why = format!("the clock of {gate}, or its message, is too far off");
            return Err(TurnedAway::new(Code::Skew, why));
        }
        let body = received.body;
        let answer = async move { gates.answer(&gate, &body, &head).await };
        let (answer, place) = run(known, received.large, answer).await?;
        let body = answer.map_err(|error| unreadable(&error))?;
        Ok(Answered { body, place })
    }

    /// Reads a question; large ones have a bound of their own, by what the caller announces.
    async fn read_question(
        &self,
        known: &KnownCaller,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Result<(Bytes, Option<OwnedSemaphorePermit>), TurnedAway> {
        let length = headers.get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: usize| length <= SMALL_BYTES_MAX) {
            return Ok((self.read(body, SMALL_BYTES_MAX).await?, None));
        }
        let place = Arc::clone(&known.large).try_acquire_owned();
        let place = place.map_err(|_| TurnedAway::new(Code::Busy, "it sends too much at once"))?;
        let body = self.read(body, wire::QUESTION_BYTES_MAX).await?;
        Ok((body, Some(place)))
    }

    fn known(&self, caller: &ProvenCaller) -> Result<&KnownCaller, TurnedAway> {
        let known = self.server.known.get(&caller.node);
        known.ok_or_else(|| TurnedAway::new(Code::UnknownPeer, "it is not configured here"))
    }

    /// Reads a body within its bounds of size and time.
    async fn read(&self, body: Incoming, bytes_max: usize) -> Result<Bytes, TurnedAway> {
        let limit = self.server.limits.question_timeout;
        let reading = Limited::new(body, bytes_max).collect();
        match tokio::time::timeout(limit, reading).await {
            Ok(Ok(read)) => Ok(read.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let why = format!("it sent more than {bytes_max} bytes");
                Err(TurnedAway::new(Code::TooLarge, why))
            }
            Ok(Err(error)) => Err(TurnedAway::new(Code::Malformed, error.to_string())),
            Err(_) => Err(TurnedAway::new(
                Code::TooSlow,
                "its question did not arrive",
            )),
        }
    }

    fn not_here(&self, from: &NodeName, to: &NodeName) -> TurnedAway {
        let why = format!("{from} means {to}, and this is {}", self.server.own);
        TurnedAway::new(Code::WrongCluster, why)
    }
}

/// What is asked for; the method and the kind of the body have to fit.
fn path(request: &Request<Incoming>) -> Result<Path, TurnedAway> {
    let asked = request.uri().path();
    let all = [Path::Ask, Path::Gate, Path::Open, Path::Prove];
    let found = all.into_iter().find(|path| path.as_str() == asked);
    let none = || TurnedAway::new(Code::NoSuchPath, "it asks at a path that is none");
    let path = found.ok_or_else(none)?;
    let is_message = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == wire::MEDIA_TYPE.as_bytes());
    if request.method() == Method::POST && is_message {
        Ok(path)
    } else {
        Err(TurnedAway::new(
            Code::Malformed,
            "it does not send a message",
        ))
    }
}

impl Path {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ask => wire::ASK_PATH,
            Self::Gate => wire::GATE_PATH,
            Self::Open => wire::OPEN_PATH,
            Self::Prove => wire::PROVE_PATH,
        }
    }
}

fn message(body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static(wire::MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Largest question that is not counted as a large one.
const SMALL_BYTES_MAX: usize = 16 << 10;
