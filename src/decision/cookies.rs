//! Portway's own cookies: their names, how they are set and cleared, and how they are kept from
//! applications (M-014, D-2, MDC-COOKIE-1).
//!
//! How they are written inside is `crypto`'s matter. Cookies of applications pass byte for byte.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::Cookie;
use cookie::SameSite;
use cookie::time::Duration;
use memchr::memchr;

use crate::model::id::Nonce;
use crate::model::name::DeploymentId;
use crate::model::name::HostName;

pub mod chain;
pub mod gito;
pub mod settings;

/// The names of a deployment's cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieNames {
    /// The authn cookie of an application host.
    pub authn: String,
    /// The ID cookie of the collector.
    pub id: String,
    /// The nonce cookie of either.
    pub nonce: String,
    /// The GITO cookie of a domain.
    pub gito: String,
    /// The device cookie of the collector.
    pub device: String,
}

impl CookieNames {
    /// The names for a deployment; its id keeps two gateways under one domain apart (D-24).
    #[must_use]
    pub fn new(deployment: &DeploymentId) -> Self {
        Self {
            authn: format!("__Host-portway-authn-{deployment}"),
            id: format!("__Host-portway-id-{deployment}"),
            nonce: format!("__Host-portway-nonce-{deployment}"),
            gito: format!("__Secure-portway-gito-{deployment}"),
            device: format!("__Host-portway-device-{deployment}"),
        }
    }

    /// Whether a cookie name is one of Portway's, so that no application may see or set it. Browsers
    /// compare the prefix without regard to case, and so does this.
    #[must_use]
    pub fn is_ours(&self, name: &[u8]) -> bool {
        [&self.authn, &self.id, &self.nonce, &self.gito, &self.device]
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
    }

    /// Every value of a cookie in the `Cookie` headers of a request: a browser may send several of one
    /// name, and all are tried (D-24). At most [`SAME_NAME_MAX`].
    pub fn find<'h>(
        headers: impl Iterator<Item = &'h [u8]>,
        name: &str,
    ) -> impl Iterator<Item = &'h str> {
        headers
            .flat_map(pairs)
            .filter(move |(found, _)| *found == name.as_bytes())
            .filter_map(|(_, value)| std::str::from_utf8(value).ok())
            .take(SAME_NAME_MAX)
    }

    /// The nonces in the `Cookie` headers of a request.
    pub fn nonces<'h>(&'h self, headers: &'h [&'h [u8]]) -> impl Iterator<Item = Nonce> + 'h {
        Self::find(headers.iter().copied(), &self.nonce).filter_map(decode_nonce)
    }

    /// What of the `Cookie` headers an application may see, as one line: HTTP/2 lets a client send
    /// several (RFC 9113 §8.2.3). `None` when nothing is left. Cookies that policies set are left out too:
    /// what the client has of them is its own word.
    #[must_use]
    pub fn for_upstream<'h>(
        &self,
        headers: impl Iterator<Item = &'h [u8]>,
        of_policies: &[Box<str>],
    ) -> Option<Vec<u8>> {
        let mut kept: Vec<u8> = Vec::new();
        for part in headers.flat_map(parts) {
            if part.is_empty() || self.is_ours_or_of(part, of_policies) {
                continue;
            }
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(part);
        }
        (!kept.is_empty()).then_some(kept)
    }

    /// Whether a `Set-Cookie` header of an application, or a cookie that a client sends, names one of Portway's
    /// cookies, or one that policies set.
    #[must_use]
    pub fn claims_ours(&self, set_cookie: &[u8], of_policies: &[Box<str>]) -> bool {
        let pair = parts(set_cookie).next().unwrap_or_default();
        self.is_ours_or_of(pair, of_policies)
    }

    fn is_ours_or_of(&self, pair: &[u8], of_policies: &[Box<str>]) -> bool {
        // A browser sends a cookie without a name back as its value alone, and so may a server read one.
        let mut rest = pair;
        while let Some(nameless) = rest.strip_prefix(b"=") {
            rest = nameless.trim_ascii_start();
        }
        let name = name_of(rest);
        self.is_ours(name) || is_among(of_policies, name)
    }
}

/// Whether a name is one of these to some server: a few of them disregard letter case in cookies.
fn is_among(names: &[Box<str>], name: &[u8]) -> bool {
    names
        .iter()
        .any(|own| own.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether a name is kept for cookies of Portway's own, of whatever deployment.
#[must_use]
pub fn is_reserved(name: &[u8]) -> bool {
    RESERVED_PREFIXES.iter().any(|prefix| {
        let begin = name.get(..prefix.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(prefix.as_bytes()))
    })
}

/// A `Set-Cookie` value for a host-only cookie that ends with the browser (MDC-COOKIE-5).
#[must_use]
pub fn set(name: &str, value: &str) -> String {
    kept_safe(name, value).build().to_string()
}

/// A `Set-Cookie` value for a host-only cookie that outlasts the browser: only for what opens nothing.
#[must_use]
pub fn set_lasting(name: &str, value: &str, lasts: std::time::Duration) -> String {
    let seconds = i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX);
    kept_safe(name, value)
        .max_age(Duration::seconds(seconds))
        .build()
        .to_string()
}

/// A `Set-Cookie` value that makes the browser forget a host-only cookie.
#[must_use]
pub fn clear(name: &str) -> String {
    kept_safe(name, "")
        .max_age(Duration::ZERO)
        .build()
        .to_string()
}

/// A `Set-Cookie` value for a cookie of a whole domain that ends with the browser (MDC-COOKIE-4).
#[must_use]
pub fn set_for_domain(name: &str, value: &str, domain: &HostName) -> String {
    kept_safe(name, value)
        .domain(domain.as_str())
        .build()
        .to_string()
}

/// A `Set-Cookie` value that makes the browser forget a cookie of a whole domain: without the domain it
/// would forget another one.
#[must_use]
pub fn clear_for_domain(name: &str, domain: &HostName) -> String {
    kept_safe(name, "")
        .domain(domain.as_str())
        .max_age(Duration::ZERO)
        .build()
        .to_string()
}

/// The value of a nonce cookie.
#[must_use]
pub fn encode_nonce(nonce: &Nonce) -> String {
    URL_SAFE_NO_PAD.encode(nonce.as_bytes())
}

fn decode_nonce(text: &str) -> Option<Nonce> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    <[u8; 16]>::try_from(bytes).ok().map(Nonce::from_bytes)
}

