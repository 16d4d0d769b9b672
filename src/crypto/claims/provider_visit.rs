//! What travels with a browser to a provider at which its user signs in, and back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::Digest;
use sha2::Sha256;

use crate::crypto::claims::Claims;
use crate::crypto::claims::SignInRequest;
use crate::crypto::codec::Malformed;
use crate::crypto::codec::Reader;
use crate::crypto::codec::Writer;
use crate::model::id::Nonce;
use crate::model::id::TokenId;
use crate::model::name::StoreName;
use crate::model::time::Timestamp;

/// What comes back with a browser from a provider at which its user signs in (OpenID Connect Core 1.0 §3.1.2.1,
/// `state`): which provider, for what, and by which browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderVisit {
    /// The provider's store.
    pub provider: StoreName,
    /// The collector's nonce cookie.
    pub nonce: Nonce,
    /// From it follow what the provider is to put into its token, and the proof that goes with the code.
    pub secret: [u8; 32],
    /// When the browser left.
    pub issued: Timestamp,
    /// Whether the user was to sign in again there.
    pub again: bool,
    /// What the sign-in is for; nothing in particular where there is none.
    pub request: Option<SignInRequest>,
}

impl ProviderVisit {
    /// What the provider is to put into its token.
    #[must_use]
    pub fn token_nonce(&self) -> String {
        self.derived(b"nonce")
    }

    /// The proof that goes with the code (RFC 7636 §4.1).
    #[must_use]
    pub fn verifier(&self) -> String {
        self.derived(b"verifier")
    }

    /// What the provider may know of the proof beforehand (RFC 7636 §4.2, S256).
    #[must_use]
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier()))
    }

    /// By this the visit is spent: a browser comes back from it once.
    #[must_use]
    pub fn id(&self) -> TokenId {
        let digest = Sha256::new().chain_update(b"id").chain_update(self.secret);
        let digest: [u8; 32] = digest.finalize().into();
        let (id, _) = digest.split_first_chunk().unwrap_or((&[0; 16], &[]));
        TokenId::from_bytes(*id)
    }

    fn derived(&self, label: &[u8]) -> String {
        let digest = Sha256::new().chain_update(label).chain_update(self.secret);
        URL_SAFE_NO_PAD.encode(digest.finalize())
    }
}

impl Claims for ProviderVisit {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(256);
        to.name(self.provider.as_str())
            .raw(self.nonce.as_bytes())
            .raw(&self.secret)
            .time(self.issued)
            .byte(u8::from(self.again))
            .byte(u8::from(self.request.is_some()));
        if let Some(request) = &self.request {
            to.raw(&request.encode());
        }
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let mut visit = Self {
            provider: StoreName::parse(from.name()?).map_err(|_| Malformed)?,
            nonce: Nonce::from_bytes(from.array()?),
            secret: from.array()?,
            issued: from.time()?,
            again: read_flag(&mut from)?,
            request: None,
        };
        if read_flag(&mut from)? {
            visit.request = Some(SignInRequest::decode(from.rest())?);
            return Ok(visit);
        }
        from.end().map(|()| visit)
    }
}

fn read_flag(from: &mut Reader<'_>) -> Result<bool, Malformed> {
    match from.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed),
    }
}
