//! Seals and opens messages with AES-256-GCM: `version | key id | nonce | ciphertext | tag` (MDC-COOKIE-5).
//!
//! The associated data binds a message to its purpose, the cookie's name and the host it is for, each
//! length-prefixed, so that no byte can move from one field to the next. All refusals look the same.

use aes_gcm::aead::AeadInOut;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::key_ring::KeyRing;
use crate::crypto::key_ring::Purpose;
use crate::model::id::KeyId;

/// What a message is bound to beside its key.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// What the message is for.
    pub purpose: Purpose,
    /// The cookie or parameter that carries it.
    pub name: &'a str,
    /// The host it is for.
    pub scope: &'a str,
}

/// The message does not open: tampered with, cut short, foreign, or sealed with a key that is gone.
/// There is deliberately no telling which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed message does not open")]
pub struct OpenError;

/// The nonce of one sealing: 96 random bits, never used twice under one key.
pub type SealNonce = [u8; NONCE_BYTES];

impl KeyRing {
    /// Seals `plain` and encodes it for a cookie or URL.
    #[must_use]
    pub fn seal(&self, binding: &Binding<'_>, nonce: SealNonce, plain: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.seal_bytes(binding, nonce, plain))
    }

    /// Seals `plain` as bytes.
    #[must_use]
    pub fn seal_bytes(&self, binding: &Binding<'_>, nonce: SealNonce, plain: &[u8]) -> Vec<u8> {
        let keys = self.current();
        let (key, cipher) = keys.sealer(binding.purpose);
        let mut sealed = Vec::with_capacity(HEAD_BYTES + plain.len() + TAG_BYTES);
        sealed.push(FORMAT_VERSION);
        sealed.extend_from_slice(&key.0.to_be_bytes());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let body = sealed.get_mut(HEAD_BYTES..).unwrap_or_default();
        let associated = associated(binding, key);
        match cipher.encrypt_inout_detached(&nonce.into(), &associated, body.into()) {
            Ok(tag) => sealed.extend_from_slice(&tag),
            // GCM refuses only messages beyond 64 GiB; an empty message opens nowhere.
            Err(_) => sealed.clear(),
        }
        sealed
    }

    /// Decodes and opens a message.
    ///
    /// # Errors
    /// [`OpenError`], whatever the reason.
    pub fn open(&self, binding: &Binding<'_>, text: &str) -> Result<Vec<u8>, OpenError> {
        self.open_with(binding, text, <[u8]>::to_vec)
    }

    /// Decodes and opens a message, and has it read where it stands: a cookie needs no memory of its own
    /// that way.
    ///
    /// # Errors
    /// [`OpenError`], whatever the reason.
    pub fn open_with<R>(
        &self,
        binding: &Binding<'_>,
        text: &str,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, OpenError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(OpenError);
        }
        let mut short = [0; SHORT_BYTES];
        let mut long = Vec::new();
        let room = if text.len() <= SHORT_BYTES {
            short.as_mut_slice()
        } else {
            long.resize(text.len(), 0);
            &mut long
        };
        let length = URL_SAFE_NO_PAD.decode_slice(text, room);
        let sealed = room.get_mut(..length.map_err(|_| OpenError)?);
        let plain = self.open_in_place(binding, sealed.ok_or(OpenError)?)?;
        Ok(read(plain))
    }

    /// Opens a message of bytes.
    ///
    /// # Errors
    /// [`OpenError`], whatever the reason.
    pub fn open_bytes(
        &self,
        binding: &Binding<'_>,
        mut sealed: Vec<u8>,
    ) -> Result<Vec<u8>, OpenError> {
        let length = self.open_in_place(binding, &mut sealed)?.len();
        sealed.drain(..HEAD_BYTES);
        sealed.truncate(length);
        Ok(sealed)
    }

    /// Opens a message where it stands.
    fn open_in_place<'s>(
        &self,
        binding: &Binding<'_>,
        sealed: &'s mut [u8],
    ) -> Result<&'s [u8], OpenError> {
        let (head, rest) = sealed
            .split_first_chunk_mut::<HEAD_BYTES>()
            .ok_or(OpenError)?;
        let (body, tag) = rest.split_last_chunk_mut::<TAG_BYTES>().ok_or(OpenError)?;
        let [version, k1, k2, k3, k4, nonce @ ..] = *head;
        if version != FORMAT_VERSION {
            return Err(OpenError);
        }
        let key = KeyId(u32::from_be_bytes([k1, k2, k3, k4]));
        let keys = self.current();
        let cipher = keys.opener(key, binding.purpose).ok_or(OpenError)?;
        let associated = associated(binding, key);
        cipher
            .decrypt_inout_detached(
                &nonce.into(),
                &associated,
                (&mut *body).into(),
                &(*tag).into(),
            )
            .map(|()| &*body)
            .map_err(|_| OpenError)
    }
}

/// The key that a message says it is sealed with, whether the ring has it or not; none where it is no message.
#[must_use]
pub fn key_of(text: &str) -> Option<KeyId> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
    let is_whole = sealed.len() >= HEAD_BYTES + TAG_BYTES;
    let (version, rest) = sealed.split_first().filter(|_| is_whole)?;
    let key = rest.first_chunk::<4>()?;
    (*version == FORMAT_VERSION).then(|| KeyId(u32::from_be_bytes(*key)))
}

fn associated(binding: &Binding<'_>, key: KeyId) -> Vec<u8> {
    let mut data = Vec::with_capacity(16 + binding.name.len() + binding.scope.len());
    data.push(FORMAT_VERSION);
    data.push(binding.purpose as u8);
    data.extend_from_slice(&key.0.to_be_bytes());
    for field in [binding.name, binding.scope] {
        let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
        data.extend_from_slice(&length.to_be_bytes());
        data.extend_from_slice(field.as_bytes());
    }
    data
}

const FORMAT_VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + 4 + NONCE_BYTES;
/// Longest text that is worth decoding; a sign-in request with a long deep link is the longest.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Long enough for a cookie.
const SHORT_BYTES: usize = 512;
