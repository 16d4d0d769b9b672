//! Reads the body of a post whose user has to sign in first, so that it can be sent again afterwards (D-22).
//!
//! Only a form that a page of the same host has posted: or else a page of somebody's could have it posted with
//! the user's authority. Where it is kept is the engine's matter.

use std::net::IpAddr;

use http::Method;
use http::header;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::crypto::bearer::Bearer;
use crate::decision::form::FormType;
use crate::decision::forwarded::Scheme;
use crate::decision::hand_over::demanded;
use crate::decision::reply::Reply;
use crate::gate::challenge::Asker;
use crate::gate::challenge::Challenged;
use crate::gate::replay::Post;
use crate::model::claim::Activity;
use crate::model::claim::HostLimits;
use crate::model::claim::NotLive;
use crate::model::identity::AuthLevel;
use crate::model::name::HostName;
use crate::model::secret::Secret;
use crate::proxy::context::cookie_headers;
use crate::proxy::inbound;
use crate::proxy::portal;
use crate::proxy::serving::Serving;

/// A post whose user has to sign in, and whose body has not been read.
#[derive(Debug)]
pub(super) struct Unkept {
    pub(super) host: HostName,
    /// Where it comes from.
    pub(super) address: IpAddr,
    /// Path and query that it was made to.
    pub(super) target: String,
    /// The level that is needed.
    pub(super) level: AuthLevel,
    /// What its virtual host asks of sessions.
    pub(super) limits: HostLimits,
    /// Whether it would have been activity.
    pub(super) activity: Activity,
    /// Why the session of a good cookie was not honoured, where there was one.
    pub(super) refused: Option<NotLive>,
    /// How its body is to be read.
    pub(super) form: FormType,
}

impl Serving {
    /// How the body of a request could be kept while its user signs in; none where it is not.
    pub(super) fn keepable(
        &self,
        head: &RequestHeader,
        host: &HostName,
        scheme: Scheme,
    ) -> Option<FormType> {
        // Where the collector is elsewhere, so is the engine that would keep it.
        self.collector.as_ref()?;
        let origin = self.gate.origins.of(host)?;
        let most = self.limits.kept.bytes_max;
        let length = inbound::content_length(&head.headers);
        let fits = length.is_none_or(|length| usize::try_from(length).is_ok_and(|it| it <= most));
        (fits && scheme == Scheme::Https)
            .then(|| posted_form(head, &origin))
            .flatten()
    }

    /// Asks for a sign-in after which the post is sent again, if its body can be read in time.
    pub(super) async fn challenge_keeping(&self, session: &mut Session, unkept: Unkept) -> Reply {
        let body = self.body_to_keep(session, unkept.address).await;
        let post = body
            .filter(|body| unkept.form.fields(body.expose()).is_some())
            .map(|body| Post {
                form: unkept.form,
                body,
                address: unkept.address,
            });
        let cookies = cookie_headers(&session.req_header().headers);
        self.gate.challenge(&Challenged {
            host: &unkept.host,
            target: &unkept.target,
            asker: Asker::Navigation,
            level: unkept.level,
            cookies: &cookies,
            bearer: Bearer {
                address: unkept.address,
                headers: &session.req_header().headers,
            },
            freshness: demanded(unkept.refused),
            limits: unkept.limits,
            activity: unkept.activity,
            refused: unkept.refused,
            post: post.as_ref(),
        })
    }
}

impl Serving {
    /// The body of a post; none where it is too large or too slow, or where as many are being read as may be
    /// kept, in all or of that address.
    async fn body_to_keep(&self, session: &mut Session, address: IpAddr) -> Option<Secret> {
        let _place = self.kept_bodies.take(address)?;
        let limits = &self.limits;
        let reading = portal::form::read_body(session, limits.kept.bytes_max);
        let body = tokio::time::timeout(limits.body_idle_timeout, reading).await;
        body.ok()?.ok()?
    }
}

/// How the body of a form is to be read that a page of the host itself has posted. Browsers say so in
/// `Sec-Fetch-Site`, older ones in `Origin`.
fn posted_form(head: &RequestHeader, own_origin: &str) -> Option<FormType> {
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let is_own = match text("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => text(header::ORIGIN.as_str()) == Some(own_origin),
    };
    let is_form = head.method == Method::POST
        && inbound::asker(&head.method, &head.headers) == Asker::Navigation
        && !head.headers.contains_key(header::CONTENT_ENCODING);
    if !is_own || !is_form {
        return None;
    }
    FormType::parse(text(header::CONTENT_TYPE.as_str())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "https://app.test";

    fn head(method: &str, headers: &[(&'static str, &str)]) -> RequestHeader {
        let mut head = RequestHeader::build(method, b"/order", None).unwrap();
        for (name, value) in headers {
            head.insert_header(*name, *value).unwrap();
        }
        head
    }

    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
    const PAGE: (&str, &str) = ("accept", "text/html");
    const NAVIGATES: (&str, &str) = ("sec-fetch-mode", "navigate");

    #[test]
    fn a_form_is_kept_that_a_page_of_the_same_host_posts_d_22() {
        for from in [
            &[("sec-fetch-site", "same-origin"), NAVIGATES][..],
            &[
                ("sec-fetch-site", "same-origin"),
                NAVIGATES,
                ("origin", OWN),
            ],
            &[("origin", OWN), PAGE],
        ] {
            let headers: Vec<_> = from.iter().copied().chain([FORM]).collect();
            assert!(
                posted_form(&head("POST", &headers), OWN).is_some(),
                "{from:?}"
            );
        }
    }

    #[test]
    fn nothing_is_kept_that_another_page_or_a_program_posts_d_22() {
        for from in [
            &[("sec-fetch-site", "cross-site"), NAVIGATES][..],
            &[("sec-fetch-site", "same-site"), NAVIGATES, ("origin", OWN)],
            &[("sec-fetch-site", "none"), NAVIGATES],
            &[("origin", "https://evil.test"), PAGE],
            &[("origin", "null"), PAGE],
            &[("origin", "https://app.test.evil.test"), PAGE],
            &[PAGE],
            &[
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-mode", "cors"),
            ],
            &[
                ("sec-fetch-site", "same-origin"),
                NAVIGATES,
                ("content-encoding", "gzip"),
            ],
        ] {
            let headers: Vec<_> = from.iter().copied().chain([FORM]).collect();
            assert_eq!(posted_form(&head("POST", &headers), OWN), None, "{from:?}");
        }
        let own = [("sec-fetch-site", "same-origin"), NAVIGATES];
        assert_eq!(posted_form(&head("POST", &own), OWN), None, "no type");
        for method in ["GET", "PUT", "DELETE", "PATCH"] {
            let headers = [own[0], own[1], FORM];
            assert_eq!(posted_form(&head(method, &headers), OWN), None, "{method}");
        }
        let json = ("content-type", "application/json");
        assert_eq!(
            posted_form(&head("POST", &[own[0], own[1], json]), OWN),
            None
        );
    }
}