fn kept_safe<'c>(name: &'c str, value: &'c str) -> cookie::CookieBuilder<'c> {
    Cookie::build((name, value))
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
}

/// The parts of a `Cookie` header; sealed cookies are long, and searched by vectors.
fn parts(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(header);
    std::iter::from_fn(move || {
        let all = rest?;
        let cut = memchr(b';', all).and_then(|at| all.split_at_checked(at));
        let part = cut.map_or(all, |(part, _)| part);
        rest = cut.and_then(|(_, rest)| rest.get(1..));
        Some(part.trim_ascii())
    })
}

fn pairs(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    parts(header).filter_map(|part| {
        let equals = memchr(b'=', part)?;
        Some((
            part.get(..equals)?.trim_ascii_end(),
            part.get(equals + 1..)?.trim_ascii_start(),
        ))
    })
}

/// The name of a `name=value` pair; a pair without `=` is all name.
fn name_of(pair: &[u8]) -> &[u8] {
    let name = memchr(b'=', pair).and_then(|at| pair.get(..at));
    name.unwrap_or(pair).trim_ascii_end()
}

const RESERVED_PREFIXES: &[&str] = &["__host-portway", "__secure-portway"];

/// Most cookies of one name that are tried.
pub const SAME_NAME_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> CookieNames {
        CookieNames::new(&DeploymentId::parse("main").unwrap())
    }

    #[test]
    fn our_cookies_are_host_only_secure_and_end_with_the_browser() {
        assert_eq!(
            set("__Host-portway-id-main", "v"),
            "__Host-portway-id-main=v; HttpOnly; SameSite=Lax; Secure; Path=/"
        );
        assert!(clear("a").contains("Max-Age=0"));
    }

    #[test]
    fn the_gito_cookie_belongs_to_its_domain_when_set_and_when_cleared_mdc_cookie_4() {
        let domain = HostName::parse("example.test").unwrap();
        let name = names().gito;
        assert_eq!(
            set_for_domain(&name, "v", &domain),
            "__Secure-portway-gito-main=v; HttpOnly; SameSite=Lax; Secure; Path=/; \
             Domain=example.test"
        );
        let cleared = clear_for_domain(&name, &domain);
        assert!(cleared.contains("Domain=example.test") && cleared.contains("Max-Age=0"));
    }

    #[test]
    fn an_application_sees_its_own_cookies_byte_for_byte_in_one_line_m_014() {
        let lines: [&[u8]; 3] = [
            b"a=1;b=\"x y\"",
            b"__Host-portway-authn-main=secret; c==2=",
            b"__HOST-portway-ID-main=x; __secure-Portway-GITO-main=g",
        ];
        let kept = names().for_upstream(lines.into_iter(), &[]).unwrap();
        assert_eq!(kept, b"a=1; b=\"x y\"; c==2=");
        let only: [&[u8]; 1] = [b"__Host-portway-nonce-main=n; __Host-portway-authn-main"];
        assert_eq!(names().for_upstream(only.into_iter(), &[]), None);
    }

    #[test]
    fn a_cookie_that_a_policy_sets_is_neither_believed_nor_overwritten() {
        let of_policies = [Box::from("theme")];
        let lines: [&[u8]; 1] = [b"a=1; theme=forged; Theme=forged; themes=2"];
        let kept = names()
            .for_upstream(lines.into_iter(), &of_policies)
            .unwrap();
        assert_eq!(kept, b"a=1; themes=2");
        assert!(names().claims_ours(b"theme=x; Path=/", &of_policies));
        assert!(names().claims_ours(b"THEME=x", &of_policies));
        assert!(!names().claims_ours(b"themes=x", &of_policies));
    }

    #[test]
    fn names_of_our_own_are_reserved_for_every_deployment() {
        for name in [
            "__Host-portway-id-main",
            "__HOST-PORTWAY-x",
            "__secure-Portway-gito-b",
        ] {
            assert!(is_reserved(name.as_bytes()), "{name}");
        }
        for name in ["portway", "__Host-app", "theme"] {
            assert!(!is_reserved(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn all_cookies_of_one_name_are_found_and_their_number_is_bounded() {
        let line: [&[u8]; 1] = [b"x=1; n=a; n = b;n=c; n=d; n=e"];
        let found: Vec<_> = CookieNames::find(line.into_iter(), "n").collect();
        assert_eq!(found, ["a", "b", "c", "d"]);
    }

    #[test]
    fn an_application_cannot_set_our_cookies() {
        assert!(names().claims_ours(b"__Host-portway-authn-main=forged; Path=/", &[]));
        assert!(names().claims_ours(b" __host-PORTWAY-id-main =forged", &[]));
        assert!(names().claims_ours(
            b"__Secure-portway-gito-main=forged; Domain=example.test",
            &[]
        ));
        assert!(!names().claims_ours(b"portway=1", &[]));
    }
}
