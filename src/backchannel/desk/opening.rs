//! The first words on a connection: who calls, whom it means, and the proof of a password (MDC-SEC-1).
//!
//! With TLS the certificate has proven the name already; the opening still says that both ends mean each
//! other. Without TLS each end proves the password, and both know keys for what follows.

use http::Request;
use hyper::body::Incoming;

use super::Desk;
use super::checks::other_sender;
use super::checks::unreadable;
use super::reply::Reply;
use crate::backchannel::server::Mode;
use crate::backchannel::standing::Claimed;
use crate::backchannel::standing::Standing;
use crate::backchannel::standing::TurnedAway;
use crate::backchannel::wire;
use crate::backchannel::wire::Code;
use crate::crypto::peer_proof::ConnectionKeys;
use crate::crypto::peer_proof::Opening;
use crate::crypto::peer_proof::PROOF_BYTES;
use crate::crypto::peer_proof::Side;

impl Desk {
    /// Hears who calls and whom it means, and says who is here.
    pub(super) async fn open(
        &self,
        standing: &Standing,
        request: Request<Incoming>,
    ) -> Result<Reply, TurnedAway> {
        let body = self
            .read(request.into_body(), wire::OPENING_BYTES_MAX)
            .await?;
        let heard = wire::Opening::read(&body).map_err(|error| unreadable(&error))?;
        if heard.to != self.server.own {
            return Err(self.not_here(&heard.from, &heard.to));
        }
        let mut nonce = None;
        match standing.proven(self.server.clock.now()) {
            Ok(caller) if caller.node != heard.from => {
                return Err(other_sender(&caller, &heard.from));
            }
            Ok(_) => {}
            Err(turned) if turned.code == Code::NotProven => {
                nonce = Some(self.claim(standing, &heard)?);
            }
            Err(turned) => return Err(turned),
        }
        let said = wire::Opening {
            from: self.server.own.clone(),
            to: heard.from,
            nonce,
        };
        let body = said.enclose().map_err(|error| unreadable(&error))?;
        Ok(Reply::unsigned(body))
    }

    /// Takes down a name that a password is to prove.
    fn claim(
        &self,
        standing: &Standing,
        heard: &wire::Opening,
    ) -> Result<[u8; PROOF_BYTES], TurnedAway> {
        let known = self.server.known.get(&heard.from).map(|known| &known.mode);
        let password = match known {
            Some(Mode::Password(password)) => password,
            Some(Mode::Tls) => {
                let why = format!("{} is configured with TLS and speaks without", heard.from);
                return Err(TurnedAway::new(Code::ModeMismatch, why));
            }
            None => {
                let why = format!("{} is not configured here", heard.from);
                return Err(TurnedAway::new(Code::UnknownPeer, why));
            }
        };
        let none = || TurnedAway::new(Code::Malformed, "it sent no nonce");
        let dialler_nonce = heard.nonce.ok_or_else(none)?;
        let mut listener_nonce = [0; PROOF_BYTES];
        self.server.entropy.fill(&mut listener_nonce);
        let opening = Opening {
            dialler: heard.from.clone(),
            listener: self.server.own.clone(),
            dialler_nonce,
            listener_nonce,
        };
        standing.claim(Claimed {
            node: heard.from.clone(),
            keys: ConnectionKeys::new(password, &opening),
        })?;
        Ok(listener_nonce)
    }

    /// Checks the proof of a password, and proves it in turn.
    pub(super) async fn prove(
        &self,
        standing: &Standing,
        request: Request<Incoming>,
    ) -> Result<Reply, TurnedAway> {
        let body = self
            .read(request.into_body(), wire::OPENING_BYTES_MAX)
            .await?;
        let proof = wire::read_proof(&body).map_err(|error| unreadable(&error))?;
        let claimed = standing.claimed()?;
        if !claimed.keys.is_proof(Side::Dialler, &proof) {
            let why = format!("{} did not prove that it knows the password", claimed.node);
            let turned = TurnedAway::new(Code::NotProven, why);
            // One guess for each connection.
            standing.turn(&turned);
            return Err(turned);
        }
        let body = wire::enclose_proof(claimed.keys.prove(Side::Listener));
        let body = body.map_err(|error| unreadable(&error))?;
        let proven = standing.prove(&self.server, claimed.node.clone(), None, Some(claimed));
        proven.inspect_err(|turned| standing.turn(turned))?;
        Ok(Reply::unsigned(body))
    }
}
