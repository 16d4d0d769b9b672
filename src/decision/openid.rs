//! What a relying party of OpenID Connect decides: what of a provider's own description counts, whether the
//! claims of an ID token are good, and what they say of a user.
//!
//! Asking the provider is `provider::openid`'s, signatures are `crypto::jose`'s.

pub mod authorization;
pub mod claim_map;
pub mod claims;
pub mod discovery;
pub mod logout;
