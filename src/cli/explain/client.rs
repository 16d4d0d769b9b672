//! The certificate that a client would show: what the virtual host makes of it, by the code that looks at those of
//! handshakes (W-23 to W-26).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::cli::explain::Halt;
use crate::cli::explain::answer::Certificate;
use crate::cli::explain::answer::Outcome;
use crate::config::VirtualHost;
use crate::config::client_certificates::ClientCertificates;
use crate::config::client_certificates::ClientMode;
use crate::crypto::certificates;
use crate::decision::facts::Fact;
use crate::decision::facts::Subject;
use crate::decision::facts::TlsFacts;
use crate::decision::forwarded::Scheme;
use crate::decision::template::Form;
use crate::decision::template::Template;
use crate::model::time::Timestamp;
use crate::proxy::client_auth::ClientAuth;
use crate::proxy::client_auth::ClientRefusal;

/// What is told of a certificate before anything is known of it; nothing where there is none and none is asked for.
pub(super) fn asked_for(host: &VirtualHost, shown: Option<&Path>) -> Option<Certificate> {
    let mode = host.client_certificates.as_ref().map(|asks| asks.mode);
    if mode.is_none() && shown.is_none() {
        return None;
    }
    Some(Certificate {
        mode: match mode {
            None => "off",
            Some(ClientMode::Optional) => "optional",
            Some(ClientMode::OptionalUnverified) => "optional_unverified",
            Some(ClientMode::Required) => "required",
        },
        shown: shown.is_some(),
        facts: BTreeMap::new(),
    })
}

/// What the virtual host makes of the certificate; nothing where it does not ask for one.
pub(super) fn judged(
    asks: Option<&ClientCertificates>,
    shown: Option<&Path>,
    scheme: Scheme,
    now: Timestamp,
) -> Result<Option<TlsFacts>, Halt> {
    let Some(asks) = asks else {
        return Ok(None);
    };
    let auth = ClientAuth::new(asks).context("its client certificates cannot be judged")?;
    let judged = match scheme {
        Scheme::Http => auth.without_tls().map(|()| None),
        Scheme::Https => {
            let pem = shown.map(|file| {
                fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
            });
            let chain = pem
                .transpose()?
                .map(|pem| certificates::readable_chain(&pem));
            let chain = chain
                .transpose()
                .context("the certificate cannot be used")?;
            auth.facts(&chain.unwrap_or_default(), now).map(Some)
        }
    };
    match judged {
        Ok(client) => Ok(client.map(|client| TlsFacts {
            version: Cow::Borrowed(""),
            cipher: Cow::Borrowed(""),
            client: Some(client),
        })),
        Err(ClientRefusal::Missing) => Err(Halt::at(
            Outcome::CertificateMissing,
            match scheme {
                Scheme::Http => "refused: a certificate is required, and plain http can show none",
                Scheme::Https => {
                    "refused: a certificate is required; name one by --client-certificate"
                }
            },
        )),
        Err(ClientRefusal::NotGood(fault)) => Err(Halt::at(
            Outcome::CertificateRefused,
            format!("refused: the certificate is not good: {fault}"),
        )),
    }
}

/// The facts about the certificate that have a value, as they stand in a header.
pub(super) fn facts(subject: &Subject<'_>) -> impl Iterator<Item = (&'static str, String)> {
    let names = Fact::names().filter(|name| name.starts_with("tls.client."));
    names.filter_map(|name| {
        let fact = Fact::parse(name).ok()?;
        let text = Template::of(fact).render(subject, Form::Header)?;
        Some((name, String::from_utf8_lossy(&text).into_owned()))
    })
}
