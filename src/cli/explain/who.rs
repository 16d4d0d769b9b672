//! Who asks, as the command line says it: the session that they would have, and the values of its options.

use std::collections::BTreeMap;

use anyhow::Context;
use anyhow::bail;
use http::HeaderName;
use http::HeaderValue;
use http::Uri;

use crate::cli::explain::ExplainArgs;
use crate::config::Config;
use crate::config::OpenIdProvider;
use crate::model::attribute::Attribute;
use crate::model::attribute::AttributeSet;
use crate::model::attribute::AttributeValue;
use crate::model::id::SessionId;
use crate::model::id::SsoId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::name::AttributeName;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Attributes;
use crate::model::session::Generation;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::entropy::id_bytes;
use crate::provider::users_file::document;
use crate::system::SystemEntropy;

/// The session that the user would have.
pub(super) fn session(
    args: &ExplainArgs,
    config: &Config,
    now: Timestamp,
) -> anyhow::Result<Option<Session>> {
    let Some(user) = &args.user else {
        return Ok(None);
    };
    let identity = identity(user, args, config)?;
    let level = args.level.unwrap_or_else(|| {
        let password = config.authentication.as_ref().map(|by| by.level);
        let elsewhere = config.providers.iter().map(OpenIdProvider::level_max);
        password
            .or_else(|| elsewhere.max())
            .unwrap_or(AuthLevel::NONE)
    });
    let entropy = SystemEntropy::new();
    Ok(Some(Session {
        id: SessionId::from_bytes(id_bytes(&entropy)),
        facts: SsoFacts {
            sso: SsoId::from_bytes(id_bytes(&entropy)),
            subject: identity.subject.clone(),
            store: identity.store.clone(),
            first_authenticated: now,
            expires: now.after(config.session.lifetime),
            generation: Generation::default(),
            level,
            level_reached: now,
        },
        state: SessionState::Live,
        identity,
        last_access: now,
        client_address: args.address,
        held_since: now,
        reserved: None,
        provider_session: None,
        attributes: Attributes::Known,
        noted: Some(attributes(&args.session_attribute)?),
        aliases: Vec::new(),
        visited: Vec::new(),
        version: 0,
    }))
}

fn identity(user: &UserName, args: &ExplainArgs, config: &Config) -> anyhow::Result<Identity> {
    let by = config.authentication.as_ref();
    let elsewhere = config.providers.first().map(|provider| &provider.store);
    let known = by.map(|by| &by.store).or(elsewhere).cloned();
    let store = known.map_or_else(|| StoreName::parse("local"), Ok)?;
    if !args.group.is_empty() || !args.attribute.is_empty() {
        return Ok(Identity {
            store,
            subject: user.clone(),
            name: None,
            email: None,
            groups: args.group.clone(),
            attributes: attributes(&args.attribute)?,
        });
    }
    let by = by.context("there is no users file here; say more by --group or --attribute")?;
    let known = document::load(&by.users_file)?;
    let found = known.into_iter().find(|known| known.name == *user);
    let (name, file) = (user.as_str(), by.users_file.display());
    let found = found.with_context(|| {
        format!("{file} has no user `{name}`; say who it is by --group or --attribute")
    })?;
    if !found.may_sign_in() {
        bail!("`{name}` may not sign in");
    }
    Ok(Identity {
        store,
        subject: found.name,
        name: found.display_name,
        email: found.email,
        groups: found.groups,
        attributes: found.attributes,
    })
}

fn attributes(given: &[(AttributeName, String)]) -> anyhow::Result<AttributeSet> {
    let mut all = BTreeMap::<&AttributeName, Vec<Box<str>>>::new();
    for (name, text) in given {
        all.entry(name).or_default().push(Box::from(text.as_str()));
    }
    let all = all.into_iter().map(|(name, texts)| Attribute {
        name: name.clone(),
        value: match <[Box<str>; 1]>::try_from(texts) {
            Ok([text]) => AttributeValue::Text(text),
            Err(texts) => AttributeValue::List(texts.into()),
        },
    });
    Ok(AttributeSet::new(all.collect())?)
}

pub(super) fn attribute(text: &str) -> Result<(AttributeName, String), String> {
    let (name, value) = text.split_once('=').ok_or("it is written NAME=VALUE")?;
    let name = AttributeName::parse(name).map_err(|error| error.to_string())?;
    Ok((name, value.to_owned()))
}

pub(super) fn address(text: &str) -> Result<Uri, String> {
    if text.contains('#') {
        return Err("what stands behind `#` is never sent; leave it out".to_owned());
    }
    text.parse::<Uri>().map_err(|error| error.to_string())
}

pub(super) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("it is written NAME: VALUE")?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|error| error.to_string())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|error| error.to_string())?;
    Ok((name, value))
}

pub(super) fn level(text: &str) -> Result<AuthLevel, String> {
    let level = text.parse().ok().and_then(AuthLevel::new);
    level.ok_or_else(|| "it is a number of 0 to 99".to_owned())
}

pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let moment: jiff::Timestamp = text
        .parse()
        .map_err(|error: jiff::Error| error.to_string())?;
    let millis = u64::try_from(moment.as_millisecond());
    millis
        .map(Timestamp::from_millis)
        .map_err(|_| "it is before 1970".to_owned())
}
